"""The ledger: nothing is paid for twice, caps stop exactly, a kill at any point loses no answer."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from genre.errors import ArtifactError, BudgetExceeded, LLMError
from genre.features.augmentation import augment, plan
from genre.features.augmentation_prompts import Augmentation
from genre.llm.base import Completion
from genre.llm.budget import Budget, Plan
from genre.llm.ledger import Ledger
from genre.llm.ledger_table import read_log
from genre.llm.prompt import Prompt
from genre.preprocessing.splits import TimeSplit
from genre.testing import FakeLanguageModel, toy_dataset
from lines import Lines

PROMPT = Prompt("test", "Say {{x}}.")
INPUTS = [f"Say {n}." for n in range(10)]


class SlowModel(FakeLanguageModel):
    def _complete(self, prompt: str, schema: Any) -> Completion:
        time.sleep(0.005)
        return super()._complete(prompt, schema)


def test_an_answer_is_paid_for_once(tmp_path: Path) -> None:
    model = FakeLanguageModel()
    first = Ledger(tmp_path / "l.sqlite", model).complete(PROMPT, [*INPUTS, *INPUTS])
    again = Ledger(tmp_path / "l.sqlite", model).complete(PROMPT, INPUTS[::-1])
    assert len(model.prompts) == 10
    assert [a.text for a in first[:10]] == [a.text for a in first[10:]] == [a.text for a in again[::-1]]


def test_whatever_changes_an_answer_is_a_new_question(tmp_path: Path) -> None:
    model = FakeLanguageModel()
    ledger = Ledger(tmp_path / "l.sqlite", model)
    ledger.complete(PROMPT, ["a"])
    ledger.complete(PROMPT, ["a"], {"type": "string"})
    ledger.complete(Prompt("test", "Tell {{x}}."), ["a"])
    ledger.likelihood(PROMPT, ["a"], [["b"]])
    other = FakeLanguageModel(name="other")
    Ledger(tmp_path / "l.sqlite", other).complete(PROMPT, ["a"])
    assert (len(model.prompts), len(other.prompts)) == (4, 1)


def test_a_failure_is_logged_and_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    failing = FakeLanguageModel(fault="error", every=2)
    answers = Ledger(path, failing).complete(PROMPT, INPUTS)
    assert Counter(answer.outcome for answer in answers) == {"ok": 5, "failed": 5}
    Ledger(path, failing).complete(PROMPT, INPUTS)
    assert len(failing.prompts) == 15
    assert len(read_log(path, last=100, outcome="failed")) == 8


@pytest.mark.parametrize("concurrency", [1, 4])
def test_caps_stop_exactly(tmp_path: Path, concurrency: int) -> None:
    path = tmp_path / "l.sqlite"
    model = FakeLanguageModel(concurrency=concurrency)
    with pytest.raises(BudgetExceeded, match=r"7 calls.*every answer is kept"):
        Ledger(path, model, job="a", budget=Budget(calls=7)).complete(PROMPT, INPUTS)
    assert len(model.prompts) == 7, "not one more, not one less"
    with pytest.raises(BudgetExceeded):
        Ledger(path, model, job="a", budget=Budget(calls=7)).complete(PROMPT, INPUTS)
    assert len(model.prompts) == 7, "the cap counts over restarts"
    Ledger(path, model, job="a", budget=Budget(calls=7)).complete(PROMPT, [row.input for row in read_log(path)])
    Ledger(path, model, job="b", budget=Budget(calls=3)).complete(PROMPT, INPUTS)
    assert len(model.prompts) == 10, "what was paid for is kept; another job has a budget of its own"


def test_caps_stop_exactly_with_several_ledgers_on_one_job(tmp_path: Path) -> None:
    model = SlowModel(concurrency=2)
    stopped = []

    def work(number: int) -> None:
        ledger = Ledger(tmp_path / "l.sqlite", model, job="a", budget=Budget(calls=10))
        try:
            ledger.complete(PROMPT, [f"{number} {n}" for n in range(10)])
        except BudgetExceeded:
            stopped.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(model.prompts) == 10
    assert len(stopped) >= 2
    assert not list(tmp_path.glob("*.under-way"))


def test_what_is_under_way_elsewhere_is_waited_for(tmp_path: Path) -> None:
    model = SlowModel()
    ledgers = [Ledger(tmp_path / "l.sqlite", model) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda ledger: ledger.complete(PROMPT, INPUTS[:4]), ledgers))
    assert len(model.prompts) == 4
    assert all([a.text for a in one] == [a.text for a in answers[0]] for one in answers)


def test_what_a_killed_process_had_under_way_counts_as_spent(tmp_path: Path) -> None:
    path, calls = tmp_path / "l.sqlite", tmp_path / "calls"
    code = WORKER.replace("time.sleep(0.004)", "time.sleep(60)")
    command = [sys.executable, "-c", code, str(path), str(calls), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        while not calls.exists():
            time.sleep(0.02)
        ledger = Ledger(path, FakeLanguageModel(), job="", budget=Budget(calls=1))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ledger.complete, PROMPT, ["x"])
            time.sleep(0.2)
            assert not waiting.done(), "the one call is reserved"
            worker.kill()
            worker.wait()
            with pytest.raises(BudgetExceeded, match="1 call"):
                waiting.result(10)
    assert ledger.spent().calls == 1
    assert ledger.spent().tokens > 100, "with the most that it can have cost"
    assert "under way when its process ended" in read_log(path, outcome="failed")[0].error
    assert not list(tmp_path.glob("*.under-way"))


def test_work_that_was_interrupted_counts_as_spent_and_leaves_nothing_reserved() -> None:
    class Interrupted(FakeLanguageModel):
        def _complete(self, prompt: str, schema: Any) -> Completion:
            raise KeyboardInterrupt

    ledger = Ledger(":memory:", Interrupted(), budget=Budget(calls=2))
    for _ in range(2):  # the second one would wait for the first for ever
        with pytest.raises(KeyboardInterrupt):
            ledger.complete(PROMPT, INPUTS[:1])
    with pytest.raises(BudgetExceeded, match="2 calls"):
        ledger.complete(PROMPT, INPUTS[:1])


def test_a_killed_process_leaves_no_file_behind_whatever_it_was_at(tmp_path: Path) -> None:
    path, model = tmp_path / "led[ger].sqlite", FakeLanguageModel()
    answered = Ledger(path, model)
    answered.complete(PROMPT, INPUTS)
    (tmp_path / "led[ger].sqlite.0123abcd.under-way").touch()  # killed after its last answer
    (tmp_path / "ledger.sqlite.0123abcd.under-way").touch()  # of another ledger
    with answered._holding() as alive:
        Ledger(path, model).complete(PROMPT, INPUTS)  # nothing is missing, so nothing is sent
        assert {file.name for file in tmp_path.glob("*.under-way")} == {
            "ledger.sqlite.0123abcd.under-way",
            f"led[ger].sqlite.{alive}.under-way",
        }
    assert len(model.prompts) == len(INPUTS)


def test_every_attempt_counts_and_a_lost_one_as_much_as_it_may_have_cost(tmp_path: Path) -> None:
    class Silent(FakeLanguageModel):
        attempts = 3

        def _complete(self, prompt: str, schema: Any) -> Completion:
            self._note(prompt)
            return Completion("", "failed", error="no answer in time", lost=True, retry_after=0.001)

    model = Silent(max_tokens=50)
    ledger = Ledger(tmp_path / "l.sqlite", model, job="a", budget=Budget(calls=5))
    (answer,) = ledger.complete(PROMPT, ["x"])
    assert answer.outcome == "failed"
    assert len(model.prompts) == ledger.spent().calls == 3
    assert ledger.spent().tokens >= 3 * 51
    with pytest.raises(BudgetExceeded):
        ledger.complete(PROMPT, ["y"])
    assert len(model.prompts) == 5


def test_a_model_that_cannot_be_used_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    class Keyless(FakeLanguageModel):
        def check(self) -> None:
            raise LLMError("no key")

    model = Keyless()
    with pytest.raises(LLMError, match="no key"):
        Ledger(tmp_path / "l.sqlite", model).complete(PROMPT, INPUTS)
    assert model.prompts == read_log(tmp_path / "l.sqlite") == []
    Ledger(tmp_path / "l.sqlite", FakeLanguageModel()).complete(PROMPT, INPUTS)
    Ledger(tmp_path / "l.sqlite", model).complete(PROMPT, INPUTS)  # all answered: no model is needed


def test_what_is_spent_is_read_on_and_never_from_the_start(tmp_path: Path) -> None:
    path, model = tmp_path / "l.sqlite", FakeLanguageModel(price_in=1000)
    one, other = (Ledger(path, model, job="a") for _ in range(2))
    for start in range(0, 9, 3):
        one.complete(PROMPT, [f"one {n}" for n in range(start, start + 3)])
        other.complete(PROMPT, [f"other {n}" for n in range(start, start + 2)])
        Ledger(path, model, job="b").complete(PROMPT, [f"b {start}"])
        whole = Ledger(path, model, job="a").spent()
        for spent in (one.spent(), other.spent()):
            assert (spent.calls, spent.tokens, spent.money) == (whole.calls, whole.tokens, pytest.approx(whole.money))
    assert one.spent().calls == 15
    assert one._counted == read_log(path, job="a", last=1)[0].id


def test_tokens_and_money_never_go_past_their_cap(tmp_path: Path) -> None:
    model = FakeLanguageModel(price_in=1000, price_out=10_000, max_tokens=50)
    for budget in (Budget(tokens=700), Budget(money=2.0)):
        ledger = Ledger(tmp_path / "l.sqlite", model, job=str(budget), budget=budget)
        with pytest.raises(BudgetExceeded):
            ledger.complete(PROMPT, [f"{budget} {n}" for n in range(200)])
        spent = ledger.spent()
        assert 0 < spent.tokens <= (budget.tokens or 10**9)
        assert 0 < spent.money <= (budget.money or 10**9)
        assert spent.tokens > 500 or spent.money > 1.0, "and come near it"


def test_a_plan_tells_what_is_new_and_then_knows_better(tmp_path: Path) -> None:
    model = FakeLanguageModel(price_in=1, price_out=1)
    ledger = Ledger(tmp_path / "l.sqlite", model)
    before = ledger.plan(PROMPT, [*INPUTS, INPUTS[0]])
    assert (before.questions, before.cached, before.calls, before.seconds) == (11, 0, 10, None)
    assert before.tokens_out < before.most_tokens
    assert before.most_tokens >= 10 * model.max_tokens
    assert model.prompts == []
    ledger.complete(PROMPT, INPUTS[:4])
    after = ledger.plan(PROMPT, [*INPUTS, INPUTS[0]])
    assert (after.questions, after.cached, after.calls) == (11, 5, 6)
    assert after.seconds is not None
    assert after.money > 0
    assert (before + after).calls == 16
    assert (before + after).seconds is None
    assert str(Plan(questions=2, calls=1)).startswith("1 call (2 questions")


def test_the_log_tells_everything(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    assert read_log(path) == []
    ledger = Ledger(path, FakeLanguageModel(), job="movies")
    ledger.complete(PROMPT, INPUTS[:2], cutoff=123)
    ledger.record_verdicts(PROMPT, {INPUTS[0]: "valid"})
    newest, oldest = read_log(path, job="movies")
    assert (oldest.input, oldest.verdict, oldest.cutoff, oldest.prompt_hash) == (INPUTS[0], "valid", 123, PROMPT.hash)
    assert newest.verdict == ""
    assert read_log(path, job="other") == []
    assert (path.stat().st_mode & 0o077) == 0, "for the owner's eyes only"


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"not a database at all, but long enough to look at" * 100)
    with pytest.raises(ArtifactError, match="cannot be used as a ledger"):
        Ledger(path, FakeLanguageModel())


WORKER = """
import os, sys, time
from genre.llm.base import Completion
from genre.llm.ledger import Ledger
from genre.llm.prompt import Prompt
from genre.llm.fake import FakeLanguageModel

