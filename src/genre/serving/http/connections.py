"""Limits of connections: their number, time for a request and its answer, bytes and number of headers.

A subclass of uvicorn's HTTP protocol, which by itself waits for a request without an end, keeps headers without an end
and keeps an answer that is not read. Parses no HTTP itself. docs/decisions/0119-limits-of-request-heads.md has the
alternatives.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from starlette.responses import Response
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from genre.serving.http.pacing import Pace
from genre.serving.http.problems import problem
from genre.serving.limits import Limits

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

SWEEP_SECONDS = 1.0
REFUSALS_PER_SECOND = 50  # of what is no request, or one with too large a head
HEAD_PIECE_BYTES = 1_024  # of heads that are parsed before the next look at the limits
BODY_PIECE_BYTES = 16_384  # the same of a body
LARGE_BYTES = 4_096  # memory of one connection from which on it counts for all of them
HEADS_BYTES = 8_000_000  # of the large heads of all connections together
BODIES_BYTES = 16_000_000  # of the large bodies that are still coming in
ANSWERS_BYTES = 16_000_000  # of the large answers that clients have not read yet
FEW_READS = 50  # of one request, from which on it is read with pauses where it comes in tiny pieces
TINY_READ_BYTES = 512
READ_PAUSE_SECONDS = 0.1
UNREAD_BYTES = 16_384  # of an answer, beside those that the system keeps, until more waits for the client to read
HEADER_BYTES = 200  # of memory for one header, beside its text
REQUEST_BYTES = 5_000  # of memory for one request that waits for the answer to an earlier one
CHUNK_LINE_BYTES = 24  # of the lines around a chunk of a body; more is what its sender added, and counts as a head


def protocol_with_limits(limits: Limits) -> type[HttpToolsProtocol]:
    """Make a protocol class for `uvicorn.Config(http=...)`.

    Args:
        limits: Of these, `connections`, `receive_seconds`, `send_seconds`, `head_bytes` and `headers` hold here.

    Returns:
        A subclass of uvicorn's protocol; its instances share the limits of all connections.
    """
    shared = {"limits": limits, "tracked": _Connections(), "refusals": Pace(REFUSALS_PER_SECOND)}
    return type("LimitedProtocol", (_LimitedProtocol,), shared)


class _LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits; one instance a connection. The attributes are those of all connections."""

    limits: ClassVar[Limits]
    tracked: ClassVar[_Connections]
    refusals: ClassVar[Pace]

    flow: _Flow
    _head_bytes = 0  # that came in since the last end of a request, without bodies and the lines around their chunks
    _header_bytes = 0  # of the headers that are complete
    _n_headers = 0
    _body_bytes = 0
    _n_reads = _read_bytes = 0  # since the begin of the newest request
    _head_too_large = False
    _unparsed = b""  # what came in while requests waited for the answer to an earlier one
    _is_behind = False  # refused while earlier requests of it waited
    _running: RequestResponseCycle | None = None  # the request that is worked on; `cycle` is the newest
    only_sends = False  # it is answered, but the client has not read all of that

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first request; close another connection where there are too many."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        transport.set_write_buffer_limits(high=UNREAD_BYTES)
        if len(self.connections) > self.limits.connections:
            (self.tracked.oldest() or self).disconnect()
        self.tracked.start(self, self.limits.receive_seconds)

    def data_received(self, data: bytes) -> None:
        """Parse what came in, and refuse a head that is too large before all of it is here."""
        if self.parser is None:  # refused, or closed
            return
        if self.only_sends and not self.is_sending():  # its answer was read meanwhile
            self.only_sends = False
            self.tracked.rest(self)
        if not self.tracked.has_deadline(self):  # empty lines between two requests begin none
            self.tracked.start(self, self.limits.receive_seconds)
        if self._unparsed:
            data, self._unparsed = self._unparsed + data, b""
        self._pause_tiny_reads(len(data))
        at = 0
        while at < len(data) and self.parser is not None and not self.transport.is_closing():
            if self.pipeline:  # requests that wait for the answer to an earlier one take more memory than their text
                self._unparsed = data[at:]
                self.flow.pause_reading()
                self.tracked.start(self, self.limits.send_seconds)
                self._note_size()
                return
            in_body = self.cycle is not None and self.cycle.more_body
            piece = data[at : at + (BODY_PIECE_BYTES if in_body else HEAD_PIECE_BYTES)]
            at += len(piece)
            self._head_bytes += len(piece)
            super().data_received(piece)
            if self._head_bytes > self.limits.head_bytes and self.parser is not None:
                self.refuse_head()
            if self.parser is not None:
                self._note_size()

    def _pause_tiny_reads(self, size: int) -> None:
        """Have the system collect what a client sends in very many tiny pieces: each read costs as much as a header."""
        self._n_reads, self._read_bytes = self._n_reads + 1, self._read_bytes + size
        if self._n_reads > FEW_READS and self._read_bytes < TINY_READ_BYTES * self._n_reads:
            self.flow.rest()
            self.loop.call_later(READ_PAUSE_SECONDS, self._read_on)

    def _read_on(self) -> None:
        self.flow.rests = False
        if self.parser is not None and not self._unparsed:
            self.flow.resume_reading()

    def on_message_begin(self) -> None:
        """Start the time of a request."""
        super().on_message_begin()
        self.only_sends = False
        self._n_reads = self._read_bytes = 0
        self._header_bytes = self._n_headers = self._body_bytes = 0
        self.tracked.start(self, self.limits.receive_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or one behind a body."""
        self._n_headers += 1
        self._header_bytes += len(name) + len(value)
        if self._n_headers > self.limits.headers or self._header_bytes + len(self.url) > self.limits.head_bytes:
            self._head_too_large = True
            raise ValueError("too many headers")  # stops the parser, which has uvicorn call `send_400_response`
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note the memory of the headers until the request is answered."""
        self._note_size()
        if self.parser is None:
            raise ValueError("the oldest of too many large heads")  # stops the parser
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Forget the line in front of a chunk of the body, but not what its sender added to it."""
        self._head_bytes = max(self._head_bytes - CHUNK_LINE_BYTES, 0)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._head_bytes = max(self._head_bytes - len(body), 0)
        self._body_bytes += len(body)
        if not self.cycle.response_complete and self._body_bytes > LARGE_BYTES:
            _disconnect_all(self.tracked.bodies.hold(self, self._body_bytes))
        if self.cycle.response_complete and self._body_bytes > self.limits.body_bytes:
            self.disconnect()  # it was answered without its body, and sends it without an end
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Start the time of the answer."""
        super().on_message_complete()
        self._head_bytes = 0
        self.tracked.bodies.forget(self)
        self.tracked.start(self, self.limits.send_seconds)

    def pause_writing(self) -> None:
        """Note the memory of an answer that the client does not read."""
        super().pause_writing()
        _disconnect_all(self.tracked.answers.hold(self, self.transport.get_write_buffer_size()))

    def resume_writing(self) -> None:
        """Forget an answer that was read."""
        super().resume_writing()
        self.tracked.answers.forget(self)

    def on_response_complete(self) -> None:
        """Let the connection rest, once its answer was read; then uvicorn's own `timeout_keep_alive` holds."""
        waiting = bool(self.pipeline or self._unparsed)
        if waiting:
            self.tracked.start(self, self.limits.send_seconds)
        else:
            self.tracked.heads.forget(self)
            self.only_sends = self.is_sending()
            if not self.only_sends:
                self.tracked.rest(self)
        if self.cycle.response_complete and self.scope is self.cycle.scope:  # a resting connection keeps no headers
            self.scope, self.cycle.scope, self.headers, self.url = {}, {}, [], b""  # type: ignore[typeddict-item]
        super().on_response_complete()
        if waiting:
            self.loop.call_soon(self.data_received, b"")

    def is_sending(self) -> bool:
        """Tell whether a part of the answers is still to be read by the client."""
        return self.transport.get_write_buffer_size() > 0

    def disconnect(self) -> None:
        """Close the connection at once, without an answer."""
        self.tracked.stop(self)
        self.pipeline.clear()
        self._write_no_more()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.tracked.stop(self)
        self._write_no_more()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _write_no_more(self) -> None:
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read, where uvicorn would send a text."""
        if self._head_too_large:
            self.refuse_head()
        else:
            self._refuse(problem(400, "bad_request", "no HTTP that this server reads"))

    def refuse_head(self) -> None:
        """Answer 431, and close."""
        detail = f"a request may have {self.limits.headers} headers, and {self.limits.head_bytes:,} bytes of them"
        self._refuse(problem(431, "headers_too_large", detail))

    def _refuse(self, answer: Response) -> None:
        """Answer when it is its turn, and close; until then nothing of the connection is read or kept."""
        if self.parser is None:  # refused already
            return
        self.flow.pause_reading()
        self.parser = None  # type: ignore[assignment]
        self._is_behind = bool(self.pipeline)  # requests that are not answered any more
        self.pipeline.clear()
        self._unparsed = b""
        if self.cycle is None or self.cycle.scope is not self.scope:
            self.scope, self.headers, self.url = {}, [], b""  # type: ignore[typeddict-item]
        elif self.cycle.more_body:  # the app waits for its body
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.tracked.stop(self)
        self.tracked.start(self, self.limits.receive_seconds)
        self.loop.call_later(self.refusals.seconds_to_turn(), self._send_refusal, answer)

    def _send_refusal(self, answer: Response) -> None:
        if self._is_next_to_answer():  # else the client waits for the answer to an earlier request
            headers = b"".join(b"%s: %s\r\n" % header for header in (*answer.raw_headers, (b"connection", b"close")))
            self.transport.write(STATUS_LINE[answer.status_code] + headers + b"\r\n" + bytes(answer.body))
            if self.cycle is not None:
                self.cycle.disconnected = True  # the app's own answer would be a second one
        self.transport.close()

    def _is_next_to_answer(self) -> bool:
        if self.transport.is_closing():
            return False
        if self.cycle is None or self.cycle.response_complete:
            return True
        return self.cycle.scope is self.scope and not self.cycle.response_started and not self._is_behind

    def _note_size(self) -> None:
        size = self._head_bytes + HEADER_BYTES * self._n_headers + REQUEST_BYTES * len(self.pipeline)
        size += len(self._unparsed)
        if size > LARGE_BYTES:
            for connection in self.tracked.heads.hold(self, size):
                connection.refuse_head()


class _Flow(FlowControl):
    """uvicorn's control of what is read and written, with pauses that the app does not end."""

    rests = False

    def rest(self) -> None:
        """Read nothing until `rests` is false again."""
        self.rests = True
        self.pause_reading()

    def resume_reading(self) -> None:
        """Read again, unless it rests."""
        if not self.rests:
            super().resume_reading()


def _disconnect_all(connections: Iterable[_LimitedProtocol]) -> None:
    """Close connections without an answer."""
    for connection in connections:
        connection.disconnect()


class _Share:
    """Memory that all connections share: with more, the one goes that has had its part for longest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[_LimitedProtocol, int] = {}  # bytes; in the order in which they became large
        self._total = 0

    def hold(self, connection: _LimitedProtocol, size: int) -> list[_LimitedProtocol]:
        """Note the memory of a connection.

        Returns:
            The connections that have had theirs for longest, as many as are too many; they are forgotten.
        """
        known = self._held.get(connection, 0)
        if size <= known:
            return []
        self._held[connection] = size
        self._total += size - known
        too_many = []
        while self._total > self._limit and len(self._held) > 1:  # one alone is bounded by itself
            too_many.append(next(iter(self._held)))
            self.forget(too_many[-1])
        return too_many

    def forget(self, connection: _LimitedProtocol) -> None:
        """Forget the memory of a connection."""
        self._total -= self._held.pop(connection, 0)


class _Connections:
    """When each connection has to be done, and the memory of those with large heads, bodies and answers."""

    def __init__(self) -> None:
        self.heads, self.bodies, self.answers = _Share(HEADS_BYTES), _Share(BODIES_BYTES), _Share(ANSWERS_BYTES)
        self._deadlines: dict[_LimitedProtocol, float] = {}  # event-loop time; in the order of their start
        self._timer: asyncio.TimerHandle | None = None

    def start(self, connection: _LimitedProtocol, seconds: float) -> None:
        """Start the time of a connection anew. One look a second over all costs less than a timer for each."""
        self._deadlines.pop(connection, None)  # so that it goes to the end
        self._deadlines[connection] = connection.loop.time() + seconds
        if self._timer is None:
            self._timer = connection.loop.call_later(SWEEP_SECONDS, self._sweep, connection.loop)

    def rest(self, connection: _LimitedProtocol) -> None:
        """Note that a connection waits for nothing until its next request."""
        self._deadlines.pop(connection, None)
        self._deadlines[connection] = math.inf

    def stop(self, connection: _LimitedProtocol) -> None:
        """Forget a connection."""
        self._deadlines.pop(connection, None)
        for share in (self.heads, self.bodies, self.answers):
            share.forget(connection)

    def has_deadline(self, connection: _LimitedProtocol) -> bool:
        """Tell whether the time of a connection runs."""
        return self._deadlines.get(connection, math.inf) < math.inf

    def oldest(self) -> _LimitedProtocol | None:
        """Return the connection that has rested or has been waited for longest."""
        return next(iter(self._deadlines), None)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection, deadline in list(self._deadlines.items()):
            if now <= deadline:
                continue
            if connection.only_sends and not connection.is_sending():
                self.rest(connection)  # its answer was read meanwhile
            else:
                connection.disconnect()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop) if self._deadlines else None
