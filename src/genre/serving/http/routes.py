"""The routes under `/v1`: each hands a checked request to the service. request_models.py says what is legal."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

import orjson
from fastapi import Body, Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from genre.config.serving_options import OnlineExperiment
from genre.errors import DataError, UnknownId
from genre.options import DEFAULT_K, nearest
from genre.serving.http.batching import AsyncService
from genre.serving.http.problems import is_json, problem
from genre.serving.http.request_models import (
    ContextText,
    EventsBody,
    ExperimentBody,
    ExplainBody,
    FieldNames,
    ItemBody,
    K,
    Name,
    PathId,
    ReasonLanguage,
    RecommendBody,
    RecommendQuery,
    UserPath,
    distinct_keys,
    first_repeated,
    split_context,
    split_names,
)
from genre.serving.http.response_models import (
    CatalogueItem,
    DeletedUser,
    FilterFields,
    ItemsFound,
    Problem,
    PromotedArm,
    RecordedCounts,
    StoredItem,
    UserHistory,
    UserIds,
)
from genre.serving.operations import ExperimentsReport, OperationsReport
from genre.serving.requests import Evidence, ListRequest, RankedList

M = TypeVar("M", bound=BaseModel)

IdPath = Annotated[PathId, Path()]
ExperimentPath = Annotated[Name, Path()]
TextQuery = Annotated[str, Query(max_length=512)]
KQuery = Annotated[K, Query()]
NameQuery = Annotated[Name | None, Query()]
DaysQuery = Annotated[int, Query(ge=1, le=3650)]
FieldsQuery = Annotated[FieldNames, Query()]
ValuesQuery = Annotated[int, Query(ge=1, le=1000, description="values of a field, at most")]
LanguageQuery = Annotated[ReasonLanguage, Query()]
ContextQuery = Annotated[ContextText, Query()]

PIECE_BYTES = 65_536  # of a report that are read at once
CACHED_QUERY_BYTES = 200  # a longer query string is checked each time, so that the cache has an end in bytes

SLASH = "\ufdd0"
"""A `/` sent as `%2F`, until the route is found. Unicode reserves this code point for such uses: no text has it."""

REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:"
)
"""The report is one page with its scripts inside; the sandbox gives it an origin of its own, so it reaches no route."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 403, 404, 409, 413, 421, 422, 429, 431, 503)
}


def add_routes(app: FastAPI, service: AsyncService) -> None:
    """Add everything under `/v1` to the app itself: a router inside an app is searched anew at every request.

    Args:
        app: the app.
        service: answers the requests.
    """
    routes = _Routes(service)
    app.router.route_class = StrictRoute
    path = "/v1/users/{user_id:id}/recommendations"
    app.add_route(path, routes.recommend_to_user)  # the busiest: FastAPI's own checks cost as much as the answer
    app.add_api_route(  # again for the description, and so that a POST gets 405
        path,
        routes.recommend_to_user,
        response_model=RankedList,
        responses=PROBLEMS,
        openapi_extra=_parameters(path=UserPath, query=RecommendQuery),
    )
    for method, path, handler, answer in (
        ("GET", "/users/{user_id:id}/explanations/{item_id:id}", routes.explain_to_user, Evidence),
        ("GET", "/users/{user_id:id}", routes.user, UserHistory),
        ("DELETE", "/users/{user_id:id}", routes.delete_user, DeletedUser),
        ("GET", "/users", routes.users, UserIds),
        ("POST", "/recommendations", routes.recommend, RankedList),
        ("POST", "/explanations", routes.explain, Evidence),
        ("GET", "/popular", routes.popular, RankedList),
        ("GET", "/items/{item_id:id}/similar", routes.similar, RankedList),
        ("GET", "/items/{item_id:id}/together", routes.together, RankedList),
        ("GET", "/items/{item_id:id}", routes.item, CatalogueItem),
        ("PUT", "/items/{item_id:id}", routes.put_item, StoredItem),
        ("GET", "/items", routes.search, ItemsFound),
        ("GET", "/filters", routes.filters, FilterFields),
        ("POST", "/events", routes.record, RecordedCounts),
        ("GET", "/runs", routes.runs, None),
        ("GET", "/experiments", routes.experiments, ExperimentsReport),
        ("POST", "/experiments", routes.start_experiment, OnlineExperiment),
        ("POST", "/experiments/{name:id}/stop", routes.stop_experiment, OnlineExperiment),
        ("POST", "/experiments/{name:id}/promote", routes.promote, PromotedArm),
        ("GET", "/operations", routes.operations, OperationsReport),
        ("GET", "/runs/{run:id}/report", routes.report, None),
    ):
        app.add_api_route(
            f"/v1{path}",
            handler,
            methods=[method],
            response_model=answer,
            responses=PROBLEMS,
            dependencies=[Depends(_refuse_unknown_parameters)],
        )


