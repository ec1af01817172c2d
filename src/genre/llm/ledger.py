"""The one way to a language model: every exchange in SQLite by content hash, cache, audit log and budget in one.

The key of an exchange is a digest of the model's fingerprint, the prompt file's hash, the rendered input and the
schema, so nothing is paid for twice. An answer is on disk before the next one is looked at: after a kill at any point
the same work, started again, sends only what has no answer yet. What a call may cost at most is reserved before it is
sent: caps hold exactly, also where several processes work on one job. Knows nothing about recommending.
"""

from __future__ import annotations

import copy
import dataclasses
import glob
import hashlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from genre.errors import BudgetExceeded, LLMError
from genre.llm.base import Completion, LanguageModel, Schema
from genre.llm.budget import NO_CAP, Budget, Plan, Spent
from genre.llm.ledger_table import MEMORY, connect
from genre.llm.prompt import Prompt
from genre.log import SILENT, Log

OVERHEAD = 64  # tokens a chat template adds, at most
TOKENS_PER_BYTE = 0.3  # of plain text; no more than a guess
POLL_SECONDS = 0.02


class Ledger:
    """One job's view of a ledger file: questions go through here to `model`, and only new ones are sent.

    path: the SQLite file, made when missing; `:memory:` keeps nothing.
    job: a name to count the budget by, such as that of a run.
    """

    def __init__(self, path: str | Path, model: LanguageModel, *, job: str = "", budget: Budget = NO_CAP) -> None:
        self.model, self.job, self.budget = model, job, budget
        self._path = Path(path)
        self._alone, self._cached_only = str(path) == MEMORY, False
        self._spent, self._counted = Spent(), 0  # up to the exchange with that id
        self._connection = connect(self._path)
        self._lock = threading.RLock()
        left = [] if self._alone else self._left_behind()
        if left:
            with self._changing() as connection:
                self._drop_the_dead(connection, left)

    def complete(
        self,
        prompt: Prompt,
        inputs: Sequence[str],
        schema: Schema | None = None,
        *,
        cutoff: int | None = None,
        log: Log = SILENT,
    ) -> list[Completion]:
        """An answer to each rendered input of `prompt`, old or new, in order.

        cutoff: seconds since 1970; nothing after it was used for the inputs. Raises BudgetExceeded before the first
        call that could go past a cap; what was answered until then is kept.
        """
        return self._answer(prompt, [_Question(text, schema) for text in inputs], cutoff, log)

    def likelihood(
        self,
        prompt: Prompt,
        inputs: Sequence[str],
        continuations: Sequence[Sequence[str]],
        *,
        cutoff: int | None = None,
        log: Log = SILENT,
    ) -> list[Completion]:
        """ln P of each continuation of each input in `numbers()`; kept and budgeted like answers."""
        questions = [_Question(text, None, tuple(own)) for text, own in zip(inputs, continuations, strict=True)]
        return self._answer(prompt, questions, cutoff, log)

    def plan(self, prompt: Prompt, inputs: Sequence[str], schema: Schema | None = None, *, sure: bool = True) -> Plan:
        """What `complete` would cost; sends nothing. sure: False when the inputs are not the final ones."""
        keys = dict.fromkeys(self._key(prompt, _Question(text, schema)) for text in inputs)
        known = self._known(list(keys)) if sure else {}
        new = list(dict.fromkeys(text for text in inputs if self._key(prompt, _Question(text, schema)) not in known))
        cached = len(inputs) - sum(self._key(prompt, _Question(text, schema)) not in known for text in inputs)
        cost = self.estimate(prompt, len(new), sum(len(text.encode()) for text in new))
        return dataclasses.replace(cost, questions=len(inputs), cached=cached, at_most=not sure)

    def estimate(
        self, prompt: Prompt, calls: int, size: float, *, tokens_out: float | None = None, reads: int = 1
    ) -> Plan:
        """What so many calls of a prompt would cost at most, whose inputs are `size` bytes together; sends nothing.

        By what was seen of this prompt; else as if an answer had `tokens_out` tokens (None: all it may have) and an
        input were read `reads` times for it.
        """
        seen_out, seconds, per_byte = self._experience(prompt)
        out = self.model.max_tokens if tokens_out is None else tokens_out
        told_in = round(size * (TOKENS_PER_BYTE * reads if per_byte is None else per_byte))
        told_out = round(calls * (out if seen_out is None else seen_out))
        return Plan(
            questions=calls,
            calls=calls,
            tokens_in=told_in,
            tokens_out=told_out,
            seconds=None if calls and seconds is None else calls * (seconds or 0) / self.model.concurrency,
            money=self.money(told_in, told_out),
            at_most=True,
        )

    def record_verdicts(self, prompt: Prompt, verdicts: Mapping[str, str], schema: Schema | None = None) -> None:
        """Write down what became of the answers to these inputs (`valid`, `repaired`, `quarantined: ...`)."""
        rows = [(verdict, self._key(prompt, _Question(text, schema))) for text, verdict in verdicts.items()]
        with self._writing() as connection:
            connection.executemany("UPDATE exchanges SET verdict = ? WHERE key = ? AND outcome != 'failed'", rows)

    def cached_only(self) -> Ledger:
        """The same ledger, which answers what it knows and raises BudgetExceeded for all else."""
        other = copy.copy(self)
        other._cached_only = True
        return other

    def spent(self) -> Spent:
        """What this job has used up, over all its runs. A call that failed and cannot be billed has used up nothing."""
        question = (
            "SELECT total(outcome != 'failed' OR tokens_out > 0), total(tokens_in + tokens_out), total(money), max(id) "
            "FROM exchanges WHERE job = ? AND id > ?"  # rows are added and never changed in what they cost
        )
        with self._writing() as connection:
            calls, tokens, money, newest = connection.execute(question, (self.job, self._counted)).fetchone()
            if newest is not None:
                self._spent, self._counted = self._spent + Spent(int(calls), int(tokens), money), newest
            return self._spent

    # --- asking -----------------------------------------------------------------------------------

    def _answer(self, prompt: Prompt, questions: list[_Question], cutoff: int | None, log: Log) -> list[Completion]:
        keys = [self._key(prompt, question) for question in questions]
        answers = self._known(keys)
        missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in answers}
        if missing and self._cached_only:
            raise BudgetExceeded(f"{len(missing):,} questions of {prompt.name} have no answer yet")
        if missing:
            self.model.check()
            answers |= self._send(prompt, missing, cutoff, log)
        return [answers[key] for key in keys]

    def _send(
        self, prompt: Prompt, missing: dict[str, _Question], cutoff: int | None, log: Log
    ) -> dict[str, Completion]:
        keys, questions = list(missing), list(missing.values())
        texts = [question.input for question in questions]
        with self._holding() as holder:

            def send(at: int, call: Callable[[], Completion]) -> Completion:
                found = self._reserve(holder, keys[at], questions[at])
                if found is not None:
                    return found
                completion = call()
                self._keep(keys[at], prompt, questions[at], completion, cutoff)
                return completion

            try:
                if questions[0].continuations is None:
                    answers = self.model.complete(texts, questions[0].schema, log=log, send=send)
                else:
                    rows = [question.continuations or () for question in questions]
                    answers = self.model.likelihood(texts, rows, log=log, send=send)
            except _Reached as reached:
                left = len(keys) - len(self._known(keys))
                raise BudgetExceeded(
                    f"the budget of {reached} is used up: {self.spent()} so far, {left:,} questions left; every answer "
                    "is kept, raise the budget to go on"
                ) from None
        return dict(zip(keys, answers, strict=True))

    # --- what is under way, here and in other processes -------------------------------------------

    @contextmanager
    def _holding(self) -> Iterator[str]:
        """A name for what is sent from here. Its lock falls when this process ends, however it ends."""
        holder = uuid.uuid4().hex
        lock = None if self._alone else FileLock(self._lock_of(holder))
        with self._changing():  # so that nobody meets the file before it is locked, and takes it for a dead one's
            if lock is not None:
                lock.acquire()
        try:
            yield holder
        finally:
            try:
                with self._changing() as connection:
                    connection.execute("DELETE FROM under_way WHERE holder = ?", (holder,))
            finally:
                if lock is not None:
                    lock.release()
                    self._lock_of(holder).unlink(missing_ok=True)

    def _lock_of(self, holder: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{holder}.under-way")

    def _left_behind(self) -> list[str]:
        """Everybody whose lock lies beside the ledger: at work, or killed."""
        mask = self._lock_of("*").name.replace(self._path.name, glob.escape(self._path.name), 1)
        return [path.suffixes[-2][1:] for path in self._path.parent.glob(mask)]

    def _reserve(self, holder: str, key: str, question: _Question) -> Completion | None:
        """Book the most that an exchange can cost, before it is sent; or the answer that somebody else has got.

        Waits while another asks the same, or while all that is left is reserved for what is under way.
        """
        tokens_in, tokens_out = question.most_tokens(self.model.max_tokens)
        most = Spent(1, tokens_in + tokens_out, self.money(tokens_in, tokens_out))
        while True:
            with self._changing() as connection:
                found = self._known([key])
                if found:
                    return found[key]
                self._drop_the_dead(connection, self._holders(connection))
                reached = self.budget.reached(self.spent() + most)
                if reached:
                    raise _Reached(reached)
                asked = connection.execute("SELECT 1 FROM under_way WHERE key = ?", (key,)).fetchone()
                if not asked and not self.budget.reached(self.spent() + self._reserved(connection) + most):
                    row = key, self.job, holder, most.tokens, most.money
                    connection.execute("INSERT INTO under_way VALUES (?, ?, ?, ?, ?)", row)
                    return None
            time.sleep(POLL_SECONDS)

    def _reserved(self, connection: sqlite3.Connection) -> Spent:
        question = "SELECT count(*), total(tokens), total(money) FROM under_way WHERE job = ?"
        calls, tokens, money = connection.execute(question, (self.job,)).fetchone()
        return Spent(calls, int(tokens), money)

    def _holders(self, connection: sqlite3.Connection) -> list[str]:
        """Everybody who has reserved something."""
        return [holder for (holder,) in connection.execute("SELECT DISTINCT holder FROM under_way")]

    def _drop_the_dead(self, connection: sqlite3.Connection, holders: Sequence[str]) -> None:
        """Free what those of `holders` have reserved whose process has ended, and remove their locks."""
        for holder in [] if self._alone else holders:
            lock = self._lock_of(holder)
            try:
                with FileLock(lock, timeout=0):
                    connection.execute("DELETE FROM under_way WHERE holder = ?", (holder,))
            except Timeout:
                continue
            lock.unlink(missing_ok=True)

    def money(self, tokens_in: float, tokens_out: float) -> float:
        """What so many tokens cost by the provider's prices."""
        return (tokens_in * self.model.price_in + tokens_out * self.model.price_out) / 1e6

    def _key(self, prompt: Prompt, question: _Question) -> str:
        parts = [self.model.fingerprint, prompt.hash, question.input, question.request()]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()

    # --- the table --------------------------------------------------------------------------------

    def _known(self, keys: Sequence[str]) -> dict[str, Completion]:
        found: dict[str, Completion] = {}
        columns = "key, output, outcome, tokens_in, tokens_out, seconds, error"
        with self._writing() as connection:
            for start in range(0, len(keys), 500):
                some = list(keys[start : start + 500])
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT {columns} FROM exchanges WHERE outcome != 'failed' AND key IN ({marks})", some
                )
                found |= {row[0]: Completion(*row[1:]) for row in rows}
        return found

    def _keep(self, key: str, prompt: Prompt, question: _Question, answer: Completion, cutoff: int | None) -> None:
        most = question.most_tokens(self.model.max_tokens)
        tokens_in, tokens_out = most if answer.lost else (answer.tokens_in, answer.tokens_out)
        row = {
            "key": key,
            "at": time.time(),
            "job": self.job,
            "model": self.model.fingerprint,
            "prompt": prompt.name,
            "prompt_hash": prompt.hash,
            "cutoff": cutoff,
            "input": question.input,
            "request": question.request(),
            "output": answer.text.encode(errors="replace").decode(),
            "outcome": answer.outcome,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "seconds": answer.seconds,
            "money": self.money(tokens_in, tokens_out),
            "error": answer.error,
        }
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        with self._changing() as connection:
            connection.execute(f"INSERT INTO exchanges ({names}) VALUES ({marks})", row)
            connection.execute("DELETE FROM under_way WHERE key = ?", (key,))

    def _experience(self, prompt: Prompt) -> tuple[float | None, float | None, float | None]:
        """Tokens out a call, seconds a call, tokens in a byte, as seen with this prompt; None before a first call."""
        question = (
            "SELECT avg(tokens_out), avg(seconds), total(tokens_in) / total(length(CAST(input AS BLOB))) "
            "FROM exchanges WHERE model = ? AND prompt_hash = ? AND outcome != 'failed'"
        )
        with self._writing() as connection:
            seen: tuple[float | None, float | None, float | None] = connection.execute(
                question, (self.model.fingerprint, prompt.hash)
            ).fetchone()
        return seen

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and nobody else changes the file meanwhile."""
        with self._writing() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise LLMError(f"the ledger cannot be read or written ({error}); is the disk full?") from error


class _Reached(Exception):
    """The cap that the next call could go past."""


@dataclass(frozen=True)
class _Question:
    input: str
    schema: Schema | None
    continuations: tuple[str, ...] | None = None

    def request(self) -> str:
        return json.dumps({"schema": self.schema, "continuations": self.continuations}, sort_keys=True)

    def most_tokens(self, max_tokens: int) -> tuple[int, int]:
        """No tokeniser makes more tokens than bytes: an upper bound of (in, out)."""
        size = len(self.input.encode()) + len(json.dumps(self.schema).encode()) + OVERHEAD
        if self.continuations is None:
            return size, max_tokens
        return size * len(self.continuations), sum(len(text.encode()) for text in self.continuations)
