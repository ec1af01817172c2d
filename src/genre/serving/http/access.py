"""The gate before every route: who may come in, how much at once, which headers go out, what is counted.

Plain ASGI: it costs a few microseconds. Knows no route but the two for health.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from starlette.exceptions import HTTPException

from genre.serving.http.prometheus import Metrics
from genre.serving.http.schemas import SLASH
from genre.serving.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

EVENTS = "/v1/events"
OPEN = ("/healthz", "/readyz")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
KEPT_ADDRESSES = 10_000
REFUSALS = 200  # sent a second while there is too much to do


class Refused(Exception):
    """A request that does not come in."""

    def __init__(self, status: int, error: str, detail: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(detail)
        self.status, self.error, self.detail, self.headers = status, error, detail, headers


class Gate:
    """key: what a caller must show (as a bearer token or as the password of basic authentication), or None.

    hosts: names under which the service may be addressed, None for any: without a key this is what keeps a foreign
    page from talking to it through a name of its own that points here.
    """

    def __init__(
        self, app: App, *, key: str | None, hosts: frozenset[str] | None, limits: Limits, metrics: Metrics
    ) -> None:
        self._app, self._hosts, self._limits, self._metrics = app, hosts, limits, metrics
        self._key = None if key is None else key.encode()
        self._in_flight = {True: 0, False: 0}  # with events, without
        self._next_refusal = 0.0
        self._buckets: dict[str, tuple[float, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_ours(message["headers"])
            await send(message)

        try:
            checked, kind = self._checked(scope, receive), scope["path"] == EVENTS
            self._in_flight[kind] += 1
            try:
                await self._app(scope, checked, dressed)
            finally:
                self._in_flight[kind] -= 1
        except Refused as refused:
            if refused.status == 503:
                await self._pace()
            await _refuse(refused, dressed)
        finally:
            self._metrics.request(scope, status, time.perf_counter() - started)

    def _checked(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` for a request that may come in; Refused otherwise."""
        if scope["path"] in OPEN:
            return receive
        if b"%" in scope["raw_path"]:
            scope["path"] = "/".join(
                unquote(part).replace("/", SLASH) for part in scope["raw_path"].decode("latin-1").split("/")
            )
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._hosts is not None and _name(headers.get(b"host", b"")) not in self._hosts:
            raise Refused(421, "wrong_host", "without a key the service answers to the name of this machine only")
        if self._key is not None and not hmac.compare_digest(_shown(headers.get(b"authorization", b"")), self._key):
            challenge = (b"www-authenticate", b'Basic realm="genre", charset="UTF-8"')
            raise Refused(401, "unauthorized", "show the key: Authorization: Bearer KEY", challenge)
        events, limits = scope["path"] == EVENTS, self._limits
        if self._in_flight[events] >= (limits.events_in_flight if events else limits.in_flight):
            raise Refused(503, "busy", "too many requests at once; try again", (b"retry-after", b"1"))
        if self._limits.rate:
            self._spend(scope["client"][0] if scope["client"] else "")
        length = headers.get(b"content-length")
        if length is not None:
            if not length.isdigit() or int(length[:20]) > self._limits.body_bytes:
                raise self._too_large()
            return receive
        return self._counted(receive) if b"transfer-encoding" in headers else receive

    async def _pace(self) -> None:
        """Wait for our turn: a flood that is answered at once is back at once, and refusing costs, too."""
        now = time.monotonic()
        self._next_refusal = max(now, self._next_refusal + 1 / REFUSALS)
        if self._next_refusal > now:
            await asyncio.sleep(self._next_refusal - now)

    def _spend(self, address: str) -> None:
        """Take one request from the address's bucket, which fills at `rate` up to twice as many."""
        rate, now, whose = self._limits.rate, time.monotonic(), _network(address)
        left, since = self._buckets.pop(whose, (2 * rate, now))
        left = min(2 * rate, left + (now - since) * rate)
        self._buckets[whose] = left - 1 if left >= 1 else left, now
        if len(self._buckets) > KEPT_ADDRESSES:  # whoever has asked nothing for longest
            del self._buckets[next(iter(self._buckets))]
        if left < 1:
            raise Refused(429, "too_many_requests", f"more than {rate:g} requests a second", (b"retry-after", b"1"))

    def _counted(self, receive: Receive) -> Receive:
        """A body without a stated length is counted as it comes."""
        taken = 0

        async def counting() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limits.body_bytes:
                refused = self._too_large()  # raised inside the framework, which knows its own exceptions only
                raise HTTPException(refused.status, refused.detail, {"connection": "close"})
            return message

        return counting

    def _too_large(self) -> Refused:
        detail = f"a body may have {self._limits.body_bytes:,} bytes"
        return Refused(413, "too_large", detail, (b"connection", b"close"))


def _network(address: str) -> str:
    """Whom an address counts for: itself, or its /64, which one household or server has to itself in IPv6."""
    if ":" not in address:
        return address
    try:
        full = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(full.ipv4_mapped or ipaddress.IPv6Network((int(full) >> 64 << 64, 64)))


def _with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Our headers behind a route's own; where a route sets one of them itself, its word counts."""
    if len(headers) <= 2:  # length and type: nearly every answer
        return [*headers, *HEADERS]
    given = {name for name, _ in headers}
    return [*headers, *(pair for pair in HEADERS if pair[0] not in given)]


def _name(host: bytes) -> str:
    """The name in a Host header, without the port."""
    text = host.decode("latin-1").lower()
    return text.rpartition("]")[0].strip("[]") if text.startswith("[") else text.partition(":")[0]


def _shown(authorization: bytes) -> bytes:
    """The key in an Authorization header, empty where there is none."""
    scheme, _, rest = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(rest, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


async def _refuse(refused: Refused, send: Send) -> None:
    body = json.dumps({"error": refused.error, "detail": refused.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *refused.headers]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
