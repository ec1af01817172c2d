"""`genre serve --refresh-every`: refreshes in processes of their own, and what is told of them."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from pathlib import Path

import pytest

from genre.errors import OptionError
from genre.run_folder import read_run
from genre.runs import Run
from genre.serving.events.opening import default_store_path
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.http.refreshing import Refresher, parse_interval
from genre.serving.refresh_record import read_record
from genre.serving.service import Service
from small_world import story_run


@pytest.mark.parametrize(("text", "seconds"), [("1m", 60), ("1.5h", 5400), ("6h", 21_600), ("1d", 86_400)])
def test_intervals(text: str, seconds: float) -> None:
    assert parse_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "0.5m", "-1h", "6 h", "1w"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="such as 30m, 6h or 1d"):
        parse_interval(text)


def test_each_run_is_refreshed_apart_from_the_working_folder(
    tmp_path: Path, run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("genre", "numpy", "duckdb"):  # in the working folder, which is no place of modules
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    folder = story_run(tmp_path)
    with contextlib.closing(SQLiteStore(default_store_path(folder))) as store:
        store.record([Event("fresh", f"i{item}", 1.0, 2_000_000 + item) for item in (2, 4, 6)])
    refresher = Refresher({"a": folder, "gone": tmp_path / "none"}, str(default_store_path(folder)), 0.01)
    stop = threading.Event()
    refresher.refresh("a", folder, stop)
    assert "fresh" in read_run(folder).dataset.user_ids
    assert not (tmp_path / "ran").exists()
    refresher.refresh("gone", tmp_path / "none", stop)
    refreshed, failed = read_record(folder), read_record(tmp_path / "none")
    assert refreshed is not None
    assert (refreshed.result, refreshed.news) == ("went live", "new from the event log: 3 interactions, 1 user")
    assert refreshed.gate.startswith("ndcg@10 on the newest interactions, ")
    assert failed is not None
    assert failed.result == "failed"
    assert "none" in failed.message
    service = Service([dataclasses.replace(run, folder=folder)], sqlite)
    service.operations.schedule = refresher.schedule
    (state,) = service.operations.report()["refreshes"]
    assert state["last"]["result"] == "went live"
    assert state["next"] == refresher.schedule.next_round
    assert (state["running_since"], refresher.schedule.running) == (None, {})


def test_refreshes_go_on_after_any_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors, stop = [MemoryError("no room"), UnicodeDecodeError("utf-8", b"x", 0, 1, "odd")], threading.Event()

    def fail(*_: object) -> None:
        if not errors:
            stop.set()
            return
        raise errors.pop(0)

    refresher = Refresher({"a": tmp_path}, "x.sqlite", 0.01)
    monkeypatch.setattr(refresher, "refresh", fail)
    refresher.keep_refreshing(stop)
    assert errors == []
    record = read_record(tmp_path)
    assert record is not None
    assert (record.result, "odd" in record.message, refresher.schedule.running) == ("failed", True, {})


def test_a_refresh_ends_with_the_server(tmp_path: Path) -> None:
    stop = threading.Event()
    refresher = Refresher({"a": tmp_path}, "x.sqlite", 3600)
    thread = threading.Thread(target=refresher.keep_refreshing, args=(stop,))
    thread.start()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert read_record(tmp_path) is None
