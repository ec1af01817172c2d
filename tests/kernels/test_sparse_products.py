"""Sparse products into dense rows against SciPy, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from genre.kernels.compiled import load_compiler
from genre.recommenders.sparse_products import dense_product
from genre.threads import limit_threads


@pytest.mark.parametrize(("n", "threads"), [(0, 1), (1, 1), (300, 1), (300, 3)])
def test_a_dense_product_is_that_of_scipy_to_the_bit(n: int, threads: int) -> None:
    load_compiler()
    rng = np.random.default_rng(n)
    left = sp.random(n, 50, 0.3, format="csr", dtype=np.float32, rng=rng)
    right = sp.random(50, 120, 0.2, format="csr", dtype=np.float32, rng=rng)
    with limit_threads(threads):
        found = dense_product(left, right)
    assert found.dtype == np.float32
    assert np.array_equal(found, (left @ right).toarray())
    assert not dense_product(left, sp.csr_matrix((50, 120), dtype=np.float32)).any()
