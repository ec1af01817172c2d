"""What does each layer between the socket and a route cost? Ours, beside Starlette's and FastAPI's own.

    python benchmarks/serving_layers.py [--requests 20000] [--rounds 9]

CPU microseconds a request that each layer adds to a bare ASGI app, called in one process without a socket. The layers
take turns in each round; the figure is the median over rounds of the difference from the bare app of the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hmac
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from fastapi.security import HTTPBasic, HTTPBearer
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genre.serving.http.access import (
    ApiKeys,
    HostCheck,
    KeyAuthentication,
    OriginCheck,
    RequireScope,
    SecurityHeaders,
    unauthorized,
)
from genre.serving.http.prometheus import MeasureRequests, PrometheusMetrics
from genre.serving.http.request_limits import RequestLimits
from genre.serving.http.routes import EscapedSlashes
from genre.serving.limits import Limits

KEY = "a key of more than sixteen letters"
SCOPE: Scope = {
    "type": "http",
    "method": "GET",
    "scheme": "http",
    "path": "/v1/users/u1/recommendations",
    "raw_path": b"/v1/users/u1/recommendations",
    "query_string": b"k=10",
    "client": ("127.0.0.1", 50_000),
    "server": ("127.0.0.1", 8000),
    "headers": [
        (b"host", b"localhost:8000"),
        (b"user-agent", b"curl/8.5"),
        (b"accept", b"*/*"),
        (b"authorization", b"Basic " + base64.b64encode(f"me:{KEY}".encode())),
    ],
}


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


class KeyByHand:
    """The key check without Starlette's middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.key = app, KEY.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(base64.b64decode(header.partition(b" ")[2]).partition(b":")[2], self.key):
            raise AuthenticationError
        await self.app(scope, receive, send)


class FastAPISchemes(AuthenticationBackend):
    """The key read by FastAPI's HTTPBearer and HTTPBasic."""

    bearer, basic = HTTPBearer(auto_error=False), HTTPBasic(auto_error=False)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        token = await self.bearer(conn)
        password = None if token else await self.basic(conn)  # type: ignore[arg-type]
        sent = token.credentials if token else password.password if password else ""
        if not hmac.compare_digest(sent.encode(), KEY.encode()):
            raise AuthenticationError
        return AuthCredentials(["key"]), SimpleUser("")


async def nothing(request: Request, call_next: Callable[[Request], Any]) -> Any:
    return await call_next(request)


def layers() -> dict[str, ASGIApp]:
    metrics = PrometheusMetrics(list, dict)
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    check = KeyAuthentication(ApiKeys({KEY: ["read"]}))
    authentication = AuthenticationMiddleware(bare, check, unauthorized)
    scoped = RequireScope(bare, {"GET": "read"})
    everything: ASGIApp = RequestLimits(scoped, Limits(rate=1e9))
    everything = HostCheck(OriginCheck(AuthenticationMiddleware(everything, check)), frozenset(hosts))
    everything = MeasureRequests(SecurityHeaders(EscapedSlashes(everything)), metrics)
    return {
        "bare": bare,
        "HostCheck": HostCheck(bare, frozenset(hosts)),
        "  Starlette's TrustedHostMiddleware": TrustedHostMiddleware(bare, hosts),
        "KeyAuthentication in Starlette's AuthenticationMiddleware": authentication,
        "  by hand, plain ASGI": KeyByHand(bare),
        "  FastAPI's HTTPBearer, HTTPBasic in AuthenticationMiddleware": AuthenticationMiddleware(
            bare, FastAPISchemes()
        ),
        "the same and RequireScope": AuthenticationMiddleware(scoped, check, unauthorized),
        "OriginCheck": OriginCheck(bare),
        "SecurityHeaders": SecurityHeaders(bare),
        "RequestLimits without a rate": RequestLimits(bare, Limits()),
        "RequestLimits with a rate": RequestLimits(bare, Limits(rate=1e9)),
        "EscapedSlashes": EscapedSlashes(bare),
        "MeasureRequests": MeasureRequests(bare, metrics),
        "all of ours": everything,
        "  one BaseHTTPMiddleware that does nothing": BaseHTTPMiddleware(bare, nothing),
    }


async def cpu(app: ASGIApp, requests: int) -> float:
    """CPU microseconds a request."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    start = time.process_time()
    for _ in range(requests):
        await app(dict(SCOPE), receive, send)
    return (time.process_time() - start) / requests * 1e6


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    apps = layers()
    took: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(args.rounds):
        for name, app in apps.items():
            took[name].append(await cpu(app, args.requests))
    for name, each in took.items():
        added = [one - base for one, base in zip(each, took["bare"], strict=True)]
        print(f"{name:62} {median(added):6.1f} us")


if __name__ == "__main__":
    asyncio.run(main())
