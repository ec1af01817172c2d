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


def stray_level(rating: Float32) -> tuple[float, int] | None:
    """Find a rating that may stand for none: -1 below 0 to 5, or 99 and its like far above all others.

    Args:
        rating: [n]

    Returns:
        The rating and how many there are; None where no rating looks so.
    """
    known = rating[np.isfinite(rating)]
    if len(known) == 0:
        return None
    low, high = float(known.min()), float(known.max())
    above, below = known[known > low], known[known < high]
    if low < 0 and high > 1 and len(above) and above.min() >= 0:
        return low, len(known) - len(above)
    nines = high >= 99 and set(f"{high:g}") == {"9"}
    return (high, len(known) - len(below)) if nines and len(below) and below.max() < high / 5 else None
