"""Errors as answers: every one in the shape `{"error", "detail"}`, in words for people; input is never sent back."""

from __future__ import annotations

import logging
import time

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from genre.errors import ConflictError, GenreError, StoreError, UncertainWrite, UnknownId
from genre.serving.http.prometheus import PrometheusMetrics
from genre.serving.http.validation import validation_message

ERROR_BY_STATUS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 422: "not_legal"}
STATUS_BY_ERROR = {UnknownId: (404, "not_found"), ConflictError: (409, "conflict")}
UNRECORDED = "the event log cannot be used now; nothing was recorded"
UNCERTAIN = (
    "the event log did not answer in time: this may or may not have been recorded; send it again with the same "
    "event_id, so that it is counted once"
)
LOG_SECONDS = 10.0  # between two lines in the log about the same trouble

log = logging.getLogger("genre.serving")


def problem(status: int, error: str, detail: str) -> Response:
    """Make the answer to a request that failed.

    Args:
        status: HTTP status.
        error: a word for programs.
        detail: a line for people.

    Returns:
        The answer, as JSON.
    """
    text = detail.encode("utf-8", "replace").decode()  # half of a surrogate pair is legal in JSON, not in UTF-8
    return Response(orjson.dumps({"error": error, "detail": text}), status, media_type="application/json")


def add_error_handlers(app: FastAPI, metrics: PrometheusMetrics) -> None:
    """Answer every exception with a problem.

    Args:
        app: the app.
        metrics: counts errors of the event log.
    """
    last_logged: dict[str, float] = {}

    def trouble(where: str, error: Exception) -> None:
        """Count an error each time, and log it now and then: a thousand lines a second would fill the disk."""
        metrics.troubles.labels(where).inc()
        if time.monotonic() - last_logged.get(where, -LOG_SECONDS) >= LOG_SECONDS:
            last_logged[where] = time.monotonic()
            log.error("%s", error)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> Response:
        return problem(422, "not_legal", validation_message(error.errors()))

    @app.exception_handler(HTTPException)
    async def framework_error(_: Request, error: HTTPException) -> Response:
        answer = problem(error.status_code, ERROR_BY_STATUS.get(error.status_code, "error"), str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(GenreError)
    async def genre_error(_: Request, error: GenreError) -> Response:
        if isinstance(error, StoreError):
            trouble("store", error)
            return problem(503, "store_unavailable", UNCERTAIN if isinstance(error, UncertainWrite) else UNRECORDED)
        status, word = STATUS_BY_ERROR.get(type(error), (422, "not_legal"))
        return problem(status, word, str(error))

    @app.exception_handler(Exception)
    async def internal_error(_: Request, error: Exception) -> Response:
        return problem(500, "internal", "an error of the service; its log says more")


def is_json(request: Request) -> bool:
    """Tell whether the body of a request is said to be JSON.

    Args:
        request: The request.

    Returns:
        Whether its content type is one of JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