class EscapedSlashes:
    """Middleware that keeps a `/` sent as `%2F` inside one part of the path, so that ids may hold one.

    `{name:id}` in the path of a route turns it back. An address that is no UTF-8 text is refused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI calls it."""
        try:
            if b"%" in scope.get("raw_path", b""):
                parts = scope["raw_path"].decode("latin-1").split("/")
                scope["path"] = "/".join(unquote(part, errors="strict").replace("/", SLASH) for part in parts)
            if b"%" in scope.get("query_string", b""):
                unquote_to_bytes(scope["query_string"]).decode()
        except UnicodeDecodeError:  # different ids would become the same one
            detail = "the address has bytes that are no UTF-8 text; write ids in UTF-8, and % as %25"
            await problem(400, "bad_request", detail)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _IdConvertor(Convertor[str]):
    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        return value.replace("/", SLASH)


register_url_convertor("id", _IdConvertor())


class _Routes:
    """The handlers. FastAPI checks requests by their signatures, and their docstrings describe the routes."""

    def __init__(self, service: AsyncService) -> None:
        self._calls, self._service = service, service.service

    async def recommend_to_user(self, request: Request) -> Response:
        """Recommend items to a user; popular items to an unknown one."""
        if request.method == "HEAD":  # it would count as a list that was shown
            raise HTTPException(405, headers={"allow": "GET"})
        user_id = _validated("path", UserPath, request.path_params).user_id
        wanted = replace(_parse_query(request.scope["query_string"]), user_id=user_id)
        return _json(await self._calls.recommend(wanted))

    async def recommend(self, body: RecommendBody) -> Response:
        """Recommend items for a history, for words, for a user, or for these together."""
        return _json(await self._calls.recommend(body.to_request()))

    async def explain_to_user(
        self,
        user_id: IdPath,
        item_id: IdPath,
        run: NameQuery = None,
        recommender: NameQuery = None,
        language: LanguageQuery = "en",
        context: ContextQuery = "",
    ) -> Response:
        """Explain why an item would be recommended to a user."""
        given = {"user_id": user_id, "run": run, "recommender": recommender, "language": language}
        given["context"] = split_context(context)  # type: ignore[assignment]
        return _json(await self._calls.read(self._service.explain, item_id, **given))  # type: ignore[arg-type]

    async def explain(self, body: ExplainBody) -> Response:
        """Explain why an item would be recommended for a history or to a user."""
        given = body.model_dump()
        return _json(await self._calls.read(self._service.explain, words=given.pop("ask"), **given))

    async def popular(
        self,
        k: KQuery = DEFAULT_K,
        trending: bool = False,  # noqa: FBT001, FBT002  # a query parameter
        run: NameQuery = None,
        fields: FieldsQuery = "",
        record: bool = True,  # noqa: FBT001, FBT002
        language: LanguageQuery = "en",
    ) -> Response:
        """List the most popular items; with `trending`, those of the last days."""
        given = {"k": k, "trending": trending, "run": run, "record": record, "language": language}
        return _json(await self._calls.read(self._service.popular, fields=split_names(fields), **given))  # type: ignore[arg-type]

    async def similar(
        self,
        item_id: IdPath,
        k: KQuery = DEFAULT_K,
        together: bool = False,  # noqa: FBT001, FBT002
        run: NameQuery = None,
        recommender: NameQuery = None,
        fields: FieldsQuery = "",
        record: bool = True,  # noqa: FBT001, FBT002
        language: LanguageQuery = "en",
    ) -> Response:
        """List items similar to one, or, with `together`, those that its users have; popular items if it is unknown."""
        given = {"k": k, "together": together, "run": run, "recommender": recommender, "record": record}
        similar, names = self._service.similar, split_names(fields)
        return _json(await self._calls.read(similar, item_id, fields=names, language=language, **given))  # type: ignore[arg-type]

    async def together(
        self,
        item_id: IdPath,
        k: KQuery = DEFAULT_K,
        run: NameQuery = None,
        fields: FieldsQuery = "",
        record: bool = True,  # noqa: FBT001, FBT002
        language: LanguageQuery = "en",
    ) -> Response:
        """List what goes with an item: in one basket, by `together` of the run, else what the same users have."""
        by_basket = "together" in self._service.run(run).recommenders
        how: dict[str, Any] = {"recommender": "together"} if by_basket else {"together": True}
        return await self.similar(item_id, k=k, run=run, fields=fields, record=record, language=language, **how)

    async def item(self, item_id: IdPath, run: NameQuery = None) -> Response:
        """Return the fields of an item."""
        return _json(self._service.item(item_id, run=run))

    async def search(self, search: TextQuery = "", k: KQuery = 20, run: NameQuery = None) -> Response:
        """Find items whose titles hold all the words; without words, popular items."""
        return _json({"items": await self._calls.read(self._service.search, search, k=k, run=run)})

    async def filters(self, values: ValuesQuery = 50, run: NameQuery = None) -> Response:
        """List the fields that lists can be filtered by, with their most frequent values, or their bounds."""
        return _json({"filters": await self._calls.read(self._service.filters, n_values=values, run=run)})

    async def put_item(self, item_id: IdPath, body: ItemBody) -> Response:
        """Add an item or change its fields; a new one can be recommended at once where the run can read its text."""
        recommendable = await self._calls.write(self._service.put_item, item_id, body)
        return _json({"item_id": item_id, "recommendable": recommendable})

    async def users(self, begin: TextQuery = "", k: KQuery = 20, run: NameQuery = None) -> Response:
        """List ids of users of the run's data."""
        return _json({"users": await self._calls.read(self._service.users, begin, k=k, run=run)})

    async def user(self, user_id: IdPath, run: NameQuery = None) -> Response:
        """Return a user's history, oldest first; empty for an unknown user."""
        return _json(await self._calls.read(self._service.user, user_id, run=run))

    async def delete_user(self, user_id: IdPath) -> Response:
        """Erase a user from the log and from every answer; `left` says what files still keep, and until when."""
        erased = await self._calls.write(self._service.delete_user, user_id)
        return _json({"user_id": user_id, "events": erased, "left": self._service.erasure.remains_of(user_id)})

    async def record(self, body: Annotated[EventsBody, Body()]) -> Response:
        """Record events; they are on disk when this answers. An event_id that a user repeats is not counted again."""
        events = [event.to_event() for event in (body if isinstance(body, list) else [body])]
        return _json((await self._calls.record(events))._asdict())

    async def experiments(self, days: DaysQuery = 30) -> Response:
        """Tell what experiments found, and what the lists of the last days led to, by run, recommender and source."""
        return _json(await self._calls.read(self._service.operations.experiments, days=days))

    async def start_experiment(self, body: ExperimentBody) -> Response:
        """Start an experiment between runs that are served, now or at its start; one decides at a time.

        Sent again, the same experiment changes nothing.
        """
        start = self._service.operations.start_experiment
        return _json(await self._calls.write(start, body.to_experiment()))

    async def stop_experiment(self, name: ExperimentPath) -> Response:
        """Stop an experiment now; what it found stays."""
        return _json(await self._calls.write(self._service.operations.stop_experiment, name))

    async def promote(self, name: ExperimentPath, arm: NameQuery = None) -> Response:
        """Stop an experiment and put a copy of the winner in the place of the first arm, which is swapped in at once.

        Without `arm` that is refused unless a verdict says promote. `genre refresh RUN --roll-back` undoes it.
        """
        return _json(await self._calls.read(self._service.operations.promote_arm, name, arm))

    async def operations(self, days: DaysQuery = 30) -> Response:
        """Tell how the service does: lists over time, drift, language models, refreshes. The page /operate shows it."""
        return _json(await self._calls.read(self._service.operations.report, days=days))

    async def runs(self) -> Response:
        """List the runs that are served, with their recommenders, best first."""
        return _json({"runs": self._service.runs()})

    async def report(self, run: Annotated[Name, Path()]) -> Response:
        """Return the run's report, one page."""
        if self._service.erasure.report_shows_deleted(run):
            raise UnknownId(f"the report of run {run!r} shows a deleted user; refresh the run")
        path = self._service.run(run).folder / "report.html"  # of a served run: the name cannot lead elsewhere
        if path.is_symlink() or not path.is_file():
            raise UnknownId(f"run {run!r} has no report")
        headers = {"content-security-policy": REPORT_POLICY}
        return StreamingResponse(_pieces(path), media_type="text/html", headers=headers)


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _pieces(path: FilePath) -> Iterator[bytes]:
    """Read a file bit by bit, so that a client that does not read its answer keeps one bit in memory."""
    with path.open("rb") as file:
        yield from iter(lambda: file.read(PIECE_BYTES), b"")


