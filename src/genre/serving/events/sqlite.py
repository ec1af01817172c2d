"""The event log in one SQLite file, for one machine."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from typing_extensions import override

from genre.errors import StoreError, UncertainWrite
from genre.serving.events.deletion import key_name
from genre.serving.events.log_reader import NEWEST_EVENTS, WHOLE_LOG, placeholders
from genre.serving.events.log_rows import EVENT_COLUMNS, RECORDED_COLUMNS, compare_with_recorded, timed_row
from genre.serving.events.log_table import VERSION_3, VERSION_3_INDEXES, EventStore, is_late, time_left
from genre.serving.events.store import PAGE, Event, Outcome, Row
from genre.sqlite_files import use_write_ahead_log

_VERSION = 3
_WAIT_SECONDS = 10.0  # for another process that writes
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
_FROM_VERSION = {
    0: _TABLE + _INDEXES,
    1: f"""
DROP INDEX by_user; DROP INDEX by_kind; ALTER TABLE log RENAME TO old_log;
{_TABLE}
INSERT INTO log SELECT * FROM old_log;
DROP TABLE old_log;
{_INDEXES}
""",  # there, an event id was unique among all users
    2: "".join(f"ALTER TABLE log ADD COLUMN {name} {kind};" for name, kind in VERSION_3.items())
    + VERSION_3_INDEXES.format(prefix=""),
}
"""What makes a log of the version after it; 0, an empty file, becomes version 2."""
_APPEND = f"""
INSERT INTO log (kind, {EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (user_id, event_id) WHERE event_id IS NOT NULL DO NOTHING
"""
_KEY_TABLE = "CREATE TABLE IF NOT EXISTS log_key (name TEXT NOT NULL)"
_KEY_NAMES = f"""
SELECT DISTINCT substr(body, 1, 8) FROM log WHERE kind = 'deletion' AND body GLOB '{"[0-9a-f]" * 8}:{"[0-9a-f]" * 64}'
"""
_RECORDED = f"SELECT {RECORDED_COLUMNS} FROM log WHERE user_id = ? AND event_id = ?"
_ERASING_SECONDS = 0.05  # that writers may be held up while the write-ahead file is emptied


class SQLiteStore(EventStore):
    """The log in one SQLite file: write-ahead, every commit flushed to the disk. Several processes may share it.

    A commit costs one flush, however many events it holds.
    """

    placeholder, table = "?", "log"
    unerased = "event log: erased rows in its write-ahead file, for a second or until no other process reads it"

    def __init__(self, path: Path) -> None:
        """Open the file, made where it is missing.

        Args:
            path: The file.

        Raises:
            StoreError: If it cannot be opened, or is of another version.
        """
        super().__init__()
        self.path = path
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._waiting = 0.0  # seconds that a write waits for other processes
        self._claimed = FileLock(path.with_name(f".{path.name}.lock"), mode=0o600, thread_local=False)
        with _store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write, self._read = self._connect(), self._connect()
            version = self._write.execute("PRAGMA user_version").fetchone()[0]
            if not 0 <= version <= _VERSION:
                self.close()
                raise StoreError(
                    f"{path}: an event log of format {version}, this version reads formats up to {_VERSION}; use the "
                    "version of GENRE that wrote it, or a newer one"
                )
            if version < _VERSION:
                self._migrate()
            self.key = self._read_key()

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(mode=0o600)  # ids and deeds of users: only this user may read the file, and those beside it
        connection = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        connection.text_factory = _lenient_text
        use_write_ahead_log(connection, _WAIT_SECONDS)
        for setting in ("synchronous = FULL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    def _migrate(self) -> None:
        """Bring the table to this version, in one commit; another process may have done so meanwhile."""
        with self._transaction() as log:
            version = log.execute("PRAGMA user_version").fetchone()[0]
            if version < 2:
                _execute_all(log, _FROM_VERSION[version])
            if version < _VERSION:
                _execute_all(log, _FROM_VERSION[2])
                log.execute(f"PRAGMA user_version = {_VERSION}")

    def _read_key(self) -> bytes:
        """Read the key of deleted users from the file beside the log, made where it is missing."""
        place = key_place(self.path)
        names = {name for (name,) in self._write.execute(_KEY_NAMES)}
        self._write.execute(_KEY_TABLE)
        noted = {name for (name,) in self._write.execute("SELECT name FROM log_key")}
        needed = names & noted if noted else names  # other digests are of no version of this program, or of another log
        if not needed:
            make_key(place)
        key = place.read_bytes() if place.exists() else b""
        if needed and key_name(key) not in needed:
            self.close()
            raise StoreError(
                f"{place}: not the key of the deleted users in {self.path}, who would come back without it; copy it "
                "from where the log was made"
            )
        if key_name(key) not in noted:
            self._write.execute("BEGIN IMMEDIATE")
            self._write.execute("DELETE FROM log_key")
            self._write.execute("INSERT INTO log_key VALUES (?)", (key_name(key),))
            self._write.execute("COMMIT")
        return key

    @contextmanager
    def _transaction(self, deadline: float | None = None) -> Iterator[sqlite3.Connection]:
        left = time_left(deadline)
        if not self._writing.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
            raise StoreError(f"{self.path}: the event log is busy; nothing was recorded")
        try:
            yield from self._begin_and_commit(deadline)
        finally:
            self._writing.release()

    def _begin_and_commit(self, deadline: float | None) -> Iterator[sqlite3.Connection]:
        """Yield the connection within a transaction; only a failure of the commit itself leaves a doubt."""
        with _store_errors(self.path):
            self._wait_at_most(min(time_left(deadline), 3600))
            self._write.execute("BEGIN IMMEDIATE")
            try:
                yield self._write
                time_left(deadline)
            except BaseException:
                self._roll_back()
                raise
        try:
            self._write.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise UncertainWrite(f"{self.path}: the event log failed at a commit ({error})") from error

    def _wait_at_most(self, seconds: float) -> None:
        """Limit the wait for the database; setting it costs as much as an event, so nearly the same is left alone."""
        if not 0 <= self._waiting - seconds < 0.1:
            self._waiting = seconds + 0.05
            self._write.execute(f"PRAGMA busy_timeout = {int(self._waiting * 1000)}")

    def _roll_back(self) -> None:
        if self._write.in_transaction:  # some errors have ended it
            self._write.execute("ROLLBACK")

    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with _store_errors(self.path), self._reading:
            return self._read.execute(statement, values).fetchall()

    @override
    def record(self, events: Sequence[Event], now: int = 0, *, deadline: float | None = None) -> list[Outcome]:
        now = now or int(time.time())
        with self._transaction(deadline) as log:
            deleted = self._users_deleted(log)
            return [
                Outcome.DELETED if is_late(e.user_id, e.timestamp, now, deleted) else _record_one(log, e, now)
                for e in events
            ]

    @override
    def _many(self, log: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        log.executemany(statement, rows)

    @override
    def _newest_events(self, user_ids: Sequence[str]) -> list[tuple[Any, ...]]:
        return [row for user_id in user_ids for row in self._select(NEWEST_EVENTS, (user_id,))]

    @override
    def _erase_freed_rows(self) -> bool:
        """Empty the write-ahead file, which holds old pages.

        A reader of an older state of the log, such as a backup, keeps it from being emptied.
        """
        with _store_errors(self.path), closing(self._connect()) as log:
            log.execute(f"PRAGMA busy_timeout = {int(_ERASING_SECONDS * 1000)}")
            log.execute("PRAGMA wal_checkpoint(PASSIVE)")  # holds nothing up, so that little is left to do
            return bool(log.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)

    @override
    def query(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with _store_errors(self.path), closing(self._connect()) as log:
            return log.execute(statement, values).fetchall()

    @override
    def pages(self) -> Iterator[list[Row]]:
        with _store_errors(self.path), closing(self._connect()) as log:
            log.execute("BEGIN")
            yield from _pages(log)

    @override
    def _insert(self, log: sqlite3.Connection, rows: Sequence[Row]) -> None:
        log.executemany(f"INSERT INTO log VALUES ({placeholders(8 + len(VERSION_3))})", rows)

    @override
    def _end_filling(self, log: sqlite3.Connection, key: bytes) -> None:
        if key != self.key:
            place = key_place(self.path)
            _write_secret(aside := place.with_name(f".{place.name}.{secrets.token_hex(4)}"), key)
            aside.replace(place)
            self.key = key
        log.execute("DELETE FROM log_key")
        log.execute("INSERT INTO log_key VALUES (?)", (key_name(key),))

    @override
    def claim(self, *, alone: bool = False) -> None:
        try:
            self._claimed.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"{self.path}: another process serves from this event log. Stop it, or put the log into PostgreSQL, "
                "which several processes can share: genre log copy, then serve --store postgresql://..."
            ) from None
        except OSError as error:
            raise StoreError(f"{self.path}: the event log cannot be locked for this process ({error})") from error

    @override
    def close(self) -> None:
        with self._writing, self._reading:  # what another thread executes may not be closed under it
            self._write.close()
            self._read.close()
        self._claimed.release()


def _record_one(log: sqlite3.Connection, event: Event, now: int) -> Outcome:
    """Append an event in a transaction, unless its id was recorded."""
    if log.execute(_APPEND, timed_row(event, now)).rowcount == 1:
        return Outcome.NEW
    return compare_with_recorded(event, log.execute(_RECORDED, (event.user_id, event.event_id)).fetchone())


def key_place(path: Path) -> Path:
    """Return where the key of a log is.

    Args:
        path: The log.

    Returns:
        A file beside it.
    """
    return path.with_name(f"{path.name}.key")


def make_key(place: Path) -> None:
    """Write a new key into a file that only this user may read; leave one that is there, also of another process.

    Args:
        place: The file.
    """
    if place.exists():
        return
    aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    _write_secret(aside, secrets.token_bytes(32))
    try:
        place.hardlink_to(aside)
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def _write_secret(place: Path, secret: bytes) -> None:
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def read_pages(path: Path) -> Iterator[list[Row]]:
    """Read all rows of a log that no process writes, without changing anything beside it.

    Args:
        path: The log.

    Yields:
        Rows, page by page, in order.

    Raises:
        StoreError: If it cannot be read.
    """
    with _store_errors(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as log:
        log.text_factory = _lenient_text
        yield from _pages(log)


def _pages(log: sqlite3.Connection) -> Iterator[list[Row]]:
    known = {column[1] for column in log.execute("PRAGMA table_info(log)")}
    missing = [name for name in VERSION_3 if name not in known]  # of a backup that an older version made
    rows = log.execute(
        re.sub("|".join(rf"\b{name}\b" for name in missing), "NULL", WHOLE_LOG) if missing else WHOLE_LOG
    )
    while page := rows.fetchmany(PAGE):
        yield page


def _execute_all(log: sqlite3.Connection, script: str) -> None:
    """Execute statements within the transaction that is open, which `executescript` would commit."""
    for statement in filter(None, map(str.strip, script.split(";"))):
        log.execute(statement)


def _lenient_text(text: bytes) -> str:
    return text.decode("utf-8", "replace")


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: the event log cannot be used now ({error}); nothing was recorded") from error
