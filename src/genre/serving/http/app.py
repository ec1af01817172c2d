"""The service as an ASGI app: checks before the routes, the routes, health, metrics, and both pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from importlib import resources

import orjson
from fastapi import FastAPI, Response
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from genre.display import some_of
from genre.features.thumbnails import MEDIA_TYPE
from genre.serving.http.access import (
    ApiKeys,
    HostCheck,
    KeyAuthentication,
    OriginCheck,
    SecurityHeaders,
    checked_origins,
    unauthorized,
)
from genre.serving.http.batching import AsyncService
from genre.serving.http.problems import add_error_handlers, problem
from genre.serving.http.prometheus import MeasureRequests, PrometheusMetrics, metrics_of
from genre.serving.http.request_limits import RequestLimits
from genre.serving.http.routes import PROBLEMS, EscapedSlashes, add_routes
from genre.serving.http.scopes import require_scopes
from genre.serving.service import Service
from genre.version import __version__

KEPT = "private, max-age=31536000, immutable"
NAMED = 3  # stages in a line of the log
MAX_PAUSE_SECONDS = 300.0  # between two attempts at a stage that does not answer

AddRoutes = Callable[[FastAPI, AsyncService], AbstractAsyncContextManager[None]]

log = logging.getLogger("genre.serving")


def create_app(
    service: Service,
    *,
    api_keys: ApiKeys | None = None,
    hosts: frozenset[str] | None = None,
    origins: Sequence[str] = (),
    add: AddRoutes | None = None,
) -> FastAPI:
    """Build the app. It warms the service up when it starts, and closes it when it ends.

    Args:
        service: answers the requests; closed with the app.
        api_keys: keys of which callers must send one on every route but health; None for none.
        hosts: names that requests may be addressed to; None for any.
        origins: pages of others that may use the service from a browser, such as `https://shop.example`.
        add: adds routes of its own; what it returns is open while the app answers.

    Returns:
        The app, to run by uvicorn or to mount into another.

    Raises:
        OptionError: for an origin that is none.
    """
    metrics = metrics_of(service)
    calls = AsyncService(service, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loops = _keep_warm(calls), calls.follow_log(), calls.go_on_erasing()
        tasks = [asyncio.create_task(loop) for loop in loops]
        async with added:
            yield
        for task in tasks:
            task.cancel()
        calls.close()
        service.close()

    app = FastAPI(
        title="GENRE",
        version=__version__,
        description="Recommendations over HTTP",
        docs_url=None,  # those pages load scripts from other hosts; /docs is our own
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # to an address made of the Host header, without the TLS of a proxy in front
    )
    add_routes(app, calls)
    _add_health(app, service, metrics)
    page = _WholeFiles(packages=[("genre.serving.http", "web")], html=True)
    app.routes.extend(Route(f"/{name}", _page(name), methods=["GET"]) for name in ("docs", "operate"))
    app.routes.append(Route("/pictures/{name}", _pictures(service), methods=["GET"]))
    app.routes.extend(Route(path, page, methods=["GET"]) for path in ("/", "/{file}"))
    added = nullcontext() if add is None else add(app, calls)
    add_error_handlers(app, metrics)
    app.add_middleware(RequestLimits, limits=service.limits)  # each one is put around those before it
    if api_keys is not None:
        require_scopes(app)
        app.add_middleware(AuthenticationMiddleware, backend=KeyAuthentication(api_keys), on_error=unauthorized)
    app.add_middleware(OriginCheck, origins=checked_origins(origins))
    if hosts is not None:
        app.add_middleware(HostCheck, hosts=hosts)
    app.add_middleware(EscapedSlashes)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(MeasureRequests, metrics=metrics)
    return app


class _WholeFiles(StaticFiles):
    """Files of the page, which are small, so that each is sent whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    """Make the route of a page of its own: the description of the API, or the operator's page."""

    async def answer(_: Request) -> Response:
        content = (resources.files("genre.serving.http") / "web" / f"{name}.html").read_bytes()
        return Response(content, media_type="text/html")

    return answer


def _pictures(service: Service) -> Callable[[Request], Awaitable[Response]]:
    """Make the route of the small pictures of items. What a name stands for never changes, so browsers keep it."""

    async def answer(request: Request) -> Response:
        found = service.picture(request.path_params["name"])
        if found is None:
            return problem(404, "not_found", "no such picture")
        return Response(found, media_type=MEDIA_TYPE, headers={"cache-control": KEPT})

    return answer


async def _keep_warm(calls: AsyncService) -> None:
    """Try stages that do not answer, less often the longer they are silent; log what changes."""
    silent: set[str] = set()
    pause = shortest = max(calls.service.limits.pause_seconds, 1.0)
    while True:
        try:
            troubles = await calls.read(calls.service.warm)
        except Exception as error:  # the next round tries again
            troubles = {"warming up": f"{type(error).__name__}: {error}"}
        new, back = sorted(troubles.keys() - silent), sorted(silent - troubles.keys())
        if new:
            log.error(
                "No answer, tried again now and then: %s", some_of([f"{one} ({troubles[one]})" for one in new], NAMED)
            )
        if back:
            log.error("Answer again: %s", some_of(back, NAMED))
        pause = min(2 * pause, MAX_PAUSE_SECONDS) if silent & troubles.keys() else shortest
        silent = set(troubles)
        await asyncio.sleep(pause)


def _add_health(app: FastAPI, service: Service, metrics: PrometheusMetrics) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", responses=PROBLEMS)
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", responses=PROBLEMS)
    async def readyz() -> Response:
        """The service is warmed up (503 before).

        `missing` names stages that do not answer now, `erasing` what is still kept of deleted users, and until when.
        """
        failing = service.failing_calls()
        if not service.ready:
            return problem(503, "not_ready", f"no answer from {', '.join(failing)}" if failing else "warming up")
        found = {"status": "ready", "missing": failing, "erasing": service.erasure.remains()}
        return Response(orjson.dumps(found), media_type="application/json")

    @app.get("/metrics", response_class=PlainTextResponse, responses=PROBLEMS)
    async def metrics_text() -> Response:
        """Counters in the text format of Prometheus."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
