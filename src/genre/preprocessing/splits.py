"""Splits of a Dataset into train, validation and test by time, by user or at random. Does not know recommenders.

A `Fold` holds histories (`context`) and what happened next (`target`). The context of the test holds train and
validation. Where cleaning keeps repeats, a target may be an item that its context holds already; the evaluation's
`exclude_seen` leaves those out and counts them. Splits that hold out whole users or items are in `entity_splits.py`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from genre.data.after_split import apply_part_rules
from genre.data.dataset import Dataset
from genre.data.folds import TEST, TRAIN, UNUSED, VALIDATION, Fold, Part, Split
from genre.display import counted
from genre.errors import DataError, OptionError
from genre.kernels.order import mark
from genre.kinds import KINDS
from genre.options import Doc, Ge, Gt, Lt, check_names, check_options, nearest

Mask = npt.NDArray[np.bool_]
ValidationShare = Annotated[float, Ge(0), Lt(1), Doc("Share of the interactions in the validation part; 0: none.")]
TestShare = Annotated[float, Gt(0), Lt(1), Doc("Share of the interactions in the test part.")]
Moment = datetime | date | str | int | None


class Splitter(ABC):
    """Base of all splits: a dataclass whose fields are its options."""

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def split(self, dataset: Dataset) -> Split:
        """Divide the interactions into train, validation and test.

        Args:
            dataset: All interactions.

        Returns:
            The three parts, with notes about cuts, ties and unseen users and items.

        Raises:
            DataError: When a part would be empty or a needed column is missing.
        """

    def fold(self, dataset: Dataset, at: int, folds: int) -> Split:
        """Divide the interactions for one fold of a cross-validation.

        A random draw becomes a k-fold: every interaction (user, item) is in the test part of exactly one fold. A split
        by time becomes a rolling origin: the test parts follow one another, and what is later than one is unused.

        Args:
            dataset: All interactions.
            at: Which fold, from 0.
            folds: How many there are.

        Returns:
            The three parts.

        Raises:
            OptionError: There is one way only to split like this.
        """
        raise OptionError(
            f"{type(self).__name__} makes one split only; cross-validation takes a split of kind time, leave-one-out, "
            "random, strong, cold-items or cold-users"
        )

    @property
    def scheme(self) -> Splitter:
        """The split whose kind tells what is known of the parts: this one, or that of which this one is a fold."""
        return self


def split(dataset: Dataset, kind: str | Splitter = "time", options: Mapping[str, Any] | None = None) -> Split:
    """Split a dataset into train, validation and test.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> data = toy_dataset()
        >>> train, validation, test = genre.split(data, "time", {"validation": 0.1, "test": 0.2})
        >>> len(train) + len(validation.target) + len(test.target) == len(data)
        True
        >>> int(train.timestamp.max()) < int(test.target.timestamp.min())
        True

    Args:
        dataset: All interactions.
        kind: The name of a kind of split (`time`, `leave-one-out`, `random`, `strong`, `cold-items`, `cold-users`,
            `given`), or a Splitter.
        options: Options of the kind.

    Returns:
        The parts; they unpack as `train, validation, test`.

    Raises:
        OptionError: For an unknown kind or option, or a value out of range.
        DataError: When a part would be empty or a needed column is missing.
    """
    if not isinstance(dataset, Dataset):
        raise DataError(f"found a {type(dataset).__name__}; expected a Dataset, such as genre.load(table)")
    splitter = kind if isinstance(kind, Splitter) else _from_name(kind, dict(options or {}))
    return splitter.split(dataset)


def _from_name(kind: str, options: dict[str, Any]) -> Splitter:
    if kind not in KINDS["split"]:
        raise OptionError(f"no split is called {kind!r}{nearest(kind, KINDS['split'])}; {', '.join(KINDS['split'])}")
    module, _, name = KINDS["split"][kind].partition(":")
    cls = getattr(importlib.import_module(module), name)
    check_names(cls, options)
    made: Splitter = cls(**options)
    return made


def assemble(
    dataset: Dataset,
    part: Part,
    notes: list[str],
    *,
    validation_context: tuple[int, ...] = (TRAIN,),
    test_context: tuple[int, ...] = (TRAIN, VALIDATION),
    empty_validation: bool = False,
) -> Split:
    """Build the Split from the part of each interaction.

    Args:
        dataset: All interactions.
        part: `[n]`, the number of the part of each interaction.
        notes: Notes to keep in the Split, after the sizes of the parts.
        validation_context: Parts whose interactions form the histories of the validation.
        test_context: Parts whose interactions form the histories of the test.
        empty_validation: Whether the validation part may be empty.

    Returns:
        The Split.

    Raises:
        DataError: When a part is empty.
    """
    counts = [int(np.count_nonzero(part == number)) for number in range(UNUSED)]
    for number, label in enumerate(("train", "validation", "test")):
        if counts[number] == 0 and not (number == VALIDATION and empty_validation):
            raise DataError(
                f"{dataset.name}: the {label} part is empty ({len(dataset):,} interactions, {dataset.n_users:,} users, "
                f"{dataset.n_items:,} items); give it a larger share, or choose other dates or another split"
            )
    train = apply_part_rules(dataset.where(part == TRAIN))

    def finished(numbers: tuple[int, ...]) -> Dataset:
        return train if numbers == (TRAIN,) else apply_part_rules(dataset.where(_any_of(part, numbers)), train)

    validation = Fold(finished(validation_context), finished((VALIDATION,)))
    test = Fold(lambda: finished(test_context), finished((TEST,)))
    notes = [f"{counts[TRAIN]:,} train, {counts[VALIDATION]:,} validation, {counts[TEST]:,} test", *notes]
    in_train = _present(train)
    for label, fold in (("validation", validation), ("test", test)):
        if len(fold.target):
            notes += _unseen_notes(label, in_train, _present(fold.target))
            notes += _repeat_notes(label, fold)
    return Split(train, validation, test, tuple(notes))


def _repeat_notes(label: str, fold: Fold) -> Iterator[str]:
    """Count the targets that the history of their user holds already."""
    seen, pairs = np.sort(fold.context.pairs()), fold.target.pairs()
    # by hashing, as `np.isin` does, this takes ten times as long
    if len(seen) and (known := int((seen[np.searchsorted(seen, pairs).clip(max=len(seen) - 1)] == pairs).sum())):
        yield (
            f"{label}: {known:,} of {len(pairs):,} interactions repeat an item of the user's history; they are no "
            "targets where seen items are excluded"
        )


def _any_of(part: Part, numbers: tuple[int, ...]) -> Mask:
    """Return `np.isin(part, numbers)` by one lookup in a table."""
    table = np.zeros(128, np.bool_)
    table[list(numbers)] = True
    return table[part]


def _present(part: Dataset) -> dict[str, Mask]:
    """Mark the users and the items that have interactions in a part."""
    present = {"users": np.zeros(part.n_users, np.bool_), "items": np.zeros(part.n_items, np.bool_)}
    mark(present["users"], part.user)
    mark(present["items"], part.item)
    return present


def _unseen_notes(label: str, in_train: dict[str, Mask], in_part: dict[str, Mask]) -> Iterator[str]:
    for side, present in in_part.items():
        if unseen := int((present & ~in_train[side]).sum()):
            yield f"{label}: {unseen:,} of {int(present.sum()):,} {side} are unseen in training"


@dataclass(eq=False)
class TimeSplit(Splitter):
    """A split of all interactions at two moments, so that the past predicts the future, as in production.

    train < start of validation <= validation < start of test <= test. Interactions at exactly the time of a cut all
    fall after it, so a part may be larger than its share; the notes of the split give the number.
    """

    validation: ValidationShare = 0.1
    test: TestShare = 0.1
    validation_from: Annotated[
        Moment,
        Doc("Start of the validation part instead of its share: a date, ISO text (2016-01-31, UTC) or unix seconds."),
    ] = None
    test_from: Annotated[
        Moment, Doc("Start of the test part instead of its share: a date, ISO text (2016-01-31, UTC) or unix seconds.")
    ] = None
    test_until: Annotated[
        Moment, Doc("End of the test part, given likewise; what happened then or later is not used. None: no end.")
    ] = None
    target: Annotated[
        Literal["all", "first", "last"],
        Doc("Each user's interactions in a part that count: all of them, only the first or only the last."),
    ] = "all"

    @override
    def split(self, dataset: Dataset) -> Split:
        if dataset.timestamp is None:
            raise DataError(f"{dataset.name}: a split by time needs timestamps; name their column or use kind: random")
        times = dataset.timestamp
        validation_start, test_start = self._starts(times)
        if validation_start > test_start:
            starts = f"validation starts at {_iso(validation_start)}, after test at {_iso(test_start)}"
            raise OptionError(f"{starts}; exchange them")
        part = (times >= validation_start).astype(np.int8)
        part += times >= test_start
        if self.test_until is not None:
            part[times >= _to_seconds(self.test_until, "test_until")] = UNUSED
        notes = [f"validation from {_iso(validation_start)}, test from {_iso(test_start)}"]
        for label, start in (("validation", validation_start), ("test", test_start)):
            if (tied := int(np.count_nonzero(times == start))) > 1:
                notes.append(f"{label}: {tied:,} interactions share the time of the cut; all are in the part after it")
        if self.target != "all":
            notes += _keep_one_target(dataset, part, self.target)
        return assemble(dataset, part, notes, empty_validation=self.validation == 0 and self.validation_from is None)

    @override
    def fold(self, dataset: Dataset, at: int, folds: int) -> Split:
        """Rolling origin (Tashman 2000): test parts of the share `test` each, back to back, the last one the newest."""
        if {self.validation_from, self.test_from, self.test_until} != {None}:
            raise OptionError("folds over time are cut by shares; leave validation_from, test_from and test_until out")
        if folds * self.test + self.validation >= 1:
            raise OptionError(
                f"{folds} test parts of {self.test:g} each and a validation part of {self.validation:g} leave nothing "
                "to learn from; make the shares smaller, or take fewer folds"
            )
        if dataset.timestamp is None:
            return self.split(dataset)  # which says what is missing
        starts = _newest(dataset.timestamp, *(self.test * left for left in range(folds, 0, -1)))
        until = starts[at + 1] if at + 1 < folds else None
        return replace(self, test_from=starts[at], test_until=until).split(dataset)

    def _starts(self, times: npt.NDArray[np.int64]) -> tuple[int, int]:
        """Return when validation and test start.

        Shares are shares of all interactions. Those of the validation are the newest before the test.
        """
        test_share, test_start = self.test, None
        if self.test_from is not None:
            test_start = _to_seconds(self.test_from, "test_from")
            test_share = np.count_nonzero(times >= test_start) / max(len(times), 1)
        test_by_share, validation_by_share = _newest(times, test_share, test_share + self.validation)
        if test_start is None:
            test_start = test_by_share
        if self.validation_from is not None:
            return _to_seconds(self.validation_from, "validation_from"), test_start
        return min(validation_by_share, test_start) if self.validation else test_start, test_start


@dataclass(eq=False)
class LeaveOneOut(Splitter):
    """A split of each user: the last interaction is the test, the one before it the validation, the rest is train.

    Users with fewer than three interactions are in train only. Interactions at the same time keep the given order; the
    notes count the users whose test ties with the interaction before it. Several with the same item at the same time,
    such as two lines of one basket, are in one part. Later interactions of other users are in train, which production
    cannot have; much of the literature uses this protocol.
    """

    @override
    def split(self, dataset: Dataset) -> Split:
        return self.fold(dataset, 0, 1)

    @override
    def fold(self, dataset: Dataset, at: int, folds: int) -> Split:
        """Test each user's last interaction but `folds` - 1 - `at`; the later ones are not used."""
        begins, later = _begins(dataset), folds - 1 - at
        rows = np.flatnonzero(begins)
        n_of_user = np.bincount(dataset.user[rows], minlength=dataset.n_users)
        users = np.flatnonzero(n_of_user >= 3 + later)
        part = np.zeros(len(rows), np.int8)
        last = np.cumsum(n_of_user)[users] - 1 - later
        part[last], part[last - 1] = TEST, VALIDATION
        for after in range(1, later + 1):
            part[last + after] = UNUSED
        notes = []
        if few := int((n_of_user > 0).sum()) - len(users):
            notes.append(f"{counted(few, 'user')} with fewer than {3 + later} interactions, in train only")
        if dataset.timestamp is None:
            notes.append("no timestamps: the given order decides which interaction is a user's last")
        elif tied := int((dataset.timestamp[rows[last]] == dataset.timestamp[rows[last - 1]]).sum()):
            notes.append(f"{tied:,} of {len(users):,} users: the test ties in time with the interaction before it")
        return assemble(dataset, part[np.cumsum(begins) - 1], notes)


