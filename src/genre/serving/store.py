"""The log of what happened since a run was made: events, new items, deletions. On disk before anybody is told so.

One append-only log, numbered in the order of its commits. A store keeps it, `SQLiteStore` here (one machine),
`PostgresStore` in postgres.py (many). Knows outside ids only, and nothing about recommending or HTTP.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from genre.errors import NotAvailable, StoreError

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


def open_store(address: str | Path, *, must_exist: bool = False) -> EventStore:
    """`postgresql://...` is a PostgreSQL database, anything else the path of an SQLite file.

    Raises StoreError when it cannot be opened; must_exist: or when there is no such file yet.
    """
    if str(address).startswith(("postgresql://", "postgres://")):
        try:
            from genre.serving.postgres import PostgresStore
        except ImportError as error:
            raise NotAvailable("a log in PostgreSQL needs psycopg: pip install 'genre-rec[postgres]'") from error
        return PostgresStore(str(address))
    if must_exist and not Path(address).is_file():
        raise StoreError(f"{address}: no event log; it begins when the run is served, and --store says where it lies")
    return SQLiteStore(Path(address))


def beside(folder: Path) -> Path:
    """Where the log of a run lies unless somebody says otherwise: all runs of one experiment have the same."""
    folder = folder.resolve()
    experiment = re.sub(r"-[0-9a-f]{8}$", "", folder.name)  # without the run's key
    return folder.parent / f"{experiment}.events.sqlite"


def entry_of(
    kind: str, user_id: str, item_id: str, weight: float, timestamp: int, event_id: str | None, body: str
) -> Entry:
    """A row of the log's table as what it stands for."""
    if kind == "event":
        return Event(user_id, item_id, weight, timestamp, event_id)
    return ItemChange(item_id, json.loads(body)) if kind == "item" else Deletion(body)


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
