"""The kernels of `kernels/gram.py` against dense NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from genre.kernels.gram import add_gram, add_gram_among, inverse_to_weights


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


@pytest.mark.parametrize("first", [0, 4, 12])
def test_products_of_some_columns_are_those_of_the_whole(first: int) -> None:
    rng = np.random.default_rng(first)
    rows = sp.random(40, 30, 0.3, format="csr", dtype=np.float32, rng=rng)
    rows.sort_indices()
    columns = rows.tocsc()
    members = np.sort(rng.choice(30, 12, replace=False)).astype(np.int32)
    place, total = np.full(30, -1, np.int32), np.zeros(30, np.float32)
    place[members] = np.arange(12)
    gram = np.zeros((12, 12), np.float32)
    sides = (rows.indptr, rows.indices, rows.data), (columns.indptr, columns.indices, columns.data)
    add_gram_among(*sides, members, first, place, total, gram)
    expected = np.triu((rows.T @ rows).toarray()[np.ix_(members, members)])
    expected[:, :first] = 0
    np.testing.assert_allclose(gram, expected, rtol=1e-4, atol=1e-5)
    assert not total.any(), "scratch space for the next call"


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
