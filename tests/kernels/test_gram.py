"""The kernels of `kernels/gram.py` against dense NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from genre.kernels.gram import add_gram, inverse_to_weights


@pytest.mark.parametrize("n_items", [1, 5, 70])
def test_the_upper_triangle_gets_the_products_of_columns(n_items: int) -> None:
    rng = np.random.default_rng(n_items)
    rows = sp.random(40, n_items, 0.2, format="csr", dtype=np.float32, rng=rng)
    rows.sort_indices()
    columns = rows.tocsc()
    gram = rng.normal(size=(n_items, n_items)).astype(np.float32)
    expected = np.triu(gram + (rows.T @ rows).toarray())
    sides = (rows.indptr, rows.indices, rows.data), (columns.indptr, columns.indices, columns.data)
    for first, last in ((n_items // 3, n_items), (0, n_items // 3)):
        add_gram(*sides, gram, first, last)
    np.testing.assert_allclose(np.triu(gram), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_items", [1, 64, 65, 130])
def test_weights_are_the_columns_of_the_inverse_over_its_diagonal(n_items: int) -> None:
    rng = np.random.default_rng(n_items)
    p = rng.normal(size=(n_items, n_items)).astype(np.float32)
    p = (p + p.T) / 2
    np.fill_diagonal(p, rng.uniform(1, 2, n_items))
    expected = -p / np.diag(p)
    np.fill_diagonal(expected, 0)
    upper = np.triu(p)
    scale = np.float32(-1) / upper.diagonal().copy()
    inverse_to_weights(upper, scale, 0, min(n_items, 64))
    inverse_to_weights(upper, scale, 64, n_items)
    np.testing.assert_allclose(upper, expected, rtol=1e-5)
