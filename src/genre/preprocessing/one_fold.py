"""One fold of a cross-validation as a split of its own, so that a fold is a run like any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from typing_extensions import override

from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.errors import OptionError
from genre.options import Doc, Ge
from genre.preprocessing.splits import Splitter, TimeSplit


@dataclass(eq=False)
class OneFold(Splitter):
    """One fold of a cross-validation over another split; `genre cross-validate` makes a run of each.

    The kind of the other split says what the folds are: a k-fold for random, strong, cold-items and cold-users, where
    its share of the test part has no effect; a rolling origin for time and leave-one-out.
    """

    of: Annotated[Splitter, Doc("The split.")] = field(default_factory=TimeSplit)
    folds: Annotated[int, Ge(1), Doc("How many folds there are.")] = 5
    at: Annotated[int, Ge(0), Doc("Which of them this one is, from 0; over time the last one is the newest.")] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at >= self.folds:
            raise OptionError(f"at is {self.at} of {self.folds} folds; give 0 to {self.folds - 1}")
        if isinstance(self.of, OneFold):
            raise OptionError("of is a fold itself; give the split that it is one of")

    @override
    def split(self, dataset: Dataset) -> Split:
        return self.of.fold(dataset, self.at, self.folds)

    @property
    @override
    def scheme(self) -> Splitter:
        return self.of
