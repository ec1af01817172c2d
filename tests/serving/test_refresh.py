"""`genre refresh` beside a real server: what was clicked is learnt, taken over without a restart, taken back."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import genre
from genre import storage
from genre.cli.main import main
from genre.data.dataset import Dataset
from genre.errors import ArtifactError, DataError, GenreError
from genre.log import Log
from genre.run_folder import read_run
from genre.serving.events.opening import default_store_path
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ItemChange
from genre.serving.refresh import put_in_place, refresh, roll_back, with_log
from genre.serving.refresh_record import read_record, record_path
from genre.storage import publish
from genre.studies import remake
from genre.testing import toy_dataset
from genre.workspace import locked
from sizes import NIGHTLY
from small_world import story_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Even users like even items."""
    world = tmp_path_factory.mktemp("world")
    return story_run(world)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A run of its own for each test; the sources it was made from are not beside it."""
    return Path(shutil.copytree(made, tmp_path / made.name))


@pytest.fixture
def store(folder: Path) -> Iterator[SQLiteStore]:
    with contextlib.closing(SQLiteStore(default_store_path(folder))) as opened:
        yield opened


def clicks(user: str, *items: int) -> list[Event]:
    return [Event(user, f"i{item}", 1.0, 2_000_000 + item, f"{user}-{item}") for item in items]


@pytest.mark.parametrize(
    "every",
    [None, pytest.param("1m", marks=pytest.mark.skipif(not NIGHTLY, reason="a minute by the clock: make nightly"))],
)
def test_a_server_takes_a_refreshed_run_over_and_back(folder: Path, every: str | None) -> None:
    """By `genre refresh` beside it, and by the server itself, when its time has come."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", str(folder), "--port", str(port), *(() if every is None else ("--refresh-every", every))]
    server = subprocess.Popen(
        [sys.executable, "-c", "from genre.cli.main import main; main()", *words], stderr=subprocess.DEVNULL
    )
    client, statuses = httpx.Client(base_url=f"http://127.0.0.1:{port}"), set[int]()

    def source() -> str:
        answer = client.get("/v1/users/fresh/recommendations?k=3")
        statuses.add(answer.status_code)
        return str(answer.json()["source"])

    def until(wanted: str) -> None:
        deadline = time.monotonic() + (30 if every is None else 600)  # at low priority, beside other work
        while source() != wanted:
            assert time.monotonic() < deadline, f"still {source()}"
            time.sleep(0.05)

    try:
        while True:
            assert server.poll() is None
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    break
            time.sleep(0.05)
        assert source() == "popular"
        events = [{"user_id": "fresh", "item_id": f"i{item}", "event_id": f"e{item}"} for item in (1, 3, 5)]
        assert client.post("/v1/events", json=events).status_code == 200
        assert source() == "folded_in", "known from its clicks, not from training"
        if every is None:
            assert main(["refresh", str(folder)]) == 0
        until("personal")
        record = read_record(folder)
        assert record is not None
        assert (record.result, record.news) == ("went live", "new from the event log: 3 interactions, 1 user")
        assert main(["refresh", str(folder), "--roll-back"]) == 0
        until("folded_in")
        assert statuses == {200}
    finally:
        server.terminate()
        server.wait(30)


