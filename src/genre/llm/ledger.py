"""The ledger in front of every language model: cache, audit log and budget in one SQLite table of all exchanges.

The key of an exchange is a digest of the model's fingerprint, the prompt file's hash, the rendered input and the
schema, so nothing is paid for twice. An answer is on disk before the next one is used: after a kill at any moment the
same work, started again, sends only what has no answer yet. The most that a call may cost is reserved before it is
sent, so that caps hold exactly, also where several processes work on one job. Knows nothing about recommending.
"""

from __future__ import annotations

import copy
import dataclasses
import glob
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from genre.display import counted
from genre.errors import BudgetExceeded
from genre.llm.base import Completion, LanguageModel, Schemas, one_each
from genre.llm.budget import NO_CAP, Budget, Plan, Spent, money_of
from genre.llm.ledger_table import MEMORY, LedgerTable
from genre.llm.model_call import BYTES_PER_TOKEN, OVERHEAD, ModelCall, expected_answer_tokens, schema_bytes
from genre.llm.prompt import Prompt
from genre.log import SILENT, Log

TOKENS_PER_BYTE = 0.26  # of prompts, before the first call tells
ANSWER_BYTES = 8  # of a token of an answer that is sent back for a repair, at most
POLL_SECONDS = 0.02
FALSE_FACTOR = 10  # a count this many times what a call can take is false


