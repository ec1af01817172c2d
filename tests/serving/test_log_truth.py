"""What an answer says about the event log is true, however slow the log is and wherever it fails."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre.errors import StoreError, UncertainWrite
from genre.runs import Run
from genre.serving.events.deletion import Deletion, user_digest
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ItemChange, Outcome
from genre.serving.http import batching
from genre.serving.http.app import create_app
from genre.serving.service import Service
from sizes import sized

UNRECORDED, UNCERTAIN = "nothing was recorded", "may or may not have been recorded"
LIMIT = 0.08


@dataclass
class Plan:
    """What happens at the begin and at the commit of a transaction, and the seconds they take."""

    begin: float = 0.0
    before_commit: float = 0.0
    after_commit: float = 0.0
    failure: str | None = None


class SlowConnection:
    """A connection of SQLite with delays and failures."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.plan = connection, Plan()

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        plan = self.plan
        if statement == "BEGIN IMMEDIATE":
            time.sleep(plan.begin)
            self._fail("begin")
        if statement == "COMMIT":
            time.sleep(plan.before_commit)
            self._fail("before commit")
        result = self.connection.execute(statement, *values)
        if statement == "COMMIT":
            time.sleep(plan.after_commit)
            self._fail("after commit")
        return result

    def _fail(self, where: str) -> None:
        if self.plan.failure == where:
            raise sqlite3.OperationalError("disk I/O error")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def in_log(store: EventStore, kind: str, name: str) -> bool:
    entries = list(store.entries())
    if kind == "event":
        return any(isinstance(entry, Event) and entry.event_id == name for entry in entries)
    if kind == "item":
        return any(isinstance(entry, ItemChange) and entry.item_id == name for entry in entries)
    digest = user_digest(name, store.key)
    return any(isinstance(entry, Deletion) and entry.digest == digest for entry in entries)


delays = st.sampled_from([0.0, 0.0, 0.03, 0.07, 0.1, 0.16])
plans = st.builds(
    Plan, delays, delays, delays, st.sampled_from([None, None, None, "begin", "before commit", "after commit"])
)
kinds = st.lists(st.sampled_from(["event", "event", "item", "deletion"]), min_size=1, max_size=4)


def test_what_an_answer_says_about_the_log_is_true_under_every_delay(
    run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "STORE_SECONDS", LIMIT)
    monkeypatch.setattr(batching, "ANSWER_SECONDS", LIMIT / 2)
    slow = SlowConnection(sqlite._write)
    monkeypatch.setattr(sqlite, "_write", slow)
    app, names = create_app(Service([run], sqlite)), map(str, itertools.count())
    said: list[tuple[str, str, str]] = []

    async def send(client: httpx.AsyncClient, kind: str) -> None:
        name = f"n{next(names)}"
        if kind == "event":
            answer = await client.post("/v1/events", json={"user_id": "a", "item_id": "i1", "event_id": name})
        elif kind == "item":
            answer = await client.put(f"/v1/items/{name}", json={"title": "A story"})
        else:
            answer = await client.delete(f"/v1/users/{name}")
        if answer.status_code == 200:
            assert in_log(sqlite, kind, name), "acknowledged, so it is there"
            said.append(("recorded", kind, name))
        else:
            assert answer.status_code == 503
            detail = answer.json()["detail"]
            assert (UNRECORDED in detail) != (UNCERTAIN in detail)
            said.append((UNRECORDED if UNRECORDED in detail else UNCERTAIN, kind, name))

    async def send_all(sent: list[str]) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            await asyncio.gather(*(send(client, kind) for kind in sent))

    @settings(
        max_examples=sized(40, 1000),
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(plans, kinds)
    def check(plan: Plan, sent: list[str]) -> None:
        slow.plan = plan
        asyncio.run(send_all(sent))

    check()
    time.sleep(0.6)  # whatever was under way has ended
    for claim, kind, name in said:
        if claim != UNCERTAIN:
            assert in_log(sqlite, kind, name) == (claim == "recorded"), (claim, kind, name)
    assert {claim for claim, _, _ in said} == {"recorded", UNRECORDED, UNCERTAIN}, "each was tried"


def test_a_log_that_another_process_holds_is_waited_for_within_the_callers_deadline(
    sqlite: SQLiteStore, reopened: Any
) -> None:
    with sqlite3.connect(sqlite.path, isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN IMMEDIATE")
        begin = time.monotonic()
        for write in (
            lambda deadline: sqlite.record([Event("a", "x", 1.0, 1, "e1")], deadline=deadline),
            lambda deadline: sqlite.put_items([ItemChange("x", {"title": "T"})], deadline=deadline),
            lambda deadline: sqlite.delete_user("a", deadline=deadline),
        ):
            with pytest.raises(StoreError, match="nothing was recorded") as raised:
                write(time.monotonic() + 0.05)
            assert not isinstance(raised.value, UncertainWrite)
        assert time.monotonic() - begin < 5
        threading.Timer(0.1, lambda: other.execute("ROLLBACK")).start()
        assert sqlite.record([Event("a", "x", 1.0, 1, "e2")], deadline=time.monotonic() + 30) == [Outcome.NEW]
    assert [entry.event_id for entry in sqlite.entries() if isinstance(entry, Event)] == ["e2"]


def test_writes_behind_a_slow_one_are_refused_at_their_deadline(sqlite: SQLiteStore) -> None:
    sqlite._writing.acquire()
    with pytest.raises(StoreError, match="nothing was recorded"):
        sqlite.record([Event("a", "x")], deadline=time.monotonic() + 0.02)
    sqlite._writing.release()
    with pytest.raises(StoreError, match="nothing was recorded"):
        sqlite.record([Event("a", "x")], deadline=time.monotonic() - 1)
    assert sqlite.last() == 0


def test_postgres_says_what_it_knows_of_a_write(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    with psycopg.connect(postgres._read.settings, autocommit=True) as other:
        other.execute("BEGIN; SELECT pg_advisory_xact_lock(1196314181)")
        with pytest.raises(StoreError, match="nothing was recorded") as raised:
            postgres.record([Event("a", "x", 1.0, 1, "e1")], deadline=time.monotonic() + 0.2)
        assert not isinstance(raised.value, UncertainWrite)
        other.execute("ROLLBACK")
    postgres._write._lock.acquire()
    with pytest.raises(StoreError, match="nothing was recorded"):
        postgres.record([Event("a", "x")], deadline=time.monotonic() + 0.02)
    postgres._write._lock.release()
    assert postgres.last() == 0
    with pytest.raises(UncertainWrite, match="failed at a commit"):
        fail_at_commit(postgres)
    assert postgres.record([Event("a", "x", 1.0, 1, "e1")]) == [Outcome.NEW]


def fail_at_commit(postgres: Any) -> None:
    with postgres._transaction() as log:
        log.execute("CREATE TEMP TABLE t (n INT PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
        log.execute("INSERT INTO t VALUES (1), (1)")  # checked at the commit


def test_a_history_says_where_the_log_was_not_read(
    service: Service, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.record([Event("a", "i1")])
    assert service.user("a")["fallback"] is None

    def fail(_: object) -> None:
        raise StoreError("gone")

    service._state.recent_events.clear()
    monkeypatch.setattr(sqlite, "histories", fail)
    found = service.user("a")
    assert (found["history"], found["fallback"]) == ([], "store_failed")
