"""An upgrade: a saved run and an event log, each of a released format, are served, go on recording, and are refreshed.

The logs in `golden/events` were written by the versions that had their format; a new format adds one.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

import genre
from genre import storage
from genre.cli.main import main
from genre.serving.events import sqlite
from genre.serving.events.log_table import EventStore
from genre.serving.events.opening import open_store
from genre.serving.events.store import Event, Outcome
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from postgres_server import PostgresServer
from sizes import NIGHTLY

GOLDEN = Path(__file__).parents[1] / "golden"
LOGS = sorted(GOLDEN.glob("events/*.sql"))
BY_DAY = ("sqlite-1", "postgres-2")


def written(log: Path, folder: Path, request: pytest.FixtureRequest) -> str:
    """The address of a log with the content of a kept one."""
    content = log.read_text("utf-8")
    if log.stem.startswith("postgres"):
        import psycopg

        server: PostgresServer = request.getfixturevalue("postgres_server")
        with psycopg.connect(server.address, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS genre_log, genre_log_key")
            connection.execute(content.encode())
        return server.address
    path = folder / "log.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(content)
    for key in re.findall(r"^-- key: (\w+)$", content, re.MULTILINE):
        sqlite.key_place(path).write_bytes(bytes.fromhex(key))
    return str(path)


def lists(run: Path, store: EventStore) -> dict[str, tuple[str, tuple[str, ...]]]:
    """For whom -> what kind of list, and its items."""
    service = Service([genre.read_run(run)], store)
    found = {user: service.recommend(ListRequest(user_id=user, k=3)) for user in ("fresh", "u0", "u1")}
    return {
        user: (answer.source, tuple(str(item["item_id"]) for item in answer.items)) for user, answer in found.items()
    }


def test_a_log_of_the_present_format_is_kept() -> None:
    newest = sqlite._VERSION
    assert {log.stem for log in LOGS} == {
        f"{kind}-{n}" for kind in ("sqlite", "postgres") for n in range(1, newest + 1)
    }


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(
            log,
            marks=() if log.stem in BY_DAY or NIGHTLY else pytest.mark.skip("a retraining each: make nightly"),
            id=log.stem,
        )
        for log in LOGS
    ],
)
def test_a_run_and_its_events_survive_an_upgrade(log: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = Path(shutil.copytree(GOLDEN / f"run-{storage.FORMAT}", tmp_path / "small-01234567"))
    address = written(log, tmp_path, request)
    store = open_store(address)
    try:
        assert [event.item_id for event in store.histories(["fresh"])["fresh"]] == ["i1", "i3", "i5"]
        before = lists(run, store)
        assert before["fresh"][0] == "folded_in", "known from the events of before"
        assert all(int(item[1:]) % 2 for item in before["fresh"][1]), "an odd reader among odd readers"
        assert before["u1"][0] == "popular", "who was deleted stays deleted"
        assert store.record([Event("fresh", "i1", 1.0, 2_000_001, "e1")]) == [Outcome.DUPLICATE]
        assert store.record([Event("fresh", "i7", 1.0, 2_000_030, "e1b")]) == [Outcome.NEW]
        assert main(["refresh", str(run), "--store", address]) == 0
        data = genre.read_run(run).dataset
        assert ("fresh" in data.user_ids, "u1" in data.user_ids) == (True, False)
        assert data.titles()[-1] == "A new story"
        assert len(data.history(["fresh"]).item) == 4
        assert lists(run, store)["fresh"][0] == "personal"
    finally:
        store.close()
