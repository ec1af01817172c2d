"""What an evaluation found: values, per-user values, intervals, counts. Plain values; knows how to lie in a folder."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genre import storage
from genre.arrays import Int32, Int64
from genre.errors import ArtifactError
from genre.evaluation.metrics import metric_of
from genre.evaluation.ranked import Float64
from genre.evaluation.resampling import bootstrap


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well one recommender answered one fold; labels are `ndcg@10`, `auc`, `rmse`.

    values: label -> total over all judged users. warm: the same without users and items nobody met in training.
    users: int32 `[n]`, every user with a target, by row. per_user: label -> float64 `[n]`, NaN where it has no value.
    ratings: int64 `[n]`, how many ratings of each were guessed. history_length: int64 `[n]`.
    by_popularity: band of item popularity -> targets and the recall of them, at the first k.
    counts: users, targets and who was left out of what. cost: `ms_per_user` and what else was measured.
    question: digest of what was asked; equal questions can be compared user by user.
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
    cost: dict[str, float] = field(default_factory=dict)
    question: str = ""

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals by bootstrap over users, for every metric with per-user values."""
        known = [label for label, values in self.per_user.items() if np.isfinite(values).any()]
        if not known:
            return {}
        powers = np.array([metric_of(label).power for label in known], np.float64)
        values = np.stack([self.per_user[label] for label in known], axis=1)
        low, high = np.nanpercentile(bootstrap(values, self.weights(known), powers), [2.5, 97.5], axis=0)
        return {label: (float(low[at]), float(high[at])) for at, label in enumerate(known)}

    def weights(self, labels: list[str]) -> Float64:
        """What a user counts: one, or the ratings guessed where stars are judged. [n, n_labels]"""
        one = np.ones(len(self.users))
        return np.stack([self.ratings if metric_of(label).of_ratings else one for label in labels], axis=1)

    def with_cost(self, **measured: float) -> Evaluation:
        """The same with more costs: `fit_cpu_s`, `peak_mib`, `bytes_on_disk`."""
        return dataclasses.replace(self, cost={**self.cost, **measured})


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """`evaluation.json` and `per_user.safetensors` into an existing folder."""
    plain = {
        "name": evaluation.name,
        "question": evaluation.question,
        "values": _to_json(evaluation.values),
        "warm": _to_json(evaluation.warm),
        "intervals": evaluation.intervals,
        "by_popularity": {band: _to_json(found) for band, found in evaluation.by_popularity.items()},
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
    """What `write_evaluation` wrote; ArtifactError when it is not that."""
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
            cost=_from_json(plain["cost"]),
            question=plain["question"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder}: not a saved evaluation ({error}); evaluate again") from error


def _to_json(values: dict[str, float]) -> dict[str, float | None]:
    return {label: value if math.isfinite(value) else None for label, value in values.items()}


def _from_json(values: dict[str, Any]) -> dict[str, float]:
    return {label: math.nan if value is None else value for label, value in values.items()}
