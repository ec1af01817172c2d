"""Baseline: a rating is the mean plus an offset of the user and one of the item. Every rating model must beat it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from genre.arrays import Float32, Float64, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Search
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method


@dataclass(eq=False)
class Baseline(Recommender):
    """Offsets of users and items from the mean rating, damped so that few ratings move them little.

    Yehuda Koren, "Factor in the neighbors: scalable and accurate collaborative filtering", TKDD 2010, section 2.1:

        rating_ui = mean + offset_u + offset_i

    where an offset is what is left of the ratings, summed and divided by their number plus the damping. Users and items
    are solved in turn. A history's offset is solved when it is scored, so unknown users have one too.
    """

    item_damping: Annotated[
        float, Ge(0), Search(1, 50, log=True), Doc("Ratings at the mean that each item is counted with beside its own.")
    ] = 10.0
    user_damping: Annotated[
        float, Ge(0), Search(1, 50, log=True), Doc("Ratings at the mean that each user is counted with beside the own.")
    ] = 15.0
    iterations: Annotated[int, Ge(1), Doc("Alternating steps over items and users.")] = 10

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
        """Return how far each history rates above the mean, the offsets of its items deducted.

        Args:
            history: `n` histories.

        Returns:
            Offsets in stars, float32 `[n]`; zero without ratings.
        """
        if history.rating is None:
            return np.zeros(len(history), np.float32)
        left = history.rating - self.mean_ - self.item_offset_[history.item]
        return np.asarray(damped_means(history.row_of(), left, len(history), self.user_damping), np.float32)

    def _score(self, history: History) -> Float32:
        return np.asarray(self.mean_ + self.offsets(history)[:, None] + self.item_offset_, np.float32)

    @override
    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        """Return the mean plus both offsets, cut to the rating scale."""
        self._check(history)
        stars = self.mean_ + self.offsets(history)[row] + self.item_offset_[item]
        return np.asarray(np.clip(stars, self.low_, self.high_), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        return np.zeros((len(items), len(history.item)), np.float32)  # a history moves all items alike


def damped_means(group: npt.NDArray[np.integer], value: npt.ArrayLike, n_groups: int, damping: float) -> Float64:
    """Return the mean of the values of each group, with `damping` zeros added to the group.

    Args:
        group: Group of each value `[n]`.
        value: Values `[n]`.
        n_groups: Number of groups.
        damping: Zeros that each group is counted with.

    Returns:
        float64 `[n_groups]`.
    """
    total = np.bincount(group, np.asarray(value, np.float64), n_groups)
    return np.asarray(total / np.maximum(np.bincount(group, minlength=n_groups) + damping, 1e-12))
