"""Is the difference real: paired bootstrap intervals and sign-flip tests over users, Holm across models.

Paired: two models meet the same users and the same resamples. Seeded, vectorised in blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from genre.errors import EvaluationError
from genre.evaluation.judged import Float64, ratio
from genre.evaluation.metrics import metric_of

if TYPE_CHECKING:
    from genre.evaluation.evaluation import Evaluation

RESAMPLES = 1000
FLIPS = 2000
BLOCK = 4_000_000  # random numbers held at once


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


def power_mean(values: Float64, weights: Float64, power: int = 1) -> float:
    """(sum w v^p / sum w)^(1/p) over the users with a value; NaN without any."""
    known = np.isfinite(values)
    total = float(weights[known].sum())
    return float(weights[known] @ values[known] ** power / total) ** (1 / power) if total else float("nan")


def bootstrap(
    values: Float64, weights: Float64, powers: Float64, *, seed: int = 0, resamples: int = RESAMPLES
) -> Float64:
    """Power means over `resamples` draws of users with replacement, the same draws for every column.

    values, weights: `[n_users, n]`, NaN values left out. powers: `[n]`. Returns `[resamples, n]`.
    """
    known = np.isfinite(values)
    weight = np.where(known, weights, 0)
    columns = np.concatenate([np.where(known, values, 0) ** powers * weight, weight], axis=1)  # [n_users, 2 n]
    n_users, n = values.shape
    rng = np.random.default_rng(seed)
    sums = []
    for rows in _blocks(resamples, n_users):
        drawn = rng.integers(0, n_users, (rows, n_users), np.int32) + np.arange(rows)[:, None] * n_users
        times = np.bincount(drawn.ravel(), minlength=rows * n_users).reshape(rows, n_users)
        sums.append(times.astype(np.float64) @ columns)
    total = np.concatenate(sums)
    return np.asarray(ratio(total[:, :n], total[:, n:]) ** (1 / powers))


def sign_flip(differences: Float64, *, seed: int = 0, flips: int = FLIPS) -> Float64:
    """Two-sided p of the mean of each column under random signs, the same signs for every column.

    differences: `[n_users, n]`, NaN = no pair. A sign flips as if the two models had changed places for that user.
    """
    known = np.nan_to_num(differences)
    n_users = len(known)
    size = np.abs(known.sum(axis=0))
    slack = 1e-12 * np.abs(known).sum(axis=0)  # a sum in another order is not a smaller one
    rng = np.random.default_rng(seed)
    extreme = np.zeros(known.shape[1])
    for rows in _blocks(flips, n_users):
        coins = np.unpackbits(np.frombuffer(rng.bytes(rows * (-(-n_users // 8))), np.uint8).reshape(rows, -1), axis=1)
        signed = 2 * (coins[:, :n_users].astype(np.float64) @ known) - known.sum(axis=0)
        extreme += (np.abs(signed) >= size - slack).sum(axis=0)
    return np.asarray((1 + extreme) / (1 + flips))


def holm(p: Float64) -> Float64:
    """p values corrected for how many there are (Holm 1979): in order, each times the number left, never falling."""
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return out


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


def _blocks(n: int, width: int) -> list[int]:
    """`n` rows of `width` random numbers in blocks that fit into memory: the size of each."""
    size = max(1, BLOCK // max(width, 1))
    return [min(size, n - start) for start in range(0, n, size)]
