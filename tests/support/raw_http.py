"""Connections that speak to a server byte by byte."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit


def dial(url: str) -> socket.socket:
    """A connection to the server of `url`."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def half_close(connection: socket.socket) -> None:
    """Say that no more is sent, unless the server has closed the connection already."""
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
