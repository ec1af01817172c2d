"""`genre ingest`: growing files, rotation, standard input, kills; each event counts once, nothing is lost silently."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genre.cli.main import main
from genre.data.parquet import write_dataset
from genre.errors import ArtifactError, DataError, StoreError
from genre.serving.events.outcomes import clicks_on_unknown_lists, count_outcomes
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, Outcome, ServedList
from genre.serving.ingest import growing_file, ingestion
from genre.serving.ingest.event_reader import EventReader
from genre.serving.ingest.growing_file import GrowingFile
from genre.serving.ingest.ingestion import Ingestion
from genre.serving.ingest.line_source import LONGEST_LINE, LineSplitter
from genre.serving.ingest.positions import Positions, Rejects
from genre.serving.ingest.standard_input import StandardInput
from genre.serving.outcome_table import by_run
from genre.storage import publish
from genre.testing import toy_dataset
from lines import Lines
from sizes import sized

CONFIG = """\
name: toy
data: {kind: files, interactions: interactions.csv}
split: {kind: leave-one-out}
recommenders: [{kind: popularity}]
events: {weights: {buy: 10, gift: 5}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of a run that weighs events."""
    place = tmp_path_factory.mktemp("runs") / "toy-12345678"
    write_run(place, CONFIG)
    return place


def write_run(place: Path, config: str) -> None:
    with publish(place, best_first=["popularity"]) as aside:
        (aside / "config.full.yaml").write_text(config)
        write_dataset(toy_dataset(), aside / "dataset" / "tables")


class Ingesting:
    """What `genre ingest` does with one file, step by step."""

    def __init__(self, folder: Path, path: Path, store: SQLiteStore, *, follow: bool = True) -> None:
        state = path.parent / "state"
        self.log, self.stop = Lines(), threading.Event()
        self.positions, self.store = Positions(state), store
        self.rejects = Rejects(state / "rejects.jsonl")
        self.source = GrowingFile(path, self.positions, follow=follow, log=self.log)
        self.whole = Ingestion(
            [self.source], EventReader(folder), store, self.positions, self.rejects, follow=follow, log=self.log
        )

    def until_quiet(self) -> Ingesting:
        """Read until there is nothing new, as a process does before it waits."""
        self.stop.clear()
        self.stop.wait = lambda _=None: self.stop.set() or True  # type: ignore[method-assign,assignment,func-returns-value]
        self.whole.go_on(self.stop)
        return self

    def end(self) -> None:
        for one in (self.source, self.rejects, self.positions):
            one.close()


def event(n: int, **more: Any) -> dict[str, Any]:
    return {"user_id": f"u{n % 3}", "item_id": f"i{n}", "kind": "click", "timestamp": 1000 + n, **more}


def rows(numbers: Sequence[int]) -> str:
    return "".join(json.dumps(event(n)) + "\n" for n in numbers)


def items(store: SQLiteStore) -> list[int]:
    return sorted(int(entry.item_id[1:]) for entry in store.entries() if isinstance(entry, Event))


def test_events_are_those_of_the_http_interface(folder: Path, tmp_path: Path, sqlite: SQLiteStore) -> None:
    sqlite.put_lists([ServedList("l1", "u0", "r", "ease", "personal", None, ("i1", "i2"), (), 900, 0.1)])
    given = [
        event(1, user_id="u0", recommendation_id="l1", position=1, event_id="own"),
        event(2, user_id="u0", kind="buy", recommendation_id="l1", value=2.5),
        event(3, kind="gift"),
        {"user_id": 7, "item_id": 8, "weight": 0.5},
        event(2, user_id="u0", kind="show", recommendation_id="l1", position=2),
        event(4, recommendation_id="lost"),
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\ufeff" + "\n".join(map(json.dumps, given)) + "\n\n  \n")
    Ingesting(folder, path, sqlite).until_quiet().end()
    recorded = [entry for entry in sqlite.entries() if isinstance(entry, Event)]
    assert [(one.kind, one.weight) for one in recorded] == [
        ("click", 1.0), ("buy", 10.0), ("gift", 5.0), (None, 0.5), ("show", 0.0), ("click", 1.0),
    ]  # fmt: skip
    assert recorded[0].event_id == "own"
    assert len({one.event_id for one in recorded}) == len(given)
    assert (recorded[3].user_id, recorded[3].at_arrival) == ("7", True)
    (counts,) = count_outcomes(sqlite, ("buy",), group=by_run)
    assert (counts.lists, counts.shows, counts.clicks, counts.conversions, counts.value) == (1, 1, 1, 1, 2.5)
    assert clicks_on_unknown_lists(sqlite) == 1


BAD = {
    "not json": "not JSON",
    '{"user_id": "u"}': "item_id: is missing",
    '{"user_id": "u", "item_id": "i", "kind": "clack"}': "no kind of event 'clack' (did you mean 'click'?)",
    '{"user_id": "u", "item_id": "i", "user_id": "v"}': "the key 'user_id' more than once",
    '{"user_id": "u", "item_id": "i", "weight": NaN}': "weight",
    '{"user_id": "u", "item_id": "i", "position": 0}': "position",
    '{"user_id": "u", "item_id": "i", "kind": "view", "weight": 1}': "the kind says what an event weighs",
    '{"user_id": "u", "item_id": "i", "else": 1}': "nothing of this name is known",
    '{"user_id": "u", "item_id": "i", "timestamp": 4000000000}': "in the future",
    "[1]": "a JSON object is wanted",
    "[" * 5000: "not JSON",
    '{"user_id": "\udcff", "item_id": "i"}': "not UTF-8 from byte 13",
    "x" * (LONGEST_LINE + 5): "longer than 1,000,000 bytes",
    json.dumps(event(0, event_id="e")): "its event_id was recorded of this user with other content",
}


def test_lines_that_are_no_events_are_counted_kept_and_named(folder: Path, tmp_path: Path, sqlite: SQLiteStore) -> None:
    path = tmp_path / "events.jsonl"
    sqlite.record([Event("u0", "other", 1.0, 5, "e"), Event("gone", "x", 1.0, 5)])
    sqlite.delete_user("gone", 10)
    late = json.dumps({"user_id": "gone", "item_id": "secret", "timestamp": 7})
    path.write_bytes("\n".join([*BAD, late, rows([1])]).encode("utf-8", "surrogateescape"))
    one = Ingesting(folder, path, sqlite).until_quiet()
    n = len(BAD) + 1
    assert str(one.whole.counts) == f"{n + 1} lines: 1 event recorded, 0 in the log before, {n} rejected"
    assert one.log.lines[0].startswith(f"{path}, 0: not JSON")
    assert "rejected lines are kept in" in one.log.lines[0]
    one.end()
    kept = [json.loads(row) for row in (tmp_path / "state" / "rejects.jsonl").read_text().splitlines()]
    assert len(kept) == n
    for row, (line, reason) in zip(kept, BAD.items(), strict=False):
        assert reason in row["reason"], row["reason"]
        assert row["line"] == (line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))[
            :10_000
        ] or (row["line"] == line)
    assert "before its user was deleted" in kept[-1]["reason"]
    assert "secret" not in json.dumps(kept), "of a deleted user nothing is kept"
    assert (tmp_path / "state" / "rejects.jsonl").stat().st_mode & 0o077 == 0
    path.rename(path.with_name("later.jsonl"))


def test_a_line_that_is_half_written_waits(folder: Path, tmp_path: Path, sqlite: SQLiteStore) -> None:
    path, text = tmp_path / "events.jsonl", rows([1, 2, 3]).encode()
    one = Ingesting(folder, path, sqlite)
    for at in range(0, len(text), 7):
        with path.open("ab") as file:
            file.write(text[at : at + 7])
        one.until_quiet()
    one.end()
    assert items(sqlite) == [1, 2, 3]
    assert one.whole.counts.rejected == 0


def test_without_follow_a_last_line_is_read_where_it_is_whole(
    folder: Path, tmp_path: Path, sqlite: SQLiteStore
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(rows([1]) + rows([2]).strip())
    Ingesting(folder, path, sqlite, follow=False).until_quiet().end()
    assert items(sqlite) == [1, 2]
    with path.open("a") as file:
        file.write("\n" + rows([3])[:20])
    half = Ingesting(folder, path, sqlite, follow=False).until_quiet()
    assert "ends in half a line" in half.log.lines[0]
    half.end()
    with path.open("a") as file:
        file.write(rows([3])[20:])
    last = Ingesting(folder, path, sqlite, follow=False).until_quiet()
    last.end()
    assert items(sqlite) == [1, 2, 3]
    assert last.whole.counts.lines == 1, "what was read is not read again"
    with pytest.raises(DataError, match="add --follow"):
        Ingesting(folder, tmp_path / "none" / "x.jsonl", sqlite, follow=False)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_file, "QUIET_SECONDS", 0.0)


@pytest.mark.usefixtures("soon")
def test_rotation_loses_nothing_while_running_and_while_stopped(
    folder: Path, tmp_path: Path, sqlite: SQLiteStore
) -> None:
    path = tmp_path / "events.jsonl"
    one = Ingesting(folder, path, sqlite).until_quiet()  # the file is made later
    path.write_text(rows([1, 2]))
    one.until_quiet()
    writer = path.open("a")
    path.rename(tmp_path / "events.jsonl.1")
    writer.write(rows([3]) + rows([4])[:9])  # the writer has not noticed, and ends within a line
    writer.close()
    path.write_text(rows([5]))
    for _ in range(3):
        one.until_quiet()
    assert items(sqlite) == [1, 2, 3, 5]
    assert one.whole.counts.rejected == 1, "half a line that will never be whole"
    one.end()
    for n, name in ((6, "events.jsonl-20261130"), (7, "events-20261201.jsonl"), (8, "notes.jsonl"), (9, "")):
        with path.open("a") as file:
            file.write(rows([n]))
        if name:
            path.rename(tmp_path / name)
            time.sleep(0.02)
    again = Ingesting(folder, path, sqlite)
    for _ in range(4):
        again.until_quiet()
    again.end()
    assert items(sqlite) == [1, 2, 3, 5, 6, 7, 9], "a file whose name is no rotated one is another file"
    assert again.whole.counts.duplicates == 0
    assert again.log.lines == []


def test_a_file_that_was_written_anew_or_is_gone_is_said(folder: Path, tmp_path: Path, sqlite: SQLiteStore) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(rows([1, 2]))
    one = Ingesting(folder, path, sqlite).until_quiet()
    path.write_text(rows([1]))  # copied away and emptied: the same line at the same place is another event
    one.until_quiet()
    one.until_quiet()
    assert items(sqlite) == [1, 1, 2]
    assert "was emptied or written anew" in one.log.lines[0]
    one.end()
    path.write_text(rows([7, 8, 9]))
    again = Ingesting(folder, path, sqlite).until_quiet()
    assert again.whole.n_lost == 1
    again.end()
    assert items(sqlite) == [1, 1, 2, 7, 8, 9]
    path.unlink()
    (tmp_path / "keeps-the-number").write_text("")
    path.write_text(rows([10]))
    gone = Ingesting(folder, path, sqlite).until_quiet()
    gone.end()
    assert gone.whole.n_lost == 1
    assert items(sqlite)[-1] == 10


def test_an_input_without_a_place_needs_ids_or_a_name(folder: Path, tmp_path: Path, sqlite: SQLiteStore) -> None:
    def ingested(name: str | None, text: bytes) -> Ingestion:
        receiving, sending = os.pipe()
        os.write(sending, text)
        os.close(sending)
        with closing(Positions(tmp_path)) as positions, closing(Rejects(tmp_path / "rejects.jsonl")) as rejects:
            made = Ingestion([StandardInput(name, receiving)], EventReader(folder), sqlite, positions, rejects)
            made.go_on(threading.Event())
        os.close(receiving)
        return made

    text = (rows([1]) + json.dumps(event(2, event_id="e"))).encode()
    assert (ingested(None, text).counts.recorded, ingested(None, text).counts.rejected) == (1, 1)
    assert "no event_id" in (tmp_path / "rejects.jsonl").read_text()
    assert ingested("today", text).counts.recorded == 1
    assert ingested("today", text + b"\n" + rows([3]).encode()).counts.recorded == 1
    assert items(sqlite) == [1, 2, 3]


def test_it_waits_for_a_log_that_cannot_be_written(
    folder: Path, tmp_path: Path, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, failures = tmp_path / "events.jsonl", iter([True, True, False, False])
    path.write_text(rows([1, 2]))
    record = sqlite.record

    def sometimes(events: Sequence[Event], now: int = 0, **more: Any) -> list[Outcome]:
        done = record(events, now, **more)
        if next(failures):
            raise StoreError("the event log may or may not hold it")
        return done

    monkeypatch.setattr(sqlite, "record", sometimes)
    waits: list[float] = []
    one = Ingesting(folder, path, sqlite)
    one.stop.wait = lambda seconds=None: (waits.append(seconds or 0), seconds == ingestion.WAIT_SECONDS)[1]  # type: ignore[method-assign,assignment]
    threading.Timer(2, one.stop.set).start()
    one.whole.go_on(one.stop)
    one.end()
    assert waits[:2] == [1.0, 2.0]
    assert "trying again" in one.log.lines[0]
    assert items(sqlite) == [1, 2]
    failures = iter([True])
    path.write_text(rows([1, 2, 3]))
    with pytest.raises(StoreError, match="run the same command again"):
        Ingesting(folder, path, sqlite, follow=False).until_quiet()


def test_the_table_of_kinds_is_that_of_the_run_as_it_is_now(tmp_path: Path, sqlite: SQLiteStore) -> None:
    place, path = tmp_path / "toy-1", tmp_path / "events.jsonl"
    write_run(place, CONFIG)
    one = Ingesting(place, path, sqlite)
    write_run(tmp_path / "next", CONFIG.replace("gift", "present"))
    place.rename(tmp_path / "old")
    one.until_quiet()  # while there is no run, it goes on with what it knows
    (tmp_path / "next").rename(place)
    path.write_text(json.dumps(event(1, kind="present")) + "\n")
    one.until_quiet().end()
    assert items(sqlite) == [1]


def test_one_process_uses_a_state_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with closing(Positions(tmp_path)) as positions:
        with pytest.raises(StoreError, match="another genre ingest uses this folder"):
            Positions(tmp_path)
        positions.put("x", 1)
        positions.save()
    (tmp_path / "positions.json").write_text("[]")
    with pytest.raises(ArtifactError, match="not what genre ingest wrote"):
        Positions(tmp_path)


def test_lines_are_the_same_however_bytes_arrive() -> None:
    text, draw = b"a\n\nbcd\n" + b"x" * 20 + b"\nrest", random.Random(0)
    whole = LineSplitter().split(text)
    assert whole == [(0, b"a"), (2, b""), (3, b"bcd"), (7, b"x" * 20)]
    for _ in range(50):
        splitter, found, at = LineSplitter(), [], 0
        while at < len(text):
            step = draw.randrange(1, 9)
            found += splitter.split(text[at : at + step])
            at += step
        assert found == whole
        assert splitter.take_rest() == (28, b"rest")


KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path
from genre.cli.main import main
from genre.serving.ingest import growing_file, ingestion  # before the forks, which then begin at once
run, place, kills = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
path, kept, draw, n, done = place / "events.jsonl", place / "state" / "positions.json", random.Random(1), 0, 0
words = ["ingest", run, str(path), "--store", str(place / "log.sqlite"), "--state", str(place / "state")]
growing_file.QUIET_SECONDS = .05

def begin(*more):  # each in a process of its own: the threads of pyarrow outlive no fork
    child = os.fork()
    if not child:
        os.dup2(os.open(place / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        status = main([*words, *more])
        sys.stdout.flush()
        os._exit(status)
    return child

def end(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def write(most):
    global n
    with path.open("a") as file:
        for _ in range(draw.randrange(1, most)):
            bad = "no event" if n % 50 == 7 else json.dumps(
                {"user_id": f"u{n % 5}", "item_id": f"i{n}", "kind": "click", "recommendation_id": f"l{n % 9}"})
            file.write(bad + "\\n")
            n += 1

def wait_for_work(before):
    until = time.monotonic() + 60
    while kept.stat().st_mtime_ns == before and time.monotonic() < until:
        time.sleep(.001)

path.touch()
end(begin())
while done < kills:
    write(3000)
    before = kept.stat().st_mtime_ns
    child = begin("--follow")
    wait_for_work(before)
    for _ in range(draw.randrange(3)):
        write(300)
        if draw.random() < .3:
            path.rename(place / f"events.jsonl.{n}")
        time.sleep(draw.uniform(0, .06))
    os.kill(child, signal.SIGKILL)
    done += end(child) == -signal.SIGKILL
path.touch()
whole = end(begin())
before = kept.stat().st_mtime_ns
write(2)
child = begin("--follow")
wait_for_work(before)
os.kill(child, signal.SIGTERM)
print(n, whole, end(child))
"""


def test_kill_9_at_any_moment_loses_and_doubles_nothing(folder: Path, tmp_path: Path) -> None:
    """With files that grow and are rotated, and events without ids of their own."""
    command = [sys.executable, "-c", KILLS, str(folder), str(tmp_path), str(sized(5, 100))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=sized(600, 3600))
    n, whole, status = map(int, done.stdout.splitlines()[-1].split())
    assert whole in (0, 1), "1: the last kill left rejected lines to it"
    assert status == 0, "SIGTERM ends it in order"
    recorded, again = zip(
        *re.findall(r": ([\d,]+) events? recorded, ([\d,]+)", (tmp_path / "out").read_text()), strict=True
    )
    assert recorded[-1] == "1", "and it says what became of the lines"
    assert len(again) == 3
    with closing(SQLiteStore(tmp_path / "log.sqlite")) as store:
        assert items(store) == [one for one in range(n) if one % 50 != 7]
    rejected = (tmp_path / "state" / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(row)["line"] for row in rejected] == ["no event"] * sum(one % 50 == 7 for one in range(n))


class Interrupted(threading.Event):
    """SIGTERM comes while somebody who waits holds the lock of the event, which setting it needs."""

    def wait(self, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread():
            pytest.fail("the handler of the signal would wait for the lock that it interrupts")
        os.kill(os.getpid(), signal.SIGTERM)
        return super().wait(timeout)


def test_a_signal_ends_it_at_any_moment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events.jsonl").write_text(rows([1, 2]))
    monkeypatch.setattr("genre.cli.ingest.threading", SimpleNamespace(Event=Interrupted))
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        words = [str(tmp_path / "events.jsonl"), "--store", str(tmp_path / "log"), "--state", str(tmp_path / "state")]
        assert main(["ingest", str(folder), *words, "--follow"]) == 0
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


def test_the_verb(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    path = tmp_path / "events.jsonl"
    path.write_text(rows([1, 2]))
    assert main(["ingest", str(folder), str(path)]) == 0
    assert "2 lines: 2 events recorded" in capsys.readouterr().out
    path.open("a").write("bad\n")
    assert main(["ingest", str(folder), str(path)]) == 1
    assert f"1 rejected ({folder.parent / 'toy.ingest' / 'rejects.jsonl'})" in capsys.readouterr().out
    assert main(["ingest", str(folder), str(path), str(path)]) == 2
    assert "the same source twice" in capsys.readouterr().err
    assert main(["ingest", str(folder), str(path), "--kafka-config", "kafka.properties"]) == 2
    assert "--kafka-config is for topics of Kafka" in capsys.readouterr().err
    assert main(["ingest", str(folder), str(path), "--stream", "x"]) == 2
    assert main(["ingest", str(tmp_path / "no_run"), str(path)]) == 2
    with closing(SQLiteStore(folder.parent / "toy.events.sqlite")) as store:
        assert items(store) == [1, 2]
