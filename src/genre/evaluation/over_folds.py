"""The evaluations of all folds of a cross-validation -> means with intervals over folds.

Does not know how folds are made.

The folds share most of their training data, so their values vary less than those of independent samples would. The
variance of a mean over n folds is taken as

    s^2 (1/n + n_test / n_train)

with s^2 the variance of the values (Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52,
2003), and the interval as that of Student's t with n - 1 degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genre.arrays import Float64
from genre.errors import EvaluationError
from genre.evaluation.leaderboard import primary, rank_key
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL
from genre.evaluation.results import Evaluation


@dataclass(frozen=True)
class FoldMean:
    """One metric of one recommender over all folds.

    Attributes:
        name: The recommender.
        label: The metric, such as `ndcg@10`.
        values: Its value in each fold.
        mean: Their mean.
        margin: Half of the 95 % interval of the mean.
        difference: Mean over folds of its value minus that of the first recommender; None for the first itself.
        difference_margin: Half of the 95 % interval of the difference; None likewise.
    """

    name: str
    label: str
    values: tuple[float, ...]
    mean: float
    margin: float
    difference: float | None = None
    difference_margin: float | None = None


def means_over_folds(folds: Sequence[Mapping[str, Evaluation]], *, test_to_train: float) -> list[FoldMean]:
    """Compute means and intervals over folds, for every metric that all recommenders and folds have.

    Args:
        folds: For each fold the evaluation of each recommender on its test part.
        test_to_train: Interactions of a test part over those of its train part, the mean over folds.

    Returns:
        A row for each recommender and metric; the recommender with the best mean of the first metric first.

    Raises:
        EvaluationError: Fewer than two folds, or the folds share no recommender.
    """
    if len(folds) < 2:
        raise EvaluationError(f"{len(folds)} fold; an interval over folds needs two at least")
    names = [name for name in folds[0] if all(name in fold for fold in folds)]
    if not names:
        raise EvaluationError("the folds share no recommender")
    by = primary([fold[name] for fold in folds for name in names])
    found = {
        name: {label: _values(folds, name, label) for label in folds[0][name].values if _in_all(folds, name, label)}
        for name in names
    }
    order = sorted(names, key=lambda name: rank_key(float(found[name][by].mean()), by))
    variance = 1 / len(folds) + test_to_train
    rows = []
    for name in order:
        for label, values in found[name].items():
            first = found[order[0]].get(label)
            against = None if name == order[0] or first is None else values - first
            rows.append(
                FoldMean(
                    name,
                    label,
                    tuple(map(float, values)),
                    float(values.mean()),
                    _margin(values, variance),
                    None if against is None else float(against.mean()),
                    None if against is None else _margin(against, variance),
                )
            )
    return rows


def _in_all(folds: Sequence[Mapping[str, Evaluation]], name: str, label: str) -> bool:
    return all(label in fold[name].values for fold in folds)


def _values(folds: Sequence[Mapping[str, Evaluation]], name: str, label: str) -> Float64:
    return np.array([fold[name].values[label] for fold in folds], np.float64)


def _margin(values: Float64, variance: float) -> float:
    """Return half of the 95 % interval of a mean over folds; `variance` is the factor of the values' own variance."""
    from scipy.stats import t

    return float(t.ppf(1 - SIGNIFICANCE_LEVEL / 2, len(values) - 1) * values.std(ddof=1) * variance**0.5)
