"""What metrics read: the rank of every relevant item of every user, and predicted with given ratings.

Plain values of arrays. Does not know recommenders or files; `ranking.py` makes these values, `metrics.py` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.history import History

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ItemStatistics:
    """What metrics beyond accuracy know about the items.

    Attributes:
        popularity: int64 `[n_items]`, how many training users interacted with each item.
        n_users: How many training users there are.
        vectors: float32 `[n_items, dim]`, item features, or None.
        categories: CSR `[n_items, n_categories]`, 1 where the item is in the category, or None.
    """

    popularity: Int64
    n_users: int
    vectors: Float32 | None = None
    categories: sp.csr_matrix | None = None

    @cached_property
    def percentile(self) -> Float64:
        """Popularity percentile: 0 the rarest item, 1 the most popular, equal items share the middle. [n_items]."""
        counts = np.sort(self.popularity)
        below = np.searchsorted(counts, self.popularity, "left")
        not_above = np.searchsorted(counts, self.popularity, "right")
        return np.asarray((below + not_above) / (2 * max(len(counts), 1)))

    @cached_property
    def tail(self) -> npt.NDArray[np.bool_]:
        """The long tail: the rarest items that together hold at most a fifth of all interactions. [n_items]."""
        counts = np.sort(self.popularity)
        held = np.cumsum(counts)[np.searchsorted(counts, self.popularity, "right") - 1]  # by all items as rare as it
        return np.asarray(held <= 0.2 * counts.sum())


def ratio(total: npt.NDArray[np.float64 | np.int64], n: npt.NDArray[np.float64 | np.int64]) -> Float64:
    """Divide element by element, giving NaN where the divisor is zero.

    Args:
        total: The dividends.
        n: The divisors, of the same shape.

    Returns:
        float64 of the same shape.
    """
    return np.asarray(np.divide(total, n, out=np.full(np.shape(total), np.nan), where=n > 0))


class TieGroups(NamedTuple):
    """Items with the same score, in groups that hold a relevant item, ordered by user and then by rank.

    Attributes:
        user: int64 `[n_groups]`, position of the user in `Ranks`.
        n_higher: int32 `[n_groups]`, candidates scored higher than the group.
        size: int32 `[n_groups]`, candidates in the group.
        relevant: int64 `[n_groups]`, relevant items in the group.
        n_relevant_higher: int64 `[n_groups]`, relevant items of the same user in higher groups.
    """

    user: Int64
    n_higher: Int32
    size: Int32
    relevant: Int64
    n_relevant_higher: Int64


@dataclass(frozen=True, eq=False)
class Ranks:
    """The rank of every relevant item of `n_users` users among all candidates, ties included.

    A relevant item with `n_higher` candidates scored higher and `ties` candidates (itself included) scored the same is
    at each of the ranks `n_higher + 1 .. n_higher + ties` with the same probability. Metrics are expectations over
    these orders.

    Attributes:
        k: Length of the list that is evaluated.
        indptr: int64 `[n_users + 1]`; the relevant items of user `u` are `item[indptr[u]:indptr[u + 1]]`, at least one,
            ordered by `n_higher`.
        item: int32 `[n]`, row numbers of the relevant items.
        n_higher: int32 `[n]`, candidates scored higher; FAR for an item that cannot be recommended.
        ties: int32 `[n]`, candidates scored the same.
        candidates: int64 `[n_users]`, how many items were ranked; None when only lists are known.
        top: int32 `[n_users, >= k]`, the list as shown (ties to the lower row number), -1 where it ends; or None.
        items: What metrics beyond accuracy know about the items; or None.
        history: The interactions of each user before; or None.
        user_groups: int64 `[n_users]`, the group of each user, -1 for none; or None.
    """

    k: int
    indptr: Int64
    item: Int32
    n_higher: Int32
    ties: Int32
    candidates: Int64 | None = None
    top: Int32 | None = None
    items: ItemStatistics | None = None
    history: History | None = None
    user_groups: Int64 | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def n_relevant(self) -> Int64:
        """Relevant items of each user, those that cannot be recommended included. [n_users]."""
        return np.diff(self.indptr)

    @cached_property
    def user(self) -> Int64:
        """The user of each relevant item. [n]."""
        return np.repeat(np.arange(len(self)), self.n_relevant)

    @cached_property
    def hit_probability(self) -> Float64:
        """The probability of each relevant item to be among the first k. [n]."""
        return np.asarray(np.clip(self.k - self.n_higher, 0, self.ties) / self.ties)

    @cached_property
    def expected_hits(self) -> Float64:
        """Expected number of relevant items among the first k. [n_users]."""
        groups = self.groups_within_k
        places = np.minimum(self.k - groups.n_higher, groups.size)  # of each group within the first k
        return self.sum_per_user(groups.user, groups.relevant * places / groups.size)

    @cached_property
    def groups_within_k(self) -> TieGroups:
        """The tie groups that begin within the first k."""
        return self._groups(self.k)

    @cached_property
    def first_groups(self) -> TieGroups:
        """Each user's first tie group with a relevant item, where it begins within the first k."""
        first = self.groups_within_k.n_relevant_higher == 0
        return TieGroups(*(column[first] for column in self.groups_within_k))

    @cached_property
    def all_groups(self) -> TieGroups:
        """The tie groups of all relevant items that can be recommended."""
        from genre.kernels.ranks import FAR

        return self._groups(FAR)

    def _groups(self, end: int) -> TieGroups:
        kept = np.flatnonzero(self.n_higher < end)
        user, n_higher, size = self.user[kept], self.n_higher[kept], self.ties[kept]
        fresh = np.ones(len(kept), bool)
        fresh[1:] = (user[1:] != user[:-1]) | (n_higher[1:] != n_higher[:-1])
        start = np.flatnonzero(fresh)
        user, n_higher, size = user[start], n_higher[start], size[start]
        n_relevant_higher = kept[start] - self.indptr[user]  # relevant items are ordered by rank
        return TieGroups(user, n_higher, size, np.diff(start, append=len(kept)), n_relevant_higher)

    def sum_per_user(self, user: Int64, value: npt.NDArray[np.float64 | np.int64]) -> Float64:
        """Add up values by user.

        Args:
            user: `[n_values]`, the user of each value.
            value: `[n_values]`.

        Returns:
            float64 `[n_users]`.
        """
        return np.bincount(user, weights=value, minlength=len(self)).astype(np.float64)

    def keep(self, relevant: npt.NDArray[np.bool_]) -> Ranks:
        """Return the ranks of some of the relevant items, without the users who keep none.

        Args:
            relevant: `[n]`, True for the items to keep.

        Returns:
            Ranks of the remaining users.
        """
        left = np.concatenate([[0], np.cumsum(relevant)])[self.indptr]
        users = np.flatnonzero(np.diff(left))
        return replace(
            self,
            indptr=np.append(left[users], left[-1]),
            item=self.item[relevant],
            n_higher=self.n_higher[relevant],
            ties=self.ties[relevant],
            candidates=None if self.candidates is None else self.candidates[users],
            top=None if self.top is None else self.top[users],
            history=None if self.history is None else self.history.select(users),
            user_groups=None if self.user_groups is None else self.user_groups[users],
        )

    @property
    def lists(self) -> Int32:
        """The lists as shown, -1 where one ends. int32 [n_users, <= k]."""
        assert self.top is not None  # the evaluator gives `top` to every metric that needs it
        return self.top[:, : self.k]


