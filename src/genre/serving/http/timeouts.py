"""uvicorn's HTTP protocol with an end to its patience: slow clients are let go, and there is a limit to them.

uvicorn waits for a request without an end. Knows no HTTP itself.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def patient(connections: int, receive_seconds: float, send_seconds: float) -> type[HttpToolsProtocol]:
    """A protocol class for `uvicorn.Config(http=...)`.

    connections: open at once; one more, and the one that has kept us waiting longest goes. receive_seconds: for a
    whole request to come in. send_seconds: for its answer to be made and taken.
    """
    waiting: dict[Patient, tuple[float, float]] = {}  # when the wait began, how long it may take; oldest first
    sweeps: set[asyncio.TimerHandle] = set()  # the next look at them, if there is one

    class Patient(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > connections:
                next(iter(waiting), self).give_up()
            self.wait(receive_seconds)
            if not sweeps:
                sweeps.add(self.loop.call_later(1, sweep, self.loop))

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.wait(receive_seconds)

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self.wait(send_seconds)

        def on_response_complete(self) -> None:
            waiting.pop(self, None)
            super().on_response_complete()  # between requests uvicorn waits, for `timeout_keep_alive`

        def connection_lost(self, exc: Exception | None) -> None:
            waiting.pop(self, None)
            super().connection_lost(exc)

        def wait(self, seconds: float) -> None:
            waiting.pop(self, None)
            waiting[self] = self.loop.time(), seconds

        def give_up(self) -> None:
            waiting.pop(self, None)
            self.transport.abort()

    def sweep(loop: asyncio.AbstractEventLoop) -> None:
        sweeps.clear()
        now = loop.time()
        for connection, (since, seconds) in list(waiting.items()):
            if now - since > seconds:
                connection.give_up()
        if waiting:
            sweeps.add(loop.call_later(1, sweep, loop))

    return Patient
