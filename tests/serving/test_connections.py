"""Limits of a connection on a real socket: heads of requests. Floods are in test_hostile.py."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import pytest

from genre.runs import Run
from genre.serving.http import connections, pacing
from genre.serving.http.app import create_app
from genre.serving.http.pacing import Pace, PacedLines
from genre.serving.limits import Limits
from genre.serving.service import Service
from raw_http import dial

Served = Callable[..., AbstractContextManager[str]]
HEAD = b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\n"


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def strict(service: Service, serve_app: Served) -> Iterator[str]:
    with serve_app(create_app(service), head_bytes=2000, headers=10, receive_seconds=1) as url:
        yield url


@pytest.mark.parametrize(
    "head",
    [b"a: b\r\n" * 11, b"a: " + b"b" * 2000, b"b" * 2000, b"a:" + b" " * 2000,
     b"a: " + b"b" * 900 + b"\r\nc: " + b"d" * 1100 + b"\r\n\r\n"],
)  # fmt: skip
def test_a_head_that_is_too_large_is_refused_while_it_comes_in(strict: str, head: bytes) -> None:
    with dial(strict) as connection:
        connection.sendall(HEAD)
        for at in range(0, len(head), 700):
            connection.sendall(head[at : at + 700])
        answer = everything(connection)
    lines, _, body = answer.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close" in lines
    assert json.loads(body) == {
        "error": "headers_too_large", "detail": "a request may have 10 headers, and 2,000 bytes of them"
    }  # fmt: skip


def test_what_is_within_the_limits_is_answered(strict: str) -> None:
    with dial(strict) as connection:
        for head in (b"a: b\r\n" * 9, b"a: " + b"b" * 1900 + b"\r\n"):
            connection.sendall(HEAD + head + b"\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        for byte in HEAD + b"\r\n":  # one byte a packet
            connection.sendall(bytes([byte]))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.sendall((HEAD + b"\r\n") * 200 + HEAD + b"Connection: close\r\n\r\n")  # 8 kB at once
        assert everything(connection).count(b"HTTP/1.1 200 ") == 201


def test_a_body_is_no_head(strict: str) -> None:
    event = b'{"user_id": "u", "item_id": "i1"%s}'
    head = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with dial(strict) as connection:
        body = event % (b" " * 200_000)
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in event % (b" " * 20_000))  # tiny chunks
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def is_cut_off(connection: socket.socket, data: bytes, times: int) -> bool:
    """Whether the server closes the connection while data is sent again and again."""
    connection.settimeout(0.05)
    for _ in range(times):
        try:
            connection.sendall(data)
            if connection.recv(65_536) == b"":
                return True
        except TimeoutError:
            pass
        except ConnectionError:
            return True
    return False


def test_a_body_without_an_end_behind_its_answer_is_cut_off(strict: str) -> None:
    with dial(strict) as connection:
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\n"
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 403 ")
        assert is_cut_off(connection, (b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n") * 5, 10)


POST = b"POST /v1/recommendations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("length", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_bodies_that_are_not_here_take_no_place(service: Service, serve_app: Served, length: bytes) -> None:
    service.limits = Limits(in_flight=1, events_in_flight=1)
    with serve_app(create_app(service)) as url, dial(url) as slow, dial(url) as other, dial(url) as fast:
        slow.sendall(POST + length + b"\r\n\r\n")
        other.sendall(POST.replace(b"recommendations", b"events") + length + b"\r\n\r\n")
        for path in (b"recommendations", b"events"):
            body = b'{"user_id": "u0", "item_id": "i1"}' if path == b"events" else b'{"k": 1}'
            fast.sendall(POST.replace(b"recommendations", path) + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert fast.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_many_large_bodies_that_are_not_here_are_bounded_together(
    service: Service, serve_app: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODIES_BYTES", 100_000)
    with serve_app(create_app(service)) as url, dial(url) as oldest, dial(url) as second, dial(url) as third:
        for connection in (oldest, second, third):
            connection.sendall(POST + b"Content-Length: 50001\r\n\r\n" + b" " * 40_000)
            time.sleep(0.05)
        assert everything(oldest) == b""
        third.sendall(b" " * 9_993 + b'{"k": 1}')
        assert third.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_is_not_read_is_cut_off(
    run: Run, service: Service, serve_app: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    size = 20_000_000  # more than the system keeps for a connection
    run.folder.mkdir(parents=True, exist_ok=True)
    report = run.folder / "report.html"
    report.write_bytes(b"~" * size)
    ask = b"GET /v1/runs/toy/report HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with serve_app(create_app(service), send_seconds=0.5) as url, dial(url) as stuck, dial(url) as reader:
            stuck.sendall(ask)
            reader.sendall(ask)
            assert everything(reader).count(b"~") == size
            time.sleep(1)
            with contextlib.suppress(ConnectionError):
                assert everything(stuck).count(b"~") < size
    finally:
        report.unlink()


def test_a_connection_that_rests_makes_room_for_a_new_one(service: Service, serve_app: Served) -> None:
    with serve_app(create_app(service), connections=8) as url, contextlib.ExitStack() as open_ones:
        resting = [open_ones.enter_context(dial(url)) for _ in range(8)]
        for connection in resting:
            connection.sendall(HEAD + b"\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        with dial(url) as new:
            new.sendall(HEAD + b"\r\n")
            assert new.recv(65_536).startswith(b"HTTP/1.1 200 ")
        with contextlib.suppress(ConnectionError):
            assert resting[0].recv(1) == b"", "the one that has rested for longest"
        resting[7].sendall(HEAD + b"\r\n")
        assert resting[7].recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_what_is_added_to_chunks_of_a_body_is_bounded(strict: str) -> None:
    with dial(strict) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall((b"1;" + b"a" * 500 + b"\r\n \r\n") * 20)
        assert everything(connection).startswith(b"HTTP/1.1 431 ")


def watch(monkeypatch: pytest.MonkeyPatch, name: str, look: Callable[[Any], object]) -> list[Any]:
    """What `look` sees of a connection at each call of one of its methods."""
    seen: list[Any] = []
    method = getattr(connections._LimitedProtocol, name)

    def watched(self: Any, *args: Any) -> Any:
        seen.append(look(self))
        return method(self, *args)

    monkeypatch.setattr(connections._LimitedProtocol, name, watched)
    return seen


def test_requests_behind_others_wait_as_text(
    service: Service, serve_app: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As parsed ones they take fifty times as much: 300 connections took 1.9 GB."""
    waiting = watch(monkeypatch, "_note_size", lambda connection: len(connection.pipeline))
    with serve_app(create_app(service)) as url, dial(url) as connection:
        connection.sendall((HEAD + b"\r\n") * 300 + HEAD + b"Connection: close\r\n\r\n")
        assert everything(connection).count(b"HTTP/1.1 200 ") == 301
    assert 1 < max(waiting) < 40


