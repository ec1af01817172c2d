"""Limits of connections: their number, time for a request and its answer, bytes and number of headers.

A subclass of uvicorn's HTTP protocol, which by itself waits for a request without an end and keeps headers without an
end. Parses no HTTP itself. docs/decisions/0119-limits-of-request-heads.md has the alternatives.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from genre.serving.http.pacing import Pace
from genre.serving.http.problems import problem
from genre.serving.limits import Limits

SWEEP_SECONDS = 1.0
REFUSALS_PER_SECOND = 50  # of what is no request, or one with too large a head
PIECE_BYTES = 16_384  # that are parsed before the next look at the limits
LARGE_HEAD_BYTES = 4_096  # memory of the headers of one connection, from which on it counts for all of them
LARGE_HEADS_BYTES = (
    8_000_000  # for all connections together; with more, the one that has had its headers for longest goes
)
HEADER_BYTES = 200  # of memory for one header, beside its text
REQUEST_BYTES = 2_000  # of memory for one request that waits for the answer to an earlier one


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

    _head_bytes = 0  # that came in since the last end of a request, a chunk or a piece of a body
    _header_bytes = 0  # of the headers that are complete
    _n_headers = 0
    _body_bytes = 0
    _head_too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first request; close another connection where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.tracked.disconnect(self.tracked.oldest() or self)
        self.tracked.start(self, self.limits.receive_seconds)

    def data_received(self, data: bytes) -> None:
        """Parse what came in, and refuse a head that is too large before all of it is here."""
        if not self.tracked.has_deadline(self):  # empty lines between two requests begin none
            self.tracked.start(self, self.limits.receive_seconds)
        for start in range(0, len(data), PIECE_BYTES):
            if self.parser is None or self.transport.is_closing():  # refused
                return
            piece = data[start : start + PIECE_BYTES]
            self._head_bytes += len(piece)
            super().data_received(piece)
            if self._head_bytes > self.limits.head_bytes and self.parser is not None:
                self.refuse_head()
            if self.parser is not None:
                self._note_size()

    def on_message_begin(self) -> None:
        """Start the time of a request."""
        super().on_message_begin()
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
        """Forget the line in front of a chunk of the body."""
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._head_bytes = max(self._head_bytes - len(body), 0)
        self._body_bytes += len(body)
        if self.cycle.response_complete and self._body_bytes > self.limits.body_bytes:
            self.tracked.disconnect(self)  # it was answered without its body, and sends it without an end
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Start the time of the answer."""
        super().on_message_complete()
        self._head_bytes = 0
        self.tracked.start(self, self.limits.send_seconds)

    def on_response_complete(self) -> None:
        """Let the connection rest; between requests uvicorn's own `timeout_keep_alive` holds."""
        self.tracked.stop(self)
        if self.cycle.response_complete and self.scope is self.cycle.scope:  # a resting connection keeps no headers
            self.scope, self.cycle.scope, self.headers, self.url = {}, {}, [], b""  # type: ignore[typeddict-item]
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.tracked.stop(self)
        super().connection_lost(exc)

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
        if self.cycle is None or self.cycle.scope is not self.scope:
            self.scope, self.headers, self.url = {}, [], b""  # type: ignore[typeddict-item]
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
        return self.cycle.scope is self.scope and not self.cycle.response_started and not self.pipeline

    def _note_size(self) -> None:
        size = self._head_bytes + HEADER_BYTES * self._n_headers + REQUEST_BYTES * len(self.pipeline)
        if size > LARGE_HEAD_BYTES:
            for connection in self.tracked.hold(self, size):
                connection.refuse_head()


class _Connections:
    """When each connection has to be done, and the memory of those with large heads of requests."""

    def __init__(self) -> None:
        self._deadlines: dict[_LimitedProtocol, float] = {}  # event-loop time; in the order of their start
        self._timer: asyncio.TimerHandle | None = None
        self._heads: dict[_LimitedProtocol, int] = {}  # bytes
        self._heads_bytes = 0

    def start(self, connection: _LimitedProtocol, seconds: float) -> None:
        """Start the time of a connection anew. One look a second over all costs less than a timer for each."""
        self._deadlines.pop(connection, None)  # so that it goes to the end
        self._deadlines[connection] = connection.loop.time() + seconds
        if self._timer is None:
            self._timer = connection.loop.call_later(SWEEP_SECONDS, self._sweep, connection.loop)

    def stop(self, connection: _LimitedProtocol) -> None:
        """Forget a connection: it is closed, or rests between two requests."""
        self._deadlines.pop(connection, None)
        self._heads_bytes -= self._heads.pop(connection, 0)

    def has_deadline(self, connection: _LimitedProtocol) -> bool:
        """Tell whether the time of a connection runs."""
        return connection in self._deadlines

    def oldest(self) -> _LimitedProtocol | None:
        """Return the connection that has been waited for longest."""
        return next(iter(self._deadlines), None)

    def hold(self, connection: _LimitedProtocol, size: int) -> list[_LimitedProtocol]:
        """Note the memory of a connection.

        Returns:
            The connections that have had theirs for longest, as many as are too many; they are forgotten.
        """
        known = self._heads.get(connection, 0)
        self._heads[connection] = max(known, size)
        self._heads_bytes += max(size - known, 0)
        too_many = []
        while self._heads_bytes > LARGE_HEADS_BYTES:
            too_many.append(next(iter(self._heads)))
            self.stop(too_many[-1])
        return too_many

    def disconnect(self, connection: _LimitedProtocol) -> None:
        """Close a connection without an answer."""
        self.stop(connection)
        connection.transport.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection, deadline in list(self._deadlines.items()):
            if now > deadline:
                self.disconnect(connection)
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop) if self._deadlines else None
