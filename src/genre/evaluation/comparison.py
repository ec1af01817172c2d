"""Is the difference real: paired bootstrap intervals and sign-flip tests over users, Holm across models.

Paired: two models meet the same users and the same resamples. Seeded, vectorised in blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from genre.errors import EvaluationError
from genre.evaluation.metrics import metric_of
from genre.evaluation.ranked import Float64
from genre.evaluation.resampling import bootstrap, holm, power_mean, sign_flip

if TYPE_CHECKING:
    from genre.evaluation.results import Evaluation


@dataclass(frozen=True)
class Comparison:
    """One metric of two models, user by user. difference: a - b, with its 95 % interval.

    p: chance of a difference this large if it did not matter which model served a user (two-sided).
    """

    label: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    users: int


def compare(a: Evaluation, b: Evaluation, labels: Sequence[str] | None = None, *, seed: int = 0) -> list[Comparison]:
    """Every metric that both have per user, or the given labels.

    EvaluationError when they have none in common, or answered other questions.
    """
    shared = [label for label in a.per_user if label in b.per_user]
    if not shared:
        having = " against ".join(", ".join(found.per_user) or "none" for found in (a, b))
        raise EvaluationError(
            f"{a.name} and {b.name} have no metric of each user in common: {having}; ask both for the same"
        )
    missing = [label for label in labels or () if label not in shared]
    if missing:
        raise EvaluationError(f"no per-user values of {missing[0]} in both; there are {', '.join(shared)}")
    _check_same_question(a, b)
    out = []
    for label in labels or shared:
        values = np.stack([a.per_user[label], b.per_user[label]], axis=1)
        values = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan)
        weights, power = a.weights([label, label]), metric_of(label).power
        one, other = (power_mean(values[:, at], weights[:, 0], power) for at in (0, 1))
        drawn = bootstrap(values, weights, np.full(2, power, np.float64), seed=seed)
        low, high = np.nanpercentile(drawn[:, 0] - drawn[:, 1], [2.5, 97.5])
        p = sign_flip(_differences(a, b, label)[:, None], seed=seed)[0]
        users = int(np.isfinite(values[:, 0]).sum())
        out.append(Comparison(label, one, other, one - other, float(low), float(high), float(p), users))
    return out


def across(found: Mapping[str, Sequence[Comparison]]) -> dict[str, list[Comparison]]:
    """The same comparisons of several models, each metric's p corrected by Holm over the models."""
    out = {name: list(rows) for name, rows in found.items()}
    for label in {row.label for rows in out.values() for row in rows}:
        at = [(name, n) for name, rows in out.items() for n, row in enumerate(rows) if row.label == label]
        p = holm(np.array([out[name][n].p for name, n in at]))
        for (name, n), corrected in zip(at, p.tolist(), strict=True):
            out[name][n] = replace(out[name][n], p=corrected)
    return out


def p_values(evaluations: Sequence[Evaluation], label: str, *, seed: int = 0) -> Float64:
    """Sign-flip p of every pair of models, corrected by Holm over all pairs; 1 on the diagonal. [n, n]"""
    n = len(evaluations)
    one, other = np.triu_indices(n, 1)
    out = np.ones((n, n))
    if n > 1:
        pairs = [
            _differences(evaluations[i], evaluations[j], label)
            for i, j in zip(one.tolist(), other.tolist(), strict=True)
        ]
        out[one, other] = out[other, one] = holm(sign_flip(np.stack(pairs, axis=1), seed=seed))
    return out


def against(best: Evaluation, others: Sequence[Evaluation], label: str, *, seed: int = 0) -> Float64:
    """Sign-flip p of each of `others` against `best`, corrected by Holm over them. [n]"""
    if not others:
        return np.empty(0)
    return holm(sign_flip(np.stack([_differences(best, other, label) for other in others], axis=1), seed=seed))


def _differences(a: Evaluation, b: Evaluation, label: str) -> Float64:
    """What each user adds to the difference of the totals, up to a common factor; NaN without a pair. [n_users]"""
    _check_same_question(a, b)
    power = metric_of(label).power
    return np.asarray((a.per_user[label] ** power - b.per_user[label] ** power) * a.weights([label])[:, 0])


def _check_same_question(a: Evaluation, b: Evaluation) -> None:
    if a.question != b.question:
        raise EvaluationError(
            f"{a.name} and {b.name} answered different questions (another split, other data or other users); "
            "compare runs of the same data and split"
        )
