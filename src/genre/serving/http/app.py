"""HTTP around the service: the routes, health, metrics and the page at `/`. Adds only JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files

import orjson
from fastapi import FastAPI, Request, Response
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse

from genre.serving.http.access import HostCheck, KeyAuthentication, SecurityHeaders, unauthorized
from genre.serving.http.batching import Desk
from genre.serving.http.problems import add_problems, problem
from genre.serving.http.prometheus import MeasureRequests, PrometheusMetrics
from genre.serving.http.request_limits import RequestLimits
from genre.serving.http.routes import PROBLEMS, EscapedSlashes, add_routes
from genre.serving.service import Service
from genre.version import __version__

SCRIPTS = ("app", "codes", "covers", "dom", "finder", "items", "why")
WEB = ("index.html", "style.css", "icon.svg", *(f"{name}.js" for name in SCRIPTS))
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
RARELY = 300.0  # seconds between two tries of what has been missing for long; who asks for it tries it, too

log = logging.getLogger("genre.serving")


def create_app(
    service: Service,
    *,
    api_key: str | None = None,
    hosts: frozenset[str] | None = None,
) -> FastAPI:
    """The service as an ASGI app; it warms up when it starts and closes the service when it ends.

    api_key: what callers must show on every route but health. hosts: names it may be addressed under, None for any.
    """
    metrics = PrometheusMetrics(service.missing, service.reordered)
    desk = Desk(service, metrics)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        warming, syncing = asyncio.create_task(_warm(desk)), asyncio.create_task(desk.keep_in_step())
        yield
        for task in (warming, syncing):
            task.cancel()
        desk.close()
        service.close()

    app = FastAPI(
        title="GENRE",
        version=__version__,
        description="Recommendations over HTTP",
        docs_url=None,  # those pages load scripts from other hosts
        redoc_url=None,
        lifespan=life,
    )
    add_routes(app, desk)
    _health(app, service, metrics)
    _page(app)
    add_problems(app, metrics)
    app.add_middleware(RequestLimits, limits=service.limits)  # each layer is put around those before it
    if api_key is not None:
        app.add_middleware(AuthenticationMiddleware, backend=KeyAuthentication(api_key), on_error=unauthorized)
    if hosts is not None:
        app.add_middleware(HostCheck, hosts=hosts)
    app.add_middleware(EscapedSlashes)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(MeasureRequests, metrics=metrics)
    return app


async def _warm(desk: Desk) -> None:
    """Ask whatever is missing, ever more rarely while it stays so; what changed is said."""
    said: set[str] = set()
    pause = least = max(desk.service.limits.pause_seconds, 1.0)
    while True:
        troubles = await desk.answer(desk.service.warm)
        for stage in troubles.keys() - said:
            log.error("%s does not answer and is tried again now and then (%s)", stage, troubles[stage])
        for stage in said - troubles.keys():
            log.error("%s answers again", stage)
        pause = min(2 * pause, RARELY) if said & troubles.keys() else least
        said = set(troubles)
        await asyncio.sleep(pause)


def _health(app: FastAPI, service: Service, metrics: PrometheusMetrics) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", responses=PROBLEMS)
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", responses=PROBLEMS)
    async def readyz() -> Response:
        """It has answered a trial; `missing` says what did not, or does not any more. Before that, 503."""
        missing = service.missing()
        if not service.ready:
            return problem(503, "not_ready", f"no answer from {', '.join(missing)}" if missing else "warming up")
        return Response(orjson.dumps({"status": "ready", "missing": missing}), media_type="application/json")

    @app.get("/metrics", response_class=PlainTextResponse, responses=PROBLEMS)
    async def metrics_text() -> Response:
        """Counters in the text form of Prometheus."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _page(app: FastAPI) -> None:
    """The page: a few files, read once; the browser asks each time whether they changed."""
    folder = files("genre.serving.http") / "web"
    for name in WEB:
        path = "/" if name == "index.html" else f"/{name}"
        handler = _constant((folder / name).read_bytes(), TYPES[name.rpartition(".")[2]])
        app.add_route(path, handler, include_in_schema=False)


def _constant(body: bytes, kind: str) -> Callable[[Request], Response]:
    def page(_: Request) -> Response:
        return Response(body, media_type=kind)

    return page
