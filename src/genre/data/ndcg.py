"""The formula of normalised discounted cumulative gain, shared by the metric, early stopping and blend weights.

Source: Jarvelin & Kekalainen, "Cumulated Gain-Based Evaluation of IR Techniques", TOIS 2002, with gains of 0 and 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.arrays import Float64


def discounts(k: int) -> Float64:
    """Return what a relevant item is worth at each rank: 1 / log2(rank + 1).

    Args:
        k: length of the list.

    Returns:
        The discounts of ranks 1 to k. `[k]`
    """
    return np.asarray(1 / np.log2(np.arange(2, k + 2)))


def cumulative_discounts(k: int) -> Float64:
    """Return the sums of the discounts of the first 0 to k ranks: the gain of as many relevant items on top of a list.

    Args:
        k: length of the list.

    Returns:
        `[k + 1]`
    """
    return np.concatenate([[0], np.cumsum(discounts(k))])


def ndcg_of_lists(hits: npt.NDArray[np.bool_], n_relevant: npt.NDArray[np.int64]) -> Float64:
    """Return the ndcg@k of each list: the sum of the discounts of its hits over the largest sum possible.

    Args:
        hits: whether the item at each rank is relevant. `[n, k]`
        n_relevant: relevant items of each list's user, in the list or not; at least one. `[n]`

    Returns:
        Values between 0 and 1. `[n]`
    """
    k = hits.shape[1]
    return np.asarray(hits @ discounts(k) / cumulative_discounts(k)[np.minimum(n_relevant, k)])
