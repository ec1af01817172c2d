"""Popularity: what everybody takes, lately, or within the categories of a history. The floor every model must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.words import split_categories
from genre.errors import DataError
from genre.log import Log
from genre.options import Gt, Search, nearest
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method

SECONDS_PER_DAY = 86_400
TINY = 1e-12


@dataclass(eq=False)
class Popularity(Recommender):
    """An item scores the weight of its interactions; recent ones may count more.

    half_life_days: an interaction counts half as much for every so many days before the newest one; None: no decay.
    window_days: only interactions of the last so many days count; None: all.
    by: a field of the items' table (`genres`): scores are weighted by the categories of the history; None: not.
    """

    half_life_days: Annotated[float, Gt(0), Search(1, 1000, log=True)] | None = None
    window_days: Annotated[float, Gt(0)] | None = None
    by: str | None = None

    explains: ClassVar[Method] = "popularity"
    answers_empty: ClassVar[bool] = True
    learns: ClassVar[tuple[str, ...]] = ("categories_",)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        weight = dataset.weight.astype(np.float64)
        if self.half_life_days is not None or self.window_days is not None:
            weight *= self._recency(dataset)
        self.popularity_ = np.bincount(dataset.item, weight, dataset.n_items).astype(np.float32)
        self.categories_ = None if self.by is None else _categories(dataset, self.by)  # [n_items, n_categories]

    def _recency(self, dataset: Dataset) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        if dataset.timestamp is None:
            raise DataError("popularity: half_life_days and window_days need timestamps; the data has none")
        days = (dataset.timestamp.max() - dataset.timestamp) / SECONDS_PER_DAY
        recent = days <= np.inf if self.window_days is None else days <= self.window_days
        return np.asarray(recent * np.exp2(-days / (self.half_life_days or np.inf)))

    def _score(self, history: History) -> Float32:
        if self.categories_ is None:
            return np.tile(self.popularity_, (len(history), 1))
        matrix = history.matrix()
        share = sp.diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), TINY)) @ matrix
        profile = sp.csr_matrix(share @ self.categories_)  # [n, n_categories]
        fit = (profile @ self.categories_.T).toarray()
        fit[np.diff(profile.indptr) == 0] = 1  # nothing known: plain popularity
        return np.asarray(fit * self.popularity_, np.float32)

    def _popular(self, history: History, items: Int32) -> Float32:
        """What the categories of the history do not account for: all of it without `by`."""
        return np.asarray(self._score(history)[0, items] - self._contributions(history, items).sum(axis=1), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        """The part of each score that comes from the categories of each interaction; nothing without `by`."""
        if self.categories_ is None:
            return np.zeros((len(items), len(history.item)), np.float32)
        share = history.weight / max(float(history.weight.sum()), TINY)
        fit = (self.categories_[items] @ self.categories_[history.item].T).toarray()
        return np.asarray(self.popularity_[items, None] * fit * share, np.float32)


def _categories(dataset: Dataset, field: str) -> sp.csr_matrix:
    """Each item's share in each category, rows sum to one (or zero). [n_items, n_categories]"""
    if field not in dataset.items.column_names:
        known = dataset.items.column_names
        raise DataError(f"popularity: no field {field!r} of items{nearest(field, known)}; fields: {', '.join(known)}")
    names = [split_categories(value) for value in dataset.items[field].to_pylist()]
    row = {name: at for at, name in enumerate(sorted({name for entry in names for name in entry}))}
    indptr = np.concatenate([[0], np.cumsum([len(entry) for entry in names])])
    column = np.array([row[name] for entry in names for name in entry], np.int64)
    share = np.repeat(1 / np.maximum(np.diff(indptr), 1), np.diff(indptr)).astype(np.float32)
    return sp.csr_matrix((share, column, indptr), shape=(dataset.n_items, max(len(row), 1)))
