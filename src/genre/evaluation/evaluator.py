"""Recommender + Fold -> Evaluation: every candidate ranked, every user counted, in blocks.

The full catalogue is ranked; nothing is sampled. What the history holds is no candidate (`exclude_seen`). Relevant
is what the fold's target likes (`Dataset.liked`), each item once. Users and items nobody met in training are judged
too (a miss is a miss) and reported a second time without them (`warm`). Knows nothing about training or files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.errors import EvaluationError, NotFitted
from genre.evaluation.metrics import METRICS, check_needs, labels, metric_of
from genre.evaluation.ranked import Float64, Judged, Rated, ratio
from genre.evaluation.ranking import place, rank, rate
from genre.evaluation.resampling import power_mean
from genre.evaluation.results import Evaluation, read_evaluation, write_evaluation
from genre.evaluation.targets import Questions, ask, digest, present
from genre.log import SILENT, Log
from genre.options import DEFAULT_K
from genre.recommenders.base import Recommendations, Recommender

__all__ = ["DEFAULT", "Evaluation", "evaluate", "judge_lists", "read_evaluation", "write_evaluation"]

OF_LISTS = ("ndcg", "recall", "precision", "f1", "map", "mrr", "hit_rate", "coverage", "novelty")
DEFAULT = (*OF_LISTS, "auc")
BANDS = (0, 0.5, 0.8, 0.95, 1)  # of item popularity, rarest first
RATING = tuple(name for name, metric in METRICS.items() if metric.of_ratings)

Mask = npt.NDArray[np.bool_]


def evaluate(
    recommender: Recommender,
    fold: Fold,
    *,
    k: int | Sequence[int] = DEFAULT_K,
    metrics: Sequence[str] = (*DEFAULT, *RATING),
    exclude_seen: bool = True,
    train: Dataset | None = None,
    candidates: Mask | None = None,
    category: str | None = None,
    group: str | None = None,
    name: str | None = None,
    log: Log = SILENT,
) -> Evaluation:
    """Judge a fitted recommender by what the users of a fold did next.

    k: length of the judged lists, or several. metrics: names of METRICS, or labels with a k of their own
    (`recall@20`); those of ratings are left out where the recommender predicts none or the data has none.
    exclude_seen: what a history holds is neither a candidate nor a right answer; False where people take things again.
    train: what the recommender learnt from, when it is not the fold's context: decides popularity and who is cold.
    candidates: bool `[n_items]`, the only items that may be recommended. category: the field of items for
    `calibration`. group: the field of users for `group_gap`. Raises EvaluationError for an empty question, an unknown
    metric, a k below one, and scores that are NaN or infinite.
    """
    asked = labels(metrics, [k] if isinstance(k, int) else k)
    ranks = {label: at for label, at in asked.items() if not metric_of(label).of_ratings}
    stars = [label for label in asked if label not in ranks] if _has_stars(recommender, fold) else []
    _check_catalogue(recommender, fold.context, candidates)
    if not ranks and not stars:
        raise EvaluationError(
            f"{type(recommender).__name__} predicts no ratings here, and no metric of ranks is asked for; add ndcg"
        )
    measured, cost = [], {}
    if ranks:
        _check_needs(ranks, fold.context, category, group)
        questions = ask(fold, train, exclude_seen=exclude_seen, category=category, group=group)
        held = questions.history.indptr
        judged, seconds = rank(recommender, questions, ranks, candidates, held if exclude_seen else 0 * held, log)
        cost["ms_per_user"] = 1000 * seconds / len(questions.users)
        measured.append(_measure_ranks(judged, questions, ranks))
    if stars:
        measured.append(_measure_stars(*rate(recommender, fold, log), fold.context if train is None else train, stars))
    question = digest(fold, exclude_seen=exclude_seen)
    return _merge(name or type(recommender).__name__, question, fold, asked, measured, cost)


def judge_lists(
    lists: Recommendations | Int32,
    fold: Fold,
    *,
    users: npt.ArrayLike | None = None,
    k: int | Sequence[int] = DEFAULT_K,
    metrics: Sequence[str] = OF_LISTS,
    exclude_seen: bool = True,
    train: Dataset | None = None,
    category: str | None = None,
    group: str | None = None,
    name: str = "lists",
) -> Evaluation:
    """Judge lists made elsewhere, best first: `lists` `[n, m]` of item rows, -1 where a list ends.

    users: the user row of each list; None: list `r` is user row `r`'s. The rest as `evaluate`. Raises EvaluationError
    for a list with an item twice or out of range, for a user with a target and no list, and for metrics that need
    scores (`auc`) or more places than the lists have.
    """
    items = np.ascontiguousarray(lists.item if isinstance(lists, Recommendations) else lists, np.int32)
    asked = labels(metrics, [k] if isinstance(k, int) else k)
    _check_needs(asked, fold.context, category, group)
    for label, at in asked.items():
        if not at or items.shape[1] < min(at, fold.context.n_items):
            raise EvaluationError(f"{label} cannot be told from lists of {items.shape[1]}; evaluate the recommender")
    questions = ask(fold, train, exclude_seen=exclude_seen, category=category, group=group)
    judged = place(items, np.arange(len(items)) if users is None else np.asarray(users), questions)
    question = digest(fold, exclude_seen=exclude_seen)
    return _merge(name, question, fold, asked, [_measure_ranks(judged, questions, asked)], {})


class Measured(NamedTuple):
    """What one kind of judging found. users: rows. per_user: label -> `[n_users]`. See Evaluation for the rest."""

    users: Int32
    values: dict[str, float]
    warm: dict[str, float]
    per_user: dict[str, Float64]
    ratings: Float64
    counts: dict[str, int]
    by_popularity: dict[str, dict[str, float]]


def _measure_ranks(judged: Judged, questions: Questions, asked: dict[str, int]) -> Measured:
    one = np.ones(len(judged))
    values, per_user = _compute(judged, asked, one)
    known = (questions.catalogue.popularity[judged.item] > 0) & (questions.history.lengths > 0)[judged.user]
    warm = values
    if not known.all():
        left = judged.only(known)
        warm = _compute(left, asked, np.ones(len(left)))[0] if len(left) else dict.fromkeys(asked, float("nan"))
    by_popularity = _by_popularity(replace(judged, k=next((k for k in asked.values() if k), 10)))
    return Measured(questions.users, values, warm, per_user, 0 * one, questions.counts, by_popularity)


def _by_popularity(judged: Judged) -> dict[str, dict[str, float]]:
    """Band of training popularity -> how many relevant items are of it, and the share of them found within k."""
    assert judged.catalogue is not None
    band = np.searchsorted(BANDS[1:-1], judged.catalogue.percentile, "right")[judged.item]
    near = np.flatnonzero(judged.above < judged.k)
    chance = np.minimum(judged.k - judged.above[near], judged.ties[near]) / judged.ties[near]
    n = len(BANDS) - 1
    targets = np.bincount(band, minlength=n)
    recall = ratio(np.bincount(band[near], weights=chance, minlength=n), targets)
    names = (f"{low:.0%} to {high:.0%}" for low, high in itertools.pairwise(BANDS))
    return {name: {"targets": int(targets[at]), "recall": float(recall[at])} for at, name in enumerate(names)}


def _measure_stars(users: Int32, rated: Rated, known: Dataset, asked: list[str]) -> Measured:
    """`known`: what counts as met before."""
    values, per_user = _compute(rated, dict.fromkeys(asked, 0), rated.pairs)
    met_user = np.bincount(known.user, minlength=known.n_users)[users] > 0
    met_item = np.bincount(known.item, minlength=known.n_items) > 0
    left = rated.only(met_user[rated.user] & met_item[rated.item])
    warm = _compute(left, dict.fromkeys(asked, 0), left.pairs)[0]
    counts = {"ratings": len(rated.user), "cold_ratings": len(rated.user) - len(left.user)}
    return Measured(users, values, warm, per_user, rated.pairs, counts, {})


def _compute(
    judged: Judged | Rated, asked: dict[str, int], weights: Float64
) -> tuple[dict[str, float], dict[str, Float64]]:
    """Label -> total, label -> per-user values where the metric has them."""
    at = {k: replace(judged, k=k) if isinstance(judged, Judged) else judged for k in set(asked.values())}
    values, per_user = {}, {}
    for label, k in asked.items():
        metric = metric_of(label)
        found = metric.compute(at[k])
        if metric.single:
            values[label] = float(found)
        else:
            per_user[label] = found
            values[label] = power_mean(found, weights, metric.power)
    return values, per_user


def _merge(
    name: str, question: str, fold: Fold, asked: Iterable[str], measured: list[Measured], cost: dict[str, float]
) -> Evaluation:
    """One Evaluation over every user with a target of any kind, its values in the order asked for."""
    users = present(fold.target.user).astype(np.int32)
    per_user, ratings = {}, np.zeros(len(users), np.int64)
    values: dict[str, float] = {}
    warm: dict[str, float] = {}
    counts: dict[str, int] = {}
    by_popularity: dict[str, dict[str, float]] = {}
    for part in measured:
        place = np.searchsorted(users, part.users)
        for label, found in part.per_user.items():
            per_user[label] = np.full(len(users), np.nan)
            per_user[label][place] = found
        ratings[place] += part.ratings.astype(np.int64)
        values, warm, counts = values | part.values, warm | part.warm, counts | part.counts
        by_popularity |= part.by_popularity
    return Evaluation(
        name=name,
        values={label: values[label] for label in asked if label in values},
        warm={label: warm[label] for label in asked if label in warm},
        users=users,
        per_user=per_user,
        ratings=ratings,
        history_length=np.bincount(fold.context.user, minlength=fold.context.n_users)[users],
        counts=counts,
        by_popularity=by_popularity,
        cost=cost,
        fold_digest=question,
    )


def _has_stars(recommender: Recommender, fold: Fold) -> bool:
    scale, rating = fold.target.rating_scale, fold.target.rating
    return bool(recommender.capabilities()["ratings"]) and scale is not None and rating is not None and len(rating) > 0


def _check_catalogue(recommender: Recommender, data: Dataset, candidates: Mask | None) -> None:
    """NotFitted before `fit`; EvaluationError when row numbers mean other items to the recommender."""
    known = getattr(recommender, "item_ids_", None)
    if known is None:
        raise NotFitted(f"{type(recommender).__name__} has learnt nothing yet; call fit(dataset) or load(folder) first")
    if known != data.item_ids:
        raise EvaluationError(
            f"{type(recommender).__name__} knows {len(known):,} items, the fold {data.n_items:,}, and they are not the "
            "same; fit it on the train part of the same split"
        )
    if candidates is not None and len(candidates) != data.n_items:
        raise EvaluationError(f"candidates has {len(candidates):,} values for {data.n_items:,} items; give one an item")


def _check_needs(asked: Iterable[str], data: Dataset, category: str | None, group: str | None) -> None:
    """EvaluationError for a metric whose data was not given."""
    vectors = data.item_features is not None
    check_needs(asked, {"vectors": vectors, "categories": category is not None, "groups": group is not None})
