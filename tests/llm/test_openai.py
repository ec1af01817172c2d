"""The OpenAI-compatible provider through the official client, against a server that goes wrong in every way."""

from __future__ import annotations

import email.utils
import json
import time
import tracemalloc
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from genre.errors import BudgetExceeded, LLMError, OptionError
from genre.llm.budget import Budget, Spent
from genre.llm.ledger import Ledger
from genre.llm.ledger_table import read_log
from genre.llm.openai import OpenAI, _wait
from genre.llm.prompt import Prompt
from lines import Lines
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


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_drips_ends_with_the_attempt(part: str) -> None:
    with serving(f"dripping {part}") as server:
        start = time.perf_counter()
        (answer,) = provider(server.url, attempts=1, timeout_seconds=0.6).complete(["x"])
    assert (answer.outcome, answer.error) == ("failed", "no answer within 0.6 s")
    assert answer.lost, "it may be billed"
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_without_end_is_bounded_in_bytes(part: str) -> None:
    with serving(f"endless {part}") as server:
        start = time.perf_counter()
        tracemalloc.start()
        (answer,) = provider(server.url, timeout_seconds=30).complete(["x"])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert answer.outcome == "failed"
    assert part == "head" or "is refused: more than 4,000,000 bytes" in answer.error
    assert answer.lost
    assert most < 40_000_000
    assert time.perf_counter() - start < 15


def test_an_answer_that_unpacks_to_a_large_one_is_not_unpacked() -> None:
    with serving("packed") as server:
        (answer,) = provider(server.url, timeout_seconds=20).complete(["x"])
    assert answer.outcome == "failed"
    assert "packed" in answer.error
    assert answer.lost


def test_limits_of_an_attempt_leave_good_answers_alone_over_one_connection() -> None:
    with serving() as server:
        model = provider(server.url, timeout_seconds=20)
        assert [model.complete([str(n)])[0].outcome for n in range(3)] == ["ok"] * 3


def test_no_redirect_to_another_origin_is_followed(tmp_path: Path) -> None:
    with serving() as other, serving(f"{other.url}/chat/completions") as server:
        (answer,) = provider(server.url, timeout_seconds=20).complete(["a secret prompt"])
    assert answer.outcome == "failed"
    assert f"it redirects to {other.url.removesuffix('/v1')}, and nothing is sent there" in answer.error
    assert other.requests == []
    assert not answer.lost


def test_a_redirect_within_the_origin_is_followed() -> None:
    with serving("http", times=1) as server:
        server.fault = f"{server.url}/elsewhere"
        (answer,) = provider(server.url, timeout_seconds=20).complete(["x"])
    assert (answer.outcome, answer.text, len(server.requests)) == ("ok", "X", 2)


def message(content: Any) -> Any:
    return lambda request, whole: {**whole, "choices": [{**whole["choices"][0], "message": {"content": content}}]}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "b"}], "b"),
        (["a", "b"], "ab"),
        ([], ""),
        (None, ""),
    ],
)
def test_content_as_a_list_of_parts_is_joined(content: Any, text: str) -> None:
    with serving(change=message(content)) as server:
        (answer,) = provider(server.url, timeout_seconds=20).complete(["x"])
    assert (answer.outcome, answer.text) == ("ok", text)


@pytest.mark.parametrize("content", [7, True, {"a": 1}, [7], [{"type": "image_url", "image_url": "x"}], [None, 3.5]])
def test_content_of_another_form_is_a_counted_failure(tmp_path: Path, content: Any) -> None:
    with serving(change=message(content)) as server:
        ledger = Ledger(tmp_path / "l.sqlite", provider(server.url, timeout_seconds=20))
        (answer,) = ledger.complete(Prompt("t", "x"), ["x"])
    assert answer.outcome == "failed"
    assert "did not answer as an OpenAI-compatible server does" in answer.error
    assert (ledger.spent().calls, ledger.spent().tokens) == (1, 14)


USAGES: list[Any] = [
    None,
    {},
    "many",
    7,
    {"prompt_tokens": "11", "completion_tokens": "3"},
    {"prompt_tokens": 10**30, "completion_tokens": 10**30},
    {"prompt_tokens": -11, "completion_tokens": -3},
    {"prompt_tokens": 0, "completion_tokens": 0},
    {"prompt_tokens": True, "completion_tokens": 1.5},
    {"prompt_tokens": [11], "completion_tokens": None},
    {"prompt_tokens": 11},
]


