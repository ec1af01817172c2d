"""Rows of length one, wherever likeness is an angle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from genre.preprocessing.dataset import Float32


def unit_rows(rows: npt.NDArray[np.floating[Any]], center: Float32 | None = None) -> Float32:
    """Rows of length one, seen from `center` where it is given; a row of zeros says nothing and stays. [n, dim]"""
    if center is not None:
        rows = np.where(rows.any(axis=1, keepdims=True), rows - center, 0)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
