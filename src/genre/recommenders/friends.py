"""Friends: what the friends of a user like. Reads an edge list from the table of users, no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.linear_algebra import unit_sparse_rows
from genre.data.words import split_categories
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Le, Search, nearest
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method, Terms
from genre.recommenders.sparse_products import dense_product

FRIENDS = "friends"
"""The part of a score that comes from friends; its words are in `phrasebook.py`."""


@dataclass(eq=False)
class Friends(Recommender):
    """An item scores the mean of its weights among the user's friends; friends of like taste may count more.

    With x_f the vector of a friend's interactions, scaled to length one, h that of the history, and F the friends,

        score(i) = 1/|F| sum over f in F of  (1 - similarity_weight + similarity_weight cosine(h, x_f)) x_fi

    and friends of friends count `second_weight` for each path to them. The edge list is a column of the users table
    that holds ids of other users: a file with a row for each pair is gathered into one. Users without friends and
    anonymous histories get the popularity of items. The weighted mean over trusted users is that of Golbeck,
    "Generating predictive movie recommendations from trust in social networks", iTrust 2006.

    Example:
        Friends in the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> data = toy_dataset()
        >>> model = genre.Friends().fit(data)
        >>> model.recommend(data.history([0, 3]), k=1).item[:, 0] % 2
        array([0, 1], dtype=int32)
    """

    field: Annotated[str, Doc("The column of the users table with the ids of a user's friends: lists, or a|b|c.")] = (
        "friends"
    )
    similarity_weight: Annotated[
        float, Ge(0), Le(1), Search(0, 1), Doc("How much a friend's weight depends on the likeness of the histories.")
    ] = 0.5
    second_weight: Annotated[
        float, Ge(0), Le(1), Search(0, 0.5), Doc("Weight of a friend of a friend, for each path; 0: only friends.")
    ] = 0.0

    explains: ClassVar[Method] = "exact"
    answers_empty: ClassVar[bool] = True
    learns: ClassVar[tuple[str, ...]] = ("friends_", "user_vectors_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if self.field not in dataset.users.column_names:
            known = dataset.users.column_names
            raise DataError(
                f"friends: no field {self.field!r} of users{nearest(self.field, known)}; fields: {', '.join(known)}; a "
                "file of pairs of users is given as the table of users"
            )
        lists = [split_categories(value) for value in dataset.users[self.field].to_pylist()]
        row = np.repeat(np.arange(len(lists)), [len(names) for names in lists])
        friend = dataset.user_ids.rows([name for names in lists for name in names])
        known = (friend >= 0) & (friend != row)
        if not known.any():
            raise DataError(
                f"friends: {self.field!r} of users holds no id of another user; expected ids such as 196|22"
            )
        if missing := int((friend < 0).sum()):
            log.line(f"friends: {missing:,} of {len(friend):,} friendships name a user without interactions")
        ones = np.ones(int(known.sum()), np.float32)
        self.friends_ = sp.csr_matrix((ones, (row[known], friend[known])), shape=(dataset.n_users, dataset.n_users))
        self.friends_.sort_indices()
        self.user_vectors_ = unit_sparse_rows(dataset.matrix())  # [n_users, n_items]

    def _score(self, history: History) -> Float32:
        weights = self._weights(history)
        scores = dense_product(weights, self.user_vectors_)
        scores[np.diff(weights.indptr) == 0] = self.popularity_
        return scores

    def _terms(self, history: History, items: Int32) -> Terms:
        scores = self._score(history)[0, items]
        without = np.zeros((len(items), len(history.item)), np.float32)
        if self._weights(history).nnz:
            return Terms(without, np.zeros_like(scores), {FRIENDS: scores})
        return Terms(without, scores, {})

    def _popular(self, history: History, items: Int32) -> Float32:
        return self._terms(history, items).popular

    def _contributions(self, history: History, items: Int32) -> Float32:
        return np.zeros((len(items), len(history.item)), np.float32)

    def _weights(self, history: History) -> sp.csr_matrix:
        """Return the weight of each training user in the score of each history, `[n, n_users]`."""
        known = np.flatnonzero((history.user >= 0) & (history.user < self.friends_.shape[0]))
        pick = sp.csr_matrix(
            (np.ones(len(known), np.float32), (known, history.user[known])), (len(history), self.friends_.shape[0])
        )
        weights = sp.csr_matrix(pick @ self.friends_)
        if self.second_weight:
            weights = sp.csr_matrix(weights + self.second_weight * (weights @ self.friends_))
            weights -= weights.multiply(pick)  # a friend's friend may be the user
        likeness = weights.sign().multiply(unit_sparse_rows(history.matrix()) @ self.user_vectors_.T)
        mixed = (1 - self.similarity_weight) * weights + self.similarity_weight * weights.multiply(likeness)
        mixed = sp.csr_matrix(mixed, dtype=np.float32)
        mixed.eliminate_zeros()
        total = np.asarray(weights.sum(axis=1)).ravel()
        return sp.csr_matrix(sp.diags((1 / np.maximum(total, 1)).astype(np.float32)) @ mixed)
