"""Wording: evidence for a recommendation as one sentence, by template or by a language model that is checked.

The model may only rephrase: a sentence with a title, number or name that is not in the evidence, or without any of
its titles or words, is rejected in favour of the template's.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from genre.data.dataset import Dataset
from genre.data.titles import title_key
from genre.data.words import WORD, words
from genre.errors import BudgetExceeded, GenreError
from genre.llm.budget import Plan
from genre.llm.domains import DEFAULT_DOMAIN, load_domain, mean_bytes, sent_fields
from genre.llm.grounding import invented
from genre.llm.ledger import Ledger
from genre.llm.prompt import Value, load_prompt
from genre.llm.settings import LLMOptions
from genre.llm.typed_answers import request_answers
from genre.options import Doc, check_options
from genre.recommenders.reasons import Explanation, sentence

MOST_CAUSES = 2  # items of the history that a sentence names
MOST_WORDS = 4  # words in common that a sentence names
LABEL = 25  # characters before a fact, for estimates
FEWEST_PLAIN = 2  # words without a capital: a row of titles is not a sentence


class Sentence(BaseModel):
    """The form of a model's answer."""

    model_config = ConfigDict(extra="forbid")
    sentence: str = Field(min_length=10, max_length=300)


@dataclass(eq=False)
class Wording:
    """Writes one sentence for each explanation.

    Attributes:
        counts: sentences by the `model` and by the `template`, and why the template was used: `rejected`,
            `unreadable`, `failed` or `over_budget`.
    """

    llm: Annotated[
        LLMOptions | None,
        Doc("The language model that rephrases, and its budget; None: the template, or in a config the section `llm`."),
    ] = None
    fields: Annotated[tuple[str, ...], Doc("Columns of the items' table that may be sent: the title.")] = ("title",)
    domain: Annotated[str, Doc("films, music, news, shop, social, or the path of your own YAML file.")] = DEFAULT_DOMAIN

    def __post_init__(self) -> None:
        check_options(self)
        load_domain(self.domain)
        LLMOptions.check(self.llm, "Wording")
        self.counts: Counter[str] = Counter()

    def sentences(self, explanations: Sequence[Explanation], dataset: Dataset) -> list[str]:
        """Return one sentence for each explanation; a failing model never makes this fail.

        Args:
            explanations: the evidence for recommendations.
            dataset: has the titles of the items.

        Returns:
            The sentences, in order.
        """
        titles = dataset.titles()
        causes = [one.causes[:MOST_CAUSES] for one in explanations]
        out = [sentence(one, titles, most=MOST_CAUSES) for one in explanations]
        with_reasons = [at for at, one in enumerate(explanations) if (causes[at] or one.words) and not one.lead]
        n_model = 0
        if self.llm is not None and with_reasons:
            names = [" ".join(fields) for fields in sent_fields(dataset.items, self.fields, labels=False)]
            evidence = [self._evidence(explanations[at], causes[at], names) for at in with_reasons]
            for at, written in zip(with_reasons, self._rephrase(evidence, names), strict=True):
                out[at] = written or out[at]
                n_model += bool(written)
        self.counts["model"] += n_model
        self.counts["template"] += len(out) - n_model
        return out

    def plan(self, items: pa.Table, n: int) -> Plan:
        """Estimate the cost of sentences; nothing is sent.

        Args:
            items: the table of items.
            n: how many sentences.

        Returns:
            Calls, tokens and money, at most.
        """
        names = [" ".join(fields) for fields in sent_fields(items, self.fields, labels=False)]
        line, prompt = LABEL + mean_bytes(names), load_prompt("explanation")
        return self._ledger.estimate(prompt, n, n * (len(prompt.text) + (2 + MOST_CAUSES) * line))

    def _evidence(self, one: Explanation, causes: Sequence[int], names: Sequence[str]) -> list[str]:
        """Return the evidence as lines `label: fact`, the recommended item first."""
        wording = load_domain(self.domain)
        lines = [f"recommended {wording.item}: {names[one.item]}"]
        lines += [f"{wording.took} and liked before: {names[item]}" for item in causes]
        return lines + ([f"words in common: {', '.join(one.words[:MOST_WORDS])}"] if one.words else [])

    def _rephrase(self, evidence: Sequence[list[str]], names: Sequence[str]) -> list[str]:
        """Return the model's sentence for each piece of evidence, empty where it may not be used."""
        wording = load_domain(self.domain).wording()
        values: list[dict[str, Value]] = [
            {"evidence": lines, "item": wording["item"], "person": wording["person"]} for lines in evidence
        ]
        every = {title_key(name) for name in names}

        def check(at: int, answer: Sentence) -> str:
            return unfaithful(answer.sentence, evidence[at], every)

        try:
            answers = request_answers(self._ledger, load_prompt("explanation"), values, Sentence, check, repair=False)
        except BudgetExceeded:
            if len(evidence) > 1:  # one by one, so that all paid answers are used
                return [written for one in evidence for written in self._rephrase([one], names)]
            self.counts["over_budget"] += 1
            return [""]
        except GenreError:  # a missing package, a full disk: the reasons stay as the template words them
            self.counts["failed"] += len(evidence)
            return [""] * len(evidence)
        self.counts["rejected"] += answers.report.rejected
        self.counts["unreadable"] += answers.report.quarantined - answers.report.rejected
        self.counts["failed"] += answers.report.failed
        return ["" if answer is None else " ".join(answer.sentence.split()) for answer in answers.values]

    @functools.cached_property
    def _ledger(self) -> Ledger:
        assert self.llm is not None
        return self.llm.open()


def describe_wording(counts: Mapping[str, int]) -> str:
    """Describe in words which sentences are the model's and why others are the template's.

    Args:
        counts: as in `Wording.counts`.

    Returns:
        One line.
    """
    why = {
        "rejected": "not faithful to the evidence",
        "unreadable": "refused, cut off or not in the requested form",
        "failed": "calls failed",
        "over_budget": "over budget",
    }
    reasons = ", ".join(f"{counts[name]:,} {text}" for name, text in why.items() if counts.get(name))
    written = f"{counts.get('model', 0):,} by the model, {counts.get('template', 0):,} by the template"
    return f"{written} ({reasons})" if reasons else written


def unfaithful(sentence: str, evidence: Sequence[str], titles: Collection[str] = ()) -> str:
    """Return what is wrong with a sentence that may only rephrase evidence.

    Args:
        sentence: the sentence of a model.
        evidence: lines `label: fact`, the recommended item first.
        titles: `title_key` of each title of the catalogue.

    Returns:
        The problem in words; empty when there is none.
    """
    new = invented(sentence, evidence, titles=titles)
    if new:
        return f"these are not in the data: {', '.join(new[:5])}"
    if sum(len(word) > 1 and word[0].islower() for word in WORD.findall(sentence)) < FEWEST_PLAIN:
        return "it is not a sentence"
    written = f" {' '.join(words(sentence))} "
    facts = [line.partition(": ")[2] for line in evidence[1:]]
    reasons = [title_key(fact) for fact in facts] + [" ".join(words(w)) for fact in facts for w in fact.split(", ")]
    if not any(f" {reason} " in written for reason in reasons if reason):
        return "it gives no reason that is in the data"
    return ""
