"""What a store promises, for SQLite and for a real PostgreSQL server."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from genre.config.serving_options import ServingOptions
from genre.errors import NotAvailable, StoreError
from genre.runs import Run
from genre.serving.events.deletion import DeletedUsers, Deletion, user_digest
from genre.serving.events.log_table import EventStore
from genre.serving.events.opening import open_store
from genre.serving.events.sqlite import SQLiteStore, make_key, read_pages
from genre.serving.events.store import LONGEST_HISTORY, Activity, Event, ItemChange, Outcome
from genre.serving.http.server import serve
from genre.serving.refresh import with_log
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from postgres_server import PostgresServer
from sizes import sized

NEW, DUPLICATE, CONFLICT = Outcome.NEW, Outcome.DUPLICATE, Outcome.CONFLICT


def test_events_come_back_oldest_first(store: EventStore) -> None:
    events = [Event("a", "x", 1.0, 30), Event("b", "x", 0.0, 20), Event("a", "y", 0.5, 10), Event("a", "z", 2.0, 30)]
    assert store.record(events) == [NEW] * 4
    assert store.record([]) == []
    found = store.histories(["a", "b", "nobody"])
    assert [event.item_id for event in found["a"]] == ["y", "x", "z"]
    assert found["b"] == (events[1],)
    assert found["nobody"] == ()
    assert store.last() == 4


def test_an_event_id_counts_once(store: EventStore, reopened: Callable[[], EventStore]) -> None:
    first, other = Event("a", "x", 1.0, 1, "e1"), Event("a", "y", 1.0, 2, "e2")
    assert store.record([first, other, first]) == [NEW, NEW, DUPLICATE]
    assert store.record([first]) == [DUPLICATE]
    assert reopened().record([other, Event("a", "x", 1.0, 1)]) == [DUPLICATE, NEW]
    assert len(store.histories(["a"])["a"]) == 3


def test_an_event_id_is_unique_by_user_and_id(store: EventStore, reopened: Callable[[], EventStore]) -> None:
    assert store.record([Event("a", "x", 1.0, 1, "1"), Event("b", "x", 1.0, 1, "1")]) == [NEW, NEW]
    assert reopened().record([Event("b", "x", 1.0, 1, "1"), Event("c", "x", 1.0, 1, "1")]) == [DUPLICATE, NEW]


def test_an_event_id_with_other_content_is_refused(store: EventStore) -> None:
    sent = Event("a", "x", 0.25, 0, "1")
    assert store.record([sent, sent], now=7) == [NEW, DUPLICATE]
    assert store.record([sent], now=9) == [DUPLICATE], "sent again without a time, later"
    others = [Event("a", "y", 0.25, 7, "1"), Event("a", "x", 1.0, 7, "1"), Event("a", "x", 0.25, 8, "1")]
    assert store.record([*others, Event("a", "x", 0.25, 7, "1"), Event("a", "y", 1.0, 1, "2")]) == [
        CONFLICT, CONFLICT, CONFLICT, DUPLICATE, NEW,
    ]  # fmt: skip
    assert store.record([Event("z", "x", 1.0, 1, "9"), Event("z", "y", 1.0, 1, "9")]) == [NEW, CONFLICT], "in one call"
    assert [event.timestamp for event in store.histories(["a"])["a"]] == [1, 7]


def test_a_log_of_the_version_before_keeps_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(
            "CREATE TABLE log (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, user_id TEXT, item_id TEXT, "
            "weight REAL, timestamp INTEGER, event_id TEXT UNIQUE, body TEXT);"
            "CREATE INDEX by_user ON log (user_id, timestamp, seq) WHERE kind = 'event';"
            "CREATE INDEX by_kind ON log (kind, seq) WHERE kind <> 'event'; PRAGMA user_version = 1;"
            "INSERT INTO log VALUES (4, 'event', 'a', 'x', 1.0, 1, 'e1', NULL), (9, 'deletion', NULL, NULL, NULL, NULL,"
            "NULL, 'digest');"
        )
    for _ in range(2):
        store = SQLiteStore(path)
        assert store.read()[:2] == [(4, Event("a", "x", 1.0, 1, "e1")), (9, Deletion("digest"))]
        assert store.record([Event("a", "x", 1.0, 1, "e1")]) == [DUPLICATE]
        store.record([Event("b", "x", 1.0, 1, "e1")])
        assert 9 < store.last() < 12, "numbers go on where they were"
        store.close()


def log_of_version_2(path: Path) -> None:
    with sqlite3.connect(path) as old:
        old.executescript(
            "CREATE TABLE log (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, user_id TEXT, item_id TEXT, "
            "weight REAL, timestamp INTEGER, event_id TEXT, body TEXT);"
            "CREATE UNIQUE INDEX by_event ON log (user_id, event_id) WHERE event_id IS NOT NULL;"
            "CREATE INDEX by_user ON log (user_id, timestamp, seq) WHERE kind = 'event';"
            "CREATE INDEX by_kind ON log (kind, seq) WHERE kind <> 'event'; PRAGMA user_version = 2;"
            "INSERT INTO log VALUES (4, 'event', 'a', 'x', 0.5, 1, 'e1', NULL), (5, 'item', NULL, 'x', NULL, NULL, "
            "NULL, '{\"stock\": 1}');"
        )


OF_VERSION_2 = [Event("a", "x", 0.5, 1, "e1"), ItemChange("x", {"stock": 1})]


def test_a_log_of_version_2_goes_on_as_it_was(tmp_path: Path) -> None:
    log_of_version_2(tmp_path / "log.sqlite")
    assert list(next(read_pages(tmp_path / "log.sqlite"))[0][:4]) == [4, "event", "a", "x"], "as a backup is read"
    stores = [SQLiteStore(tmp_path / "log.sqlite") for _ in range(2)]
    for store in stores:
        assert list(store.entries()) == OF_VERSION_2
        assert store.record([Event("a", "x", 0.5, 1, "e1")]) == [DUPLICATE]
    click = Event("a", "x", 1.0, 2, "e2", kind="click", recommendation_id="l")
    assert stores[0].record([click]) == [NEW]
    assert stores[1].histories(["a"])["a"][-1] == click


def test_a_postgres_log_of_version_2_goes_on_as_it_was(postgres_server: PostgresServer) -> None:
    import psycopg

    with psycopg.connect(postgres_server.address, autocommit=True) as connection:
        connection.execute(
            """
            DROP TABLE IF EXISTS genre_log, genre_log_key;
            CREATE TABLE genre_log (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind TEXT NOT NULL,
            user_id TEXT, item_id TEXT, weight DOUBLE PRECISION, "timestamp" BIGINT, event_id TEXT, body TEXT);
            CREATE TABLE genre_log_key (one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), key BYTEA NOT NULL);
            CREATE UNIQUE INDEX genre_log_by_event ON genre_log (user_id, event_id);
            INSERT INTO genre_log_key (key) VALUES ('0123');
            INSERT INTO genre_log (kind, user_id, item_id, weight, "timestamp", event_id) VALUES
            ('event', 'a', 'x', 0.5, 1, 'e1');
            INSERT INTO genre_log (kind, item_id, body) VALUES ('item', 'x', '{"stock": 1}');
            """
        )
    store = open_store(postgres_server.address)
    assert (list(store.entries()), store.key) == (OF_VERSION_2, b"0123")
    assert store.record([Event("a", "x", 0.5, 1, "e1")]) == [DUPLICATE]
    store.close()


def test_only_the_newest_events_of_a_user_are_read(store: EventStore) -> None:
    store.record([Event("a", f"i{at}", 1.0, at + 1) for at in range(LONGEST_HISTORY + 5)])
    found = store.histories(["a"])["a"]
    assert len(found) == LONGEST_HISTORY
    assert (found[0].item_id, found[-1].item_id) == ("i5", f"i{LONGEST_HISTORY + 4}")


def test_strange_but_legal_ids_survive(store: EventStore) -> None:
    for outside in ("', '); DROP TABLE log; --", "ünïcödé 😀 عربى", "%s {x} \\", "a" * 512):
        store.record([Event(outside, outside, 1.0, 1, outside)])
        assert store.histories([outside])[outside] == (Event(outside, outside, 1.0, 1, outside),)


def test_a_deleted_user_is_nowhere(store: EventStore, tmp_path: Path) -> None:
    store.record([Event("forget-me-please", "x", 1.0, 1), Event("b", "x", 1.0, 1)])
    assert store.delete_user("forget-me-please", 5) == 1
    assert store.histories(["forget-me-please"])["forget-me-please"] == ()
    entries = list(store.entries())
    assert entries == [Event("b", "x", 1.0, 1), Deletion(user_digest("forget-me-please", store.key), 5)]
    assert not store.erased
    store.erase()
    assert store.erased
    if isinstance(store, SQLiteStore):  # not even in a freed page
        assert all(b"forget-me-please" not in path.read_bytes() for path in tmp_path.glob("events.sqlite*"))
    store.record([Event("forget-me-please", "y", 1.0, 6)])
    assert len(store.histories(["forget-me-please"])["forget-me-please"]) == 1


def test_digests_of_deleted_ids_are_keyed(store: EventStore, reopened: Callable[[], EventStore]) -> None:
    store.delete_user("a")
    (entry,) = store.entries()
    assert isinstance(entry, Deletion)
    assert hashlib.sha256(b"a").hexdigest() not in entry.digest
    again = reopened()
    assert again.key == store.key
    assert len(store.key) == 32
    old = hashlib.sha256(b"b").hexdigest()  # of the version before
    deleted = DeletedUsers(again.key)
    for digest in (entry.digest, old):
        deleted.add(Deletion(digest))
    assert [user in deleted for user in "abc"] == [True, True, False]


def test_the_log_and_its_key_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SQLiteStore(tmp_path / "events.sqlite")
        store.record([Event("a", "x")])
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert {"events.sqlite", "events.sqlite-wal", "events.sqlite.key"} <= set(modes)
    assert set(modes.values()) == {0o600}
    store.delete_user("a")
    store.close()
    key = tmp_path / "events.sqlite.key"
    for wrong in (lambda: key.write_bytes(b"x" * 32), key.unlink):
        wrong()
        with pytest.raises(StoreError, match="key of the deleted users"):
            SQLiteStore(tmp_path / "events.sqlite")


def test_a_key_that_another_process_made_first_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "events.sqlite.key"
    place.write_bytes(b"k" * 32)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # as it was when this process looked
    make_key(place)
    assert place.read_bytes() == b"k" * 32
    assert list(tmp_path.iterdir()) == [place]


HOSTILE_BODIES = [
    "",
    "{",
    "[]",
    "1",
    "null",
    '{"title": NaN}',
    '{"title": "\\ud800"}',
    '{"\\udfff": 1}',
    "[" * 5000,
    '{"a":' * 5000,
    '{"year": 9223372036854775808}',
    '{"title": {"a": {}}}',
    '{"title": [[1], null]}',
    '{"item_id": 5}',
    '{"": ""}',
    '{"year": 1e999}',
    '{"year": -170141183460469231731687303715884105728}',
    '{"title": "\\u0000"}',
    None,
    b"\xff\xfe",
    7,
]
HOSTILE_VALUES = [None, "", "x", b"\xff", -1, 2**62, 1e308, "\x00", "1; DROP TABLE log"]
HOSTILE_DIGESTS = ["0" * 64, "deadbeef:" + "0" * 64, ":", "\u202e", "x" * 100_000]
TEXTS = ["", "x", "'; DROP TABLE genre_log", "\u202e", "\ufdd0", "x" * 10_000]
COLUMNS = "kind, user_id, item_id, weight, timestamp, body"


def hostile_rows(rng: random.Random, *, typed: bool) -> list[list[Any]]:
    """Rows that no version of this program wrote; `typed`: as far as the columns of PostgreSQL can hold them."""
    ids = ["u1", "i1", "new", *(TEXTS if typed else HOSTILE_VALUES)]
    numbers: list[Any] = [None, -1, 0, 2**62, -(2**62)] if typed else ["u1", *HOSTILE_VALUES]
    weights: list[Any] = [float("nan"), float("inf"), -1.0, 1e308] if typed else numbers
    bodies = [body for body in [None, *HOSTILE_BODIES, *HOSTILE_DIGESTS] if not typed or isinstance(body, str | None)]
    rows = []
    for _ in range(sized(300, 1000)):
        kind = rng.choice(["event", "event", "item", "item", "deletion", "other"])
        rows.append([kind, rng.choice(ids), rng.choice(ids), rng.choice(weights), rng.choice(numbers)])
        rows[-1].append(rng.choice(bodies))
    rows.append(["event", "ok", "i1", 1.0, 1, None])
    rows.append(["item", None, "i1", None, None, '{"title": "Renamed"}'])
    return rows


def test_no_entry_of_a_log_stops_a_start(
    run: Run, store: EventStore, reopened: Callable[[], EventStore], request: pytest.FixtureRequest
) -> None:
    rows = hostile_rows(random.Random(0), typed=not isinstance(store, SQLiteStore))
    if isinstance(store, SQLiteStore):
        with sqlite3.connect(store.path) as log:
            log.executemany(f"INSERT INTO log ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", rows)
            log.execute(
                "INSERT INTO log (kind, item_id, body) VALUES ('item', CAST(x'ff41' AS TEXT), '{\"title\": \"T\"}')"
            )
    else:
        import psycopg

        with psycopg.connect(request.getfixturevalue("postgres_server").address) as log_:
            log_.cursor().executemany(f"INSERT INTO genre_log ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)", rows)
    opened = reopened()
    service = Service([run], opened, options=ServingOptions("off"))  # nothing is written behind the next test
    service.warm()
    service.sync()
    service.erasure.go_on()
    assert service.item("i1")["title"] == "Renamed"
    assert len(service.recommend(ListRequest(user_id="ok", k=3)).items) == 3
    assert service.recommend(ListRequest(user_id="u1", k=3)).items
    assert service.popular(trending=True) is not None
    assert "ok" in with_log(run.dataset, opened).user_ids
    assert opened.record([Event("ok", "i1", 1.0, 2, "e")]) == [NEW]
    assert opened.delete_user("u1") >= 0


def test_a_log_of_unreadable_rows_is_read_to_its_end(sqlite: SQLiteStore) -> None:
    with sqlite3.connect(sqlite.path) as log:
        log.executemany("INSERT INTO log (kind, body) VALUES (?, ?)", [("item", "{"), ("pruning", "x"), ("event", "")])
    assert sqlite.read() == []


def test_a_digest_of_another_key_does_not_stop_a_start(sqlite: SQLiteStore) -> None:
    with sqlite3.connect(sqlite.path) as log:
        log.execute("INSERT INTO log (kind, body) VALUES ('deletion', ?)", ("deadbeef:" + "0" * 64,))
    SQLiteStore(sqlite.path).close()


def test_the_log_is_read_from_any_place(store: EventStore) -> None:
    store.record([Event("a", "x", 1.0, 1)])
    store.put_items([ItemChange("new", {"title": "Neu", "genres": ["a", "b"], "year": 1999})])
    store.record([Event("a", "new", 1.0, 2)])
    whole = store.read()
    assert [type(entry) for _, entry in whole] == [Event, ItemChange, Event]
    assert whole[1][1] == ItemChange("new", {"title": "Neu", "genres": ["a", "b"], "year": 1999})
    assert store.read(after=whole[1][0]) == whole[2:]
    assert list(store.entries(kinds=("item",))) == [whole[1][1]]


def test_activity_is_counted_by_hour(store: EventStore) -> None:
    store.record(
        [Event("a", "x", 1.0, 7200), Event("b", "x", 1.0, 7300), Event("b", "y", 0.0, 7300), Event("b", "y", 1, 9)]
    )
    assert store.activity(3600, 8000, store.last()) == [Activity("x", 7200, 2)]
    assert store.activity(3600, 8000, store.last() - 3) == [Activity("x", 7200, 1)]


def test_a_user_counts_once_an_item_and_day(store: EventStore) -> None:
    day = 86_400
    store.record([Event("a", "x", 1.0, day + 60 * minute) for minute in range(500)])
    store.record([Event("a", "x", 1.0, 2 * day), Event("b", "x", 1.0, day), Event("a", "y", 1.0, day)])
    last_hour = day + 60 * 499 // 3600 * 3600
    assert sorted(store.activity(0, 10 * day, store.last())) == [
        Activity("x", day, 1),
        Activity("x", last_hour, 1),
        Activity("x", 2 * day, 1),
        Activity("y", day, 1),
    ]


def test_many_threads_write_at_once(store: EventStore) -> None:
    def work(name: int) -> None:
        for at in range(20):
            store.record([Event(f"u{name}", f"i{at}", 1.0, at + 1, f"{name}-{at}")])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seq for seq, _ in store.read()] == sorted(seq for seq, _ in store.read())
    assert sum(isinstance(entry, Event) for entry in store.entries()) == 160


EACH = sized(200, 10_000)


def _write_many(address: str, process: int) -> None:
    """Two writers in one process; a StoreError, such as a locked database, ends it."""
    store = open_store(address)

    def write(name: str) -> None:
        for at in range(0, EACH, 10):
            store.record([Event(name, f"i{at + n}", 1.0, at + n + 1, f"{name}-{at + n}") for n in range(10)])

    with ThreadPoolExecutor() as writers:
        list(writers.map(write, (f"{process}a", f"{process}b")))
    store.close()


def test_many_processes_write_at_once(store: EventStore, request: pytest.FixtureRequest) -> None:
    sqlite = isinstance(store, SQLiteStore)
    address = str(store.path) if sqlite else request.getfixturevalue("postgres_server").address
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(address, name)) for name in range(2)]
    for writer in writers:
        writer.start()
    seen, position = 0, 0
    while any(writer.is_alive() for writer in writers) or position < store.last():
        page = store.read(position)  # a reader that follows the log misses nothing
        seen, position = seen + len(page), page[-1][0] if page else position
        time.sleep(0 if page else 0.005)  # reading on while the writers start would be the whole cost of this test
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    ids = [entry.event_id for entry in store.entries() if isinstance(entry, Event)]
    assert seen == len(ids) == len(set(ids)) == 4 * EACH


WRITER = """
import sys
from pathlib import Path
from genre.serving.events.store import Event
from genre.serving.events.sqlite import SQLiteStore
store = SQLiteStore(Path(sys.argv[1]))
at = int(sys.argv[2])
while True:
    store.record([Event("u", f"i{n}", 1.0, n + 1, f"e{n}") for n in range(at, at + 3)])
    print(at + 2, flush=True)
    at += 3
