"""Leaks through fitted values: each is computed again from the train part and compared. Does not know how to fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    """Check the counts of recommenders, and derived values.

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


def _same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True))
