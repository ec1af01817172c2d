"""What metrics read: where each user's relevant items stand, and what stars were guessed.

Plain values of arrays. Knows nothing about recommenders or files; how they are made is `evaluator.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import History
from genre.kernels.ranks import FAR

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What is known of the items besides the lists.

    popularity: int64 `[n_items]`, how often each occurs in the training data. n_users: training users.
    vectors: float32 `[n_items, dim]`, item features or None.
    categories: CSR `[n_items, n_categories]`, 1 where the item is of the category, or None.
    """

    popularity: Int64
    n_users: int
    vectors: Float32 | None = None
    categories: sp.csr_matrix | None = None

    @cached_property
    def percentile(self) -> Float64:
        """Where each item's popularity stands in the catalogue, 0 (rarest) to 1, ties in the middle. [n_items]"""
        counts = np.sort(self.popularity)
        below = np.searchsorted(counts, self.popularity, "left")
        not_above = np.searchsorted(counts, self.popularity, "right")
        return np.asarray((below + not_above) / (2 * max(len(counts), 1)))

    @cached_property
    def tail(self) -> npt.NDArray[np.bool_]:
        """The long tail: the rarest items that together hold at most a fifth of all interactions. [n_items]"""
        counts = np.sort(self.popularity)
        held = np.cumsum(counts)[np.searchsorted(counts, self.popularity, "right") - 1]  # by all items as rare as it
        return np.asarray(held <= 0.2 * counts.sum())


def ratio(total: npt.NDArray[np.float64 | np.int64], n: npt.NDArray[np.float64 | np.int64]) -> Float64:
    """total / n, NaN where n is zero."""
    return np.asarray(np.divide(total, n, out=np.full(np.shape(total), np.nan), where=n > 0))


class Ties(NamedTuple):
    """Relevant items that share a score: one row a group, ordered by user, then rank. All `[n_groups]`.

    user: row in the judged users. above: candidates ranked before the group. size: candidates in it.
    relevant: how many of them are relevant. before: relevant items of the user in groups before.
    """

    user: Int64
    above: Int32
    size: Int32
    relevant: Int64
    before: Int64


@dataclass(frozen=True, eq=False)
class Judged:
    """The rank of every relevant item of `n_users` users among all candidates, ties included.

    A relevant item with `above` candidates scored higher and `ties` candidates (itself too) scored the same stands
    at each of the ranks `above + 1 .. above + ties` with the same chance. Metrics are expectations over these orders.

    k: length of the list that is judged.
    indptr: int64 `[n_users + 1]`; the relevant items of user `u` are `item[indptr[u]:indptr[u + 1]]`, at least one,
    ordered by `above`. above, ties: int32, aligned with `item`; above is FAR for an item no list can hold.
    candidates: int64 `[n_users]`, how many items were ranked; None when only lists are known.
    top: int32 `[n_users, >= k]`, the list as shown (ties to the lower row), -1 where it ends; or None.
    catalogue, history, groups: what metrics beyond accuracy need; groups int64 `[n_users]`, -1 for none.
    """

    k: int
    indptr: Int64
    item: Int32
    above: Int32
    ties: Int32
    candidates: Int64 | None = None
    top: Int32 | None = None
    catalogue: Catalogue | None = None
    history: History | None = None
    groups: Int64 | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def relevant(self) -> Int64:
        """How many items are relevant to each user, also those no list can hold: a miss is a miss. [n_users]"""
        return np.diff(self.indptr)

    @cached_property
    def user(self) -> Int64:
        """The user of each relevant item. [n]"""
        return np.repeat(np.arange(len(self)), self.relevant)

    @cached_property
    def chance(self) -> Float64:
        """The chance of each relevant item to be among the first k. [n]"""
        return np.asarray(np.clip(self.k - self.above, 0, self.ties) / self.ties)

    @cached_property
    def hits(self) -> Float64:
        """Expected number of relevant items among the first k. [n_users]"""
        near = self.near
        slots = np.minimum(self.k - near.above, near.size)
        return self.per_user(near.user, near.relevant * slots / near.size)

    @cached_property
    def near(self) -> Ties:
        """The tie groups that begin within the first k."""
        return self._groups(self.k)

    @cached_property
    def first(self) -> Ties:
        """Each user's first tie group, where it begins within the first k."""
        first = self.near.before == 0
        return Ties(*(column[first] for column in self.near))

    @cached_property
    def reachable(self) -> Ties:
        """The tie groups of all relevant items that some list can hold."""
        return self._groups(FAR)

    def _groups(self, end: int) -> Ties:
        kept = np.flatnonzero(self.above < end)
        user, above, size = self.user[kept], self.above[kept], self.ties[kept]
        fresh = np.ones(len(kept), bool)
        fresh[1:] = (user[1:] != user[:-1]) | (above[1:] != above[:-1])
        start = np.flatnonzero(fresh)
        user, above, size = user[start], above[start], size[start]
        before = kept[start] - self.indptr[user]  # relevant items are ordered by rank
        return Ties(user, above, size, np.diff(start, append=len(kept)), before)

    def per_user(self, user: Int64, value: npt.NDArray[np.float64 | np.int64]) -> Float64:
        """Sums of `value` by user. [n_users]"""
        return np.bincount(user, weights=value, minlength=len(self)).astype(np.float64)

    def only(self, relevant: npt.NDArray[np.bool_]) -> Judged:
        """Judge by the relevant items where `relevant` `[n]` is True, and only users who keep one."""
        left = np.concatenate([[0], np.cumsum(relevant)])[self.indptr]
        users = np.flatnonzero(np.diff(left))
        return replace(
            self,
            indptr=np.append(left[users], left[-1]),
            item=self.item[relevant],
            above=self.above[relevant],
            ties=self.ties[relevant],
            candidates=None if self.candidates is None else self.candidates[users],
            top=None if self.top is None else self.top[users],
            history=None if self.history is None else self.history.select(users),
            groups=None if self.groups is None else self.groups[users],
        )

    @property
    def shown(self) -> Int32:
        """The lists as shown. int32 [n_users, <= k]"""
        assert self.top is not None  # the evaluator gives `top` to every metric that needs it
        return self.top[:, : self.k]


@dataclass(frozen=True, eq=False)
class Rated:
    """Guessed and given stars of `n_users` users.

    user: int64 `[n_pairs]`, rows of the judged users. item: int32 `[n_pairs]`.
    predicted, actual: float64 `[n_pairs]` stars.
    step: the distance of two neighbouring stars. positive: stars from which on it is a like.
    """

    n_users: int
    user: Int64
    item: Int32
    predicted: Float64
    actual: Float64
    step: float
    positive: float

    def __len__(self) -> int:
        return self.n_users

    @cached_property
    def pairs(self) -> Float64:
        """How many ratings each user gave. [n_users]"""
        return np.bincount(self.user, minlength=self.n_users).astype(np.float64)

    def mean(self, value: npt.NDArray[np.float64 | np.bool_]) -> Float64:
        """The mean of a value over each user's pairs, NaN without any. [n_users]"""
        total = np.bincount(self.user, weights=value, minlength=self.n_users)
        return ratio(total, self.pairs)

    def only(self, pairs: npt.NDArray[np.bool_]) -> Rated:
        """The same users with the pairs where `pairs` `[n_pairs]` is True."""
        columns = {name: getattr(self, name)[pairs] for name in ("user", "item", "predicted", "actual")}
        return replace(self, **columns)
