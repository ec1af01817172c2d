"""Several evaluations of one fold -> one table, best first, with what cannot be told from the best marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from genre.errors import EvaluationError
from genre.evaluation.comparison import against
from genre.evaluation.metrics import metric_of
from genre.evaluation.results import Evaluation

LEVEL = 0.05


def leaderboard(evaluations: Sequence[Evaluation], by: str | None = None, *, seed: int = 0) -> list[dict[str, Any]]:
    """One row a recommender as plain JSON values, best first by the label `by` (None: `primary`).

    name, values, intervals (label -> [low, high]), warm, cost, counts; p: chance of its distance from the best if
    the two were alike (sign flips over users, Holm over the table), None without per-user values;
    tied_with_best: p is above 5 %, so do not choose between them by this number.
    """
    if not evaluations:
        raise EvaluationError("a leaderboard needs at least one evaluation")
    label = by or primary(evaluations)
    if any(label not in e.values for e in evaluations):
        raise EvaluationError(f"no metric {label} that all recommenders have; name one of each's values")
    ranked = sorted(evaluations, key=lambda found: rank_key(found.values[label], label))
    best, others = ranked[0], ranked[1:]
    p: list[float | None] = [None] * len(others)
    if label in best.per_user:
        p = [float(value) for value in against(best, others, label, seed=seed)]
    return [_row(best, None, True), *(_row(o, q, q is not None and q > LEVEL) for o, q in zip(others, p, strict=True))]


def primary(evaluations: Sequence[Evaluation]) -> str:
    """The label that ranks: the first metric asked for that all have, as only some predict ratings."""
    for label in evaluations[0].values:
        if all(label in found.values for found in evaluations):
            return label
    raise EvaluationError("no metric that all recommenders have; ask for one that does not need ratings, such as ndcg")


def rank_key(value: float, label: str) -> float:
    """Sorts the best first."""
    if math.isnan(value):
        return math.inf
    return -value if metric_of(label).higher_is_better else value


def tables(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a leaderboard as a table of rankings and one of ratings, of what was judged; first what ranks.

    title, labels, rows (of those that have any of the labels, best first by the first label), best (value by label).
    """
    labels = dict.fromkeys(label for row in rows for label in row["values"])
    found = []
    for of_ratings in dict.fromkeys(metric_of(label).of_ratings for label in labels):
        shown = [label for label in labels if metric_of(label).of_ratings == of_ratings]
        having = [row for row in rows if any(row["values"].get(label) is not None for label in shown)]
        if having:
            ordered = {label: sorted(having, key=lambda row: _place(row, label)) for label in shown}
            best = {label: first["values"].get(label) for label, (first, *_) in ordered.items()}
            having = ordered[shown[0]]
            title = "ratings" if of_ratings else "ranking"
            found.append({"title": title, "labels": shown, "rows": having, "best": best})
    return found


def _place(row: dict[str, Any], label: str) -> float:
    value = row["values"].get(label)
    return rank_key(math.nan if value is None else value, label)


def _row(found: Evaluation, p: float | None, tied: bool) -> dict[str, Any]:  # noqa: FBT001  # private, always named by place
    return {
        "name": found.name,
        "values": _plain(found.values),
        "intervals": {label: [_finite(end) for end in ends] for label, ends in found.intervals.items()},
        "warm": _plain(found.warm),
        "cost": _plain(found.cost),
        "counts": found.counts,
        "p": p,
        "tied_with_best": tied,
    }


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {label: _finite(value) for label, value in values.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
