"""Steps: an item and the next one of the same user. What they tell of the order of histories. Does not know splits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.arrays import Int32, Int64
from genre.data.dataset import Dataset

MOST = 2_000_000
"""So many interactions tell enough about the steps of all."""


def same_user(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Mark the interactions that another of the same user follows.

    Args:
        dataset: The interactions.

    Returns:
        bool `[n - 1]`, without the last interaction.
    """
    return np.asarray(dataset.user[1:] == dataset.user[:-1])


def step_codes(dataset: Dataset) -> Int64:
    """Encode each step as one number.

    Args:
        dataset: Interactions in the order of each user.

    Returns:
        The item times the number of items, plus the next item. `[n_steps]`
    """
    return _codes(dataset.user, dataset.item, dataset.n_items)


def step_repeats(dataset: Dataset, *, seed: int = 0) -> float:
    """Compare how often steps occur again with the same after each history is shuffled.

    Args:
        dataset: Interactions in the order of each user.
        seed: Of the shuffle.

    Returns:
        1 where the order says nothing; the more, the more of the next item the last one tells.
    """
    user, item = dataset.user[:MOST], dataset.item[:MOST]
    order = np.lexsort((np.random.default_rng(seed).random(len(user)), user))
    return (1 + _repeated(user, item, dataset.n_items)) / (1 + _repeated(user, item[order], dataset.n_items))


def _repeated(user: Int32, item: Int32, n_items: int) -> int:
    codes = _codes(user, item, n_items)
    return len(codes) - len(np.unique(codes))


def _codes(user: Int32, item: Int32, n_items: int) -> Int64:
    inside = user[1:] == user[:-1]
    codes: Int64 = item[:-1][inside].astype(np.int64) * n_items + item[1:][inside]
    return codes


def branching(dataset: Dataset) -> float:
    """Measure how many next items an item has: the exponential of the entropy of the next item given this one.

    Args:
        dataset: Interactions in the order of each user.

    Returns:
        1 where one item always follows another; NaN without steps.
    """
    codes = step_codes(dataset)[:MOST]
    if len(codes) == 0:
        return float("nan")
    distinct, count = np.unique(codes, return_counts=True)
    source = distinct // dataset.n_items
    total = np.bincount(source, count, dataset.n_items)[source]
    return float(np.exp(-(count / len(codes) * np.log(count / total)).sum()))
