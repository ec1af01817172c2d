"""Limits of one HTTP attempt as a whole, in seconds and bytes. Knows the connections of httpx, and nothing of models.

The time limits of HTTP clients are per read: a server that sends one byte every half second never exceeds them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PIECE = 65_536  # bytes that are written under one time limit


class TooLate(Exception):
    """The attempt as a whole took too long."""


class TooLarge(Exception):
    """The answer has more bytes than it may have, or is packed, so that its size is unknown."""


class Elsewhere(Exception):
    """The server redirects to another origin."""


class AttemptLimits:
    """Limits that hold for all that a thread sends and receives within `attempt`."""

    def __init__(self, client: Any, seconds: float, most_bytes: int) -> None:
        """Put the limits around the connections of a client.

        Args:
            client: A client of httpx; those of newer names are alike.
            seconds: The longest an attempt may take.
            most_bytes: The most bytes that an answer may have, with its headers.
        """
        self._seconds, self._most_bytes, self._own = seconds, most_bytes, threading.local()
        for transport in (client._transport, *client._mounts.values()):
            if transport is not None:
                transport._pool._network_backend = _Limited(transport._pool._network_backend, self)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Begin an attempt of this thread."""
        self._own.deadline, self._own.bytes_left = time.monotonic() + self._seconds, self._most_bytes
        try:
            yield
        finally:
            self._own.__dict__.clear()

    def timeout(self, timeout: float | None) -> float | None:
        """Shorten a time limit to what is left of the attempt.

        Args:
            timeout: Seconds; None: no limit.

        Returns:
            Seconds.

        Raises:
            TooLate: Nothing is left.
        """
        deadline = getattr(self._own, "deadline", None)
        if deadline is None:
            return timeout
        left: float = deadline - time.monotonic()
        if left <= 0:
            raise TooLate(f"more than {self._seconds:g} s")
        return left if timeout is None else min(left, timeout)

    def received(self, data: bytes) -> bytes:
        """Count what was received.

        Args:
            data: The bytes.

        Returns:
            The same bytes.

        Raises:
            TooLarge: They are more than the attempt may receive.
        """
        left = getattr(self._own, "bytes_left", None)
        if left is not None:
            self._own.bytes_left = left - len(data)
            if left < len(data):
                raise TooLarge(f"more than {self._most_bytes:,} bytes")
        return data


def refuse_elsewhere(response: Any) -> None:
    """Refuse a redirect to another origin and a packed body, which has no bound: a hook of an HTTP client.

    Args:
        response: The response, before its body is read or its redirect followed.

    Raises:
        Elsewhere: It is a redirect.
        TooLarge: It is packed.
    """
    packed = response.headers.get("content-encoding", "identity")
    if packed.strip().lower() not in ("", "identity"):
        raise TooLarge(f"it is packed ({packed[:20]}), though a plain one was requested")
    if response.has_redirect_location:
        here, there = response.url, response.url.join(response.headers["location"])
        if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
            origin = f"{there.scheme}://{there.netloc.decode('ascii', 'replace').rpartition('@')[2]}"
            raise Elsewhere(
                f"it redirects to {origin}, and nothing is sent there; if you trust it, name it as base_url"
            )


class _Limited:
    """A network backend or stream of httpcore, whose every read and write obeys the limits."""

    def __init__(self, inner: Any, limits: AttemptLimits) -> None:
        self._inner, self._limits = inner, limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> _Limited:
        stream = self._inner.connect_tcp(host, port, timeout=self._limits.timeout(timeout), **options)
        return _Limited(stream, self._limits)

    def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: float | None = None) -> _Limited:
        stream = self._inner.start_tls(ssl_context, server_hostname, self._limits.timeout(timeout))
        return _Limited(stream, self._limits)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._limits.received(self._inner.read(max_bytes, self._limits.timeout(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), PIECE):
            self._inner.write(buffer[start : start + PIECE], self._limits.timeout(timeout))
