"""The parts of a split dataset: train, validation and test. Does not know how a dataset is split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.arrays import Int32
from genre.data.context import Context
from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.display import Display, counted
from genre.errors import DataError

Part = npt.NDArray[np.int8]

TRAIN, VALIDATION, TEST, UNUSED = range(4)  # values of a Part; the first three are those of `Dataset.part`


class Fold:
    """A question with its answers: what is known of each user, and what the user did next.

    Both datasets have the same users, items and numbering. A Fold unpacks into context and target.

    Attributes:
        context: The interactions before; what recommenders score. It is made when it is first used: the test's
            context is nearly all the data once more, and most work on a split never looks at it.
        target: The interactions after; what recommendations are evaluated by.
    """

    def __init__(self, context: Dataset | Callable[[], Dataset], target: Dataset) -> None:
        """Keep both parts.

        Args:
            context: The dataset, or a function that makes it.
            target: The dataset.
        """
        self._context = context
        self.target = target

    def __iter__(self) -> Iterator[Dataset]:
        return iter((self.context, self.target))

    @property
    def context(self) -> Dataset:
        """The interactions before those of `target`."""
        if not isinstance(self._context, Dataset):
            self._context = self._context()
        return self._context

    def __repr__(self) -> str:
        return f"Fold({counted(len(self.target), 'interaction')} of {counted(len(self.users()), 'user')} to find)"

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Fold:
        """Attach vectors of items or users to both datasets.

        Args:
            items: One vector for each item; None leaves what is there.
            users: One vector for each user; None leaves what is there.

        Returns:
            A new Fold.
        """
        target = self.target.with_features(items=items, users=users)
        return Fold(lambda: self.context.with_features(items=items, users=users), target)

    def histories(self, users: npt.NDArray[np.integer]) -> History:
        """Return histories in the context of what comes next: the time and circumstances of the first target of each.

        Args:
            users: Rows of users.

        Returns:
            A history for each.
        """
        history, target = self.context.history(users), self.target
        if target.timestamp is None and target.context is None:
            return history
        first = np.searchsorted(target.user, users)  # by user, then time
        at = np.minimum(first, len(target) - 1)
        there = target.user[at] == users
        time = None if target.timestamp is None else np.where(there, target.timestamp[at], -1)
        row = -1 if target.context is None else np.where(there, target.context[at], -1)
        values = {name: target.context_texts(name)[row] for name in target.context_names}
        return history.in_context(Context(time, values))

    def repeats(self) -> npt.NDArray[np.bool_]:
        """Find the targets that are in the context of their user already.

        `np.isin` takes ten times as long: here the pairs of the context, which are sorted by user, are looked up
        among the fewer targets.

        Returns:
            True for each of them, bool `[n_targets]`.
        """
        wanted, place = np.unique(self.target.pairs(), return_inverse=True)
        if not len(wanted):
            return np.zeros(0, np.bool_)
        known, found = self.context.pairs(), np.zeros(len(wanted), np.bool_)
        at = np.minimum(np.searchsorted(wanted, known), len(wanted) - 1)
        found[at[wanted[at] == known]] = True
        return found[place]

    def users(self) -> Int32:
        """Find the users with a target.

        Returns:
            Their rows, rising, each once.
        """
        return np.flatnonzero(np.bincount(self.target.user, minlength=self.target.n_users)).astype(np.int32)

    def sample(self, most: int | None, seed: int) -> Fold:
        """Keep the targets of some users, drawn at random.

        Args:
            most: How many users, at most; None: all.
            seed: Seed of the draw.

        Returns:
            The same questions about fewer users; this fold where it has no more.
        """
        users = self.users()
        if most is None or len(users) <= most:
            return self
        return self.of_users(np.random.default_rng(seed).choice(users, most, replace=False))

    def halves(self) -> tuple[Fold, Fold]:
        """Split the users with a target in two at random, the same users every time.

        Returns:
            The same questions about each half.
        """
        order = np.random.default_rng(0).permutation(self.users())
        return self.of_users(order[: len(order) // 2]), self.of_users(order[len(order) // 2 :])

    def of_users(self, users: Int32) -> Fold:
        """Keep the targets of some users.

        Args:
            users: Their rows.

        Returns:
            The same questions about them.
        """
        kept = np.zeros(self.target.n_users, bool)
        kept[users] = True
        return Fold(lambda: self.context, self.target.where(kept[self.target.user]))


def sample_users(dataset: Dataset, most: int | None, seed: int) -> Dataset:
    """Keep the interactions of some users, drawn at random; fewer of the same seed are among more.

    Args:
        dataset: The dataset.
        most: How many users, at most; None: all.
        seed: Seed of the draw.

    Returns:
        The dataset with the same users and items, but no interactions of the others.
    """
    users = np.unique(dataset.user)
    if most is None or len(users) <= most:
        return dataset
    kept = np.zeros(dataset.n_users, bool)
    kept[np.random.default_rng(seed).permutation(users)[:most]] = True
    return dataset.where(kept[dataset.user])


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """A dataset cut into three parts of the same users, items and numbering; unpacks in the order of its attributes.

    Attributes:
        train: What recommenders learn from.
        validation: What options are chosen by, and when training stops.
        test: What recommenders are compared by.
        notes: Sentences on what the split did: the dates of the cuts, ties in time, users and items unseen in training.
    """

    train: Dataset
    validation: Fold
    test: Fold
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Dataset | Fold]:
        return iter((self.train, self.validation, self.test))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(part):,}" for name, part in self._parts().items())
        return f"Split({sizes} interactions)"

    def _repr_html_(self) -> str:
        rows = [
            [name, len(part), len(np.unique(part.user)), len(np.unique(part.item)), *part.days()]
            for name, part in self._parts().items()
        ]
        columns = ("part", "interactions", "users", "items", "first day", "last day")
        return Display(f"{self.train.name}, split", columns, rows, " ".join(self.notes)).html()

    def _parts(self) -> dict[str, Dataset]:
        """Return the interactions of each part."""
        return {"train": self.train, "validation": self.validation.target, "test": self.test.target}

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Split:
        """Attach vectors of items or users to all parts.

        Args:
            items: One vector for each item; None leaves what is there.
            users: One vector for each user; None leaves what is there.

        Returns:
            A new Split.
        """
        return Split(
            self.train.with_features(items=items, users=users),
            self.validation.with_features(items=items, users=users),
            self.test.with_features(items=items, users=users),
            self.notes,
        )


def hold_out_last(dataset: Dataset, *, remedy: str, whole_basket: bool = False) -> Fold:
    """Hold out the last liked interaction of each history with at least two: targets that training data has of itself.

    Args:
        dataset: A training part.
        remedy: What to do where no history has two, for the message.
        whole_basket: Leave out what was liked at the same time, too, where there are likes at other times: a list is
            made before a basket, not within it.

    Returns:
        What is left, and the held-out interactions.

    Raises:
        DataError: No history has two liked interactions.
    """
    liked = np.flatnonzero(dataset.liked())
    user = dataset.user[liked]
    last = np.append(user[1:] != user[:-1], True)
    held = np.zeros(len(dataset), bool)
    held[liked[last & (np.bincount(user, minlength=dataset.n_users)[user] > 1)]] = True
    if not held.any():
        raise DataError(f"no history has two liked items; {remedy}")
    left = ~held
    if whole_basket and dataset.timestamp is not None:
        time = np.full(dataset.n_users, np.iinfo(np.int64).max)
        time[dataset.user[held]] = dataset.timestamp[held]
        beside = (dataset.timestamp == time[dataset.user]) & (dataset.weight > 0)
        before = np.bincount(dataset.user, (dataset.weight > 0) & ~beside, dataset.n_users) > 0
        left &= ~(beside & before[dataset.user])
    return Fold(dataset.where(left), dataset.where(held))
