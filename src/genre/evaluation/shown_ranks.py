"""Ranks of what was clicked among the items that were shown together. Does not know the metrics."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from genre.arrays import Float32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.shown_together import Shown
from genre.errors import EvaluationError
from genre.evaluation.tied_ranks import Ranks
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.threads import blas_threads

BLOCK = 1 << 21  # scores held at once


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
