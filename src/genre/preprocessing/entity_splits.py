"""Splits that hold out whole users or items. Does not know recommenders."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from genre.data.dataset import Dataset
from genre.data.folds import TEST, TRAIN, VALIDATION, Split
from genre.errors import DataError
from genre.options import Doc, Ge, Gt, Lt
from genre.preprocessing.splits import Splitter, assemble

FOLD_IN = 4
"""Added to VALIDATION or TEST: the interactions that form the history of a held-out user."""
OneOf = tuple[int, int] | None
"""Which fold of how many; None: a split by shares."""
ValidationUsers = Annotated[float, Ge(0), Lt(1), Doc("Share of the users held out for the validation; 0: none.")]
TestUsers = Annotated[float, Gt(0), Lt(1), Doc("Share of the users held out for the test.")]


class EntitySplitter(Splitter):
    """Base of splits that draw whole users or items: by shares, or one of several equal pieces of the draw."""

    @override
    def split(self, dataset: Dataset) -> Split:
        return self._split(dataset, None)

    @override
    def fold(self, dataset: Dataset, at: int, folds: int) -> Split:
        return self._split(dataset, (at, folds))

    @abstractmethod
    def _split(self, dataset: Dataset, fold: OneOf) -> Split: ...


@dataclass(eq=False)
class StrongSplit(EntitySplitter):
    """Strong generalisation: whole users are held out of training; a part of their interactions is their history.

    Marlin, "Collaborative Filtering: A Machine Learning Perspective", 2004; the protocol of Mult-VAE and EASE. A user
    with one interaction stays in train.
    """

    validation: ValidationUsers = 0.1
    test: TestUsers = 0.1
    fold_in: Annotated[
        float,
        Gt(0),
        Lt(1),
        Doc("Share of a held-out user's interactions that form the history; the rest, at least one, are targets."),
    ] = 0.8
    order: Annotated[
        Literal["time", "random"], Doc("Which interactions form the history: the earliest (time), or a random draw.")
    ] = "time"
    seed: Annotated[int, Doc("Seed of the drawn users, and of the drawn interactions.")] = 0

    @override
    def _split(self, dataset: Dataset, fold: OneOf) -> Split:
        rng = np.random.default_rng(self.seed)
        indptr = dataset.history().indptr
        lengths = np.diff(indptr)
        group = _draw_groups(rng, np.flatnonzero(lengths > 1), dataset.n_users, self.validation, self.test, fold)
        position = np.arange(len(dataset)) - indptr[dataset.user]
        if self.order == "random":
            shuffled = np.lexsort((rng.random(len(dataset)), dataset.user))
            position[shuffled] = position.copy()
        n_history = np.clip(np.round(lengths * self.fold_in), 1, np.maximum(lengths - 1, 1)).astype(np.int64)
        part = group[dataset.user]
        part[(part != TRAIN) & (position < n_history[dataset.user])] += FOLD_IN
        return assemble(
            dataset,
            part,
            [],
            validation_context=(TRAIN, VALIDATION + FOLD_IN),
            test_context=(TRAIN, VALIDATION, VALIDATION + FOLD_IN, TEST + FOLD_IN),
            empty_validation=self.validation == 0,
        )


@dataclass(eq=False)
class ColdItems(EntitySplitter):
    """A split by items: some are held out of training with all their interactions, as new items are.

    The targets are the interactions with these items; only a recommender that reads their text or other fields can
    find them.
    """

    validation: Annotated[float, Ge(0), Lt(1), Doc("Share of the items held out for the validation; 0: none.")] = 0.1
    test: Annotated[float, Gt(0), Lt(1), Doc("Share of the items held out for the test.")] = 0.1
    seed: Annotated[int, Doc("Seed of the drawn items.")] = 0

    @override
    def _split(self, dataset: Dataset, fold: OneOf) -> Split:
        rng = np.random.default_rng(self.seed)
        group = _draw_groups(rng, np.unique(dataset.item), dataset.n_items, self.validation, self.test, fold)
        return assemble(dataset, group[dataset.item], [], empty_validation=self.validation == 0)


@dataclass(eq=False)
class ColdUsers(EntitySplitter):
    """A split by users: some are held out of training, and their histories are empty, as those of new users are."""

    validation: ValidationUsers = 0.1
    test: TestUsers = 0.1
    seed: Annotated[int, Doc("Seed of the drawn users.")] = 0

    @override
    def _split(self, dataset: Dataset, fold: OneOf) -> Split:
        rng = np.random.default_rng(self.seed)
        group = _draw_groups(rng, np.unique(dataset.user), dataset.n_users, self.validation, self.test, fold)
        return assemble(dataset, group[dataset.user], [], empty_validation=self.validation == 0)


def _draw_groups(
    rng: np.random.Generator,
    rows: npt.NDArray[np.integer],
    n: int,
    validation: float,
    test: float,
    fold: OneOf,
) -> npt.NDArray[np.int8]:
    """Put each of `n` users or items into TRAIN, VALIDATION or TEST: shares of `rows` at random, at least one. [n].

    Of a fold `at` of `folds` the test is one of as many equal pieces of the draw, and the validation comes after it.
    """
    n_test, n_validation = (max(round(len(rows) * share), int(share > 0)) for share in (test, validation))
    start = 0
    if fold is not None:
        at, folds = fold
        start, end = len(rows) * at // folds, len(rows) * (at + 1) // folds
        n_test = end - start
    if n_test + n_validation >= len(rows):
        raise DataError(
            f"{len(rows)} users or items cannot be divided into train and {validation:g} + {test:g} held out; "
            "hold out a smaller share"
        )
    group = np.zeros(n, np.int8)
    order = np.roll(rng.permutation(rows), -start)
    group[order[:n_test]] = TEST
    group[order[n_test : n_test + n_validation]] = VALIDATION
    return group
