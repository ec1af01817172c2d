"""Profiled: items whose text is similar to a user's profile, added to any recommender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.linear_algebra import divide_by_std, row_std, unit_rows
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Le, Search
from genre.recommenders.reasons import Method, Terms
from genre.recommenders.second_stage import SecondStage


@dataclass(eq=False)
class Profiled(SecondStage):
    """Any recommender, combined for known users with the cosine of the user's vector with each item's.

    A score is (1 - weight) times that of the first stage plus weight times the cosine, each divided by its spread
    over the catalogue. Both vectors have to come from one encoder: the text of a user (a profile) and that of an item
    (a summary) are similar when they are about the same things.

    Example:
        >>> import genre, numpy
        >>> from genre.testing import toy_dataset
        >>> data = toy_dataset()
        >>> model = genre.Profiled(genre.EASE(), weight=0.5).fit(data)
        >>> sorted(model.explain(data.history([0]), numpy.array([4]))[0].parts)  # what adds to the history's evidence
        ['profile']
    """

    weight: Annotated[
        float, Ge(0), Le(1), Search(0, 1), Doc("Of the profile in the sum of both scores: 0 not at all, 1 alone.")
    ] = 0.3

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
        rows = self._with_profile(history)
        if len(rows):
            scores[rows] = (1 - self.weight) * divide_by_std(scores[rows]) + self._profile_scores(history.user[rows])
        return scores

    def _profile_scores(self, users: Int32) -> Float32:
        """Return what the profiles of users add to the score of each item, `[n, n_items]`."""
        return np.asarray(self.weight * divide_by_std(self.user_vectors_[users] @ self.item_vectors_.T), np.float32)

    @property
    def evidence(self) -> Method:
        """How the first stage obtains its evidence; exact where a profile is added to plain popularity."""
        first = super().evidence
        return "exact" if first == "popularity" and self.weight else first

    def _with_profile(self, history: History) -> Int64:
        """Return the rows of the histories whose users have a profile, if profiles have any weight."""
        known = np.flatnonzero(history.user >= 0) if self.weight else np.zeros(0, np.int64)
        return np.asarray(known[self.user_vectors_[history.user[known]].any(axis=1)], np.int64)

    def _share(self, history: History) -> Float32:
        """Return the factor of the first stage's score in the score of the one history, `[1]`."""
        if not len(self._with_profile(history)):
            return np.ones(1, np.float32)
        return np.asarray((1 - self.weight) / row_std(self.first_[0].score(history))[0], np.float32)

    def _popular(self, history: History, items: Int32) -> Float32:
        return np.asarray(super()._popular(history, items) * self._share(history), np.float32)

    def _terms(self, history: History, items: Int32) -> Terms:
        terms = super()._terms(history, items).times(self._share(history))
        if not len(self._with_profile(history)):
            return terms
        profile = terms.parts.get("profile", 0) + self._profile_scores(history.user)[0, items]
        return terms._replace(parts={**terms.parts, "profile": profile})

    def _extend(self, features: Float32) -> None:
        super()._extend(features)
        self.item_vectors_ = np.concatenate([self.item_vectors_, unit_rows(features, self.center_)])
