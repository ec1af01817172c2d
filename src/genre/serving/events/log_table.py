"""The contract of event stores: what SQLite and PostgreSQL write into the event log. `log_reader.py` reads it."""

from __future__ import annotations

import json
import math
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
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
from genre.serving.events.log_reader import LogReader
from genre.serving.events.log_rows import deletion_of, is_portable
from genre.serving.events.store import PAGE, WRITE_SECONDS, Event, Filled, ItemChange, Outcome, Row, ServedList

VERSION_3 = {"action": "TEXT", "list_id": "TEXT", "place": "BIGINT", "value": "DOUBLE PRECISION", "origin": "TEXT"}
"""Columns that version 3 added, with types that every database knows."""
VERSION_3_INDEXES = """
CREATE INDEX IF NOT EXISTS {prefix}by_list ON log (list_id, kind) WHERE list_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS {prefix}by_shown ON log (user_id) WHERE kind IN ('list', 'show');
"""
DELETIONS = """SELECT seq, body, "timestamp" FROM log WHERE kind = 'deletion' AND seq > ? ORDER BY seq"""
DELETE = "INSERT INTO log (kind, body, \"timestamp\") VALUES ('deletion', ?, ?)"
ERASE = "DELETE FROM log WHERE kind = 'event' AND user_id = ?"
ERASE_SHOWN = "DELETE FROM log WHERE kind IN ('list', 'show') AND user_id = ?"
PRUNE = "DELETE FROM log WHERE kind IN ('event', 'list', 'show') AND seq > ? AND seq <= ? AND \"timestamp\" < ?"
USERS = "SELECT DISTINCT user_id FROM log WHERE kind IN ('event', 'list', 'show') AND user_id IS NOT NULL"


class EventStore(LogReader):
    """Base of event stores: the log, read and written. Any thread may call any method.

    StoreError when the log cannot be used; of a call that writes, nothing was recorded then. UncertainWrite where it is
    not known whether it was.

    Attributes:
        unerased: What the database keeps of erased rows for a while, and until when.
    """

    unerased: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._deletions_until = 0  # number of the last entry whose deletion is in `_deleted`
        self._deleted: DeletedUsers | None = None
        self._n_erased = 0  # of the deletions that were made or seen, those whose rows are gone for good

    @abstractmethod
    def _transaction(self, deadline: float | None = None) -> AbstractContextManager[Any]:
        """Open a transaction: on disk when the block is left, or as if nothing had happened.

        StoreError where nothing was recorded, UncertainWrite where the commit itself failed.
        """

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
