"""Repeat: what a user takes again and again, with what users of the same habits take. Knows baskets, not prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.baskets import GapMinutes, number_baskets
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.repeats import count_repeats
from genre.log import Log
from genre.options import Doc, Ge, Gt, Le, Search
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method, Terms
from genre.recommenders.topk import SCORES_AT_ONCE, top_k_scores

ALIKE = "neighbours"
"""The part of a score that comes from other users; its words are in `phrasebook.py`."""


@dataclass(eq=False)
class Repeat(Recommender):
    """An item scores how often and how lately it was in the user's own baskets, and in those of the nearest users.

    The baskets of a history are cut into `groups` of equal length, the oldest ones shorter by one where they cannot be.
    With x_j the baskets of group j of m, the vector of the history is

        v = 1/m sum over groups j of  group_decay^(m - j)  1/x_j sum over its baskets i of  basket_decay^(x_j - i) b_i

    where b_i holds the weights of the items of the basket. The scores are

        own_weight v + (1 - own_weight) mean of the vectors of the nearest `neighbours` training users

    by Euclidean distance: TIFU-KNN (Hu, He, Gao and Zhang, "Modeling personalized item frequency information for
    next-basket recommendation", SIGIR 2020, arXiv 2006.00556). It needs data with its repeats: `cleaning: {repeats:
    all}`, and `evaluation: {exclude_seen: false}` to judge them.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Repeat(neighbours=3).fit(toy_dataset())
        >>> model.recommend(["i4", "i2", "i2"], k=2, exclude_seen=False).ids()
        ['i2', 'i4']
    """

    neighbours: Annotated[int, Ge(1), Search(20, 1000, log=True), Doc("Nearest training users.")] = 300
    own_weight: Annotated[
        float, Ge(0), Le(1), Search(0, 1), Doc("Share of the user's own baskets in a score; the rest is neighbours'.")
    ] = 0.7
    groups: Annotated[int, Ge(1), Search(1, 20), Doc("How many groups the baskets of a history are cut into.")] = 7
    basket_decay: Annotated[
        float, Gt(0), Le(1), Search(0.5, 1), Doc("Factor of a basket for each newer one of its group.")
    ] = 0.9
    group_decay: Annotated[
        float, Gt(0), Le(1), Search(0.3, 1), Doc("Factor of a group of baskets for each newer one.")
    ] = 0.7
    gap_minutes: GapMinutes = 0.0

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("user_vectors_",)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if not count_repeats(dataset):
            log.line("repeat: no user has an item twice; keep repeats with `cleaning: {repeats: all}`")
        self.user_vectors_ = self._vectors(dataset.history())  # [n_users, n_items]

    def _score(self, history: History) -> Float32:
        scores = np.empty((len(history), history.n_items), np.float32)
        for rows, block in history.blocks(max(1, SCORES_AT_ONCE // max(self.user_vectors_.shape[0], 1))):
            own = self._vectors(block)
            scores[rows] = (self.own_weight * own + (1 - self.own_weight) * self._nearest_mean(block, own)).toarray()
        return scores

    def _terms(self, history: History, items: Int32) -> Terms:
        alike = (1 - self.own_weight) * self._nearest_mean(history, self._vectors(history)).toarray()[0, items]
        mine = history.item == items[:, None]  # [m, length]
        terms = np.where(mine, self.own_weight * self._shares(history), 0)
        return Terms(np.asarray(terms, np.float32), np.zeros(len(items), np.float32), {ALIKE: alike})

    def _contributions(self, history: History, items: Int32) -> Float32:
        return self._terms(history, items).history

    def _shares(self, history: History) -> Float32:
        """Return what each interaction adds to the vector of its history, `[nnz]`."""
        liked = history.weight > 0
        kept = history.keep(liked)
        number = number_baskets(kept, self.gap_minutes)
        _, last = np.unique((number * history.n_items + kept.item)[::-1], return_index=True)
        once = np.zeros(len(number), np.float32)
        once[len(number) - 1 - last] = 1  # of an item's lines in a basket the newest counts
        shares = np.zeros(len(liked), np.float32)
        shares[liked] = once * kept.weight * self._basket_weights(kept, number)
        return shares

    def _basket_weights(self, history: History, number: Int64) -> Float32:
        """Return the factor of the basket of each interaction; `number` counts baskets on through all, `[nnz]`."""
        row = history.row_of()
        first = np.append(number, 0)[history.indptr[:-1]]  # of each history; of an empty one it is not used
        baskets = np.zeros(len(history), np.int64)
        np.maximum.at(baskets, row, number - first[row] + 1)
        groups = np.maximum(np.minimum(self.groups, baskets), 1)
        size, longer = baskets // groups, baskets % groups  # the newest `longer` groups have one more
        at, size, longer, groups = number - first[row], size[row], longer[row], groups[row]
        in_short = (groups - longer) * size
        is_short = at < in_short
        beyond = at - in_short
        group = np.where(is_short, at // size, groups - longer + beyond // (size + 1))
        place = np.where(is_short, at % size, beyond % (size + 1))
        length = np.where(is_short, size, size + 1)
        decay = self.group_decay ** (groups - 1.0 - group) * self.basket_decay ** (length - 1.0 - place)
        return np.asarray(decay / (groups * length), np.float32)

    def _vectors(self, history: History) -> sp.csr_matrix:
        """Return the vectors v, `[n, n_items]`."""
        shape = len(history), history.n_items
        vectors = sp.csr_matrix((self._shares(history), history.item, history.indptr), shape=shape, copy=True)
        vectors.sum_duplicates()
        vectors.eliminate_zeros()
        return vectors

    def _nearest_mean(self, history: History, own: sp.csr_matrix) -> sp.csr_matrix:
        """Return the mean vector of the nearest training users of each history but itself, `[n, n_items]`."""
        users = self.user_vectors_
        # |a - b|^2 = |a|^2 - 2 a.b + |b|^2, where |a| is the same for all users b
        nearness = 2 * (users @ own.T).toarray().T - np.asarray(users.multiply(users).sum(axis=1)).ravel()
        known = (history.user >= 0) & (history.user < users.shape[0])
        itself = np.concatenate([[0], np.cumsum(known)]).astype(np.int64), history.user[known]
        some = np.diff(users.indptr) > 0
        found, _ = top_k_scores(
            np.asarray(nearness, np.float32), min(self.neighbours, len(some)), seen=itself, candidates=some
        )
        found[np.diff(own.indptr) == 0] = -1  # without likes there is no distance
        row, slot = np.nonzero(found >= 0)
        share = (1 / np.maximum((found >= 0).sum(axis=1), 1)).astype(np.float32)
        chosen = sp.csr_matrix((share[row], (row, found[row, slot])), shape=(len(history), users.shape[0]))
        return sp.csr_matrix(chosen @ users)
