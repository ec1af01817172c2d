"""300 connections that send headers without an end, and dial again when they are refused: `header_flood.py PORT`."""

from __future__ import annotations

import selectors
import socket
import sys

CONNECTIONS = 300
ENDLESS = (b"x: " + b"y" * 65_000, b"y" * 65_000, b"a: b\r\n" * 10_000, (b"a: " + b"b" * 600 + b"\r\n") * 90)


def flood(port: int) -> None:
    """Send for ever, each connection one of four kinds of headers."""
    crowd = selectors.DefaultSelector()

    def dial(at: int) -> None:
        one = socket.create_connection(("127.0.0.1", port), 5)
        one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
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
                one.send(ENDLESS[key.data % len(ENDLESS)])
            except OSError:
                crowd.unregister(one)
                one.close()
                dial(key.data)


if __name__ == "__main__":
    flood(int(sys.argv[1]))
