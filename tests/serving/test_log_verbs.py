"""`genre log`: backup, restore, copy into another database, retention, and the export of one user's data."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genre.cli.main import main
from genre.data.parquet import write_dataset
from genre.errors import ArtifactError, StoreError
from genre.runs import Run
from genre.serving.events.backup import back_up, restore
from genre.serving.events.deletion import Deletion, user_digest
from genre.serving.events.log_table import EventStore
from genre.serving.events.opening import default_store_path, open_store
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ItemChange, Outcome
from genre.serving.refresh import with_log
from genre.serving.service import Service
from genre.storage import publish
from genre.testing import toy_dataset
from postgres_server import PostgresServer

DAY = 86_400
NEW, DUPLICATE = Outcome.NEW, Outcome.DUPLICATE


def address_of(store: EventStore, request: pytest.FixtureRequest) -> str:
    if isinstance(store, SQLiteStore):
        return str(store.path)
    return str(request.getfixturevalue("postgres_server").address)


@pytest.fixture
def address(store: EventStore, request: pytest.FixtureRequest) -> str:
    return address_of(store, request)


def fill(store: EventStore) -> list[Any]:
    """Some of every kind, and a deleted user."""
    now = int(time.time())
    store.record([Event("a", "x", 1.0, now - 9, "e1"), Event("a", "ü 😀", 0.5), Event("gone", "x", 1.0, now - 9)])
    store.put_items([ItemChange("new", {"title": "Neu", "genres": ["a"]})])
    store.delete_user("gone", now - 5)
    store.record([Event("gone", "y", 1.0, now - 3), Event("b", "x", 1.0, now + 3600, "e1")])
    return store.read()


def test_a_backup_and_its_restoration_hold_the_same_log(
    store: EventStore, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fill(store)
    assert main(["log", "backup", address, str(tmp_path / "backup")]) == 0
    printed = capsys.readouterr().out
    assert "(6 entries)" in printed
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "backup").glob("log.sqlite*")} == {0}
    other = tmp_path / "other.sqlite"
    assert main(["log", "restore", str(tmp_path / "backup"), str(other)]) == 0
    again = SQLiteStore(other)
    assert again.read() == whole
    assert again.key == store.key
    assert "gone" in again.deleted_users()
    assert again.record([Event("a", "x", 1.0, whole[0][1].timestamp, "e1"), Event("c", "x")]) == [DUPLICATE, NEW]
    assert again.last() > whole[-1][0], "numbers go on"
    again.close()


def test_a_log_moves_from_sqlite_into_postgresql(
    sqlite: SQLiteStore, postgres: EventStore, postgres_server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fill(sqlite)
    with sqlite3.connect(sqlite.path) as log:
        log.execute("INSERT INTO log (kind, user_id, item_id, weight) VALUES ('event', 'u', 'x', 'no weight')")
        statement = "INSERT INTO log (kind, user_id, item_id, weight, timestamp) VALUES ('event', ?, 'x', 1, 1)"
        log.execute(statement, ("a\0b",))
    assert main(["log", "copy", str(sqlite.path), postgres_server.address]) == 0
    assert "(6 entries, 2 rows left out, unreadable or with a NUL character)" in capsys.readouterr().out
    moved = open_store(postgres_server.address)
    assert moved.read() == whole
    assert moved.key == sqlite.key
    assert moved.record([Event("b", "z"), whole[0][1]]) == [NEW, DUPLICATE]
    assert [seq for seq, _ in moved.read()][-1] > whole[-1][0]
    moved.close()
    with_password = postgres_server.address.replace("genre@", "genre:secret@")
    assert main(["log", "copy", with_password, str(sqlite.path.with_name("back.sqlite"))]) == 0
    assert "secret" not in capsys.readouterr().out
    assert main(["log", "copy", str(sqlite.path), postgres_server.address]) == 2, "it is not empty"
    assert "has 7 entries already" in capsys.readouterr().err


def test_no_log_is_copied_or_replaced_under_a_server(
    sqlite: SQLiteStore, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite.claim()
    assert main(["log", "backup", str(sqlite.path), str(tmp_path / "backup")]) == 0, "a backup disturbs no server"
    assert main(["log", "copy", str(sqlite.path), str(tmp_path / "other.sqlite")]) == 2
    assert main(["log", "restore", str(tmp_path / "backup"), str(sqlite.path), "--replace"]) == 2
    assert capsys.readouterr().err.count("another process serves from this event log") == 2


def test_who_was_deleted_since_the_backup_stays_deleted(store: EventStore, address: str, tmp_path: Path) -> None:
    store.record([Event("a", "x", 1.0, 1), Event("b", "x", 1.0, 2)])
    store.delete_user("back", 1)
    store.record([Event("back", "y", 1.0, 3)])
    back_up(store, tmp_path / "backup")
    store.delete_user("a", 5)
    store.record([Event("c", "x", 1.0, 6)])
    with pytest.raises(StoreError, match="entries already"):
        restore(tmp_path / "backup", store)
    store.close()
    assert main(["log", "restore", str(tmp_path / "backup"), address, "--replace"]) == 0
    again = open_store(address)
    assert [entry for _, entry in again.read()] == [
        Event("b", "x", 1.0, 2),
        Deletion(user_digest("back", again.key), 1),
        Event("back", "y", 1.0, 3),
        Deletion(user_digest("a", again.key), 5),
    ]
    assert again.record([Event("a", "x", 1.0, 1)]) == [Outcome.DELETED]
    again.close()


def test_a_damaged_backup_is_refused_and_the_log_stays(sqlite: SQLiteStore, tmp_path: Path) -> None:
    fill(sqlite)
    back_up(sqlite, tmp_path / "backup")
    with pytest.raises(StoreError, match="exists already"):
        back_up(sqlite, tmp_path / "backup")
    before = sqlite.read()
    with (tmp_path / "backup" / "log.sqlite").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 8)
    with pytest.raises(ArtifactError, match="damaged"):
        restore(tmp_path / "backup", sqlite, replace=True)
    with publish(tmp_path / "else") as aside:
        (aside / "file").write_text("no log")
    with pytest.raises(StoreError, match="not a backup"):
        restore(tmp_path / "else", sqlite)
    assert sqlite.read() == before


def test_a_log_whose_deletions_have_another_key_is_not_replaced(sqlite: SQLiteStore, tmp_path: Path) -> None:
    fill(sqlite)
    back_up(sqlite, tmp_path / "backup")
    other = SQLiteStore(tmp_path / "other.sqlite")
    other.delete_user("z")
    with pytest.raises(StoreError, match="by another key"):
        restore(tmp_path / "backup", other, replace=True)
    assert "z" in SQLiteStore(tmp_path / "other.sqlite").deleted_users()


RESTORE = """
import sys
from pathlib import Path
from genre.serving.events.backup import restore
from genre.serving.events.sqlite import SQLiteStore
store = SQLiteStore(Path(sys.argv[2]))
insert = type(store)._insert
def slow(self, log, rows):
    insert(self, log, rows)
    print("filling", flush=True)
    sys.stdin.read()
