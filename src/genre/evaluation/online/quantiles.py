"""Quantiles with exact intervals: between which of the sorted values the true one lies. Knows no time of looking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import bdtr

from genre.evaluation.online.experiments import Rate
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL


def quantile(values: Sequence[float], share: float, *, level: float = SIGNIFICANCE_LEVEL) -> Rate:
    """Return the value that a share of all values does not exceed, with its interval from order statistics.

    Of n independent values the number below the true quantile is binomial, whatever their distribution. So the r-th and
    the s-th smallest value enclose it with a probability that is summed from binomial terms, and r and s are chosen so
    that each side is missed with at most half of `level` (David and Nagaraja, "Order Statistics", 2003, 7.1).

    Args:
        values: The values, smallest first. `[n]`
        share: Between 0 and 1, such as 0.95.
        level: Chance that the interval leaves out the truth, at most.

    Returns:
        The quantile and its interval; without an interval where the values are too few for one, and 0 without values.
    """
    if not values:
        return Rate(0.0, None, None)
    found = values[int(share * (len(values) - 1))]
    ranks = _ranks(len(values), share, level)
    return Rate(found, None, None) if ranks is None else Rate(found, values[ranks[0] - 1], values[ranks[1] - 1])


@lru_cache(maxsize=4096)
def _ranks(n: int, share: float, level: float) -> tuple[int, int] | None:
    """Return the ranks of the values, from 1, that enclose the quantile; None where one of them is not there."""
    below = np.append(0.0, bdtr(np.arange(n), n, share))  # P(B < count) for each count up to n
    low, high = np.searchsorted(below, level / 2, "right") - 1, np.searchsorted(below, 1 - level / 2)
    return (int(low), int(high)) if low > 0 and high <= n else None
