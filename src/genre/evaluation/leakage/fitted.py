"""Leaks through fitted values: each is computed again from the train part and compared. Does not know how to fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.leakage.ties import together
from genre.recommenders.base import Recommender

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Derived:
    """A value computed from interactions: a scaler, profiles, weights of words.

    Attributes:
        name: Name in the findings.
        value: The array in use.
        make: Computes it from a Dataset.
    """

    name: str
    value: Array
    make: Callable[[Dataset], Array]


def refitted(name: str, recommender: Recommender) -> Derived:
    """Describe all fitted arrays of a recommender, which are computed again by fitting a copy.

    Args:
        name: Name in the findings.
        recommender: A fitted recommender whose algorithm is cheap to fit.

    Returns:
        The arrays as one derived value.
    """

    def fit_copy(data: Dataset) -> Recommender:
        return dataclasses.replace(recommender).fit(data)  # type: ignore[type-var]

    def fitted_arrays(model: Recommender) -> Array:
        state = model._state()
        arrays = [np.ravel(state[key]) for key in sorted(state) if isinstance(state[key], np.ndarray)]
        return np.concatenate([array.astype(np.float64) for array in arrays])

    return Derived(name, fitted_arrays(recommender), lambda data: fitted_arrays(fit_copy(data)))


def check_fitted_values(
    split: Split, recommenders: Mapping[str, Recommender], derived: Sequence[Derived]
) -> Iterator[Finding]:
    """Check the counts of recommenders, derived values, and table columns that hold statistics of interactions.

    Args:
        split: The split.
        recommenders: Name -> fitted recommender.
        derived: Other values computed from interactions.

    Yields:
        Findings.
    """
    for name, model in recommenders.items():
        yield from _counts(split, name, model)
    for made in derived:
        yield from _origin(split, made)
    for side in ("item", "user"):
        yield from _columns(split, side)


def _counts(split: Split, name: str, model: Recommender) -> Iterator[Finding]:
    """Compare the popularity that a recommender counted with that of train, and of train and validation."""
    counted = getattr(model, "popularity_", None)
    if counted is None or len(counted) != split.train.n_items:
        return
    slack = 1e-3 * (1 + counted)
    train, context = (np.bincount(d.item, d.weight, d.n_items) for d in (split.train, split.test.context))
    if (counted > np.maximum(train, context) + slack).any():
        item = int(np.argmax(counted - np.maximum(train, context)))
        yield Finding(
            "fitted-on-test",
            "error",
            f"{name} counted more interactions than train and validation have",
            f"item {split.train.item_ids[item]}: {counted[item]:g} counted, {train[item]:g} in train",
            "fit on split.train",
        )
    elif (counted > train + slack).any():
        yield Finding(
            "fitted-on-validation",
            "warning",
            f"{name} was fitted on the validation part too",
            f"item {split.train.item_ids[int(np.argmax(counted - train))]}",
            "its validation metrics mean nothing; fit on split.train until the model is chosen",
        )


def _origin(split: Split, made: Derived) -> Iterator[Finding]:
    """Find out which parts a derived value was computed from, by computing it again."""
    if _same(made.value, made.make(split.train)):
        return
    if _same(made.value, made.make(split.test.context)):
        yield Finding(
            "fitted-on-validation",
            "warning",
            f"{made.name} equals the value of train and validation together, not that of train",
            made.name,
            "validation metrics mean nothing; compute it from split.train until the model is chosen",
        )
    elif _same(made.value, made.make(together(split.test)[0])):
        yield Finding(
            "fitted-on-test",
            "error",
            f"{made.name} equals the value of all interactions, the test included",
            made.name,
            "compute it from split.train",
        )
    else:
        yield Finding(
            "unknown-origin",
            "warning",
            f"{made.name}, computed again from train, is different",
            made.name,
            "compute it from split.train with a fixed seed, or give the function that computed it",
        )


def _columns(split: Split, side: str) -> Iterator[Finding]:
    """Find table columns that are statistics of all interactions: counts, mean ratings, last times."""
    whole = together(split.test)[0]
    table = getattr(whole, f"{side}s")
    now, before = _statistics(whole, side), _statistics(split.train, side)
    for name in table.column_names:
        kind = table[name].type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            continue
        column = np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        for label, values in now.items():
            changed = ~_close(values, before[label]) & np.isfinite(values)  # by the test
            if changed.sum() >= 5 and _close(column, values)[changed].mean() > 0.9:
                yield Finding(
                    f"{side}-field-counts-test",
                    "error",
                    f"field {name!r} of {side}s is the {label} over all interactions, the test included",
                    f"{side} {getattr(whole, f'{side}_ids')[int(np.argmax(changed))]}",
                    "compute it from the train part, or drop the field",
                )


def _statistics(data: Dataset, side: str) -> dict[str, npt.NDArray[np.float64]]:
    """Compute label -> one number per user or item, NaN without interactions. [n] each."""
    rows, n = getattr(data, side), getattr(data, f"n_{side}s")
    count = np.bincount(rows, minlength=n).astype(np.float64)
    none = np.where(count > 0, count, np.nan)
    out = {"number of interactions": none}
    if data.rating is not None:
        out["mean rating"] = np.bincount(rows, data.rating, n) / none
    if data.timestamp is not None:
        last = np.full(n, -np.inf)
        np.maximum.at(last, rows, data.timestamp.astype(np.float64))
        out["time of the last interaction"] = np.where(count > 0, last, np.nan)
    return out


def _close(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return np.isclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)


def _same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True))
