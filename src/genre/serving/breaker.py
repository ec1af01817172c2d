"""Stages that may be late: each is waited for so long and no longer, and left alone for a while when it keeps failing.

Knows nothing about what a breaker does.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

T = TypeVar("T")

IDLE_SECONDS = 60.0  # after which a thread without work ends; the next call starts another


class Skipped(Exception):
    """A breaker gave no answer; `outcome` says why: late, failed or paused."""

    def __init__(self, breaker: str, outcome: str) -> None:
        super().__init__(f"{breaker} {outcome}")
        self.breaker, self.outcome = breaker, outcome


class CircuitBreaker:
    """Runs work in a thread of its own, one call after the other.

    seconds: how long a caller waits. failures: failures in a row after which the breaker is out: paused for `pause`
    seconds, then one call tries it again. A call that hangs holds up nobody but later calls of the same breaker.
    """

    def __init__(self, name: str, seconds: float, *, failures: int = 3, pause: float = 10.0) -> None:
        self.name, self.seconds, self.max_failures, self.pause = name, seconds, failures, pause
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.answered = False  # ever
        self._failures = 0
        self._paused_until = 0.0

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns; `Skipped` when it is late, raises anything, or the breaker is paused."""
        return self._call(work, self.seconds, failures=1)

    def first_call(self, work: Callable[[], object], seconds: float) -> None:
        """A first call: it may take longer, and one failure puts the breaker out."""
        self._call(work, seconds, failures=self.max_failures)

    @property
    def open(self) -> bool:
        """Failed too often, and has not answered since."""
        return self._failures >= self.max_failures

    def _call(self, work: Callable[[], T], seconds: float, *, failures: int) -> T:
        future: Future[T] = Future()
        self._hand_over(future, work)
        try:
            result = future.result(seconds)
        except FutureTimeout:
            future.cancel()
            raise self._failed("late", failures) from None
        except Exception as error:
            raise self._failed("failed", failures) from error
        self._failures, self.answered = 0, True
        return result

    def _hand_over(self, future: Future[Any], work: Callable[[], Any]) -> None:
        with self._lock:
            if self.open and time.monotonic() < self._paused_until:
                raise Skipped(self.name, "paused")
            if self.open:  # the pause is over: this call tries, the others wait for its outcome
                self._paused_until = time.monotonic() + max(self.pause, self.seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"genre-{self.name}", daemon=True)
                self._thread.start()
            self._work.put((future, work))

    def _failed(self, outcome: str, failures: int) -> Skipped:
        with self._lock:
            self._failures += failures
            self._paused_until = time.monotonic() + self.pause
        return Skipped(self.name, outcome)

    def _run(self) -> None:
        while True:
            try:
                future, work = self._work.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:  # nothing is handed over while the thread makes up its mind
                    if self._work.empty():
                        self._thread = None
                        return
                continue
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del future, work  # an idle breaker holds on to nothing
