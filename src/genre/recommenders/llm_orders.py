"""Three ways to let a language model order a few candidates: by titles, by labels, by a written list.

The result of each is a rank for each candidate, averaged over shuffled prompts. Knows texts, the ledger of calls and
ranks; nothing about recommenders or budgets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Float64
from genre.llm.answer_reader import json_values
from genre.llm.base import Completion
from genre.llm.ledger import Ledger
from genre.llm.prompt import Prompt, load_prompt

OrderingMethod = Literal["titles", "labels", "list"]
PROMPTS: dict[OrderingMethod, str] = {"titles": "next_title", "labels": "choose", "list": "rerank"}
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class OrderingTask:
    """The histories and candidates that a language model is to order.

    Attributes:
        histories: for each history the lines of its items, oldest first.
        candidates: for each history the lines of its `n` candidates.
        shuffles: the orders in which candidates are shown, so that their order in the prompt does not become the
            answer. Each int64 `[n]`
        wording: the words of the domain.
    """

    histories: Sequence[Sequence[str]]
    candidates: Sequence[Sequence[str]]
    shuffles: Sequence[npt.NDArray[np.int64]]
    wording: Mapping[str, str]

    @property
    def n(self) -> int:
        """How many candidates each history has."""
        return len(self.candidates[0])

    def render(self, prompt: Prompt, **values: Any) -> str:
        """Return a prompt filled with values and with those words of the domain that it uses.

        Args:
            prompt: the template.
            **values: the other variables of the template.

        Returns:
            The text to send.
        """
        return prompt.render(**values, **{k: text for k, text in self.wording.items() if k in prompt.variables})

    def prompts(self, prompt: Prompt, marks: Sequence[str]) -> list[str]:
        """Return one text for each history and shuffle, with the candidates behind marks such as `A`.

        Args:
            prompt: the template, with the variables history and candidates.
            marks: one a candidate, in the order shown.

        Returns:
            The texts, all shuffles of the first history first.
        """
        return [
            self.render(prompt, history=lines, candidates=[f"{marks[at]}. {row[c]}" for at, c in enumerate(order)])
            for lines, row in zip(self.histories, self.candidates, strict=True)
            for order in self.shuffles
        ]


@dataclass(frozen=True)
class CandidateRanks:
    """The result of a task.

    Attributes:
        rank: mean rank of each candidate, 0 is best; NaN where there is no usable answer. `[n_histories, n]`
        failed: whether a call failed, so that the same task may succeed later. bool `[n_histories]`
        error: the last error, for people.
        counts: candidates in written lists that were `missing`, `unknown` or `repeated`.
    """

    rank: Float64
    failed: npt.NDArray[np.bool_]
    error: str = ""
    counts: Counter[str] = field(default_factory=Counter)


def rank_by_titles(ledger: Ledger, task: OrderingTask) -> CandidateRanks:
    """Rank candidates by ln P(title | history) - ln P(title | no history): common titles are not good for that.

    Args:
        ledger: sends the prompts that it has not sent before.
        task: what to order; its shuffles are not used.

    Returns:
        The ranks.
    """
    prompt = load_prompt(PROMPTS["titles"])
    titles = [[f" {line}" for line in row] for row in task.candidates]
    every = list(dict.fromkeys(title for row in titles for title in row))
    no_history = task.render(prompt, history=[f"some {task.wording['items']}"]).rstrip()
    prompts = [task.render(prompt, history=lines).rstrip() for lines in task.histories]
    answers = ledger.likelihood(prompt, prompts, titles)
    alone = ledger.likelihood(prompt, [no_history] * len(every), [[title] for title in every])
    prior = {title: answer.numbers() for title, answer in zip(every, alone, strict=True)}
    rank = np.full((len(titles), task.n), np.nan)
    for row, (answer, own) in enumerate(zip(answers, titles, strict=True)):
        if answer.outcome == "ok" and all(prior[title] for title in own):
            rank[row] = mean_ranks(np.array(answer.numbers()) - [prior[title][0] for title in own])
    return CandidateRanks(rank, np.isnan(rank[:, 0]), _last_error([*answers, *alone]))


def rank_by_labels(ledger: Ledger, task: OrderingTask) -> CandidateRanks:
    """Rank candidates by ln P(letter) of their letter as the answer: the mean of its ranks over the shuffles.

    Args:
        ledger: sends the prompts that it has not sent before.
        task: what to order.

    Returns:
        The ranks.
    """
    prompt = load_prompt(PROMPTS["labels"])
    prompts = task.prompts(prompt, LABELS)
    answers = ledger.likelihood(prompt, prompts, [list(LABELS[: task.n])] * len(prompts))
    values = np.full((len(prompts), task.n), np.nan)
    for at, answer in enumerate(answers):
        if answer.outcome == "ok":
            values[at, task.shuffles[at % len(task.shuffles)]] = mean_ranks(np.array(answer.numbers()))
    mean = values.reshape(len(task.candidates), -1, task.n).mean(axis=1)  # [n_histories, n]
    return CandidateRanks(mean, np.isnan(mean[:, 0]), _last_error(answers))


def rank_by_list(ledger: Ledger, task: OrderingTask) -> CandidateRanks:
    """Rank candidates by their position in the order that the model writes, the mean over the readable ones.

    Candidates that it leaves out follow in the order of the task.

    Args:
        ledger: sends the prompts that it has not sent before.
        task: what to order.

    Returns:
        The ranks.
    """
    prompt, n, shuffles = load_prompt(PROMPTS["list"]), task.n, task.shuffles
    prompts = task.prompts(prompt, [str(at + 1) for at in range(n)])
    answers = ledger.complete(prompt, prompts, _order_schema(n))
    values, counts, error = np.full((len(answers), n), np.nan), Counter[str](), _last_error(answers)
    for at, answer in enumerate(answers):
        order = shuffles[at % len(shuffles)]
        parsed = parse_order(answer.text, n) if answer.outcome == "ok" else None
        if parsed is None:
            cut = answer.outcome == "truncated"
            error = error or ("an order that was cut off at max_tokens" if cut else "an order that could not be read")
            continue
        named = [int(order[position]) for position in parsed.named]
        rest = [c for c in range(n) if c not in named]
        values[at, named + rest] = np.arange(n)
        counts.update({"missing": len(rest), "unknown": parsed.unknown, "repeated": parsed.repeated})
    pairs = values.reshape(-1, 2 if len(shuffles) % 2 == 0 else 1, n)  # an order and its reverse: [n_pairs, 2, n]
    pairs[np.isnan(pairs).any(axis=(1, 2))] = np.nan  # one without the other would lean to the order shown
    grouped = values.reshape(len(task.candidates), -1, n)  # [n_histories, n_shuffles, n]
    readable = ~np.isnan(grouped[:, :, :1])
    total, n_readable = np.where(readable, grouped, 0).sum(axis=1), readable.sum(axis=1)
    mean = np.where(n_readable > 0, total / np.maximum(n_readable, 1), np.nan)
    failed = np.array([answer.outcome == "failed" for answer in answers]).reshape(len(mean), -1)
    return CandidateRanks(mean, np.asarray(failed.any(axis=1), bool), error, counts)


METHODS: dict[OrderingMethod, Callable[[Ledger, OrderingTask], CandidateRanks]] = {
    "titles": rank_by_titles,
    "labels": rank_by_labels,
    "list": rank_by_list,
}


def _order_schema(n: int) -> dict[str, Any]:
    """Return the JSON schema of an order of `n` candidates."""
    number: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": n}
    return {
        "type": "object",
        "properties": {"order": {"type": "array", "items": number, "minItems": n, "maxItems": n}},
        "required": ["order"],
        "additionalProperties": False,
    }


def _last_error(answers: Sequence[Completion]) -> str:
    return next((answer.error for answer in reversed(answers) if answer.error), "")


@dataclass(frozen=True)
class ParsedOrder:
    """An order as a model wrote it.

    Attributes:
        named: the candidates that it names, counted from 0, each once.
        unknown: entries that are no candidates.
        repeated: candidates named again.
    """

    named: tuple[int, ...]
    unknown: int
    repeated: int


def parse_order(text: str, n: int) -> ParsedOrder | None:
    """Read an order such as `{"order": [3, 1, 2]}` or `[3, 1, 2]`, candidates counted from 1.

    Args:
        text: the answer of a model.
        n: how many candidates there are.

    Returns:
        The order; None when the text has another form or names no candidate.
    """
    values = list(json_values(text))
    orders = [value["order"] for value in values if isinstance(value, dict) and "order" in value]
    if '"order"' not in text:  # else a list is a part of something broken
        orders = orders or values
    numbers = next((order for order in orders if isinstance(order, list)), [])
    whole = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool)]
    legal = [number - 1 for number in whole if 1 <= number <= n]
    named = tuple(dict.fromkeys(legal))
    return ParsedOrder(named, len(numbers) - len(legal), len(legal) - len(named)) if named else None


def mean_ranks(values: Float64) -> Float64:
    """Return the rank of each value; equal values share the mean of their ranks.

    Args:
        values: higher is better. `[n]`

    Returns:
        Ranks, 0 for the highest value; all NaN where any value is NaN. `[n]`
    """
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    above = (values[None, :] > values[:, None]).sum(axis=1)
    ties = (values[None, :] == values[:, None]).sum(axis=1)
    return np.asarray(above + (ties - 1) / 2, np.float64)


def fuse_orders(rank: Float64, weight: float) -> npt.NDArray[np.int64]:
    """Return the order of candidates by `weight` times their rank plus (1 - `weight`) times their position.

    Args:
        rank: ranks of the candidates in another order. `[n]`
        weight: 0 keeps the candidates as they are, 1 sorts them by `rank`.

    Returns:
        Numbers of candidates, best first. `[n]`
    """
    fused = weight * rank + (1 - weight) * np.arange(len(rank))
    return np.argsort(fused, kind="stable")


def strictly_falling(scores: Float32) -> Float32:
    """Return falling scores made strictly falling, so that a new order of items can be expressed by them.

    Equal scores are raised by the smallest steps that float32 has; none is lowered, so that items below stay below.

    Args:
        scores: the scores of the best candidates, best first. `[n]`

    Returns:
        float32 `[n]`
    """
    out = np.array(scores, np.float32)
    for at in range(len(out) - 2, -1, -1):
        out[at] = max(out[at], np.nextafter(out[at + 1], np.float32(np.inf)))
    return out
