"""Typed answers of a language model: parsed, checked, repaired at most once, else put into quarantine and counted.

A shape is a pydantic model: its JSON Schema goes to the provider, and the same model checks the answer. Knows nothing
about recommending.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from genre.display import counted
from genre.errors import BudgetExceeded
from genre.llm.answer_reader import json_values, without_thoughts
from genre.llm.base import Completion, Schema, one_line
from genre.llm.budget import money_of
from genre.llm.ledger import Ledger
from genre.llm.prompt import Prompt, Value, load_prompt
from genre.log import SILENT, Log

Shape = TypeVar("Shape", bound=BaseModel)
Check = Callable[[int, Any], str]

REFUSAL = re.compile(
    r"\b(i(['’]m| am) (sorry|unable|not able)|i (can(no|['’])t|cannot|won['’]t) (help|assist|do|provide|answer|comply)"
    r"|as an ai\b|as a (large )?language model)",
    re.IGNORECASE,
)
UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Kinds of characters that cannot be seen: controls, changes of direction, tags, halves of letters, private ones."""
SEEN_IN_TEXTS = frozenset("\t\n\r\u200c\u200d")  # ends of lines, and what joins emoji and letters of some scripts
MOST_MARKS = 4  # accents on one letter
REFUSED = "it was a refusal"
CUT_OFF = "it was cut off at max_tokens; be shorter"
EMPTY = "it was empty"
NEVER_BEGAN = "max_tokens was used up before the answer began; reasoning needs more"
OVER_BUDGET = Completion("", "failed", error="the budget is used up", sent=False)
"""What stands for the answer to a question that came after the budget."""
KEPT_REASONS, SHOWN_REASONS = 5, 3
PARTS = ("valid", "repaired", "quarantined", "failed", "over_budget")
"""Counts of a report that add up to its questions."""


@dataclass(frozen=True)
class Quarantined:
    """An answer that was not used.

    Attributes:
        at: Position of its question.
        problem: What is wrong with it.
        text: What the model wrote.
    """

    at: int
    problem: str
    text: str


