"""Several server processes on one PostgreSQL log, behind a proxy that distributes requests: here, the test itself."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from genre.cli.main import main
from genre.serving.events.log_table import EventStore
from postgres_server import PostgresServer
from small_world import story_run

RATE = 5


class Proxy:
    """Sends each request to the next process, as a proxy does, with the address of its client."""

    def __init__(self, ports: list[int]) -> None:
        self.servers = [httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) for port in ports]
        self._turns, self._addresses = itertools.cycle(self.servers), itertools.count(1)
        self.statuses = set[int]()

    def send(self, method: str, path: str, *, to: int | None = None, client: str | None = None, **body: Any) -> Any:
        address = client or "10.0.{}.{}".format(*divmod(next(self._addresses), 250))
        server = next(self._turns) if to is None else self.servers[to]
        answer = server.request(method, path, headers={"x-forwarded-for": address}, **body)
        if client is None:
            self.statuses.add(answer.status_code)
        return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return story_run(tmp_path)


@pytest.fixture
def proxy(folder: Path, postgres: EventStore, postgres_server: PostgresServer) -> Iterator[Proxy]:
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (one, other)]
    command = [sys.executable, "-c", "from genre.cli.main import main; main()", "serve", str(folder)]
    options = ["--store", postgres_server.address, "--limit", f"rate={RATE}"]
    servers = [subprocess.Popen([*command, *options, "--port", str(port)], stderr=subprocess.DEVNULL) for port in ports]
    proxy = Proxy(ports)
    try:
        for at, server in enumerate(servers):
            while True:
                assert server.poll() is None
                with contextlib.suppress(httpx.TransportError):
                    if proxy.servers[at].get("/readyz").status_code == 200:
                        break
                time.sleep(0.05)
        yield proxy
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(30)


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_processes_on_one_postgres_log_answer_as_one(
    proxy: Proxy, folder: Path, postgres_server: PostgresServer
) -> None:
    def everywhere(path: str, read: Callable[[Any], Any]) -> list[Any]:
        return [read(proxy.send("GET", path, to=at).json()) for at in range(2)]

    # events: recorded by either, counted once, seen by both
    now = int(time.time())
    events = [{"user_id": "fresh", "item_id": f"i{n}", "event_id": f"e{n}", "timestamp": now - 9} for n in (1, 3, 5)]
    answers = [proxy.send("POST", "/v1/events", json=event).json() for event in events + events[:1]]
    assert [(answer["recorded"], answer["duplicates"]) for answer in answers] == [(1, 0), (1, 0), (1, 0), (0, 1)]
    until(lambda: everywhere("/v1/users/fresh/recommendations?k=3", lambda a: a["source"]) == ["folded_in"] * 2)

    # items
    proxy.send("PUT", "/v1/items/i1", json={"title": "Renamed"})
    until(lambda: everywhere("/v1/items/i1", lambda item: item["title"]) == ["Renamed"] * 2)

    # swaps: each process takes the new run over
    address = postgres_server.address
    assert main(["refresh", str(folder), "--store", address]) == 0
    until(lambda: everywhere("/v1/users/fresh/recommendations?k=3", lambda a: a["source"]) == ["personal"] * 2)

    # erasure: gone from both, late retries refused by both, and both say until when it is in files
    gone = proxy.send("DELETE", "/v1/users/fresh", to=0).json()
    assert gone["events"] == 3
    assert any("run small" in left for left in gone["left"])
    until(lambda: everywhere("/v1/users/fresh", lambda user: user["history"]) == [[], []])
    assert [proxy.send("POST", "/v1/events", to=at, json=events[0]).status_code for at in range(2)] == [409, 409]
    in_run = "run small: its data, its report and what it learnt, until it is refreshed"
    until(lambda: everywhere("/readyz", lambda ready: ready["erasing"]) == [[in_run]] * 2)
    assert main(["refresh", str(folder), "--store", address]) == 0
    before = f".{folder.name}.previous: the run before, until it is refreshed again or that folder is removed"
    until(lambda: everywhere("/readyz", lambda ready: ready["erasing"]) == [[before]] * 2)
    assert proxy.statuses == {200, 409}

    # rate limits: each process has its own
    begin = time.monotonic()
    passed = [proxy.send("GET", "/v1/runs", client="10.9.9.9").status_code for _ in range(10 * RATE)].count(200)
    assert 4 * RATE <= passed <= 2 * RATE * (2 + time.monotonic() - begin) + 2
    assert proxy.send("GET", "/v1/runs", client="10.8.8.8").status_code == 200, "other clients are let in"
