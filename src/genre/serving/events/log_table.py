"""The contract of event stores, and the event log as one SQL table: what SQLite and PostgreSQL share."""

from __future__ import annotations

import json
import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, ClassVar

from genre.errors import StoreError
from genre.serving.events.deletion import DeletedUsers, Deletion, user_digest
from genre.serving.events.experiment_changes import (
    EXPERIMENTS,
    PUT_EXPERIMENT,
    Decide,
    ExperimentChange,
    change_of_row,
    row_of_change,
)
from genre.serving.events.list_rows import PUT_LIST, list_row
from genre.serving.events.log_rows import EVENT_COLUMNS, ROW_COLUMNS, deletion_of, entry_of, event_of, is_portable
from genre.serving.events.store import (
    KINDS,
    LONGEST_HISTORY,
    PAGE,
    WRITE_SECONDS,
    Activity,
    Entry,
    Event,
    Filled,
    ItemChange,
    Kind,
    Outcome,
    Pruning,
    Row,
    ServedList,
    settle_times,
)

VERSION_3 = {"action": "TEXT", "list_id": "TEXT", "place": "BIGINT", "value": "DOUBLE PRECISION", "origin": "TEXT"}
"""Columns that version 3 added, with types that every database knows."""
VERSION_3_INDEXES = """
CREATE INDEX IF NOT EXISTS {prefix}by_list ON log (list_id, kind) WHERE list_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS {prefix}by_shown ON log (user_id) WHERE kind IN ('list', 'show');
"""
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
DELETIONS = """SELECT seq, body, "timestamp" FROM log WHERE kind = 'deletion' AND seq > ? ORDER BY seq"""

DELETE = "INSERT INTO log (kind, body, \"timestamp\") VALUES ('deletion', ?, ?)"
ERASE = "DELETE FROM log WHERE kind = 'event' AND user_id = ?"
ERASE_SHOWN = "DELETE FROM log WHERE kind IN ('list', 'show') AND user_id = ?"
PRUNE = "DELETE FROM log WHERE kind IN ('event', 'list', 'show') AND seq > ? AND seq <= ? AND \"timestamp\" < ?"
WHOLE_LOG = f"SELECT {ROW_COLUMNS} FROM log ORDER BY seq"
USERS = "SELECT DISTINCT user_id FROM log WHERE kind IN ('event', 'list', 'show') AND user_id IS NOT NULL"


