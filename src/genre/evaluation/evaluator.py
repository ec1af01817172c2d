"""Recommender + Fold -> Evaluation: every candidate is ranked for every user of the fold, in blocks.

The full catalogue is ranked; no items are sampled, and users only where the caller hands over a smaller fold
(`Fold.sample`). Items in the history are not recommended (`exclude_seen`). Relevant is what the fold's target likes
(`Dataset.liked`), each item once. Users and items without training interactions (cold) count in every total; a second
total leaves them out (`warm`). Does not know about training or files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Float64, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.ids import Ids
from genre.data.linear_algebra import ratio
from genre.data.shown_together import Shown, collect_shown
from genre.errors import DataError, EvaluationError, NotFitted
from genre.evaluation.metric_table import METRICS, check_needs, labels, metric_of
from genre.evaluation.predicted_ratings import PredictedRatings
from genre.evaluation.ranking import predict_ratings, rank_by_score, rank_in_lists
from genre.evaluation.resampling import power_mean
from genre.evaluation.results import Evaluation
from genre.evaluation.shown_ranks import rank_shown
from genre.evaluation.targets import Targets, collect_targets, distinct_rows, fold_digest
from genre.evaluation.tied_ranks import Ranks
from genre.log import SILENT, Log
from genre.options import DEFAULT_K
from genre.recommenders.base import Recommender
from genre.recommenders.recommendations import Recommendations

LIST_METRICS = ("ndcg", "recall", "precision", "f1", "map", "mrr", "hit_rate", "coverage", "novelty")
RANKING_METRICS = (*LIST_METRICS, "auc")
RATING_METRICS = tuple(name for name, metric in METRICS.items() if metric.of_ratings)
BANDS = (0, 0.5, 0.8, 0.95, 1)  # of item popularity, rarest first

Mask = npt.NDArray[np.bool_]


def evaluate(
    recommender: Recommender,
    fold: Fold,
    *,
    k: int | Sequence[int] = DEFAULT_K,
    metrics: Sequence[str] = (*RANKING_METRICS, *RATING_METRICS),
    exclude_seen: bool = True,
    kind: Literal["catalogue", "impressions"] = "catalogue",
    train: Dataset | None = None,
    candidates: npt.ArrayLike | None = None,
    category: str | None = None,
    group: str | None = None,
    name: str | None = None,
    log: Log = SILENT,
) -> Evaluation:
    """Evaluate a fitted recommender on a fold: does it find what the users did next?

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> train, validation, test = genre.split(toy_dataset())
        >>> result = genre.evaluate(genre.EASE().fit(train), test, k=[5, 10], metrics=["ndcg", "recall"])
        >>> sorted(result.values)
        ['ndcg@10', 'ndcg@5', 'recall@10', 'recall@5']
        >>> 0 <= result.values["ndcg@5"] <= 1
        True

    Args:
        recommender: A fitted recommender.
        fold: Histories and what the users did next, such as `split.test`.
        k: Length of the evaluated lists, or several.
        metrics: Names of metrics, or labels with a k of their own (`recall@20`). Rating metrics are left out where the
            recommender predicts no ratings or the data has none, and `accuracy` where their scale has no steps.
        exclude_seen: Items in the history are neither recommended nor relevant; False where users interact with the
            same item again, whose discoveries and repurchases are then measured apart, too.
        kind: `impressions` ranks only what was shown to a user at one time, seen or not, and averages over each user's
            impressions; metrics are those of ranks alone, such as auc, mrr and ndcg.
        train: What the recommender was fitted on, where it is not the fold's context. It decides the popularity of
            items, and which users and items are cold.
        candidates: The only items that may be recommended, as ids, or as `[n_items]` with True (or 1) for each of them;
            None: all.
        category: The field of items for `calibration`.
        group: The field of users for `group_gap`.
        name: Name of the recommender in the result; None: its class.
        log: Where progress is shown.

    Returns:
        Every metric in total and for each user.

    Raises:
        EvaluationError: For a fold without relevant items, an unknown metric, an illegal `k` or `candidates`, other
            items than those of `fit`, and scores that are NaN or infinite.
        NotFitted: Before `fit`.
    """
    _check_arguments(recommender, fold, train)
    wanted = labels(metrics, k)
    if kind == "impressions":
        _check_of_ranks(wanted)
    ranking = {label: length for label, length in wanted.items() if not metric_of(label).of_ratings}
    rating = _rating_metrics(wanted, recommender, fold, log)
    allowed = None if candidates is None else _candidate_mask(candidates, fold.context.item_ids)
    if not ranking and not rating:
        raise EvaluationError(
            f"{type(recommender).__name__} predicts no ratings here, and no metric of ranks is given; add ndcg"
        )
    trained = fold.context if train is None else train
    measured, cost = [], {}
    if kind == "impressions":
        part, cost["ms_per_user"] = _measure_shown(recommender, fold, trained, ranking, log)
        digest = fold_digest(fold, exclude_seen=False)
        return _merge(name or type(recommender).__name__, f"shown-{digest}", fold, wanted, [part], cost)
    if ranking:
        _check_needs(ranking, fold.context, category, group)
        targets = collect_targets(fold, train, exclude_seen=exclude_seen, category=category, group=group)
        lists_needed = any("top" in metric_of(label).needs for label in ranking)
        starts = targets.history.indptr
        ranks, seconds = rank_by_score(
            recommender,
            targets,
            k=max(1, *ranking.values()) if lists_needed else 0,
            candidates=allowed,
            seen=starts if exclude_seen else np.zeros_like(starts),
            log=log,
        )
        cost["ms_per_user"] = 1000 * seconds / len(targets.users)
        measured.append(_measure_ranks(ranks, targets, ranking, apart=not exclude_seen))
    if rating:
        measured.append(_measure_ratings(*predict_ratings(recommender, fold, log), trained, rating))
    digest = fold_digest(fold, exclude_seen=exclude_seen)
    return _merge(name or type(recommender).__name__, digest, fold, wanted, measured, cost)


def evaluate_lists(
    lists: Recommendations | npt.ArrayLike,
    fold: Fold,
    *,
    users: npt.ArrayLike | None = None,
    k: int | Sequence[int] = DEFAULT_K,
    metrics: Sequence[str] = LIST_METRICS,
    exclude_seen: bool = True,
    train: Dataset | None = None,
    category: str | None = None,
    group: str | None = None,
    name: str = "lists",
) -> Evaluation:
    """Evaluate lists that another program made.

    Args:
        lists: `[n_lists, m]`, item ids, or item row numbers with -1 where a list ends, best first; or recommendations.
        fold: Histories and what the users did next.
        users: `[n_lists]`, the id or the row number of the user of each list; None: list `r` is that of user row `r`.
        k: Length of the evaluated lists, or several.
        metrics: Names or labels of metrics.
        exclude_seen: Items in the history are not relevant.
        train: See `evaluate`.
        category: The field of items for `calibration`.
        group: The field of users for `group_gap`.
        name: Name in the result.

    Returns:
        Every metric in total and for each user.

    Raises:
        EvaluationError: For a list with an item twice or out of range, a user with a target and no list, and metrics
            that need scores (`auc`) or longer lists.
    """
    _check_fold(fold, train)
    items = _row_numbers(
        lists.item if isinstance(lists, Recommendations) else lists, "lists", "[n_lists, m]", fold.target.item_ids
    )
    users = np.arange(len(items)) if users is None else users
    owners = _row_numbers(users, "users", "[n_lists]", fold.target.user_ids)
    wanted = labels(metrics, k)
    _check_needs(wanted, fold.context, category, group)
    for label, length in wanted.items():
        if not length or items.shape[1] < min(length, fold.context.n_items):
            raise EvaluationError(
                f"{label} cannot be computed from lists of {items.shape[1]}; evaluate the recommender itself"
            )
    targets = collect_targets(fold, train, exclude_seen=exclude_seen, category=category, group=group)
    ranks = rank_in_lists(items, owners, targets)
    digest = fold_digest(fold, exclude_seen=exclude_seen)
    return _merge(name, digest, fold, wanted, [_measure_ranks(ranks, targets, wanted, apart=not exclude_seen)], {})


class _Measured(NamedTuple):
    """The ranking part or the rating part of an evaluation, over the users it applies to; fields as in Evaluation."""

    users: Int32
    values: dict[str, float]
    warm: dict[str, float]
    per_user: dict[str, Float64]
    ratings: Float64
    counts: dict[str, int]
    by_popularity: dict[str, dict[str, float]]
    by_history: dict[str, dict[str, float]]


def _measure_ranks(ranks: Ranks, targets: Targets, wanted: dict[str, int], *, apart: bool) -> _Measured:
    one = np.ones(len(ranks))
    values, per_user = _compute(ranks, wanted, one)
    is_warm = (targets.items.popularity[ranks.item] > 0) & (targets.history.lengths > 0)[ranks.user]
    warm = values
    if not is_warm.all():
        left = ranks.keep(is_warm)
        warm = _compute(left, wanted, np.ones(len(left)))[0] if len(left) else dict.fromkeys(wanted, float("nan"))
    by_popularity = _recall_by_popularity(replace(ranks, k=next((k for k in wanted.values() if k), DEFAULT_K)))
    by_history = _discovery_and_repurchase(ranks, targets, wanted) if apart else {}
    return _Measured(targets.users, values, warm, per_user, 0 * one, targets.counts, by_popularity, by_history)


def _discovery_and_repurchase(ranks: Ranks, targets: Targets, wanted: dict[str, int]) -> dict[str, dict[str, float]]:
    """Compute the metrics of the same lists over targets that are new to their user, and over those that are not.

    Ming Li et al., "A next basket recommendation reality check", ACM TOIS 2023, who call them explore and repeat.
    """
    n_items = targets.history.n_items
    owner = np.repeat(np.arange(len(targets.history)), targets.history.lengths)
    repeated = np.isin(ranks.user * n_items + ranks.item, owner * n_items + targets.history.item)
    found = {}
    for name, some in (("discovery", ~repeated), ("repurchase", repeated)):
        part = ranks.keep(some)
        values = _compute(part, wanted, np.ones(len(part)))[0] if len(part) else dict.fromkeys(wanted, float("nan"))
        found[name] = {"users": len(part), "targets": int(some.sum()), **values}
    return found


def _measure_shown(
    recommender: Recommender, fold: Fold, trained: Dataset, wanted: dict[str, int], log: Log
) -> tuple[_Measured, float]:
    """Measure the ranks among what was shown; also return the CPU milliseconds of a user."""
    try:
        shown = collect_shown(fold)
    except DataError as error:
        raise EvaluationError(f"kind {error}") from None
    ranks, seconds = rank_shown(recommender, fold, shown, trained, log)
    popularity = np.bincount(trained.item, trained.weight, trained.n_items)
    lengths = np.bincount(fold.context.user, minlength=trained.n_users)[shown.users]
    is_warm = (popularity[ranks.item] > 0) & (lengths > 0)[shown.owner][ranks.user]
    per_user = _per_user_of_shown(shown, ranks, np.arange(len(shown)), wanted)
    warm = per_user
    if not is_warm.all():
        left = ranks.keep(is_warm)
        warm = _per_user_of_shown(shown, left, np.unique(ranks.user[is_warm]), wanted)
    one = np.ones(len(shown.users))
    counts = {
        "users": len(shown.users),
        "users_without_targets": len(distinct_rows(fold.target.user)) - len(shown.users),
        "impressions": len(shown),
        "impressions_left_out": shown.left_out,
        "targets": len(ranks.item),
        "targets_seen_before": 0,
        "cold_users": int((lengths == 0).sum()),
        "cold_items": len(np.unique(ranks.item[popularity[ranks.item] == 0])),
        "cold_targets": int((popularity[ranks.item] == 0).sum()),
    }
    values, warm_values = ({at: power_mean(found, one) for at, found in part.items()} for part in (per_user, warm))
    measured = _Measured(shown.users, values, warm_values, per_user, 0 * one, counts, {}, {})
    return measured, 1000 * seconds / len(shown.users)


def _per_user_of_shown(shown: Shown, ranks: Ranks, impressions: Int64, wanted: dict[str, int]) -> dict[str, Float64]:
    """Compute metrics of impressions and average them over each user's."""
    if not len(ranks):
        return {label: np.full(len(shown.users), np.nan) for label in wanted}
    _, per_impression = _compute(ranks, wanted, np.ones(len(ranks)))
    return {label: shown.mean_per_user(found, impressions) for label, found in per_impression.items()}


