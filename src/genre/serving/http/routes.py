"""The routes under `/v1`: each hands a checked request to the desk. What is legal stands in wire.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, unquote

import orjson
from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from genre.errors import UnknownId
from genre.options import DEFAULT_K, nearest
from genre.serving.http.batching import Desk
from genre.serving.http.schemas import (
    SLASH,
    AskBody,
    AskQuery,
    Erased,
    Events,
    ExplainBody,
    FieldNames,
    Found,
    ItemBody,
    K,
    Known,
    Listed,
    Name,
    PathId,
    PathName,
    Problem,
    Recorded,
    Stored,
    UserHistory,
    UserPath,
    to_names,
)
from genre.serving.requests import Evidence, ListRequest, RankedList

M = TypeVar("M", bound=BaseModel)

IdPath = Annotated[PathId, Path()]
IdsQuery = Annotated[str, Query(max_length=512)]
KQuery = Annotated[K, Query()]
NameQuery = Annotated[Name | None, Query()]
FieldsQuery = Annotated[FieldNames, Query()]

REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:"
)
"""The report is one page with its scripts inside; the sandbox gives it an origin of its own, so it reaches no route."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 404, 413, 421, 422, 429, 503)
}


def add_routes(app: FastAPI, desk: Desk) -> None:
    """Everything under `/v1`. Added to the app itself: a router inside an app is searched anew at every request."""
    at = Routes(desk)
    path = "/v1/users/{user_id}/recommendations"
    app.add_route(path, at.recommend_to_user)  # the route asked most: FastAPI's own checks cost as much as the answer
    app.add_api_route(  # the same for the description, and for a POST that must be told it is none
        path,
        at.recommend_to_user,
        response_model=RankedList,
        responses=PROBLEMS,
        openapi_extra=documented(path=UserPath, query=AskQuery),
    )
    for method, path, handler, answer in (
        ("GET", "/users/{user_id}/explanations/{item_id}", at.explain_to_user, Evidence),
        ("GET", "/users/{user_id}", at.user, UserHistory),
        ("DELETE", "/users/{user_id}", at.delete_user, Erased),
        ("GET", "/users", at.users, Known),
        ("POST", "/recommendations", at.recommend, RankedList),
        ("POST", "/explanations", at.explain, Evidence),
        ("GET", "/popular", at.popular, RankedList),
        ("GET", "/items/{item_id}/similar", at.similar, RankedList),
        ("GET", "/items/{item_id}", at.item, Listed),
        ("PUT", "/items/{item_id}", at.put_item, Stored),
        ("GET", "/items", at.search, Found),
        ("POST", "/events", at.record, Recorded),
        ("GET", "/runs", at.runs, None),
        ("GET", "/runs/{run}/report", at.report, None),
    ):
        app.add_api_route(
            f"/v1{path}",
            handler,
            methods=[method],
            response_model=answer,
            responses=PROBLEMS,
            dependencies=[Depends(known_parameters)],
        )


class EscapedSlashes:
    """Middleware that keeps a `/` sent as `%2F` inside one part of the path, so that ids may hold one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if b"%" in scope.get("raw_path", b""):
            parts = scope["raw_path"].decode("latin-1").split("/")
            scope["path"] = "/".join(unquote(part).replace("/", SLASH) for part in parts)
        await self._app(scope, receive, send)


def known_parameters(request: Request) -> None:
    """RequestValidationError for a query parameter that the route does not have: it would be ignored."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            near = nearest(name, known) or (f"; there are {', '.join(known)}" if known else "; there are none here")
            raise RequestValidationError([{"loc": ("query", name[:100]), "msg": f"no such parameter{near}"}])


