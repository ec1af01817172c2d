"""The real local model: form, determinism, and likelihoods against the plain way of reading them."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.request import Request, urlopen

import pytest

from genre.errors import NotAvailable
from genre.llm.base import Schema
from genre.llm.llamacpp import LlamaCpp
from genre.llm.openai import OpenAI
from genre.llm.quote_forms import kinds_form, sentence_form

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "why": {"type": "string", "maxLength": 30}},
    "required": ["colour", "why"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model() -> LlamaCpp:
    return LlamaCpp(context=512, max_tokens=60)


def test_a_schema_becomes_a_grammar_and_the_answer_is_the_same_every_time(model: LlamaCpp) -> None:
    first, between, second = model.complete(["Which colour is grass?", "Say hello.", "Which colour is grass?"], SCHEMA)
    assert first.text == second.text
    assert between.outcome == "ok"
    assert json.loads(first.text).keys() == {"colour", "why"}
    assert first.tokens_in > 5
    assert first.tokens_out > 5


def test_a_sentence_of_the_data_is_copied_in_english_and_chinese(model: LlamaCpp) -> None:
    told = "plot: A thief plans one last robbery. A detective, who sleeps badly, hunts him."
    forms = [
        sentence_form(["title: Heat", told], "English", "This film:"),
        kinds_form(["剧情", "Sci-Fi", "历史"], "Chinese", "这位用户喜欢："),
    ]
    schemas: list[Schema] = [{"type": "object", "properties": {"said": form}, "required": ["said"]} for form in forms]
    summary, profile = (json.loads(one.text)["said"] for one in model.complete([told, "剧情, 历史"], schemas))
    assert summary in forms[0]["enum"]
    assert re.fullmatch(forms[1]["pattern"], profile)


def test_the_official_client_gets_the_same_answer(model: LlamaCpp) -> None:
    own = LlamaCpp(context=512, max_tokens=20, repeat_penalty=1.0)
    client = OpenAI("smollm2", base_url=own.address, key_variable="", structured="schema", max_tokens=20, concurrency=1)
    assert client.complete(["Name a colour."])[0].text == own.complete(["Name a colour."])[0].text


def test_likelihoods_are_those_of_the_plain_way(model: LlamaCpp) -> None:
    """The plain way: for each token ask for the whole distribution after what stands before it."""
    prompt, continuations = "The capital of France is", [" Paris.", " a cheese.", " Paris."]
    (answer,) = model.likelihood([prompt], [continuations])
    values = answer.numbers()
    assert values[0] == pytest.approx(values[2], abs=1e-3)
    assert values[0] > values[1]
    start, tokens = model._tokens(prompt), model._tokens(" Paris.")
    plain = sum(_log_probability(model, start + tokens[:at], token) for at, token in enumerate(tokens))
    assert values[0] == pytest.approx(plain, abs=0.02)


def _log_probability(model: LlamaCpp, before: list[int], token: int) -> float:
    body = {"prompt": before, "n_predict": 1, "temperature": 0, "n_probs": 50_000, "cache_prompt": False}
    address = model.address.removesuffix("/v1") + "/completion"
    request = Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        top = json.load(answer)["completion_probabilities"][0]["top_logprobs"]
    return next(float(entry["logprob"]) for entry in top if entry["id"] == token)


def test_what_cannot_be_done_is_an_outcome_or_names_the_remedy(model: LlamaCpp) -> None:
    (answer,) = model.complete(["word " * 600])
    assert answer.outcome == "failed"
    assert "context" in answer.error
    with pytest.raises(NotAvailable, match="smollm2"):
        _ = LlamaCpp(model="/nowhere/model.gguf").fingerprint
