"""The OpenAI-compatible provider through the official client, against a server that goes wrong in every way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from genre.errors import LLMError, OptionError
from genre.llm.budget import Budget, Spent
from genre.llm.ledger import Ledger
from genre.llm.ledger_table import read_log
from genre.llm.openai import OpenAI
from genre.llm.prompt import Prompt
from llm_server import serving

KEY = "sk-canary-0123456789"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 50}},
    "required": ["title"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRE_TEST_KEY", KEY)


def provider(url: str, **options: Any) -> OpenAI:
    patience = {"timeout_seconds": 0.3, "attempts": 2, "key_variable": "GENRE_TEST_KEY"}
    return OpenAI("small", base_url=url, **{**patience, **options})


def test_answers_in_order_with_counts_and_key() -> None:
    with serving() as server:
        answers = provider(server.url, concurrency=4, timeout_seconds=20).complete([f"prompt {n}" for n in range(12)])
    assert [answer.text for answer in answers] == [f"PROMPT {n}" for n in range(12)]
    assert {(answer.outcome, answer.tokens_in, answer.tokens_out) for answer in answers} == {("ok", 11, 3)}
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert server.most_under_way <= 4


@pytest.mark.parametrize(
    ("structured", "expected"), [("strict", True), ("schema", False), ("object", None), ("none", None)]
)
def test_the_schema_goes_along(structured: Any, expected: Any) -> None:
    with serving() as server:
        provider(server.url, structured=structured, timeout_seconds=20).complete(["x"], SCHEMA)
    sent = server.requests[0].get("response_format")
    if expected is None:
        assert sent == ({"type": "json_object"} if structured == "object" else None)
        return
    assert sent["json_schema"]["strict"] is expected
    kept = sent["json_schema"]["schema"]["properties"]["title"]
    assert kept == ({"type": "string"} if expected else {"type": "string", "maxLength": 50})
    assert server.requests[0]["temperature"] == 0


@pytest.mark.parametrize("fault", ["500", "429", "hang"])
def test_what_passes_is_tried_again(fault: str) -> None:
    with serving(fault, times=1) as server:
        (answer,) = provider(server.url, attempts=3, timeout_seconds=0.5).complete(["x"])
    assert (answer.outcome, answer.text) == ("ok", "X")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("hang", "no answer within 0.3 s"),
        ("401", "AuthenticationError: Error code: 401"),
        ("half", "no connection to URL: peer closed"),
        ("garbage", "URL did not answer as an OpenAI-compatible server does (JSONDecodeError"),
        ("no choices", "URL did not answer as an OpenAI-compatible server does (IndexError"),
    ],
)
def test_what_went_wrong_is_said_for_people(fault: str, said: str) -> None:
    with serving(fault) as server:
        (answer,) = provider(server.url, attempts=1, timeout_seconds=0.3).complete(["x"])
    assert answer.error.startswith(said.replace("URL", server.url))


@pytest.mark.parametrize(
    ("fault", "outcome", "requests"),
    [
        ("500", "failed", 2),
        ("401", "failed", 1),
        ("404", "failed", 1),
        ("hang", "failed", 2),
        ("garbage", "failed", 1),
        ("half", "failed", 2),
        ("no choices", "failed", 1),
        ("truncated", "truncated", 1),
        ("refusal", "refused", 1),
    ],
)
def test_what_stays_wrong_is_an_outcome(fault: str, outcome: str, requests: int) -> None:
    with serving(fault) as server:
        (answer,) = provider(server.url).complete(["x"])
    assert answer.outcome == outcome
    assert bool(answer.error) == (outcome == "failed")
    assert "\n" not in answer.error
    assert len(server.requests) == requests


def test_a_wrong_url_and_a_missing_key_are_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    (answer,) = provider("http://127.0.0.1:9/v1", attempts=1).complete(["x"])
    assert answer.outcome == "failed"
    assert answer.error.startswith("no connection to http://127.0.0.1:9/v1: ")
    monkeypatch.delenv("GENRE_TEST_KEY")
    with serving() as server:
        (answer,) = provider(server.url).complete(["x"])
    assert "GENRE_TEST_KEY holds no key" in answer.error
    assert server.requests == []


def test_the_key_is_nowhere_but_in_the_header(tmp_path: Path) -> None:
    """The server echoes it in its error."""
    with serving("401") as server:
        model = provider(server.url)
        ledger = Ledger(tmp_path / "l.sqlite", model)
        (answer,) = ledger.complete(Prompt("t", "x"), ["x"])
    assert answer.outcome == "failed"
    seen = f"{answer} {model} {model.fingerprint} {read_log(tmp_path / 'l.sqlite')}"
    assert KEY not in seen
    assert "***" in answer.error
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_without_a_key_the_ledger_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENRE_TEST_KEY")
    with serving() as server, pytest.raises(LLMError, match="GENRE_TEST_KEY holds no key"):
        Ledger(tmp_path / "l.sqlite", provider(server.url)).complete(Prompt("t", "x"), ["x"])
    assert server.requests == read_log(tmp_path / "l.sqlite") == []


def test_every_attempt_is_an_exchange(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with serving("500") as server:
        Ledger(path, provider(server.url, attempts=3)).complete(Prompt("t", "x"), ["x"])
    assert len(server.requests) == len(read_log(path)) == 3
    assert {row.tokens_out for row in read_log(path)} == {0}
    dead = Ledger(path, provider("http://127.0.0.1:9/v1", attempts=3), job="dead", budget=Budget(calls=2))
    for _ in range(2):
        assert dead.complete(Prompt("t", "x"), ["y"])[0].outcome == "failed"
    assert len(read_log(path, job="dead")) == 6
    assert dead.spent() == Spent(), "what never left uses up no budget: it is sent again when the server is back"
    with serving("hang") as server:
        Ledger(path, provider(server.url, attempts=1)).complete(Prompt("t", "x"), ["x"])
    assert read_log(path)[0].tokens_out == 300, "it may be billed all the same"


def test_an_error_of_a_server_without_key_stays_readable() -> None:
    with serving("401") as server:
        (answer,) = provider(f"{server.url}/none", key_variable="").complete(["x"])
    assert "***" not in answer.error


def test_a_password_does_not_belong_into_a_url() -> None:
    with pytest.raises(OptionError, match="key_variable"):
        provider("http://user:hunter2@localhost/v1")


def test_no_faster_than_allowed() -> None:
    with serving() as server:
        model = provider(server.url, requests_per_minute=600, concurrency=4, timeout_seconds=20)
        start = time.monotonic()
        model.complete(["x"] * 5)
    assert time.monotonic() - start >= 0.4


def test_likelihood_of_labels_comes_from_the_first_token() -> None:
    with serving() as server:
        (answer,) = provider(server.url, timeout_seconds=20).likelihood(["which?"], [["A", "B", "C"]])
    assert answer.numbers() == [-2.5, -0.1, -5.0]
    assert server.requests[0]["max_tokens"] == 1
    with serving() as server:
        (answer,) = provider(server.url).likelihood(["which?"], [["a whole title"]])
    assert "use labels" in answer.error
    assert server.requests == []


def test_a_server_is_sent_only_what_is_set() -> None:
    with serving() as server:
        provider(server.url, temperature=None, seed=None, timeout_seconds=20).complete(["x"])
    assert server.requests[0].keys() == {"model", "messages", "max_tokens"}


def test_the_fingerprint_names_all_that_changes_an_answer() -> None:
    base = provider("http://localhost:1/v1")
    others = [
        provider("http://localhost:2/v1"),
        provider("http://localhost:1/v1", temperature=1.0),
        provider("http://localhost:1/v1", seed=1),
        provider("http://localhost:1/v1", max_tokens=1),
        provider("http://localhost:1/v1", structured="none"),
    ]
    assert len({model.fingerprint for model in [base, *others]}) == 6
    same = provider("http://localhost:1/v1", concurrency=1, timeout_seconds=9, attempts=1, key_variable="")
    assert same.fingerprint == base.fingerprint


@pytest.mark.parametrize("url", ["localhost:11434/v1", "notaurl", "ftp://h/v1", "http:///v1", ""])
def test_what_is_no_address_is_known_before_anything_is_read(url: str) -> None:
    with pytest.raises(OptionError, match="is no address; such as http"):
        provider(url)
