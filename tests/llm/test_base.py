"""The contract of language models: order, outcomes instead of exceptions, giving up on a dead server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from genre.errors import NotSupported, OptionError
from genre.llm.base import GIVE_UP, Completion, LanguageModel, Schema
from genre.testing import FakeLanguageModel


@dataclass(eq=False)
class Slow(LanguageModel):
    """Answers in another order than the prompts."""

    concurrency: int = 4

    fingerprint = "slow"

    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        threading.Event().wait(0.02 if prompt == "0" else 0)
        if prompt == "bad":
            raise RuntimeError("broken\nin two lines")
        return Completion(prompt)


def test_answers_come_in_the_order_of_the_prompts() -> None:
    prompts = [str(n) for n in range(20)]
    seen: list[int] = []

    def send(at: int, call: Callable[[], Completion]) -> Completion:
        seen.append(at)
        return call()

    answers = Slow().complete(prompts, send=send)
    assert [answer.text for answer in answers] == prompts
    assert sorted(seen) == list(range(20)), "each goes through send once"


def test_an_exception_is_an_outcome() -> None:
    fine, bad = Slow().complete(["1", "bad"])
    assert fine.outcome == "ok"
    assert (bad.outcome, bad.error) == ("failed", "RuntimeError: broken in two lines")


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_dead_server_is_given_up(concurrency: int) -> None:
    model = FakeLanguageModel(fault="error", concurrency=concurrency)
    answers = model.complete(["x"] * 50)
    assert [answer.outcome for answer in answers] == ["failed"] * 50
    assert GIVE_UP <= len(model.prompts) < GIVE_UP + concurrency
    assert not answers[-1].sent
    assert answers[-1].error == f"not sent, {GIVE_UP} calls in a row had failed: {answers[0].error}"


def test_one_failure_in_three_is_not_a_dead_server() -> None:
    answers = FakeLanguageModel(fault="error", every=3).complete(["x"] * 9)
    assert [answer.outcome for answer in answers] == ["failed", "ok", "ok"] * 3


def test_likelihoods_are_numbers_or_not_supported() -> None:
    (answer,) = FakeLanguageModel().likelihood(["a red house"], [["red", "blue"]])
    assert answer.numbers() == [-1.0, -2.0]
    with pytest.raises(NotSupported, match="Slow"):
        Slow().likelihood(["a"], [["b"]])
    assert FakeLanguageModel(fault="error").likelihood(["a"], [["b"]])[0].numbers() == []


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="every"):
        FakeLanguageModel(every=0)
