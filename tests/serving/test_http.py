"""The routes: shapes, keys, limits, and input that means harm."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from genre.display import some_of
from genre.errors import StoreError
from genre.llm.settings import LLMOptions
from genre.recommenders.ease import EASE
from genre.recommenders.llm_reranker import LLMReranker
from genre.recommenders.together import Together
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.http.access import ApiKeys
from genre.serving.http.app import create_app
from genre.serving.http.routes import _parse_cached
from genre.serving.limits import Limits
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from genre.testing import FakeLanguageModel, toy_dataset

Steady = tuple[TestClient, SQLiteStore]
KEY = "a key of more than sixteen letters"


def client_of(app: FastAPI) -> TestClient:
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with client_of(create_app(service)) as made:
        yield made


@pytest.fixture(scope="module")
def steady(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steady]:
    """For the many tests that must change nothing."""
    store = SQLiteStore(tmp_path_factory.mktemp("steady") / "events.sqlite")
    with client_of(create_app(Service([run], store))) as made:
        yield made, store
        assert store.last() == 0


def is_problem(answer: Any, status: int) -> bool:
    body = answer.json()
    return bool(
        answer.status_code == status
        and set(body) == {"error", "detail"}
        and all(isinstance(text, str) and text for text in body.values())
    )


# --- what the routes answer ---------------------------------------------------------------------------


def test_recommendations_for_a_user(client: TestClient) -> None:
    answer = client.get("/v1/users/u0/recommendations", params={"k": 2})
    body = answer.json()
    assert set(body) == {
        "items",
        "source",
        "run",
        "recommender",
        "fallback",
        "unkept",
        "recommendation_id",
        "propensities",
    }
    assert set(body["items"][0]) == {"item_id", "title", "score", "reason"}
    assert (len(body["items"]), body["source"], body["run"]) == (2, "personal", "toy")
    with_fields = client.get("/v1/users/u0/recommendations", params={"k": 1, "fields": "genres, text,absent"}).json()
    assert set(with_fields["items"][0]["fields"]) == {"genres", "text"}
    assert (
        client.get("/v1/users/u0/recommendations", params={"recommender": "content"}).json()["recommender"] == "content"
    )
    seen = client.get("/v1/users/u0/recommendations", params={"k": 12, "exclude_seen": "false"}).json()
    assert len(seen["items"]) == 12


@pytest.mark.parametrize("user_id", ["a/b", "..", "../../etc/passwd", "ü/😀", "1" * 31, "a b", "x" * 512])
def test_any_id_is_answered(client: TestClient, user_id: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in user_id.encode())
    answer = client.get(f"/v1/users/{quoted}/recommendations")
    assert answer.status_code == 200
    assert answer.json()["source"] == "popular"
    client.post("/v1/events", json={"user_id": user_id, "item_id": "i1"})
    assert client.get(f"/v1/users/{quoted}/recommendations").json()["source"] == "folded_in"
    assert client.get(f"/v1/users/{quoted}").json()["user_id"] == user_id
    answer = client.delete(f"/v1/users/{quoted}").json()
    assert (answer["user_id"], answer["events"]) == (user_id, 1)


def test_recommendations_for_a_history_with_filters(client: TestClient) -> None:
    body = client.post("/v1/recommendations", json={"history": ["i1", 3, "gone"], "k": 3}).json()
    assert body["source"] == "folded_in"
    only = client.post(
        "/v1/recommendations", json={"history": ["i1"], "filter": {"genres": ["Space"]}, "exclude": ["i0"], "k": 12}
    ).json()
    assert {item["item_id"] for item in only["items"]} == {"i2", "i4", "i6", "i8", "i10"}
    one = client.post("/v1/recommendations", json={"include": ["i7"], "user_id": "u0"}).json()
    assert [item["item_id"] for item in one["items"]] == ["i7"]
    words = client.post("/v1/recommendations", json={"ask": "robots in space, nothing with castles"}).json()
    assert words["source"] == "content"
    ranged = client.post("/v1/recommendations", json={"filter": {"title": {"min": 0}}}).json()
    assert ranged["items"] == []
    assert is_problem(client.post("/v1/recommendations", json={"filter": {"genre": "x"}}), 422)
    assert is_problem(client.post("/v1/recommendations", json={"ask": "   "}), 422)


def test_events_are_counted_once_and_change_the_next_answer(client: TestClient) -> None:
    event = {"user_id": 7, "item_id": "i1", "event_id": "e1"}
    assert client.post("/v1/events", json=event).json() == {"recorded": 1, "duplicates": 0}
    assert client.post("/v1/events", json=[event, {**event, "event_id": "e2"}]).json() == {
        "recorded": 1,
        "duplicates": 1,
    }
    assert client.get("/v1/users/7/recommendations").json()["source"] == "folded_in"


def test_an_event_id_with_other_content_is_a_conflict(client: TestClient) -> None:
    first = {"user_id": "a", "item_id": "i1", "event_id": "1"}
    assert client.post("/v1/events", json=first).json()["recorded"] == 1
    assert client.post("/v1/events", json={**first, "user_id": "b"}).json() == {"recorded": 1, "duplicates": 0}
    answer = client.post("/v1/events", json=[{**first, "item_id": "i2"}, {**first, "event_id": "2"}])
    assert is_problem(answer, 409)
    assert "event_id '1'" in answer.json()["detail"]
    assert "1 recorded, 0 duplicates" in answer.json()["detail"]
    assert len(client.get("/v1/users/a").json()["history"]) >= 1


def test_a_number_that_no_column_of_whole_numbers_holds_is_refused(run: Run, sqlite: SQLiteStore) -> None:
    items = run.dataset.items.append_column("year", pa.array(range(run.dataset.n_items), pa.int64()))
    changed = dataclasses.replace(run, dataset=dataclasses.replace(run.dataset, items=items))
    with client_of(create_app(Service([changed], sqlite))) as client:
        for number in (2**63, -(2**63) - 1, 2**64, 10**100, 1e300):
            assert is_problem(client.put("/v1/items/i1", json={"year": number}), 422), number
        assert sqlite.last() == 0
        assert client.put("/v1/items/i1", json={"year": 2**63 - 1}).status_code == 200


def test_an_address_that_is_no_utf8_is_refused(steady: Steady) -> None:
    """Replaced bytes would make one user of many, whom a deletion then erases."""
    client, _ = steady
    for method, path in (("GET", "users/%ff"), ("DELETE", "users/%fe"), ("GET", "users/%ed%a0%80/recommendations"),
                         ("GET", "users/u0/recommendations?recommendation_id=%ff"), ("PUT", "items/a%C3")):  # fmt: skip
        assert is_problem(client.request(method, f"/v1/{path}", json={"title": "x"}), 400), path
    assert client.get("/v1/users/%C3%A9%2F").json()["user_id"] == "é/"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"filter": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"ask": "caf\xe9"}', "no UTF-8 text"),
        (b'{"k": ' + b"9" * 10_000 + b"}", "too many digits"),
        (b'{"k": 1}{"k": 2}', "no JSON from this character on"),
        (b'{"rules": [{"kind": "pin"}]}', "rules[0]: item: missing; pin needs it"),
    ],
)
def test_a_body_that_is_no_json_is_told_why(steady: Steady, body: bytes, complaint: str) -> None:
    client, _ = steady
    answer = client.post("/v1/recommendations", content=body, headers={"content-type": "application/json"})
    assert is_problem(answer, 422)
    assert complaint in answer.json()["detail"]


def test_a_compressed_body_is_refused_with_the_remedy(steady: Steady) -> None:
    client, _ = steady
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = client.post("/v1/recommendations", content=gzip.compress(b'{"k": 1}'), headers=headers)
    assert is_problem(answer, 422)
    assert "send it without content-encoding" in answer.json()["detail"]


def test_every_error_has_one_shape_also_of_files_of_the_page(steady: Steady) -> None:
    client, _ = steady
    assert client.get("/app.js", headers={"range": "bytes=abc"}).status_code == 200
    assert is_problem(client.get("/nothing.js"), 404)


def test_a_list_is_not_shown_by_a_request_for_its_headers(steady: Steady) -> None:
    client, _ = steady
    assert client.head("/v1/users/u0/recommendations").status_code == 405


def test_a_parameter_or_a_key_that_is_given_twice_is_refused(steady: Steady) -> None:
    client, _ = steady
    for path in ("users/u0/recommendations", "popular", "items", "users", "items/i1/similar"):
        for query in ("k=zzz&k=1", "k=1&k=1", "k=1&run=toy&k=2"):
            assert is_problem(client.get(f"/v1/{path}?{query}"), 422), path
    for method, path, body in (
        ("POST", "recommendations", '{"k": 1, "k": 2}'),
        ("POST", "recommendations", '{"filter": {"title": "a", "title": "b"}}'),
        ("POST", "events", '[{"user_id": "a", "user_id": "b", "item_id": "i1"}]'),
        ("POST", "explanations", '{"item_id": "i1", "item_id": "i2"}'),
        ("PUT", "items/i1", '{"title": "a", "\\u0074itle": "b"}'),
    ):
        answer = client.request(method, f"/v1/{path}", content=body, headers={"content-type": "application/json"})
        assert is_problem(answer, 422), body
        assert "more than once" in answer.json()["detail"]


def test_a_report_that_shows_a_deleted_user_is_not_shown(run: Run, sqlite: SQLiteStore, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("u0")
    shown = dataclasses.replace(run, folder=tmp_path, report={"examples": [{"user_id": "u0"}]})
    with client_of(create_app(Service([shown], sqlite))) as client:
        assert client.get("/v1/runs/toy/report").text == "u0"
        client.delete("/v1/users/u0")
        assert is_problem(client.get("/v1/runs/toy/report"), 404)


def test_items(client: TestClient) -> None:
    put = client.put(
        "/v1/items/new%2Fone", json={"title": "Knights", "text": "castles", "tags": ["a"], "year": 1999, "x": None}
    )
    assert put.json() == {"item_id": "new/one", "recommendable": {"toy": True}}
    assert client.get("/v1/items/new%2Fone").json()["fields"] == {
        "title": "Knights",
        "text": "castles",
        "tags": "a",
        "year": "1999",
    }
    assert client.get("/v1/items", params={"search": "knights"}).json()["items"][0]["item_id"] == "new/one"
    assert client.get("/v1/items/new%2Fone/similar", params={"k": 2}).json()["items"]
    assert client.get("/v1/items/gone/similar").json()["source"] == "popular"
    assert is_problem(client.get("/v1/items/gone"), 404)


def test_what_goes_with_an_item(client: TestClient, tmp_path: Path) -> None:
    """By the baskets where the run counts them, else by what the same users have."""
    by_users = client.get("/v1/items/i1/together", params={"k": 3}).json()
    assert by_users["items"] == client.get("/v1/items/i1/similar", params={"k": 3, "together": True}).json()["items"]
    data = toy_dataset()
    fitted = {"ease": EASE().fit(data), "together": Together(gap_minutes=1).fit(data)}
    service = Service([Run(tmp_path, "shop", data, fitted)], SQLiteStore(tmp_path / "events.sqlite"))
    found = client_of(create_app(service)).get("/v1/items/i0/together", params={"k": 4}).json()
    assert found["recommender"] == "together"
    basket = fitted["together"].similar_items(np.array([0], np.int32), k=4)
    assert [item["item_id"] for item in found["items"]] == basket.ids()
    assert is_problem(client.get("/v1/items/i1/together", params={"run": "gone"}), 404)


def test_explanations_popular_users_runs(client: TestClient) -> None:
    why = client.get("/v1/users/u0/explanations/i4").json()
    assert (why["method"], why["source"]) == ("exact", "personal")
    assert (
        client.post("/v1/explanations", json={"item_id": "i4", "history": ["i0"]}).json()["because"][0]["item_id"]
        == "i0"
    )
    assert client.get("/v1/users/u0/explanations/gone").json()["method"] == "unknown"
    assert len(client.get("/v1/popular", params={"k": 3}).json()["items"]) == 3
    assert client.get("/v1/popular", params={"trending": "true"}).json()["items"] == []
    assert client.get("/v1/users", params={"begin": "u1", "k": 2}).json() == {"users": ["u1", "u10"]}
    assert client.get("/v1/runs").json()["runs"][0]["recommenders"] == ["ease", "content", "item_knn", "popularity"]


def test_what_became_of_lists_to_reorder_is_counted(run: Run, sqlite: SQLiteStore) -> None:
    llm = LLMOptions(FakeLanguageModel(fault="error"), ledger=":memory:")
    model = LLMReranker(EASE(10.0), llm, ("title",), n=4, short_history=None).fit(run.dataset)
    service = Service([dataclasses.replace(run, recommenders={"moved": model})], sqlite)
    service.recommend(ListRequest("u0"))
    with TestClient(create_app(service)) as client:
        text = client.get("/metrics").text
    found = re.search(r'genre_reordered_total\{outcome="failed",recommender="moved",run="toy"\} (\d+)', text)
    assert found is not None
    assert int(found[1]) > 0
    assert 'genre_reordered_total{outcome="reordered",recommender="moved",run="toy"} 0.0' in text


def test_health_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    for _ in range(100):
        if client.get("/readyz").status_code == 200:
            break
        time.sleep(0.05)
    assert client.get("/readyz").json() == {"status": "ready", "missing": [], "erasing": []}
    client.get("/v1/users/secret-id/recommendations")
    client.post("/v1/events", json={"user_id": "secret-id", "item_id": "i1"})
    text = client.get("/metrics").text
    assert re.search(r'genre_answers_total\{fallback="",run="toy",source="popular"\} 1.0', text)
    assert 'genre_events_total{outcome="recorded"} 1.0' in text
    assert re.search(r'genre_request_seconds_count\{route="recommend_to_user",status="200"\} 1.0', text)
    assert "secret-id" not in text


def test_it_is_not_ready_before_it_has_answered_a_trial(run: Run, sqlite: SQLiteStore) -> None:
    cold = Service([run], sqlite)
    app = create_app(cold)
    assert is_problem(client_of(app).get("/readyz"), 503)  # without its lifespan it never warms up


def test_what_does_not_answer_is_said_once_and_counted(
    run: Run, sqlite: SQLiteStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(type(run.item_encoder)):  # type: ignore[misc]
        def encode_texts(self, texts: object, **_: object) -> Any:
            raise OSError("a path of this machine")

    service = Service([dataclasses.replace(run, item_encoder=Gone())], sqlite)
    with client_of(create_app(service)) as client:
        deadline = time.monotonic() + 20
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.get("/readyz").json() == {"status": "ready", "missing": ["toy/words"], "erasing": []}
        assert "genre_missing_stages 1.0" in client.get("/metrics").text
    (line,) = (one.getMessage() for one in caplog.records if one.name.startswith("genre"))
    assert line.startswith("No answer, tried again now and then: toy/words (")


def test_many_names_are_said_in_few_words() -> None:
    assert some_of(["a", "b", "c"], 3) == "a, b, c"
    assert some_of(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"


def test_the_report_cannot_reach_the_routes(run: Run, sqlite: SQLiteStore, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with client_of(create_app(Service([dataclasses.replace(run, folder=folder)], sqlite))) as client:
        assert is_problem(client.get("/v1/runs/toy/report"), 404)
        (folder / "report.html").write_text("<h1>report</h1>")
        report = client.get("/v1/runs/toy/report")
        assert report.text == "<h1>report</h1>"
        assert "sandbox" in report.headers["content-security-policy"]
        assert "allow-same-origin" not in report.headers["content-security-policy"]
        for name in ("..", "%2e%2e", "..%2f..%2fetc", "toy%00"):
            assert client.get(f"/v1/runs/{name}/report").status_code in (404, 422)


# --- who may come in ----------------------------------------------------------------------------------


def every_route(app: FastAPI) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        for method in getattr(route, "methods", None) or ():
            yield method, re.sub(r"\{\w+\}", "x", route.path)  # type: ignore[attr-defined]
    yield "GET", "/openapi.json"
    yield "GET", "/no/such/route"


def test_every_route_but_health_is_closed_without_the_key(service: Service) -> None:
    app = create_app(service, api_keys=ApiKeys({KEY: ["admin"]}))
    client, walked = client_of(app), 0
    for method, path in every_route(app):
        if path in ("/healthz", "/readyz"):
            continue
        for headers in (
            {},
            {"authorization": f"Bearer {KEY}x"},
            {"authorization": f"Basic {KEY}"},
            {"authorization": KEY},
        ):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert KEY not in answer.text
            assert method == "HEAD" or is_problem(answer, 401)
        walked += 1
    assert walked > 20
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code in (200, 503)


def test_the_key_opens_as_bearer_and_as_password(service: Service) -> None:
    client = client_of(create_app(service, api_keys=ApiKeys({KEY: ["admin"]})))
    basic = base64.b64encode(f"anybody:{KEY}".encode()).decode()
    for value in (f"Bearer {KEY}", f"bearer {KEY}", f"Basic {basic}"):
        assert client.get("/v1/runs", headers={"authorization": value}).status_code == 200
    assert "Basic" in client.get("/").headers["www-authenticate"], "a browser asks for it"


def test_without_a_key_only_names_of_this_machine_are_answered(service: Service) -> None:
    client = client_of(create_app(service, hosts=frozenset({"localhost", "127.0.0.1", "::1"})))
    for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "LOCALHOST"):
        assert client.get("/v1/runs", headers={"host": host}).status_code == 200, host
    foreign = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "")
    for host in (*foreign, "[127.0.0.1].evil.example", "[::1]evil", "127.0.0.1:80@evil", "[[::1]]", "evil:127.0.0.1"):
        assert is_problem(client.get("/v1/runs", headers={"host": host}), 421), host


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path in ("/", "/v1/runs", "/no/such/route", "/v1/users/u0/recommendations?k=0"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_foreign_page_cannot_write_through_a_form(client: TestClient) -> None:
    event = json.dumps({"user_id": "u0", "item_id": "i1"})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert client.post("/v1/events", content=event, headers={"content-type": kind}).status_code in (400, 422)
    preflight = client.options("/v1/events", headers={"origin": "http://evil", "access-control-request-method": "POST"})
    assert "access-control-allow-origin" not in preflight.headers


# --- limits -------------------------------------------------------------------------------------------


def test_too_many_requests_of_one_address(run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("genre.serving.http.request_limits.time", SimpleNamespace(monotonic=lambda: now[0]))
    client = client_of(create_app(Service([run], sqlite, limits=Limits(rate=5))))
    statuses = [client.get("/v1/runs").status_code for _ in range(15)]
    assert statuses[:10] == [200] * 10
    assert 429 in statuses[10:]
    assert is_problem(client.get("/v1/runs"), 429)
    assert client.get("/healthz").status_code == 200
    now[0] += 0.5
    assert client.get("/v1/runs").status_code == 200


def test_one_network_counts_as_one_and_forgets_nobody_else(
    run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre.serving.http.request_limits.MAX_ADDRESSES", 50)
    monkeypatch.setattr("genre.serving.http.request_limits.time", SimpleNamespace(monotonic=lambda: 0.0))  # no refill
    app = create_app(Service([run], sqlite, limits=Limits(rate=1)))

    def status(address: str) -> int:
        return TestClient(app, base_url="http://localhost", client=(address, 1)).get("/healthz/none").status_code

    assert [status("192.0.2.1") for _ in range(3)] == [404, 404, 429]
    assert [status(f"2001:db8::{n:x}") for n in range(3)] == [404, 404, 429], "one /64 is one address"
    assert status("2001:db8:0:1::1") == 404
    assert [status("::ffff:192.0.2.9") for _ in range(3)] == [404, 404, 429]
    assert status("::ffff:192.0.2.10") == 404, "a mapped address is that of IPv4"
    for n in range(45):
        status(f"198.51.100.{n}")
    assert status("::ffff:192.0.2.9") == 429, "others do not wipe it out"


def test_too_many_requests_at_once(run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service([run], sqlite, limits=Limits(in_flight=3))
    gate, real = threading.Event(), service.explain

    def slow(*args: Any, **kwargs: Any) -> Any:
        gate.wait(10)
        return real(*args, **kwargs)

    monkeypatch.setattr(service, "explain", slow)
    statuses: list[int] = []
    with client_of(create_app(service)) as client:
        path = "/v1/users/u0/explanations/i1"
        threads = [threading.Thread(target=lambda: statuses.append(client.get(path).status_code)) for _ in range(6)]
        for thread in threads:
            thread.start()
        while len(statuses) < 3:
            time.sleep(0.01)
        assert statuses == [503] * 3
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/events", json={"user_id": "u", "item_id": "i1"}).status_code == 200, "has its own place"
        gate.set()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] * 3 + [503] * 3
        assert client.get(path).status_code == 200


def test_refusals_are_paced_and_take_nobody_s_place(
    run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre.serving.http.request_limits.BUSY_PER_SECOND", 10)
    service = Service([run], sqlite, limits=Limits(in_flight=1))
    gate, real = threading.Event(), service.explain
    monkeypatch.setattr(service, "explain", lambda *a, **k: (gate.wait(10), real(*a, **k))[1])
    told: list[float] = []
    with client_of(create_app(service)) as client:

        def ask() -> None:
            answer = client.get("/v1/runs")
            assert is_problem(answer, 503)
            assert answer.headers["retry-after"] == "1"
            told.append(time.monotonic())

        held = threading.Thread(target=lambda: client.get("/v1/users/u0/explanations/i1"))
        held.start()
        time.sleep(0.2)
        flood = [threading.Thread(target=ask) for _ in range(8)]
        for thread in flood:
            thread.start()
        time.sleep(0.2)
        gate.set()
        held.join()
        assert client.get("/v1/runs").status_code == 200, "those who wait to be refused hold no place"
        for thread in flood:
            thread.join()
    assert max(told) - min(told) > 0.3, "the others in turn, 0.1 s apart"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_an_end(client: TestClient, chunked: bool) -> None:  # noqa: FBT001
    class Endless:
        sent = 0

        def __iter__(self) -> Iterator[bytes]:
            for _ in range(50):
                self.sent += 1
                yield b" " * 1_000_000

    body = Endless()
    content: Any = body if chunked else b" " * 50_000_000
    answer = client.post("/v1/events", content=content, headers={"content-type": "application/json"})
    assert is_problem(answer, 413)


def test_a_log_that_fails_is_503_and_passes(
    client: TestClient, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite.record

    def full(events: list[Event], **_: Any) -> None:
        raise StoreError("disk is full")

    monkeypatch.setattr(sqlite, "record", full)
    answer = client.post("/v1/events", json={"user_id": "a", "item_id": "i1"})
    assert is_problem(answer, 503)
    assert client.get("/v1/users/u0/recommendations").status_code == 200
    monkeypatch.setattr(sqlite, "record", real)
    assert client.post("/v1/events", json={"user_id": "a", "item_id": "i1"}).json()["recorded"] == 1


def test_a_fault_of_ours_is_a_500_in_the_same_shape(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(service, "explain", broken)
    answer = client.get("/v1/users/u0/explanations/i1")
    assert is_problem(answer, 500)
    assert "secret" not in answer.text


def test_caches_are_bounded_by_bytes(run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long legal queries leave nothing; masks and matches have a size for all of them."""
    monkeypatch.setattr("genre.data.item_fields.KEPT_MASKS_BYTES", 5 * run.dataset.n_items)
    monkeypatch.setattr("genre.serving.fallback.KEPT_MATCHES_BYTES", 50_000)
    service = Service([run], sqlite)
    catalogue, matches = service._state.loaded_run(None).catalogue, service._state.fallback._matches
    with client_of(create_app(service)) as client:
        client.get("/v1/users/u0/recommendations?k=1")
        kept = _parse_cached.cache_info().currsize
        for n in range(20):
            assert client.get(f"/v1/users/u0/recommendations?novelty=0.{'0' * 1000}{n}").status_code == 200
            chosen = {"genres": [str(n)], "title": [f"{'x' * 190}{m}" for m in range(100)]}
            assert client.post("/v1/recommendations", json={"filter": chosen}).status_code == 200
        assert _parse_cached.cache_info().currsize == kept
        assert catalogue.item_fields._kept_mask.cache_info().currsize == 0
        for n in range(20):
            assert client.post("/v1/recommendations", json={"filter": {"genres": [str(n)]}}).status_code == 200
            assert client.post("/v1/recommendations", json={"ask": f"robots {n}"}).status_code == 200
        assert catalogue.item_fields._kept_mask.cache_info().currsize == 5
        assert 0 < matches.currsize <= 50_000