def _check_of_ranks(wanted: dict[str, int]) -> None:
    """Refuse metrics that need more than the ranks among what was shown."""
    legal = [name for name, one in METRICS.items() if not one.of_ratings and set(one.needs) <= {"candidates"}]
    for label in wanted:
        if label.partition("@")[0] not in legal:
            raise EvaluationError(
                f"metric {label} is none of what was shown together; kind impressions has {', '.join(legal)}"
            )


def _recall_by_popularity(ranks: Ranks) -> dict[str, dict[str, float]]:
    """Count the relevant items of each band of training popularity, and the share of them found within k."""
    assert ranks.items is not None
    band = np.searchsorted(BANDS[1:-1], ranks.items.percentile, "right")[ranks.item]
    n = len(BANDS) - 1
    targets = np.bincount(band, minlength=n)
    recall = ratio(np.bincount(band, weights=ranks.hit_probability, minlength=n), targets)
    names = (f"{low:.0%} to {high:.0%}" for low, high in itertools.pairwise(BANDS))
    return {name: {"targets": int(targets[at]), "recall": float(recall[at])} for at, name in enumerate(names)}


def _measure_ratings(users: Int32, ratings: PredictedRatings, trained: Dataset, wanted: list[str]) -> _Measured:
    values, per_user = _compute(ratings, dict.fromkeys(wanted, 0), ratings.pairs)
    warm_user = np.bincount(trained.user, minlength=trained.n_users)[users] > 0
    warm_item = np.bincount(trained.item, minlength=trained.n_items) > 0
    left = ratings.keep(warm_user[ratings.user] & warm_item[ratings.item])
    warm = _compute(left, dict.fromkeys(wanted, 0), left.pairs)[0]
    counts = {"ratings": len(ratings.user), "cold_ratings": len(ratings.user) - len(left.user)}
    return _Measured(users, values, warm, per_user, ratings.pairs, counts, {}, {})


