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
    "no content": (says(None), "format_breaks", "it was not JSON"),
    "a tool call": (
        says(None, message={"tool_calls": [{"function": {"name": "answer", "arguments": SAID}}]}),
        "format_breaks",
        "it was not JSON",
    ),
    "prose": (says("It is a story of robots."), "format_breaks", "it was not JSON"),
    "quotes of Python": (says("{'text': 'a story of robots'}"), "format_breaks", "it was not JSON"),
    "another key": (says('{"summary": "a story of robots"}'), "format_breaks", "its text is wrong"),
    "a further key": (says('{"text": "a", "mood": "sad"}'), "format_breaks", "its mood is wrong"),
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
