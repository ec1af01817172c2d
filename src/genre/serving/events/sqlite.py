"""The event log in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genre.errors import StoreError
from genre.serving.events.store import (
    KINDS,
    LONGEST_HISTORY,
    PAGE,
    Activity,
    Entry,
    Event,
    EventStore,
    ItemChange,
    Kind,
    entry_of,
    user_digest,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    user_id TEXT, item_id TEXT, weight REAL, timestamp INTEGER, event_id TEXT UNIQUE,
    body TEXT
);
CREATE INDEX IF NOT EXISTS by_user ON log (user_id, timestamp, seq) WHERE kind = 'event';
CREATE INDEX IF NOT EXISTS by_kind ON log (kind, seq) WHERE kind <> 'event';
"""


_APPEND = """
INSERT INTO log (kind, user_id, item_id, weight, timestamp, event_id) VALUES ('event', ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO NOTHING
"""


_HISTORY = f"""
SELECT user_id, item_id, weight, timestamp, event_id FROM log WHERE kind = 'event' AND user_id = ?
ORDER BY timestamp DESC, seq DESC LIMIT {LONGEST_HISTORY}
"""


_ACTIVITY = """
SELECT item_id, latest / 3600 * 3600, count(*) FROM (
    SELECT item_id, max(timestamp) AS latest FROM log
    WHERE kind = 'event' AND weight > 0 AND timestamp >= ? AND seq <= ? GROUP BY item_id, user_id, timestamp / 86400
) GROUP BY 1, 2
"""


_VERSION = 1


class SQLiteStore(EventStore):
    """The log in one SQLite file: write-ahead, every commit flushed to the disk. Several processes may share it.

    A commit costs one flush however many events it holds, so callers hand over what is waiting in one call.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with _store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write, self._read = self._connect(), self._connect()
            version = self._write.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                self.close()
                raise StoreError(f"{path}: an event log of format {version}, this version reads {_VERSION}")
            if version == 0:
                self._write.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        """One transaction: on disk when the block is left, or as if it had never been."""
        with _store_errors(self.path), self._writing:
            self._write.execute("BEGIN IMMEDIATE")
            try:
                yield self._write
                self._write.execute("COMMIT")
            except BaseException:
                if self._write.in_transaction:
                    self._write.execute("ROLLBACK")
                raise

    def _select(self, query: str, *values: Any) -> list[Any]:
        with _store_errors(self.path), self._reading:
            return self._read.execute(query, values).fetchall()

    def record(self, events: Sequence[Event]) -> list[bool]:
        with self._commit() as log:
            return [
                log.execute(_APPEND, (e.user_id, e.item_id, e.weight, e.timestamp, e.event_id)).rowcount == 1
                for e in events
            ]

    def put_items(self, changes: Sequence[ItemChange]) -> None:
        rows = [(change.item_id, json.dumps(change.fields, ensure_ascii=False)) for change in changes]
        with self._commit() as log:
            log.executemany("INSERT INTO log (kind, item_id, body) VALUES ('item', ?, ?)", rows)

    def delete_user(self, user_id: str) -> int:
        with self._commit() as log:
            erased = log.execute("DELETE FROM log WHERE kind = 'event' AND user_id = ?", (user_id,)).rowcount
            log.execute("INSERT INTO log (kind, body) VALUES ('deletion', ?)", (user_digest(user_id),))
        with _store_errors(self.path), self._writing:  # the write-ahead file holds old pages until it is emptied
            self._write.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        return {
            user_id: tuple(Event(*row) for row in reversed(self._select(_HISTORY, user_id))) for user_id in user_ids
        }

    def read(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> list[tuple[int, Entry]]:
        wanted = ", ".join("?" for _ in kinds)
        rows = self._select(
            f"SELECT seq, kind, user_id, item_id, weight, timestamp, event_id, body FROM log "
            f"WHERE seq > ? AND kind IN ({wanted}) ORDER BY seq LIMIT {PAGE}",
            after,
            *kinds,
        )
        return [(seq, entry_of(*rest)) for seq, *rest in rows]

    def last(self) -> int:
        return int(self._select("SELECT coalesce(max(seq), 0) FROM log")[0][0])

    def activity(self, since: int, until: int) -> list[Activity]:
        return [Activity(*row) for row in self._select(_ACTIVITY, since, until)]

    def close(self) -> None:
        self._write.close()
        self._read.close()


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: the event log cannot be used now ({error}); nothing was acknowledged") from error
