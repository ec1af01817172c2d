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
Scores = Literal["texts", "words", "nothing"]
Send = Callable[[int, Callable[[], "Completion"]], "Completion"]
Schema = dict[str, Any]
Schemas = Schema | Sequence[Schema | None] | None
"""Of the answers to several prompts: one for all, one a prompt, or none."""

GIVE_UP = 5
"""Failures in a row after which nothing more is sent: a dead server costs seconds, not hours."""
LONGEST_WAIT = 60.0  # seconds between two attempts, even if the server suggests more


@dataclass(frozen=True)
class Completion:
    """One answer of a language model.

    Attributes:
        text: The text that the model wrote.
        outcome: How the call ended; only `ok` answers may be used.
        tokens_in: Tokens of the prompt, as the provider counted them; 0: it sent no count that can be one.
        tokens_out: Tokens of the answer, as the provider counted them.
        seconds: Wall time of the call.
        error: What went wrong, in one line.
        sent: False when nothing was sent.
        lost: The call was sent and no answer came back, so its cost is unknown: the longest possible answer is counted.
        retry_after: Seconds after which another attempt may end better, 0 where that is unknown; None: a retry
            would end the same.
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
        """Return the log-likelihoods that `likelihood` put in `text`.

        Returns:
            ln P of each continuation; empty when the call did not end well.
        """
        return [float(value) for value in json.loads(self.text)] if self.outcome == "ok" else []


class LanguageModel(ABC):
    """Base of all providers: a dataclass whose fields are its options; `_complete` is the one method to implement.

    Caching, logging and budgets are in the ledger around it, not in the provider.

    Attributes:
        max_tokens: Longest answer.
        concurrency: Calls under way at once.
        attempts: How often a call is tried.
        price_in: Money for a million tokens of prompts.
        price_out: Money for a million tokens of answers.

    Example:
        >>> from genre.testing import FakeLanguageModel
        >>> schema = {"type": "object", "properties": {"topic": {"enum": ["crime"]}}}
        >>> answer = FakeLanguageModel().complete(["What is Heat about?"], schema)[0]
        >>> answer.text, answer.outcome
        ('{"topic": "crime"}', 'ok')
    """

    max_tokens: int = 300
    concurrency: int = 1
    attempts: int = 1
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        check_options(self)

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Provider, model and every parameter that changes an answer; never a key or the name of its variable."""

    @property
    def scores(self) -> Scores:
        """What `likelihood` can score: any text, single words where the server lets it, or nothing."""
        return "nothing" if type(self)._likelihood is LanguageModel._likelihood else "texts"

    @property
    def added_bytes(self) -> int:
        """Bytes that the provider adds to each prompt, such as a system message: budgets reserve them."""
        return 0

    def notes(self) -> list[str]:
        """Return what the provider has found out about its server since the last call of this method.

        Returns:
            Lines to show once.
        """
        return []

    def check(self) -> None:
        """Check what every call needs, such as a package or a key; called before anything is sent.

        Raises:
            GenreError: Something is missing.
        """
        return

    @abstractmethod
    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        """Answer one prompt; called from `concurrency` threads at once. An exception becomes a failed Completion."""

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """Return ln P(continuation | prompt) of each continuation, made by `likelihoods`; not every provider can."""
        raise NotSupported(f"{type(self).__name__} writes text; it cannot score how likely a given text is")

    def complete(
        self,
        prompts: Sequence[str],
        schema: Schemas = None,
        *,
        log: Log = SILENT,
        send: Send | None = None,
    ) -> list[Completion]:
        """Answer prompts; a failure is an outcome, never an exception.

        Args:
            prompts: The rendered prompts.
            schema: A JSON Schema that the text must follow (constrained decoding where the provider can), one for all
                prompts or one a prompt.
            log: Where progress is shown.
            send: Called as `send(position, call)` for every attempt, in the thread of the call. What it returns counts
                as the completion, and what it raises ends the work. None: `call()`.

        Returns:
            One completion a prompt, in order.
        """
        schemas = one_each(schema, len(prompts))
        return self._each(len(prompts), lambda at: self._complete(prompts[at], schemas[at]), log, send)

    def likelihood(
        self,
        prompts: Sequence[str],
        continuations: Sequence[Sequence[str]],
        *,
        log: Log = SILENT,
        send: Send | None = None,
    ) -> list[Completion]:
        """Score how likely each prompt's continuations are.

        Args:
            prompts: The rendered prompts.
            continuations: Texts that may follow each prompt.
            log: Where progress is shown.
            send: As in `complete`.

        Returns:
            One completion a prompt, in order; ln P of each continuation is in its `numbers()`.

        Raises:
            NotSupported: The provider cannot score texts.
        """
        if type(self)._likelihood is LanguageModel._likelihood:
            LanguageModel._likelihood(self, "", ())
        return self._each(len(prompts), lambda at: self._likelihood(prompts[at], continuations[at]), log, send)

    def _each(self, n: int, call: Callable[[int], Completion], log: Log, send: Send | None) -> list[Completion]:
        """Make `n` calls in parallel, until too many fail in a row."""
        done: list[Completion | None] = [None] * n
        streak = 0  # failures in a row; not locked: a miscount between threads costs one call at most
        last = ""

        def one(at: int) -> tuple[int, Completion]:
            nonlocal streak, last
            if streak >= GIVE_UP:
                error = one_line(f"not sent, {GIVE_UP} calls in a row had failed: {last}")
                return at, Completion("", "failed", error=error, sent=False)
            completion = self._try(at, call, send or _send)
            streak, last = (streak + 1, completion.error) if completion.outcome == "failed" else (0, "")
            return at, completion

        with log.bar("language model", n) as bar:
            for at, completion in _in_parallel(n, self.concurrency, one):
                done[at] = completion
                bar.advance(1)
        for note in self.notes():
            log.line(note)
        return [completion for completion in done if completion is not None]

    def _try(self, at: int, call: Callable[[int], Completion], send: Send) -> Completion:
        """Try a call up to `attempts` times, each through `send`; return the first that ends well, or the last."""
        completion = send(at, lambda: _as_outcome(call, at))
        for attempt in range(1, self.attempts):
            if completion.retry_after is None:
                break
            time.sleep(min(completion.retry_after or 0.25 * 2**attempt, LONGEST_WAIT))
            completion = send(at, lambda: _as_outcome(call, at))
        return completion


