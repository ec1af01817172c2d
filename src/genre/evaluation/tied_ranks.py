"""The rank of every relevant item of every user, and the mean over all orders of items with tied scores.

Plain values of arrays. Does not know recommenders or files; `ranking.py` makes these values, `metrics.py` reads them.

Ties. A score shared by several items leaves their order open, so each ranking metric is the exact mean over all orders
of the tied items (McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in the
Presence of Tied Scores", ECIR 2008). A group of `size` tied items with `n_higher` items scored higher fills the ranks
`n_higher + 1 .. n_higher + size`, and each of its `relevant` relevant items is at each of these ranks with probability
1 / size. A metric that gives `gain(rank)` to a relevant item is then, in expectation,

    sum over groups of  relevant / size * sum of gain(rank) over the ranks of the group that are at most k.

A recommender that gives all items the same score gets the value of a random ranking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Float64, Int32, Int64
from genre.data.history import History
from genre.evaluation.item_statistics import ItemStatistics


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

    def expected_gain(self, cumulative: Float64) -> Float64:
        """Compute the expected sum of a gain over the relevant items within k.

        Args:
            cumulative: `[k + 1]`, the sum of the gains of the first 0..k ranks.

        Returns:
            float64 `[n_users]`.
        """
        groups = self.groups_within_k
        end = np.minimum(groups.n_higher + groups.size, self.k)
        gain = groups.relevant / groups.size * (cumulative[end] - cumulative[groups.n_higher])  # [n_groups]
        return self.sum_per_user(groups.user, gain)

    def expected_at_first_hit(self, gain: Callable[[Float64], Float64]) -> Float64:
        """Compute the expected gain of the rank of the first relevant item within k.

        It is in the user's first tie group with a relevant item. Place j of a group of `size` items, `relevant` of them
        relevant, holds the first one with probability P(none in the places before j) - P(none up to j), where
        P(none up to j) = P(none before j) * (size - relevant - j + 1) / (size - j + 1).

        Args:
            gain: The gain of each of some ranks.

        Returns:
            float64 `[n_users]`, 0 where no relevant item is within k.
        """
        user, n_higher, size, relevant, _ = self.first_groups
        out, none_before = np.zeros(len(self)), np.ones(len(user))
        last = size - relevant + 1  # behind all items that are not relevant
        places = np.minimum(self.k - n_higher, last)
        j = 0
        while len(user):  # each user once
            j += 1
            none = none_before * (size - relevant - j + 1) / (size - j + 1)
            out[user] += (none_before - none) * gain((n_higher + j).astype(np.float64))
            going_on = places > j
            user, n_higher, size, relevant, places, none_before = (
                column[going_on] for column in (user, n_higher, size, relevant, places, none)
            )
        return out

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
