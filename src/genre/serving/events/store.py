"""The log of what happened since a run was made: events, new items, deletions. On disk before anybody is told so.

One append-only log, numbered in the order of its commits. A store keeps it, `SQLiteStore` here (one machine),
`PostgresStore` in postgres.py (many). Knows outside ids only, and nothing about recommending or HTTP.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

LONGEST_HISTORY = 1000  # newest events of one user that are read back
PAGE = 10_000  # entries of the log read at once


@dataclass(frozen=True, slots=True)
class Event:
    """A user met an item. `weight` is the strength, 0 = seen but not liked; `timestamp` seconds since 1970.

    event_id: the sender's own number for it; the same number again is not counted again.
    """

    user_id: str
    item_id: str
    weight: float = 1.0
    timestamp: int = 0
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item was added, or its fields were changed."""

    item_id: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A user was deleted; `digest` is `user_digest(user_id)`, the id itself is nowhere."""

    digest: str


Entry = Event | ItemChange | Deletion
Kind = Literal["event", "item", "deletion"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Activity(NamedTuple):
    """How many users took an item, with weight above 0, in the hour that began at `timestamp`.

    A user counts once an item and day, in the hour of the last event of that day.
    """

    item_id: str
    timestamp: int
    users: int


def user_digest(user_id: str) -> str:
    return hashlib.sha256(user_id.encode()).hexdigest()


class EventStore(ABC):
    """Base of all stores. Every method may be called from any thread; StoreError when the log cannot be reached."""

    @abstractmethod
    def record(self, events: Sequence[Event]) -> list[bool]:
        """Append events in one commit, on disk when this returns. False for an event id that was counted before."""

    @abstractmethod
    def put_items(self, changes: Sequence[ItemChange]) -> None:
        """Append new or changed items, on disk when this returns."""

    @abstractmethod
    def delete_user(self, user_id: str) -> int:
        """Erase every event of a user and note the deletion; how many events there were."""

    @abstractmethod
    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        """The newest `LONGEST_HISTORY` events of each user, oldest first."""

    @abstractmethod
    def read(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> list[tuple[int, Entry]]:
        """The next `PAGE` entries of the log behind number `after`, with their numbers."""

    @abstractmethod
    def last(self) -> int:
        """The number of the newest entry, 0 for an empty log."""

    @abstractmethod
    def activity(self, since: int, until: int) -> list[Activity]:
        """Users by item and hour since a time, in the log up to entry number `until`."""

    @abstractmethod
    def close(self) -> None: ...

    def entries(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> Iterator[Entry]:
        """The whole log behind `after`, page by page."""
        while page := self.read(after, kinds):
            yield from (entry for _, entry in page)
            after = page[-1][0]


def entry_of(
    kind: str, user_id: str, item_id: str, weight: float, timestamp: int, event_id: str | None, body: str
) -> Entry:
    """A row of the log's table as what it stands for."""
    if kind == "event":
        return Event(user_id, item_id, weight, timestamp, event_id)
    return ItemChange(item_id, json.loads(body)) if kind == "item" else Deletion(body)