class Ledger:
    """A ledger file as one job uses it: prompts go through here to the model, and only new ones are sent.

    Attributes:
        model: The language model.
        job: The name that the budget is counted by.
        budget: The caps of the job.
    """

    def __init__(self, path: str | Path, model: LanguageModel, *, job: str = "", budget: Budget = NO_CAP) -> None:
        """Open a ledger file, and count as spent what killed processes had under way.

        Args:
            path: The SQLite file, made when missing; `:memory:` keeps nothing.
            model: The language model.
            job: The name that the budget is counted by, such as that of a run.
            budget: The caps of the job.
        """
        self.model, self.job, self.budget = model, job, budget
        self._path = Path(path)
        self._alone, self._cached_only = str(path) == MEMORY, False
        self._spent, self._counted = Spent(), 0  # up to the exchange with that id
        self._table = LedgerTable(self._path)
        holders = [] if self._alone else self._holders_of_locks()
        if holders:
            with self._table.transaction():
                self._book_dead(holders)

    def complete(
        self,
        prompt: Prompt,
        inputs: Sequence[str],
        schema: Schemas = None,
        *,
        cutoff: int | None = None,
        log: Log = SILENT,
    ) -> list[Completion]:
        """Answer each rendered input of a prompt, from the ledger where it has an answer.

        Args:
            prompt: The prompt.
            inputs: Its rendered texts.
            schema: A JSON Schema that an answer must follow, one for all or one an input.
            cutoff: Seconds since 1970; nothing after it was used for the inputs.
            log: Where progress is shown.

        Returns:
            One completion an input, in order.

        Raises:
            BudgetExceeded: The next call could exceed a cap; every answer until then is kept.
            LLMError: The model cannot be used at all, or the ledger cannot be written.
        """
        return self._answer(prompt, _calls(inputs, schema), cutoff, log)

    def likelihood(
        self,
        prompt: Prompt,
        inputs: Sequence[str],
        continuations: Sequence[Sequence[str]],
        *,
        cutoff: int | None = None,
        log: Log = SILENT,
    ) -> list[Completion]:
        """Score how likely each input's continuations are; recorded and budgeted like answers.

        Args:
            prompt: The prompt.
            inputs: Its rendered texts.
            continuations: Texts that may follow each input.
            cutoff: Seconds since 1970; nothing after it was used for the inputs.
            log: Where progress is shown.

        Returns:
            One completion an input, in order; ln P of each continuation is in its `numbers()`.

        Raises:
            BudgetExceeded: The next call could exceed a cap; every answer until then is kept.
            NotSupported: The provider cannot score texts.
        """
        questions = [ModelCall(text, None, tuple(own)) for text, own in zip(inputs, continuations, strict=True)]
        return self._answer(prompt, questions, cutoff, log)

    def plan(
        self,
        prompt: Prompt,
        inputs: Sequence[str],
        schema: Schemas = None,
        *,
        sure: bool = True,
        repair: Prompt | None = None,
    ) -> Plan:
        """Estimate what `complete` would cost; sends nothing.

        Args:
            prompt: The prompt.
            inputs: Its rendered texts.
            schema: A JSON Schema that an answer must follow, one for all or one an input.
            sure: False where the inputs are not the final ones, so that none of them counts as answered.
            repair: The prompt of a second request where an answer does not pass; None: there is none.

        Returns:
            The estimate.
        """
        calls = _calls(inputs, schema)
        keys = [self._key(prompt, call) for call in calls]
        known = self._table.answers(keys) if sure else {}
        new = {key: call for key, call in zip(keys, calls, strict=True) if key not in known}
        cached = sum(key in known for key in keys)
        schemas = [call.schema for call in new.values()]
        again = 0 if repair is None else len(repair.text.encode()) + ANSWER_BYTES * self.model.max_tokens
        size = sum(len(call.input.encode()) for call in new.values())
        cost = self.estimate(prompt, len(new), size, schema=schemas)
        if repair is not None:
            twice = self.estimate(prompt, len(new), size + len(new) * again, schema=schemas)
            most = cost.most_tokens + twice.most_tokens, cost.most_money + twice.most_money
            cost = dataclasses.replace(cost, most_tokens=most[0], most_money=most[1])
        return dataclasses.replace(cost, questions=len(inputs), cached=cached, at_most=not sure)

    def estimate(
        self,
        prompt: Prompt,
        calls: int,
        size: float,
        *,
        schema: Schemas = None,
        tokens_out: float | None = None,
        most_size: float | None = None,
        reads: int = 1,
    ) -> Plan:
        """Estimate what calls of a prompt cost, as expected and at most; sends nothing.

        The expected cost is that of earlier calls of this prompt where there are any, else it follows from the schema.
        The most is that of all attempts, since one that times out may be billed.

        Args:
            prompt: The prompt.
            calls: How many.
            size: Bytes of all their inputs together.
            schema: A JSON Schema that an answer must follow, one for all or one a call.
            tokens_out: Tokens of an answer, as expected and at most; None: what the schema and `max_tokens` say.
            most_size: Bytes of all their inputs at most; None: `size` is exact.
            reads: How often an input is read for an answer.

        Returns:
            The estimate.
        """
        seen_out, seconds, per_byte = self._table.means(self.model.fingerprint, prompt.hash)
        longest = self.model.max_tokens
        schemas = one_each(schema, calls)
        expected = sum(min(expected_answer_tokens(one), longest) for one in schemas) / max(calls, 1)
        expected = expected if tokens_out is None else tokens_out
        most_in = (size if most_size is None else most_size) + calls * (OVERHEAD + self.model.added_bytes)
        most_in += sum(map(schema_bytes, schemas))
        most_out = calls * max(longest, tokens_out or 0)
        most = tuple(round(tokens * self.model.attempts) for tokens in (most_in * reads, most_out))
        tokens_in = round(size * (TOKENS_PER_BYTE * reads if per_byte is None else per_byte))
        answer_tokens = round(calls * (expected if seen_out is None else seen_out))
        return Plan(
            questions=calls,
            calls=calls,
            tokens_in=tokens_in,
            tokens_out=answer_tokens,
            seconds=None if calls and seconds is None else calls * (seconds or 0) / self.model.concurrency,
            money=money_of(self.model, tokens_in, answer_tokens),
            most_tokens=sum(most),
            most_money=money_of(self.model, *most),
            at_most=True,
        )

    def answers_so_far(self, prompt: Prompt, inputs: Sequence[str], schema: Schemas = None) -> list[Completion | None]:
        """Return the answers that are in the ledger; sends nothing.

        Args:
            prompt: The prompt.
            inputs: Its rendered texts.
            schema: The JSON Schema of the answers, one for all or one an input.

        Returns:
            One completion an input, in order; None where there is none.
        """
        keys = [self._key(prompt, call) for call in _calls(inputs, schema)]
        found = self._table.answers(keys)
        return [found.get(key) for key in keys]

    def record_verdicts(self, prompt: Prompt, verdicts: Mapping[str, str], schema: Schemas = None) -> None:
        """Record the verdicts on answers.

        Args:
            prompt: The prompt.
            verdicts: Rendered input -> `valid`, `repaired: ...` or `quarantined: ...`.
            schema: The JSON Schema of the answers, one for all or one an input.
        """
        keys = [self._key(prompt, call) for call in _calls(list(verdicts), schema)]
        self._table.record_verdicts(list(zip(verdicts.values(), keys, strict=True)))

    def cached_only(self) -> Ledger:
        """Return the same ledger, which sends nothing.

        Returns:
            A ledger that answers from earlier exchanges, and raises BudgetExceeded for a prompt without an answer.
        """
        other = copy.copy(self)
        other._cached_only = True
        return other

    def spent(self) -> Spent:
        """Add up what this job has used, over all its runs, without failed calls that cannot be billed.

        Returns:
            Calls, tokens and money.
        """
        with self._table.locked():
            new, self._counted = self._table.spent(self.job, after=self._counted)  # the cost of a row never changes
            self._spent += new
            return self._spent

    # --- sending ----------------------------------------------------------------------------------

    def _answer(self, prompt: Prompt, questions: list[ModelCall], cutoff: int | None, log: Log) -> list[Completion]:
        """Answer questions from the ledger, and send the others."""
        keys = [self._key(prompt, question) for question in questions]
        answers = self._table.answers(keys)
        missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in answers}
        if missing and self._cached_only:
            raise BudgetExceeded(f"{len(missing):,} questions of {prompt.name} have no answer yet")
        if missing:
            self.model.check()
            answers |= self._send(prompt, missing, cutoff, log)
        return [answers[key] for key in keys]

    def _send(
        self, prompt: Prompt, missing: dict[str, ModelCall], cutoff: int | None, log: Log
    ) -> dict[str, Completion]:
        """Send questions to the model, and record each answer as it comes. Returns key -> completion."""
        keys, questions = list(missing), list(missing.values())
        texts = [question.input for question in questions]
        uncounted: list[int] = []
        with self._holding() as holder:

            def send(at: int, call: Callable[[], Completion]) -> Completion:
                found = self._reserve(holder, keys[at], questions[at])
                if found is not None:
                    return found
                completion, estimated = self._booked(questions[at], call())
                uncounted.extend([at] * estimated)
                self._keep(keys[at], prompt, questions[at], completion, cutoff)
                return completion

            try:
                if questions[0].continuations is None:
                    answers = self.model.complete(texts, [one.schema for one in questions], log=log, send=send)
                else:
                    rows = [question.continuations or () for question in questions]
                    answers = self.model.likelihood(texts, rows, log=log, send=send)
            except _Reached as reached:
                left = len(keys) - len(self._table.answers(keys))
                raise BudgetExceeded(
                    f"the budget of {reached} is used up: {self.spent()} so far, {left:,} questions left; every answer "
                    "is kept, raise the budget to continue"
                ) from None
            finally:
                if uncounted:
                    log.line(
                        f"{prompt.name}: {counted(len(uncounted), 'answer')} without believable counts of tokens; the "
                        "most that each can have cost is counted"
                    )
        return dict(zip(keys, answers, strict=True))

    # --- reservations, of this process and others -------------------------------------------------

    @contextmanager
    def _holding(self) -> Iterator[str]:
        """Yield a name for the reservations of this process, with a lock that ends with the process, even if killed."""
        holder = uuid.uuid4().hex
        lock = None if self._alone else FileLock(self._lock_of(holder))
        with self._table.transaction():  # no other process may see the file unlocked: it would take it for a dead one's
            if lock is not None:
                lock.acquire()
        try:
            yield holder
        finally:
            try:
                with self._table.transaction():
                    self._table.book_under_way(holder)
            finally:
                if lock is not None:
                    lock.release()
                    self._lock_of(holder).unlink(missing_ok=True)

    def _lock_of(self, holder: str) -> Path:
        """Return the path of a lock file."""
        return self._path.with_name(f"{self._path.name}.{holder}.under-way")

    def _holders_of_locks(self) -> list[str]:
        """Name the processes whose lock files are beside the ledger: at work, or killed."""
        mask = self._lock_of("*").name.replace(self._path.name, glob.escape(self._path.name), 1)
        return [path.suffixes[-2][1:] for path in self._path.parent.glob(mask)]

    def _reserve(self, holder: str, key: str, question: ModelCall) -> Completion | None:
        """Reserve the most that a call can cost, before it is sent; or return the answer that another process has got.

        Waits while another process sends the same question, or while the rest of the budget is reserved.
        """
        tokens_in, tokens_out = question.most_tokens(self.model)
        most = Spent(1, tokens_in + tokens_out, money_of(self.model, tokens_in, tokens_out))
        while True:
            with self._table.transaction():
                found = self._table.answers([key])
                if found:
                    return found[key]
                self._book_dead(self._table.holders())
                reached = self.budget.reached(self.spent() + most)
                free = not reached and not self.budget.reached(self.spent() + self._table.reserved(self.job) + most)
                if free and not self._table.is_under_way(key):
                    self._table.reserve(key, self.job, holder, most)
                    return None
            if reached:  # after the transaction, which an error would undo
                raise _Reached(reached)
            time.sleep(POLL_SECONDS)

    def _book_dead(self, holders: Sequence[str]) -> None:
        """Count as spent what those of the `holders` had under way whose process has ended; delete their locks."""
        for holder in [] if self._alone else holders:
            lock = self._lock_of(holder)
            try:
                with FileLock(lock, timeout=0):
                    self._table.book_under_way(holder)
            except Timeout:
                continue
            lock.unlink(missing_ok=True)

    def _key(self, prompt: Prompt, question: ModelCall) -> str:
        """Compute the key of an exchange."""
        parts = [self.model.fingerprint, prompt.hash, question.input, question.request()]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()

    def _booked(self, question: ModelCall, answer: Completion) -> tuple[Completion, bool]:
        """Return an answer with the tokens that it is counted with, and whether they are the most it can have cost.

        Counts that cannot be true, or none, must not make a budget endless.
        """
        most = question.most_tokens(self.model)
        counts = answer.tokens_in, answer.tokens_out
        if answer.outcome == "failed" and not answer.lost and counts == (0, 0):
            return answer, False  # nothing was billed
        least = question.least_tokens(), -(-len(answer.text.encode(errors="replace")) // BYTES_PER_TOKEN)
        if question.continuations is not None:
            least = least[0], 0
        pairs = zip(least, counts, most, strict=True)
        believable = all(low <= count <= FALSE_FACTOR * high for low, count, high in pairs)
        if believable and not answer.lost:
            return answer, False
        return dataclasses.replace(answer, tokens_in=most[0], tokens_out=most[1]), answer.outcome != "failed"

    def _keep(self, key: str, prompt: Prompt, question: ModelCall, answer: Completion, cutoff: int | None) -> None:
        """Record an exchange, and release its reservation."""
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
            "tokens_in": answer.tokens_in,
            "tokens_out": answer.tokens_out,
            "seconds": answer.seconds,
            "money": money_of(self.model, answer.tokens_in, answer.tokens_out),
            "error": answer.error,
        }
        self._table.add(row)


def _calls(inputs: Sequence[str], schema: Schemas) -> list[ModelCall]:
    """Return the call of each input."""
    return [ModelCall(text, own) for text, own in zip(inputs, one_each(schema, len(inputs)), strict=True)]


class _Reached(Exception):
    """The next call could exceed this cap."""
