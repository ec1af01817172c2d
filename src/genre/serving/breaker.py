"""Circuit breakers: each call has a time limit, and calls that keep failing are paused for a while.

Knows nothing about what the calls do.
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


class NoAnswer(Exception):
    """A call behind a circuit breaker gave no result.

    Attributes:
        breaker: Name of the breaker.
        outcome: Why there is no result: `late`, `failed` or `paused`.
    """

    def __init__(self, breaker: str, outcome: str) -> None:
        super().__init__(f"{breaker} {outcome}")
        self.breaker, self.outcome = breaker, outcome


class CircuitBreaker:
    """A circuit breaker that runs calls in a thread of its own, one after the other.

    A call that hangs delays only later calls of the same breaker. After several failures in a row the breaker is open:
    calls are refused for a pause, then a single call tests whether the service behind it has recovered.
    """

    def __init__(self, name: str, seconds: float, *, failures: int = 3, pause: float = 10.0) -> None:
        """Make a closed breaker.

        Args:
            name: Name for messages.
            seconds: How long a caller waits for one call.
            failures: Failures in a row that open the breaker.
            pause: Seconds for which an open breaker refuses calls.
        """
        self.name, self.seconds, self.max_failures, self.pause = name, seconds, failures, pause
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.answered = False  # at least once
        self._failures = 0  # in a row
        self._paused_until = 0.0

    @property
    def open(self) -> bool:
        """Whether calls failed too often in a row, and none has succeeded since."""
        return self._failures >= self.max_failures

    def call(self, work: Callable[[], T]) -> T:
        """Run a function within the breaker's time limit.

        Args:
            work: Function without arguments.

        Returns:
            What `work` returns.

        Raises:
            NoAnswer: If `work` is late or raises, or the breaker is paused.
        """
        return self._call(work, self.seconds, count=1)

    def first_call(self, work: Callable[[], object], seconds: float) -> None:
        """Run a function that was never run before: it may take longer, and one failure opens the breaker.

        Args:
            work: Function without arguments.
            seconds: Time limit of this call.

        Raises:
            NoAnswer: If `work` is late or raises, or the breaker is paused.
        """
        self._call(work, seconds, count=self.max_failures)

    def _call(self, work: Callable[[], T], seconds: float, *, count: int) -> T:
        """Run `work`; a failure counts `count` times."""
        future: Future[T] = Future()
        self._enqueue(future, work)
        try:
            result = future.result(seconds)
        except FutureTimeout:
            future.cancel()
            raise self._failed("late", count) from None
        except Exception as error:
            raise self._failed("failed", count) from error
        self._failures, self.answered = 0, True
        return result

    def _enqueue(self, future: Future[Any], work: Callable[[], Any]) -> None:
        with self._lock:
            if self.open and time.monotonic() < self._paused_until:
                raise NoAnswer(self.name, "paused")
            if self.open:  # the pause is over: this call is the test, other calls are refused until it returns
                self._paused_until = time.monotonic() + max(self.pause, self.seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"genre-{self.name}", daemon=True)
                self._thread.start()
            self._work.put((future, work))

    def _failed(self, outcome: str, count: int) -> NoAnswer:
        with self._lock:
            self._failures += count
            self._paused_until = time.monotonic() + self.pause
        return NoAnswer(self.name, outcome)

    def _run(self) -> None:
        """Run what is in the queue until it has been empty for `IDLE_SECONDS`."""
        while True:
            try:
                future, work = self._work.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:  # nothing is put into the queue while the thread decides to end
                    if self._work.empty():
                        self._thread = None
                        return
                continue
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del future, work  # an idle thread keeps no reference to a replaced run
