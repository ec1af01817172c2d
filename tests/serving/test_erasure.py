"""A deleted user is gone from answers at once, from files soon; until then the service says what is left."""

from __future__ import annotations

import argparse
import dataclasses
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from genre.cli.recommend import _refuse_deleted
from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.data.parquet import write_dataset
from genre.errors import StoreError, UnknownId
from genre.runs import Run
from genre.serving.deleted_users import from_before_deletion
from genre.serving.events.deletion import DeletedUsers, Deletion, user_digest
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.http import batching
from genre.serving.http.app import create_app
from genre.serving.refresh import previous_folder, with_log
from genre.serving.service import Service
from genre.storage import publish

USER = "forget-me-please"


def in_files(folder: Path) -> bool:
    return any(USER.encode() in path.read_bytes() for path in folder.glob("events.sqlite*"))


def test_a_deletion_while_a_backup_reads_stalls_nothing_and_is_finished_later(
    sqlite: SQLiteStore, tmp_path: Path
) -> None:
    sqlite.record([Event(USER, "x", 1.0, 1), Event("b", "x", 1.0, 1)])
    with sqlite3.connect(sqlite.path, isolation_level=None) as backup:
        backup.execute("BEGIN")
        assert backup.execute("SELECT count(*) FROM log").fetchone() == (2,)
        begin = time.monotonic()
        assert sqlite.delete_user(USER) == 1
        sqlite.erase()
        sqlite.record([Event("b", "y", 1.0, 2)])
        assert time.monotonic() - begin < 5, "it was 10 s and more"
        assert not sqlite.erased
        assert in_files(tmp_path)
        assert backup.execute("SELECT count(*) FROM log").fetchone() == (2,), "the backup reads what it began with"
        backup.execute("COMMIT")
    sqlite.erase()
    assert sqlite.erased
    assert not in_files(tmp_path)


def test_who_deletes_and_is_killed_is_followed_by_who_erases(sqlite: SQLiteStore, tmp_path: Path, run: Run) -> None:
    sqlite.record([Event(USER, "x", 1.0, 1)])
    sqlite.delete_user(USER)
    assert in_files(tmp_path)
    other = SQLiteStore(sqlite.path)  # while the first is open, as if it had been killed: its files stay
    service = Service([run], other)
    assert service.erasure.remains() == [SQLiteStore.unerased]
    service.erasure.go_on()
    assert service.erasure.remains() == []
    assert not in_files(tmp_path)
    other.close()


def test_postgres_is_vacuumed_once_nobody_sees_the_rows(postgres: Any) -> None:
    import psycopg

    postgres.record([Event(USER, f"i{n}", 1.0, 1) for n in range(50)])
    with psycopg.connect(postgres._read.settings) as dump:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SELECT count(*) FROM genre_log")
        postgres.delete_user(USER)
        postgres.erase()
        postgres.record([Event("b", "x", 1.0, 1)])
        assert not postgres.erased
    postgres.erase()
    assert postgres.erased
    ((dead,),) = postgres._select("SELECT n_dead_tup FROM pg_stat_all_tables WHERE relname = 'genre_log'", ())
    assert dead == 0


def test_a_deletion_says_what_is_left_and_readyz_until_when(
    run: Run, sqlite: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "ERASURE_SECONDS", 0.02)
    with publish(tmp_path / "toy") as folder:
        write_dataset(run.dataset, folder / "dataset" / "tables")
    service = Service([dataclasses.replace(run, folder=tmp_path / "toy")], sqlite)
    service.warm()

    def erasing(client: TestClient, wanted: list[str]) -> None:
        deadline = time.monotonic() + 20
        while (found := client.get("/readyz").json()["erasing"]) != wanted:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)

    with TestClient(create_app(service), base_url="http://localhost") as client:
        erasing(client, [])
        left = client.delete("/v1/users/stranger").json()["left"]
        assert left == [SQLiteStore.unerased]
        erasing(client, [])
        left = client.delete("/v1/users/u1").json()["left"]
        in_run = "run toy: its data, its report and what it learnt, until it is refreshed"
        assert left == [SQLiteStore.unerased, in_run]
        assert client.get("/readyz").json()["erasing"][-1] == in_run
        erasing(client, [in_run])
        (tmp_path / "toy").rename(previous_folder(tmp_path / "toy"))
        without = dataclasses.replace(service.run(), dataset=without_user(run.dataset, "u1"))
        service.swap(without)
        erasing(client, [".toy.previous: the run before, until it is refreshed again or that folder is removed"])
        (previous_folder(tmp_path / "toy") / "dataset" / "tables" / "dataset.json").unlink()
        (previous_folder(tmp_path / "toy") / "manifest.json").unlink()
        erasing(client, [])


def test_a_damaged_run_of_before_may_hold_anything(run: Run, sqlite: SQLiteStore, tmp_path: Path) -> None:
    with publish(previous_folder(tmp_path / "toy")) as folder:
        (folder / "nothing").touch()
    service = Service([dataclasses.replace(run, folder=tmp_path / "toy")], sqlite)
    service.erasure.go_on()
    assert service.erasure.remains() == [], "while no user was deleted"
    service.delete_user("stranger")
    service.erasure.go_on()
    service.erasure.go_on()
    assert len(service.erasure.remains()) == 1
    assert ".toy.previous" in service.erasure.remains()[0]