@pytest.mark.parametrize("usage", USAGES)
def test_without_believable_usage_the_reserved_estimate_is_booked(tmp_path: Path, usage: Any) -> None:
    with serving(change=lambda request, whole: {**whole, "usage": usage}) as server:
        model = provider(server.url, timeout_seconds=20, max_tokens=100)
        ledger = Ledger(tmp_path / "l.sqlite", model, job="a", budget=Budget(tokens=1000))
        with pytest.raises(BudgetExceeded, match="1,000 tokens"):
            ledger.complete(Prompt("t", "x"), [str(n) for n in range(60)])
    assert len(server.requests) == 1000 // (1 + 4 + 64 + 100)
    assert 800 < ledger.spent().tokens <= 1000


def test_a_key_that_an_answer_repeats_is_masked_everywhere(tmp_path: Path) -> None:
    def repeat(request: Any, whole: Any) -> Any:
        return message(f"Your key is {KEY}.")(request, whole)

    def refuse(request: Any, whole: Any) -> Any:
        return {"error": {"message": f"{'x' * 150} {KEY}", "code": 401}}

    seen = ""
    packed = message(f"{quote(KEY + '/', safe='')} {KEY.upper()} {b64encode(KEY.encode()).decode()}")
    for at, change in enumerate((repeat, refuse, message({KEY: 1}), lambda request, whole: KEY, packed)):
        with serving(change=change) as server:
            ledger = Ledger(tmp_path / "l.sqlite", provider(server.url, timeout_seconds=20))
            (answer,) = ledger.complete(Prompt("t", "x"), [str(at)])
        seen += f"{answer} {read_log(tmp_path / 'l.sqlite')}"
    assert KEY[:12] not in seen, "nor a part of it, where a message is cut"
    assert KEY.upper() not in seen
    assert b64encode(KEY.encode()).decode()[:12] not in seen
    assert "Your key is ***." in seen
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_an_error_inside_a_good_answer_is_a_failure_and_tried_again_where_it_passes(tmp_path: Path) -> None:
    for code, requests in ((429, 2), ("502", 2), (400, 1), (None, 1)):
        with serving(change=lambda request, whole, code=code: {"error": {"message": "busy", "code": code}}) as server:
            ledger = Ledger(tmp_path / "l.sqlite", provider(server.url, timeout_seconds=20))
            (answer,) = ledger.complete(Prompt("t", "x"), [str(code)])
        assert (answer.outcome, len(server.requests)) == ("failed", requests)
        assert "the server answered with an error" in answer.error
        assert "busy" in answer.error


@pytest.mark.parametrize("suggested", ["1", "1.5", "Thu, 01 Jan 1970 00:00:00 GMT", "soon", "", "²", "1e400"])
def test_a_wait_is_read_as_seconds_or_a_date(suggested: str) -> None:
    assert 0 <= _wait({"retry-after": suggested}) <= 1.5


def test_a_wait_until_a_date_is_the_time_until_then() -> None:
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < _wait({"retry-after": date}) < 31


# --- servers differ ---------------------------------------------------------------------------------------


def refusing(*unknown: str) -> Any:
    """A server that answers 400 to requests with one of these words in a field's name or its response format."""

    def change(request: Any, whole: Any) -> Any:
        words = json.dumps({name: value for name, value in request.items() if name != "messages"})
        found = next((word for word in unknown if f'"{word}"' in words), None)
        return whole if found is None else (400, {"error": {"message": f"{found} is not supported", "code": 400}})

    return change


@pytest.mark.parametrize(
    ("unknown", "last", "refusals"),
    [
        (("temperature",), {"temperature"}, 1),
        (("seed",), {"seed"}, 1),
        (("strict",), set(), 2),
        (("json_schema",), set(), 2),
        (("json_schema", "json_object"), {"response_format"}, 3),
        (("json_schema", "temperature", "seed"), {"temperature", "seed"}, 4),
    ],
)
def test_what_a_server_refuses_is_left_out_remembered_and_said_once(
    unknown: tuple[str, ...], last: set[str], refusals: int
) -> None:
    log = Lines()
    with serving(change=refusing(*unknown)) as server:
        model = provider(server.url, attempts=1, timeout_seconds=20)
        answers = [model.complete(["x"], SCHEMA, log=log)[0] for _ in range(3)]
    assert [answer.outcome for answer in answers] == ["ok"] * 3
    assert len(server.requests) == 3 + refusals
    assert {"temperature", "seed", "response_format"} - server.requests[-1].keys() == last
    names = {"response_format" if word.startswith(("json", "strict")) else word for word in unknown}
    assert len(log.lines) == len(names)
    assert all(f"refuses {name}" in "\n".join(log.lines) for name in names)


