"""The event log, append-only: events, new and changed items, deleted users. Its values and the contract of its stores.

Entries are numbered in the order of their commits, and on disk before a call returns. Knows ids only.
"""

from __future__ import annotations

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

LONGEST_HISTORY = 1000  # newest events of one user that are read back
PAGE = 10_000  # entries of the log that are read at once


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction of a user and an item.

    Attributes:
        user_id: The user.
        item_id: The item.
        weight: Strength; 0: seen but not liked.
        timestamp: Seconds since 1970.
        event_id: The sender's own id of the event; one that was recorded of the user before is not recorded again.
    """

    user_id: str
    item_id: str
    weight: float = 1.0
    timestamp: int = 0
    event_id: str | None = None


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
class Deletion:
    """The deletion of a user.

    Attributes:
        digest: What `user_digest` returned; the id itself is not kept.
    """

    digest: str


Entry = Event | ItemChange | Deletion
Kind = Literal["event", "item", "deletion"]
KINDS: tuple[Kind, ...] = get_args(Kind)


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


def user_digest(user_id: str, key: bytes = b"") -> str:
    """Return the hash by which a deleted user is recognised.

    Without a key, a reader of the log can try out ids: a hundred thousand in a second.

    Args:
        user_id: The user.
        key: The key of the log; empty: the hash of logs of version 1.

    Returns:
        HMAC-SHA-256 of the id behind `key_name(key)`; without a key, SHA-256. In hexadecimal digits.
    """
    if not key:
        return hashlib.sha256(user_id.encode()).hexdigest()
    return f"{key_name(key)}:{hmac.digest(key, user_id.encode(), 'sha256').hex()}"


def key_name(key: bytes) -> str:
    """Return a short hash of a key, by which the digests that were made with it are recognised.

    Args:
        key: The key of a log.

    Returns:
        8 hexadecimal digits.
    """
    return hashlib.sha256(b"key of an event log" + key).hexdigest()[:8]


class DeletedUsers:
    """The users that were deleted, known by their digests alone."""

    def __init__(self, key: bytes, digests: Iterable[str] = ()) -> None:
        """Begin with some.

        Args:
            key: The key of the log.
            digests: Digests of deleted users.
        """
        self._key, self._digests = key, set(digests)

    def add(self, digest: str) -> None:
        """Add a user.

        Args:
            digest: The digest of a deletion.
        """
        self._digests.add(digest)

    def __contains__(self, user_id: str) -> bool:
        return bool(self._digests) and any(user_digest(user_id, key) in self._digests for key in (self._key, b""))


class EventStore(ABC):
    """Base of event stores. Any thread may call any method; StoreError when the log cannot be used.

    Attributes:
        key: The secret of the digests of deleted users.
    """

    key: bytes = b""

    @abstractmethod
    def record(self, events: Sequence[Event], now: int = 0) -> list[bool | None]:
        """Append events in one commit.

        Args:
            events: The events.
            now: The time of events without one, in seconds since 1970.

        Returns:
            For each event whether it is new; False where the user's event of this id was recorded before, None where
            it was recorded with another item, weight or time.
        """

    @abstractmethod
    def put_items(self, changes: Sequence[ItemChange]) -> None:
        """Append new or changed items in one commit.

        Args:
            changes: The changes.
        """

    @abstractmethod
    def delete_user(self, user_id: str) -> int:
        """Erase the events of a user and append the deletion, in one commit.

        Args:
            user_id: The user.

        Returns:
            Number of erased events.
        """

    @abstractmethod
    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        """Return the newest `LONGEST_HISTORY` events of users.

        Args:
            user_ids: The users.

        Returns:
            Events by user, oldest first.
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
    def activity(self, since: int, until: int) -> list[Activity]:
        """Count users by item and hour.

        Args:
            since: Time of the oldest event that counts, in seconds since 1970.
            until: Number of the last entry that counts.

        Returns:
            The counts.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections to the log."""

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
