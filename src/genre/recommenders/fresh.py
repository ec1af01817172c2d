"""Fresh: new items first, popular ones among them, as in news and feeds. Reads the age of items, no history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.durations import DAY
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.item_fields import ItemFields
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Search
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method


@dataclass(eq=False)
class Fresh(Recommender):
    """An item scores the total weight of its interactions, halved for every `half_life_days` of its age.

        score(i) = (weight of the interactions with i + prior) * 2^(-age of i in days / half_life_days)

    The age counts from the field `published`, else from the first interaction, to the newest interaction of the data;
    which moment it counts to changes no order, since all scores fall alike. An item from after that moment counts as
    new, one whose time is not known as the oldest. As a member of a blend it adds freshness to what reads the history.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Fresh(half_life_days=0.01).fit(toy_dataset())
        >>> model.recommend([], k=2).ids()
        ['i1', 'i9']
    """

    half_life_days: Annotated[
        float, Gt(0), Search(0.1, 365, log=True), Doc("Days of an item's age after which it scores half as much.")
    ] = 2.0
    published: (
        Annotated[str, Doc("A field of items with the time they appeared. None: the first interaction.")] | None
    ) = None
    prior: Annotated[
        float, Ge(0), Search(0.1, 100, log=True), Doc("Added to the weight of every item, so that unseen ones count.")
    ] = 1.0

    explains: ClassVar[Method] = "popularity"
    answers_empty: ClassVar[bool] = True
    learns: ClassVar[tuple[str, ...]] = ("freshness_",)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.timestamp is None:
            raise DataError("fresh: needs timestamps; the data has none")
        appeared = self._appeared(dataset)  # seconds, NaN where not known, [n_items]
        days = np.maximum(dataset.timestamp.max() - appeared, 0) / DAY
        oldest = 0.0 if np.isnan(days).all() else float(np.nanmax(days))
        days = np.where(np.isnan(days), oldest, days)
        weight = self.popularity_.astype(np.float64) + self.prior
        self.freshness_ = (weight * np.exp2(-days / self.half_life_days)).astype(np.float32)

    def _appeared(self, dataset: Dataset) -> npt.NDArray[np.float64]:
        if self.published is not None:
            fields = ItemFields(dataset.items)
            fields.check(self.published, "fresh: published")
            times = fields.times(self.published)
            if np.isnan(times).all():
                raise DataError(
                    f"fresh: published: no value of {self.published!r} is a time; expected dates such as 2024-01-31, "
                    "2024-01-31T12:00, or seconds since 1970"
                )
            return times
        assert dataset.timestamp is not None
        first = np.full(dataset.n_items, np.inf)
        np.minimum.at(first, dataset.item, dataset.timestamp.astype(np.float64))
        return np.where(np.isinf(first), np.nan, first)

    def _score(self, history: History) -> Float32:
        return np.tile(self.freshness_, (len(history), 1))

    def _contributions(self, history: History, items: Int32) -> Float32:
        return np.zeros((len(items), len(history.item)), np.float32)

    def _extend(self, features: Float32) -> None:
        """Score new items as ones without interactions that appear now."""
        self.freshness_ = np.append(self.freshness_, np.full(len(features), self.prior, np.float32))