def _compute(
    data: Ranks | PredictedRatings, wanted: dict[str, int], weights: Float64
) -> tuple[dict[str, float], dict[str, Float64]]:
    """Compute the metrics: label -> total, and label -> per-user values where the metric has them."""
    at = {k: replace(data, k=k) if isinstance(data, Ranks) else data for k in set(wanted.values())}
    values, per_user = {}, {}
    for label, k in wanted.items():
        metric = metric_of(label)
        found = metric.compute(at[k])
        if metric.single:
            values[label] = float(found)
        else:
            per_user[label] = found
            values[label] = power_mean(found, weights, metric.power)
    return values, per_user


def _merge(
    name: str, digest: str, fold: Fold, wanted: Iterable[str], measured: list[_Measured], cost: dict[str, float]
) -> Evaluation:
    """Combine the parts into one Evaluation over every user with a target of any kind, labels in the given order."""
    users = distinct_rows(fold.target.user).astype(np.int32)
    per_user, ratings = {}, np.zeros(len(users), np.int64)
    values: dict[str, float] = {}
    warm: dict[str, float] = {}
    counts: dict[str, int] = {}
    by_popularity: dict[str, dict[str, float]] = {}
    by_history: dict[str, dict[str, float]] = {}
    for part in measured:
        place = np.searchsorted(users, part.users)
        for label, found in part.per_user.items():
            per_user[label] = np.full(len(users), np.nan)
            per_user[label][place] = found
        ratings[place] += part.ratings.astype(np.int64)
        values, warm, counts = values | part.values, warm | part.warm, counts | part.counts
        by_popularity |= part.by_popularity
        by_history |= part.by_history
    return Evaluation(
        name=name,
        values={label: values[label] for label in wanted if label in values},
        warm={label: warm[label] for label in wanted if label in warm},
        users=users,
        per_user=per_user,
        ratings=ratings,
        history_length=np.bincount(fold.context.user, minlength=fold.context.n_users)[users],
        counts=counts,
        by_popularity=by_popularity,
        by_history=by_history,
        cost=cost,
        fold_digest=digest,
    )


