"""The event log in a PostgreSQL table: many serving processes, one log. Needs the extra `postgres`."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typing_extensions import override

from genre.errors import StoreError, UncertainWrite
from genre.serving.events.log_reader import NEWEST_EVENTS, WHOLE_LOG
from genre.serving.events.log_rows import EVENT_COLUMNS, RECORDED_COLUMNS, ROW_COLUMNS, compare_with_recorded, timed_row
from genre.serving.events.log_table import VERSION_3, VERSION_3_INDEXES, EventStore, is_late, time_left
from genre.serving.events.store import PAGE, Event, Outcome, Row

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT = "connect_timeout=3 tcp_user_timeout=5000 application_name=genre"
SESSION = "-c statement_timeout=5000 -c synchronous_commit=on"
_LOCK = "SELECT pg_advisory_xact_lock(1196314181)"
"""Numbers are given out before a commit, so two writers at once could commit 8 before 7 and a reader that has seen 8
would never see 7. One writer at a time keeps the log in the order of its numbers; a commit holds a whole group."""
_CLAIM = 1196314182
"""The advisory lock of processes that serve from the log: shared, or exclusive while the log is replaced."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS genre_log (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT, item_id TEXT, weight DOUBLE PRECISION, "timestamp" BIGINT, event_id TEXT,
    body TEXT
);
CREATE TABLE IF NOT EXISTS genre_log_key (one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), key BYTEA NOT NULL);
ALTER TABLE genre_log DROP CONSTRAINT IF EXISTS genre_log_event_id_key;  -- of version 1, unique among all users
CREATE UNIQUE INDEX IF NOT EXISTS genre_log_by_event ON genre_log (user_id, event_id);
CREATE INDEX IF NOT EXISTS genre_log_by_user ON genre_log (user_id, "timestamp", seq) WHERE kind = 'event';
CREATE INDEX IF NOT EXISTS genre_log_by_kind ON genre_log (kind, seq) WHERE kind <> 'event';
"""
_FROM_VERSION_2 = (
    "ALTER TABLE log " + ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {kind}" for name, kind in VERSION_3.items()) + ";"
) + VERSION_3_INDEXES.format(prefix="genre_log_")
_HAS_SCHEMA = "SELECT to_regclass('genre_log_key') IS NOT NULL AND to_regclass('genre_log_by_list') IS NOT NULL"
_NEW_KEY = "INSERT INTO genre_log_key (key) VALUES (%s) ON CONFLICT DO NOTHING"
_APPEND = f"""
INSERT INTO genre_log (kind, {EVENT_COLUMNS})
SELECT k, u, i, w, t, e, b, a, l, p, v, o
FROM unnest(%s::text[], %s::text[], %s::text[], %s::float8[], %s::bigint[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::bigint[], %s::float8[], %s::text[])
    WITH ORDINALITY AS row(k, u, i, w, t, e, b, a, l, p, v, o, number)
ORDER BY number
ON CONFLICT (user_id, event_id) DO NOTHING RETURNING user_id, event_id
"""
_RECORDED = f"""
SELECT user_id, event_id, {RECORDED_COLUMNS}
FROM genre_log JOIN unnest(%s::text[], %s::text[]) AS sent(u, e) ON user_id = u AND event_id = e
"""
_HISTORIES = f"""
SELECT seq, {EVENT_COLUMNS} FROM unnest(%s::text[]) AS requested(id), LATERAL (
    {NEWEST_EVENTS.replace("?", "requested.id")}
) AS newest
"""


_COPY = f"COPY genre_log ({ROW_COLUMNS}) FROM STDIN".encode()
_NEXT_NUMBER = (
    "SELECT setval(pg_get_serial_sequence('genre_log', 'seq'), coalesce(max(seq), 0) + 1, false) FROM genre_log"
)
_DEAD_ROWS = "SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = 'genre_log'::regclass"


class PostgresStore(EventStore):
    """The log in a PostgreSQL table. When the server is lost, the call raises, and the next call connects again."""

    placeholder, table = "%s", "genre_log"
    unerased = "event log: erased rows in PostgreSQL, until they are vacuumed and its own files are written over"

    def __init__(self, address: str) -> None:
        """Connect to the database, and make the table where it is missing.

        Args:
            address: `postgresql://...`; its own options go before ours.

        Raises:
            StoreError: If the database cannot be used.
        """
        super().__init__()
        given = {name: str(value) for name, value in conninfo_to_dict(address).items() if value is not None}
        settings = make_conninfo(CONNECT, **{"options": SESSION, **given})
        self._write, self._read = _Link(settings), _Link(settings)
        if self._select(_HAS_SCHEMA, ()) != [(True,)]:  # making it locks the table, which a dump would hold up
            with self._transaction() as log:
                log.execute(_SCHEMA.encode())
                log.execute(self._sql(_FROM_VERSION_2).encode())
                log.execute(_NEW_KEY, (secrets.token_bytes(32),))
        ((self.key,),) = self._select("SELECT key FROM genre_log_key", ())

    @contextmanager
    def _transaction(self, deadline: float | None = None) -> Iterator[Connection]:
        """Open a transaction, never twice: a commit whose acknowledgement got lost may have happened."""
        committing = False
        with self._write.connection(deadline) as connection:
            try:
                with connection.transaction():
                    milliseconds = int(min(time_left(deadline), 3600) * 1000)
                    connection.execute(f"SET LOCAL statement_timeout = {milliseconds}; {_LOCK}".encode())
                    yield connection
                    time_left(deadline)
                    committing = True
            except psycopg.Error as error:
                if committing:
                    raise UncertainWrite(f"PostgreSQL failed at a commit ({_first_line(error)})") from error
                raise

    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds; try again where the connection turns out to be lost."""
        try:
            return self._read.rows(statement, values)
        except StoreError as error:
            if not isinstance(error.__cause__, psycopg.OperationalError):
                raise
            return self._read.rows(statement, values)

    @override
    def record(self, events: Sequence[Event], now: int = 0, *, deadline: float | None = None) -> list[Outcome]:
        now = now or int(time.time())
        with self._transaction(deadline) as log:
            deleted = self._users_deleted(log)
            late = {at for at, event in enumerate(events) if is_late(event.user_id, event.timestamp, now, deleted)}
            rows = [timed_row(event, now) for at, event in enumerate(events) if at not in late]
            columns = [[row[at] for row in rows] for at in range(12)]
            new = {name for name in log.execute(_APPEND.encode(), columns).fetchall() if name[1] is not None}
            named = [(row[1], row[5]) for row in rows if row[5] is not None]
            recorded = {}
            if len(new) < len(named):
                found = log.execute(_RECORDED.encode(), [[name[at] for name in named] for at in range(2)]).fetchall()
                recorded = {(row[0], row[1]): row[2:] for row in found}
        outcomes: list[Outcome] = []
        for at, event in enumerate(events):
            name = (event.user_id, event.event_id)
            if at in late:
                outcomes.append(Outcome.DELETED)
            elif event.event_id is None or name in new:
                outcomes.append(Outcome.NEW)
            else:
                outcomes.append(compare_with_recorded(event, recorded[name]))
            new.discard(name)  # the same id again, in the same call
        return outcomes

    @override
    def _many(self, log: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        with log.cursor() as cursor:
            cursor.executemany(self._sql(statement).encode(), rows)

    @override
    def _newest_events(self, user_ids: Sequence[str]) -> list[tuple[Any, ...]]:
        return self._select(self._sql(_HISTORIES), [list(user_ids)])

    @override
    def _erase_freed_rows(self) -> bool:
        """Vacuum the table and its indexes; a transaction of before, such as a dump, keeps rows from being removed."""
        with self._read.fresh() as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute("VACUUM (INDEX_CLEANUP ON) genre_log")
            ((dead,),) = connection.execute(_DEAD_ROWS.encode()).fetchall()
        return bool(dead == 0)

    @override
    def query(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._read.fresh() as connection:
            connection.execute("SET statement_timeout = 0")
            return connection.execute(self._sql(statement).encode(), values).fetchall()

    @override
    def pages(self) -> Iterator[list[Row]]:
        with self._read.fresh() as connection, connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            with connection.cursor("log") as cursor:
                cursor.execute(self._sql(WHOLE_LOG).encode())
                while page := cursor.fetchmany(PAGE):
                    yield page

    @override
    def _insert(self, log: Connection, rows: Sequence[Row]) -> None:
        with log.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)

    @override
    def _end_filling(self, log: Connection, key: bytes) -> None:
        log.execute(_NEXT_NUMBER.encode())
        log.execute("UPDATE genre_log_key SET key = %s", (key,))
        self.key = key

    @override
    def claim(self, *, alone: bool = False) -> None:
        shared = "" if alone else "_shared"
        self._read.first = f"SELECT pg_try_advisory_lock{shared}({_CLAIM})"
        self._read.close()  # the next connection begins with it, and so does each one after a connection was lost
        self._read.rows("SELECT 1", ())

    @override
    def close(self) -> None:
        self._write.close()
        self._read.close()


class _Link:
    """One connection, opened when it is needed and again after it was lost."""

    def __init__(self, settings: str) -> None:
        self.settings = settings
        self.first: str | None = None  # a statement that has to return true at the begin of each connection
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def connection(self, deadline: float | None = None) -> Iterator[Connection]:
        """Lend the connection to one thread at a time."""
        if not self._lock.acquire(timeout=min(time_left(deadline), threading.TIMEOUT_MAX)):
            raise StoreError("PostgreSQL is busy; nothing was recorded")
        try:
            with _store_errors():
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                yield self._connection
        finally:
            self._lock.release()

    def _connect(self) -> Connection:
        connection = psycopg.connect(self.settings, autocommit=True)
        if self.first and connection.execute(self.first.encode()).fetchone() != (True,):
            connection.close()
            raise StoreError("the event log is being replaced, or another process serves from it; stop that process")
        return connection

    @contextmanager
    def fresh(self) -> Iterator[Connection]:
        """Open another connection to the same database, closed at the end of the block."""
        with _store_errors(), psycopg.connect(self.settings, autocommit=True) as connection:
            yield connection

    def rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds."""
        with self.connection() as connection, connection.transaction():
            return connection.execute(statement.encode(), values).fetchall()

    def close(self) -> None:
        """Give the claim back and close the connection; a server alone releases it only after the client left."""
        if self._connection is not None and not self._connection.closed:
            with suppress(psycopg.Error), self._connection:
                self._connection.execute("SELECT pg_advisory_unlock_all()")


def _first_line(error: psycopg.Error) -> str:
    """Return the first line of what PostgreSQL says."""
    return str(error).strip().partition("\n")[0]


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL cannot be used now ({_first_line(error)}); nothing was recorded") from error
