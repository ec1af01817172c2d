"""What a run will cost, before anything is learnt: CPU seconds and memory of each step, from a table of measured runs.

`costs.json` holds fits and evaluations that were measured (`python benchmarks/scale.py costs`). The cost of a kind is a
sum of terms that grow with the data, such as interactions x factors or items cubed; how much each term costs is fitted
to the measured runs. Knows formulas, not how anything is computed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from genre.config.experiment import Experiment
from genre.config.sections import kind_name, resolve
from genre.data.dataset import Dataset
from genre.data.folds import sample_users
from genre.errors import DataError
from genre.machine import machine_memory
from genre.recommenders.als import CG_MIN_FACTORS
from genre.recommenders.base import Recommender
from genre.recommenders.ease_neighbours import POPULAR
from genre.training.hyperparameters import LARGE_TABLE

MIB = 2**20
PROCESS = 300 * MIB  # Python with its libraries
AN_INTERACTION = 105  # bytes at the peak of a run, its parts and histories included
EXACT = 3.0  # an exact iteration of ALS costs so many of two steps of conjugate gradients
LEAST_SECONDS, LEAST_MIB = 0.02, 20.0  # what cannot be measured is no reason for a relative error
EVALUATED_SHARE = 0.1  # users that have a target in a part, at least: assumed, as the split is not made yet


@dataclass(frozen=True)
class DataSizes:
    """The sizes of a dataset.

    Attributes:
        users: Number of users.
        items: Number of items.
        interactions: Number of interactions.
        pairs: Sum over the users of the squared length of their history.
    """

    users: float
    items: float
    interactions: float
    pairs: float

    @classmethod
    def of(cls, dataset: Dataset) -> DataSizes:
        """Return the sizes of a dataset.

        Args:
            dataset: The dataset.

        Returns:
            Its sizes.
        """
        lengths = np.bincount(dataset.user, minlength=dataset.n_users).astype(np.float64)
        return cls(dataset.n_users, dataset.n_items, len(dataset), float(lengths @ lengths))


@dataclass(frozen=True)
class StepCost:
    """What one step is expected to cost; None where no run of its kind was measured.

    Attributes:
        step: fit or evaluate.
        model: The label of the recommender.
        cpu_seconds: CPU time of the step.
        peak: Bytes of the whole process while it works.
        served: Bytes of the fitted recommender in a server.
    """

    step: str
    model: str
    cpu_seconds: float | None
    peak: float | None = None
    served: float | None = None


Terms = Callable[[DataSizes, Recommender], tuple[float, ...]]


def _by(*names: str) -> Callable[[Recommender], float]:
    """Return the product of options that the work is proportional to."""
    return lambda model: math.prod(float(getattr(model, name)) for name in names)


def _als(facts: DataSizes, model: Recommender) -> tuple[float, ...]:
    factors, solver = float(model.factors), model.solver  # type: ignore[attr-defined]
    exact = solver == "exact" or (solver == "auto" and factors < CG_MIN_FACTORS)
    sweeps = float(model.iterations) * (EXACT if exact else 1)  # type: ignore[attr-defined]
    return sweeps * facts.interactions * factors, sweeps * (facts.users + facts.items) * factors


def _mlp(facts: DataSizes, model: Recommender) -> tuple[float, ...]:
    """Return examples, and rows of tables that the steps of the training update whether a batch has them or not."""
    epochs = float(model.epochs)  # type: ignore[attr-defined]
    steps = min(facts.interactions / model.batch_size, model.most_steps)  # type: ignore[attr-defined]
    dense = facts.items + (facts.users if facts.users < LARGE_TABLE else 0)
    return epochs * facts.interactions, epochs * steps * dense


def _kept_weights(facts: DataSizes, model: Recommender) -> tuple[float, ...]:
    """Return interactions, and the most weights between items that are kept."""
    neighbours = float(model.neighbours)  # type: ignore[attr-defined]
    return facts.interactions, facts.items * min(neighbours, facts.items)


def _neighbourhoods(facts: DataSizes, model: Recommender) -> tuple[float, ...]:
    """Return interactions, the most weights that are kept, and products of popular items."""
    return *_kept_weights(facts, model), min(facts.items, POPULAR) ** 2


def _times(options: Callable[[Recommender], float], *terms: Callable[[DataSizes], float]) -> Terms:
    return lambda facts, model: tuple(options(model) * term(facts) for term in terms)


def _n(facts: DataSizes) -> float:
    return facts.interactions


def _pairs(facts: DataSizes) -> float:
    return facts.pairs


def _rows(facts: DataSizes) -> float:
    return facts.users + facts.items


ONE = _by()
SECONDS: dict[str, Terms] = {
    "popularity": _times(ONE, _n),
    "baseline": _times(ONE, _n),
    "item_knn": _times(ONE, _pairs, lambda facts: facts.items**2),
    "transitions": _times(ONE, _n, lambda facts: facts.interactions * math.log2(facts.items + 1)),
    "ease": _times(ONE, _pairs, lambda facts: facts.items**3),
    "ease_neighbours": _times(ONE, _pairs, _n, lambda facts: facts.items),
    "als": _als,
    "bpr": _times(_by("epochs", "factors"), _n),
    "rating_factors": _times(_by("factors"), _n, _rows),
    "content": _times(ONE, _n, lambda facts: facts.items),
    "mlp": _mlp,
}
BYTES: dict[str, Terms] = {
    "transitions": _kept_weights,
    "ease_neighbours": _neighbourhoods,
    "item_knn": lambda facts, model: (facts.interactions, facts.items * float(model.neighbours)),  # type: ignore[attr-defined]
    "ease": _times(ONE, _n, lambda facts: facts.items**2),
    "als": lambda facts, model: (facts.interactions, _rows(facts) * float(model.factors)),  # type: ignore[attr-defined]
    "bpr": lambda facts, model: (facts.interactions, _rows(facts) * float(model.factors)),  # type: ignore[attr-defined]
}
SERVED: dict[str, Callable[[DataSizes, Any], float]] = {
    "popularity": lambda facts, _: 4 * facts.items,
    "ease": lambda facts, _: 4 * facts.items**2,
    "item_knn": lambda facts, model: 8 * facts.items * min(model.neighbours, facts.items),
    "als": lambda facts, model: 4 * facts.items * model.factors,
    "bpr": lambda facts, model: 4 * facts.items * (model.factors + 1),
}


@lru_cache
def _measured() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(resources.files("genre").joinpath("costs.json").read_text("utf-8"))
    return rows


def _facts(row: Mapping[str, Any]) -> DataSizes:
    return DataSizes(row["users"], row["items"], row["interactions"], row["pairs"])


def fitted_terms(terms: Terms, kind: str, rows: Sequence[Mapping[str, Any]], value: str, least: float) -> Any:
    """Fit how much each term costs, with the least relative error over measured runs of a kind.

    Args:
        terms: The terms of the kind.
        kind: The kind.
        rows: Measured runs.
        value: The column to explain.
        least: Values below it count as it.

    Returns:
        The cost of one unit of each term, none below zero; None where no run was measured.
    """
    from scipy.optimize import nnls

    own = [row for row in rows if row["kind"] == kind]
    if not own:
        return None
    cls = resolve(Recommender, kind)
    matrix = np.array([terms(_facts(row), cls(**row["options"])) for row in own])  # [n_runs, n_terms]
    measured = np.maximum([row[value] for row in own], least)
    scale = matrix.max(axis=0)
    found, _ = nnls(matrix / scale / measured[:, None], np.ones(len(own)))
    return found / scale


def estimate_fit(model: Recommender, facts: DataSizes, rows: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Estimate what fitting a recommender costs.

    Args:
        model: The recommender, with its options.
        facts: The sizes of the data.
        rows: Measured runs.

    Returns:
        CPU seconds, and bytes beside the data; None where its kind, or that of a member, was not measured.
    """
    members = getattr(model, "recommenders", None)
    if members:
        parts = [estimate_fit(one, facts, rows) for one in members]
        known = [part for part in parts if part is not None]
        return (sum(s for s, _ in known), sum(b for _, b in known)) if len(known) == len(parts) else None
    kind = kind_name(type(model))
    if kind not in SECONDS or getattr(model, "solver", "") == "mllib":  # a cluster is none of the measured machines
        return None
    general = _times(ONE, _n, _rows)
    seconds = fitted_terms(SECONDS[kind], kind, rows, "cpu_seconds", LEAST_SECONDS)
    mib = fitted_terms(BYTES.get(kind, general), kind, rows, "mib", LEAST_MIB)
    if seconds is None:
        return None
    return (
        float(seconds @ SECONDS[kind](facts, model)),
        float(mib @ BYTES.get(kind, general)(facts, model)) * MIB,
    )


