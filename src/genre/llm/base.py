"""The contract of every language model: prompts in, text, JSON or likelihoods out. Knows nothing about recommending."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Literal

from genre.errors import NotSupported
from genre.log import SILENT, Log
from genre.options import check_options

Outcome = Literal["ok", "failed", "truncated", "refused"]
Send = Callable[[int, Callable[[], "Completion"]], "Completion"]
Schema = dict[str, Any]

GIVE_UP = 5
"""Failures in a row after which nothing more is sent: a dead server costs seconds, not hours."""
LONGEST_WAIT = 60.0  # seconds between two attempts, whatever the server wishes


@dataclass(frozen=True)
class Completion:
    """One answer. `text` is what the model wrote, `outcome` how it ended; only `ok` answers may be used.

    tokens_in, tokens_out: as the provider counted them. seconds: wall time of the call. error: one line.
    sent: False when the call was given up before anything left.
    lost: it was sent, no answer came back and nobody knows what it cost: it counts as if it had been as long as it may.
    retry_after: seconds after which another attempt may end better, 0: nobody knows when; None: it would end the same.
    """

    text: str
    outcome: Outcome = "ok"
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    error: str = ""
    sent: bool = True
    lost: bool = False
    retry_after: float | None = None

    def numbers(self) -> list[float]:
        """The likelihoods that `likelihood` put in `text`; empty when the call did not end well."""
        return [float(value) for value in json.loads(self.text)] if self.outcome == "ok" else []


class LanguageModel(ABC):
    """Base of all providers: a dataclass whose fields are its options. One method to implement, one fake to test.

    Caching, logging and budgets live in the ledger around it, not in the provider.
    """

    max_tokens: int = 300
    concurrency: int = 1
    attempts: int = 1
    price_in: float = 0.0  # money for a million tokens
    price_out: float = 0.0

    def __post_init__(self) -> None:
        check_options(self)

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Provider, model and every parameter that changes an answer; no key, no address of a key."""

    def check(self) -> None:
        """Raise the GenreError that every call would end in, such as a missing key; called before anything is sent."""
        return

    @abstractmethod
    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        """One answer; called from `concurrency` threads at once. What it raises becomes a failed Completion."""

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """ln P(continuation | prompt) of each, made by `likelihoods`; only where the provider can tell."""
        raise NotSupported(f"{type(self).__name__} writes text; it does not tell how likely a given text is")

    def complete(
        self,
        prompts: Sequence[str],
        schema: Schema | None = None,
        *,
        log: Log = SILENT,
        send: Send | None = None,
    ) -> list[Completion]:
        """One completion a prompt, same length and order; a failure is an outcome, never an exception.

        schema: a JSON Schema the text must follow (constrained decoding where the provider can).
        send: called as `send(position, call)` for every attempt, by the thread that asks; what it returns counts as the
            completion, and what it raises ends the work. None: `call()`.
        """
        return self._each(len(prompts), lambda at: self._complete(prompts[at], schema), log, send)

    def likelihood(
        self,
        prompts: Sequence[str],
        continuations: Sequence[Sequence[str]],
        *,
        log: Log = SILENT,
        send: Send | None = None,
    ) -> list[Completion]:
        """For each prompt how likely each of its continuations is: ln P in `numbers()`, one a continuation.

        Raises NotSupported where the provider cannot tell.
        """
        if type(self)._likelihood is LanguageModel._likelihood:
            LanguageModel._likelihood(self, "", ())
        return self._each(len(prompts), lambda at: self._likelihood(prompts[at], continuations[at]), log, send)

    def _each(self, n: int, ask: Callable[[int], Completion], log: Log, send: Send | None) -> list[Completion]:
        done: list[Completion | None] = [None] * n
        streak = 0  # failures in a row; threads may miscount it by one another's, which costs a call at most
        last = ""

        def one(at: int) -> tuple[int, Completion]:
            nonlocal streak, last
            if streak >= GIVE_UP:
                error = one_line(f"not sent, {GIVE_UP} calls in a row had failed: {last}")
                return at, Completion("", "failed", error=error, sent=False)
            completion = self._try(at, ask, send or _call)
            streak, last = (streak + 1, completion.error) if completion.outcome == "failed" else (0, "")
            return at, completion

        with log.bar("language model", n) as bar:
            for at, completion in _in_parallel(n, self.concurrency, one):
                done[at] = completion
                bar.advance(1)
        return [completion for completion in done if completion is not None]

    def _try(self, at: int, ask: Callable[[int], Completion], send: Send) -> Completion:
        """The first attempt that ends well, or the last one; each of them goes through `send`."""
        completion = send(at, lambda: _as_outcome(ask, at))
        for attempt in range(1, self.attempts):
            if completion.retry_after is None:
                break
            time.sleep(min(completion.retry_after or 0.25 * 2**attempt, LONGEST_WAIT))
            completion = send(at, lambda: _as_outcome(ask, at))
        return completion


def _call(at: int, call: Callable[[], Completion]) -> Completion:
    return call()


def _as_outcome(ask: Callable[[int], Completion], at: int) -> Completion:
    """Whatever a provider raises is an outcome here."""
    start = time.perf_counter()
    try:
        return ask(at)
    except Exception as error:
        return Completion(
            "",
            "failed",
            seconds=time.perf_counter() - start,
            error=one_line(f"{type(error).__name__}: {error}"),
            lost=isinstance(error, TimeoutError),
        )


def _in_parallel(
    n: int, concurrency: int, one: Callable[[int], tuple[int, Completion]]
) -> Iterator[tuple[int, Completion]]:
    if concurrency == 1:
        yield from map(one, range(n))
        return
    pool = ThreadPoolExecutor(min(concurrency, max(n, 1)))
    try:
        for future in as_completed([pool.submit(one, at) for at in range(n)]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt waits for what is under way, sends nothing more


def likelihoods(values: Sequence[float], **counts: Any) -> Completion:
    """The Completion of a `_likelihood`: finite numbers as JSON, so that the ledger keeps it like any other."""
    if not all(math.isfinite(value) for value in values):
        return Completion("", "failed", error="a likelihood is not a finite number")
    return Completion(json.dumps([round(float(value), 6) for value in values]), **counts)


def one_line(text: str, most: int = 200) -> str:
    """A message without line breaks, cut to `most` characters."""
    short = " ".join(text.split())
    return short if len(short) <= most else short[: most - 1] + "…"
