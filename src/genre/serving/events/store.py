"""The event log, append-only: events, changes of items, deletions of users. Its values and the contract of its stores.

Entries are numbered in the order of their commits, and on disk before a call returns. Knows ids only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from genre.serving.events.deletion import DeletedUsers, Deletion
from genre.serving.events.experiment_changes import Decide, ExperimentChange

WRITE_SECONDS = 10.0  # that a write waits for its turn where its caller sets no deadline
LONGEST_HISTORY = 1000  # newest events of one user that are read back
PAGE = 10_000  # entries of the log that are read at once


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction of a user and an item.

    Attributes:
        user_id: The user.
        item_id: The item.
        weight: Strength; 0: seen but not liked; below 0, of a kind alone: takes earlier interactions back.
        timestamp: Seconds since 1970; of an event that is sent, 0: it happens now.
        event_id: The sender's own id of the event; one that was recorded of the user before is not recorded again.
        at_arrival: Whether `timestamp` is when the event arrived, by the clock of the service, because no time was sent
            or one ahead of that clock.
        kind: What the user did, such as `click`, which says what it weighs; `show`: the user saw the item. None: the
            weight says all.
        recommendation_id: The list that led to it, or None.
        position: Place of the item in that list, from 1, or None.
        value: What it is worth, such as a price; of `rate`, the stars. None: nothing is known.
        context: Its circumstances, names and values, such as a device.
    """

    user_id: str
    item_id: str
    weight: float = 1.0
    timestamp: int = 0
    event_id: str | None = None
    at_arrival: bool = False
    kind: str | None = None
    recommendation_id: str | None = None
    position: int | None = None
    value: float | None = None
    context: tuple[tuple[str, str], ...] = ()


class Outcome(Enum):
    """What became of an event that was sent."""

    NEW = "recorded"
    DUPLICATE = "duplicate"  # the user's event of this id was recorded before
    CONFLICT = "conflict"  # it was recorded with another item, weight, time, list or circumstances
    DELETED = "deleted"  # it happened before its user was deleted, so it is refused


