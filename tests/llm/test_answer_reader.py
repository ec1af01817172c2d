"""Answers as real models write them: one reader finds the JSON in all of them, and takes no draft for an answer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from genre.llm.answer_reader import json_values, without_thoughts
from genre.llm.base import Completion, Schema
from genre.llm.ledger import Ledger
from genre.llm.prompt import Prompt
from genre.llm.typed_answers import request_answers
from genre.recommenders.llm_orders import parse_order
from genre.testing import FakeLanguageModel

STYLES = {
    "plain": "{}",
    "spaces": "\n\n  {}\n",
    "byte order mark": "\ufeff{}",
    "fence": "```json\n{}\n```",
    "fence without a language": "```\n{}\n```",
    "fence and words": "Sure!\n```json\n{}\n```\nAnything else?",
    "preamble": "Here is the JSON: {}",
    "text after": "{}\n\nI hope this helps [1].",
    "both": "Of course. {} Let me know {if} you need more.",
    "thoughts": '<think>The user wants {"order": [1]}. Hm, a list?</think>\n\n{}',
    "thoughts in lines": "<think>\nfirst\nthen\n</think>{}",
    "empty thoughts": "<think>\n\n</think>\n\n{}",
    "thoughts without an opening tag": "So it may be [1]...\n</think>\n{}",
    "thinking": '<thinking>I cannot help with {"order": [2]} yet</thinking>{}',
    "reasoning in capitals": "<REASONING>hm</REASONING> {}",
    "thoughts in brackets": "[THINK]no [1, 2][/THINK]{}",
    "thoughts and a fence": "<think>hm</think>\nHere:\n```json\n{}\n```",
    "channels": "<|channel|>analysis<|message|>maybe [1]<|end|><|start|>assistant<|channel|>final<|message|>{}",
    "drafts before": 'First draft: {"order": [1], "text": "no"}. Better: {}',
    "brackets in words": "A set {a, b} and a list [x]: {}",
}


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str


@pytest.mark.parametrize("style", STYLES.values(), ids=list(STYLES))
def test_every_style_of_answers_is_read_for_every_use(style: str) -> None:
    class Styled(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            return style.replace("{}", json.dumps({"text": "a story of robots"}))

    found = request_answers(Ledger(":memory:", Styled()), Prompt("t", "{{x}}"), [{"x": "a"}], Shape)
    assert found.values == [Shape(text="a story of robots")]
    assert found.report.valid == 1, "without a repair"
    for written in (json.dumps({"order": [3, 1, 2]}), json.dumps({"order": [3, 1, 2]}, indent=2)):
        parsed = parse_order(style.replace("{}", written), 3)
        assert parsed is not None
        assert parsed.named == (2, 0, 1)


@pytest.mark.parametrize("text", ["[3, 1, 2]", "```json\n[3, 1, 2]\n```", "<think>[1]</think>The order is [3, 1, 2]."])
def test_a_bare_list_is_an_order(text: str) -> None:
    parsed = parse_order(text, 3)
    assert parsed is not None
    assert parsed.named == (2, 0, 1)


def test_what_is_thought_and_never_said_is_no_answer() -> None:
    for text in ('<think>so {"order": [1, 2, 3]}', '<think>{"order": [1]}</think>', "<|channel|>analysis [1, 2]"):
        assert list(json_values(text)) == []
        assert without_thoughts(text) == ""


def test_thoughts_that_use_up_max_tokens_are_named_and_not_paid_for_twice(tmp_path: Path) -> None:
    class Thinking(FakeLanguageModel):
        def _complete(self, prompt: str, schema: Schema | None) -> Completion:
            self._note(prompt)
            return Completion("<think>Let me see, I cannot help but wonder", "truncated", 30, 100)

    class CutOff(Thinking):
        def _complete(self, prompt: str, schema: Schema | None) -> Completion:
            self._note(prompt)
            return Completion('<think>hm</think>{"text": "a sto', "truncated", 30, 100)

    for model, calls in ((Thinking(), 3), (CutOff(), 6)):
        ledger = Ledger(tmp_path / f"{calls}.sqlite", model)
        report = request_answers(ledger, Prompt("t", "{{x}}"), [{"x": str(n)} for n in range(3)], Shape).report
        assert (report.truncated, report.quarantined, len(model.prompts)) == (3, 3, calls)
        assert all("max_tokens" in reason for reason in report.reasons)


@pytest.mark.parametrize("text", ["{" * 200_000, '{"a":' * 100_000, "[" * 200_000, "<think>" * 50_000, "{} " * 100_000])
def test_hostile_answers_are_read_in_little_time(text: str) -> None:
    start = time.perf_counter()
    list(json_values(text))
    assert time.perf_counter() - start < 3
