"""Every error in the one shape, in words for people; what was sent is never sent back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from genre.errors import GenreError, StoreError, UnknownId
from genre.serving.http.prometheus import PrometheusMetrics

NAMES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
SAID = {  # of pydantic's kinds of errors, those that speak of Python or of nothing
    "missing": "is missing",
    "extra_forbidden": "nothing of this name is known",
    "json_invalid": "no JSON from this character on",
    "model_attributes_type": "a JSON object is wanted",
    "model_type": "a JSON object is wanted",
    "dict_type": "a JSON object is wanted",
}
MOST_SAID = 5
LOG_SECONDS = 10.0

log = logging.getLogger("genre.serving")


def problem(status: int, error: str, detail: str) -> Response:
    text = detail.encode("utf-8", "replace").decode()  # a half of a surrogate pair is legal in JSON, not in UTF-8
    return Response(orjson.dumps({"error": error, "detail": text}), status, media_type="application/json")


def add_problems(app: FastAPI, metrics: PrometheusMetrics) -> None:
    said: dict[str, float] = {}

    def trouble(where: str, error: Exception) -> None:
        """Counted each time, said in the log now and then: a thousand a second would fill the disk."""
        metrics.troubles.labels(where).inc()
        if time.monotonic() - said.get(where, -LOG_SECONDS) >= LOG_SECONDS:
            said[where] = time.monotonic()
            log.error("%s", error)

    @app.exception_handler(RequestValidationError)
    async def not_legal(request: Request, error: RequestValidationError) -> Response:
        if any(tuple(one["loc"]) == ("body",) for one in error.errors()) and not _is_json(request):
            return problem(422, "not_legal", "body: send it with content-type: application/json")
        return problem(422, "not_legal", in_words(error.errors()))

    @app.exception_handler(HTTPException)
    async def of_framework(_: Request, error: HTTPException) -> Response:
        answer = problem(error.status_code, NAMES.get(error.status_code, "error"), str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(GenreError)
    async def of_genre(_: Request, error: GenreError) -> Response:
        if isinstance(error, UnknownId):
            return problem(404, "not_found", str(error))
        if isinstance(error, StoreError):
            trouble("store", error)
            return problem(503, "store_unavailable", "the event log cannot be used now; nothing was recorded")
        return problem(422, "not_legal", str(error))

    @app.exception_handler(Exception)
    async def of_ours(_: Request, error: Exception) -> Response:
        return problem(500, "internal", "an error of the service; its log says more")


def in_words(errors: Sequence[Mapping[str, Any]]) -> str:
    """`query.k: ...; body.history.3: ...`, the first few."""
    lines = (f"{'.'.join(map(str, one['loc']))}: {_wrong(one)}" for one in errors[:MOST_SAID])
    return "; ".join(lines)[:1000]


def _wrong(error: Mapping[str, Any]) -> str:
    of_text = isinstance(error.get("input"), str)
    message = str(error["msg"]).replace("items after validation", "characters" if of_text else "items")
    return SAID.get(error.get("type", ""), message.removeprefix("Value error, "))


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
