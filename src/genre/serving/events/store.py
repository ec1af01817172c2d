"""The values of the event log, append-only: events, changes of items, deletions of users. Stores are in log_table.py.

Entries are numbered in the order of their commits, and on disk before a call returns. Knows ids only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal, NamedTuple, get_args

from genre.serving.events.deletion import Deletion
from genre.serving.events.experiment_changes import ExperimentChange

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
