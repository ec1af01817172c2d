"""Small linear algebra that several files share: unit vectors, ridge maps, principal components, scales, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Float64
from genre.errors import DataError


def unit_rows(rows: npt.NDArray[np.floating[Any]], center: Float32 | None = None) -> Float32:
    """Divide rows by their lengths, so that a product of two is their cosine.

    Args:
        rows: `[n, dim]`; a row of zeros, which has no direction, stays as it is.
        center: Taken off each row before, `[dim]`.

    Returns:
        float32 `[n, dim]`.
    """
    if center is not None:
        rows = np.where(rows.any(axis=1, keepdims=True), rows - center, 0)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def check_width(features: Float32, center: Float32, recommender: str) -> Float32:
    """Check that features are as wide as those that a recommender was fitted with.

    Args:
        features: `[n, dim]`.
        center: The mean of the features at the time, `[dim]`.
        recommender: Its name, for the message.

    Returns:
        The features.

    Raises:
        DataError: If they are wider or narrower.
    """
    if features.shape[1] != len(center):
        raise DataError(f"{recommender}: learnt from features of {len(center)} values, found {features.shape[1]}")
    return features


def with_constant(vectors: Float32) -> Float32:
    """Append a column of ones, whose weight in a linear map is its constant term.

    Args:
        vectors: `[n, dim]`.

    Returns:
        `[n, dim + 1]`.
    """
    return np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1)


def whitening(features: Float32, power: float, dim: int) -> tuple[Float32, Float32]:
    """Return the map that whitens features: centred, it gives them variances to the power of `1 - power`.

    With the covariance E L E', the directions are E L^(-power / 2).

    Args:
        features: `[n, n_in]`; rows of zeros are left out.
        power: 0 for rotation only, 1 for full whitening.
        dim: Directions kept at most; those without variance are left out.

    Returns:
        The mean `[n_in]` and the directions `[n_in, at most dim]`, strongest first.

    Raises:
        DataError: If all features are zero.
    """
    known = features[features.any(axis=1)].astype(np.float64)
    if len(known) == 0:
        raise DataError("whitening: every item's features are zero; give the encoder texts")
    center = known.mean(axis=0)
    strength, directions = np.linalg.eigh(np.cov(known.T, ddof=0).reshape(features.shape[1], -1))
    strongest = np.argsort(-strength)[:dim]
    strongest = strongest[strength[strongest] > 1e-6 * max(strength.max(), 1e-12)]  # the rest is rounding
    scale = np.maximum(strength[strongest], 1e-12) ** (-power / 2)
    return center.astype(np.float32), (directions[:, strongest] * scale).astype(np.float32)


def ridge_map(inputs: Float32, targets: Float32, counts: npt.NDArray[Any], ridge: float) -> Float32:
    """Fit the linear map from item features to factors by weighted ridge regression.

    With X the inputs, Y the targets and C = diag(counts), the map M minimises
    sum_i counts_i |x_i M - y_i|^2 + ridge |M|^2 (its last row, the constant term, without ridge):

        M = (X' C X + ridge I)^-1 X' C Y

    Args:
        inputs: Features of items, a constant as the last column, `[n_items, dim]`.
        targets: `[n_items, n_factors]`.
        counts: How much each item counts, for example its interactions, `[n_items]`.
        ridge: Added to the diagonal.

    Returns:
        M, float32 `[dim, n_factors]`.
    """
    weighted = inputs.astype(np.float64).T * counts  # X' C [dim, n_items]
    gram = weighted @ inputs  # [dim, dim]
    gram[np.diag_indices(len(gram) - 1)] += ridge
    gram[-1, -1] += 1e-6  # solvable without a single interaction
    return np.asarray(np.linalg.solve(gram, weighted @ targets), np.float32)


def principal_components(values: Float32, dim: int) -> Float32:
    """Project rows onto the directions in which they differ most (PCA by singular value decomposition).

    Args:
        values: `[n, width]`.
        dim: How many directions, at most.

    Returns:
        float32 `[n, min(dim, n, width)]`, divided by one number so that all values together have a standard deviation
        of 1.
    """
    centred = values - values.mean(0)
    left, length, _ = np.linalg.svd(centred, full_matrices=False)
    out = left[:, :dim] * length[:dim]
    return np.ascontiguousarray(out / (out.std() or 1.0), np.float32)


def row_std(scores: Float32, known: npt.NDArray[np.bool_] | None = None) -> Float32:
    """Compute the standard deviation of each row.

    Args:
        scores: `[n, n_items]`.
        known: Which scores count, as `scores`; None: all.

    Returns:
        `[n, 1]`; 1 for a row of equal values, so that it can be divided by.
    """
    if known is None:
        found = scores.std(axis=1, keepdims=True)
    else:  # without the warnings of an empty row
        n_known = np.maximum(known.sum(axis=1, keepdims=True), 1)
        mean = np.where(known, scores, 0).sum(axis=1, keepdims=True) / n_known
        found = np.sqrt(np.where(known, (scores - mean) ** 2, 0).sum(axis=1, keepdims=True) / n_known)
    return np.where(found > 0, found, 1).astype(np.float32)


def divide_by_std(scores: Float32) -> Float32:
    """Divide each row by its standard deviation, so that the scores of different recommenders can be added.

    The mean is not taken off: that would move all items of a history alike, which changes no ranking.

    Args:
        scores: `[n, n_items]`.

    Returns:
        float32 `[n, n_items]`.
    """
    return np.asarray(scores / row_std(scores), np.float32)


def row_lengths(matrix: sp.csr_matrix) -> npt.NDArray[np.floating[Any]]:
    """Compute the Euclidean lengths of the rows of a sparse matrix.

    Args:
        matrix: CSR `[n, m]`.

    Returns:
        Of the matrix's type `[n]`.
    """
    squares: npt.NDArray[np.floating[Any]] = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    return np.asarray(np.sqrt(squares))


def unit_sparse_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Divide the rows of a sparse matrix by their lengths; empty ones stay empty.

    Args:
        matrix: `[n, m]`.

    Returns:
        float32 CSR `[n, m]`.
    """
    lengths = (1 / np.maximum(row_lengths(matrix), 1e-12)).astype(np.float32)
    return sp.csr_matrix(sp.diags(lengths) @ matrix, dtype=np.float32)


def ratio(total: npt.NDArray[np.float64 | np.int64], n: npt.NDArray[np.float64 | np.int64]) -> Float64:
    """Divide element by element, giving NaN where the divisor is zero.

    Args:
        total: The dividends.
        n: The divisors, of the same shape.

    Returns:
        float64 of the same shape.
    """
    return np.asarray(np.divide(total, n, out=np.full(np.shape(total), np.nan), where=n > 0))
