"""The log of store.py in PostgreSQL: many serving processes, one log. Needs the extra `postgres`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

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

Connection = psycopg.Connection[tuple[Any, ...]]

_LOCK = "SELECT pg_advisory_xact_lock(1196314181)"
"""Numbers are given out before a commit, so two writers at once could commit 8 before 7 and a reader that has seen 8
would never see 7. One writer at a time keeps the log in the order of its numbers; a commit holds a whole group."""
_SCHEMA: LiteralString = """
CREATE TABLE IF NOT EXISTS genre_log (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT, item_id TEXT, weight DOUBLE PRECISION, "timestamp" BIGINT, event_id TEXT UNIQUE,
    body TEXT
);
CREATE INDEX IF NOT EXISTS genre_log_by_user ON genre_log (user_id, "timestamp", seq) WHERE kind = 'event';
CREATE INDEX IF NOT EXISTS genre_log_by_kind ON genre_log (kind, seq) WHERE kind <> 'event';
"""
_APPEND: LiteralString = """
INSERT INTO genre_log (kind, user_id, item_id, weight, "timestamp", event_id)
SELECT 'event', u, i, w, t, e
FROM unnest(%s::text[], %s::text[], %s::float8[], %s::bigint[], %s::text[]) WITH ORDINALITY AS row(u, i, w, t, e, place)
ORDER BY place
ON CONFLICT (event_id) DO NOTHING RETURNING event_id
"""
_HISTORIES: LiteralString = """
SELECT user_id, item_id, weight, "timestamp", event_id FROM unnest(%s::text[]) AS asked(id), LATERAL (
    SELECT * FROM genre_log WHERE kind = 'event' AND user_id = asked.id ORDER BY "timestamp" DESC, seq DESC LIMIT %s
) AS newest ORDER BY "timestamp", seq
"""
_READ: LiteralString = """
SELECT seq, kind, user_id, item_id, weight, "timestamp", event_id, body FROM genre_log
WHERE seq > %s AND kind = ANY(%s) ORDER BY seq LIMIT %s
"""
_ACTIVITY: LiteralString = """
SELECT item_id, latest / 3600 * 3600, count(*) FROM (
    SELECT item_id, max("timestamp") AS latest FROM genre_log
    WHERE kind = 'event' AND weight > 0 AND "timestamp" >= %s AND seq <= %s
    GROUP BY item_id, user_id, "timestamp" / 86400
) AS taken GROUP BY 1, 2
"""


class PostgresStore(EventStore):
    """The log in a PostgreSQL table. A lost server is an error of the call, and the next call connects again."""

    def __init__(self, address: str) -> None:
        patience = "connect_timeout=3 tcp_user_timeout=5000 application_name=genre"
        session = "-c statement_timeout=5000 -c synchronous_commit=on"
        given = {name: str(value) for name, value in conninfo_to_dict(address).items() if value is not None}
        settings = make_conninfo(patience, **{"options": session, **given})
        self._write, self._read = _Link(settings), _Link(settings)
        with self._write.transaction() as log:
            log.execute(_LOCK)
            log.execute(_SCHEMA)

    def record(self, events: Sequence[Event]) -> list[bool]:
        rows = [(e.user_id, e.item_id, float(e.weight), e.timestamp, e.event_id) for e in events]
        columns = [[row[at] for row in rows] for at in range(5)]
        with self._write.transaction() as log:
            log.execute(_LOCK)
            found = log.execute(_APPEND, columns).fetchall()
        fresh = {event_id for (event_id,) in found}
        counted = []
        for event in events:
            counted.append(event.event_id is None or event.event_id in fresh)
            if event.event_id is not None:
                fresh.discard(event.event_id)  # the same number again, in the same call
        return counted

    def put_items(self, changes: Sequence[ItemChange]) -> None:
        rows = [(change.item_id, json.dumps(change.fields, ensure_ascii=False)) for change in changes]
        with self._write.transaction() as log:
            log.execute(_LOCK)
            log.cursor().executemany("INSERT INTO genre_log (kind, item_id, body) VALUES ('item', %s, %s)", rows)

    def delete_user(self, user_id: str) -> int:
        with self._write.transaction() as log:
            log.execute(_LOCK)
            erased = log.execute("DELETE FROM genre_log WHERE kind = 'event' AND user_id = %s", [user_id]).rowcount
            log.execute("INSERT INTO genre_log (kind, body) VALUES ('deletion', %s)", [user_digest(user_id)])
        return erased

    def histories(self, user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        rows = self._read.rows(_HISTORIES, [list(user_ids), LONGEST_HISTORY])
        found: dict[str, list[Event]] = {user_id: [] for user_id in user_ids}
        for row in rows:
            found[row[0]].append(Event(*row))
        return {user_id: tuple(events) for user_id, events in found.items()}

    def read(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> list[tuple[int, Entry]]:
        rows = self._read.rows(_READ, [after, list(kinds), PAGE])
        return [(seq, entry_of(*rest)) for seq, *rest in rows]

    def last(self) -> int:
        return int(self._read.rows("SELECT coalesce(max(seq), 0) FROM genre_log", [])[0][0])

    def activity(self, since: int, until: int) -> list[Activity]:
        return [Activity(*row) for row in self._read.rows(_ACTIVITY, [since, until])]

    def close(self) -> None:
        self._write.close()
        self._read.close()


class _Link:
    """One connection, opened when it is needed and again when it was lost."""

    def __init__(self, settings: str) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Never tried twice: a commit whose answer got lost may have happened."""
        with _store_errors(), self._lock:
            connection = self._connected()
            with connection.transaction():
                yield connection

    def rows(self, query: LiteralString, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What a query finds; asked again where the connection turns out to be lost, since reading changes nothing."""
        with _store_errors(), self._lock:
            try:
                return self._rows(query, values)
            except psycopg.OperationalError:
                return self._rows(query, values)

    def _rows(self, query: LiteralString, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = self._connected()
        with connection.transaction():
            return connection.execute(query, values).fetchall()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.settings, autocommit=True)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        first = str(error).strip().partition("\n")[0]
        raise StoreError(f"PostgreSQL cannot be used now ({first}); nothing was acknowledged") from error
