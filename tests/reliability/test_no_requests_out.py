"""The service takes no address from anybody: whatever is put into its fields, it opens no connection to anywhere.

`base_url` of a language model, `index` and a database's address are options of a config or of the command line, which
are trusted as code is; the service reads neither.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http.app import create_app
from genre.serving.service import Service
from genre.testing import toy_dataset

ADDRESSES = [
    "http://127.0.0.1:9/", "http://[::1]:9/", "http://169.254.169.254/latest/meta-data/", "http://2130706433:9/",
    "http://0x7f000001/", "http://localhost.example.org/", "//127.0.0.1/x", "file:///etc/passwd", "ftp://127.0.0.1/",
    "gopher://127.0.0.1:9/_x", "postgresql://127.0.0.1/x", "http://example.org/redirect?to=http://127.0.0.1:9/",
]  # fmt: skip


class Sockets:
    """What the audit of the interpreter says of connections and of names looked up, while it is asked to listen."""

    def __init__(self) -> None:
        self.listening = False
        self.seen: list[tuple[str, Any]] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.listening and event in (
            "socket.connect",
            "socket.getaddrinfo",
            "socket.gethostbyname",
            "urllib.Request",
        ):
            self.seen.append((event, arguments))


@pytest.fixture(scope="module")
def sockets() -> Sockets:
    return Sockets()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    data, folder = toy_dataset(), tmp_path_factory.mktemp("no-requests")
    run = Run(folder, "toy", data, {"ease": EASE(10.0).fit(data), "content": Content().fit(data)})
    service = Service([run], SQLiteStore(folder / "events.sqlite"))
    service.warm()
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def places(description: dict[str, Any]) -> Iterator[tuple[str, str, list[str], dict[str, Any] | None]]:
    """Method, path, names of parameters in the address and schema of the body of every route."""
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            names = [parameter["name"] for parameter in told.get("parameters", []) if parameter["in"] == "query"]
            body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            yield method.upper(), path, names, body


def filled(schema: dict[str, Any], all_of: dict[str, Any], value: str) -> Any:
    """An instance of a JSON schema in which every text is `value`."""
    if "$ref" in schema:
        return filled(all_of[schema["$ref"].rpartition("/")[2]], all_of, value)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            texts = [one for one in schema[choice] if one.get("type") == "string"]
            return filled((texts or schema[choice])[0], all_of, value)
    kind = schema.get("type")
    if kind == "object":
        if "properties" in schema:
            return {name: filled(inner, all_of, value) for name, inner in schema["properties"].items()}
        inner = schema.get("additionalProperties")
        return {value: filled(inner if isinstance(inner, dict) else {}, all_of, value)}
    if kind == "array":
        return [filled(schema.get("items", {}), all_of, value)]
    return {"integer": 1, "number": 0.5, "boolean": True}.get(str(kind), value)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_in_any_field_reaches_nobody(address: str, client: TestClient, sockets: Sockets) -> None:
    description: dict[str, Any] = client.app.openapi()  # type: ignore[attr-defined]
    asked = 0
    sockets.seen, sockets.listening = [], True
    for method, path, names, body in places(description):
        inside = re.sub(r"{[^}]*}", address.replace("/", "%2F").replace("?", "%3F"), path)
        queries = [dict.fromkeys(names, address), *({name: address} for name in names)]
        bodies = [None] if body is None else _bodies(filled(body, description["components"]["schemas"], address))
        for query, content in itertools.product(queries, bodies):
            sent = None if content is None else json.dumps(content)
            answer = client.request(
                method, inside, params=query, content=sent, headers={"content-type": "application/json"}
            )
            assert answer.status_code < 500
            asked += 1
    sockets.listening = False
    assert asked >= 30
    assert sockets.seen == []


def _bodies(whole: Any) -> list[Any]:
    """The body with all its fields, and one with each field alone beside those that ids and items are."""
    if not isinstance(whole, dict):
        return [whole]
    must = {name: whole[name] for name in ("item_id", "user_id") if name in whole}
    return [whole, *({**must, name: value} for name, value in whole.items())]


def test_a_connection_would_be_noticed(sockets: Sockets) -> None:
    sockets.seen, sockets.listening = [], True
    with socket.socket() as one:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", 9))
    sockets.listening = False
    assert [event for event, _ in sockets.seen] == ["socket.connect"]
