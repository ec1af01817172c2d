"""The inverse by LAPACK, whole and by columns, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from genre.kernels.inverse import columns_of_inverse, invert


def positive(n: int) -> np.ndarray:
    root = np.random.default_rng(n).normal(size=(n, 2 * n)).astype(np.float32)
    return np.triu(root @ root.T)  # only the upper triangle is read


@pytest.mark.parametrize("n", [1, 7, 130])
def test_inverses_are_those_of_numpy(n: int) -> None:
    matrix = positive(n)
    expected = np.linalg.inv(matrix + np.triu(matrix, 1).T)
    which = np.array([n - 1, n // 2])
    columns = columns_of_inverse(matrix.copy(), which)
    np.testing.assert_allclose(columns, expected[which], rtol=1e-3, atol=1e-4 * abs(expected).max())
    assert columns_of_inverse(matrix.copy(), which[:0]).shape == (0, n)
    assert invert(matrix)
    np.testing.assert_allclose(np.triu(matrix), np.triu(expected), rtol=1e-3, atol=1e-4 * abs(expected).max())


def test_a_matrix_that_is_not_positive_definite_has_none() -> None:
    matrix = np.diag(np.array([1, -1, 1], np.float32))
    assert not invert(matrix.copy())
    assert columns_of_inverse(matrix, np.array([0])) is None