def _rating_metrics(wanted: Iterable[str], recommender: Recommender, fold: Fold, log: Log) -> list[str]:
    """Return the labels of rating metrics that can be measured; the log says what a continuous scale leaves out."""
    scale, rating = fold.target.rating_scale, fold.target.rating
    if scale is None or rating is None or not len(rating) or not recommender.capabilities()["ratings"]:
        return []
    known = [label for label in wanted if metric_of(label).of_ratings]
    open_ = [] if scale[2] else [label for label in known if "steps" in metric_of(label).needs]
    if open_:
        log.line(
            f"{', '.join(open_)} left out: ratings from {scale[0]:g} to {scale[1]:g} have no steps that a prediction "
            "could be rounded to; see mae, or state the rating scale"
        )
    return [label for label in known if label not in open_]


def _check_fold(fold: Fold, train: Dataset | None) -> None:
    if not isinstance(fold, Fold):
        raise EvaluationError(
            f"the fold is a {type(fold).__name__}; give a part of a split with histories and targets, such as "
            "genre.split(dataset).test"
        )
    if train is not None and not isinstance(train, Dataset):
        raise EvaluationError(f"train is a {type(train).__name__}; give the Dataset that the recommender was fitted on")


def _check_arguments(recommender: Recommender, fold: Fold, train: Dataset | None) -> None:
    """Check the types, that the recommender is fitted, and that row numbers mean the same items to both."""
    if not isinstance(recommender, Recommender):
        raise EvaluationError(f"the recommender is a {type(recommender).__name__}; give a fitted Recommender")
    _check_fold(fold, train)
    fitted, items = getattr(recommender, "item_ids_", None), fold.context.item_ids
    if fitted is None:
        raise NotFitted(f"{type(recommender).__name__} is not fitted; call fit(dataset) or load(folder) first")
    if fitted != items:
        raise EvaluationError(
            f"{type(recommender).__name__} was fitted on {len(fitted):,} items, the fold has {len(items):,}, and they "
            "are not the same; fit it on the train part of the same split"
        )


