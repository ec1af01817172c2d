"""A real server on a real socket: slow clients, kills, keys, runs replaced while it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import platform
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from genre.cli.main import main
from genre.errors import ArtifactError, NotAvailable, OptionError
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.http.app import create_app
from genre.serving.http.server import serve, watch_folders
from genre.serving.limits import Limits
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from genre.storage import publish
from lines import Lines
from raw_http import dial, half_close

Served = Callable[..., AbstractContextManager[str]]


def closed(connection: socket.socket, within: float) -> bool:
    ready, _, _ = select.select([connection], [], [], within)
    if not ready:
        return False
    try:
        return connection.recv(1000) == b""
    except ConnectionError:
        return True


# --- slow clients -------------------------------------------------------------------------------------


def test_slow_clients_are_let_go(service: Service, serve_app: Served) -> None:
    with serve_app(create_app(service), receive_seconds=0.3) as url:
        silent, half, body = dial(url), dial(url), dial(url)
        half.sendall(b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nX-")
        body.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
        )
        assert httpx.get(f"{url}/v1/runs").status_code == 200
        for connection in (silent, half, body):
            assert closed(connection, 5), connection
        assert httpx.get(f"{url}/v1/runs").status_code == 200


def test_more_clients_than_allowed_push_out_the_slowest(service: Service, serve_app: Served) -> None:
    with serve_app(create_app(service), connections=20) as url:
        slow = [dial(url) for _ in range(50)]
        for connection in slow:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"GET /")
        assert httpx.get(f"{url}/v1/users/u0/recommendations").status_code == 200, "an honest client is served"
        time.sleep(0.2)
        assert sum(closed(connection, 0) for connection in slow) >= 30
        assert not closed(slow[-1], 0), "the newest still has its chance"
        for connection in slow:
            connection.close()


def test_a_connection_serves_many_requests(service: Service, serve_app: Served) -> None:
    with serve_app(create_app(service), receive_seconds=0.2) as url, httpx.Client() as client:
        for _ in range(3):
            assert client.get(f"{url}/v1/runs").status_code == 200
            time.sleep(0.4)  # between requests it may rest longer than one request may take


@pytest.mark.parametrize(
    "data",
    [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n", b"\xff" * 1000,
     b"GET " + b"a" * 100_000,
     b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, b"POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
     b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
     b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n"],
)  # fmt: skip
def test_what_is_no_http_harms_nobody(url: str, data: bytes) -> None:
    with dial(url) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(data)
        half_close(connection)
        answer = connection.recv(4000)
        assert answer == b"" or re.match(rb"HTTP/1.1 (200|4\d\d) ", answer)
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_an_escaped_percent_is_itself(url: str) -> None:
    assert httpx.get(f"{url}/v1/users/%252e%252F").json()["user_id"] == "%2e%2F"
    assert httpx.get(f"{url}/v1/users/a%2Fb").json()["user_id"] == "a/b"


# --- who may serve what where -------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org"])
def test_other_machines_only_with_a_key(run: Run, host: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"give a key \(--api-key-file\), or serve on"):
        serve([run], host=host, store=tmp_path / "events.sqlite")
    (tmp_path / "key").write_text("short")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(OptionError, match="key, line 1: a key needs at least 16 characters, found 5"):
        serve([run], host=host, store=tmp_path / "events.sqlite", api_keys=tmp_path / "key")


def test_a_port_that_is_taken_is_said_before_anything_else(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, log = taken.getsockname()[1], Lines()
        with pytest.raises(NotAvailable, match=f"port {port} of 127.0.0.1 is in use; choose another --port"):
            serve([run], port=port, store=tmp_path / "events.sqlite", log=log)
    assert log.lines == []
    assert not (tmp_path / "events.sqlite").exists()
    with pytest.raises(OptionError, match="from 0 to 65535"):
        serve([run], port=70_000, store=tmp_path / "events.sqlite")


def test_a_limit_of_open_files_without_room_is_said_at_the_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (200, 200))
    with pytest.raises(NotAvailable, match=r"may open 200 files.*ulimit -n \d+"):
        serve([run], port=0, store=tmp_path / "events.sqlite")


def test_the_watch_survives_any_error_and_tries_again(run: Run, sqlite: SQLiteStore, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    errors = [OSError(5, "disk"), PermissionError(13, "no"), MemoryError(), ArtifactError("x")]

    def read(_: Path) -> Run:
        if errors:
            raise errors.pop(0)
        return dataclasses.replace(run, folder=folder, recommenders={"content": run.recommenders["content"]})

    with publish(folder) as aside:
        (aside / "text").write_text("old")
    service, stop, log = Service([dataclasses.replace(run, folder=folder)], sqlite), threading.Event(), Lines()
    options = {"read": read, "every": 0.02, "retry": 0.02, "log": log}
    thread = threading.Thread(target=watch_folders, args=(service, stop), kwargs=options)
    thread.start()
    try:
        with publish(folder) as aside:
            (aside / "text").write_text("new")
        until(lambda: service.recommend(ListRequest("u0")).recommender == "content")
    finally:
        stop.set()
        thread.join()
    assert service.operations.failed_swaps == 4
    with TestClient(create_app(service)) as client:
        assert "genre_failed_swaps 4.0" in client.get("/metrics").text
    assert len(log.lines) == 5, "one line an error, and one for the swap"


def test_warming_up_goes_on_after_any_error(run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service([run], sqlite, limits=Limits(pause_seconds=0.01))
    warm, errors = service.warm, [MemoryError(), ValueError("x")]

    def fail() -> dict[str, str]:
        if errors:
            raise errors.pop(0)
        return warm()

    monkeypatch.setattr(service, "warm", fail)
    with TestClient(create_app(service)) as client:
        until(lambda: client.get("/readyz").status_code == 200)


def test_runs_of_several_experiments_want_a_log_by_name(run: Run, tmp_path: Path) -> None:
    films, books = (dataclasses.replace(run, folder=tmp_path / name) for name in ("films-0123abcd", "books-0123abcd"))
    with pytest.raises(OptionError, match=r"same data name one for all, such as --store \S+films\.events\.sqlite"):
        serve([films, books])
    again = dataclasses.replace(films, folder=tmp_path / "films-4567cdef")
    with pytest.raises(OptionError, match="from 0 to 65535"):
        serve([films, again], port=70_000)
    with pytest.raises(OptionError, match="from 0 to 65535"):
        serve([films, books], port=70_000, store=tmp_path / "both.sqlite")


def test_limits_and_shares_come_from_the_command_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("genre.run_folder.read_run", lambda _, **__: run)
    monkeypatch.setattr("genre.serving.http.server.serve", lambda _, **options: given.update(options))
    limits, shares = ["--limit", "rate=20", "--limit", "model_seconds=2.5"], ["--share", "a=3", "--share", "b=1"]
    assert main(["serve", "a", "b", *limits, *shares]) == 0
    assert given["limits"] == Limits(rate=20.0, model_seconds=2.5)
    assert given["shares"] == {"a": 3.0, "b": 1.0}
    assert main(["serve", "a"]) == 0
    assert (given["limits"], given["shares"]) == (Limits(), None)


@pytest.mark.parametrize(
    ("flag", "value", "complaint"),
    [
        ("--limit", "rates=2", "no limit 'rates' (did you mean 'rate'?)"),
        ("--limit", "patience=2", "no limit 'patience' (renamed: write 'failures')"),
        ("--limit", "rate=much", "rate: "),
        ("--limit", "rate=nan", "rate: "),
        ("--limit", "in_flight=0", "in_flight: "),
        ("--limit", "rate", "'rate' is not of the form name=value"),
        ("--share", "a=most", "a share is a number"),
        ("--share", "a=1 --share=a=2", "a is given more than once"),
        ("--limit", "rate=1 --limit=rate=2", "rate is given more than once"),
    ],
)
def test_what_is_no_limit_is_named(flag: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "a", flag, *value.split()]) == 2
    assert complaint in capsys.readouterr().err


def test_every_limit_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    for field in dataclasses.fields(Limits):
        line = next(line for line in text.splitlines() if line.startswith("|") and f"`{field.name}`" in line)
        assert f"{field.default:,}".removesuffix(".0") in line


SERVER = """
import sys
from pathlib import Path
from genre.recommenders.ease import EASE
from genre.runs import Run
from genre.serving.http.access import ApiKeys
from genre.serving.http.server import serve
from genre.testing import toy_dataset
data = toy_dataset()
run = Run(Path(sys.argv[1]), "toy", data, {"ease": EASE(10.0).fit(data)})
serve([run], port=int(sys.argv[2]), api_keys=ApiKeys({sys.argv[3]: ["admin"]}))
"""
KEY = "a key of sixteen letters and more"


class Process:
    """`serve` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        with self.log.open("ab") as log:
            command = [sys.executable, "-c", SERVER, str(folder / "run"), str(port), KEY]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.client = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {KEY}"})
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/readyz").status_code == 200:
                    return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def kill(self, how: int) -> None:
        os.kill(self.process.pid, how)
        self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def start_one() -> Process:
        made.append(Process(tmp_path))
        return made[-1]

    yield start_one
    for one in made:
        if one.process.poll() is None:
            one.kill(signal.SIGKILL)


