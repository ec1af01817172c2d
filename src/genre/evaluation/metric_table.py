"""The table of metric names, and labels such as `ndcg@10`. Does not know how a metric is computed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genre.arrays import Float64
from genre.errors import EvaluationError
from genre.evaluation import beyond_accuracy as beyond
from genre.evaluation import metrics
from genre.evaluation.tied_ranks import Ranks
from genre.kinds import import_class
from genre.options import nearest

Need = Literal["candidates", "top", "items", "vectors", "categories", "groups", "steps"]


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        compute: The function, of `Ranks` or of `PredictedRatings`.
        needs: What it reads besides the ranks of relevant items, or the rating scale has to have.
        single: It gives one number for all lists instead of one for each user.
        of_ratings: It measures predicted ratings; users count by their number of ratings.
        power: Its total is a power mean over users (2 for rmse).
        has_k: Its label ends with `@k`.
        higher_is_better: Whether a higher value is better.
    """

    compute: Callable[[Any], Any]
    needs: tuple[Need, ...] = ()
    single: bool = False
    of_ratings: bool = False
    power: int = 1
    has_k: bool = True
    higher_is_better: bool = True

    @property
    def about(self) -> str:
        """What it measures, in one line: the first line of the docstring without `Compute`."""
        return (inspect.getdoc(self.compute) or "").partition("\n")[0].removeprefix("Compute ")


OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""How a metric of the user's own is named: `module:function`."""
METRICS: dict[str, Metric] = {
    "precision": Metric(metrics.precision),
    "recall": Metric(metrics.recall),
    "f1": Metric(metrics.f1),
    "ndcg": Metric(metrics.ndcg),
    "map": Metric(metrics.map),
    "mrr": Metric(metrics.mrr),
    "hit_rate": Metric(metrics.hit_rate),
    "auc": Metric(metrics.auc, needs=("candidates",), has_k=False),
    "coverage": Metric(beyond.coverage, needs=("top", "items"), single=True),
    "gini": Metric(beyond.gini, needs=("top", "items"), single=True, higher_is_better=False),
    "novelty": Metric(beyond.novelty, needs=("top", "items")),
    "popularity": Metric(beyond.popularity, needs=("top", "items"), higher_is_better=False),
    "diversity": Metric(beyond.diversity, needs=("top", "items", "vectors")),
    "serendipity": Metric(beyond.serendipity, needs=("items",)),
    "calibration": Metric(beyond.calibration, needs=("top", "items", "categories")),
    "tail_recall": Metric(beyond.tail_recall, needs=("items",)),
    "group_gap": Metric(beyond.group_gap, needs=("groups",), single=True, higher_is_better=False),
    "mse": Metric(metrics.mse, of_ratings=True, has_k=False, higher_is_better=False),
    "rmse": Metric(metrics.rmse, of_ratings=True, has_k=False, higher_is_better=False, power=2),
    "mae": Metric(metrics.mae, of_ratings=True, has_k=False, higher_is_better=False),
    "accuracy": Metric(metrics.accuracy, needs=("steps",), of_ratings=True, has_k=False),
    "like_accuracy": Metric(metrics.like_accuracy, of_ratings=True, has_k=False),
}
"""Name -> metric."""
NEEDS: dict[Need, str] = {
    "vectors": "item features; configure features.items",
    "categories": "a category of items; name a field of theirs as category, such as genres",
    "groups": "a group of users; name a field of theirs as group, such as gender",
}
"""What a metric may need that only an option provides, and which."""


@dataclass(frozen=True)
class OwnMetric:
    """A metric of the user's own: a function of `Ranks` that gives one number for each user, more being better.

    The function is imported when it is first called, so that results can be read where its module is not.

    Attributes:
        path: `module:function`.
    """

    path: str

    def __call__(self, ranks: Ranks) -> Float64:
        """Compute the metric.

        Args:
            ranks: The ranks of the relevant items of each user.

        Returns:
            float64 `[n_users]`, NaN for a user without a value.

        Raises:
            EvaluationError: The function cannot be imported, or gives something else.
        """
        try:
            function = import_class(self.path)
        except (ImportError, AttributeError) as error:
            raise EvaluationError(
                f"metric {self.path}: cannot be imported ({error}); put the folder of its module on PYTHONPATH"
            ) from error
        found, n_users = np.asarray(function(ranks)), len(ranks.indptr) - 1
        if found.shape != (n_users,) or found.dtype.kind not in "biuf" or np.isinf(found).any():
            raise EvaluationError(
                f"metric {self.path}: gave {found.dtype} of shape {found.shape}; give one finite number for "
                f"each of the {n_users:,} users, NaN for a user without one"
            )
        return found.astype(np.float64)


def metric_of(label: str) -> Metric:
    """Look up the metric of a name or a label.

    Args:
        label: Such as `ndcg` or `ndcg@10`, or `module:function@10` for one of the user's own.

    Returns:
        The metric.

    Raises:
        EvaluationError: For an unknown name, with the nearest one.
    """
    name = label.partition("@")[0]
    if OWN.fullmatch(name):
        return Metric(OwnMetric(name), needs=("top", "items"))
    if name not in METRICS:
        raise EvaluationError(f"unknown metric {name!r}{nearest(name, METRICS)}; there are {', '.join(METRICS)}")
    return METRICS[name]


def check_needs(names: Iterable[str], given: Mapping[Need, bool]) -> None:
    """Check that what the metrics need is there.

    Args:
        names: Names or labels of metrics.
        given: Need -> whether it is there; needs that are missing here are always there.

    Raises:
        EvaluationError: For a metric that needs what is not there.
    """
    for name in names:
        for need in metric_of(name).needs:
            if not given.get(need, True):
                raise EvaluationError(f"metric {name} needs {NEEDS[need]}")


def labels(names: Iterable[str], k: int | Sequence[int]) -> dict[str, int]:
    """Combine metrics with list lengths into labels.

    `ndcg` becomes `ndcg@k` for each k; `recall@20` stays as it is; a metric without a list length keeps its name.

    Args:
        names: Names or labels of metrics.
        k: The length of the lists, or several.

    Returns:
        Label -> list length, 0 for a metric without one.

    Raises:
        EvaluationError: For an unknown metric, a string instead of a list, and list lengths that are not whole numbers
            of at least 1.
    """
    if isinstance(names, str):
        raise EvaluationError(f"metrics is {names!r}; give a list, such as [{names!r}]")
    lengths = _list_lengths(k)
    out: dict[str, int] = {}
    for wanted in names:
        metric, (name, at, own) = metric_of(wanted), wanted.partition("@")
        if at and not (metric.has_k and own.isdecimal() and int(own) > 0):
            example = f"write {name}@10 for lists of 10, or {name} alone" if metric.has_k else f"write {name}"
            raise EvaluationError(f"metric {wanted!r}: {example}")
        if metric.has_k:
            out |= {f"{name}@{length}": length for length in ([int(own)] if at else lengths)}
        else:
            out[name] = 0
    return out


def _list_lengths(k: int | Sequence[int]) -> list[int]:
    """Return the list lengths as Python integers; EvaluationError for anything else."""
    several = list(k) if isinstance(k, Sequence | np.ndarray) and not isinstance(k, str) else [k]
    for length in several:
        if isinstance(length, bool | np.bool_) or not isinstance(length, int | np.integer):
            raise EvaluationError(f"k is {length!r}; give a whole number of at least 1, or a list of them")
        if length < 1:
            raise EvaluationError(f"k is {length}; give lists of at least one item")
    if not several:
        raise EvaluationError("k is empty; give at least one length of lists, such as k=10")
    return [int(length) for length in several]