type(store)._insert = slow
restore(Path(sys.argv[1]), store, replace=True)
"""


def test_a_restoration_that_is_killed_leaves_the_log_as_it_was(sqlite: SQLiteStore, tmp_path: Path) -> None:
    fill(sqlite)
    back_up(sqlite, tmp_path / "backup")
    other = SQLiteStore(tmp_path / "other.sqlite")
    other.record([Event("z", "x", 1.0, 1)])
    command = [sys.executable, "-c", RESTORE, str(tmp_path / "backup"), str(other.path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"filling\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = SQLiteStore(other.path)
    assert [entry for _, entry in again.read()] == [Event("z", "x", 1.0, 1)]
    restore(tmp_path / "backup", again, replace=True)
    assert again.read() == sqlite.read()


def test_old_events_are_pruned_and_every_process_forgets_them(
    run: Run, store: EventStore, address: str, reopened: Callable[[], EventStore], capsys: pytest.CaptureFixture[str]
) -> None:
    now = int(time.time())
    service = Service([run], reopened())
    store.record([Event("a", f"i{n}", 1.0, now - 100 * DAY + n) for n in range(5)] + [Event("a", "i6", 1.0, now - DAY)])
    store.put_items([ItemChange("i1", {"title": "Kept"})])
    service.sync()
    assert len(service.user("a")["history"]) == 6
    assert main(["log", "prune", address, "--days", "30"]) == 0
    assert "5 events older than 30 days deleted" in capsys.readouterr().out
    assert [entry.item_id for _, entry in store.read(kinds=("event", "item"))] == ["i6", "i1"]  # type: ignore[union-attr]
    service.sync()
    assert [item["item_id"] for item in service.user("a")["history"]] == ["i6"]
    assert "a" in with_log(run.dataset, store).user_ids
    assert main(["log", "prune", address, "--days", "30"]) == 0
    assert "0 events" in capsys.readouterr().out
    for days in ("0", "-1", "nan", "inf", "1e300"):
        assert main(["log", "prune", address, f"--days={days}"]) == 2
        assert "--days: expected a number above 0" in capsys.readouterr().err
    service.close()


def test_everything_of_one_user_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "toy-12345678"
    with publish(folder) as aside:
        write_dataset(toy_dataset(), aside / "dataset" / "tables")
    store = SQLiteStore(default_store_path(folder))
    store.record([Event("u1", "i2", 1.0, 50, "e1"), Event("u2", "i2")])
    store.delete_user("u3", 60)
    assert main(["log", "export", str(folder), "u1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["deleted_at"] is None
    assert [(event["item_id"], event["timestamp"], event["event_id"]) for event in found["events"]] == [
        ("i2", 50, "e1")
    ]
    data = toy_dataset()
    own = data.where(data.user == data.user_ids.row("u1"))
    assert [one["item_id"] for one in found["interactions"]] == list(data.item_ids.take(own.item))
    assert found["fields"]["user_id"] == "u1"
    assert main(["log", "export", str(store.path), "u3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"user_id": "u3", "deleted_at": 60, "events": [], "lists": []}
    assert main(["log", "export", str(folder), "stranger"]) == 0
    assert json.loads(capsys.readouterr().out)["interactions"] == []
    shutil.rmtree(folder)
    (tmp_path / "no_run").mkdir()
    assert main(["log", "export", str(tmp_path / "no_run"), "u1"]) == 2
    assert "no_run" in capsys.readouterr().err
    assert main(["log", "export", str(tmp_path / "none.sqlite"), "u1"]) == 2
    assert "no event log" in capsys.readouterr().err