class Slow(FakeLanguageModel):
    def _complete(self, prompt, schema):
        with open(sys.argv[2], "a") as calls:
            calls.write(prompt + "\\n")
        time.sleep(0.004)
        return Completion(prompt)

print("ready", flush=True)
ledger = Ledger(sys.argv[1], Slow(concurrency=int(sys.argv[3])))
ledger.complete(Prompt("t", "{{x}}"), [f"q{n % 60}" for n in range(90)])
"""


@pytest.mark.parametrize("concurrency", [1, 4])
def test_killed_at_random_points_it_asks_only_what_is_missing(tmp_path: Path, concurrency: int) -> None:
    ledger, calls = tmp_path / "l.sqlite", tmp_path / "calls"
    calls.touch()
    rng = random.Random(concurrency)

    def answered() -> int:
        if not ledger.exists():
            return 0
        try:
            with sqlite3.connect(ledger, timeout=30) as connection:
                return int(connection.execute("SELECT count(*) FROM exchanges WHERE outcome = 'ok'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # killed before the table was made

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", WORKER, str(ledger), str(calls), str(concurrency)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        return worker

    kills = 6
    for _ in range(kills):
        worker = start()
        time.sleep(rng.uniform(0, 0.12))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        worker.stdout.close()  # type: ignore[union-attr]
    missing, before = 60 - answered(), len(calls.read_text().splitlines())
    worker = start()
    assert worker.wait() == 0
    worker.stdout.close()  # type: ignore[union-attr]
    sent = calls.read_text().splitlines()
    assert len(sent) - before == missing, "the calls made equal the unique inputs missing"
    assert answered() == 60
    assert len(sent) <= 60 + kills * concurrency, "a kill costs at most what was under way"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_caps_hold_for_what_the_server_saw_over_kills_with_calls_under_way(tmp_path: Path, concurrency: int) -> None:
    path, calls = tmp_path / "l.sqlite", tmp_path / "calls"
    code = WORKER.replace("Slow(concurrency=int(sys.argv[3]))", "Slow(concurrency=int(sys.argv[3])), budget=BUDGET")
    code = code.replace("0.004", "0.05").replace('print("ready"', 'BUDGET = Budget(calls=20)\nprint("ready"')
    code = "from genre.llm.budget import Budget\n" + code
    calls.touch()
    for _ in range(3):
        before = len(calls.read_text().splitlines())
        worker = subprocess.Popen([sys.executable, "-c", code, str(path), str(calls), str(concurrency)])
        while len(calls.read_text().splitlines()) < min(20, before + concurrency) and worker.poll() is None:
            time.sleep(0.01)
        worker.kill()
        worker.wait()
    with pytest.raises(BudgetExceeded):
        Ledger(path, SlowModel(), job="", budget=Budget(calls=20)).complete(PROMPT, [f"n {n}" for n in range(30)])
    with sqlite3.connect(path) as connection:
        (ended,) = connection.execute("SELECT count(*) FROM exchanges WHERE model LIKE 'fake%'").fetchone()
        (killed,) = connection.execute("SELECT count(*) FROM exchanges WHERE error LIKE 'under way%'").fetchone()
    assert ended + killed == 20
    assert killed >= 3
    assert 3 * concurrency <= len(calls.read_text().splitlines()) <= 20


FALSE_COUNTS = [(0, 0), (-5, -5), (1, 1), (10**30, 10**30), (10**6, 3), (11, 10**9)]


@pytest.mark.parametrize("counts", FALSE_COUNTS)
def test_counts_that_cannot_be_true_are_booked_as_the_most_of_a_call(tmp_path: Path, counts: tuple[int, int]) -> None:
    class Liar(FakeLanguageModel):
        def _complete(self, prompt: str, schema: Any) -> Completion:
            self._note(prompt)
            return Completion("a long answer " * 10, "ok", *counts)

    model, log = Liar(max_tokens=50), Lines()
    ledger = Ledger(tmp_path / "l.sqlite", model, job="a", budget=Budget(tokens=2000))
    with pytest.raises(BudgetExceeded, match="2,000 tokens"):
        ledger.complete(PROMPT, [f"{n} " * 100 for n in range(30)], log=log)
    assert 0 < len(model.prompts) < 10
    assert 1000 < ledger.spent().tokens <= 2000
    assert "without believable counts of tokens; the most that each can have cost is counted" in log.lines[0]


class RealLengths(FakeLanguageModel):
    """Counts tokens as a real server does, about four bytes each, of sentences as long as those of real models."""

    def _complete(self, prompt: str, schema: Any) -> Completion:
        found = super()._complete(prompt, schema)
        return dataclasses.replace(
            found, tokens_in=round(len(prompt.encode()) / 4.1), tokens_out=round(len(found.text) / 3.9) + 14
        )


def test_what_is_spent_is_near_the_expected_cost_and_never_above_the_most(tmp_path: Path) -> None:
    split = TimeSplit().split(toy_dataset(60, 30))
    options = Augmentation(item_fields=("title", "text"), profiles=True)
    model = RealLengths(price_in=0.15, price_out=0.6, max_tokens=300)
    ledger = Ledger(tmp_path / "l.sqlite", model)
    (planned, *_) = plan(split.train, ledger, options).values()
    made = augment(split.train, ledger, dataclasses.replace(options, profiles=False)).reports["summaries"]
    assert abs(planned.money - made.money) <= 0.3 * made.money, "before the first call"
    assert made.money <= planned.most_money
    rest = plan(split.train, ledger, options)["profiles"]
    half = augment(split.train, ledger, dataclasses.replace(options, max_users=20)).reports["profiles"]
    assert half.money <= rest.most_money
    later = plan(split.train, ledger, options)["profiles"]
    whole = augment(split.train, ledger, options).reports["profiles"]
    assert later.cached == 20
    assert abs(later.money - (whole.money - half.money)) <= 0.1 * (whole.money - half.money), "after twenty answers"
