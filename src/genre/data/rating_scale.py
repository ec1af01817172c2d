"""The scale of ratings, and from which rating on an interaction is a like. Knows arrays alone."""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32

Scale = tuple[float, float, float]
"""Lowest rating, highest rating and step."""
MOST_LEVELS = 101
"""More different ratings than this are a continuous scale."""


def find_scale(rating: Float32) -> Scale | None:
    """Find the scale of ratings.

    Args:
        rating: [n]

    Returns:
        Lowest, highest and step of the ratings, step 0 where any value in between is a rating; None without ratings.
    """
    levels = np.unique(rating[np.isfinite(rating)]).astype(float)
    if len(levels) == 0:
        return None
    step = float(np.diff(levels).min()) if 1 < len(levels) <= MOST_LEVELS else 0.0
    if step and not np.allclose(np.round((levels - levels[0]) / step) * step, levels - levels[0], atol=step / 100):
        step = 0.0
    return float(levels[0]), float(levels[-1]), round(step, 6)


def lowest_like(scale: Scale) -> float:
    """Return the rating from which on a rating is a like: three quarters up the scale.

    Args:
        scale: lowest rating, highest rating, step.

    Returns:
        The rating, on a step of the scale where it has steps.
    """
    low, high, step = scale
    mark = low + 0.75 * (high - low)
    return low + step * float(np.ceil(round((mark - low) / step, 6))) if step else mark
