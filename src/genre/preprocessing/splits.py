"""Who may see what: a Dataset -> train, validation and test. Knows nothing about recommenders.

A `Fold` is a question: given these histories (`context`), find these interactions (`target`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from genre.options import check_options
from genre.preprocessing.dataset import Dataset, Features


class Fold(NamedTuple):
    """`context`: what is known of each user before; `target`: what the user did next. Same ids in both."""

    context: Dataset
    target: Dataset


@dataclass(frozen=True, eq=False)
class Split:
    """train: what recommenders learn from. validation, test: what they are asked; unpacks in this order."""

    train: Dataset
    validation: Fold
    test: Fold

    def __iter__(self) -> Iterator[Dataset | Fold]:
        return iter((self.train, self.validation, self.test))

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Split:
        """The same parts, each with the vectors attached."""
        return Split(
            self.train.with_features(items=items, users=users),
            *(
                Fold(*(part.with_features(items=items, users=users) for part in fold))
                for fold in (self.validation, self.test)
            ),
        )


class Splitter(ABC):
    """Base of all splits: a dataclass whose fields are its options."""

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def split(self, dataset: Dataset) -> Split:
        """Raises DataError when a part would be empty or a needed column is missing."""