# --- harm ---------------------------------------------------------------------------------------------

DEEP = "[" * 100_000 + "]" * 100_000
EVENT = '{"user_id": "u", "item_id": "i", %s}'
BAD_BODIES = [
    "", "null", "{", "\x00", "nonsense", "[]", "{}", "42", '"text"', DEEP, '{"a":' * 5000 + "1" + "}" * 5000,
    EVENT % '"weight": NaN', EVENT % '"weight": Infinity', EVENT % '"weight": -Infinity', EVENT % '"weight": 1e999',
    EVENT % '"weight": -1', EVENT % '"weight": "x"', EVENT % '"weight": null', EVENT % '"weight": [1]',
    EVENT % '"timestamp": 1e30', EVENT % '"timestamp": -5', EVENT % '"timestamp": 4102444799',
    EVENT % '"timestamp": 1.5',
    EVENT % f'"timestamp": {10**30}', EVENT % f'"weight": {"9" * 5000}', EVENT % f'"timestamp": {"9" * 5000}',
    EVENT % '"event_id": ""', EVENT % '"admin": true', EVENT % '"event_id": {"$ne": 1}',
    '{"user_id": "", "item_id": "i"}', '{"user_id": null, "item_id": "i"}', '{"user_id": true, "item_id": "i"}',
    '{"user_id": 1.5, "item_id": "i"}', '{"user_id": ["u"], "item_id": "i"}', '{"user_id": "u"}',
    '{"user_id": "\\ud800", "item_id": "i"}', '{"user_id": "u", "item_id": "\\udfff x"}',
    '{"user_id": "u\\u0000", "item_id": "i"}', '{"user_id": "u\\n", "item_id": "i"}',
    json.dumps({"user_id": "u" * 513, "item_id": "i"}), json.dumps([{"user_id": "u", "item_id": "i"}] * 1001),
    '{"user_id": "u", "item_id": "i", "\\ud800": 1}', '{"user_id": NaN, "item_id": "i"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_events_are_refused_at_once(steady: Steady, body: str) -> None:
    started = time.perf_counter()
    answer = steady[0].post(
        "/v1/events", content=body.encode("utf-8", "surrogatepass"), headers={"content-type": "application/json"}
    )
    assert time.perf_counter() - started < 5, "0.1 s when the machine has nothing else to do"
    assert 400 <= answer.status_code < 500
    assert is_problem(answer, answer.status_code)
    assert steady[1].last() == 0


BAD_ASKS = [
    {"k": 0}, {"k": -1}, {"k": 10**9}, {"k": 10**30}, {"k": 1.5}, {"k": "many"}, {"k": None}, {"k": [1]},
    {"history": "i1"}, {"history": [None]}, {"history": [{}]}, {"history": ["i"] * 1001}, {"history": {"a": 1}},
    {"ask": ""}, {"ask": "x" * 1001}, {"ask": 5}, {"run": "../../etc"}, {"run": ""}, {"recommender": "x"},
    {"filter": {"genres": []}}, {"filter": {"genres": {"low": 1}}}, {"filter": {"genres": None}}, {"filter": []},
    {"filter": {"title": {"min": "NaN"}}}, {"filter": {str(n): "x" for n in range(21)}}, {"filter": {"": "x"}},
    {"novelty": 1.01}, {"novelty": -0.1}, {"novelty": float("nan")}, {"diversity": float("inf")}, {"diversity": 1e308},
    {"exclude": ["i"] * 10_001}, {"include": "all"}, {"unknown": 1}, {"fields": ["x"] * 51},
    {"exclude_seen": "perhaps"}, {"k": True}, {"diversity": False}, {"filter": {"year": {"min": True}}},
    {"rules": [{"kind": []}]}, {"rules": [{"kind": {}}]}, {"rules": [{}]}, {"rules": [{"kind": "hide", "none": 1}]},
]  # fmt: skip


@pytest.mark.parametrize("ask", BAD_ASKS, ids=range(len(BAD_ASKS)))
def test_bad_requests_are_refused(steady: Steady, ask: dict[str, Any]) -> None:
    answer = steady[0].post(
        "/v1/recommendations", content=json.dumps(ask), headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 404, 422), answer.text
    assert is_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    "query",
    ["k=0", "k=1000000000", f"k={10**30}", "k=NaN", "k=1e3x", "k=", "novelty=nan", "novelty=inf", "novelty=1e999",
     "exclude_seen=perhaps", "run=nope", "recommender=..%2f..", "unknown=1", "k=%00", "fields=" + "x," * 600],
)  # fmt: skip
def test_bad_queries_are_refused(steady: Steady, query: str) -> None:
    answer = steady[0].get(f"/v1/users/u0/recommendations?{query}")
    assert answer.status_code in (404, 422)
    assert is_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    "path",
    ["/v1/users/%00/recommendations", "/v1/users/a%0Ab/recommendations", f"/v1/users/{'x' * 513}/recommendations",
     "/v1/items?search=" + "x" * 513, "/v1/items?k=0", "/v1/users?k=1001", "/v1/items/%00", "/v1/runs/nope/report",
     "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/app.js/../../http.py", "//etc/passwd", "/v1", "/web/http.py"],
)  # fmt: skip
def test_bad_paths_are_refused(steady: Steady, path: str) -> None:
    answer = steady[0].get(path)
    assert answer.status_code in (404, 422)
    assert is_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/popular"), ("GET", "/v1/users/u0"), ("DELETE", "/v1/users/u0"), ("GET", "/v1/users"),
     ("GET", "/v1/users/u0/explanations/i1"), ("GET", "/v1/items/i1/similar"), ("GET", "/v1/items/i1"),
     ("GET", "/v1/items"), ("GET", "/v1/runs"), ("GET", "/v1/runs/toy/report"), ("POST", "/v1/recommendations"),
     ("POST", "/v1/explanations"), ("POST", "/v1/events"), ("PUT", "/v1/items/i1"),
     ("GET", "/v1/users/u0/recommendations")],
)  # fmt: skip
def test_a_parameter_that_would_be_ignored_is_refused(steady: Steady, method: str, path: str) -> None:
    answer = steady[0].request(method, path, params={"filter": "x"})
    assert is_problem(answer, 422)
    if path == "/v1/popular":
        mistyped = steady[0].get(path, params={"trendin": "true"}).json()["detail"]
        assert "did you mean 'trending'?" in mistyped


