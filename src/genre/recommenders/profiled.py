"""User profiles at work: items near to what a text says of the user, beside any recommender."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from genre.errors import DataError
from genre.log import Log
from genre.options import Ge, Le, Search
from genre.preprocessing.dataset import Dataset, Float32, History
from genre.preprocessing.splits import Fold
from genre.recommenders.base import Recommender


@dataclass(eq=False)
class Profiled(Recommender):
    """Any recommender, fused for known users with the cosine between the user's vector and each item's.

    Both vectors have to come from one encoder: a profile and a summary are near when they speak of the same things.

    first: the recommender. weight: of the profile in the fusion of standardised scores, 0 (none) to 1 (alone).
    """

    first: Recommender
    weight: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.3

    answers_empty: ClassVar[bool] = True  # the recommender does
    learns: ClassVar[tuple[str, ...]] = ("first_", "item_vectors_", "user_vectors_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        users, items = dataset.user_features, dataset.item_features
        if users is None or items is None or users.dim != items.dim:
            raise DataError("profiled: needs features of users and of items made by the same encoder")
        self.first_ = (copy.copy(self.first).fit(dataset, validation=validation, log=log),)
        center = items.values.mean(axis=0)
        self.item_vectors_ = _unit(items.values, center)  # [n_items, dim]
        self.user_vectors_ = _unit(users.values, center)  # [n_users, dim]

    def _score(self, history: History) -> Float32:
        scores = np.array(self.first_[0].score(history), np.float32)
        known = np.flatnonzero(history.user >= 0)
        told = known[self.user_vectors_[history.user[known]].any(axis=1)]  # the others have no profile
        if len(told) and self.weight:
            near = self.user_vectors_[history.user[told]] @ self.item_vectors_.T
            scores[told] = (1 - self.weight) * _standard(scores[told]) + self.weight * _standard(near)
        return scores


def _unit(vectors: Float32, center: Float32) -> Float32:
    """Unit vectors around `center`; a zero vector stays zero. [n, dim]"""
    moved = np.where(vectors.any(axis=1, keepdims=True), vectors - center, 0)
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), np.float32)


def _standard(scores: Float32) -> Float32:
    """Each row with mean 0 and deviation 1. [n, n_items]"""
    spread = scores.std(axis=1, keepdims=True)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-12), np.float32)
