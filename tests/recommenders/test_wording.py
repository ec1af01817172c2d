"""Explanations in words: the model may only rephrase evidence; the evidence itself is faithful to the score."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import genre
from genre.data.dataset import Dataset
from genre.llm.base import Schema
from genre.llm.budget import Budget
from genre.llm.fake import Fault
from genre.llm.phrases import unsupported
from genre.llm.settings import LLMOptions
from genre.recommenders.ease import EASE
from genre.recommenders.reasons import Explanation, sentence
from genre.recommenders.wording import Wording
from genre.testing import FakeLanguageModel, toy_dataset

FILMS = ["Fargo (1996)", "Heat (1995)", "The Big Sleep (1946)", "Babe (1995)"]
WHY = Explanation(0, 1.0, "exact", ((1, 0.8), (2, 0.3), (3, -0.2)), ("crime", "drama"))


def films() -> Dataset:
    data = toy_dataset(n_items=4)
    at = data.items.schema.get_field_index("title")
    return dataclasses.replace(data, items=data.items.set_column(at, "title", pa.array(FILMS)))


class Saying(FakeLanguageModel):
    answer = ""

    def reply(self, prompt: str, schema: Schema | None) -> str:
        return json.dumps({"sentence": self.answer})


def speak(text: str) -> tuple[str, Wording]:
    model = Saying()
    model.answer = text
    wording = Wording(LLMOptions(model, ledger=":memory:"))
    return wording.sentences([WHY], films())[0], wording


@pytest.mark.parametrize(
    "text",
    [
        "Because you liked Heat and The Big Sleep, Fargo may be for you.",
        "You watched Heat (1995), and Fargo shares its taste for crime.",
        "Fargo is a crime drama, like what you have liked before.",
    ],
)
def test_what_rephrases_the_evidence_is_taken(text: str) -> None:
    written, wording = speak(text)
    assert written == text
    assert +wording.counts == {"model": 1}


@pytest.mark.parametrize(
    "text",
    [
        "Because you liked Babe, try Fargo.",  # in the catalogue, and even in the history, but no reason
        "Because you liked Heat (1994), try Fargo.",
        "Directed by the Coens, Fargo is like Heat.",
        "Nine of ten viewers of Heat liked Fargo.",
        "This is a wonderful film that you will enjoy.",
        "<b>Heat</b> is why.",
        "I'm sorry, as an AI I cannot say why Heat matters.",
        "Fargo (1996) The Big Sleep (1946)",
        "Parce que vous avez aimé Heat.",
    ],
)
def test_what_says_more_or_nothing_is_replaced_by_the_template(text: str) -> None:
    written, wording = speak(text)
    assert written == sentence(WHY, FILMS) == "because of Heat (1995) and The Big Sleep (1946); shares: crime, drama"
    assert wording.counts["rejected"] + wording.counts["unreadable"] == wording.counts["template"] == 1
    assert wording.counts["unreadable"] == text.startswith("I'm sorry")


@pytest.mark.parametrize("fault", ["hang", "error", "truncated", "not_json", "refusal", "html"])
def test_a_model_that_fails_leaves_the_template(fault: Fault) -> None:
    written = Wording(LLMOptions(FakeLanguageModel(fault=fault), ledger=":memory:")).sentences([WHY, WHY], films())
    assert written == [sentence(WHY, FILMS)] * 2


def test_without_a_model_or_a_reason_nothing_is_asked(tmp_path: Path) -> None:
    assert Wording().sentences([WHY], films()) == [sentence(WHY, FILMS)]
    fake = FakeLanguageModel()
    none = Explanation(0, 1.0, "popularity")
    assert Wording(LLMOptions(fake, ledger=str(tmp_path / "l"))).sentences([none], films()) == [
        "popular with everybody"
    ]
    assert fake.prompts == []
    capped = Wording(LLMOptions(fake, Budget(calls=0), ledger=str(tmp_path / "l")))
    assert capped.sentences([WHY], films()) == [sentence(WHY, FILMS)]
    assert capped.counts["over_budget"] == 1


def test_sentences_that_were_paid_for_before_a_cap_are_used(tmp_path: Path) -> None:
    model = Saying()
    model.answer = "Because you liked Heat, Fargo may be for you."
    wording = Wording(LLMOptions(model, Budget(calls=1), ledger=str(tmp_path / "l")))
    other = dataclasses.replace(WHY, item=3, history=((2, 0.8),))
    written = wording.sentences([WHY, other], films())
    assert written == [model.answer, "because of The Big Sleep (1946); shares: crime, drama"]
    assert +wording.counts == {"model": 1, "template": 1, "over_budget": 1}
    assert len(model.prompts) == 1


def test_a_reason_has_to_be_given() -> None:
    evidence = "Fargo (1996)", ("Heat (1995)",), ()
    assert unsupported("Fargo is for you.", *evidence, "English") == "it gives no reason that is in the data"
    assert unsupported("Fargo is for you, because of Heat.", *evidence, "English") == ""


def test_a_model_may_leave_places_for_titles_and_write_chinese() -> None:
    assert speak("Because you liked CAUSE, try ITEM.")[0] == "Because you liked Heat (1995), try Fargo (1996)."
    model = Saying()
    model.answer = "因为您喜欢CAUSE，我们推荐ITEM。"
    wording = Wording(LLMOptions(model, ledger=":memory:"), language="Chinese")
    assert wording.sentences([WHY], films()) == ["因为您喜欢Heat (1995)，我们推荐Fargo (1996)。"]
    assert "one plain Chinese sentence" in model.prompts[0]


def test_deleting_the_cited_history_lowers_the_score_more_than_deleting_any_other() -> None:
    """Faithfulness of the evidence itself, on real data: paired over users, one-sided sign-flip test."""
    from genre.evaluation.resampling import sign_flip

    data = genre.load("movielens-100k")
    model = EASE().fit(data)
    rng = np.random.default_rng(0)
    users = rng.choice(np.flatnonzero(data.history().lengths >= 20), 200, replace=False)
    falls = []
    for user in users.tolist():
        one = data.history([user]).anonymous()
        item = model.recommend(one, k=1).item[0]
        (why,) = model.explain(one, item)
        cited = [cause for cause, _ in why.history[:3]]
        others = [cause for cause in np.unique(one.item[one.weight > 0]).tolist() if cause not in cited]
        spared = rng.choice(others, min(3, len(others)), replace=False)
        whole = model.score(one)[0, item[0]]
        without = [model.score(one.keep(~np.isin(one.item, gone)))[0, item[0]] for gone in (cited, spared)]
        falls.append((whole - without[0]) - (whole - without[1]))
    differences = np.array(falls, np.float64)
    assert differences.mean() > 0
    assert sign_flip(differences[:, None])[0] < 0.01