def _candidate_mask(candidates: npt.ArrayLike, ids: Ids) -> Mask:
    """Return the candidates as a mask `[n_items]`; EvaluationError unless they are ids, booleans, or 0 and 1."""
    values, n_items = np.asarray(candidates), len(ids)
    if values.dtype.kind in "UO" and values.size and isinstance(values.flat[0], str):
        return ids.mask_of(values, "item")
    if values.shape != (n_items,):
        raise EvaluationError(
            f"candidates has {'x'.join(f'{n:,}' for n in values.shape) or 'one'} values for {n_items:,} items; "
            "give ids, or True or False for each item"
        )
    if values.dtype.kind not in "biuf" or not (legal := np.isin(values, (0, 1))).all():
        found = values[0] if values.dtype.kind not in "biuf" else values[~legal][0]
        raise EvaluationError(
            f"candidates holds {found}; give ids, or True or False for each item, not the row numbers of items"
        )
    return values.astype(np.bool_)


def _row_numbers(values: npt.ArrayLike, what: str, shape: Literal["[n_lists]", "[n_lists, m]"], ids: Ids) -> Int32:
    """Return the rows of ids or row numbers as int32; EvaluationError for masks, fractions and other dimensions."""
    found = np.asarray(values)
    if found.dtype.kind in "UO" and found.size and isinstance(found.flat[0], str):
        found = ids.rows_of(found.ravel(), what).reshape(found.shape)
    if found.dtype.kind not in "iu" or found.ndim != shape.count(",") + 1:
        raise EvaluationError(f"{what} are {found.dtype} of shape {found.shape}; give row numbers {shape}")
    return np.ascontiguousarray(found, np.int32)


def _check_needs(wanted: Iterable[str], data: Dataset, category: str | None, group: str | None) -> None:
    """Raise EvaluationError for a metric whose data was not given."""
    vectors = data.item_features is not None
    check_needs(wanted, {"vectors": vectors, "categories": category is not None, "groups": group is not None})
