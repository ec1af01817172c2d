"""What is read of the event log, in SQL that every database knows. Does not know how the log is written or opened."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from genre.serving.events.deletion import DeletedUsers, Deletion
from genre.serving.events.log_rows import EVENT_COLUMNS, ROW_COLUMNS, entry_of, event_of
from genre.serving.events.store import (
    KINDS,
    LONGEST_HISTORY,
    PAGE,
    Activity,
    Entry,
    Event,
    Kind,
    Pruning,
    Row,
    ServedList,
    settle_times,
)

NEWEST_EVENTS = f"""
SELECT seq, {EVENT_COLUMNS} FROM log WHERE kind = 'event' AND user_id = ?
ORDER BY "timestamp" DESC, seq DESC LIMIT {LONGEST_HISTORY}
"""
ACTIVITY = """
SELECT item_id, latest / 3600 * 3600, count(*) FROM (
    SELECT item_id, max("timestamp") AS latest FROM log
    WHERE kind = 'event' AND weight > 0 AND "timestamp" >= ? AND "timestamp" <= ? AND seq <= ?
    GROUP BY item_id, user_id, "timestamp" / 86400
) AS daily GROUP BY 1, 2
"""
WHOLE_LOG = f"SELECT {ROW_COLUMNS} FROM log ORDER BY seq"


class LogReader(ABC):
    """Base of what reads the event log: a table `log` with the columns `ROW_COLUMNS`. Any thread may call any method.

    A row is an event, a changed item with its fields as JSON in `body`, or a deletion with the digest in `body`. Of an
    event whose `timestamp` is that of its arrival, `body` is the time that was sent, 0 where none was; of others, null;
    its own kind is `action`, and its circumstances, where it has some, are JSON in `origin`. A show that was sent as an
    event is such a row of kind `show`. A list has its length in `place`, its seconds in `value`, items and propensities
    as JSON in `body`, and run, recommender, source and fallback as JSON in `origin`, so that they are few texts.

    Attributes:
        key: The secret of the digests of deleted users.
    """

    key: bytes = b""
    placeholder: ClassVar[str]
    """What stands for a value in a statement."""
    table: ClassVar[str]
    """The name of the table in the database."""

    def __init__(self) -> None:
        self._n_deletions = 0  # that were made or seen

    @abstractmethod
    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds."""

    def _sql(self, statement: str) -> str:
        """Put this database's table and placeholder into a statement."""
        return _in_words_of(self.table, self.placeholder, statement)

    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        """Return the newest `LONGEST_HISTORY` events of users.

        Args:
            user_ids: The users.

        Returns:
            Events by user, oldest first, with times as `settle_times` returns them.
        """
        found: dict[str, list[tuple[int, Event]]] = {user_id: [] for user_id in user_ids}
        for seq, *row in self._newest_events(user_ids):
            if event := event_of(row):
                found[event.user_id].append((seq, event))
        now = int(time.time())
        settled = {
            user: settle_times([event for _, event in sorted(rows, key=_seq)], now) for user, rows in found.items()
        }
        return {user: tuple(sorted(events, key=lambda event: event.timestamp)) for user, events in settled.items()}

    @abstractmethod
    def _newest_events(self, user_ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the rows of `NEWEST_EVENTS` of several users."""

    def read(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> list[tuple[int, Entry]]:
        """Return the next `PAGE` entries of the log.

        Args:
            after: Number of the last entry that is not wanted.
            kinds: Kinds of entries that are.

        Returns:
            Numbers and entries, in order.
        """
        statement = f"SELECT {ROW_COLUMNS} FROM log WHERE seq > ? AND kind IN ({placeholders(len(kinds))})"
        while rows := self._select(self._sql(f"{statement} ORDER BY seq LIMIT {PAGE}"), (after, *kinds)):
            found = [(seq, entry_of(kind, event)) for seq, kind, *event in rows]
            if readable := [(seq, entry) for seq, entry in found if entry is not None]:
                # the process that deleted may have ended before it erased
                self._n_deletions += any(isinstance(entry, Deletion | Pruning) for _, entry in readable)
                return readable
            after = rows[-1][0]
        return []

    def last(self) -> int:
        """Return the number of the newest entry.

        Returns:
            The number, 0 for an empty log.
        """
        return int(self._select(self._sql("SELECT coalesce(max(seq), 0) FROM log"), ())[0][0])

    def activity(self, since: int, now: int, until: int) -> list[Activity]:
        """Count users by item and hour.

        Args:
            since: Time of the oldest event that counts, in seconds since 1970.
            now: The present; events ahead of it do not count.
            until: Number of the last entry that counts.

        Returns:
            The counts.
        """
        return [Activity(*row) for row in self._select(self._sql(ACTIVITY), (since, now, until))]

    def events_of(self, user_id: str) -> list[Event]:
        """Return all events of a user, shows that were sent as events among them.

        Args:
            user_id: The user.

        Returns:
            The events as they were recorded, in order of arrival.
        """
        return [entry for entry in self._entries_of(user_id, ("event", "show")) if isinstance(entry, Event)]

    def lists_of(self, user_id: str) -> list[ServedList]:
        """Return all lists that were sent to a user.

        Args:
            user_id: The user.

        Returns:
            The lists, in order.
        """
        return [entry for entry in self._entries_of(user_id, ("list",)) if isinstance(entry, ServedList)]

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
    def pages(self) -> Iterator[list[Row]]:
        """Read all rows of the log as it is now, page by page, while others write.

        Yields:
            Rows in order; those that no version of this program wrote are among them.
        """

    def _entries_of(self, user_id: str, kinds: Sequence[Kind]) -> list[Entry | None]:
        wanted = f"user_id = ? AND kind IN ({placeholders(len(kinds))})"
        statement = f"SELECT {ROW_COLUMNS} FROM log WHERE {wanted} ORDER BY seq"
        return [entry_of(kind, row) for _, kind, *row in self._select(self._sql(statement), (user_id, *kinds))]


@lru_cache(100)
def _in_words_of(table: str, placeholder: str, statement: str) -> str:
    return re.sub(r"\blog\b", table, statement).replace("?", placeholder)


def _seq(row: tuple[int, Event]) -> int:
    return row[0]


def placeholders(n: int) -> str:
    """Write the places of values in a statement.

    Args:
        n: How many there are.

    Returns:
        Such as `?, ?, ?`.
    """
    return ", ".join("?" * n)
