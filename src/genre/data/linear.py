"""What several recommenders make of vectors: rows of length one, a constant beside them, a ridge map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32
from genre.errors import DataError

if TYPE_CHECKING:
    pass


def unit_rows(rows: npt.NDArray[np.floating[Any]], center: Float32 | None = None) -> Float32:
    """Rows of length one, seen from `center` where it is given; a row of zeros says nothing and stays. [n, dim]"""
    if center is not None:
        rows = np.where(rows.any(axis=1, keepdims=True), rows - center, 0)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def of_width(features: Float32, center: Float32, who: str) -> Float32:
    """The features, when they are as wide as those that `who` learnt from; DataError otherwise. [n, dim]"""
    if features.shape[1] != len(center):
        raise DataError(f"{who}: learnt from features of {len(center)} values, found {features.shape[1]}")
    return features


def with_one(vectors: Float32) -> Float32:
    """Vectors with a constant as the last column. [n, dim + 1]"""
    return np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1)


def ridge_map(told: Float32, factors: Float32, touched: npt.NDArray[Any], strength: float) -> Float32:
    """The map `[dim, n_factors]` from what texts tell `[n_items, dim]` to factors, each item as often as touched.

    strength: ridge; the last column, a constant, is free of it.
    """
    weighted = told.astype(np.float64).T * touched
    gram = weighted @ told
    gram[np.diag_indices(len(gram) - 1)] += strength
    gram[-1, -1] += 1e-6
    return np.asarray(np.linalg.solve(gram, weighted @ factors), np.float32)


def principal(values: Float32, dim: int) -> Float32:
    """The rows along the `dim` directions in which they differ most, all over one common spread. [n, at most dim]"""
    centred = values - values.mean(0)
    left, length, _ = np.linalg.svd(centred, full_matrices=False)
    out = left[:, :dim] * length[:dim]
    return np.ascontiguousarray(out / (out.std() or 1.0), np.float32)


def spread(scores: Float32) -> Float32:
    """Standard deviation of each row, 1 for a row that is flat. [n, 1]"""
    found = scores.std(axis=1, keepdims=True)
    return np.where(found > 0, found, np.float32(1))


def scaled(scores: Float32) -> Float32:
    """Rows in units of their spread; taking their mean off would move all items of a history alike. [n, n_items]"""
    return np.asarray(scores / spread(scores), np.float32)