@dataclass(frozen=True, slots=True)
class ServedList:
    """A list of recommended items that was sent to a user.

    Attributes:
        recommendation_id: Its id.
        user_id: The user, or None.
        run: Name of the run.
        recommender: Name of the recommender.
        source: How the list was made.
        fallback: Why a fallback made it, or None.
        items: Ids of the items, in order.
        propensities: Probability with which each item was put at its place, given those before it; empty: 1 each.
        timestamp: When it was made, in seconds since 1970.
        seconds: How long that took.
    """

    recommendation_id: str
    user_id: str | None
    run: str
    recommender: str
    source: str
    fallback: str | None
    items: tuple[str, ...]
    propensities: tuple[float, ...]
    timestamp: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A new item, or new values of some fields of an item.

    Attributes:
        item_id: The item.
        fields: Values by name of the field.
    """

    item_id: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pruning:
    """The removal of old events.

    Attributes:
        timestamp: Events from before this time were removed, in seconds since 1970.
    """

    timestamp: int


Entry = Event | ItemChange | Deletion | Pruning | ExperimentChange | ServedList
Kind = Literal["event", "item", "deletion", "pruning", "experiment", "list", "show"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CHANGES: tuple[Kind, ...] = ("event", "item", "deletion", "pruning", "experiment")
"""Kinds of entries that change what is recommended, and by which run; the others are what was shown."""


class Activity(NamedTuple):
    """Users who interacted with an item in an hour, with weight above 0.

    A user counts once an item and day, in the hour of the last event of that day.

    Attributes:
        item_id: The item.
        timestamp: Begin of the hour, in seconds since 1970.
        users: Number of users.
    """

    item_id: str
    timestamp: int
    users: int


Row = tuple[Any, ...]
"""A row of the table: the values of `ROW_COLUMNS` of log_table.py."""


class Filled(NamedTuple):
    """What a log took over from another one.

    Attributes:
        entries: Number of entries.
        unreadable: Number of rows that were left out, since they are of no version of this program or hold a NUL
            character, which PostgreSQL cannot.
        deleted: Number of users who were deleted since the other log was copied, and were deleted again.
    """

    entries: int
    unreadable: int
    deleted: int


def settle_times(events: Sequence[Event], now: int) -> list[Event]:
    """Correct the times of one user's events where clocks disagree; then the order of arrival decides.

    A time ahead of the present is from a clock that was wrong: it becomes the time of the event before. So does a time
    that the service's own clock gave, where it went back.

    Args:
        events: Events of one user, in order of arrival.
        now: The present, in seconds since 1970.

    Returns:
        The events, in the same order.
    """
    known = (event.timestamp for event in events if event.timestamp <= now)
    newest, settled = next(known, now), []
    for event in events:
        time = event.timestamp if event.timestamp <= now else newest
        time = max(time, newest) if event.at_arrival else time
        newest = max(time, newest)
        settled.append(event if time == event.timestamp else replace(event, timestamp=time))
    return settled


class EventStore(ABC):
    """Base of event stores. Any thread may call any method.

    StoreError when the log cannot be used; of a call that writes, nothing was recorded then. UncertainWrite where it is
    not known whether it was.

    Attributes:
        key: The secret of the digests of deleted users.
        unerased: What the database keeps of erased rows for a while, and until when.
    """

    key: bytes = b""
    unerased: ClassVar[str]

    @abstractmethod
    def record(self, events: Sequence[Event], now: int = 0, *, deadline: float | None = None) -> list[Outcome]:
        """Append events in one commit.

        Args:
            events: The events.
            now: The present in seconds since 1970; 0: by the clock of this machine.
            deadline: Moment of `time.monotonic()` after which nothing is written; None: in `WRITE_SECONDS`.

        Returns:
            What became of each event.
        """

    @abstractmethod
    def put_lists(self, lists: Sequence[ServedList], now: int = 0, *, deadline: float | None = None) -> int:
        """Append lists that were sent to users in one commit, without those of users who were deleted since.

        Args:
            lists: The lists.
            now: As in `record`.
            deadline: As in `record`.

        Returns:
            How many were recorded.
        """

    @abstractmethod
    def put_items(self, changes: Sequence[ItemChange], *, deadline: float | None = None) -> None:
        """Append new or changed items in one commit.

        Args:
            changes: The changes.
            deadline: As in `record`.
        """

    @abstractmethod
    def change_experiments(self, decide: Decide, *, deadline: float | None = None) -> ExperimentChange | None:
        """Append the start or the stop of an experiment, in one transaction with what decides that it is legal.

        Args:
            decide: Makes the change from all before it; what it raises is raised, and nothing is recorded.
            deadline: As in `record`.

        Returns:
            The change; None where there was nothing to change.
        """

    @abstractmethod
    def delete_user(self, user_id: str, now: int = 0, *, deadline: float | None = None) -> int:
        """Erase the events, lists and shows of a user and append the deletion, in one commit.

        What the database keeps of erased rows is removed by `erase`.

        Args:
            user_id: The user.
            now: The present in seconds since 1970; 0: by the clock of this machine.
            deadline: As in `record`.

        Returns:
            Number of erased events, without lists and shows.
        """

    @abstractmethod
    def prune(self, before: int) -> int:
        """Erase events, lists and shows from before a time, in short commits, and append the pruning, if any.

        Args:
            before: Seconds since 1970.

        Returns:
            Number of erased entries.
        """

    @abstractmethod
    def events_of(self, user_id: str) -> list[Event]:
        """Return all events of a user, shows that were sent as events among them.

        Args:
            user_id: The user.

        Returns:
            The events as they were recorded, in order of arrival.
        """

    @abstractmethod
    def lists_of(self, user_id: str) -> list[ServedList]:
        """Return all lists that were sent to a user.

        Args:
            user_id: The user.

        Returns:
            The lists, in order.
        """

    @abstractmethod
    def pages(self) -> Iterator[list[Row]]:
        """Read all rows of the log as it is now, page by page, while others write.

        Yields:
            Rows in order; those that no version of this program wrote are among them.
        """

    @abstractmethod
    def fill(self, pages: Iterable[Sequence[Row]], key: bytes, *, replace: bool = False) -> Filled:
        """Take over all rows of another log, with their numbers and its key, in one commit.

        Args:
            pages: What `pages` of the other log yields.
            key: The key of the other log.
            replace: Replace what is here. Users who were deleted here since the other log was copied stay deleted.

        Returns:
            What was taken over.

        Raises:
            StoreError: If this log is not empty and is not to be replaced, or knows deleted users by another key.
        """

    @abstractmethod
    def erase(self) -> None:
        """Remove what the database still keeps of erased rows, as far as that holds up no reader and no writer."""

    @property
    @abstractmethod
    def erased(self) -> bool:
        """Whether the database keeps nothing more of rows that were erased through this store or seen by it."""

    @abstractmethod
    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        """Return the newest `LONGEST_HISTORY` events of users.

        Args:
            user_ids: The users.

        Returns:
            Events by user, oldest first, with times as `settle_times` returns them.
        """

    @abstractmethod
    def read(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> list[tuple[int, Entry]]:
        """Return the next `PAGE` entries of the log.

        Args:
            after: Number of the last entry that is not wanted.
            kinds: Kinds of entries that are.

        Returns:
            Numbers and entries, in order.
        """

    @abstractmethod
    def last(self) -> int:
        """Return the number of the newest entry.

        Returns:
            The number, 0 for an empty log.
        """

    @abstractmethod
    def activity(self, since: int, now: int, until: int) -> list[Activity]:
        """Count users by item and hour.

        Args:
            since: Time of the oldest event that counts, in seconds since 1970.
            now: The present; events ahead of it do not count.
            until: Number of the last entry that counts.

        Returns:
            The counts.
        """

    @abstractmethod
    def query(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement that reads, on a connection of its own, so that it may take long and holds nothing up.

        Args:
            statement: SQL over the table `log` with `?` for values, which every database knows.
            values: The values.

        Returns:
            The rows that it finds.
        """

    @abstractmethod
    def claim(self, *, alone: bool = False) -> None:
        """Note until the store is closed that this process serves from the log.

        Args:
            alone: Let no other process serve from it, as is needed to replace it.

        Raises:
            StoreError: If another process serves from the log that may not be shared with this one.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections to the log."""

    def deleted_users(self) -> DeletedUsers:
        """Read which users were deleted.

        Returns:
            The users.
        """
        deleted = DeletedUsers(self.key)
        for deletion in [entry for entry in self.entries(kinds=("deletion",)) if isinstance(entry, Deletion)]:
            deleted.add(deletion)
        return deleted

    def entries(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> Iterator[Entry]:
        """Read the log page by page.

        Args:
            after: Number of the last entry that is not wanted.
            kinds: Kinds of entries that are.

        Yields:
            Entries, in order.
        """
        while page := self.read(after, kinds):
            yield from (entry for _, entry in page)
            after = page[-1][0]