@dataclass(frozen=True)
class AnswerReport:
    """Counts of how the answers to one prompt turned out; those of PARTS add up to the questions.

    Attributes:
        questions: Filled prompts.
        valid: First answers that passed.
        repaired: Second answers that passed.
        quarantined: Questions without an answer that passed.
        failed: Questions whose call did not end well.
        over_budget: Questions that were not sent, since the budget was used up.
        truncated: First answers that were cut off.
        refused: First answers that refused.
        format_breaks: First answers that were not JSON of the schema.
        rejected: First answers of the right form that the check rejected.
        distinct_ratio: Share of different texts among the usable ones.
        top10_share: Share of the ten most frequent texts among the usable ones.
        catalogue_matches: Share that names an item of the catalogue; None where no item was to be named.
        replaced: Usable answers whose sentence was replaced by one of the data.
        unmatched: Usable answers that are like no item of the catalogue; None where no item was to be named.
        reasons: Why answers were not used, the most frequent reasons with their counts.
        tokens_in: Tokens of all prompts, also those paid for in an earlier run.
        tokens_out: Tokens of all answers, also those paid for in an earlier run.
        seconds: Wall time of all calls.
        money: By the provider's prices.
    """

    questions: int = 0
    valid: int = 0
    repaired: int = 0
    quarantined: int = 0
    failed: int = 0
    over_budget: int = 0
    truncated: int = 0
    refused: int = 0
    format_breaks: int = 0
    rejected: int = 0
    distinct_ratio: float = 0.0
    top10_share: float = 0.0
    replaced: int = 0
    catalogue_matches: float | None = None
    unmatched: int | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    money: float = 0.0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read a saved report; older files name the number of questions otherwise, so it is added up anew.

        Args:
            values: The report as JSON values.

        Returns:
            The report.
        """
        known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
        known["questions"] = sum(known.get(name, 0) for name in PARTS)
        return cls(**known)

    @property
    def usable(self) -> int:
        """Questions with an answer that passed."""
        return self.valid + self.repaired

    def __str__(self) -> str:
        why = "; ".join(f"{count:,} x {reason}" for reason, count in list(self.reasons.items())[:SHOWN_REASONS])
        unused = f"{self.quarantined:,} in quarantine, {counted(self.failed, 'call')} failed"
        unused += f", {self.over_budget:,} not sent: the budget is used up" if self.over_budget else ""
        unused += f" ({why})" if why else ""
        unused += (
            f"; {self.replaced:,} of the usable ones replaced by the nearest words of the data" if self.replaced else ""
        )
        unused += f"; {self.unmatched:,} of the usable ones are like no item" if self.unmatched else ""
        return f"{self.usable:,} of {self.questions:,} usable, {unused}"


@dataclass(frozen=True)
class Answers(Generic[Shape]):
    """Checked answers.

    Attributes:
        values: One a question, None where the answer was not usable.
        report: Counts of how they turned out.
        quarantine: The answers that were not used.
    """

    values: list[Shape | None]
    report: AnswerReport
    quarantine: tuple[Quarantined, ...]


@dataclass(frozen=True)
class _Tried(Generic[Shape]):
    """One answer and what the checks say of it."""

    answer: Completion
    value: Shape | None
    kind: str  # "valid", or the field of AnswerReport it counts under
    problem: str = ""
    replaced: bool = False


def request_answers(
    ledger: Ledger,
    prompt: Prompt,
    values: Sequence[Mapping[str, Value]],
    shape: type[Shape],
    check: Check = lambda at, value: "",
    *,
    instead: Callable[[int, Shape], Shape | None] = lambda at, value: None,
    text: Callable[[Shape], str] = str,
    schemas: Sequence[Schema] | None = None,
    repair: bool = True,
    cutoff: int | None = None,
    log: Log = SILENT,
) -> Answers[Shape]:
    """Request an answer for each filling of a prompt, and check it; where the budget ends, go on with what there is.

    Args:
        ledger: Where answers come from.
        prompt: The prompt.
        values: The prompt's variables, one filling a question.
        shape: The pydantic model that an answer must fit.
        check: `(position, value)` -> what is wrong with it in words for the model, empty when nothing is.
        instead: `(position, value)` -> what may stand for a value that does not pass, None where nothing may.
        schemas: The JSON Schema of each answer, narrower than that of `shape`; None: that of `shape`.
        text: The part of a value that `distinct_ratio` and `top10_share` compare.
        repair: Whether an answer that does not pass is requested once more, with what is wrong with it.
        cutoff: Seconds since 1970; nothing after it was used for the values.
        log: Where progress is shown.

    Returns:
        The answers that passed, and the report.
    """
    inputs = [prompt.render(**one) for one in values]
    schemas = [shape.model_json_schema()] * len(inputs) if schemas is None else schemas
    completions = _complete(ledger, prompt, inputs, schemas, cutoff, log)
    first = [_judge(at, answer, shape, check, instead) for at, answer in enumerate(completions)]
    again = [at for at, tried in enumerate(first) if _can_be_repaired(tried)] if repair else []
    mend = load_prompt("repair")
    repairs = [
        inputs[at] + mend.render(answer=without_thoughts(first[at].answer.text), problem=first[at].problem)
        for at in again
    ]
    answers = _complete(ledger, mend, repairs, [schemas[at] for at in again], cutoff, log) if repairs else []
    second = {
        at: _judge(at, answer, shape, check, instead)
        for at, answer in zip(again, answers, strict=True)
        if answer is not OVER_BUDGET
    }
    final = [second.get(at, tried) for at, tried in enumerate(first)]
    sent = {inputs[at]: at for at, tried in enumerate(first) if tried.kind != "over_budget"}
    verdicts = {text: _verdict(first[at], second.get(at)) for text, at in sent.items()}
    ledger.record_verdicts(prompt, verdicts, [schemas[at] for at in sent.values()])
    paid = dict(zip([*inputs, *repairs], [*completions, *answers], strict=True))  # equal prompts are sent once
    return Answers(
        [tried.value for tried in final],
        _report(first, final, text, list(paid.values()), ledger),
        tuple(
            Quarantined(at, tried.problem, first[at].answer.text)
            for at, tried in enumerate(final)
            if tried.value is None and first[at].kind not in ("failed", "over_budget")
        ),
    )


def _complete(
    ledger: Ledger, prompt: Prompt, inputs: Sequence[str], schemas: Sequence[Schema], cutoff: int | None, log: Log
) -> list[Completion]:
    """Return an answer for each input; OVER_BUDGET for those that came after the budget, which is said once."""
    try:
        return ledger.complete(prompt, inputs, schemas, cutoff=cutoff, log=log)
    except BudgetExceeded as error:
        log.line(f"warning: {prompt.name}: {error}")
        return [OVER_BUDGET if answer is None else answer for answer in ledger.answers_so_far(prompt, inputs, schemas)]


def _can_be_repaired(tried: _Tried[Any]) -> bool:
    """Tell whether a second request may do better: not after a failed call, nor where there was no room to answer."""
    return tried.kind not in ("valid", "failed", "over_budget") and tried.problem != NEVER_BEGAN


def _report(
    first: Sequence[_Tried[Shape]],
    final: Sequence[_Tried[Shape]],
    text: Callable[[Shape], str],
    paid: Sequence[Completion],
    ledger: Ledger,
) -> AnswerReport:
    """Count how first and final answers to the same questions turned out, and what they cost."""
    kinds = Counter(tried.kind for tried in first)
    usable = [tried.value for tried in final if tried.value is not None]
    distinct, top10 = distinctness([text(value) for value in usable])
    tokens_in, tokens_out = (sum(getattr(one, name) for one in paid) for name in ("tokens_in", "tokens_out"))
    return AnswerReport(
        questions=len(first),
        repaired=len(usable) - kinds["valid"],
        quarantined=len(first) - len(usable) - kinds["failed"] - kinds["over_budget"],
        **{
            name: kinds[name]
            for name in ("valid", "failed", "over_budget", "truncated", "refused", "format_breaks", "rejected")
        },
        replaced=sum(tried.replaced for tried in final),
        distinct_ratio=distinct,
        top10_share=top10,
        reasons=_reasons(tried for tried in final if tried.value is None),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds=round(sum(one.seconds for one in paid), 3),
        money=money_of(ledger.model, tokens_in, tokens_out),
    )


def _reasons(unused: Iterable[_Tried[Any]]) -> dict[str, int]:
    """Count the most frequent reasons, without what is particular to one answer (the names it invented)."""
    counts = Counter(
        tried.problem if tried.kind == "failed" else re.split("[:;]", tried.problem)[0]
        for tried in unused
        if tried.kind != "over_budget"  # a count of its own
    )
    return dict(counts.most_common(KEPT_REASONS))


def distinctness(texts: Sequence[str]) -> tuple[float, float]:
    """Measure how different texts are from one another, ignoring case and spaces.

    Args:
        texts: Any texts.

    Returns:
        The share of different texts, and the share of all that the ten most frequent make up.
    """
    if not texts:
        return 0.0, 0.0
    counts = Counter(" ".join(text.casefold().split()) for text in texts)
    top = sum(count for _, count in counts.most_common(10))
    return round(len(counts) / len(texts), 4), round(top / len(texts), 4)


def _judge(
    at: int, answer: Completion, shape: type[Shape], check: Check, instead: Callable[[int, Shape], Shape | None]
) -> _Tried[Shape]:
    """Parse and check one answer."""

    def unusable(kind: str, problem: str) -> _Tried[Shape]:
        return _Tried(answer, None, kind, problem)

    if answer is OVER_BUDGET:
        return unusable("over_budget", answer.error)
    if answer.outcome == "failed":
        return unusable("failed", answer.error)
    if answer.outcome == "refused":
        return unusable("refused", REFUSED)
    text = without_thoughts(answer.text)
    try:
        value = _read(answer.text, shape)
    except ValueError as error:  # pydantic's ValidationError is one
        if answer.outcome == "truncated":
            return unusable("truncated", CUT_OFF if text else NEVER_BEGAN)
        if REFUSAL.search(text):
            return unusable("refused", REFUSED)
        return unusable("format_breaks", _why(error) if text else EMPTY)
    if REFUSAL.search(text):
        return unusable("refused", REFUSED)
    problem = _unprintable(value) or check(at, value)
    other = instead(at, value) if problem else None
    if other is not None and not check(at, other):
        return _Tried(answer, other, "valid", replaced=True)
    return unusable("rejected", problem) if problem else _Tried(answer, value, "valid")


def _read(text: str, shape: type[Shape]) -> Shape:
    """Return the likeliest JSON value of an answer that fits a shape; a ValueError says why none does."""
    problems = []
    for value in json_values(text):
        try:
            return shape.model_validate(_of_shape(value, shape))
        except ValueError as error:
            problems.append((isinstance(value, dict), error))
    raise next((error for is_object, error in problems if is_object), ValueError("no JSON object"))


def _of_shape(value: Any, shape: type[BaseModel]) -> Any:
    """Return an object with the fields of a shape alone, whatever their capitals; a list may be a text with commas."""
    if not isinstance(value, dict):
        return value
    names = {name.casefold(): name for name in shape.model_fields}
    known = {names[key]: part for name, part in value.items() if (key := str(name).strip().casefold()) in names}
    for name, part in known.items():
        if isinstance(part, str) and get_origin(shape.model_fields[name].annotation) is list:
            known[name] = [word for one in re.split("[,;\n]", part) if (word := one.strip())]
    return known


def _unprintable(value: Any) -> str:
    """Return what is wrong with the characters of an answer, whatever its fields are."""
    if isinstance(value, BaseModel | dict | list | tuple):
        parts = dict(value).values() if isinstance(value, BaseModel | dict) else value
        return next((problem for part in parts if (problem := _unprintable(part))), "")
    if not isinstance(value, str):
        return ""
    if "<" in value or ">" in value:
        return "it has angle brackets in it"
    kinds = [unicodedata.category(character) for character in value if character not in SEEN_IN_TEXTS]
    if UNSEEN.intersection(kinds):
        return "it has characters in it that cannot be seen"
    marks = "".join("m" if kind in ("Mn", "Me") else " " for kind in kinds)
    return "it has letters with too many accents in it" if "m" * (MOST_MARKS + 1) in marks else ""


def _why(error: Exception) -> str:
    """Say in words for the model why an answer could not be parsed."""
    if isinstance(error, ValidationError):
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        return one_line(f"its {where or 'value'} is wrong ({wrong['msg']})")
    return "it was not JSON"


def _verdict(first: _Tried[Any], second: _Tried[Any] | None) -> str:
    """Return what the ledger records about an answer."""
    if first.value is not None:
        return "valid"
    if second is not None and second.value is not None:
        return f"repaired: {first.problem}"
    return f"quarantined: {first.problem}"
