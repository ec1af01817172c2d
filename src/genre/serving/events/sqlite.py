"""The event log in one SQLite file, for one machine."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from genre.errors import StoreError
from genre.serving.events.log_table import NEWEST_EVENTS, LogTable, same_event
from genre.serving.events.store import Event

_VERSION = 2
_TABLE = """
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    user_id TEXT, item_id TEXT, weight REAL, timestamp INTEGER, event_id TEXT,
    body TEXT
);
"""
_INDEXES = """
CREATE UNIQUE INDEX IF NOT EXISTS by_event ON log (user_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_user ON log (user_id, timestamp, seq) WHERE kind = 'event';
CREATE INDEX IF NOT EXISTS by_kind ON log (kind, seq) WHERE kind <> 'event';
"""
_SCHEMA = f"BEGIN IMMEDIATE; {_TABLE} {_INDEXES} PRAGMA user_version = {_VERSION}; COMMIT;"
_FROM_VERSION_1 = f"""
BEGIN IMMEDIATE;
DROP INDEX by_user; DROP INDEX by_kind; ALTER TABLE log RENAME TO old_log;
{_TABLE}
INSERT INTO log SELECT * FROM old_log;
DROP TABLE old_log;
{_INDEXES}
PRAGMA user_version = {_VERSION}; COMMIT;
"""
"""There, an event id was unique among all users."""
_APPEND = """
INSERT INTO log (kind, user_id, item_id, weight, timestamp, event_id) VALUES ('event', ?, ?, ?, ?, ?)
ON CONFLICT (user_id, event_id) WHERE event_id IS NOT NULL DO NOTHING
"""
_RECORDED = "SELECT item_id, weight, timestamp FROM log WHERE user_id = ? AND event_id = ?"


class SQLiteStore(LogTable):
    """The log in one SQLite file: write-ahead, every commit flushed to the disk. Several processes may share it.

    A commit costs one flush, however many events it holds.
    """

    placeholder, table = "?", "log"

    def __init__(self, path: Path) -> None:
        """Open the file, made where it is missing.

        Args:
            path: The file.

        Raises:
            StoreError: If it cannot be opened, or is of another version.
        """
        self.path = path
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with _store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write, self._read = self._connect(), self._connect()
            version = self._write.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, 1, _VERSION):
                self.close()
                raise StoreError(f"{path}: an event log of format {version}, this version reads {_VERSION}")
            if version < _VERSION:
                self._write.executescript(_FROM_VERSION_1 if version else _SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _store_errors(self.path), self._writing:
            self._write.execute("BEGIN IMMEDIATE")
            try:
                yield self._write
                self._write.execute("COMMIT")
            except BaseException:
                if self._write.in_transaction:
                    self._write.execute("ROLLBACK")
                raise

    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with _store_errors(self.path), self._reading:
            return self._read.execute(statement, values).fetchall()

    @override
    def record(self, events: Sequence[Event], now: int = 0) -> list[bool | None]:
        answers: list[bool | None] = []
        with self._transaction() as log:
            for e in events:
                row = (e.user_id, e.item_id, e.weight, e.timestamp or now, e.event_id)
                new = log.execute(_APPEND, row).rowcount == 1
                answers.append(new or same_event(e, log.execute(_RECORDED, (e.user_id, e.event_id)).fetchone()))
        return answers

    @override
    def delete_user(self, user_id: str) -> int:
        erased = super().delete_user(user_id)
        with _store_errors(self.path), self._writing:  # the write-ahead file holds old pages until it is emptied
            self._write.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    @override
    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        return {
            user_id: tuple(Event(*row) for row in reversed(self._select(NEWEST_EVENTS, (user_id,))))
            for user_id in user_ids
        }

    @override
    def close(self) -> None:
        self._write.close()
        self._read.close()


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: the event log cannot be used now ({error}); nothing was acknowledged") from error
