"""Baseline: a rating is the mean, plus how generous the user is, plus how good the item is. The floor for ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.errors import DataError
from genre.log import Log
from genre.options import Ge, Search
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method

Float64 = npt.NDArray[np.float64]


@dataclass(eq=False)
class Baseline(Recommender):
    """Damped user and item offsets from the mean rating (Koren, TKDD 2010, section 2.1), by alternating exact steps.

    item_damping: ratings of average height an item is imagined to have in addition to its own.
    user_damping: the same for a user.
    iterations: alternating steps.
    """

    item_damping: Annotated[float, Ge(0), Search(1, 50, log=True)] = 10.0
    user_damping: Annotated[float, Ge(0), Search(1, 50, log=True)] = 15.0
    iterations: Annotated[int, Ge(1)] = 10

    explains: ClassVar[Method] = "popularity"
    answers_empty: ClassVar[bool] = True
    learns: ClassVar[tuple[str, ...]] = ("mean_", "low_", "high_", "item_offset_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.rating is None or dataset.rating_scale is None:
            raise DataError("baseline: needs ratings and their scale; the data has none")
        rating = dataset.rating.astype(np.float64)
        self.mean_ = float(rating.mean())
        self.low_, self.high_ = (float(star) for star in dataset.rating_scale[:2])
        user_offset, item_offset = np.zeros(dataset.n_users), np.zeros(dataset.n_items)
        for _ in range(self.iterations):
            left = rating - self.mean_ - user_offset[dataset.user]
            item_offset = damped_means(dataset.item, left, dataset.n_items, self.item_damping)
            left = rating - self.mean_ - item_offset[dataset.item]
            user_offset = damped_means(dataset.user, left, dataset.n_users, self.user_damping)
        self.item_offset_ = item_offset.astype(np.float32)  # [n_items]

    def offsets(self, history: History) -> Float32:
        """How far each history rates above the mean, its items taken into account; 0 without ratings. [n]"""
        if history.rating is None:
            return np.zeros(len(history), np.float32)
        left = history.rating - self.mean_ - self.item_offset_[history.item]
        return np.asarray(damped_means(history.row_of(), left, len(history), self.user_damping), np.float32)

    def _score(self, history: History) -> Float32:
        return np.asarray(self.mean_ + self.offsets(history)[:, None] + self.item_offset_, np.float32)

    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        self._check(history)
        stars = self.mean_ + self.offsets(history)[row] + self.item_offset_[item]
        return np.asarray(np.clip(stars, self.low_, self.high_), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        return np.zeros((len(items), len(history.item)), np.float32)  # a history moves all items alike


def damped_means(group: npt.NDArray[np.integer], value: npt.ArrayLike, n_groups: int, damping: float) -> Float64:
    """The mean of `value` in each group, drawn to zero by `damping` imagined zeros. float64 `[n_groups]`"""
    total = np.bincount(group, np.asarray(value, np.float64), n_groups)
    return np.asarray(total / np.maximum(np.bincount(group, minlength=n_groups) + damping, 1e-12))