def fit_seconds(dataset: Dataset) -> Callable[[Recommender], float | None]:
    """Return an estimate of what fits on a dataset take.

    Args:
        dataset: The training part.

    Returns:
        Recommender -> CPU seconds; None where its kind, or that of a member, was not measured.
    """
    facts, rows = DataSizes.of(dataset), _measured()

    def seconds(model: Recommender) -> float | None:
        found = estimate_fit(model, facts, rows)
        return None if found is None else found[0]

    return seconds


def _evaluation_seconds(model: Recommender, facts: DataSizes, users: float, rows: Sequence[Mapping[str, Any]]) -> float:
    """Estimate ranking the catalogue for some users, at the rate of the kind or of the slowest kind measured.

    A blend scores by each of its members.
    """
    if members := getattr(model, "recommenders", None):
        return sum(_evaluation_seconds(one, facts, users, rows) for one in members)
    rates: dict[str, float] = {
        row["kind"]: row["evaluate_cpu_seconds"] / row["evaluated"] / row["items"] for row in rows
    }
    return users * facts.items * rates.get(kind_name(type(model)), max(rates.values()))


def estimate_run(experiment: Experiment, dataset: Dataset) -> list[StepCost]:
    """Estimate what the steps of a run cost that come after its data.

    Args:
        experiment: The config.
        dataset: All interactions.

    Returns:
        The steps, in their order.
    """
    facts, rows = DataSizes.of(dataset), _measured()
    data = PROCESS + AN_INTERACTION * facts.interactions
    users = 2 * min(experiment.evaluation.users or facts.users, max(1.0, EVALUATED_SHARE * facts.users))
    learnt = DataSizes.of(sample_users(dataset, experiment.train_users, experiment.seed))
    fits, evaluations = [], []
    for label, model in experiment.named().items():
        found = estimate_fit(model, learnt, rows)
        served = SERVED.get(kind_name(type(model)))
        held = None if served is None else float(served(facts, model))
        seconds, peak = (None, None) if found is None else (found[0], data + found[1])
        fits.append(StepCost("fit", label, seconds, peak, held))
        evaluations.append(
            StepCost("evaluate", label, _evaluation_seconds(model, facts, users, rows), data + (held or 0))
        )
    return [*fits, *evaluations]