def _begins(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Mark all interactions but those that repeat the one before: same user, item and time. [n]."""
    begins = np.ones(len(dataset), np.bool_)
    if dataset.timestamp is not None:
        columns = (dataset.user, dataset.item, dataset.timestamp)
        begins[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return begins


@dataclass(eq=False)
class RandomSplit(Splitter):
    """A split of the interactions at random, whatever their time: right for ratings, too optimistic for rankings."""

    validation: ValidationShare = 0.1
    test: TestShare = 0.1
    per_user: Annotated[
        bool, Doc("Take the shares of each user's interactions (each part rounded down) instead of all interactions.")
    ] = False
    seed: Annotated[int, Doc("Seed of the random draw.")] = 0

    @override
    def split(self, dataset: Dataset) -> Split:
        rank, size = self._draw(dataset)
        return self._parts(dataset, rank, size, _share(size, self.test))

    @override
    def fold(self, dataset: Dataset, at: int, folds: int) -> Split:
        """K-fold: the test part is one of `folds` equal pieces of the draw, the validation part comes after it."""
        rank, size = self._draw(dataset)
        start, end = size * at // folds, size * (at + 1) // folds
        return self._parts(dataset, (rank - start) % size, size, end - start)

    def _draw(self, dataset: Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the place of each interaction in a random order, and how many there are in that order."""
        rng = np.random.default_rng(self.seed)
        n = len(dataset)
        order = rng.permutation(n)
        rank, size = np.empty(n, np.int64), np.full(1, n)
        rank[order] = np.arange(n)
        if self.per_user:
            indptr = dataset.history().indptr
            within_user = np.lexsort((rank, dataset.user))
            rank[within_user] = np.arange(n) - np.repeat(indptr[:-1], np.diff(indptr))
            size = np.diff(indptr)[dataset.user]
        return rank, size

    def _parts(
        self,
        dataset: Dataset,
        rank: npt.NDArray[np.int64],
        size: npt.NDArray[np.int64],
        n_test: npt.NDArray[np.int64],
    ) -> Split:
        """Take the first `n_test` of the order as the test, those that follow as the validation."""
        n_validation = _share(size, self.validation)
        part = np.where(rank < n_test, TEST, np.where(rank < n_test + n_validation, VALIDATION, TRAIN)).astype(np.int8)
        return assemble(dataset, part, [], empty_validation=self.validation == 0)


@dataclass(eq=False)
class GivenSplit(Splitter):
    """The split that the data came with: validation and test files of the source, or its column of parts."""

    @override
    def split(self, dataset: Dataset) -> Split:
        if dataset.part is None:
            raise DataError(
                f"{dataset.name}: the data came without a split; name validation and test files or a part column in "
                "the data section, or choose another split"
            )
        return assemble(dataset, dataset.part, [], empty_validation=True)


def _share(sizes: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """Return `share` of each size, rounded down except for errors of floating point."""
    return np.floor(np.round(sizes * share, 6)).astype(np.int64)


def _newest(times: npt.NDArray[np.int64], *shares: float) -> list[int]:
    """Return for each share the time from which on at least so much of all interactions, and at least one, happened."""
    if len(times) == 0:
        return [0] * len(shares)
    places = [max(len(times) - max(round(len(times) * share), 1), 0) for share in shares]
    return [int(time) for time in np.partition(times, places)[places]]


def _to_seconds(value: date | str | int, option: str) -> int:
    """Return a moment as unix seconds; OptionError for text that is no date."""
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise OptionError(f"{option}: {value!r} is not a time; write 2016-01-31 or 2016-01-31T12:00") from error
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _iso(moment: int) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(moment)  # an order, not a time


def _keep_one_target(dataset: Dataset, part: Part, which: str) -> Iterator[str]:
    """Take all but the first or last interaction of each user out of validation and test, in place; yield notes."""
    for number, label in ((VALIDATION, "validation"), (TEST, "test")):
        rows = np.flatnonzero(part == number)
        users = dataset.user[rows]
        edge = np.diff(users, prepend=-1) != 0 if which == "first" else np.diff(users, append=-1) != 0
        part[rows[~edge]] = UNUSED
        if len(rows):
            yield f"{label}: the {which} of each user's interactions; {int((~edge).sum()):,} others are not used"
