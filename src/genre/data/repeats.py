"""Repeats: several interactions of one user with one item, and which of them stays. Knows no parts of a split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int64
from genre.data.dataset import Dataset
from genre.kernels.order import repeated_pairs


def count_repeats(dataset: Dataset) -> int:
    """Count the interactions beyond the first of a user with an item.

    Args:
        dataset: sorted by user, as every Dataset is.

    Returns:
        How many rows repeat a pair.
    """
    several, pair = repeated_pairs(dataset.user, dataset.item, dataset.n_items)
    return len(several) - int(np.count_nonzero(np.diff(pair, prepend=-1)))


def choose_of_repeats(dataset: Dataset, keep: str) -> tuple[npt.NDArray[np.bool_] | slice, Float32]:
    """Choose which of several interactions of a user with an item stays.

    Args:
        dataset: Sorted by user and time, as every Dataset is.
        keep: The one that stays: `first`, `last`, `max` (highest rating or weight), `sum` (the last, with the weight of
            all), or `all` of them.

    Returns:
        The rows that stay, as a mask `[n]` or a slice, and their weights.
    """
    weight = dataset.weight
    if keep == "all":
        return slice(None), weight
    several, pair = repeated_pairs(dataset.user, dataset.item, dataset.n_items)  # by pair, then time
    if len(several) == 0:
        return slice(None), weight
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    if keep == "sum":
        weight = weight.copy()
        weight[several[_last(starts, len(several))]] = np.add.reduceat(dataset.weight[several], starts)
    kept = np.ones(len(dataset), np.bool_)
    kept[several] = False
    kept[several[_winners(dataset, several, pair, starts, keep)]] = True
    return kept, weight[kept]


def _winners(dataset: Dataset, several: Int64, pair: Int64, starts: Int64, keep: str) -> Int64:
    """Which of `several`, rows by pair and time, stays of each pair."""
    if keep == "first":
        return starts
    last = _last(starts, len(several))
    if keep == "max":
        strength = (dataset.weight if dataset.rating is None else dataset.rating)[several]
        return np.lexsort((strength, pair))[last]
    return last


def _last(starts: Int64, n: int) -> Int64:
    """Return the last position of each run that begins at `starts`, of `n` positions."""
    return np.append(starts[1:], n) - 1
