"""Several evaluations of one fold -> one table, best first, with what cannot be told from the best marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from genre.errors import EvaluationError
from genre.evaluation.evaluation import Evaluation
from genre.evaluation.metrics import metric_of
from genre.evaluation.significance import against

LEVEL = 0.05


def leaderboard(evaluations: Sequence[Evaluation], by: str | None = None, *, seed: int = 0) -> list[dict[str, Any]]:
    """One row a recommender as plain JSON values, best first by the label `by` (None: the first that all have).

    name, values, intervals (label -> [low, high]), warm, cost, counts; p: chance of its distance from the best if
    the two were alike (sign flips over users, Holm over the table), None without per-user values;
    tied_with_best: p is above 5 %, so do not choose between them by this number.
    """
    if not evaluations:
        raise EvaluationError("a leaderboard needs at least one evaluation")
    label = by or next((label for label in evaluations[0].values if all(label in e.values for e in evaluations)), None)
    if label is None or any(label not in e.values for e in evaluations):
        raise EvaluationError(f"no metric {label or ''} that all recommenders have; name one of each's values")
    ranked = sorted(evaluations, key=lambda found: _rank_key(found.values[label], label))
    best, others = ranked[0], ranked[1:]
    p: list[float | None] = [None] * len(others)
    if label in best.per_user:
        p = [float(value) for value in against(best, others, label, seed=seed)]
    return [_row(best, None, True), *(_row(o, q, q is not None and q > LEVEL) for o, q in zip(others, p, strict=True))]


def _rank_key(value: float, label: str) -> float:
    if math.isnan(value):
        return math.inf
    return -value if metric_of(label).higher_is_better else value


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