def test_what_comes_byte_by_byte_is_read_with_pauses(
    service: Service, serve_app: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read costs as much as a header, so the system collects for a while what comes in tiny pieces."""
    reads = watch(monkeypatch, "_pause_tiny_reads", lambda _: 1)
    with serve_app(create_app(service)) as url, dial(url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(POST + b"Content-Length: 158\r\n\r\n")
        for _ in range(150):
            connection.sendall(b" ")
            time.sleep(0.002)
        connection.sendall(b'{"k": 1}')
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    assert len(reads) < 80


def test_empty_lines_between_requests_hold_no_connection(strict: str) -> None:
    with dial(strict) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert is_cut_off(connection, b"\r\n", 80)


# --- what is paced ------------------------------------------------------------------------------------


def test_turns_are_a_pace_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = Pace(10)
    assert [round(pace.seconds_to_turn(), 6) for _ in range(3)] == [0, 0.1, 0.2]
    now[0] += 10
    assert pace.seconds_to_turn() == 0


def test_lines_of_the_log_that_are_alike_are_paced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [5.0]
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    log = logging.getLogger("a logger of this test")
    paced = PacedLines(seconds=10)
    log.addFilter(paced)

    def fail(kind: type[Exception]) -> None:
        try:
            raise kind("why")
        except Exception:
            log.error("a fault", exc_info=sys.exc_info())

    for n in range(1000):
        log.warning("no HTTP from %s", n)
        fail(ValueError)
    fail(KeyError)
    assert [record.getMessage() for record in caplog.records] == ["no HTTP from 0", "a fault", "a fault"]
    now[0] += 11
    log.warning("no HTTP from %s", "elsewhere")
    assert caplog.records[-1].getMessage() == "no HTTP from elsewhere (999 more like this since the last)"