def test_a_server_that_refuses_inside_a_good_answer_is_asked_otherwise_too() -> None:
    def change(request: Any, whole: Any) -> Any:
        return {"error": "temperature does not support 0"} if "temperature" in request else whole

    with serving(change=change) as server:
        (answer,) = provider(server.url, timeout_seconds=20).complete(["x"])
    assert (answer.outcome, len(server.requests)) == ("ok", 2)


def test_a_server_of_the_newer_name_of_max_tokens_gets_it() -> None:
    def change(request: Any, whole: Any) -> Any:
        problem = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return (400, {"error": {"message": problem}}) if "max_tokens" in request else whole

    with serving(change=change) as server:
        (answer,) = provider(server.url, timeout_seconds=20).complete(["x"])
    assert answer.outcome == "ok"
    assert server.requests[-1]["max_completion_tokens"] == 300


def test_an_error_that_stays_is_not_taken_for_what_a_server_cannot() -> None:
    def change(request: Any, whole: Any) -> Any:
        return 400, {"error": {"message": f"prompt too long: {json.dumps(request)}"}}

    with serving(change=change) as server:
        model = provider(server.url, timeout_seconds=20)
        (answer,) = model.complete(["x"], SCHEMA)
        assert (answer.outcome, model.notes()) == ("failed", [])
        server.change = lambda request, whole: whole
        model.complete(["x"], SCHEMA)
    assert {"temperature", "seed", "response_format"} <= server.requests[-1].keys()
    assert len(server.requests) < 10


def test_further_options_are_sent_and_are_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRE_TEST_HEADER", "header-canary-42")
    options: dict[str, Any] = {
        "reasoning_effort": "low",
        "system": "Be brief.",
        "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
        "headers": {"X-Api-Key": "$GENRE_TEST_HEADER", "X-Title": "shop"},
    }
    with serving(change=message("your header is header-canary-42")) as server:
        model = provider(server.url, timeout_seconds=20, **options)
        (answer,) = model.complete(["x"])
    sent = server.requests[0]
    assert sent["reasoning_effort"] == "low"
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert [one["role"] for one in sent["messages"]] == ["system", "user"]
    assert (server.headers[0]["x-title"], server.headers[0]["x-api-key"]) == ("shop", "header-canary-42")
    assert answer.text == "your header is ***"
    plain = provider(server.url)
    for name in ("reasoning_effort", "system", "extra_body"):
        assert provider(server.url, **{name: options[name]}).fingerprint != plain.fingerprint
    assert model.added_bytes > len("Be brief.")
    assert "canary" not in f"{model} {model.fingerprint}"


def test_options_that_would_break_budgets_or_tell_secrets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="max_tokens, n cannot be set there"):
        provider("http://h/v1", extra_body={"n": 5, "max_tokens": 10**6})
    for body in ({"api_key": "sk-1"}, {"provider": [{"options": {"X-Access-Token": "a"}}]}):
        with pytest.raises(OptionError, match=r"extra_body: .* looks like a secret"):
            provider("http://h/v1", extra_body=body)
    with pytest.raises(OptionError, match="base_url: holds a key"):
        provider("http://h/v1?api-key=sk-1234567")
    provider("http://h/v1", extra_body={"skip_special_tokens": True, "min_tokens": 3})
    for header in ("api-key", "X-Auth", "X-Amz-Security-Token", "X-Session", "Proxy-Authorization"):
        with pytest.raises(OptionError, match=f"{header} is a secret"):
            provider("http://h/v1", headers={header: "sk-1234567"})
    for key in ("sk-proj-0123456789", "gsk.0123", "a key", "$OPENAI_API_KEY"):
        with pytest.raises(OptionError, match="the name of an environment variable is wanted") as caught:
            provider("http://h/v1", key_variable=key)
        assert key not in str(caught.value)
    monkeypatch.delenv("GENRE_TEST_HEADER", raising=False)
    with pytest.raises(LLMError, match="set the environment variable GENRE_TEST_HEADER"):
        provider("http://h/v1", headers={"api-key": "$GENRE_TEST_HEADER"}).check()
