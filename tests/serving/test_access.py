"""Who may do what: keys and their scopes, files of keys that change, pages of others, headers that contradict."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.routing import Route
from starlette.testclient import TestClient

from genre.cli.main import main
from genre.errors import GenreError, OptionError
from genre.runs import Run
from genre.serving.http import scopes
from genre.serving.http.access import ApiKeys, checked_origins
from genre.serving.http.app import create_app
from genre.serving.http.keys import read_keys, watch_keys
from genre.serving.http.scopes import SCOPE_BY_ROUTE, route_scopes
from genre.serving.service import Service
from lines import Lines

KEYS = {f"a-key-of-this-scope-{scope}": [scope] for scope in ("read", "events", "admin")}
READ, EVENTS, ADMIN = KEYS
EVENT = {"user_id": "u0", "item_id": "i1"}


@pytest.fixture
def app(service: Service) -> FastAPI:
    return create_app(service, api_keys=ApiKeys(KEYS))  # type: ignore[arg-type]


def client_of(app: FastAPI) -> TestClient:
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def with_key(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def requests_of(app: FastAPI) -> Iterator[tuple[str, str, str | None]]:
    """Method, path and scope of one request to every route."""
    for route in app.routes:
        assert isinstance(route, Route)
        for method, scope in route_scopes(route).items():
            yield method, re.sub(r"\{\w+(:\w+)?\}", "x", route.path), scope


# --- scopes -------------------------------------------------------------------------------------------


def test_every_route_has_a_scope_and_every_scope_a_route(service: Service, app: FastAPI) -> None:
    known = {
        f"{method} {route.path}"
        for route in app.routes
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    assert known | {"POST /mcp"} == set(SCOPE_BY_ROUTE), "that one is added by `genre mcp --http`"
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(scopes.SCOPE_BY_ROUTE, "GET /v1/runs")
        with pytest.raises(KeyError, match="GET /v1/runs"):
            create_app(service, api_keys=ApiKeys({READ: ["read"]}))


def test_a_key_opens_the_routes_of_its_scope_and_no_others(app: FastAPI) -> None:
    client, answers = client_of(app), {"open": 0, "closed": 0}
    for method, path, scope in requests_of(app):
        for key, (has,) in KEYS.items():
            status = client.request(method, path, headers=with_key(key)).status_code
            if scope is None or has in (scope, "admin"):
                assert status not in (401, 403), (method, path, has)
                answers["open"] += 1
            else:
                assert status == 403, (method, path, has)
                answers["closed"] += 1
    assert min(answers.values()) > 20
    refused = client.post("/v1/events", json=EVENT, headers=with_key(READ)).json()
    assert refused == {"error": "forbidden", "detail": "this key is for read; this needs one for events"}


def test_the_description_names_the_scopes(app: FastAPI, service: Service) -> None:
    description = client_of(app).get("/openapi.json", headers=with_key(READ)).json()
    assert set(description["components"]["securitySchemes"]) == {"bearer", "password"}
    needed = {
        f"{method.upper()} {path}": operation["security"]
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    assert needed["POST /v1/events"] == [{"bearer": ["events"]}, {"password": ["events"]}]
    assert needed["DELETE /v1/users/{user_id}"][0] == {"bearer": ["admin"]}
    assert needed["GET /v1/users/{user_id}/recommendations"][0] == {"bearer": ["read"]}
    assert needed["GET /healthz"] == []
    assert "securitySchemes" not in create_app(service).openapi()["components"]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({}, "no key"),
        ({"short": ["read"]}, "at least 16"),
        ({READ: ["write"]}, "found write"),
        ({READ: []}, "found none"),
    ],
)
def test_what_is_no_key_is_refused(keys: Any, complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint) as refused:
        ApiKeys(keys)
    assert READ not in str(refused.value)


# --- files of keys ------------------------------------------------------------------------------------


def key_file(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    aside = path.with_suffix(".new")
    aside.write_bytes(text if isinstance(text, bytes) else text.encode())
    aside.chmod(mode)
    return aside.replace(path)


def test_a_file_of_keys(tmp_path: Path) -> None:
    text = f"\ufeff# of the shop\n\n{READ} read\r\n  {EVENTS}\tevents,read \n{ADMIN}\n"
    keys = read_keys(key_file(tmp_path / "keys", text))
    assert keys.scopes(READ.encode()) == ("read",)
    assert keys.scopes(EVENTS.encode()) == ("events", "read")
    assert keys.scopes(ADMIN.encode()) == ("read", "events", "admin")
    for wrong in (b"", b"x", READ.encode()[:-1], b"# of the shop", READ.encode() + b" read"):
        assert keys.scopes(wrong) == ()


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ("", 0o600, "no key in it"),
        ("# nothing\n", 0o600, "no key in it"),
        (f"{READ}\n\ntoo-short\n", 0o600, "line 3: a key needs at least 16 characters, found 9"),
        (f"{READ} read write\n", 0o600, "line 1: a key, and perhaps its scopes"),
        (f"{READ} reed\n", 0o600, "line 1: a key is for read, events, admin, found reed"),
        (f"{READ} read,\n", 0o600, "line 1: a key is for"),
        (f"{READ}\n{READ} events\n", 0o600, "line 2: the key of an earlier line again"),
        (b"\xff\xfe" * 20, 0o600, "not UTF-8 text"),
        (f"{READ}\0\n", 0o600, "line 1: a key has a character that no client can send"),
        ("x" * 200_000, 0o600, "no file of keys"),
        (READ, 0o644, r"mode 0644\); chmod 600"),
        (READ, 0o640, r"mode 0640\); chmod 600"),
        (READ, 0o620, r"mode 0620\); chmod 600"),
    ],
)
def test_a_file_that_holds_no_keys_is_one_line_that_shows_none(
    tmp_path: Path, text: str, mode: int, complaint: str
) -> None:
    path = key_file(tmp_path / "keys", text, mode)
    with pytest.raises(GenreError, match=complaint) as refused:
        read_keys(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    assert READ not in str(refused.value)


def test_no_file_of_keys_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("genre.run_folder.read_run", lambda *_, **__: None)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, why in (
        (tmp_path, "cannot be read ("),
        (tmp_path / "none", "cannot be read ("),
        (tmp_path / "pipe", "no file"),
    ):
        assert main(["serve", "run", "--api-key-file", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"{path}: {why}" in said


def test_a_secret_that_a_container_mounts_may_be_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = key_file(tmp_path / "keys", READ, 0o444)
    monkeypatch.setattr(os, "geteuid", lambda: 10_001)
    assert len(read_keys(path)) == 1
    path.chmod(0o666)
    with pytest.raises(OptionError, match="mode 0666"):
        read_keys(path)


def test_keys_are_replaced_while_it_serves(service: Service, tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", READ)
    keys, stop, log = read_keys(path), threading.Event(), Lines()
    client = client_of(create_app(service, api_keys=keys))

    def status(key: str) -> int:
        return client.get("/v1/runs", headers=with_key(key)).status_code

    def until(lines: int) -> None:
        deadline = time.monotonic() + 10
        while len(log.lines) < lines:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    thread = threading.Thread(target=watch_keys, args=(path, keys, stop), kwargs={"every": 0.01, "log": log})
    thread.start()
    try:
        key_file(path, f"{READ} read\n{ADMIN}\n")
        until(1)
        assert (status(READ), status(ADMIN)) == (200, 200), "the old one and the new one"
        key_file(path, f"{ADMIN}\n")
        until(2)
        assert (status(READ), status(ADMIN)) == (401, 200)
        key_file(path, "half")
        until(3)
        assert status(ADMIN) == 200, "the known keys hold"
        path.unlink()
        until(4)
        key_file(path, f"{READ} read\n")
        until(5)
        assert (status(READ), status(ADMIN)) == (200, 401)
    finally:
        stop.set()
        thread.join()
    assert len(log.lines) == 5
    assert all(key not in line for line in log.lines for key in KEYS)


def test_serve_takes_keys_and_pages_from_the_command_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, shop, statuses = key_file(tmp_path / "keys", READ), "https://shop.example", []

    def served(server: uvicorn.Server, **_: object) -> None:
        client = client_of(server.config.app)  # type: ignore[arg-type]
        statuses.append(client.get("/v1/runs").status_code)
        statuses.append(client.get("/v1/runs", headers=with_key(READ)).status_code)
        key_file(path, ADMIN)
        deadline = time.monotonic() + 10
        while (answer := client.get("/v1/runs", headers={**with_key(ADMIN), "origin": shop})).status_code != 200:
            assert time.monotonic() < deadline
        statuses.append(client.get("/v1/runs", headers=with_key(READ)).status_code)
        assert answer.headers["access-control-allow-origin"] == shop

    monkeypatch.setattr(uvicorn.Server, "run", served)
    monkeypatch.setattr("genre.serving.http.server._quiet_logs", lambda: None)  # those of other tests stay as they are
    monkeypatch.setattr("genre.serving.http.server.watch_keys", partial(watch_keys, every=0.01))
    monkeypatch.setattr("genre.run_folder.read_run", lambda *_, **__: run)
    options = ["--port", "0", "--store", str(tmp_path / "events.sqlite")]
    assert main(["serve", "run", "--api-key-file", str(path), "--allow-origin", shop, *options]) == 0
    assert statuses == [401, 200, 401]


# --- pages of others ----------------------------------------------------------------------------------

FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://localhost"},
    {"origin": "http://evil.example"},
    {"origin": "http://localhost:8001"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://localhost.evil.example"},
    {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_others_changes_nothing(service: Service, headers: dict[str, str]) -> None:
    client = client_of(create_app(service))
    for method, path, body in (
        ("POST", "/v1/events", EVENT),
        ("PUT", "/v1/items/i1", {"title": "x"}),
        ("DELETE", "/v1/users/u0", None),
        ("POST", "/v1/recommendations", {}),
        ("POST", "/mcp", {}),
        ("GET", "/v1/users/u0/recommendations", None),  # as an image would be: the list would count as shown
        ("GET", "/v1/items/i1/similar", None),
        ("GET", "/v1/popular", None),
    ):
        answer = client.request(method, path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "foreign_origin"), (method, path)
        assert "access-control-allow-origin" not in answer.headers
    assert client.get("/v1/runs", headers=headers).status_code == 200, "browsers show that page no answer"
    service.shows.flush()
    assert service._store.last() == 0


def test_no_address_redirects_to_one_made_of_the_host_header(service: Service) -> None:
    client = client_of(create_app(service))
    for method, path in (("GET", "/v1/popular/"), ("POST", "/v1/events/"), ("GET", "/metrics/")):
        answer = client.request(method, path, json=EVENT, headers={"host": "localhost"}, follow_redirects=False)
        assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "http://localhost"},
     {"sec-fetch-site": "same-origin", "origin": "https://public.example"}],
    ids=str,
)  # fmt: skip
def test_programs_and_the_own_page_may_write(service: Service, headers: dict[str, str]) -> None:
    answer = client_of(create_app(service)).post("/v1/events", json=EVENT, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json"]
)
def test_a_body_that_is_not_said_to_be_json_is_refused_in_every_version(service: Service, kind: str | None) -> None:
    client, headers = client_of(create_app(service)), {} if kind is None else {"content-type": kind}
    for method, path in (
        ("POST", "events"),
        ("POST", "recommendations"),
        ("POST", "explanations"),
        ("PUT", "items/i1"),
    ):
        answer = client.request(method, f"/v1/{path}", content=b'{"user_id": "u0", "item_id": "i1"}', headers=headers)
        assert answer.status_code == 422
        assert answer.json()["detail"] == "body: send it with content-type: application/json"
    assert service._store.last() == 0


def test_pages_are_let_in_by_name_alone(service: Service) -> None:
    shop, keys = "https://shop.example", ApiKeys({EVENTS: ["events"]})
    client = client_of(create_app(service, api_keys=keys, origins=[shop]))
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    allowed = client.options("/v1/events", headers={"origin": shop, **ask})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, shop)
    assert "access-control-allow-credentials" not in allowed.headers
    sent = client.post(
        "/v1/events", json=EVENT, headers={"origin": shop, "sec-fetch-site": "cross-site", **with_key(EVENTS)}
    )
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (200, shop)
    assert client.post("/v1/events", json=EVENT, headers={"origin": shop}).status_code == 401, "a key all the same"
    for other in ("https://evil.example", "http://shop.example", "https://shop.example.evil.example", "null"):
        for answer in (
            client.options("/v1/events", headers={"origin": other, **ask}),
            client.post("/v1/events", json=EVENT, headers={"origin": other, **with_key(EVENTS)}),
        ):
            assert answer.status_code >= 400
            assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client_of(create_app(service)).options("/v1/events", headers={"origin": shop, **ask}).status_code == 405


@pytest.mark.parametrize("origin", ["*", "shop.example", "https://shop.example/", "https://*.example", "null", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(OptionError, match="an origin is a scheme and a host"):
        checked_origins([origin])


# --- headers that contradict --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["host", "authorization", "content-type", "content-length", "origin", "sec-fetch-site"]
)
def test_a_header_that_is_given_twice_is_refused(service: Service, name: str) -> None:
    values = {"host": "localhost", "content-length": "2", "content-type": "application/json"}
    client = client_of(create_app(service))
    request = client.build_request("POST", "/v1/recommendations", content=b"{}", headers=values)
    request.headers = type(request.headers)([*request.headers.multi_items(), (name, values.get(name, "x"))] * 2)
    answer = client.send(request)
    assert answer.status_code == 400
    assert "more than once" in answer.json()["detail"]