class EventStore(ABC):
    """Base of event stores: a table `log` with the columns `ROW_COLUMNS`. Any thread may call any method.

    StoreError when the log cannot be used; of a call that writes, nothing was recorded then. UncertainWrite where it is
    not known whether it was.

    A row is an event, a changed item with its fields as JSON in `body`, or a deletion with the digest in `body`. Of an
    event whose `timestamp` is that of its arrival, `body` is the time that was sent, 0 where none was; of others, null;
    its own kind is `action`, and its circumstances, where it has some, are JSON in `origin`. A show that was sent as an
    event is such a row of kind `show`. A list has its length in `place`, its seconds in `value`, items and propensities
    as JSON in `body`, and run, recommender, source and fallback as JSON in `origin`, so that they are few texts.

    Attributes:
        key: The secret of the digests of deleted users.
        unerased: What the database keeps of erased rows for a while, and until when.
    """

    key: bytes = b""
    unerased: ClassVar[str]
    placeholder: ClassVar[str]
    """What stands for a value in a statement."""
    table: ClassVar[str]
    """The name of the table in the database."""

    def __init__(self) -> None:
        self._deletions_until = 0  # number of the last entry whose deletion is in `_deleted`
        self._deleted: DeletedUsers | None = None
        self._n_deletions = self._n_erased = 0  # that were made or seen; of them, those whose rows are gone for good

    @abstractmethod
    def _transaction(self, deadline: float | None = None) -> AbstractContextManager[Any]:
        """Open a transaction: on disk when the block is left, or as if nothing had happened.

        StoreError where nothing was recorded, UncertainWrite where the commit itself failed.
        """

    @abstractmethod
    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds."""

    def _sql(self, statement: str) -> str:
        """Put this database's table and placeholder into a statement."""
        return _in_words_of(self.table, self.placeholder, statement)

    def _users_deleted(self, log: Any) -> DeletedUsers:
        """Return the users that were deleted until now, in a transaction that no deletion can overtake."""
        known = self._deleted = self._deleted or DeletedUsers(self.key)
        for seq, digest, timestamp in log.execute(self._sql(DELETIONS), (self._deletions_until,)).fetchall():
            self._deletions_until = seq
            if deletion := deletion_of(digest, timestamp):
                known.add(deletion)
        return known

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

    def put_items(self, changes: Sequence[ItemChange], *, deadline: float | None = None) -> None:
        """Append new or changed items in one commit.

        Args:
            changes: The changes.
            deadline: As in `record`.
        """
        with self._transaction(deadline) as log:
            for change in changes:
                row = (change.item_id, json.dumps(change.fields, ensure_ascii=False))
                log.execute(self._sql("INSERT INTO log (kind, item_id, body) VALUES ('item', ?, ?)"), row)

    def put_lists(self, lists: Sequence[ServedList], now: int = 0, *, deadline: float | None = None) -> int:
        """Append lists that were sent to users in one commit, without those of users who were deleted since.

        Args:
            lists: The lists.
            now: As in `record`.
            deadline: As in `record`.

        Returns:
            How many were recorded.
        """
        now = now or int(time.time())
        with self._transaction(deadline) as log:
            deleted = self._users_deleted(log)
            kept = [
                one for one in lists if one.user_id is None or not is_late(one.user_id, one.timestamp, now, deleted)
            ]
            self._many(log, PUT_LIST, [list_row(one) for one in kept])
        return len(kept)

    def change_experiments(self, decide: Decide, *, deadline: float | None = None) -> ExperimentChange | None:
        """Append the start or the stop of an experiment, in one transaction with what decides that it is legal.

        Args:
            decide: Makes the change from all before it; what it raises is raised, and nothing is recorded.
            deadline: As in `record`.

        Returns:
            The change; None where there was nothing to change.
        """
        with self._transaction(deadline) as log:
            rows = log.execute(self._sql(EXPERIMENTS), ()).fetchall()
            change = decide([known for row in rows if (known := change_of_row(*row)) is not None])
            if change is not None:
                log.execute(self._sql(PUT_EXPERIMENT), row_of_change(change))
        return change

    @abstractmethod
    def _many(self, log: Any, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement for each of some rows, in a transaction."""

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
        with self._transaction(deadline) as log:
            erased = log.execute(self._sql(ERASE), (user_id,)).rowcount
            log.execute(self._sql(ERASE_SHOWN), (user_id,))
            log.execute(self._sql(DELETE), (user_digest(user_id, self.key), now or int(time.time())))
        self._n_deletions += 1
        return int(erased)

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

    def prune(self, before: int) -> int:
        """Erase events, lists and shows from before a time, in short commits, and append the pruning, if any.

        Args:
            before: Seconds since 1970.

        Returns:
            Number of erased entries.
        """
        erased, last = 0, self.last()
        for start in range(0, last, PAGE):
            with self._transaction() as log:
                n_events = log.execute(self._sql(PRUNE), (start, start + PAGE, before)).rowcount
                if n_events:  # so that every process counts anew
                    log.execute(self._sql("INSERT INTO log (kind, \"timestamp\") VALUES ('pruning', ?)"), (before,))
            erased += n_events
            self._n_deletions += n_events > 0
        return erased

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
        entries = unreadable = 0
        with self._transaction(math.inf) as log:
            before = self._deletions_of(log)
            ((n_entries,),) = log.execute(self._sql("SELECT count(*) FROM log")).fetchall()
            if n_entries and not replace:
                raise StoreError(f"the log to fill has {n_entries:,} entries already; name an empty one")
            if before and key != self.key:
                raise StoreError("the log to replace knows its deleted users by another key; move it away first")
            log.execute(self._sql("DELETE FROM log"))
            for page in pages:
                readable = [row for row in page if is_portable(row)]
                self._insert(log, readable)
                entries, unreadable = entries + len(readable), unreadable + len(page) - len(readable)
            self._end_filling(log, key)
            deleted = self._delete_again(log, before - self._deletions_of(log))
        self._deletions_until, self._deleted = 0, None
        self._n_deletions += 1
        return Filled(entries, unreadable, deleted)

    def _deletions_of(self, log: Any) -> set[tuple[str, int]]:
        """Return digest and time of each deletion in the log, in a transaction."""
        rows = log.execute(self._sql(DELETIONS), (0,)).fetchall()
        return {(digest, timestamp or 0) for _, digest, timestamp in rows if deletion_of(digest, timestamp)}

    def _delete_again(self, log: Any, deletions: set[tuple[str, int]]) -> int:
        """Erase the events of users who were deleted after a copy of the log was made, in a transaction."""
        again = DeletedUsers(self.key)
        for digest, timestamp in sorted(deletions):
            again.add(Deletion(digest, timestamp))
            log.execute(self._sql(DELETE), (digest, timestamp))
        if deletions:
            users = log.execute(self._sql(USERS)).fetchall()
            for user in [user for user in users if user[0] in again]:
                log.execute(self._sql(ERASE), user)
                log.execute(self._sql(ERASE_SHOWN), user)
        return len(deletions)

    @abstractmethod
    def _insert(self, log: Any, rows: Sequence[Row]) -> None:
        """Insert whole rows with their numbers, in a transaction."""

    @abstractmethod
    def _end_filling(self, log: Any, key: bytes) -> None:
        """Go on with the next number and the other log's key, in a transaction."""

    def erase(self) -> None:
        """Remove what the database still keeps of erased rows, as far as that holds up no reader and no writer."""
        n_deletions = self._n_deletions  # another one may come while these are erased
        if self._n_erased < n_deletions and self._erase_freed_rows():
            self._n_erased = n_deletions

    @property
    def erased(self) -> bool:
        """Whether the database keeps nothing more of rows that were erased through this store or seen by it."""
        return self._n_erased == self._n_deletions

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

    @abstractmethod
    def _erase_freed_rows(self) -> bool:
        """Remove what the database keeps of erased rows; return whether all of it is gone."""


@lru_cache(100)
def _in_words_of(table: str, placeholder: str, statement: str) -> str:
    return re.sub(r"\blog\b", table, statement).replace("?", placeholder)


def _seq(row: tuple[int, Event]) -> int:
    return row[0]


def time_left(deadline: float | None) -> float:
    """Return how long a write may wait for its turn.

    Args:
        deadline: Moment of `time.monotonic()`; None: in `WRITE_SECONDS`.

    Returns:
        Seconds, above 0.

    Raises:
        StoreError: If the moment has passed.
    """
    left = WRITE_SECONDS if deadline is None else deadline - time.monotonic()
    if left <= 0:
        raise StoreError("the event log is busy; nothing was recorded")
    return left


def placeholders(n: int) -> str:
    """Write the places of values in a statement.

    Args:
        n: How many there are.

    Returns:
        Such as `?, ?, ?`.
    """
    return ", ".join("?" * n)


def is_late(user_id: str, timestamp: int, now: int, deleted: DeletedUsers) -> bool:
    """Tell whether something happened before its user was deleted, such as an event that is sent again.

    Args:
        user_id: The user.
        timestamp: When it happened, in seconds since 1970; 0: now.
        now: The present.
        deleted: The deleted users.

    Returns:
        Whether it is refused. Where the clock was wrong, the order of arrival decides, and it is not.
    """
    if not deleted.n_deletions or timestamp == 0 or timestamp > now:
        return False
    deleted_at = deleted.deleted_at(user_id)
    return deleted_at is not None and timestamp <= deleted_at <= now
