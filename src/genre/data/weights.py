"""Weights of interactions: from ratings where none are given, and equal ones. Knows no datasets."""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32


def default_weights(n: int, rating: Float32 | None, positive_rating: float | None, low_rating_weight: float) -> Float32:
    """Make the weights of interactions that come without weights: 1, or less for a rating that is no like.

    Args:
        n: Number of interactions.
        rating: Stars `[n]`, or None.
        positive_rating: A rating at or above it is a like; None: every interaction is.
        low_rating_weight: Weight of a rating below.

    Returns:
        float32 `[n]`.
    """
    if rating is None or positive_rating is None:
        return np.ones(n, np.float32)
    return np.where(rating >= positive_rating, np.float32(1), np.float32(low_rating_weight))


def equal_weights(weight: Float32) -> Float32:
    """Make all weights above zero 1: whether a user interacted with an item counts, not how often or how strongly.

    Args:
        weight: Weights `[n]`.

    Returns:
        float32 `[n]`, 0 or 1.
    """
    return (weight > 0).astype(np.float32)
