"""Three ways to have a language model order a few candidates: by titles, by labels, by a written list.

Knows texts, a ledger and orders; nothing about recommenders or budgets.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32
from genre.llm.base import Completion
from genre.llm.ledger import Ledger
from genre.llm.prompt import Prompt, load_prompt

Way = Literal["titles", "labels", "list"]
PROMPTS: dict[Way, str] = {"titles": "next_title", "labels": "choose", "list": "rerank"}
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Task:
    """What is asked about: for each of `rows` histories its lines, oldest first, and those of its `n` candidates.

    shuffled: the orders in which candidates are shown, so that the order of the lines does not become the answer.
    wording: of the domain.
    """

    told: Sequence[Sequence[str]]
    candidates: Sequence[Sequence[str]]
    shuffled: Sequence[npt.NDArray[np.int64]]
    wording: Mapping[str, str]

    @property
    def n(self) -> int:
        return len(self.candidates[0])

    def render(self, prompt: Prompt, **values: Any) -> str:
        return prompt.render(**values, **{k: text for k, text in self.wording.items() if k in prompt.variables})

    def inputs(self, prompt: Prompt, marks: Sequence[str]) -> list[str]:
        """One a history and shuffle: the candidates behind their marks, such as `A`."""
        return [
            self.render(prompt, history=lines, candidates=[f"{marks[at]}. {row[c]}" for at, c in enumerate(order)])
            for lines, row in zip(self.told, self.candidates, strict=True)
            for order in self.shuffled
        ]


@dataclass(frozen=True)
class Found:
    """The mean place of each candidate, 0 is best, NaN where no order can be had `[rows, n]`.

    failed: where a call did not end well, so that it is worth asking again `[rows]`. trouble: the last one, for people.
    counts: of candidates in written lists that were missing, unknown, repeated.
    """

    place: Float64
    failed: npt.NDArray[np.bool_]
    trouble: str = ""
    counts: Counter[str] = field(default_factory=Counter)


def by_titles(ledger: Ledger, task: Task) -> Found:
    """ln P(title | history) - ln P(title | nobody's history): a title is not good because it is common."""
    prompt = load_prompt(PROMPTS["titles"])
    titles = [[f" {line}" for line in row] for row in task.candidates]
    every = list(dict.fromkeys(title for row in titles for title in row))
    nobody = task.render(prompt, history=[f"some {task.wording['items']}"]).rstrip()
    inputs = [task.render(prompt, history=lines).rstrip() for lines in task.told]
    answers = ledger.likelihood(prompt, inputs, titles)
    alone = ledger.likelihood(prompt, [nobody] * len(every), [[title] for title in every])
    prior = {title: answer.numbers() for title, answer in zip(every, alone, strict=True)}
    place = np.full((len(titles), task.n), np.nan)
    for row, (answer, own) in enumerate(zip(answers, titles, strict=True)):
        if answer.outcome == "ok" and all(prior[title] for title in own):
            place[row] = places(np.array(answer.numbers()) - [prior[title][0] for title in own])
    return Found(place, np.isnan(place[:, 0]), _trouble([*answers, *alone]))


def by_labels(ledger: Ledger, task: Task) -> Found:
    """ln P(letter) of each candidate, its mean over the shuffles."""
    prompt = load_prompt(PROMPTS["labels"])
    inputs = task.inputs(prompt, LABELS)
    answers = ledger.likelihood(prompt, inputs, [list(LABELS[: task.n])] * len(inputs))
    values = np.full((len(inputs), task.n), np.nan)
    for at, answer in enumerate(answers):
        if answer.outcome == "ok":
            values[at, task.shuffled[at % len(task.shuffled)]] = answer.numbers()
    mean = values.reshape(len(task.candidates), -1, task.n).mean(axis=1)
    return Found(np.stack([places(row) for row in mean]), np.isnan(mean[:, 0]), _trouble(answers))


def by_list(ledger: Ledger, task: Task) -> Found:
    """The place of each candidate in the written order, its mean over the shuffles that could be read."""
    prompt, n, shuffled = load_prompt(PROMPTS["list"]), task.n, task.shuffled
    number: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": n}
    schema = {
        "type": "object",
        "properties": {"order": {"type": "array", "items": number, "minItems": n, "maxItems": n}},
        "required": ["order"],
        "additionalProperties": False,
    }
    answers = ledger.complete(prompt, task.inputs(prompt, [str(at + 1) for at in range(n)]), schema)
    values, counts, trouble = np.full((len(answers), n), np.nan), Counter[str](), _trouble(answers)
    for at, answer in enumerate(answers):
        order = shuffled[at % len(shuffled)]
        read = read_order(answer.text, n) if answer.outcome == "ok" else None
        if read is None:
            trouble = trouble or "an order that could not be read"
            continue
        named = [int(order[place]) for place in read.named]
        rest = [c for c in range(n) if c not in named]  # in the order of the first stage
        values[at, named + rest] = np.arange(n)
        counts.update({"missing": len(rest), "unknown": read.unknown, "repeated": read.repeated})
    grouped = values.reshape(len(task.candidates), -1, n)  # [rows, shuffles, n]
    readable = ~np.isnan(grouped[:, :, :1])
    total, read_ones = np.where(readable, grouped, 0).sum(axis=1), readable.sum(axis=1)
    mean = np.where(read_ones > 0, total / np.maximum(read_ones, 1), np.nan)
    lost = np.array([answer.outcome == "failed" for answer in answers]).reshape(len(mean), -1)
    return Found(mean, np.asarray(lost.any(axis=1), bool), trouble, counts)


WAYS: dict[Way, Callable[[Ledger, Task], Found]] = {"titles": by_titles, "labels": by_labels, "list": by_list}


def _trouble(answers: Sequence[Completion]) -> str:
    return next((answer.error for answer in reversed(answers) if answer.error), "")


Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Read:
    """A written order: the candidates it names, 0-based, each once; how many it named that do not exist, or again."""

    named: tuple[int, ...]
    unknown: int
    repeated: int


def read_order(text: str, n: int) -> Read | None:
    """`{"order": [3, 1, 2]}` of `n` candidates counted from 1; None when it is not that or names none of them."""
    try:
        numbers = json.loads(text)["order"]
        whole = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    legal = [number - 1 for number in whole if 1 <= number <= n]
    named = tuple(dict.fromkeys(legal))
    return Read(named, len(numbers) - len(legal), len(legal) - len(named)) if named else None


def places(values: Float64) -> Float64:
    """The place of each value, 0 for the highest; equal values share the mean of their places; NaN stays. [n]"""
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    above = (values[None, :] > values[:, None]).sum(axis=1)
    ties = (values[None, :] == values[:, None]).sum(axis=1)
    return np.asarray(above + (ties - 1) / 2, np.float64)


def fuse(place: Float64, weight: float) -> npt.NDArray[np.int64]:
    """The order of candidates, best first, by weighted place: `weight` of `place`, the rest of their own order. [n]"""
    fused = weight * place + (1 - weight) * np.arange(len(place))
    return np.argsort(fused, kind="stable")


def deal(scores: Float32) -> Float32:
    """The scores of the best `n`, falling, made strictly falling so that a new order can be read off them. [n]

    They grow by the smallest steps there are, never fall: what stood below stays below.
    """
    out = np.array(scores, np.float32)
    for at in range(len(out) - 2, -1, -1):
        out[at] = max(out[at], np.nextafter(out[at + 1], np.float32(np.inf)))
    return out
