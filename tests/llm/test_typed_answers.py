"""Typed answers: every way to go wrong ends in its own count, and nothing wrong gets through."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from genre.llm.base import Schema
from genre.llm.fake import Fault
from genre.llm.grounding import is_written_in
from genre.llm.ledger import Ledger
from genre.llm.ledger_table import read_log
from genre.llm.prompt import Prompt
from genre.llm.typed_answers import distinctness, request_answers
from genre.testing import FakeLanguageModel

PROMPT = Prompt("test", "<data>\n{{x}}\n</data>\nDescribe it.")
VALUES = [{"x": f"story number {n} of robots and rockets"} for n in range(12)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(min_length=3, max_length=200)]
    topics: Annotated[list[Literal["space", "castles"]], Field(min_length=1, max_length=3)]


def check(at: int, value: Shape) -> str:
    return "" if is_written_in(value.text, "English") else "not English"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("hang", "failed"),
        ("error", "failed"),
        ("empty", "format_breaks"),
        ("truncated", "truncated"),
        ("not_json", "format_breaks"),
        ("other_json", "format_breaks"),
        ("refusal", "refused"),
        ("french", "rejected"),
        ("html", "rejected"),
    ],
)
def test_each_fault_is_counted_exactly_and_leaves_nothing(tmp_path: Path, fault: Fault, kind: str) -> None:
    model = FakeLanguageModel(fault=fault, every=3)  # calls 0, 3, 6, 9 of twelve, then some of the repairs
    answers = request_answers(Ledger(tmp_path / "l.sqlite", model), PROMPT, VALUES, Shape, check)
    report = answers.report
    assert getattr(report, kind) == 4
    assert report.valid == 8
    assert report.valid + report.repaired + report.quarantined + report.failed == report.questions == 12
    older = {name: value for name, value in dataclasses.asdict(report).items() if name != "questions"}
    assert type(report).from_json({**older, "named otherwise": 12}) == report
    if kind == "failed":
        assert len(model.prompts) == 12, "a call that failed has nothing to repair"
    else:
        assert len(model.prompts) == 16, "each is repaired once"
        assert (report.repaired, report.quarantined) == (2, 2), "repairs 13 and 16 of the calls went wrong again"
        assert len(answers.quarantine) == 2
    for value in answers.values:
        assert value is None or check(0, value) == ""
        assert value is None or "<" not in value.text


def test_reasons_say_what_was_wrong(tmp_path: Path) -> None:
    found = request_answers(Ledger(tmp_path / "l", FakeLanguageModel(fault="other_json")), PROMPT, VALUES, Shape)
    assert list(found.report.reasons) == ["its text is wrong (Field required)"]


def test_verdicts_are_in_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", FakeLanguageModel(fault="other_json", every=3))
    request_answers(ledger, PROMPT, VALUES, Shape)
    verdicts = [entry.verdict.split(":")[0] for entry in read_log(tmp_path / "l.sqlite", last=99)][::-1]
    assert verdicts[:12].count("valid") == 8
    assert verdicts[:12].count("repaired") == 2
    assert verdicts[:12].count("quarantined") == 2


def test_a_code_fence_is_forgiven(tmp_path: Path) -> None:
    class Fenced(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            return f"```json\n{super().reply(prompt, schema)}\n```"

    assert request_answers(Ledger(tmp_path / "l.sqlite", Fenced()), PROMPT, VALUES, Shape).report.valid == 12


def test_a_line_break_within_a_text_is_forgiven(tmp_path: Path) -> None:
    class Broken(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            return super().reply(prompt, schema).replace(" and ", " and\n")

    assert request_answers(Ledger(tmp_path / "l.sqlite", Broken()), PROMPT, VALUES, Shape).report.valid == 12


def test_a_list_that_is_written_as_a_text_is_forgiven(tmp_path: Path) -> None:
    class Joined(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            answer = json.loads(super().reply(prompt, schema))
            return json.dumps({"Text": answer["text"], "TOPICS": " space, castles\n", "sure": True})

    found = request_answers(Ledger(tmp_path / "l.sqlite", Joined()), PROMPT, VALUES, Shape)
    assert (found.report.valid, found.report.format_breaks) == (12, 0)
    assert {tuple(value.topics) for value in found.values if value is not None} == {("space", "castles")}


def test_the_same_answer_to_everything_shows(tmp_path: Path) -> None:
    class Parrot(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            return json.dumps({"text": "it is about a thing", "topics": ["space"]})

    values = [{"x": str(n)} for n in range(40)]
    answers = request_answers(
        Ledger(tmp_path / "l.sqlite", Parrot()), PROMPT, values, Shape, text=lambda value: value.text
    )
    assert answers.report.distinct_ratio == 1 / 40
    assert answers.report.top10_share == 1.0
    assert distinctness([str(n) for n in range(40)]) == (1.0, 0.25)
    assert distinctness([]) == (0.0, 0.0)
