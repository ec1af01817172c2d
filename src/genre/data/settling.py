"""What has to be settled on each part of a split by itself: rating scale, likes, weights and repeats.

Read off all rows, these would let the test part decide what stands in the train part. So a Dataset that comes from
tables carries its `Settling` until a split, or `settle` on the whole, applies it. Does not know how a dataset is split.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int64
from genre.data.dataset import COLUMNS, Dataset, default_weights
from genre.kernels.order import repeated_pairs

Scale = tuple[float, float, float]
MOST_LEVELS = 101
"""More different ratings than this are a continuous scale."""


def settle(dataset: Dataset, like: Dataset | None = None) -> Dataset:
    """Settle rating scale, likes, weights and repeats.

    Args:
        dataset: with or without anything to settle.
        like: a settled dataset (the train part) whose scale and likes count; None: those of `dataset` itself.

    Returns:
        The settled dataset; `dataset` itself where nothing was open.
    """
    open_ = dataset.settling
    if open_ is None:
        return dataset
    scale, positive = dataset.rating_scale, dataset.positive_rating
    if like is not None:
        scale, positive = like.rating_scale, like.positive_rating
    elif dataset.rating is not None:
        scale = scale if open_.scale_stated else find_scale(dataset.rating)
        positive = positive if open_.positive_stated or scale is None else three_quarters(scale)
    weight = dataset.weight
    if not open_.weights_given:
        weight = default_weights(len(dataset), dataset.rating, positive, open_.low_rating_weight)
    weighed = dataclasses.replace(dataset, weight=weight, rating_scale=scale, positive_rating=positive, settling=None)
    kept, weight = _without_repeats(weighed, open_.repeats)
    known = {name: column for name in COLUMNS if (column := getattr(weighed, name)) is not None}
    columns: dict[str, Any] = {name: column[kept] for name, column in known.items()}
    columns["weight"] = (weight > 0).astype(np.float32) if open_.equal_weights else weight
    return dataclasses.replace(weighed, **columns)


def count_repeats(dataset: Dataset) -> int:
    """Count the interactions beyond the first of a user with an item.

    Args:
        dataset: sorted by user, as every Dataset is.

    Returns:
        How many rows repeat a pair.
    """
    several, pair = repeated_pairs(dataset.user, dataset.item, dataset.n_items)
    return len(several) - int(np.count_nonzero(np.diff(pair, prepend=-1)))


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


def three_quarters(scale: Scale) -> float:
    """Find the rating three quarters up a scale, from which on a rating is a like.

    Args:
        scale: lowest rating, highest rating, step.

    Returns:
        The rating, on a step of the scale where it has steps.
    """
    low, high, step = scale
    mark = low + 0.75 * (high - low)
    return low + step * float(np.ceil(round((mark - low) / step, 6))) if step else mark


def _without_repeats(dataset: Dataset, keep: str) -> tuple[npt.NDArray[np.bool_] | slice, Float32]:
    """Which rows stay, and their weights."""
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
    return np.append(starts[1:], n) - 1
