"""The parts of a split dataset: train, validation and test. Does not know how a dataset is split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.data.dataset import Dataset, Features

Part = npt.NDArray[np.int8]


TRAIN, VALIDATION, TEST, UNUSED = range(4)


class Fold:
    """`context`: what is known of each user before; `target`: what the user did next. Same ids in both.

    context: a Dataset, or what makes it when first asked for: the test's is nearly all the data once more, and most
    work on a split never looks at it. A Fold unpacks in this order.
    """

    def __init__(self, context: Dataset | Callable[[], Dataset], target: Dataset) -> None:
        self._context = context
        self.target = target

    def __iter__(self) -> Iterator[Dataset]:
        return iter((self.context, self.target))

    @property
    def context(self) -> Dataset:
        if not isinstance(self._context, Dataset):
            self._context = self._context()
        return self._context

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Fold:
        """The same question with the vectors attached."""
        target = self.target.with_features(items=items, users=users)
        return Fold(lambda: self.context.with_features(items=items, users=users), target)


@dataclass(frozen=True, eq=False)
class Split:
    """train: what recommenders learn from. validation, test: what they are asked; unpacks in this order.

    notes: what a careful reader wants to know: where the cuts are, ties, users and items unseen in training.
    """

    train: Dataset
    validation: Fold
    test: Fold
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Dataset | Fold]:
        return iter((self.train, self.validation, self.test))

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Split:
        """The same parts, each with the vectors attached."""
        return Split(
            self.train.with_features(items=items, users=users),
            self.validation.with_features(items=items, users=users),
            self.test.with_features(items=items, users=users),
            self.notes,
        )