"""


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path, at = tmp_path / "events.sqlite", 0
    for pause in (0.0, 0.005, 0.02):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(at)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline())]
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        store = SQLiteStore(path)
        found = [entry.event_id for entry in store.entries() if isinstance(entry, Event)]
        assert len(found) == len(set(found)), "nothing is counted twice"
        assert {f"e{n}" for n in range(acknowledged[-1] + 1)} <= set(found), "nothing acknowledged is lost"
        at = max(0, len(found) - 6)  # the last ones are sent again, as a client does who got no answer
        store.close()


def test_a_full_disk_is_an_error_and_passes(sqlite: SQLiteStore) -> None:
    sqlite.record([Event("a", "x", 1.0, 1)])
    pages = sqlite._write.execute("PRAGMA page_count").fetchone()[0]
    sqlite._write.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        sqlite.record([Event("a" * 500, "x" * 500, 1.0, at, f"big{at}") for at in range(200)])
    assert sqlite._read.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    sqlite._write.execute("PRAGMA max_page_count = 1000000")
    assert sqlite.record([Event("a", "y", 1.0, 2)]) == [NEW]
    assert [event.item_id for event in sqlite.histories(["a"])["a"]] == ["x", "y"]


def test_of_a_call_that_fails_nothing_is_kept(store: EventStore) -> None:
    with pytest.raises((StoreError, OverflowError)):
        store.record([Event("a", "x", 1.0, 1, "e1"), Event("a", "y", 1.0, -(2**70), "e2")])
    assert store.last() == 0
    assert store.record([Event("a", "x", 1.0, 1, "e1")]) == [NEW], "and the next one goes on"


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database" * 100)
    with pytest.raises(StoreError, match="text"):
        SQLiteStore(tmp_path / "text")
    with sqlite3.connect(tmp_path / "later") as later:
        later.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99"):
        SQLiteStore(tmp_path / "later")


def test_a_postgres_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="PostgreSQL"):
        open_store(f"postgresql://genre@/postgres?host={tmp_path}")


def test_without_psycopg_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genre.serving.events.postgres", None)
    with pytest.raises(NotAvailable, match=r"pip install 'genre-rec\[postgres\]'"):
        open_store("postgresql://genre@/postgres")


def test_a_lost_connection_costs_a_read_nothing(postgres: EventStore, request: pytest.FixtureRequest) -> None:
    import psycopg

    postgres.record([Event("a", "x", 1.0, 1)])
    postgres.last()
    with psycopg.connect(request.getfixturevalue("postgres_server").address, autocommit=True) as connection:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'genre'"
        assert len(connection.execute(ended).fetchall()) == 2
    assert postgres.last() == 1, "it is asked again"
    with pytest.raises(StoreError, match="nothing was recorded"):
        postgres.record([Event("a", "y", 1.0, 2)])
    assert postgres.record([Event("a", "y", 1.0, 2)]) == [NEW], "never twice by itself: the answer may have got lost"


def test_postgres_comes_back_after_a_crash(postgres: EventStore, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server")
    postgres.record([Event("a", "x", 1.0, 1, "e1")])
    server.stop("immediate")
    with pytest.raises(StoreError):
        postgres.record([Event("a", "y", 1.0, 2, "e2")])
    with pytest.raises(StoreError):
        postgres.histories(["a"])
    server.start()
    assert postgres.record([Event("a", "y", 1.0, 2, "e2"), Event("a", "x", 1.0, 1, "e1")]) == [NEW, DUPLICATE]
    assert [event.item_id for event in postgres.histories(["a"])["a"]] == ["x", "y"]


def test_a_statement_that_postgres_refuses_is_not_tried_again(postgres: Any) -> None:
    with pytest.raises(StoreError, match="PostgreSQL cannot be used now"):
        postgres._select("SELECT nothing", ())


def test_a_postgres_log_is_opened_while_a_dump_reads_it(postgres: EventStore, request: pytest.FixtureRequest) -> None:
    import psycopg

    address = request.getfixturevalue("postgres_server").address
    with psycopg.connect(address) as dump:
        dump.execute("SELECT count(*) FROM genre_log")  # holds a lock until the end of the transaction
        begin = time.monotonic()
        second = open_store(address)
        assert second.record([Event("a", "x", 1.0, 1)]) == [NEW]
        assert time.monotonic() - begin < 4
        second.close()


def test_a_second_server_on_an_sqlite_log_is_refused(run: Run, tmp_path: Path) -> None:
    first, second = SQLiteStore(tmp_path / "events.sqlite"), SQLiteStore(tmp_path / "events.sqlite")
    first.claim()
    with pytest.raises(StoreError, match=r"another process serves from this event log.*genre log copy"):
        serve([run], port=0, store=tmp_path / "events.sqlite")
    second.record([Event("a", "x")])  # by a command
    first.close()
    second.claim()
    second.close()
    (tmp_path / ".events.sqlite.lock").unlink(missing_ok=True)
    (tmp_path / ".events.sqlite.lock").mkdir()
    with pytest.raises(StoreError, match="cannot be locked"):
        SQLiteStore(tmp_path / "events.sqlite").claim()


def test_servers_share_a_postgres_log_until_it_is_replaced(
    postgres: EventStore, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue("postgres_server").address
    one, other, alone, late = (open_store(address) for _ in range(4))
    one.claim()
    other.claim()
    with pytest.raises(StoreError, match="another process serves from it"):
        alone.claim(alone=True)
    one.close()
    other.close()
    alone.claim(alone=True)
    with pytest.raises(StoreError, match="is being replaced"):
        late.claim()
    alone.close()
    late.claim()
    late.close()


def test_a_log_that_another_process_migrated_meanwhile_is_left_as_it_is(sqlite: SQLiteStore) -> None:
    sqlite.record([Event("a", "x")])
    sqlite._migrate()  # as a process does that read the version before the other wrote it
    assert [event.item_id for event in sqlite.events_of("a")] == ["x"]


@pytest.mark.parametrize(
    "address",
    [
        "mysql://genre:hunter22@db/genre",
        "postgresql+psycopg://genre:hunter22@db/genre",
        "sqlite:///hunter22.sqlite",
        "host=db user=genre password=hunter22",
        "",
        "hunter22\0.sqlite",
    ],
)
def test_what_names_no_log_is_refused_and_leaves_no_file(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was not understood was taken for a path, password and all."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError) as refused:
        open_store(address)
    assert "hunter22" not in str(refused.value)
    assert "postgresql://" in str(refused.value)
    assert list(tmp_path.iterdir()) == []