def test_what_the_log_says_is_learnt_once(folder: Path, store: SQLiteStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.record([*clicks("fresh", 1, 3, 5), *clicks("u0", 9)])
    store.put_items([ItemChange("new", {"title": "A new story"})])
    store.delete_user("u1")
    before, key = read_run(folder), storage.read_manifest(folder)["key"]
    assert main(["refresh", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert f"to erase them remove {folder.parent / f'.{folder.name}.previous'}" in err
    assert "new from the event log: 4 interactions, 1 user, 1 item; left out: 1 deleted user" in err
    assert "training: ease" in err, "progress is shown"
    assert f"Undo:      genre refresh {folder} --roll-back" in out
    after = read_run(folder)
    assert "fresh" in after.dataset.user_ids
    assert "u1" not in after.dataset.user_ids
    assert after.dataset.titles()[-1] == "A new story"
    assert "4 interactions" in after.report["data"]["cleaning"]["facts"][-1]
    ours = after.recommend("fresh", k=2)["item_id"].tolist()
    assert all(int(item[1:]) % 2 for item in ours), "an odd reader among odd readers"
    assert storage.read_manifest(folder)["key"] == key, "to `genre run` it is the same run, up to date"
    assert main(["refresh", str(folder)]) == 0
    assert "has nothing that" in capsys.readouterr().err
    assert main(["refresh", str(folder), "--roll-back"]) == 0
    assert read_run(folder).dataset.fingerprint() == before.dataset.fingerprint()
    record_path(folder).unlink()
    record_path(folder).mkdir()
    assert main(["refresh", str(folder), "--roll-back"]) == 0, "a record that cannot be written is no reason to stop"
    assert "fresh" in read_run(folder).dataset.user_ids, "twice is back again"


@pytest.fixture
def lately(tmp_path: Path) -> Path:
    """A run in which the last days count for much."""
    rows = [f"u{user},i{(user + step) % 40},{1_000_000 + 10 * user + step}" for user in range(80) for step in range(8)]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (tmp_path / "lately.yaml").write_text(
        "name: lately\ndata: {kind: files, interactions: interactions.csv}\nsplit: {kind: leave-one-out}\n"
        "recommenders: [{kind: popularity, half_life_days: 7}]\noutput: {users: [u0]}\n"
    )
    return genre.run(tmp_path / "lately.yaml", runs=tmp_path / "runs").folder


def test_a_push_by_one_user_is_held_back(lately: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(SQLiteStore(default_store_path(lately))) as store:
        store.record([Event("pusher", item, 1.0, 40_000_000 + at) for at, item in enumerate(("new", "i1", "i2"))])
    for words in ([], ["--accept", "i3"], ["--drift", "growth=5"]):
        assert main(["refresh", str(lately), *words]) == 2
        told = capsys.readouterr().err
        assert "held back, the old run stands" in told
        assert "'new' (new): in 100.0% of the lists, 0.0% before; 1 user took it since, 1 of them new: 'pusher'" in told
        assert "pusher" not in read_run(lately).dataset.user_ids
    record = read_record(lately)
    assert record is not None
    assert (record.result, record.message) == ("held back", "few users push items into the lists: 'new'")
    assert "pusher" not in record_path(lately).read_text(), "a deletion of the user does not reach this file"
    assert main(["refresh", str(lately), "--drift", "far=1"]) == 2
    assert "no limit 'far'" in capsys.readouterr().err
    assert main(["refresh", str(lately), "--accept", "new"]) == 2
    assert "gate: ndcg@10 on the newest interactions, worse: -0.0" in capsys.readouterr().err
    assert "pusher" not in read_run(lately).dataset.user_ids
    record = read_record(lately)
    assert record is not None
    assert record.gate.startswith("ndcg@10 on the newest interactions, worse: -0.0")
    assert main(["refresh", str(lately), "--accept", "new", "--gate", "width=1"]) == 2
    assert "width" in capsys.readouterr().err
    assert main(["refresh", str(lately), "--accept", "new", "--gate", "margin=0.5"]) == 0
    assert "training" not in capsys.readouterr().err, "what was learnt then is taken over now"
    assert "pusher" in read_run(lately).dataset.user_ids
    assert main(["refresh", str(lately), "--roll-back"]) == 0
    assert main(["refresh", str(lately), "--accept", "--no-gate"]) == 0, "whatever rises, and however good it is"


def test_the_printed_command_accepts_what_was_held_back(lately: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ["new", "a newer one", "n3", "n4"]
    told = ["refresh", str(lately), "--store", str(lately.parent / "our log.sqlite"), "--drift", "backing=0.03"]
    told.append("--no-gate")
    with contextlib.closing(SQLiteStore(Path(told[3]))) as store:
        store.record([Event("pusher", item, 1.0, 40_000_000 + at) for at, item in enumerate(new)])
    assert main([*told, "--accept", "nosuch", "n3"]) == 2
    assert "items to accept: unknown id 'nosuch'" in capsys.readouterr().err
    assert main([*told, "--accept", "n3"]) == 2
    command = capsys.readouterr().err.splitlines()[-1].partition("genre ")[2]
    assert "--drift=backing=0.03" in command
    assert main(shlex.split(command)) == 0
    assert set(new) <= set(read_run(lately).dataset.item_ids.values.to_pylist())


def test_another_experiment_in_the_same_folder_learns_nothing(folder: Path, store: SQLiteStore) -> None:
    again, other = (
        Path(shutil.copytree(folder, folder.with_name(name))) for name in ("small-0123abcd", "big-0123abcd")
    )
    store.record(clicks("fresh", 1))
    assert main(["refresh", str(other)]) == 2, "there is no log of it"
    assert "fresh" not in read_run(other).dataset.user_ids
    assert main(["refresh", str(again)]) == 0
    assert "fresh" in read_run(again).dataset.user_ids, "a run made anew goes on with the log"


def test_two_at_once_are_refused(folder: Path, store: SQLiteStore) -> None:
    store.record(clicks("fresh", 1))
    with locked(folder):
        assert main(["refresh", str(folder)]) == 2
        assert main(["refresh", str(folder), "--roll-back"]) == 2
        with pytest.raises(GenreError, match="another process is making this run"):
            refresh(folder, store, remake)
    assert refresh(folder, store, remake)


def test_when_it_fails_the_old_run_stands(folder: Path, store: SQLiteStore) -> None:
    store.record(clicks("fresh", 1))

    def fails(folder: Path, dataset: Dataset, place: Path, *, news: str, log: Log) -> None:
        place.mkdir()
        raise DataError("on purpose")

    def forgets(folder: Path, dataset: Dataset, place: Path, *, news: str, log: Log) -> None:
        (place / "half").write_text("not whole")

    for make in (fails, forgets):
        with pytest.raises(GenreError):
            refresh(folder, store, make)
        assert "fresh" not in read_run(folder).dataset.user_ids
    with pytest.raises(ArtifactError, match="nothing to go back to"):
        roll_back(folder)
    assert refresh(folder, store, remake), "and the next call goes on from what is left"
    assert "fresh" in read_run(folder).dataset.user_ids
    assert np.isfinite(read_run(folder).recommender("ease").score(read_run(folder).dataset.history([0]))).all()


def test_wrong_words_are_answered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refresh", str(folder)]) == 2
    assert "no event log; it is made when the run is first served" in capsys.readouterr().err
    SQLiteStore(default_store_path(folder)).close()
    assert main(["refresh", str(folder.parent / "nowhere")]) == 2
    assert "nowhere: no such run folder" in capsys.readouterr().err
    assert main(["refresh", str(folder), "--roll-back"]) == 2
    assert "nothing to go back to; it was not refreshed" in capsys.readouterr().err


def test_the_log_goes_back_into_the_data(sqlite: SQLiteStore) -> None:
    data = toy_dataset()
    sqlite.record([Event("u0", "i1", 1.0, 2_000_000_000), Event("gone", "i1", 1.0, 2_000_000_000)])
    sqlite.put_items([ItemChange("n1", {"title": "New", "genres": ["a", "b"], "plot": "a plot"})])
    sqlite.put_items([ItemChange("i0", {"title": "Renamed"})])
    sqlite.delete_user("u1")
    sqlite.delete_user("gone")
    sqlite.record([Event("fresh", "n1", 1.0, 2_000_000_001), Event("fresh", "n2", 0.0, 2_000_000_002)])
    merged = with_log(data, sqlite)
    assert "u1" not in merged.user_ids
    assert "gone" not in merged.user_ids
    assert merged.n_users == data.n_users - 1 + 1
    assert merged.item_ids.values.to_pylist()[-2:] == ["n1", "n2"]
    assert merged.items.column("title").to_pylist()[0] == "Renamed"
    assert merged.items.column("title").to_pylist()[-2:] == ["New", None]
    assert merged.items.column("genres").to_pylist()[-2] == "a|b"
    assert merged.items.column("plot").to_pylist()[-2] == "a plot"
    fresh = merged.history([merged.user_ids.row("fresh")])
    assert (fresh.weight.tolist(), fresh.rating is not None and fresh.rating.tolist()) == ([1, 0], [4, 1])
    own = int((data.user == data.user_ids.row("u1")).sum())
    assert len(merged) == len(data) - own + 3
    again = with_log(merged, sqlite)
    assert len(again) == len(merged), "an event counts once, however often the data is made anew"
    kept = merged.where(merged.user == merged.user_ids.row("u2"))
    before = data.where(data.user == data.user_ids.row("u2"))
    assert kept.item.tolist() == before.item.tolist()


def test_an_empty_log_changes_nothing(sqlite: SQLiteStore) -> None:
    data = toy_dataset()
    assert with_log(data, sqlite).fingerprint() == data.fingerprint()


def test_a_run_is_put_in_place_and_brought_back(tmp_path: Path) -> None:
    for name, text in (("run", "old"), ("new", "new"), ("newer", "newer")):
        with publish(tmp_path / name) as aside:
            (aside / "text").write_text(text)
    run = tmp_path / "run"
    put_in_place(tmp_path / "new", run)
    assert (run / "text").read_text() == "new"
    assert not (tmp_path / "new").exists()
    put_in_place(tmp_path / "newer", run)
    roll_back(run)
    assert (run / "text").read_text() == "new"
    roll_back(run)
    assert (run / "text").read_text() == "newer"
