"""User profiles at work: items near to what a text says of the user, beside any recommender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.linear import scaled, spread, unit_rows
from genre.errors import DataError
from genre.log import Log
from genre.options import Ge, Le, Search
from genre.recommenders.explanation import Method, Terms
from genre.recommenders.second_stage import SecondStage


@dataclass(eq=False)
class Profiled(SecondStage):
    """Any recommender, fused for known users with the cosine between the user's vector and each item's.

    Both vectors have to come from one encoder: a profile and a summary are near when they speak of the same things.

    first: the recommender.
    weight: of the profile in the sum of both scores, each divided by its spread; 0 (none) to 1 (alone).
    """

    weight: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.3

    learns: ClassVar[tuple[str, ...]] = ("center_", "item_vectors_", "user_vectors_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        users, items = dataset.user_features, dataset.item_features
        if users is None or items is None or users.dim != items.dim:
            found = {"users": users and users.dim, "items": items and items.dim}
            raise DataError(
                "profiled: needs features of users and of items made by the same encoder; found values a vector: "
                f"{', '.join(f'{n or 0} of {side}' for side, n in found.items())}; give features.users the options of "
                "features.items"
            )
        super()._fit(dataset, validation, log)
        self.center_ = items.values.mean(axis=0)  # [dim]
        self.item_vectors_ = unit_rows(items.values, self.center_)  # [n_items, dim]
        self.user_vectors_ = unit_rows(users.values, self.center_)  # [n_users, dim]

    def _score(self, history: History) -> Float32:
        scores = self._first_scores(history)
        told = self._told(history)
        if len(told):
            scores[told] = (1 - self.weight) * scaled(scores[told]) + self._near(history.user[told])
        return scores

    def _near(self, users: Int32) -> Float32:
        """What each user's profile adds to the score of each item. [n, n_items]"""
        return np.asarray(self.weight * scaled(self.user_vectors_[users] @ self.item_vectors_.T), np.float32)

    @property
    def evidence(self) -> Method:
        first = super().evidence
        return "exact" if first == "popularity" and self.weight else first

    def _told(self, history: History) -> Int64:
        """The rows of those who have a profile that counts."""
        known = np.flatnonzero(history.user >= 0) if self.weight else np.zeros(0, np.int64)
        return np.asarray(known[self.user_vectors_[history.user[known]].any(axis=1)], np.int64)

    def _share(self, history: History) -> Float32:
        """What a point of the first one's score counts in the one history's own. [1]"""
        if not len(self._told(history)):
            return np.ones(1, np.float32)
        return np.asarray((1 - self.weight) / spread(self.first_[0].score(history))[0], np.float32)

    def _popular(self, history: History, items: Int32) -> Float32:
        return np.asarray(super()._popular(history, items) * self._share(history), np.float32)

    def _terms(self, history: History, items: Int32) -> Terms:
        terms = super()._terms(history, items).times(self._share(history))
        if not len(self._told(history)):
            return terms
        profile = terms.parts.get("profile", 0) + self._near(history.user)[0, items]
        return terms._replace(parts={**terms.parts, "profile": profile})

    def _extend(self, features: Float32) -> None:
        super()._extend(features)
        self.item_vectors_ = np.concatenate([self.item_vectors_, unit_rows(features, self.center_)])
