"""Ranks and predicted ratings of a recommender, or the ranks in given lists, in blocks. Does not know the metrics.

The scores of all users never exist at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.data.folds import Fold
from genre.data.history import History
from genre.display import counted
from genre.errors import EvaluationError
from genre.evaluation.predicted_ratings import PredictedRatings
from genre.evaluation.targets import Targets
from genre.evaluation.tied_ranks import Ranks
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.recommenders.topk import top_k_scores
from genre.threads import blas_threads, limit_threads, map_slices

BLOCK = 1 << 21  # scores held at once: 8 MB stay in the cache between scoring and ranking
BATCH = 512  # histories per call of a recommender's factors
PREDICTED = 4096  # histories per call of a recommender's predictions

Mask = npt.NDArray[np.bool_]


def rank_by_score(
    recommender: Recommender,
    targets: Targets,
    *,
    k: int,
    candidates: Mask | None,
    seen: Int64,
    log: Log,
) -> tuple[Ranks, float]:
    """Score every candidate for every user and find the rank of each relevant item.

    Args:
        recommender: A fitted recommender.
        targets: The users and their relevant items.
        k: Length of the lists to keep, 0 when no metric needs them.
        candidates: bool `[n_items]`, the only items that may be recommended; None: all.
        seen: int64 `[n + 1]`, where the items to leave out of each user's ranking begin in the history.
        log: Where progress is shown.

    Returns:
        The ranks, and the CPU seconds of scoring and of making the lists.

    Raises:
        EvaluationError: For a score that is NaN or infinite.
    """
    from genre.kernels.ranks import hide_seen, rank_targets

    history, indptr, n = targets.history, targets.indptr, len(targets.users)
    item, n_higher, ties = (np.empty_like(targets.item) for _ in range(3))
    n_candidates = np.empty(n, np.int64)
    top = np.empty((n, min(k, history.n_items)), np.int32)
    size = max(1, BLOCK // max(history.n_items, 1))  # histories scored at once
    unit = BATCH if recommender.capabilities()["factors"] else size

    def rank(some: slice) -> float:
        seconds, began = 0.0, time.thread_time()
        for rows, scores in _score_blocks(recommender, history, some, unit, size):
            _check_finite(scores, rows, recommender, targets)
            if candidates is not None:
                scores[:, ~candidates] = -np.inf
            ends = slice(rows.start, rows.stop + 1)
            hide_seen(scores, seen[ends], history.item)
            if k:
                top[rows] = top_k_scores(scores, top.shape[1])[0]
            seconds += time.thread_time() - began
            part = slice(indptr[rows.start], indptr[rows.stop])
            rank_targets(
                scores, indptr[ends], targets.item[part], item[part], n_higher[part], ties[part], n_candidates[rows]
            )
            bar.advance(len(scores))
            began = time.thread_time()
        return seconds

    calls_llm = recommender.without_llm() is not recommender  # in order, so that a budget ends at the same call
    with log.bar("ranking", n) as bar, limit_threads(1 if calls_llm else None), blas_threads():
        seconds = sum(map_slices(rank, n, least=unit, multiple=unit))
    ranks = Ranks(
        k=1,
        indptr=indptr,
        item=item,
        n_higher=n_higher,
        ties=ties,
        candidates=n_candidates,
        top=top,
        items=targets.items,
        history=history,
        user_groups=targets.user_groups,
    )
    return ranks, seconds


def _score_blocks(
    recommender: Recommender, history: History, some: slice, unit: int, size: int
) -> Iterator[tuple[slice, Float32]]:
    """Yield consecutive rows and their scores, all in one array that is reused: a block stays in the cache."""
    scratch = np.empty((min(size, max(some.stop - some.start, 1)), history.n_items), np.float32)
    for first in range(some.start, some.stop, unit):
        batch = history.select(slice(first, min(first + unit, some.stop)))
        factors = recommender.as_factors(batch)
        for start in range(0, len(batch), size):
            part = slice(start, min(start + size, len(batch)))
            scores = scratch[: part.stop - start]
            if factors is not None:
                np.matmul(factors[0][part], factors[1].T, out=scores)  # [n, dim] x [dim, n_items]
            else:
                np.copyto(scores, recommender.score(batch.select(part)))  # it may be the recommender's own array
            yield slice(first + part.start, first + part.stop), scores


def _check_finite(scores: Float32, rows: slice, recommender: Recommender, targets: Targets) -> None:
    if np.isfinite(scores.max(initial=0)) and np.isfinite(scores.min(initial=0)):  # a NaN makes both NaN
        return
    row, item = np.argwhere(~np.isfinite(scores))[0]
    raise EvaluationError(
        f"{type(recommender).__name__} scores item row {item} for user row {targets.users[rows.start + row]} with "
        f"{scores[row, item]}, which has no rank; look for a training run that diverged or features that are not finite"
    )


def rank_in_lists(lists: Int32, users: npt.NDArray[np.integer], targets: Targets) -> Ranks:
    """Find the rank of each relevant item in given lists, in which no items tie.

    Args:
        lists: int32 `[n_lists, m]`, item row numbers, best first, -1 where a list ends.
        users: `[n_lists]`, the user row number of each list.
        targets: The users and their relevant items.

    Returns:
        The ranks; without `candidates`, as only lists are known.

    Raises:
        EvaluationError: For a list with an item twice or out of range, and for a user without a list.
    """
    from genre.kernels.ranks import place_targets, unsound_list

    n_items = targets.history.n_items
    if len(users) != len(lists):
        raise EvaluationError(f"{counted(len(lists), 'list')} for {counted(len(users), 'user')}; give one list a user")
    bad = unsound_list(lists, n_items)
    if bad >= 0:
        raise EvaluationError(f"list {bad} holds an item twice, or an item row above {n_items - 1}; check the lists")
    row_of = np.full(max(int(users.max(initial=-1)), int(targets.users.max())) + 1, -1, np.int64)
    row_of[users] = np.arange(len(users))
    rows = row_of[targets.users]
    if (rows < 0).any():
        without = counted(int((rows < 0).sum()), "user")
        raise EvaluationError(f"{without} with a target but no list; give an empty list (-1) at least")
    top = lists[rows]
    item, n_higher = place_targets(top, targets.indptr, targets.item, n_items)
    return Ranks(
        k=1,
        indptr=targets.indptr,
        item=item,
        n_higher=n_higher,
        ties=np.ones_like(n_higher),
        top=top,
        items=targets.items,
        history=targets.history,
        user_groups=targets.user_groups,
    )


def predict_ratings(recommender: Recommender, fold: Fold, log: Log) -> tuple[Int32, PredictedRatings]:
    """Predict the rating of every target pair.

    Args:
        recommender: A fitted recommender that predicts ratings.
        fold: Histories and the ratings to predict.
        log: Where progress is shown.

    Returns:
        The user row numbers, and their predicted and given ratings.

    Raises:
        EvaluationError: For a prediction that is NaN or infinite.
    """
    target = fold.target
    assert target.rating is not None
    assert target.rating_scale is not None
    users, row = np.unique(target.user, return_inverse=True)
    history = fold.context.history(users)
    predicted = np.empty(len(target), np.float32)
    with log.bar("rating", len(users)) as bar:
        for rows, batch in history.blocks(PREDICTED):
            pairs = slice(*np.searchsorted(row, [rows.start, rows.stop]))  # targets are sorted by user
            local = (row[pairs] - rows.start).astype(np.int32)
            predicted[pairs] = recommender.predict(batch, local, target.item[pairs])
            bar.advance(len(batch))
    if not np.isfinite(predicted).all():
        at = int(np.flatnonzero(~np.isfinite(predicted))[0])
        raise EvaluationError(
            f"{type(recommender).__name__} predicts {predicted[at]} stars for user row {target.user[at]} and item row "
            f"{target.item[at]}; look for a training run that diverged or features that are not finite"
        )
    low, high, step = target.rating_scale
    positive = (low + high) / 2 if target.positive_rating is None else target.positive_rating
    actual = target.rating.astype(np.float64)
    return users, PredictedRatings(len(users), row, target.item, predicted.astype(np.float64), actual, step, positive)
