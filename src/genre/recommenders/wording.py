"""Explanations in words: evidence becomes one sentence, by template or by a language model that is checked.

The model may only rephrase: a sentence with a title, number or name that is not in the evidence, or without any of
its titles or words, is thrown away and the template speaks.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from genre.data.dataset import Dataset
from genre.data.words import WORD, title_key, words
from genre.errors import BudgetExceeded, GenreError
from genre.llm.budget import Plan
from genre.llm.domains import DEFAULT_DOMAIN, load_domain, mean_bytes, sent_fields
from genre.llm.grounding import invented
from genre.llm.ledger import Ledger
from genre.llm.prompt import Value, load_prompt
from genre.llm.settings import LLMOptions
from genre.llm.typed_answers import request_answers
from genre.options import check_options
from genre.recommenders.explanation import Explanation, sentence

MOST_CAUSES = 2
MOST_WORDS = 4
LABEL = 25  # letters before a fact
FEWEST_PLAIN = 2  # words in small letters: titles in a row are no sentence


class Sentence(BaseModel):
    """What a model has to answer."""

    model_config = ConfigDict(extra="forbid")
    sentence: str = Field(min_length=10, max_length=300)


@dataclass(eq=False)
class Wording:
    """One sentence an explanation.

    llm: who phrases, and what it may cost; None: the template, in a config that of the section `llm`.
    fields: columns of items that may be sent: the title. domain: wording, see Augmentation.
    """

    llm: LLMOptions | None = None
    fields: tuple[str, ...] = ("title",)
    domain: str = DEFAULT_DOMAIN

    def __post_init__(self) -> None:
        check_options(self)
        load_domain(self.domain)
        LLMOptions.check(self.llm, "Wording")
        self.counts: Counter[str] = Counter()
        """template, model: who spoke. rejected, unreadable, failed, over_budget: why the template had to."""

    def sentences(self, explanations: Sequence[Explanation], dataset: Dataset) -> list[str]:
        """One sentence each, in order; never fails because the model did."""
        titles = dataset.titles()
        causes = [one.causes[:MOST_CAUSES] for one in explanations]
        out = [sentence(one, titles, most=MOST_CAUSES) for one in explanations]
        telling = [at for at, one in enumerate(explanations) if (causes[at] or one.words) and not one.lead]
        asked = telling if self.llm is not None else []
        spoken: set[int] = set()
        if asked:
            names = [" ".join(fields) for fields in sent_fields(dataset.items, self.fields, labels=False)]
            evidence = [self._evidence(explanations[at], causes[at], names) for at in asked]
            for at, said in zip(asked, self._phrase(evidence, names), strict=True):
                if said:
                    out[at] = said
                    spoken.add(at)
        self.counts["model"] += len(spoken)
        self.counts["template"] += sum(at not in spoken for at in range(len(out)))
        return out

    def plan(self, items: pa.Table, n: int) -> Plan:
        """What `n` sentences about `items` would cost at most; asks nobody."""
        names = [" ".join(fields) for fields in sent_fields(items, self.fields, labels=False)]
        line, prompt = LABEL + mean_bytes(names), load_prompt("explanation")
        return self._ledger.estimate(prompt, n, n * (len(prompt.text) + (2 + MOST_CAUSES) * line))

    def _evidence(self, one: Explanation, causes: Sequence[int], names: Sequence[str]) -> list[str]:
        wording = load_domain(self.domain)
        lines = [f"recommended {wording.item}: {names[one.item]}"]
        lines += [f"{wording.took} and liked before: {names[item]}" for item in causes]
        return lines + ([f"words in common: {', '.join(one.words[:MOST_WORDS])}"] if one.words else [])

    def _phrase(self, evidence: Sequence[list[str]], names: Sequence[str]) -> list[str]:
        """The model's sentence for each piece of evidence, empty where it may not be used."""
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
            if len(evidence) > 1:  # one by one, so that what was paid for is used
                return [said for one in evidence for said in self._phrase([one], names)]
            self.counts["over_budget"] += 1
            return [""]
        except GenreError:  # a missing package, a full disk
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


def describe_wording(tally: Mapping[str, int]) -> str:
    """Who spoke, in words for people."""
    why = {
        "rejected": "not faithful to the evidence",
        "unreadable": "refused, cut off or not in the form that was asked for",
        "failed": "calls failed",
        "over_budget": "over budget",
    }
    reasons = ", ".join(f"{tally[name]:,} {text}" for name, text in why.items() if tally.get(name))
    spoken = f"{tally.get('model', 0):,} by the model, {tally.get('template', 0):,} by the template"
    return f"{spoken} ({reasons})" if reasons else spoken


def unfaithful(sentence: str, evidence: Sequence[str], titles: Collection[str] = ()) -> str:
    """What is wrong with a sentence that may only rephrase `evidence` (`label: fact` lines, the recommended first).

    Empty when nothing is. titles: `title_key` of the whole catalogue.
    """
    new = invented(sentence, evidence, titles=titles)
    if new:
        return f"these are not in the data: {', '.join(new[:5])}"
    if sum(len(word) > 1 and word[0].islower() for word in WORD.findall(sentence)) < FEWEST_PLAIN:
        return "it is not a sentence"
    said = f" {' '.join(words(sentence))} "
    facts = [line.partition(": ")[2] for line in evidence[1:]]
    reasons = [title_key(fact) for fact in facts] + [" ".join(words(w)) for fact in facts for w in fact.split(", ")]
    if not any(f" {reason} " in said for reason in reasons if reason):
        return "it gives no reason that is in the data"
    return ""