def test_a_value_that_does_not_fit_is_refused_and_not_dropped(run: Run, sqlite: SQLiteStore) -> None:
    years = pa.array([1990 + n for n in range(run.dataset.n_items)])
    data = dataclasses.replace(run.dataset, items=run.dataset.items.append_column("year", years))
    with client_of(create_app(Service([dataclasses.replace(run, dataset=data)], sqlite))) as client:
        answer = client.put("/v1/items/new", json={"title": "X", "year": "nineteen"})
        assert is_problem(answer, 422)
        assert answer.json()["detail"] == "year: its column holds whole numbers, and 'nineteen' is no such value"
        assert sqlite.last() == 0
        assert client.put("/v1/items/new", json={"title": "X", "year": 1999}).status_code == 200
        assert client.get("/v1/items/new").json()["fields"]["year"] == 1999


def test_an_item_without_a_text_waits_for_one(client: TestClient) -> None:
    assert client.put("/v1/items/mute", json={"title": ""}).json()["recommendable"] == {"toy": False}
    assert is_problem(client.get("/v1/items/mute"), 404)
    assert client.put("/v1/items/mute", json={"title": "Knights"}).json()["recommendable"] == {"toy": True}
    assert client.get("/v1/items/mute").json()["title"] == "Knights"


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "detail"),
    [
        ("POST", "/v1/events", '{"user_id": "u"}', {}, "body: send it with content-type: application/json"),
        ("POST", "/v1/recommendations", "{}", {}, "body: send it with content-type: application/json"),
        ("POST", "/v1/events", '{"user_id": "u", "item_id": "i", "weight": -1}', JSON,
         "body.object.weight: Input should be greater than or equal to 0"),
        ("POST", "/v1/events", "5", JSON, "body: an event or a list of events is wanted"),
        ("POST", "/v1/events", '{"user_id": "u"}', JSON, "body.object.item_id: is missing"),
        ("POST", "/v1/recommendations", '{"filter": {"genres": 5}}', JSON,
         "body.filter.genres: a value, a list of values or {min, max} is wanted"),
        ("PUT", "/v1/items/x", '{"title": {}}', JSON,
         "body.title: text, a number, true, false, null or a list of text is wanted"),
        ("POST", "/v1/explanations", '{"item": "x"}', JSON,
         "body.item_id: is missing; body.item: nothing of this name is known"),
        ("GET", f"/v1/users/{'x' * 513}/recommendations", "", {},
         "path.user_id: String should have at most 512 characters"),
        ("GET", "/v1/runs/..%2f..%2fetc/report", "", {}, "no run '../../etc'; served: toy"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    steady: Steady, method: str, path: str, content: str, headers: dict[str, str], detail: str
) -> None:
    assert steady[0].request(method, path, content=content, headers=headers).json()["detail"] == detail


def test_health_can_be_asked_for_its_head(client: TestClient) -> None:
    assert client.head("/healthz").status_code == 200
    assert client.head("/readyz").status_code in (200, 503)


BAD_ITEMS: list[Any] = [
    {}, [], None, {"title": {"a": 1}}, {"title": [1]}, {"title": ["a"] * 201}, {"title": "x" * 20_001}, {"": "x"},
    {"x" * 201: "y"}, {str(n): 1 for n in range(51)}, {"year": float("nan")}, {"year": float("inf")},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD_ITEMS, ids=range(len(BAD_ITEMS)))
def test_bad_items_are_refused(steady: Steady, fields: Any) -> None:
    answer = steady[0].put("/v1/items/new", content=json.dumps(fields), headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert is_problem(answer, answer.status_code)


def test_long_wishes_are_read_in_time(client: TestClient) -> None:
    for wish in (
        "not " * 250,
        "like a " * 142,
        "no, " * 250,
        "\u201c" * 1000,
        "a" * 1000,
        "but not " * 125,
        "不要" * 500,
    ):
        started = time.perf_counter()
        answer = client.post("/v1/recommendations", json={"ask": wish[:1000]})
        assert answer.status_code in (200, 422)
        assert time.perf_counter() - started < 5, wish[:20]


def test_a_name_of_an_earlier_release_is_refused_with_the_new_one(client: TestClient) -> None:
    for answer in (
        client.get("/v1/users/u0/recommendations?explore=0.5"),
        client.post("/v1/recommendations", json={"user_id": "u0", "explore": 0.5}),
    ):
        assert answer.status_code == 422
        assert "`explore` is called `diversity` now" in answer.json()["detail"]
