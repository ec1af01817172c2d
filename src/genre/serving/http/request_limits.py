"""How much is let in: requests in flight, the rate of each address, the size of a body. Knows no route but events."""

from __future__ import annotations

import ipaddress
import time

from cachetools import LRUCache
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genre.serving.http.access import HEALTH_PATHS
from genre.serving.http.pacing import Pace
from genre.serving.http.problems import problem
from genre.serving.limits import Limits

EVENTS_PATH = "/v1/events"
MAX_ADDRESSES = 10_000  # with a bucket of their own
BUSY_PER_SECOND = 200  # answers "busy" sent a second


class RequestLimits:
    """Middleware that refuses what exceeds the limits of a service: 503 busy, 429 too many requests, 413 too large.

    A request is in flight from when its body is here until its answer is made: a client that sends or reads slowly
    takes no place.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._in_flight = {True: 0, False: 0}  # with events, without
        self._busy = Pace(BUSY_PER_SECOND)
        self._buckets = TokenBuckets(limits.rate, MAX_ADDRESSES) if limits.rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI calls it."""
        if scope["type"] != "http" or scope["path"] in HEALTH_PATHS:
            await self._app(scope, receive, send)
            return
        if self._buckets is not None and not self._buckets.take(scope["client"][0] if scope["client"] else ""):
            detail = f"more than {self._limits.rate:g} requests a second"
            await _refusal(429, "too_many_requests", detail)(scope, receive, send)
            return
        try:
            body = await self._read_body(scope, receive)
        except ClientDisconnect:
            return
        events = scope["path"] == EVENTS_PATH
        if body is None:
            answer = problem(413, "too_large", f"a body may have {self._limits.body_bytes:,} bytes")
            answer.headers["connection"] = "close"
            await answer(scope, receive, send)
        elif self._in_flight[events] >= (self._limits.events_in_flight if events else self._limits.in_flight):
            body = None  # is not kept while the answer waits for its turn
            await self._busy.turn()  # a client that is refused at once is back at once, and refusing costs, too
            await _refusal(503, "busy", "too many requests at once; try again")(scope, receive, send)
        else:
            await self._work(scope, _again(body, receive), send, events=events)

    async def _work(self, scope: Scope, receive: Receive, send: Send, *, events: bool) -> None:
        """Have a request answered, which is in flight until its answer begins."""
        in_flight = [events]
        self._in_flight[events] += 1

        def leave() -> None:
            while in_flight:
                self._in_flight[in_flight.pop()] -= 1

        async def send_answer(message: Message) -> None:
            leave()
            await send(message)

        try:
            await self._app(scope, receive, send_answer)
        finally:
            leave()

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Wait for all of a body; None where it is too large."""
        announced = _announced_length(scope)
        if announced is not None and announced > self._limits.body_bytes:
            return None
        parts, size, more = list[bytes](), 0, announced != 0
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > self._limits.body_bytes:
                return None
        return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that hands a body over once more."""
    left = [body]

    async def receive_again() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return receive_again


class TokenBuckets:
    """A token bucket for each network address: a request takes a token, and `rate` tokens a second flow in.

    A bucket holds twice the rate. Addresses that were silent for longest are forgotten first: their buckets are full.
    """

    def __init__(self, rate: float, max_addresses: int) -> None:
        self._rate, self._burst = rate, 2 * rate
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(max_addresses)

    def take(self, address: str) -> bool:
        """Take a token.

        Args:
            address: IPv4 or IPv6 address of the caller.

        Returns:
            False where the bucket is empty.
        """
        now, network = time.monotonic(), _network(address)
        tokens, since = self._buckets.get(network, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        self._buckets[network] = tokens - 1 if tokens >= 1 else tokens, now
        return tokens >= 1


def _network(address: str) -> str:
    """Return the address itself, or its /64 network in IPv6: one household or server has all addresses of it."""
    if ":" not in address:
        return address
    try:
        full = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(full.ipv4_mapped or ipaddress.IPv6Network((int(full) >> 64 << 64, 64)))


def _announced_length(scope: Scope) -> float | None:
    """Return the announced length of the body, infinity where it is no number, 0 without a body, None where unknown."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length")
    if length is not None:
        return int(length[:20]) if length.isdigit() else float("inf")
    return None if b"transfer-encoding" in headers else 0


def _refusal(status: int, error: str, detail: str) -> Response:
    answer = problem(status, error, detail)
    answer.headers["retry-after"] = "1"
    return answer
