"""Wording: evidence for a recommendation as one sentence, by template or by a language model that is checked.

The model may only rephrase: a sentence that has more than titles and words of the evidence and words of a closed list
(`llm/phrases.py`), or has a title in a wrong place, is rejected in favour of the template's.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, create_model

from genre.data.dataset import Dataset
from genre.domains.packs import DEFAULT_DOMAIN, DomainName, load_domain
from genre.errors import GenreError
from genre.llm.budget import Plan
from genre.llm.ledger import Ledger
from genre.llm.phrases import load_phrases, unsupported, with_titles
from genre.llm.prompt import Value, load_prompt
from genre.llm.sent_fields import mean_bytes, sent_fields
from genre.llm.settings import LLMOptions
from genre.llm.typed_answers import request_answers
from genre.options import Doc, check_options
from genre.recommenders.reasons import Explanation, sentence

MOST_CAUSES = 2  # items of the history that a sentence names
MOST_WORDS = 4  # words in common that a sentence names
LABEL = 25  # characters before a fact, for estimates
Language = Literal["English", "German", "French", "Spanish", "Chinese", "Japanese"]


class Sentence(BaseModel):
    """The form of a model's answer."""

    model_config = ConfigDict(extra="forbid")
    sentence: str = Field(min_length=6, max_length=300)


def _shape(language: str) -> type[Sentence]:
    """Return the form of an answer, held to the words of a language where the server can."""
    hint = Field(min_length=6, max_length=300, json_schema_extra={"pattern": load_phrases()[language].form})
    return create_model("Sentence", __base__=Sentence, sentence=(str, hint))


class _Facts(NamedTuple):
    """What a sentence may name."""

    item: str
    causes: tuple[str, ...]
    shared: tuple[str, ...]

    @classmethod
    def of(cls, one: Explanation, causes: Sequence[int], names: Sequence[str]) -> _Facts:
        """Look up the titles of an explanation."""
        return cls(names[one.item], tuple(names[item] for item in causes), tuple(one.words[:MOST_WORDS]))

    def filled(self, sentence: str) -> str:
        """Put the titles into a sentence, on one line."""
        return " ".join(with_titles(sentence, self.item, next(iter(self.causes), "")).split())


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
    domain: DomainName = DEFAULT_DOMAIN

    language: Annotated[Language, Doc("Language of the sentences.")] = "English"

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
            facts = [_Facts.of(explanations[at], causes[at], names) for at in with_reasons]
            for at, written in zip(with_reasons, self._rephrase(facts), strict=True):
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
        prompt, schema = load_prompt("explanation"), _shape(self.language).model_json_schema()
        usual, longest = (
            n * (len(prompt.text.encode()) + (2 + MOST_CAUSES) * (LABEL + line))
            for line in (mean_bytes(names), max((len(name.encode()) for name in names), default=0) + LABEL)
        )
        return self._ledger.estimate(prompt, n, usual, most_size=longest, schema=schema)

    def _evidence(self, facts: _Facts) -> list[str]:
        """Return the evidence as lines `label: fact`, the recommended item first."""
        wording = load_domain(self.domain).words
        lines = [f"recommended {wording.item}: {facts.item}"]
        lines += [f"{wording.took} and liked before: {cause}" for cause in facts.causes]
        return lines + ([f"words in common: {', '.join(facts.shared)}"] if facts.shared else [])

    def _rephrase(self, facts: Sequence[_Facts]) -> list[str]:
        """Return the model's sentence for each piece of evidence, empty where it may not be used."""
        wording, phrases = load_domain(self.domain).words.wording(), load_phrases()[self.language]
        values: list[dict[str, Value]] = [
            {
                "evidence": self._evidence(one),
                "item": wording["item"],
                "person": wording["person"],
                "language": self.language,
                "opening": phrases.opening,
            }
            for one in facts
        ]

        def check(at: int, answer: Sentence) -> str:
            return unsupported(facts[at].filled(answer.sentence), *facts[at], self.language)

        prompt, shape = load_prompt("explanation"), _shape(self.language)
        try:
            answers = request_answers(self._ledger, prompt, values, shape, check, repair=False)
        except GenreError:  # a missing package, a full disk: the reasons stay as the template words them
            self.counts["failed"] += len(facts)
            return [""] * len(facts)
        self.counts["rejected"] += answers.report.rejected
        self.counts["unreadable"] += answers.report.quarantined - answers.report.rejected
        self.counts["failed"] += answers.report.failed
        self.counts["over_budget"] += answers.report.over_budget
        return [
            "" if answer is None else one.filled(answer.sentence)
            for one, answer in zip(facts, answers.values, strict=True)
        ]

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
