"""Popularity: the most popular items, of all time, recently, or in the categories of a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.durations import DAY
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.words import split_categories
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Gt, Search, nearest
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method

TINY = 1e-12


@dataclass(eq=False)
class Popularity(Recommender):
    """An item scores the total weight of its interactions; recent ones may count more.

    With t the days from an interaction to the newest one of the data, the interaction counts

        weight * 2^(-t / half_life_days)    if t <= window_days, else nothing.

    With `by`, the score is multiplied by the fit of the item's categories: the dot product of its shares in each
    category with the mean shares of the history.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Popularity().fit(toy_dataset())
        >>> model.recommend([], k=2).ids()
        ['i8', 'i9']
    """

    half_life_days: (
        Annotated[
            float,
            Gt(0),
            Search(1, 1000, log=True),
            Doc("Days before the newest interaction after which one counts half as much. None: all count alike."),
        ]
        | None
    ) = None
    window_days: Annotated[float, Gt(0), Doc("Only interactions of the last so many days count. None: all.")] | None = (
        None
    )
    by: (
        Annotated[
            str, Doc("A field of the items' table, such as `genres`: categories of the history weigh the scores.")
        ]
        | None
    ) = None

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
        """Return the factor of each interaction by its age, `[n]`."""
        if dataset.timestamp is None:
            raise DataError("popularity: half_life_days and window_days need timestamps; the data has none")
        days = (dataset.timestamp.max() - dataset.timestamp) / DAY
        recent = days <= np.inf if self.window_days is None else days <= self.window_days
        return np.asarray(recent * np.exp2(-days / (self.half_life_days or np.inf)))

    def _score(self, history: History) -> Float32:
        if self.categories_ is None:
            return np.tile(self.popularity_, (len(history), 1))
        matrix = history.matrix()
        share = sp.diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), TINY)) @ matrix  # rows sum to one
        profile = sp.csr_matrix(share @ self.categories_)  # [n, n_categories]
        fit = (profile @ self.categories_.T).toarray()  # [n, n_items]
        fit[np.diff(profile.indptr) == 0] = 1  # no category in the history: plain popularity
        return np.asarray(fit * self.popularity_, np.float32)

    def _popular(self, history: History, items: Int32) -> Float32:
        """Return the scores without the terms of the history: all of them without `by`, `[m]`."""
        return np.asarray(self._score(history)[0, items] - self._contributions(history, items).sum(axis=1), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        """Return what the categories of each interaction add; zero without `by`, `[m, length]`."""
        if self.categories_ is None:
            return np.zeros((len(items), len(history.item)), np.float32)
        share = history.weight / max(float(history.weight.sum()), TINY)
        fit = (self.categories_[items] @ self.categories_[history.item].T).toarray()
        return np.asarray(self.popularity_[items, None] * fit * share, np.float32)


def _categories(dataset: Dataset, field: str) -> sp.csr_matrix:
    """Return the share of each item in each category; rows sum to one, or to zero, `[n_items, n_categories]`."""
    if field not in dataset.items.column_names:
        known = dataset.items.column_names
        raise DataError(f"popularity: no field {field!r} of items{nearest(field, known)}; fields: {', '.join(known)}")
    names = [split_categories(value) for value in dataset.items[field].to_pylist()]
    row = {name: at for at, name in enumerate(sorted({name for entry in names for name in entry}))}
    indptr = np.concatenate([[0], np.cumsum([len(entry) for entry in names])])
    column = np.array([row[name] for entry in names for name in entry], np.int64)
    share = np.repeat(1 / np.maximum(np.diff(indptr), 1), np.diff(indptr)).astype(np.float32)
    return sp.csr_matrix((share, column, indptr), shape=(dataset.n_items, max(len(row), 1)))
