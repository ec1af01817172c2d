"""Splits that set whole users or items aside. Knows nothing about recommenders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from genre.data.dataset import Dataset
from genre.data.folds import TEST, TRAIN, VALIDATION, Split
from genre.errors import DataError
from genre.options import Ge, Gt, Lt
from genre.preprocessing.splits import Splitter, assemble

FOLD_IN = 4
"""Added to VALIDATION or TEST: what is told of a held-out user before asking."""


@dataclass(eq=False)
class StrongSplit(Splitter):
    """Strong generalisation: whole users are held out of training, then introduced by a part of their history.

    Marlin, "Collaborative Filtering: A Machine Learning Perspective", 2004; the protocol of Mult-VAE and EASE. A user
    with one interaction stays in train.

    validation, test: share of the users held out, 0 to 1; validation 0: none.
    fold_in: share of a held-out user's interactions that are told, 0 to 1; at least one is told and one asked.
    order: tell the earliest (`time`) or any (`random`).
    seed: which users, and which interactions.
    """

    validation: Annotated[float, Ge(0), Lt(1)] = 0.1
    test: Annotated[float, Gt(0), Lt(1)] = 0.1
    fold_in: Annotated[float, Gt(0), Lt(1)] = 0.8
    order: Literal["time", "random"] = "time"
    seed: int = 0

    def split(self, dataset: Dataset) -> Split:
        rng = np.random.default_rng(self.seed)
        indptr = dataset.history().indptr
        lengths = np.diff(indptr)
        group = _drawn(rng, np.flatnonzero(lengths > 1), dataset.n_users, self.validation, self.test)
        position = np.arange(len(dataset)) - indptr[dataset.user]
        if self.order == "random":
            shuffled = np.lexsort((rng.random(len(dataset)), dataset.user))
            position[shuffled] = position.copy()
        told = np.clip(np.round(lengths * self.fold_in), 1, np.maximum(lengths - 1, 1)).astype(np.int64)
        part = group[dataset.user]
        part[(part != TRAIN) & (position < told[dataset.user])] += FOLD_IN
        return assemble(
            dataset,
            part,
            [],
            validation_context=(TRAIN, VALIDATION + FOLD_IN),
            test_context=(TRAIN, VALIDATION, VALIDATION + FOLD_IN, TEST + FOLD_IN),
            empty_validation=self.validation == 0,
        )


@dataclass(eq=False)
class ColdItems(Splitter):
    """Items nobody has touched: a share of the catalogue is taken out of training with all its interactions.

    The targets are the interactions with these items; only a recommender that knows items by their text or other fields
    can find them.

    validation, test: share of the items, 0 to 1; validation 0: none.
    seed: which items.
    """

    validation: Annotated[float, Ge(0), Lt(1)] = 0.1
    test: Annotated[float, Gt(0), Lt(1)] = 0.1
    seed: int = 0

    def split(self, dataset: Dataset) -> Split:
        rng = np.random.default_rng(self.seed)
        group = _drawn(rng, np.unique(dataset.item), dataset.n_items, self.validation, self.test)
        return assemble(dataset, group[dataset.item], [], empty_validation=self.validation == 0)


@dataclass(eq=False)
class ColdUsers(Splitter):
    """Users of whom nothing is known: a share of the users is taken out of training, and their histories are empty.

    validation, test: share of the users, 0 to 1; validation 0: none.
    seed: which users.
    """

    validation: Annotated[float, Ge(0), Lt(1)] = 0.1
    test: Annotated[float, Gt(0), Lt(1)] = 0.1
    seed: int = 0

    def split(self, dataset: Dataset) -> Split:
        rng = np.random.default_rng(self.seed)
        group = _drawn(rng, np.unique(dataset.user), dataset.n_users, self.validation, self.test)
        return assemble(dataset, group[dataset.user], [], empty_validation=self.validation == 0)


def _drawn(
    rng: np.random.Generator, rows: npt.NDArray[np.integer], n: int, validation: float, test: float
) -> npt.NDArray[np.int8]:
    """TRAIN, VALIDATION or TEST for each of `n` users or items: shares of `rows` by lot, at least one where asked."""
    n_test, n_validation = (max(round(len(rows) * share), int(share > 0)) for share in (test, validation))
    if n_test + n_validation >= len(rows):
        raise DataError(
            f"{len(rows)} cannot be divided into train and {validation:g} + {test:g} held out; ask for less"
        )
    group = np.zeros(n, np.int8)
    lot = rng.permutation(rows)
    group[lot[:n_test]] = TEST
    group[lot[n_test : n_test + n_validation]] = VALIDATION
    return group
