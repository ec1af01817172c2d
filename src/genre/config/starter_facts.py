"""What `genre init` measures of a user's data, once, before it chooses anything. Does not know what follows from it."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from genre.arrays import Int64
from genre.data.context import tells_requests
from genre.data.dataset import TITLE_COLUMNS, Dataset
from genre.data.folds import TEST
from genre.data.repeats import count_repeats
from genre.data.steps import branching, same_user, step_repeats
from genre.data.words import split_categories
from genre.evaluation.enough import LEAST_USERS, POPULAR
from genre.features.embedding import MINILM
from genre.preprocessing.sources.columns import N_SAMPLE
from genre.preprocessing.tables import plain_name
from genre.recommenders.shared_words import word_matrix

Form = Literal["table", "impressions", "events"]
Order = Literal["time", "positions", "lines", "none"]

NEWEST = 0.1
"""Share of the interactions that a split by time takes as the test."""
MOSTLY = 0.9
"""From this share on a property of steps holds for the data."""
MOSTLY_PEOPLE = 0.5
"""From this share of values on that are ids of users, a column holds users."""
PEOPLE = "friend friendid friends followee followeeid followed followedid following follows"
"""Names of columns of users; elsewhere numbers that are ids of users, too, say nothing."""
TIED = 0.1
"""From this share on, steps at one time are worth a line."""
ORDERS: dict[str, str] = {
    "time": "by time",
    "positions": "by times that count the interactions of a user, which are no dates",
    "lines": "by the lines of the file",
    "none": "unknown",
}
TELLING = 1.2
"""The order of lines is one in time where adjacent pairs repeat so many times as often as after a shuffle."""


@dataclass(frozen=True)
class Facts:
    """What was found in the data.

    Attributes:
        users: Users with interactions.
        items: Items of the catalogue.
        interactions: Interactions.
        order: What orders a history: a `time`, times that are `positions` in the history, the `lines` of the file, or
            `none`.
        calendar: Whether times are dates, so that days mean something.
        clock: Whether they are late enough to be those of requests, so that a ranker can read them.
        tied: Share of steps between interactions of a user that are at one time.
        step_repeats: Pairs of adjacent items that occur again, as a multiple of those after shuffling each history.
        branching: Different next items of an item, weighed by their shares: 1 where one always follows.
        repeats: Share of interactions that repeat an item of the same user.
        length: Interactions of the median user.
        judged_by_time: Users with a history before and an interaction in the newest tenth.
        judged_by_last: Users with at least three interactions.
        rated: Whether there are ratings.
        liked_from: The rating from which on an interaction is a like; None: every interaction is one.
        largest_weight: The largest weight.
        has_test: Whether the data names its test part.
        texts: The columns of items that hold text.
        text_model: The model that reads the texts: the multilingual one where it is installed and they are partly of
            scripts that only it knows.
        vectors: Files that hold vectors of items.
        pictures: The columns of items that name pictures.
        people: Whether items are users, so that interactions say who follows whom.
        friends: The column of users that holds ids of other users; None: there is none.
        taste: The column of users that lists things which several of them have; None: there is none.
        context: The columns with the circumstances of interactions.
        domain: The domain that the user names or the columns tell; None: none.
        exclude_seen: Whether the user leaves items of the history out of lists; None: trade and data decide.
        shared_words: Share of items whose title has a word that another title has, too.
        form: A `table` of interactions, a log of `impressions`, or `events` of several kinds.
        torch: Whether networks can be trained here.
    """

    users: int
    items: int
    interactions: int
    order: Order
    calendar: bool
    tied: float
    step_repeats: float
    branching: float
    repeats: float
    length: float
    judged_by_time: int
    judged_by_last: int
    rated: bool
    liked_from: float | None
    largest_weight: float
    has_test: bool
    texts: tuple[str, ...]
    shared_words: float = 0.0
    text_model: str = MINILM
    vectors: tuple[Path, ...] = ()
    pictures: tuple[str, ...] = ()
    people: bool = False
    friends: str | None = None
    taste: str | None = None
    context: tuple[str, ...] = ()
    domain: str | None = None
    exclude_seen: bool | None = None
    form: Form = "table"
    torch: bool = True
    clock: bool = False

    @property
    def blocks(self) -> dict[str, Path | None]:
        """The blocks of the item features: the text, then each file of vectors by its name."""
        named = {path.stem: path for path in self.vectors}
        return {**({"text": None} if self.texts else {}), **named}

    @property
    def ordered(self) -> bool:
        """Whether it is known what came first in a history."""
        return self.order != "none"


def measure(
    dataset: Dataset,
    *,
    calendar: bool,
    in_order: bool,
    texts: tuple[str, ...] = (),
    columns: Collection[str] = (),
    domain: str | None = None,
) -> Facts:
    """Measure everything that the choices of a first config depend on.

    Args:
        dataset: All interactions.
        calendar: Whether times are seconds since 1970.
        in_order: Whether the form of the file says that histories are in order.
        texts: The columns of items that hold text.
        columns: Names of all columns of the source, as `plain_name` writes them.
        domain: The domain that the user names or the columns tell.

    Returns:
        The facts.
    """
    friends, taste = _columns_of_lists(dataset)
    some_items = dataset.item_ids.values.slice(0, N_SAMPLE).to_pylist()
    of_sides = {plain_name(name) for side in (dataset.users, dataset.items) for name in side.column_names}
    lengths = np.bincount(dataset.user, minlength=dataset.n_users)
    lengths = lengths[lengths > 0]
    order = _order(dataset, in_order=in_order)
    ordered = order != "none"
    return Facts(
        users=len(lengths),
        items=dataset.n_items,
        interactions=len(dataset),
        order=order,
        calendar=calendar and order == "time",
        clock=calendar and order == "time" and tells_requests(dataset.timestamp),
        tied=_share_tied(dataset),
        step_repeats=step_repeats(dataset) if ordered else 1.0,
        branching=branching(dataset) if ordered else float("nan"),
        repeats=count_repeats(dataset) / max(len(dataset), 1),
        length=float(np.median(lengths)) if len(lengths) else 0.0,
        judged_by_time=_judged_by_time(dataset) if order == "time" else 0,
        judged_by_last=int((lengths >= 3).sum()),
        rated=dataset.rating is not None,
        liked_from=dataset.positive_rating,
        largest_weight=float(dataset.weight.max(initial=0)),
        has_test=dataset.part is not None and bool((dataset.part == TEST).any()),
        texts=texts,
        shared_words=_share_sharing_words(dataset) if any(name in TITLE_COLUMNS for name in texts) else 0.0,
        people=_are_people(dataset, some_items, named=bool({*PEOPLE.split()} & {*columns} - of_sides)),
        friends=friends,
        taste=taste,
        context=tuple(dataset.context_names),
        domain=domain,
        torch=importlib.util.find_spec("torch") is not None,
    )


def describe(facts: Facts) -> Iterator[str]:
    """Say what was measured, for people.

    Args:
        facts: The facts.

    Yields:
        Lines.
    """
    size = f"{facts.users:,} users, {facts.items:,} items, {facts.interactions:,} interactions"
    yield f"{size}, {facts.length:g} of the median user"
    yield f"order of a history: {ORDERS[facts.order]}"
    if facts.tied >= TIED:
        yield f"{facts.tied:.0%} of the steps between interactions of a user are at one time, so their order is chance"
    if facts.ordered and facts.length > 1:
        yield (
            f"adjacent items occur together again {facts.step_repeats:.1f} times as often as in shuffled histories; "
            f"{facts.branching:.1f} next items for one item"
        )
    if facts.vectors:
        yield f"vectors of items: {', '.join(path.name for path in facts.vectors)}"
    if facts.pictures:
        yield f"pictures of items: {', '.join(facts.pictures)}"
    if facts.context:
        yield f"circumstances of interactions: {', '.join(facts.context)}; a `ranker` reads them"
    if facts.users < LEAST_USERS:
        yield f"warning: fewer than {LEAST_USERS} users; {POPULAR}"
    yield f"{facts.repeats:.1%} of the interactions repeat an item of the same user"


def _order(dataset: Dataset, *, in_order: bool) -> Order:
    """Find out what orders a history."""
    if dataset.timestamp is not None:
        return "positions" if _are_positions(dataset) else "time"
    if in_order or (not _is_sorted(dataset) and step_repeats(dataset) >= TELLING):
        return "lines"
    return "none"


def _are_positions(dataset: Dataset) -> bool:
    """Tell whether times count the interactions of each user: all histories start alike, or all steps are equal."""
    assert dataset.timestamp is not None
    steps = np.diff(dataset.timestamp)[same_user(dataset)]
    if len(steps) == 0:
        return False
    if _share_of_commonest(steps) >= MOSTLY and np.median(steps) > 0:
        return True
    first = dataset.timestamp[np.flatnonzero(np.diff(dataset.user, prepend=-1))]
    return len(first) > 1 and _share_of_commonest(first) >= MOSTLY and bool(steps.any())


def _share_of_commonest(values: Int64) -> float:
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


def _share_sharing_words(dataset: Dataset) -> float:
    counts = word_matrix(dataset.titles())
    shared = np.bincount(counts.indices, minlength=counts.shape[1]) > 1
    return float((np.diff(counts[:, shared].indptr) > 0).mean()) if dataset.n_items else 0.0


def _columns_of_lists(dataset: Dataset) -> tuple[str | None, str | None]:
    """Find the first column of users that lists other users, and the first that lists things which they share."""
    friends, taste = None, None
    for name in map(str, dataset.users.column_names[1:]):
        lists = [split_categories(value) for value in dataset.users[name].slice(0, N_SAMPLE).to_pylist()]
        values = [value for some in lists for value in some]
        if not any(len(some) > 1 for some in lists):
            continue
        if _are_people(dataset, values, named=plain_name(name) in PEOPLE.split()):
            friends = friends or name
        elif 2 * len(set(values)) <= len(values):
            taste = taste or name
    return friends, taste


def _are_people(dataset: Dataset, values: Sequence[object], *, named: bool) -> bool:
    """Tell whether most values are users: by a name, or by ids that are more than numbers, which meet by chance."""
    ids = list(map(str, values))
    telling = named or 2 * sum(value.isdigit() for value in ids) < len(ids)
    return telling and float(np.mean(dataset.user_ids.rows(ids) >= 0)) >= MOSTLY_PEOPLE


def _share_tied(dataset: Dataset) -> float:
    if dataset.timestamp is None or len(dataset) < 2:
        return 0.0
    steps = np.diff(dataset.timestamp)[same_user(dataset)]
    return float((steps == 0).mean()) if len(steps) else 0.0


def _is_sorted(dataset: Dataset) -> bool:
    """Tell whether the lines of a user are sorted by item or by weight, so that their order says nothing of time."""
    inside = same_user(dataset)
    if not inside.any():
        return True
    ids = dataset.item_ids.values.to_pylist()
    number = np.array([int(one) if str(one).isdigit() else at for at, one in enumerate(ids)])
    columns = [number[dataset.item], dataset.weight if dataset.rating is None else dataset.rating]
    steps = [np.diff(column)[inside] for column in columns]
    shares = [[(step >= 0).mean(), (step <= 0).mean()] for step in steps if step.any()]
    return any(max(pair) >= MOSTLY for pair in shares)


def _judged_by_time(dataset: Dataset) -> int:
    """Count the users with interactions on both sides of the time from which on the newest tenth happened."""
    assert dataset.timestamp is not None
    cut = np.partition(dataset.timestamp, place := int((1 - NEWEST) * len(dataset)))[place]
    late = np.bincount(dataset.user, dataset.timestamp >= cut, dataset.n_users) > 0
    early = np.bincount(dataset.user, dataset.timestamp < cut, dataset.n_users) > 0
    return int((late & early).sum())