def json_of(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


class Routes:
    """The handlers; FastAPI checks what comes in by their signatures."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.service = desk, desk.service

    async def recommend_to_user(self, request: Request) -> Response:
        """What to recommend to a user; what everybody takes to one who is unknown."""
        ask = asked(request.scope["query_string"])
        return json_of(
            await self.desk.recommend(replace(ask, user_id=legal("path", UserPath, request.path_params).user_id))
        )

    async def recommend(self, body: AskBody) -> Response:
        """What to recommend for a history, for words, for a user, or for these together."""
        return json_of(await self.desk.recommend(body.to_ask()))

    async def explain_to_user(
        self, user_id: IdPath, item_id: IdPath, run: NameQuery = None, recommender: NameQuery = None
    ) -> Response:
        """Why an item would be recommended to a user."""
        explain = self.service.explain
        return json_of(
            await self.desk.answer(partial(explain, item_id, user_id=user_id, run=run, recommender=recommender))
        )

    async def explain(self, body: ExplainBody) -> Response:
        """Why an item would be recommended for a history or to a user."""
        given = body.model_dump()
        words = given.pop("ask")
        return json_of(await self.desk.answer(partial(self.service.explain, words=words, **given)))

    async def popular(
        self,
        k: KQuery = DEFAULT_K,
        trending: bool = False,  # noqa: FBT001, FBT002  # a query parameter
        run: NameQuery = None,
        fields: FieldsQuery = "",
    ) -> Response:
        """What everybody takes; trending: of late."""
        popular = self.service.popular
        answer = await self.desk.answer(partial(popular, k=k, trending=trending, run=run, fields=to_names(fields)))
        return json_of(answer)

    async def similar(
        self,
        item_id: IdPath,
        k: KQuery = DEFAULT_K,
        run: NameQuery = None,
        recommender: NameQuery = None,
        fields: FieldsQuery = "",
    ) -> Response:
        """Items like this one; what everybody takes where the item is unknown."""
        similar = self.service.similar
        return json_of(
            await self.desk.answer(
                partial(similar, item_id, k=k, run=run, recommender=recommender, fields=to_names(fields))
            )
        )

    async def item(self, item_id: IdPath, run: NameQuery = None) -> Response:
        """What is known of an item."""
        return json_of(self.service.item(item_id, run=run))

    async def search(self, search: IdsQuery = "", k: KQuery = 20, run: NameQuery = None) -> Response:
        """Items whose titles hold all the words; the popular ones without any."""
        return json_of({"items": await self.desk.answer(partial(self.service.search, search, k=k, run=run))})

    async def put_item(self, item_id: IdPath, body: ItemBody) -> Response:
        """Add an item or change its fields; a new one can be recommended at once where the run can read its text."""
        recommendable = await self.desk.store(partial(self.service.put_item, item_id, body))
        return json_of({"item_id": item_id, "recommendable": recommendable})

    async def users(self, begin: IdsQuery = "", k: KQuery = 20, run: NameQuery = None) -> Response:
        """Ids of users of the run's data."""
        return json_of({"users": await self.desk.answer(partial(self.service.users, begin, k=k, run=run))})

    async def user(self, user_id: IdPath, run: NameQuery = None) -> Response:
        """What a user met, oldest first; empty for one who is unknown."""
        return json_of(await self.desk.answer(partial(self.service.user, user_id, run=run)))

    async def delete_user(self, user_id: IdPath) -> Response:
        """Erase a user from the log and from every answer."""
        erased = await self.desk.store(partial(self.service.delete_user, user_id))
        return json_of({"user_id": user_id, "events": erased})

    async def record(self, body: Events) -> Response:
        """Events, on disk when this answers. A repeated event_id is not counted again."""
        events = [event.to_event() for event in (body if isinstance(body, list) else [body])]
        return json_of((await self.desk.record(events))._asdict())

    async def runs(self) -> Response:
        """The runs that are served, with their recommenders, best first."""
        return json_of({"runs": self.service.runs()})

    async def report(self, run: Annotated[PathName, Path()]) -> Response:
        """The run's report, one page."""
        path = self.service.run(run).folder / "report.html"  # a run that is served: the name cannot lead elsewhere
        if not path.is_file():
            raise UnknownId(f"run {run!r} has no report")
        headers = {"content-security-policy": REPORT_POLICY}
        return Response(await self.desk.answer(path.read_bytes), media_type="text/html", headers=headers)


@lru_cache(1000)
def asked(query: bytes) -> ListRequest:
    """What a query string asks for; most are the same few."""
    return legal("query", AskQuery, dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))).to_ask()


def legal(place: str, model: type[M], given: Mapping[str, Any]) -> M:
    """Parameters of the path or the query as their model; RequestValidationError as FastAPI raises it."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": (place, *one["loc"])} for one in error.errors()]) from error


def documented(**models: type[BaseModel]) -> dict[str, Any]:
    """Models that `legal` checks, by where their values stand (path, query), as parameters of the description."""
    return {
        "parameters": [
            {"name": name, "in": place, "required": place == "path", "schema": rules}
            for place, model in models.items()
            for name, rules in model.model_json_schema()["properties"].items()
        ]
    }
