"""Circuit breakers: late, failing and hung calls, the pause, and the idle thread."""

from __future__ import annotations

import threading
import time

import pytest

from genre.serving import breaker as breakers
from genre.serving.breaker import CircuitBreaker, NoAnswer


def test_a_breaker_hands_back_what_the_work_returns_or_raises() -> None:
    breaker = CircuitBreaker("s", 1.0)
    assert breaker.call(lambda: 7) == 7
    with pytest.raises(NoAnswer) as failed:
        breaker.call(lambda: 1 / 0)
    assert failed.value.outcome == "failed"
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_a_hung_call_delays_others_for_a_short_time() -> None:
    breaker, gate = CircuitBreaker("s", 0.5, failures=2, pause=0.2), threading.Event()
    for outcome in ("late", "late", "paused"):
        with pytest.raises(NoAnswer) as skipped:
            breaker.call(lambda: gate.wait(10))
        assert skipped.value.outcome == outcome
    gate.set()
    time.sleep(0.25)
    assert breaker.call(lambda: "well again") == "well again"
    assert not breaker.open


def test_after_the_pause_one_call_tries_and_the_others_wait() -> None:
    breaker = CircuitBreaker("s", 0.5, failures=1, pause=0.1)
    with pytest.raises(NoAnswer):
        breaker.call(lambda: 1 / 0)
    time.sleep(0.15)
    gate, outcomes = threading.Event(), []

    def ask() -> None:
        try:
            outcomes.append(breaker.call(lambda: gate.wait(5)))
        except NoAnswer as skipped:
            outcomes.append(skipped.outcome)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert outcomes == ["paused"] * 3
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["True", "paused", "paused", "paused"]


def test_an_idle_breaker_ends_its_thread_and_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakers, "IDLE_SECONDS", 0.02)
    breaker = CircuitBreaker("ends", 1.0)
    for _ in range(3):
        assert breaker.call(threading.get_ident)
        time.sleep(0.1)
        assert "genre-ends" not in {thread.name for thread in threading.enumerate()}