def describe_estimate(steps: Sequence[StepCost], dataset: Dataset) -> list[str]:
    """Describe an estimate in three lines.

    Args:
        steps: The estimate.
        dataset: All interactions.

    Returns:
        The lines.
    """
    known = [step for step in steps if step.cpu_seconds is not None]
    unknown = [step.model for step in steps if step.cpu_seconds is None]
    dearest = max(known, key=lambda step: step.cpu_seconds or 0, default=None)
    peak = max((step.peak or 0 for step in known), default=0)
    rest = f"; not measured: {', '.join(unknown)}" if unknown else ""
    seconds = sum(step.cpu_seconds or 0 for step in known)
    about = f"About {seconds:,.0f} CPU seconds" if seconds >= 0.5 else "Less than a CPU second"
    share = "" if dearest is None else f", most of it to {dearest.step} {dearest.model}"
    return [
        f"Plan: {len(dataset):,} interactions, {dataset.n_users:,} users, {dataset.n_items:,} items.",
        f"  {about}{share}{rest}.",
        f"  About {peak / 1e9:,.1f} GB of memory at the peak; this machine has {machine_memory() / 1e9:,.1f} GB.",
    ]


def refuse_what_cannot_fit(steps: Sequence[StepCost]) -> None:
    """Refuse a run whose memory this machine does not have.

    Args:
        steps: The estimate.

    Raises:
        DataError: With the recommender, the memory that it would need and what to do.
    """
    has = machine_memory()
    too_large = [step for step in steps if step.peak is not None and step.peak > has]
    if too_large:
        worst = max(too_large, key=lambda step: step.peak or 0)
        raise DataError(
            f"{worst.model}: to {worst.step} it takes about {(worst.peak or 0) / 1e9:,.1f} GB, this machine has "
            f"{has / 1e9:,.1f} GB; leave it out, learn from fewer users (train_users), or run with --anyway"
        )
