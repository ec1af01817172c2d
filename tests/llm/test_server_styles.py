"""Answers of OpenAI-compatible servers as they differ, over HTTP: each is read, or ends in a counted outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from genre.llm.ledger import Ledger
from genre.llm.openai import OpenAI
from genre.llm.prompt import Prompt
from genre.llm.typed_answers import request_answers
from llm_server import serving

SAID = json.dumps({"text": "a story of robots"})
Change = Callable[[dict[str, Any], dict[str, Any]], Any]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str


def says(content: Any, **choice: Any) -> Change:
    """A server whose message has this content and whose choice has these fields."""

    def change(request: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": content, **choice.get("message", {})}
        return {**whole, "choices": [{**whole["choices"][0], **choice, "message": message}]}

    return change


def refuses(problem: str, *fields: str, inside: bool = False) -> Change:
    """A server that knows none of these fields, or values of `response_format`."""

    def change(request: dict[str, Any], whole: dict[str, Any]) -> Any:
        known = {*request, (request.get("response_format") or {}).get("type")}
        if known & set(fields):
            error = {"error": {"message": problem, "type": "invalid_request_error", "code": 400}}
            return error if inside else (400, error)
        return says(SAID)(request, whole)

    return change


def body(made: Any) -> Change:
    return lambda request, whole: made


def responses(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An answer of the Responses API."""
    usage = {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14}
    return {"object": "response", "status": "completed", "output": list(output), "usage": usage, **more}


