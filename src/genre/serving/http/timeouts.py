"""Time limits for connections: uvicorn's HTTP protocol, which by itself waits for a request without an end.

Slow clients are disconnected, and there is a limit to connections. Parses no HTTP itself.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SWEEP_SECONDS = 1.0


def protocol_with_timeouts(connections: int, receive_seconds: float, send_seconds: float) -> type[HttpToolsProtocol]:
    """Make a protocol class for `uvicorn.Config(http=...)`.

    Args:
        connections: open at once; with one more, the connection that has been waited for longest is closed.
        receive_seconds: time for a whole request to come in.
        send_seconds: time for its answer to be made and sent.

    Returns:
        A subclass of uvicorn's protocol, one instance a connection. The instances share the limit.
    """
    deadlines = _Deadlines()

    class TimedProtocol(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > connections:
                deadlines.disconnect(deadlines.oldest() or self)
            deadlines.start(self, receive_seconds)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            deadlines.start(self, receive_seconds)

        def on_message_complete(self) -> None:
            super().on_message_complete()
            deadlines.start(self, send_seconds)

        def on_response_complete(self) -> None:
            deadlines.stop(self)
            super().on_response_complete()  # between requests uvicorn's own `timeout_keep_alive` holds

        def connection_lost(self, exc: Exception | None) -> None:
            deadlines.stop(self)
            super().connection_lost(exc)

    return TimedProtocol


class _Deadlines:
    """When each connection has to be done. One look a second over all of them costs less than a timer for each."""

    def __init__(self) -> None:
        self._deadlines: dict[HttpToolsProtocol, float] = {}  # event-loop time; in the order of their start
        self._timer: asyncio.TimerHandle | None = None

    def start(self, connection: HttpToolsProtocol, seconds: float) -> None:
        """Start the time of a connection anew."""
        self.stop(connection)  # so that it goes to the end
        self._deadlines[connection] = connection.loop.time() + seconds
        if self._timer is None:
            self._timer = connection.loop.call_later(SWEEP_SECONDS, self._sweep, connection.loop)

    def stop(self, connection: HttpToolsProtocol) -> None:
        """Forget a connection: it is closed, or rests between two requests."""
        self._deadlines.pop(connection, None)

    def oldest(self) -> HttpToolsProtocol | None:
        """Return the connection that has been waited for longest."""
        return next(iter(self._deadlines), None)

    def disconnect(self, connection: HttpToolsProtocol) -> None:
        """Close a connection without an answer."""
        self.stop(connection)
        connection.transport.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection, deadline in list(self._deadlines.items()):
            if now > deadline:
                self.disconnect(connection)
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop) if self._deadlines else None
