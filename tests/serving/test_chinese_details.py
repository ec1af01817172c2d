"""What the service says of a request that failed is Chinese on the Chinese page; names and numbers stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page

from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.gate import judge_difference
from genre.serving.http.access import ApiKeys, KeyScope
from genre.serving.http.app import create_app
from genre.serving.limits import Limits
from genre.serving.service import Service
from watched_pages import Open

WEB = files("genre.serving.http") / "web"
KEPT = re.compile(
    r"ndcg@\d+|\b(?:GENRE|JSON|Authorization|Bearer|KEY|toy|nosuch|ease|content|item_knn|popularity|item_id|title|text"
    r"|genres|year|query|body|object|path|filter|k|history|ask|read|events|admin|language|weight|event_id|i\d"
    r"|genre serve|features|allow-origin|origin|novelty|list|en|zh|or|integer|timestamp|user_id|values|run"
    r"|days|record)\b"
)


@pytest.fixture
def chinese(url: str, open_page: Open) -> Page:
    page: Page = open_page(url, locale="zh-CN")
    page.evaluate("import('./details.js').then((module) => { window.details = module; })")
    return page


def translated(page: Page, answer: dict[str, Any]) -> str:
    return str(page.evaluate("(found) => window.details.trouble(found)", answer))


def left_in_english(text: str) -> str:
    """Words that are neither Chinese nor names of the world that the test made."""
    return " ".join(re.findall("[A-Za-z]{2,}", KEPT.sub("", text)))


def failing(http: TestClient) -> Iterator[dict[str, Any]]:
    """What the requests of the page are answered where something of them is wrong."""
    lists = "/v1/recommendations"
    for path in (
        "/v1/items/nosuch",
        "/v1/items/nosuch/similar",
        "/v1/popular?run=nosuch",
        "/v1/users/u1/recommendations?recommender=nosuch",
        "/v1/users/u1/recommendations?k=0",
        "/v1/users/u1/recommendations?k=100000",
        "/v1/users/u1/recommendations?k=few",
        "/v1/users/u1/recommendations?novelty=2",
        "/v1/runs/toy/report",
        "/v1/runs/nosuch/report",
        "/v1/filters?nosuch=1",
        "/v1/operations?days=0",
    ):
        yield http.get(path).json()
    for body in (
        {"filter": {"nosuch": ["a"]}},
        {"ask": " "},
        {"ask": ""},
        {"history": ["i1"] * 100_000},
        {"history": "i1"},
        {"k": 0},
        {"language": "xx"},
        {"nosuch": 1},
        {"k": 0, "nosuch": 1},
        [1],
    ):
        yield http.post(lists, json=body).json()
    yield http.post("/v1/events", json={"user_id": "u1"}).json()
    yield http.post("/v1/events", json={"user_id": "u1", "item_id": "i1", "timestamp": 9e9}).json()
    yield http.post("/v1/experiments/nosuch/stop").json()
    yield http.post("/v1/experiments/nosuch/promote").json()


def test_what_is_wrong_with_a_request_is_said_in_chinese(run: Run, chinese: Page, tmp_path: Path) -> None:
    service = Service([run], SQLiteStore(tmp_path / "events.sqlite"), limits=Limits(body_bytes=900_000))
    service.warm()
    with TestClient(create_app(service), raise_server_exceptions=False) as http:
        answers = list(failing(http))
        answers.append(http.post("/v1/recommendations", content=b"x" * 1_000_000).json())
        answers.append(http.put("/v1/recommendations").json())
    scopes: tuple[KeyScope, ...] = ("read",)
    keys = ApiKeys({"k" * 20: scopes})
    with TestClient(create_app(Service([run], SQLiteStore(tmp_path / "keys.sqlite")), api_keys=keys)) as http:
        answers += [http.get("/v1/runs").json(), http.get("/v1/operations", auth=("", "k" * 20)).json()]
    texts = {answer["detail"]: translated(chinese, answer) for answer in answers if "detail" in answer}
    assert len(texts) > 20, "requests that fail"
    assert {detail: text for detail, text in texts.items() if left_in_english(text)} == {}


def test_verdicts_and_records_of_refreshes_are_said_in_chinese(chinese: Page) -> None:
    draw = np.random.default_rng(0)
    gate = judge_difference(draw.random(400), draw.random(400), 0.05)
    for text in (
        f"ndcg@10 on the newest interactions, {gate}",
        "new from the event log: 812 interactions, 14 users, 1 item",
        "new from the event log: fields of items; left out: 2 deleted users",
        "few users push items into the lists: '1234'",
        "guardrail: 3.1% of lists by a fallback, 1.0% in toy",
        "no difference yet that is more than chance",
    ):
        made = str(chinese.evaluate("(text) => window.details.said(text)", text))
        assert not left_in_english(made), f"{text!r} became {made!r}"


def test_every_code_has_its_sentence_and_names_take_their_places() -> None:
    text = (WEB / "details.js").read_text("utf-8")
    troubles = set(re.findall(r"(\w+): \"", text[text.index("TROUBLES") : text.index("DETAILS")]))
    used = set[str]()
    for path in (Path(str(WEB)).parent).glob("*.py"):
        used |= set(re.findall(r'(?:problem|_refusal)\(\d+, "(\w+)"', path.read_text("utf-8")))
    assert used <= troubles, used - troubles
    pairs = re.findall(r'\["([^"]+)",\s+"([^"]+)"\]', text)
    assert len(pairs) > 40
    for english, chinese in pairs:
        assert english.count("{}") == chinese.count("{}"), english


def test_an_unknown_detail_follows_the_sentence_of_its_code(chinese: Page) -> None:
    found = {"error": "conflict", "detail": "something new about 'x'"}
    assert translated(chinese, found) == "与现有内容冲突。something new about 'x'"
    assert translated(chinese, {}) == "服务无法回答。"
