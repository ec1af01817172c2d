"""The event log in a PostgreSQL table: many serving processes, one log. Needs the extra `postgres`."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typing_extensions import override

from genre.errors import StoreError
from genre.serving.events.log_table import EVENT_COLUMNS, NEWEST_EVENTS, LogTable, event_of, same_event
from genre.serving.events.store import Event

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT = "connect_timeout=3 tcp_user_timeout=5000 application_name=genre"
SESSION = "-c statement_timeout=5000 -c synchronous_commit=on"
_LOCK = "SELECT pg_advisory_xact_lock(1196314181)"
"""Numbers are given out before a commit, so two writers at once could commit 8 before 7 and a reader that has seen 8
would never see 7. One writer at a time keeps the log in the order of its numbers; a commit holds a whole group."""
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
_NEW_KEY = "INSERT INTO genre_log_key (key) VALUES (%s) ON CONFLICT DO NOTHING"
_APPEND = """
INSERT INTO genre_log (kind, user_id, item_id, weight, "timestamp", event_id)
SELECT 'event', u, i, w, t, e
FROM unnest(%s::text[], %s::text[], %s::float8[], %s::bigint[], %s::text[]) WITH ORDINALITY AS row(u, i, w, t, e, place)
ORDER BY place
ON CONFLICT (user_id, event_id) DO NOTHING RETURNING user_id, event_id
"""
_RECORDED = """
SELECT user_id, event_id, item_id, weight, "timestamp"
FROM genre_log JOIN unnest(%s::text[], %s::text[]) AS sent(u, e) ON user_id = u AND event_id = e
"""
_HISTORIES = f"""
SELECT {EVENT_COLUMNS} FROM unnest(%s::text[]) AS requested(id), LATERAL (
    {NEWEST_EVENTS.replace("?", "requested.id").replace(EVENT_COLUMNS, f"seq, {EVENT_COLUMNS}")}
) AS newest ORDER BY "timestamp", seq
"""


class PostgresStore(LogTable):
    """The log in a PostgreSQL table. When the server is lost, the call raises, and the next call connects again."""

    placeholder, table = "%s", "genre_log"

    def __init__(self, address: str) -> None:
        """Connect to the database, and make the table where it is missing.

        Args:
            address: `postgresql://...`; its own options go before ours.

        Raises:
            StoreError: If the database cannot be used.
        """
        given = {name: str(value) for name, value in conninfo_to_dict(address).items() if value is not None}
        settings = make_conninfo(CONNECT, **{"options": SESSION, **given})
        self._write, self._read = _Link(settings), _Link(settings)
        with self._transaction() as log:
            log.execute(_SCHEMA.encode())
            log.execute(_NEW_KEY, (secrets.token_bytes(32),))
            ((self.key,),) = log.execute("SELECT key FROM genre_log_key").fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Open a transaction, never twice: a commit whose acknowledgement got lost may have happened."""
        with self._write.connection() as connection, connection.transaction():
            connection.execute(_LOCK)
            yield connection

    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds; try again where the connection turns out to be lost."""
        try:
            return self._read.rows(statement, values)
        except StoreError as error:
            if not isinstance(error.__cause__, psycopg.OperationalError):
                raise
            return self._read.rows(statement, values)

    @override
    def record(self, events: Sequence[Event], now: int = 0) -> list[bool | None]:
        rows = [(e.user_id, e.item_id, float(e.weight), e.timestamp or now, e.event_id) for e in events]
        columns = [[row[at] for row in rows] for at in range(5)]
        named = [(e.user_id, e.event_id) for e in events if e.event_id is not None]
        with self._transaction() as log:
            new = {name for name in log.execute(_APPEND.encode(), columns).fetchall() if name[1] is not None}
            recorded = {}
            if len(new) < len(named):
                found = log.execute(_RECORDED.encode(), [[name[at] for name in named] for at in range(2)]).fetchall()
                recorded = {(row[0], row[1]): row[2:] for row in found}
        answers: list[bool | None] = []
        for event in events:
            name = (event.user_id, event.event_id)
            answers.append(event.event_id is None or name in new or same_event(event, recorded[name]))
            new.discard(name)  # the same id again, in the same call
        return answers

    @override
    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        found: dict[str, list[Event]] = {user_id: [] for user_id in user_ids}
        for event in filter(None, map(event_of, self._select(self._sql(_HISTORIES), [list(user_ids)]))):
            found[event.user_id].append(event)
        return {user_id: tuple(events) for user_id, events in found.items()}

    @override
    def close(self) -> None:
        self._write.close()
        self._read.close()


class _Link:
    """One connection, opened when it is needed and again after it was lost."""

    def __init__(self, settings: str) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend the connection to one thread at a time; errors of PostgreSQL become StoreError."""
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = psycopg.connect(self.settings, autocommit=True)
                yield self._connection
            except psycopg.Error as error:
                first = str(error).strip().partition("\n")[0]
                raise StoreError(f"PostgreSQL cannot be used now ({first}); nothing was acknowledged") from error

    def rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds."""
        with self.connection() as connection, connection.transaction():
            return connection.execute(statement.encode(), values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
