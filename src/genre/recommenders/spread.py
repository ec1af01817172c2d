"""Scores of different recommenders on one scale, so that they can be summed. Knows nothing about what is summed."""

from __future__ import annotations

import numpy as np

from genre.preprocessing.dataset import Float32


def spread(scores: Float32) -> Float32:
    """Standard deviation of each row, 1 for a row that is flat. [n, 1]"""
    found = scores.std(axis=1, keepdims=True)
    return np.where(found > 0, found, np.float32(1))


def scaled(scores: Float32) -> Float32:
    """Rows in units of their spread; taking their mean off would move all items of a history alike. [n, n_items]"""
    return np.asarray(scores / spread(scores), np.float32)