def _parse_query(query: bytes) -> ListRequest:
    """Check a query string; most requests have one of the same few, which are short."""
    return _parse_cached(query) if len(query) <= CACHED_QUERY_BYTES else _parse(query)


@lru_cache(1000)
def _parse_cached(query: bytes) -> ListRequest:
    return _parse(query)


def _parse(query: bytes) -> ListRequest:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    given = dict(pairs)
    _refuse_repeated([name for name, _ in pairs])
    return _validated("query", RecommendQuery, given).to_request()


def _validated(place: str, model: type[M], given: Mapping[str, Any]) -> M:
    """Check parameters of the path or the query, with the error that FastAPI raises for others."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": (place, *one["loc"])} for one in error.errors()]) from error


def _refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have: it would be ignored."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    _refuse_repeated([name for name, _ in request.query_params.multi_items()])
    for name in request.query_params:
        if name not in known:
            near = nearest(name, known) or (f"; there are {', '.join(known)}" if known else "; there are none here")
            raise RequestValidationError([{"loc": ("query", name[:100]), "msg": f"no such parameter{near}"}])


def _refuse_repeated(names: Sequence[str]) -> None:
    """Refuse a query parameter that is given twice: one of them would be ignored."""
    repeated = first_repeated(names)
    if repeated is not None:
        raise RequestValidationError([{"loc": ("query", repeated[:100]), "msg": "given more than once"}])


class StrictRoute(APIRoute):
    """A route that refuses JSON with a key twice in one object, of which all but the last would be ignored."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Make the handler of FastAPI, with bodies read by us.

        Returns:
            The handler.
        """
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if self.body_field is not None:
                _check_body_headers(request)
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


def _check_body_headers(request: Request) -> None:
    """Refuse a body that is not said to be plain JSON: of a foreign page, browsers send other types at once."""
    if not is_json(request):
        raise RequestValidationError([{"loc": ("body",), "msg": "send it with content-type: application/json"}])
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestValidationError([{"loc": ("body",), "msg": "compressed; send it without content-encoding"}])


class _StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            return json.loads(body, object_pairs_hook=distinct_keys)
        except json.JSONDecodeError:
            raise  # FastAPI tells the place
        except (DataError, RecursionError, ValueError) as error:
            raise HTTPException(422, f"body: {_trouble(error)}") from error


def _trouble(error: Exception) -> str:
    """Say what is wrong with JSON that Python's reader refuses in words of its own."""
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "no UTF-8 text"
    return str(error) if isinstance(error, DataError) else "a number with too many digits"


def _parameters(**models: type[BaseModel]) -> dict[str, Any]:
    """Describe parameters that `_validated` checks, by their place (path, query), for the OpenAPI description."""
    return {
        "parameters": [
            {"name": name, "in": place, "required": place == "path", "schema": rules}
            for place, model in models.items()
            for name, rules in model.model_json_schema()["properties"].items()
        ]
    }
