"""Lists with an id, what is recorded of them, and what they led to: counted once, whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from genre.config.serving_options import RecordShows, ServingOptions
from genre.errors import StoreError
from genre.runs import Run
from genre.serving.events.backup import back_up, restore
from genre.serving.events.list_rows import Origin
from genre.serving.events.log_table import EventStore
from genre.serving.events.outcomes import OutcomeCounts, clicks_on_unknown_lists, count_arms, count_outcomes
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ServedList
from genre.serving.exploration import click_counts
from genre.serving.http.app import create_app
from genre.serving.outcome_table import outcome_table
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from genre.serving.shows import FLUSH_SECONDS, ShowLog
from genre.serving.user_data import data_of_user
from sizes import sized


def served(name: str, user: str | None = "a", items: str = "xyz", at: int = 100, **more: Any) -> ServedList:
    given: dict[str, Any] = {"run": "r", "recommender": "ease", "source": "personal", "fallback": None, **more}
    return ServedList(name, user, items=tuple(items), propensities=(), timestamp=at, seconds=0.5, **given)


def counted(store: EventStore, outcomes: Sequence[str], **given: int) -> list[OutcomeCounts]:
    return count_outcomes(store, outcomes, group=lambda origin: origin, **given)


def click(user: str, list_id: str, item: str, kind: str = "click", at: int = 101, **more: Any) -> Event:
    return Event(user, item, 1.0, at, kind=kind, recommendation_id=list_id, **more)


def test_every_answer_has_an_id_and_is_recorded(run: Run, store: EventStore) -> None:
    service = Service([run], store, options=ServingOptions("durable"))
    made = service.recommend(ListRequest("u0", k=3))
    others = [service.similar("i1", k=2), service.popular(k=2), service.recommend(ListRequest(history=("i1",), k=1))]
    ids = {made.recommendation_id, *(one.recommendation_id for one in others)}
    assert len(ids) == 4
    assert service.recommend(ListRequest("u0", k=3, record=False)).recommendation_id not in ids
    (shown,) = store.lists_of("u0")
    assert shown.items == tuple(item["item_id"] for item in made.items)
    assert (shown.recommendation_id, shown.run, shown.source) == (made.recommendation_id, "toy", "personal")
    assert {counts.group.source for counts in counted(store, ())} == {
        "personal", "similar", "popular", "folded_in",
    }  # fmt: skip
    assert sum(counts.lists for counts in counted(store, ())) == 4


def test_buffered_lists_are_recorded_within_moments_and_when_the_service_ends(run: Run, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.sqlite")
    shows = ShowLog(store, "buffered")
    service = Service([run], store, options=ServingOptions("off"))
    shows.add([("u0", service.recommend(ListRequest("u0", k=3)))], 0.1)
    until = time.monotonic() + 10
    while not store.lists_of("u0") and time.monotonic() < until:
        time.sleep(FLUSH_SECONDS)
    assert len(store.lists_of("u0")) == 1
    shows.add([("u0", service.recommend(ListRequest("u0", k=3)))], 0.1)
    shows.flush()
    assert len(store.lists_of("u0")) == 2


HOSTILE_LISTS = {
    "origin": ["null", "[]", '[{}, [], 1, {}]', '[["r"], "e", "p", null]', '["r", {}, "p", null]',
               '["r", "e", "p", ["y"]]', '["\\ud800", "e", "p", null]', "[" * 9000, b"\xff", '["r", "e", "p"]'],
    "body": ["{}", "[]", '{"items": "50"}', '{"items": {"50": 1}}', '{"items": [["a"]]}', '{"items": ["\\ud800"]}',
             '{"items": ["a"], "propensities": [NaN]}', '{"items": ["a"], "propensities": [0]}', "[" * 9000, None],
    "value": [float("inf"), -1e300, "x", b"x", None],
    "list_id": [None],
    "timestamp": ["x", None],
}  # fmt: skip


def test_a_list_that_cannot_be_read_is_left_out(sqlite: SQLiteStore) -> None:
    sqlite.put_lists([served("good")])
    good = dict(zip(("kind", "user_id", "timestamp", "body", "list_id", "place", "value", "origin"),
                    ("list", "a", 100, '{"items": ["x"]}', "l", 1, 0.5, '["r", "ease", "personal", null]'),
                    strict=True))  # fmt: skip
    rows = [{**good, name: value} for name, values in HOSTILE_LISTS.items() for value in values]
    with sqlite3.connect(sqlite.path) as log:
        for number, row in enumerate(rows):
            row["list_id"] = row["list_id"] and f"l{number}"
            log.execute(f"INSERT INTO log ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
    assert [one.recommendation_id for one in sqlite.lists_of("a")] == ["good"]
    json.dumps(data_of_user(sqlite, "a", None), ensure_ascii=False).encode()
    assert {one.group.run for one in counted(sqlite, ())} == {"r"}
    (row,) = outcome_table(sqlite, ())
    assert row.coverage == 3, "the items of the good one"
    assert count_arms(sqlite, ["r", "s"], "buy", since=0, until=200, window=9, now=300).by_arm["r"].users == 1
    assert click_counts(sqlite)[1] == {"x": 1 + len(HOSTILE_LISTS["origin"]) + 8, "y": 1, "z": 1}


@pytest.mark.parametrize("how", ["durable", "buffered"])
def test_a_list_is_answered_where_the_log_cannot_be_written(
    service: Service, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch, how: RecordShows
) -> None:
    def fail(*_: Any, **__: Any) -> int:
        raise StoreError("gone")

    monkeypatch.setattr(sqlite, "put_lists", fail)
    service.shows = ShowLog(sqlite, how)
    assert len(service.recommend(ListRequest("u0", k=3)).items) == 3
    service.shows.flush()
    assert service.shows.n_lost == 1


def test_what_lists_led_to_is_counted_once(store: EventStore) -> None:
    store.put_lists([served("1"), served("2"), served("3", "b", "xy", source="popular", fallback="model_late")])
    store.put_lists([served("1"), served("4", None, "")])  # the first one again
    for _ in range(2):
        store.record([click("a", "1", "x"), click("a", "1", "y"), click("a", "1", "x", "buy", value=3.0)])
        store.record([click("b", "3", "x"), click("b", "lost", "x"), Event("b", "y", kind="click")])
        store.record([click("b", "3", "x", "show", position=1)])
    best, empty = counted(store, ("buy",))[0], counted(store, ("buy",))
    assert best.group == Origin("r", "ease", "personal", None)
    assert (best.units, best.lists, best.empty, best.shows, best.clicks) == (2, 3, 1, 6, 2)
    assert (best.conversions, best.value, best.seconds) == (1, 3.0, 1.5)
    assert (best.squares["shows"], best.squares["clicks"], best.products["clicks"]) == (36, 4, 12)
    (popular,) = [one for one in empty if one.group.source == "popular"]
    assert (popular.group.fallback, popular.shows, popular.clicks) == ("model_late", 1, 1), "one place was seen"
    assert clicks_on_unknown_lists(store) == 1
    assert counted(store, (), since=101) == []
    spans = counted(store, (), span=60)
    assert {one.since for one in spans} == {60}


def test_shows_are_erased_pruned_exported_and_backed_up(store: EventStore, tmp_path: Path) -> None:
    kept = served("2", "b", at=500)
    store.put_lists([served("1"), kept, served("3", "c", at=10)])
    store.record([click("a", "1", "x", "show", position=1), click("a", "1", "x")])
    found = data_of_user(store, "a")
    assert [one["recommendation_id"] for one in found["lists"]] == ["1"]
    assert [one["kind"] for one in found["events"]] == ["show", "click"]
    back_up(store, tmp_path / "backup")
    assert store.delete_user("a", 200) == 1
    assert store.lists_of("a") == store.events_of("a") == []
    assert store.put_lists([served("5", at=150), served("6", at=300)], 400) == 1, "made before the deletion: left out"
    assert [one.recommendation_id for one in store.lists_of("a")] == ["6"]
    assert store.prune(100) == 1
    assert store.lists_of("c") == []
    target = SQLiteStore(tmp_path / "restored.sqlite")
    restore(tmp_path / "backup", target)
    assert target.lists_of("b") == [kept]
    assert target.events_of("a")[0].position == 1
    if isinstance(store, SQLiteStore):
        store.erase()
        restore(tmp_path / "backup", store, replace=True)
        assert store.lists_of("a") == [], "deleted again"
    target.close()


def test_shows_over_http(run: Run, tmp_path: Path, serve_app: Callable[..., Any]) -> None:
    store = SQLiteStore(tmp_path / "log.sqlite")
    service = Service([run], store, options=ServingOptions("durable"))
    with serve_app(create_app(service)) as url, httpx.Client(base_url=url, timeout=30) as client:
        made = client.get("/v1/users/u0/recommendations?k=3&recommendation_id=mine").json()
        assert made["recommendation_id"] == "mine"
        client.get("/v1/users/u0/recommendations?k=3&recommendation_id=mine")
        for path in (
            "users/u0/recommendations?k=3&record=false",
            "popular?record=false",
            "items/i1/similar?record=false",
        ):
            assert client.get(f"/v1/{path}").json()["recommendation_id"]
        item = made["items"][1]["item_id"]
        event = {"user_id": "u0", "item_id": item, "recommendation_id": "mine", "position": 2}
        client.post("/v1/events", json=[{**event, "kind": "show"}, {**event, "kind": "click"}])
        (counts,) = counted(store, ())
        assert (counts.lists, counts.shows, counts.clicks) == (1, 1, 1)
        text = client.get("/metrics").text
        assert "mine" not in text
        assert "u0" not in text
        assert "genre_lost_shows 0.0" in text


SHOP = """
import sys
from pathlib import Path
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.requests import RankedList
from genre.serving.shows import ShowLog
store = SQLiteStore(Path(sys.argv[1]))
shows = ShowLog(store, "durable")
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    ranked = RankedList([{"item_id": "x"}, {"item_id": "y"}], "personal", "r", "ease", recommendation_id=f"l{n}")
    shows.add([(f"u{n % 5}", ranked)], 0.1)
    assert shows.n_lost == 0
    led = [Event(f"u{n % 5}", item, 1.0, n + 1, f"{kind}{n}{item}", kind=kind, recommendation_id=f"l{n}", value=2.0)
           for item, kind in (("x", "click"), ("y", "click"), ("x", "buy")) if n % 3 or item == "x"]
    store.record(led)
    print(n, flush=True)
