"""Context from a file to an answer: what is taken on a television is recommended on a television."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client
from starlette.testclient import TestClient

import genre
from genre.cli.main import main
from genre.errors import DataError
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.http.app import create_app
from genre.serving.http.batching import AsyncService
from genre.serving.http.prometheus import metrics_of
from genre.serving.ingest.event_reader import EventReader
from genre.serving.ingest.line_source import Line
from genre.serving.mcp import mcp_server
from genre.serving.refresh import with_log
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from genre.serving.user_data import data_of_user

CONFIG = """\
name: daily
data: {kind: files, interactions: plays.csv, columns: {context: [device]}}
split: {kind: leave-one-out}
recommenders:
  - {kind: ranker, first: {kind: popularity}, context: [hour, device], candidates: 24, hidden: 8, epochs: 120,
     batch_size: 32, networks: 1}
  - {kind: popularity}
evaluation: {k: 5, metrics: [ndcg]}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Even items are taken in the morning on a phone, odd ones in the evening on a television."""
    folder, rng = tmp_path_factory.mktemp("daily"), np.random.default_rng(1)
    rows = ["user_id,item_id,time,device"]
    for user in range(300):
        for item in rng.permutation(24)[:8].tolist():
            odd = item % 2
            rows.append(f"u{user},i{item},2024-05-{rng.integers(1, 29):02} {8 + 12 * odd:02}:00,{['phone', 'tv'][odd]}")
    (folder / "plays.csv").write_text("\n".join(rows))
    (folder / "daily.yaml").write_text(CONFIG)
    made: Run = genre.run(folder / "daily.yaml", runs=folder / "runs")
    return made


@pytest.fixture
def service(run: Run, tmp_path: Path) -> Iterator[Service]:
    made = Service([run], SQLiteStore(tmp_path / "events.sqlite"))
    yield made
    made.close()


def parities(items: list[dict[str, Any]]) -> set[int]:
    return {int(item["item_id"][1:]) % 2 for item in items}


def test_the_ranker_in_context_is_best_and_says_so(run: Run) -> None:
    values = {row["name"]: row["values"]["ndcg@5"] for row in run.report["leaderboard"]}
    assert run.report["best"] == "ranker"
    assert values["ranker"] > values["popularity"] + 0.1


def test_lists_over_http_follow_the_context(service: Service) -> None:
    with TestClient(create_app(service), base_url="http://localhost") as client:
        path = "/v1/users/u0/recommendations"
        for device, hour, odd in (("tv", 20, 1), ("phone", 8, 0)):
            found = client.get(path, params={"k": 4, "context": f"device={device}, hour={hour}"}).json()
            assert parities(found["items"]) == {odd}
            body = {"user_id": "u0", "k": 4, "context": {"device": device, "hour": hour}}
            assert client.post("/v1/recommendations", json=body).json()["items"] == found["items"]
            item_id = found["items"][0]["item_id"]
            why = client.get(f"/v1/users/u0/explanations/{item_id}", params={"context": f"device={device},hour={hour}"})
            parts = {part["name"]: part["share"] for part in why.json()["parts"]}
            assert parts["context"] > 0
            assert client.post("/v1/explanations", json={**body, "item_id": item_id, "k": None}).status_code == 422
            del body["k"]
            again = client.post("/v1/explanations", json={**body, "item_id": item_id}).json()
            assert again["parts"] == why.json()["parts"]
            assert again["score"] == pytest.approx(found["items"][0]["score"], abs=1e-5)
        for wrong in ("device", "device=", "device=tv,device=phone"):
            assert client.get(path, params={"context": wrong}).status_code == 422
        refused = client.get(path, params={"context": "devise=tv"})
        assert refused.status_code == 422
        assert "did you mean 'device'" in refused.json()["detail"]


def test_agents_say_the_circumstances(service: Service, tmp_path: Path) -> None:
    async def go() -> None:
        async with Client(mcp_server(AsyncService(service, metrics_of(service)))) as client:

            async def call(tool: str, **given: Any) -> Any:
                return (await client.call_tool(tool, {"user_id": "u0", **given})).structured_content

            for device, odd in (("phone", 0), ("tv", 1)):
                context = {"device": device, "hour": 8 + 12 * odd}
                found = await call("recommend", k=4, context=context)
                assert parities(found["items"]) == {odd}
                why = await call("explain", item_id=found["items"][0]["item_id"], context=context)
                assert next(part["share"] for part in why["parts"] if part["name"] == "context") > 0
            assert (await call("record_event", item_id="i2", context={"device": "tv"}))["recorded"] == 1
            assert "did you mean 'device'" in str(await client.call_tool("recommend", {"context": {"devise": "tv"}}))

    asyncio.run(go())
    with closing(SQLiteStore(tmp_path / "events.sqlite")) as store:
        events = [one for one in store.entries() if isinstance(one, Event) and one.kind != "show"]
    assert [dict(event.context) for event in events] == [{"device": "tv"}]


def test_requests_of_one_batch_have_their_own_context(service: Service) -> None:
    wanted = [
        ListRequest("u0", k=3, context=(("device", name), ("hour", hour)))
        for name, hour in (("tv", "20"), ("phone", "8"))
    ]
    evening, morning = service.recommend_many([*wanted])
    assert parities(evening.items) == {1}  # type: ignore[union-attr]
    assert parities(morning.items) == {0}  # type: ignore[union-attr]


def test_the_command_and_python_take_context(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    frame = run.recommend("u0", k=4, context={"device": "tv", "hour": 20})
    assert {int(name[1:]) % 2 for name in frame["item_id"]} == {1}
    command = ["recommend", str(run.folder), "--user", "u0", "-k", "4", "--json", "--context", "device=tv", "hour=20"]
    assert main(command) == 0
    assert [row["item_id"] for row in json.loads(capsys.readouterr().out)] == list(frame["item_id"])
    with pytest.raises(DataError, match="context: 'wheather' is not known"):
        run.recommend("u0", context={"wheather": "rain"})
    assert main([*command[:-1], "hour"]) == 2


def test_a_refreshed_run_keeps_its_circumstances(run: Run, tmp_path: Path) -> None:
    """Those of events without any are unknown; without the rest the ranker could not be fitted again."""
    with closing(SQLiteStore(tmp_path / "events.sqlite")) as store:
        store.record([Event("u0", "i0", 1.0, 1_900_000_000)])
        made = with_log(run.dataset, store)
    assert made.context is not None
    assert made.context_names == ["device"]
    known, old = made.context >= 0, run.dataset.context
    assert old is not None
    assert (~known).sum() == len(made) - len(run.dataset) == 1
    assert made.context[known].tolist() == old.tolist()


def test_a_refresh_learns_from_the_circumstances_of_events(service: Service, run: Run, tmp_path: Path) -> None:
    events = [
        {"user_id": "u0", "item_id": "i1", "timestamp": 1_750_000_000, "event_id": "1", "context": {"device": "phone"}},
        {"user_id": "u0", "item_id": "i3", "timestamp": 1_750_000_001, "event_id": "2", "context": {"device": "watch"}},
    ]
    with TestClient(create_app(service), base_url="http://localhost") as client:
        assert client.post("/v1/events", json=events).json() == {"recorded": 2, "duplicates": 0}
        assert client.post("/v1/events", json=events[1]).json() == {"recorded": 0, "duplicates": 1}
        other = client.post("/v1/events", json=events[1] | {"context": {"device": "tv"}})
        assert other.status_code == 409, "the same event in other circumstances"
        for name in ("devise", "hour"):  # an event has a time of its own
            refused = client.post("/v1/events", json=events[0] | {"event_id": "3", "context": {name: "8"}})
            assert refused.status_code == 422
            assert f"context: {name!r} is not known" in refused.json()["detail"]
    with closing(SQLiteStore(tmp_path / "events.sqlite")) as store:
        made = with_log(run.dataset, store)
        kept = data_of_user(store, "u0", run.folder)
    assert kept["events"][1]["context"] == {"device": "watch"}
    assert {row["device"] for row in kept["interactions"]} <= {"phone", "tv"}
    assert made.context is not None
    assert list(made.context_texts("device")[made.context[made.timestamp >= 1_750_000_000]]) == ["phone", "watch"]
    reader = EventReader(run.folder)

    def line(event: dict[str, Any]) -> Line:
        return Line("events.jsonl", "events", 0, json.dumps(event).encode(), None)

    assert dict(reader.read(line(events[0])).context) == {"device": "phone"}
    with pytest.raises(DataError, match="did you mean 'device'"):
        reader.read(line(events[0] | {"context": {"devise": "tv"}}))