def responds(content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": content}


THOUGHT: dict[str, Any] = {"type": "reasoning", "summary": [{"type": "summary_text", "text": '{"text": "no"}'}]}
CALL = {"name": "answer", "arguments": SAID}


def only_responses(request: dict[str, Any], whole: dict[str, Any]) -> Any:
    """A server that knows this model by the Responses API alone."""
    if "messages" in request:
        problem = "This is only supported in v1/responses and not in v1/chat/completions."
        return 404, {"error": {"message": problem, "type": "invalid_request_error", "param": "model"}}
    return responses(THOUGHT, responds([{"type": "output_text", "text": SAID, "annotations": []}]))


def refuses_plainly(made: Any, field: str) -> Change:
    """A server whose refusal is in a form that the client finds no message in."""
    return lambda request, whole: made if field in json.dumps(request) else says(SAID)(request, whole)


READ: dict[str, Change] = {
    "plain": says(SAID),
    "fenced": says(f"```json\n{SAID}\n```"),
    "preamble": says(f"Here is the JSON you asked for:\n\n{SAID}"),
    "text after": says(f"{SAID}\n\nLet me know if you need anything else!"),
    "thinking tags": says(f'<think>\nMaybe {{"text": "no"}}?\n</think>\n\n{SAID}'),
    "thinking without an opening tag": says(f"It is about robots.\n</think>\n{SAID}"),
    "channels": says(f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{SAID}"),
    "reasoning_content field": says(SAID, message={"reasoning_content": "The user wants JSON."}),
    "reasoning field": says(SAID, message={"reasoning": 'First {"text": "no"}', "reasoning_details": []}),
    "list content": says([{"type": "text", "text": SAID}]),
    "list content with thoughts": says([{"type": "thinking", "thinking": "hm"}, {"type": "output_text", "text": SAID}]),
    "list of one object": says(f"[{SAID}]"),
    "JSON inside a text": says(json.dumps(SAID)),
    "one key around it": says(f'{{"answer": {SAID}}}'),
    "a comma behind the last value": says(f"{SAID[:-1]},}}"),
    "keys in capitals": says(SAID.replace("text", "Text", 1)),
    "further keys": says(f'{{"thoughts": "hm", {SAID[1:-1]}, "confidence": 0.9}}'),
    "an object beside a status": says(f'{{"status": "ok", "data": {SAID}}}'),
    "a draft beside the answer": says(f'{{"draft": {{"text": 5}}, "final": {SAID}}}'),
    "the schema around it": says(f'{{"type": "object", "properties": {SAID}}}'),
    "byte order mark": says(f"\ufeff{SAID}"),
    "line break inside a text": says('{"text": "a story\nof robots"}'),
    "no usage": lambda request, whole: {
        key: value for key, value in says(SAID)(request, whole).items() if key != "usage"
    },
    "usage of null": lambda request, whole: {**says(SAID)(request, whole), "usage": None},
    "finish_reason of another name": says(SAID, finish_reason="eos"),
    "no finish_reason": says(SAID, finish_reason=None),
    "empty error field": lambda request, whole: {**says(SAID)(request, whole), "error": None},
    "no JSON schema": refuses("response_format json_schema is not supported", "json_schema"),
    "no JSON mode": refuses("response_format is not supported by this model", "json_schema", "json_object"),
    "fixed temperature": refuses("temperature does not support 0 with this model", "temperature"),
    "no seed": refuses("Unrecognized request argument supplied: seed", "seed"),
    "max_tokens renamed": refuses("Use 'max_completion_tokens' instead of 'max_tokens'", "max_tokens"),
    "the Responses API": body(responses(THOUGHT, responds([{"type": "output_text", "text": SAID}]))),
    "the Responses API, by a call of a function": body(responses(THOUGHT, {"type": "function_call", **CALL})),
    "only the Responses API": only_responses,
    "a tool call": says(None, message={"tool_calls": [{"type": "function", "function": CALL}]}),
    "a tool call with an object": says(
        "", message={"tool_calls": [{"function": {"name": "answer", "arguments": json.loads(SAID)}}]}
    ),
    "a function call of old": says(None, message={"function_call": CALL}),
    "a tool call in words": says(f'<tool_call>\n{{"name": "answer", "arguments": {SAID}}}\n</tool_call>'),
    "byte order mark before the body": lambda request, whole: (
        200,
        b"\xef\xbb\xbf" + json.dumps(says(SAID)(request, whole)).encode(),
    ),
    "no JSON schema, said as a text": refuses_plainly((400, {"error": "json_schema is not known"}), "json_schema"),
    "no JSON mode, said by a validator": refuses_plainly(
        (422, {"detail": [{"loc": ["body", "response_format"], "msg": "extra fields not permitted"}]}),
        "response_format",
    ),
    "no seed, said by a validator": refuses_plainly((422, {"detail": [{"loc": ["body", "seed"]}]}), '"seed"'),
    "fixed temperature, said by the parameter": refuses_plainly(
        (400, {"error": {"message": "Unsupported value", "param": "temperature"}}), '"temperature"'
    ),
    "refused inside a 200": refuses("temperature does not support 0", "temperature", inside=True),
}
"""Read at the first answer."""

COUNTED: dict[str, tuple[Change, str, str]] = {
    "error in a 200": (body({"error": {"message": "model overloaded", "code": 503}}), "failed", "model overloaded"),
    "error text in a 200": (body({"error": "no such model"}), "failed", "no such model"),
    "error in the choice": (says("", error={"message": "upstream", "code": 502}), "failed", "upstream"),
    "unauthorised": (lambda request, whole: (401, {"error": {"message": "bad key"}}), "failed", "bad key"),
    "detail in place of error": (lambda request, whole: (422, {"detail": [{"msg": "field"}]}), "failed", "422"),
    "no choices": (body({"choices": []}), "failed", "did not answer as an OpenAI-compatible server does"),
    "the native form of Ollama": (body({"message": {"content": SAID}, "done": True}), "failed", "did not answer as"),
    "a text": (body("ok"), "failed", "did not answer as an OpenAI-compatible server does"),
    "a list": (body([{"generated_text": SAID}]), "failed", "did not answer as an OpenAI-compatible server does"),
    "content of numbers": (says(7), "failed", "did not answer as an OpenAI-compatible server does"),
    "refusal field": (says(None, message={"refusal": "I will not."}), "refused", "refusal"),
    "content filter": (says("", finish_reason="content_filter"), "refused", "refusal"),
    "a refusal in words": (says("I'm sorry, but I can't help with that."), "refused", "refusal"),
    "cut off": (says(SAID[:12], finish_reason="length"), "truncated", "cut off at max_tokens"),
    "reasoning that used up max_tokens": (
        says(None, finish_reason="length", message={"reasoning_content": "Well, "}),
        "truncated",
        "max_tokens was used up before the answer began",
    ),
    "thinking that never ended": (
        says("<think>Well, ", finish_reason="length"),
        "truncated",
        "before the answer began",
    ),
    "no content": (says(None), "format_breaks", "it was empty"),
    "a call of another tool": (
        says(None, message={"tool_calls": [{"function": {"name": "search", "arguments": '{"query": "robots"}'}}]}),
        "format_breaks",
        "its text is wrong",
    ),
    "tool calls of no form": (says(None, message={"tool_calls": 7}), "failed", "did not answer as an OpenAI"),
    "the Responses API, cut off": (
        body(responses(THOUGHT, status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
        "truncated",
        "max_tokens was used up before the answer began",
    ),
    "the Responses API, refused": (
        body(responses(responds([{"type": "refusal", "refusal": "I will not."}]))),
        "refused",
        "refusal",
    ),
    "the Responses API, failed": (
        body(responses(status="failed", error={"code": "server_error", "message": "boom"})),
        "failed",
        "boom",
    ),
    "the Responses API, still at work": (body(responses(status="queued")), "format_breaks", "it was empty"),
    "cut off, by another name": (says(SAID[:12], finish_reason="MAX_TOKENS"), "truncated", "cut off at max_tokens"),
    "half a letter": (says('{"text": "a \\ud83d story"}'), "rejected", "it has characters in it that cannot be seen"),
    "half a letter in a refusal": (
        lambda request, whole: (401, b'{"error": {"message": "bad \\ud83d key"}}'),
        "failed",
        "bad ? key",
    ),
    "a null character": (
        says('{"text": "a \\u0000 story"}'),
        "rejected",
        "it has characters in it that cannot be seen",
    ),
    "a change of direction": (
        says('{"text": "a \\u202e story"}'),
        "rejected",
        "it has characters in it that cannot be seen",
    ),
    "a space without width": (says('{"text": "a\\u200b story"}'), "rejected", "characters in it that cannot be seen"),
    "words in tags that cannot be seen": (
        says(json.dumps({"text": "a story" + "".join(chr(0xE0000 + ord(letter)) for letter in "buy now")})),
        "rejected",
        "characters in it that cannot be seen",
    ),
    "a private character": (says('{"text": "a \\ue000 story"}'), "rejected", "characters in it that cannot be seen"),
    "accents without end": (says(json.dumps({"text": "a s" + "\u0301" * 500})), "rejected", "too many accents"),
    "thoughts alone": (says(None, message={"reasoning_content": SAID}), "format_breaks", "it was empty"),
    "a later text of the same answer": (
        lambda request, whole: {**whole, "choices": [says("")(request, whole)["choices"][0]] * 2},
        "format_breaks",
        "it was empty",
    ),
    "a page of a proxy": (
        lambda request, whole: (200, b"<html>Please log in</html>"),
        "failed",
        "did not answer as an OpenAI-compatible server does",
    ),
    "a body in another encoding": (
        lambda request, whole: (200, json.dumps(says(SAID)(request, whole)).encode("utf-16")),
        "failed",
        "did not answer as an OpenAI-compatible server does",
    ),
    "brackets without end in the body": (
        lambda request, whole: (200, b'{"a":' * 100_000),
        "failed",
        "did not answer as an OpenAI-compatible server does",
    ),
    "an answer of an answer of an answer": (
        says(f'{{"a": {{"b": {{"c": {{"d": {SAID}}}}}}}}}'),
        "format_breaks",
        "its text is wrong",
    ),
    "a stream that was not requested": (
        lambda request, whole: (200, b'data: {"choices": [{"delta": {}}]}\n\ndata: [DONE]\n\n'),
        "failed",
        "did not answer as an OpenAI-compatible server does",
    ),
    "brackets without end": (says("[" * 100_000), "format_breaks", "it was not JSON"),
    "digits without end": (
        lambda request, whole: (200, b'{"usage": ' + b"1" * 5000 + b"}"),
        "failed",
        "did not answer as an OpenAI-compatible server does",
    ),
    "prose": (says("It is a story of robots."), "format_breaks", "it was not JSON"),
    "quotes of Python": (says("{'text': 'a story of robots'}"), "format_breaks", "it was not JSON"),
    "another key": (says('{"summary": "a story of robots"}'), "format_breaks", "its text is wrong"),
    "a number": (says('{"text": 3}'), "format_breaks", "its text is wrong"),
    "the schema": (says(json.dumps(Shape.model_json_schema())), "format_breaks", "is wrong"),
    "markup": (says('{"text": "<b>a story</b>"}'), "rejected", "it has angle brackets in it"),
}
"""Not usable, and counted as what it is."""


def ask(change: Change, folder: Path) -> Any:
    with serving(change=change) as server:
        model = OpenAI("m", base_url=server.url, key_variable="", attempts=1, timeout_seconds=20)
        return request_answers(
            Ledger(folder / "l.sqlite", model), Prompt("t", "{{x}}"), [{"x": "a"}], Shape, repair=False
        )


@pytest.mark.parametrize("style", READ)
def test_a_style_is_read(style: str, tmp_path: Path) -> None:
    found = ask(READ[style], tmp_path)
    assert found.values[0] is not None, found.report
    assert found.values[0].text.split() == ["a", "story", "of", "robots"]
    assert (found.report.valid, found.report.questions) == (1, 1)


@pytest.mark.parametrize("style", COUNTED)
def test_a_style_is_counted(style: str, tmp_path: Path) -> None:
    change, kind, reason = COUNTED[style]
    report = ask(change, tmp_path).report
    assert getattr(report, kind) == 1, report
    assert report.failed + report.quarantined == 1
    assert reason in next(iter(report.reasons))


def test_what_is_sent_by_the_responses_api_means_the_same(tmp_path: Path) -> None:
    """The refusal is remembered, the schema goes along, nothing is kept at the server, tokens are counted."""
    with serving(change=only_responses) as server:
        model = OpenAI(
            "m", base_url=server.url, key_variable="", timeout_seconds=20, system="Be brief.", reasoning_effort="low"
        )
        ledger = Ledger(tmp_path / "l.sqlite", model, job="a")
        found = request_answers(ledger, Prompt("t", "Say {{x}}"), [{"x": n} for n in "abc"], Shape)
    assert found.report.valid == 3
    assert server.paths.count("/v1/responses") == 3
    sent = next(one for one in server.requests if "input" in one)
    assert sent.keys() == {
        *("model", "input", "instructions", "max_output_tokens", "temperature", "text", "reasoning", "store")
    }
    assert (sent["instructions"], sent["reasoning"], sent["store"]) == ("Be brief.", {"effort": "low"}, False)
    assert (sent["text"]["format"]["type"], sent["text"]["format"]["name"]) == ("json_schema", "answer")
    assert ledger.spent().tokens == 3 * 14
