"""300 connections that send requests without an end, and dial again when they are refused: `header_flood.py PORT`.

Headers without an end in front of a body, behind it and at its chunks, and bodies that come byte by byte.
"""

from __future__ import annotations

import selectors
import socket
import sys

CONNECTIONS = 300
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
TINY = b"a: b\r\n" * 10_000
KINDS = (
    (GET, b"x: " + b"y" * 65_000),
    (GET, b"y" * 65_000),
    (GET, TINY),
    (GET, (b"a: " + b"b" * 600 + b"\r\n") * 90),
    (GET, b"y"),
    (CHUNKED + b"2\r\n{}\r\n0\r\n", TINY),
    (CHUNKED, (b"1;" + b"y" * 30_000 + b"\r\n \r\n") * 2),
    (POST + b"Content-Length: 900000\r\n\r\n", b" "),
)
"""Begin of a request, and what goes on behind it."""


def flood(port: int) -> None:
    """Send for ever, each connection one kind."""
    crowd = selectors.DefaultSelector()

    def dial(at: int) -> None:
        one = socket.create_connection(("127.0.0.1", port), 5)
        one.sendall(KINDS[at % len(KINDS)][0])
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)  # the kernel's memory, for 300 of them
        crowd.register(one, selectors.EVENT_WRITE, at)

    for at in range(CONNECTIONS):
        dial(at)
    while True:
        for key, _ in crowd.select():
            one = key.fileobj
            assert isinstance(one, socket.socket)
            try:
                one.send(KINDS[key.data % len(KINDS)][1])
            except OSError:
                crowd.unregister(one)
                one.close()
                dial(key.data)


if __name__ == "__main__":
    flood(int(sys.argv[1]))
