"""Paired comparisons of recommenders over the same users: differences, intervals, p values. Does not know the metrics.

The interval is a bootstrap over users, p a sign-flip test, corrected by Holm where there are several recommenders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genre.arrays import Float64
from genre.errors import EvaluationError
from genre.evaluation.metric_table import metric_of
from genre.evaluation.resampling import bootstrap, holm, power_mean, sign_flip
from genre.evaluation.results import Evaluation


@dataclass(frozen=True)
class Comparison:
    """One metric of two recommenders, over the users for whom both have a value.

    Attributes:
        label: The metric, such as `ndcg@10`.
        a: Total of the first recommender.
        b: Total of the second.
        difference: a - b.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end of it.
        p: Chance of a difference at least this large if both were equally good, two-sided.
        users: How many users were compared.
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
    """Compare two evaluations of the same fold user by user.

    Args:
        a: The first evaluation.
        b: The second, of the same fold.
        labels: Metrics to compare; None: every metric that both have for each user.
        seed: Seed of the resamples and of the random signs.

    Returns:
        One comparison for each label.

    Raises:
        EvaluationError: When they share no metric with per-user values, or come from different folds.
    """
    shared = [label for label in a.per_user if label in b.per_user]
    if not shared:
        found = " against ".join(", ".join(one.per_user) or "none" for one in (a, b))
        raise EvaluationError(
            f"{a.name} and {b.name} share no metric with per-user values: {found}; evaluate both by the same metrics"
        )
    missing = [label for label in labels or () if label not in shared]
    if missing:
        raise EvaluationError(f"no per-user values of {missing[0]} in both; there are {', '.join(shared)}")
    _check_same_fold(a, b)
    out = []
    for label in labels or shared:
        values = np.stack([a.per_user[label], b.per_user[label]], axis=1)  # [n_users, 2]
        values = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan)
        weights, power = a.weights([label, label]), metric_of(label).power
        one, other = (power_mean(values[:, at], weights[:, 0], power) for at in (0, 1))
        drawn = bootstrap(values, weights, np.full(2, power, np.float64), seed=seed)
        low, high = np.nanpercentile(drawn[:, 0] - drawn[:, 1], [2.5, 97.5])
        p = sign_flip(_differences(a, b, label)[:, None], seed=seed)[0]
        users = int(np.isfinite(values[:, 0]).sum())
        out.append(Comparison(label, one, other, one - other, float(low), float(high), float(p), users))
    return out


def correct_over_recommenders(found: Mapping[str, Sequence[Comparison]]) -> dict[str, list[Comparison]]:
    """Correct the p values of each metric for the number of recommenders compared (Holm).

    Args:
        found: Recommender -> its comparisons.

    Returns:
        The same with corrected p values.
    """
    out = {name: list(rows) for name, rows in found.items()}
    for label in {row.label for rows in out.values() for row in rows}:
        at = [(name, n) for name, rows in out.items() for n, row in enumerate(rows) if row.label == label]
        p = holm(np.array([out[name][n].p for name, n in at]))
        for (name, n), corrected in zip(at, p.tolist(), strict=True):
            out[name][n] = replace(out[name][n], p=corrected)
    return out


def pairwise_p_values(evaluations: Sequence[Evaluation], label: str, *, seed: int = 0) -> Float64:
    """Compute the p value of every pair of recommenders, corrected by Holm over all pairs.

    Args:
        evaluations: `n` evaluations of the same fold.
        label: The metric.
        seed: Seed of the random signs.

    Returns:
        float64 `[n, n]`, symmetric, 1 on the diagonal.

    Raises:
        EvaluationError: When two come from different folds.
    """
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


def p_against_best(best: Evaluation, others: Sequence[Evaluation], label: str, *, seed: int = 0) -> Float64:
    """Compute the p value of each of several recommenders against the best one, corrected by Holm over them.

    Args:
        best: The evaluation to compare with.
        others: `n` other evaluations of the same fold.
        label: The metric.
        seed: Seed of the random signs.

    Returns:
        float64 `[n]`.

    Raises:
        EvaluationError: When one comes from another fold.
    """
    if not others:
        return np.empty(0)
    return holm(sign_flip(np.stack([_differences(best, other, label) for other in others], axis=1), seed=seed))


def _differences(a: Evaluation, b: Evaluation, label: str) -> Float64:
    """Return what each user adds to the difference of the totals, up to a factor; NaN without a pair. [n_users]."""
    _check_same_fold(a, b)
    power = metric_of(label).power
    return np.asarray((a.per_user[label] ** power - b.per_user[label] ** power) * a.weights([label])[:, 0])


def _check_same_fold(a: Evaluation, b: Evaluation) -> None:
    if a.fold_digest != b.fold_digest:
        raise EvaluationError(
            f"{a.name} and {b.name} were evaluated on different targets (another split, other data or other users); "
            "compare runs of the same data and split"
        )