def _send(at: int, call: Callable[[], Completion]) -> Completion:
    """Make a call without a ledger."""
    return call()


def _as_outcome(call: Callable[[int], Completion], at: int) -> Completion:
    """Make a call, and turn an exception of the provider into a failed Completion."""
    start = time.perf_counter()
    try:
        return call(at)
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
    """Yield the results of `n` calls as they end."""
    if concurrency == 1:
        yield from map(one, range(n))
        return
    pool = ThreadPoolExecutor(min(concurrency, max(n, 1)))
    try:
        for future in as_completed([pool.submit(one, at) for at in range(n)]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt waits for calls under way and sends nothing more


def one_each(schema: Schemas, n: int) -> list[Schema | None]:
    """Return the schema of each answer.

    Args:
        schema: One for all, one an answer, or none.
        n: How many answers.

    Returns:
        One an answer. [n]
    """
    return [schema] * n if schema is None or isinstance(schema, dict) else list(schema)


def likelihoods(values: Sequence[float], **counts: Any) -> Completion:
    """Make the Completion of a `_likelihood`: numbers as JSON, so that the ledger keeps it like any other.

    Args:
        values: ln P of each continuation.
        **counts: Fields of the Completion, such as tokens and seconds.

    Returns:
        The Completion; a failed one where a number is not finite.
    """
    if not all(math.isfinite(value) for value in values):
        return Completion("", "failed", error="a likelihood is not a finite number")
    return Completion(json.dumps([round(float(value), 6) for value in values]), **counts)


def one_line(text: str, most: int = 200) -> str:
    """Shorten a message to one line.

    Args:
        text: Any text.
        most: Characters.

    Returns:
        The text without line breaks, cut to `most` characters.
    """
    short = " ".join(text.split())
    return short if len(short) <= most else short[: most - 1] + "…"