@dataclass(frozen=True, eq=False)
class PredictedRatings:
    """Predicted and given ratings of `n_users` users.

    Attributes:
        n_users: How many users.
        user: int64 `[n_pairs]`, position of the user, below `n_users`.
        item: int32 `[n_pairs]`, row number of the item.
        predicted: float64 `[n_pairs]`.
        actual: float64 `[n_pairs]`.
        step: Distance between two neighbouring ratings of the scale.
        like_threshold: The lowest rating that counts as a like.
    """

    n_users: int
    user: Int64
    item: Int32
    predicted: Float64
    actual: Float64
    step: float
    like_threshold: float

    def __len__(self) -> int:
        return self.n_users

    @cached_property
    def pairs(self) -> Float64:
        """How many ratings each user gave. [n_users]."""
        return np.bincount(self.user, minlength=self.n_users).astype(np.float64)

    def mean(self, value: npt.NDArray[np.float64 | np.bool_]) -> Float64:
        """Average a value over the pairs of each user.

        Args:
            value: `[n_pairs]`.

        Returns:
            float64 `[n_users]`, NaN for a user without pairs.
        """
        total = np.bincount(self.user, weights=value, minlength=self.n_users)
        return ratio(total, self.pairs)

    def keep(self, pairs: npt.NDArray[np.bool_]) -> PredictedRatings:
        """Return the same users with some of the pairs.

        Args:
            pairs: `[n_pairs]`, True for the pairs to keep.

        Returns:
            The same `n_users` users.
        """
        columns = {name: getattr(self, name)[pairs] for name in ("user", "item", "predicted", "actual")}
        return replace(self, **columns)
