"""Ranks of what was clicked among the items that were shown together. Does not know the metrics.

An impression is the interactions of a user at one time: items that were shown and clicked (liked) and others that were
not. Only these are ranked, as in the MIND news recommendation task (Wu et al., "MIND: A large-scale dataset for news
recommendation", ACL 2020).
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np

from genre.arrays import Float32, Float64, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.linear_algebra import ratio
from genre.errors import EvaluationError
from genre.evaluation.tied_ranks import Ranks
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.threads import blas_threads

BLOCK = 1 << 21  # scores held at once


@dataclass(frozen=True, eq=False)
class Shown:
    """What was shown together, with at least one item clicked and one that was not.

    Attributes:
        users: Rows of the users, ascending. int32 `[n_users]`
        owner: The position in `users` of the user of each impression. int64 `[n]`
        indptr: Impression `j` shows `item[indptr[j]:indptr[j + 1]]`. int64 `[n + 1]`
        item: Rows of the items. int32 `[n_shown]`
        clicked: Whether each was clicked. bool `[n_shown]`
        left_out: Impressions of which all or no items were clicked.
    """

    users: Int32
    owner: Int64
    indptr: Int64
    item: Int32
    clicked: np.ndarray[tuple[int], np.dtype[np.bool_]]
    left_out: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def mean_per_user(self, values: Float64, impressions: Int64) -> Float64:
        """Average values of impressions over each user's.

        Args:
            values: Of some impressions `[m]`.
            impressions: Their numbers `[m]`.

        Returns:
            float64 `[n_users]`, NaN for a user without a value.
        """
        owner = self.owner[impressions]
        n = np.bincount(owner, minlength=len(self.users))
        return ratio(np.bincount(owner, values, minlength=len(self.users)), n)


def collect_shown(fold: Fold) -> Shown:
    """Collect the impressions of a fold's target.

    Args:
        fold: Histories and what was shown later.

    Returns:
        The impressions that can be ranked.

    Raises:
        EvaluationError: There is none.
    """
    target = fold.target
    if target.timestamp is None:
        raise EvaluationError(
            "kind impressions: items shown together are those of one time, and the data has no times; read it with "
            "data: {kind: impressions}"
        )
    starts = np.ones(len(target), np.bool_)
    starts[1:] = (np.diff(target.user) != 0) | (np.diff(target.timestamp) != 0)
    group = np.cumsum(starts) - 1
    clicked = target.liked()
    size, clicks = np.bincount(group), np.bincount(group, clicked)
    mixed = (clicks > 0) & (clicks < size)
    if not mixed.any():
        raise EvaluationError(
            f"kind impressions: of {len(size):,} impressions none shows both an item that was clicked and one that was "
            "not; read the data with data: {kind: impressions}, and keep all of it with cleaning: {repeats: all}"
        )
    kept = mixed[group]
    users, owner = np.unique(target.user[starts][mixed], return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(size[mixed])]).astype(np.int64)
    return Shown(users, owner.astype(np.int64), indptr, target.item[kept], clicked[kept], int((~mixed).sum()))


def rank_shown(recommender: Recommender, fold: Fold, shown: Shown, trained: Dataset, log: Log) -> tuple[Ranks, float]:
    """Find the rank of each clicked item among those shown with it.

    Args:
        recommender: A fitted recommender.
        fold: The histories.
        shown: The impressions.
        trained: What it was fitted on.
        log: Where progress is shown.

    Returns:
        The ranks, with an impression for each user of `Ranks`, and the CPU seconds of scoring.

    Raises:
        EvaluationError: A score is NaN or infinite.
    """
    history = fold.histories(shown.users)
    known = np.bincount(trained.user, minlength=trained.n_users)[shown.users] > 0
    history = dataclasses.replace(history, user=np.where(known, shown.users, -1).astype(np.int32))
    row = np.repeat(np.arange(len(shown)), np.diff(shown.indptr))  # the impression of each item
    owner = shown.owner[row]
    score = np.empty(len(row), np.float32)
    began = time.thread_time()
    with log.bar("ranking", len(history)) as bar, blas_threads():
        for rows, block in history.blocks(max(1, BLOCK // max(history.n_items, 1))):
            here = slice(*np.searchsorted(owner, [rows.start, rows.stop]))
            score[here] = recommender.score(block)[owner[here] - rows.start, shown.item[here]]
            bar.advance(len(block))
    seconds = time.thread_time() - began
    if not np.isfinite(score).all():
        raise EvaluationError(f"{type(recommender).__name__}: a score of an item that was shown is NaN or infinite")
    return _ranks(shown, row, score), seconds


def _ranks(shown: Shown, row: Int64, score: Float32) -> Ranks:
    order = np.lexsort((-score, row))
    row, score = row[order], score[order]
    fresh = np.ones(len(row), np.bool_)
    fresh[1:] = (np.diff(row) != 0) | (np.diff(score) != 0)
    first = np.flatnonzero(fresh)  # of each group of equal scores
    tie = np.cumsum(fresh) - 1
    ties = np.diff(first, append=len(row))[tie]
    n_higher = first[tie] - shown.indptr[row]
    clicked = shown.clicked[order]
    clicks = np.bincount(row[clicked], minlength=len(shown))
    return Ranks(
        k=1,
        indptr=np.concatenate([[0], np.cumsum(clicks)]).astype(np.int64),
        item=shown.item[order][clicked],
        n_higher=n_higher[clicked].astype(np.int32),
        ties=ties[clicked].astype(np.int32),
        candidates=np.diff(shown.indptr),
    )
