"""The result of an evaluation and its files. Does not know how it was computed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genre import storage
from genre.arrays import Float64, Int32, Int64
from genre.display import Display, counted
from genre.errors import ArtifactError
from genre.evaluation.metric_table import metric_of
from genre.evaluation.resampling import bootstrap


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """How good one recommender is on one fold: every metric in total and for each user.

    The keys of the metrics are labels: `ndcg@10`, `auc`, `rmse`. Users and items without training interactions are
    called cold; `values` counts them, `warm` does not.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> train, _, test = genre.split(toy_dataset())
        >>> result = genre.evaluate(genre.EASE().fit(train), test, k=5)
        >>> low, high = result.intervals["ndcg@5"]
        >>> low <= result.values["ndcg@5"] <= high
        True
        >>> len(result.per_user["ndcg@5"]) == len(result.users)
        True

    Attributes:
        name: The recommender.
        values: Label -> total over all evaluated users.
        warm: Label -> total without cold users and items.
        users: int32 `[n]`, row numbers of every user with a target.
        per_user: Label -> float64 `[n]`, NaN where the metric has no value for the user.
        ratings: int64 `[n]`, how many ratings of each user were predicted.
        history_length: int64 `[n]`, interactions in the history of each user.
        counts: Users and targets that were evaluated, cold or left out, by name.
        by_popularity: Band of item popularity -> `targets` and `recall` of them, at the first k.
        by_history: Where items of the history may be relevant: `discovery` (targets new to their user) and `repurchase`
            (the others) -> `users`, `targets` and each label, of the same lists.
        cost: `ms_per_user` (CPU) of scoring, and what `with_cost` added.
        fold_digest: Equal for equal folds; evaluations with the same one can be compared user by user.
    """

    name: str
    values: dict[str, float]
    warm: dict[str, float]
    users: Int32
    per_user: dict[str, Float64]
    ratings: Int64
    history_length: Int64
    counts: dict[str, int]
    by_popularity: dict[str, dict[str, float]] = field(default_factory=dict)
    by_history: dict[str, dict[str, float]] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    fold_digest: str = ""

    def __repr__(self) -> str:
        first = next(iter(self.values), None)
        shown = f", {first} {self.values[first]:.4f}" if first is not None else ""
        return f"Evaluation({self.name!r}: {counted(len(self.users), 'user')}{shown})"

    def __str__(self) -> str:
        return self._display().text()

    def _repr_html_(self) -> str:
        return self._display().html()

    def _display(self) -> Display:
        """Return a row a metric."""
        rows = []
        for label, value in self.values.items():
            low, high = self.intervals.get(label, (math.nan, math.nan))
            rows.append([label, value, low, high, self.warm.get(label, math.nan)])
        columns = ("metric", "value", "95 % from", "to", "without cold")
        return Display(f"{self.name}: {counted(len(self.users), 'user')}", columns, rows, ", ".join(self._counted()))

    def _counted(self) -> list[str]:
        """Return the counts in words."""
        return [f"{name.replace('_', ' ')} {n:,}" for name, n in self.counts.items()]

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % confidence intervals by bootstrap over users, for every metric with per-user values."""
        known = [label for label, values in self.per_user.items() if np.isfinite(values).any()]
        if not known:
            return {}
        powers = np.array([metric_of(label).power for label in known], np.float64)
        values = np.stack([self.per_user[label] for label in known], axis=1)  # [n, n_labels]
        low, high = np.nanpercentile(bootstrap(values, self.weights(known), powers), [2.5, 97.5], axis=0)
        return {label: (float(low[at]), float(high[at])) for at, label in enumerate(known)}

    def weights(self, labels: list[str]) -> Float64:
        """Return each user's weight in the totals: 1 for ranking metrics, the number of ratings for rating metrics.

        Args:
            labels: The metrics.

        Returns:
            float64 `[n, n_labels]`.
        """
        one = np.ones(len(self.users))
        return np.stack([self.ratings if metric_of(label).of_ratings else one for label in labels], axis=1)

    def with_cost(self, **measured: float) -> Evaluation:
        """Return a copy with more costs.

        Args:
            **measured: Name -> amount: `fit_cpu_s`, `peak_mib`, `bytes_on_disk`.

        Returns:
            The copy.
        """
        return dataclasses.replace(self, cost={**self.cost, **measured})


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write `evaluation.json` and `per_user.safetensors`.

    Args:
        folder: An existing folder.
        evaluation: What to write.
    """
    plain = {
        "name": evaluation.name,
        "question": evaluation.fold_digest,
        "values": _to_json(evaluation.values),
        "warm": _to_json(evaluation.warm),
        "intervals": evaluation.intervals,
        "by_popularity": {band: _to_json(found) for band, found in evaluation.by_popularity.items()},
        "by_history": {part: _to_json(found) for part, found in evaluation.by_history.items()},
        "counts": evaluation.counts,
        "cost": _to_json(evaluation.cost),
        "labels": list(evaluation.per_user),
    }
    storage.write_json(folder / "evaluation.json", plain)
    columns: storage.Tensors = {
        "users": evaluation.users,
        "ratings": evaluation.ratings,
        "history_length": evaluation.history_length,
    }
    storage.write_tensors(folder / "per_user.safetensors", {**evaluation.per_user, **columns})


def read_evaluation(folder: Path) -> Evaluation:
    """Read what `write_evaluation` wrote.

    Args:
        folder: The folder.

    Returns:
        The evaluation.

    Raises:
        ArtifactError: When the files are missing or are not a saved evaluation.
    """
    plain, tensors = (
        storage.read_json(folder / "evaluation.json"),
        storage.read_tensors(folder / "per_user.safetensors"),
    )
    try:
        return Evaluation(
            name=plain["name"],
            values=_from_json(plain["values"]),
            warm=_from_json(plain["warm"]),
            users=tensors["users"],
            per_user={label: tensors[label] for label in plain["labels"]},
            ratings=tensors["ratings"],
            history_length=tensors["history_length"],
            counts=plain["counts"],
            by_popularity={band: _from_json(found) for band, found in plain["by_popularity"].items()},
            by_history={part: _from_json(found) for part, found in plain["by_history"].items()},
            cost=_from_json(plain["cost"]),
            fold_digest=plain["question"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder}: not a saved evaluation ({error}); evaluate again") from error


def _to_json(values: dict[str, float]) -> dict[str, float | None]:
    return {label: value if math.isfinite(value) else None for label, value in values.items()}


def _from_json(values: dict[str, Any]) -> dict[str, float]:
    return {label: math.nan if value is None else value for label, value in values.items()}