"""


def test_kill_9_a_replay_and_duplicates_change_no_count(tmp_path: Path) -> None:
    n_lists, kills = 12, sized(2, 100)

    def shop(path: Path, begin: int, end: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", SHOP, str(path), str(begin), str(end)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    assert shop(tmp_path / "undisturbed.sqlite", 0, n_lists * kills).wait() == 0
    draw = random.Random(0)
    for at in range(kills):
        begin = max(0, n_lists * at - 3)  # the last ones are sent again, as a client does who got no answer
        killed = shop(tmp_path / "killed.sqlite", begin, n_lists * (at + 1))
        assert killed.stdout is not None
        for _ in range(draw.randrange(1, 9)):
            killed.stdout.readline()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert shop(tmp_path / "killed.sqlite", begin, n_lists * (at + 1)).wait() == 0
    undisturbed, disturbed = (SQLiteStore(tmp_path / f"{name}.sqlite") for name in ("undisturbed", "killed"))
    found = [
        [(one.lists, one.shows, one.clicks, one.conversions, one.value) for one in counted(store, ("buy",))]
        for store in (undisturbed, disturbed)
    ]
    assert found[0] == found[1] != []
    assert clicks_on_unknown_lists(disturbed) == 0


def test_rows_of_lists_that_no_version_wrote_are_passed_over(sqlite: SQLiteStore) -> None:
    sqlite.put_lists([served(name) for name in ("kept", "origin", "items", "time", "name")])
    with sqlite3.connect(sqlite.path) as spoilt:
        for name, column, value in (
            ("origin", "origin", "nothing"),
            ("items", "body", "[]"),
            ("time", "timestamp", "noon"),
            ("name", "list_id", None),
        ):
            spoilt.execute(f"UPDATE log SET {column} = ? WHERE list_id = ?", (value, name))
    assert [one.recommendation_id for one in sqlite.lists_of("a")] == ["kept"]
