"""Who may see what: a Dataset -> train, validation and test. Knows nothing about recommenders.

A `Fold` is a question: given these histories (`context`), find these interactions (`target`). The test's context holds
train and validation. Where cleaning keeps repeats, a target may be an item its context holds already; evaluation's
`exclude_seen` leaves those out and counts them. Splits that set users or items aside are in `cold.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from genre.data.dataset import Dataset
from genre.data.folds import TEST, TRAIN, UNUSED, VALIDATION, Fold, Part, Split
from genre.errors import DataError, OptionError
from genre.kernels.order import mark
from genre.kinds import KINDS
from genre.options import Ge, Gt, Lt, check_options, nearest, type_hints


class Splitter(ABC):
    """Base of all splits: a dataclass whose fields are its options."""

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def split(self, dataset: Dataset) -> Split:
        """Raises DataError when a part would be empty or a needed column is missing."""


def split(dataset: Dataset, kind: str | Splitter = "time", options: Mapping[str, Any] | None = None) -> Split:
    """Split by a Splitter, or by the name of a kind: `split(data, "time", {"test": 0.2})`.

    Raises OptionError for an unknown kind or option, DataError when a part would be empty.
    """
    return (kind if isinstance(kind, Splitter) else _named(kind, dict(options or {}))).split(dataset)


def _named(kind: str, options: dict[str, Any]) -> Splitter:
    import importlib

    if kind not in KINDS["split"]:
        raise OptionError(f"no split is called {kind!r}{nearest(kind, KINDS['split'])}; {', '.join(KINDS['split'])}")
    module, _, name = KINDS["split"][kind].partition(":")
    cls = getattr(importlib.import_module(module), name)
    for option in options:
        if option not in (known := type_hints(cls)):
            legal = ", ".join(known) or "it has none"
            raise OptionError(f"{name} has no option {option!r}{nearest(option, known)}; options: {legal}")
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
    """The Split whose parts are numbered in `part` `[n]`; DataError naming an empty one."""
    counts = [int(np.count_nonzero(part == number)) for number in range(UNUSED)]
    for number, label in enumerate(("train", "validation", "test")):
        if counts[number] == 0 and not (number == VALIDATION and empty_validation):
            raise DataError(
                f"{dataset.name}: the {label} part is empty ({len(dataset):,} interactions, {dataset.n_users:,} users, "
                f"{dataset.n_items:,} items); give it a larger share or choose another split"
            )
    train = dataset.where(part == TRAIN)
    context = train if validation_context == (TRAIN,) else dataset.where(_any_of(part, validation_context))
    validation = Fold(context, dataset.where(part == VALIDATION))
    test = Fold(lambda: dataset.where(_any_of(part, test_context)), dataset.where(part == TEST))
    notes = [f"{counts[TRAIN]:,} train, {counts[VALIDATION]:,} validation, {counts[TEST]:,} test", *notes]
    seen = _present(train)
    for label, fold in (("validation", validation), ("test", test)):
        if len(fold.target):
            notes += _cold(label, seen, _present(fold.target))
    return Split(train, validation, test, tuple(notes))


def _any_of(part: Part, numbers: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """`np.isin(part, numbers)` by one look into a table."""
    table = np.zeros(128, np.bool_)
    table[list(numbers)] = True
    return table[part]


def _present(part: Dataset) -> dict[str, npt.NDArray[np.bool_]]:
    """Which users and which items have interactions in a part."""
    present = {"users": np.zeros(part.n_users, np.bool_), "items": np.zeros(part.n_items, np.bool_)}
    mark(present["users"], part.user)
    mark(present["items"], part.item)
    return present


def _cold(label: str, seen: dict[str, npt.NDArray[np.bool_]], asked: dict[str, npt.NDArray[np.bool_]]) -> Iterator[str]:
    for side, wanted in asked.items():
        if cold := int((wanted & ~seen[side]).sum()):
            yield f"{label}: {cold:,} of {int(wanted.sum()):,} {side} are unseen in training"


@dataclass(eq=False)
class TimeSplit(Splitter):
    """Everybody's past predicts everybody's future: two moments cut all interactions, as in production.

    train < t1 <= validation < t2 <= test. Interactions at exactly the time of a cut all fall after it, so a part may be
    larger than asked; the split's notes say by how much.

    validation, test: share of the interactions in the part, 0 to 1; validation 0: none.
    validation_from, test_from: a date, ISO text (`2016-01-31`, UTC) or unix seconds instead of a share.
    target: `all` that a user did in the part, only the `first` or only the `last`.
    """

    validation: Annotated[float, Ge(0), Lt(1)] = 0.1
    test: Annotated[float, Gt(0), Lt(1)] = 0.1
    validation_from: datetime | date | str | int | None = None
    test_from: datetime | date | str | int | None = None
    target: Literal["all", "first", "last"] = "all"

    def split(self, dataset: Dataset) -> Split:
        if dataset.timestamp is None:
            raise DataError(f"{dataset.name}: a split by time needs timestamps; name their column or use kind: random")
        times = dataset.timestamp
        t2, t1 = _cuts(times, self.test, self.test + self.validation)
        if self.test_from is not None:
            t2 = _moment(self.test_from, "test_from")
        if self.validation_from is not None:
            t1 = _moment(self.validation_from, "validation_from")
        else:
            t1 = min(t1, t2) if self.validation else t2
        if t1 > t2:
            raise OptionError(f"validation starts at {_iso(t1)}, after test at {_iso(t2)}; exchange them")
        part = (times >= t1).astype(np.int8)
        part += times >= t2
        notes = [f"validation from {_iso(t1)}, test from {_iso(t2)}"]
        for label, moment in (("validation", t1), ("test", t2)):
            if (tied := int(np.count_nonzero(times == moment))) > 1:
                notes.append(f"{label}: {tied:,} interactions share the time of the cut; all are in the part after it")
        if self.target != "all":
            notes += _one_target(dataset, part, self.target)
        return assemble(dataset, part, notes, empty_validation=self.validation == 0 and self.validation_from is None)


@dataclass(eq=False)
class LeaveOneOut(Splitter):
    """Each user's last interaction is the test, the one before it the validation, all before that the train part.

    Users with fewer than three interactions are in train only. Among interactions of one time the given order decides;
    the notes count the users whose test ties with the interaction before it. Other users' later interactions are in
    train, so this is no picture of production; it is the protocol of much of the literature.
    """

    def split(self, dataset: Dataset) -> Split:
        indptr = dataset.history().indptr
        users = np.flatnonzero(np.diff(indptr) >= 3)
        part = np.zeros(len(dataset), np.int8)
        last = indptr[users + 1] - 1
        part[last], part[last - 1] = TEST, VALIDATION
        notes = []
        if few := int((np.diff(indptr) > 0).sum()) - len(users):
            notes.append(f"{few:,} users with fewer than three interactions are in train only")
        if dataset.timestamp is None:
            notes.append("no timestamps: the given order decides which interaction is a user's last")
        elif tied := int((dataset.timestamp[last] == dataset.timestamp[last - 1]).sum()):
            notes.append(f"{tied:,} of {len(users):,} users: the test ties in time with the interaction before it")
        return assemble(dataset, part, notes)


@dataclass(eq=False)
class RandomSplit(Splitter):
    """Each interaction goes to a part by lot, whatever its time: fit for ratings, flattering for rankings.

    validation, test: share of the interactions, 0 to 1; validation 0: none.
    per_user: draw the shares within each user's interactions (each part rounded down) instead of over all.
    seed: the lot.
    """

    validation: Annotated[float, Ge(0), Lt(1)] = 0.1
    test: Annotated[float, Gt(0), Lt(1)] = 0.1
    per_user: bool = False
    seed: int = 0

    def split(self, dataset: Dataset) -> Split:
        rng = np.random.default_rng(self.seed)
        n = len(dataset)
        lot = rng.permutation(n)
        rank, size = np.empty(n, np.int64), np.full(1, n)
        rank[lot] = np.arange(n)
        if self.per_user:
            indptr = dataset.history().indptr
            by_lot = np.lexsort((rank, dataset.user))
            rank[by_lot] = np.arange(n) - np.repeat(indptr[:-1], np.diff(indptr))
            size = np.diff(indptr)[dataset.user]
        n_test, n_validation = (_share(size, part) for part in (self.test, self.validation))
        part = np.where(rank < n_test, TEST, np.where(rank < n_test + n_validation, VALIDATION, TRAIN)).astype(np.int8)
        return assemble(dataset, part, [], empty_validation=self.validation == 0)


@dataclass(eq=False)
class GivenSplit(Splitter):
    """The split that the data came with: validation and test files of the source, or its column of parts."""

    def split(self, dataset: Dataset) -> Split:
        if dataset.part is None:
            raise DataError(
                f"{dataset.name}: the data came without a split; name validation and test files or a part column in "
                "the data section, or choose another split"
            )
        return assemble(dataset, dataset.part, [], empty_validation=True)


def _share(sizes: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """`share` of each size, rounded down but for the error of floating point."""
    return np.floor(np.round(sizes * share, 6)).astype(np.int64)


def _cuts(times: npt.NDArray[np.int64], *shares: float) -> list[int]:
    """For each share the latest time from which on at least so much of the interactions happened."""
    if len(times) == 0:
        return [0] * len(shares)
    places = [max(len(times) - max(round(len(times) * share), 1), 0) for share in shares]
    return [int(time) for time in np.partition(times, places)[places]]


def _moment(value: date | str | int, option: str) -> int:
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


def _one_target(dataset: Dataset, part: Part, which: str) -> Iterator[str]:
    """Take all but the first or last interaction of each user out of validation and test, in place."""
    for number, label in ((VALIDATION, "validation"), (TEST, "test")):
        rows = np.flatnonzero(part == number)
        users = dataset.user[rows]
        edge = np.diff(users, prepend=-1) != 0 if which == "first" else np.diff(users, append=-1) != 0
        part[rows[~edge]] = UNUSED
        if len(rows):
            yield f"{label}: the {which} of each user's interactions; {int((~edge).sum()):,} others are not used"