@pytest.mark.parametrize("times", [1, 2])
def test_who_stops_it_twice_sees_no_stack_trace(start: Callable[[], Process], times: int) -> None:
    one = start()
    for _ in range(times):
        one.process.send_signal(signal.SIGINT)
        time.sleep(0.05)  # two at once would be one
    assert one.process.wait(30) == 0
    assert "Traceback" not in one.log.read_text()


def test_kill_9_under_load_loses_nothing(start: Callable[[], Process], tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for round_ in range(2):
        server, sent = start(), iter(range(10_000))

        def load(server: Process = server, sent: Iterator[int] = sent, round_: int = round_) -> None:
            with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {KEY}"}) as client:
                for n in sent:
                    event_id = f"{round_}-{n}"
                    event = {"user_id": f"user {n % 7}", "item_id": "i1", "event_id": event_id}
                    try:
                        if client.post("/v1/events", json=event).status_code == 200:
                            acknowledged.add(event_id)
                    except httpx.TransportError:
                        return

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len([one for one in acknowledged if one.startswith(str(round_))]) < 40:
            time.sleep(0.005)
        server.kill(signal.SIGKILL)
        for thread in threads:
            thread.join()
    store = SQLiteStore(tmp_path / "run.events.sqlite")
    kept = [entry.event_id for entry in store.entries() if isinstance(entry, Event)]
    assert len(kept) == len(set(kept)), "nothing is counted twice"
    assert acknowledged <= set(kept), "nothing acknowledged is lost"
    store.close()
    last = start()
    assert last.client.get("/v1/users/user%201/recommendations").json()["source"] == "folded_in"
    log_before = last.log.read_text()
    last.client.get("/v1/runs", headers={"authorization": f"Bearer {KEY}x"})
    last.kill(signal.SIGTERM)
    assert KEY not in last.log.read_text() + log_before
    assert last.process.returncode in (0, -signal.SIGTERM)


# --- runs that are replaced ---------------------------------------------------------------------------


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_did_not_answer_is_tried_again(run: Run, sqlite: SQLiteStore, tmp_path: Path) -> None:
    with publish(tmp_path / "run") as aside:
        (aside / "text").write_text("old")
    service = Service([dataclasses.replace(run, folder=tmp_path / "run")], sqlite)
    stop, tried = threading.Event(), []

    def read(_: Path) -> Run:
        tried.append(time.monotonic())
        if len(tried) < 3:
            raise NotAvailable("the package index does not answer")
        return dataclasses.replace(run, recommenders={"content": run.recommenders["content"]})

    options = {"read": read, "every": 0.02, "retry": 0.1}
    thread = threading.Thread(target=watch_folders, args=(service, stop), kwargs=options)
    thread.start()
    try:
        time.sleep(0.1)
        with publish(tmp_path / "run") as aside:
            (aside / "text").write_text("new")
        until(lambda: service.recommend(ListRequest("u0")).recommender == "content")
        assert tried[1] - tried[0] >= 0.1
    finally:
        stop.set()
        thread.join()


def test_what_stays_is_no_garbage(service: Service) -> None:
    stop, frozen = threading.Event(), gc.get_freeze_count()
    thread = threading.Thread(target=watch_folders, args=(service, stop), kwargs={"every": 0.01})
    thread.start()
    try:
        until(lambda: gc.get_freeze_count() > frozen + 10_000)
    finally:
        stop.set()
        thread.join()
        gc.unfreeze()


HEAPS = """
import ctypes, os, sys, tempfile, threading
from pathlib import Path
from genre.serving.http.server import share_heaps
if sys.argv[1] == "shared":
    share_heaps()
libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)
def work():
    together.wait()
    for _ in range(100):
        libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
path = tempfile.mktemp()
file = libc.fopen(path.encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(Path(path).read_text().count("<heap nr"))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other heaps")
def test_threads_share_heaps() -> None:
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    own, shared = (
        int(subprocess.run([sys.executable, "-c", HEAPS, how], env=env, capture_output=True, check=True).stdout)
        for how in ("own", "shared")
    )
    assert shared <= 2 < own


def test_a_replaced_run_is_taken_over_and_a_damaged_one_is_not(run: Run, sqlite: SQLiteStore, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def put(text: str) -> None:
        with publish(folder) as aside:
            (aside / "text").write_text(text)

    def read(path: Path) -> Run:
        text = json.loads((path / "text").read_text())
        if text == "damaged":
            raise ArtifactError("damaged")
        return dataclasses.replace(run, folder=folder, recommenders={text: run.recommenders[text]})

    put('"ease"')
    service, stop, log = Service([read(folder)], sqlite), threading.Event(), Lines()
    thread = threading.Thread(
        target=watch_folders, args=(service, stop), kwargs={"read": read, "every": 0.02, "log": log}
    )
    thread.start()
    try:
        put('"content"')
        until(lambda: service.recommend(ListRequest("u0")).recommender == "content")
        put('"damaged"')
        until(lambda: len(log.lines) == 2)
        assert "the old one goes on: damaged" in log.lines[1]
        assert service.recommend(ListRequest("u0")).recommender == "content"
        put('"popularity"')
        until(lambda: service.recommend(ListRequest("u0")).recommender == "popularity")
    finally:
        stop.set()
        thread.join()
