"""The event log in one SQLite file, for one machine."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from genre.errors import StoreError
from genre.serving.events.log_table import NEWEST_EVENTS, LogTable, event_of, same_event
from genre.serving.events.store import Event, key_name

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
_KEY_NAMES = f"""
SELECT DISTINCT substr(body, 1, 8) FROM log WHERE kind = 'deletion' AND body GLOB '{"[0-9a-f]" * 8}:{"[0-9a-f]" * 64}'
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
            self.key = self._read_key()

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(mode=0o600)  # ids and deeds of users: only this user may read the file, and those beside it
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    def _read_key(self) -> bytes:
        """Read the key of deleted users from the file beside the log, made where it is missing."""
        place = self.path.with_name(f"{self.path.name}.key")
        names = {name for (name,) in self._write.execute(_KEY_NAMES)}
        if not names:
            make_key(place)
        key = place.read_bytes() if place.exists() else b""
        if names and key_name(key) not in names:
            self.close()
            raise StoreError(
                f"{place}: not the key of the deleted users in {self.path}, who would come back without it; copy it "
                "from where the log was made"
            )
        return key

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
            user_id: tuple(filter(None, map(event_of, reversed(self._select(NEWEST_EVENTS, (user_id,))))))
            for user_id in user_ids
        }

    @override
    def close(self) -> None:
        self._write.close()
        self._read.close()


def make_key(place: Path) -> None:
    """Write a new key into a file that only this user may read; leave one that is there, also of another process.

    Args:
        place: The file.
    """
    if place.exists():
        return
    aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        place.hardlink_to(aside)
    except FileExistsError:
        pass
    finally:
        aside.unlink()


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: the event log cannot be used now ({error}); nothing was acknowledged") from error
