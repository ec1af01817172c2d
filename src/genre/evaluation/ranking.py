"""Recommender, or lists, + Questions -> Judged and Rated: ranks and guessed stars, made in blocks.

Never users x items at once. Knows nothing about metrics' values.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import History
from genre.data.folds import Fold
from genre.errors import EvaluationError
from genre.evaluation.metrics import metric_of
from genre.evaluation.ranked import Judged, Rated
from genre.evaluation.targets import Questions
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.recommenders.topk import top_k_scores

BLOCK = 1 << 21  # scores held at once: 8 MB stay in the cache between scoring and ranking
BATCH = 4096  # histories whose factors or predictions are asked for at once

Mask = npt.NDArray[np.bool_]


def rank(
    recommender: Recommender,
    questions: Questions,
    asked: dict[str, int],
    candidates: Mask | None,
    seen: Int64,
    log: Log,
) -> tuple[Judged, float]:
    """The ranks of all relevant items, the lists where a metric needs them, and the CPU seconds that scoring took.

    seen: int64 `[n + 1]`, where each user's hidden items begin in the history.
    """
    from genre.kernels.ranks import hide, rank_targets

    history, indptr, n = questions.history, questions.indptr, len(questions.users)
    item, above, ties = (np.empty_like(questions.item) for _ in range(3))
    ranked = np.empty(n, np.int64)
    k = max(1, *asked.values()) if any("top" in metric_of(label).needs for label in asked) else 0
    top = np.empty((n, min(k, history.n_items)), np.int32)
    seconds, began = 0.0, time.process_time()
    with log.bar("ranking", n) as bar:
        for rows, scores in _score_blocks(recommender, history):
            _check_finite(scores, rows, recommender, questions)
            if candidates is not None:
                scores[:, ~candidates] = -np.inf
            ends = slice(rows.start, rows.stop + 1)
            hide(scores, seen[ends], history.item)
            if k:
                top[rows] = top_k_scores(scores, top.shape[1])[0]
            seconds += time.process_time() - began
            part = slice(indptr[rows.start], indptr[rows.stop])
            rank_targets(scores, indptr[ends], questions.item[part], item[part], above[part], ties[part], ranked[rows])
            bar.advance(len(scores))
            began = time.process_time()
    judged = Judged(1, indptr, item, above, ties, ranked, top, questions.catalogue, history, questions.groups)
    return judged, seconds


def _score_blocks(recommender: Recommender, history: History) -> Iterator[tuple[slice, Float32]]:
    """Consecutive rows and their scores, in one array that is used again: a block stays in the cache."""
    size = max(1, BLOCK // max(history.n_items, 1))
    scratch = np.empty((min(size, max(len(history), 1)), history.n_items), np.float32)
    for batch, asked in history.blocks(BATCH if recommender.capabilities()["factors"] else size):
        factors = recommender.as_factors(asked)
        for start in range(0, len(asked), size):
            part = slice(start, min(start + size, len(asked)))
            scores = scratch[: part.stop - start]
            if factors is not None:
                np.matmul(factors[0][part], factors[1].T, out=scores)
            else:
                np.copyto(scores, recommender.score(asked.select(part)))  # it may be the recommender's own array
            yield slice(batch.start + part.start, batch.start + part.stop), scores


def _check_finite(scores: Float32, rows: slice, recommender: Recommender, questions: Questions) -> None:
    if np.isfinite(scores.max(initial=0)) and np.isfinite(scores.min(initial=0)):  # NaN runs through both
        return
    row, item = np.argwhere(~np.isfinite(scores))[0]
    raise EvaluationError(
        f"{type(recommender).__name__} scores item row {item} for user row {questions.users[rows.start + row]} with "
        f"{scores[row, item]}, which has no rank; look for a training run that diverged or features that are not finite"
    )


def place(lists: Int32, users: npt.NDArray[np.integer], questions: Questions) -> Judged:
    """The ranks of relevant items in lists made elsewhere; every list is its own order, so nothing ties."""
    from genre.kernels.ranks import place_targets, unsound_list

    n_items = questions.history.n_items
    if len(users) != len(lists):
        raise EvaluationError(f"{len(lists)} lists for {len(users)} users; give one list a user")
    bad = unsound_list(lists, n_items)
    if bad >= 0:
        raise EvaluationError(f"list {bad} holds an item twice, or an item row above {n_items - 1}; check the lists")
    row_of = np.full(max(int(users.max(initial=-1)), int(questions.users.max())) + 1, -1, np.int64)
    row_of[users] = np.arange(len(users))
    rows = row_of[questions.users]
    if (rows < 0).any():
        raise EvaluationError(f"{(rows < 0).sum():,} users have a target but no list; give an empty list (-1) at least")
    top = lists[rows]
    item, above = place_targets(top, questions.indptr, questions.item, n_items)
    ties = np.ones_like(above)
    world = questions.catalogue, questions.history, questions.groups
    return Judged(1, questions.indptr, item, above, ties, None, top, *world)


def rate(recommender: Recommender, fold: Fold, log: Log) -> tuple[Int32, Rated]:
    """Guessed and given stars of every target pair; the users they belong to."""
    target = fold.target
    assert target.rating is not None
    assert target.rating_scale is not None
    users, row = np.unique(target.user, return_inverse=True)
    history = fold.context.history(users)
    predicted = np.empty(len(target), np.float32)
    with log.bar("rating", len(users)) as bar:
        for rows, asked in history.blocks(BATCH):
            pairs = slice(*np.searchsorted(row, [rows.start, rows.stop]))  # targets are sorted by user
            local = (row[pairs] - rows.start).astype(np.int32)
            predicted[pairs] = recommender.predict(asked, local, target.item[pairs])
            bar.advance(len(asked))
    if not np.isfinite(predicted).all():
        at = int(np.flatnonzero(~np.isfinite(predicted))[0])
        raise EvaluationError(
            f"{type(recommender).__name__} predicts {predicted[at]} stars for user row {target.user[at]} and item row "
            f"{target.item[at]}; look for a training run that diverged or features that are not finite"
        )
    low, high, step = target.rating_scale
    positive = (low + high) / 2 if target.positive_rating is None else target.positive_rating
    actual = target.rating.astype(np.float64)
    return users, Rated(len(users), row, target.item, predicted.astype(np.float64), actual, step, positive)