def without_user(data: Dataset, user_id: str) -> Dataset:
    gone = data.user_ids.row(user_id)
    ids = [user for user in data.user_ids.values.to_pylist() if user != user_id]
    kept = data.user != gone
    return Dataset.from_arrays(
        user=data.user[kept] - (data.user[kept] > gone),
        item=data.item[kept],
        user_ids=Ids(ids),
        item_ids=data.item_ids,
        timestamp=None if data.timestamp is None else data.timestamp[kept],
        items=data.items,
    ).with_features(items=data.item_features)


def test_a_late_retry_is_refused_over_http(run: Run, sqlite: SQLiteStore) -> None:
    event = {"user_id": "a", "item_id": "i1", "event_id": "e1", "timestamp": int(time.time()) - 60}
    with TestClient(create_app(Service([run], sqlite)), base_url="http://localhost") as client:
        assert client.post("/v1/events", json=event).json() == {"recorded": 1, "duplicates": 0}
        assert client.delete("/v1/users/a").json()["events"] == 1
        answer = client.post("/v1/events", json=[event, {"user_id": "b", "item_id": "i1"}])
        assert answer.status_code == 409
        assert "1 from before their user was deleted" in answer.json()["detail"]
        assert "1 recorded" in answer.json()["detail"]
        assert client.get("/v1/users/a").json()["history"] == []
        assert client.post("/v1/events", json={"user_id": "a", "item_id": "i2"}).status_code == 200
        assert [item["item_id"] for item in client.get("/v1/users/a").json()["history"]] == ["i2"]


def test_a_new_history_after_a_deletion_is_not_held_against_the_run() -> None:
    def data(timestamp: int | None) -> Dataset:
        times = None if timestamp is None else np.array([timestamp, 1])
        return Dataset.from_arrays(
            user=np.array([0, 1]), item=np.array([0, 0]), user_ids=Ids(["a", "b"]), item_ids=Ids(["x"]), timestamp=times
        )

    deleted = DeletedUsers(b"key")
    assert not from_before_deletion(data(5), deleted).any()
    deleted.add(Deletion(user_digest("a", b"key"), 5))
    assert [from_before_deletion(data(time), deleted).tolist() for time in (5, 6, None)] == [
        [True, False], [False, False], [True, False],
    ]  # fmt: skip
    deleted.add(Deletion(user_digest("b", b"")))
    assert from_before_deletion(data(6), deleted).tolist() == [False, True], "deleted at an unknown time"


def test_recommend_shows_no_deleted_user(run: Run, store: EventStore, request: pytest.FixtureRequest) -> None:
    address = str(store.path) if isinstance(store, SQLiteStore) else request.getfixturevalue("postgres_server").address

    def refuse(user: str | None, named: str | None = address) -> None:
        _refuse_deleted(run, argparse.Namespace(user=user, store=named))

    store.delete_user("u0")
    for user in ("u1", "stranger", None):
        refuse(user)
    refuse("u0", None)  # no log beside the run
    with pytest.raises(UnknownId, match="this user was deleted"):
        refuse("u0")
    with pytest.raises(StoreError, match="no event log"):
        refuse("u0", "none.sqlite")


def test_a_new_history_is_learnt_and_kept_when_its_events_are_pruned(run: Run, sqlite: SQLiteStore) -> None:
    now = int(time.time())
    data = run.dataset
    timed = dataclasses.replace(data, timestamp=np.full(len(data), now - 900, np.int64))
    for user in ("u1", "u2"):
        sqlite.delete_user(user, now - 800)
    sqlite.record([Event("u1", "i2", 1.0, now - 700), Event("u1", "i4", 1.0, now - 600)])
    first = with_log(timed, sqlite)
    assert sqlite.prune(now - 650) == 1
    for again in (with_log(first, sqlite), with_log(with_log(first, sqlite), sqlite)):
        own = again.item[again.user == again.user_ids.row("u1")]
        assert again.item_ids.take(own) == ["i2", "i4"]
        assert "u2" not in again.user_ids
    service = Service([dataclasses.replace(run, dataset=first.with_features(items=data.item_features))], sqlite)
    service.erasure.go_on()
    assert not any("run toy" in left for left in service.erasure.remains())
    assert [item["item_id"] for item in service.user("u1")["history"]] == ["i2", "i4"]
    assert "u1" in service.users("u1")
    old = Service([dataclasses.replace(run, dataset=timed)], sqlite)
    assert [item["item_id"] for item in old.user("u1")["history"]] == ["i4"], "of the old run only what came since"
    assert "u1" not in old.users("u1")


def test_deletions_reach_every_process(run: Run, store: EventStore, reopened: Callable[[], EventStore]) -> None:
    one, other = Service([run], store), Service([run], reopened())
    one.delete_user("u1")
    one.erasure.go_on()
    other.sync()
    for service in (one, other):
        service.erasure.go_on()
        assert [left for left in service.erasure.remains() if "run toy" in left]
        assert service.user("u1")["history"] == []


def test_a_report_with_an_example_of_a_deleted_user_is_not_shown(run: Run, sqlite: SQLiteStore) -> None:
    run.report["examples"] = [{"user_id": "u0"}]
    service = Service([run], sqlite)
    assert not service.erasure.report_shows_deleted()
    service.delete_user("u0")
    assert service.erasure.report_shows_deleted("toy")
