"""The tables of the ledger, one SQLite file: all exchanges with language models and calls under way. Sends nothing."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from genre.errors import ArtifactError, LLMError
from genre.llm.base import Completion
from genre.llm.budget import Spent
from genre.sqlite_files import use_write_ahead_log

TABLE = """
CREATE TABLE IF NOT EXISTS exchanges (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, at REAL NOT NULL, job TEXT NOT NULL, model TEXT NOT NULL,
    prompt TEXT NOT NULL, prompt_hash TEXT NOT NULL, cutoff INTEGER, input TEXT NOT NULL, request TEXT NOT NULL,
    output TEXT NOT NULL, outcome TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
    seconds REAL NOT NULL, money REAL NOT NULL, error TEXT NOT NULL, verdict TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS answered ON exchanges (key) WHERE outcome != 'failed';
CREATE INDEX IF NOT EXISTS by_job ON exchanges (job);
CREATE TABLE IF NOT EXISTS under_way (
    key TEXT PRIMARY KEY, job TEXT NOT NULL, holder TEXT NOT NULL, tokens INTEGER NOT NULL, money REAL NOT NULL
);
"""
_OF_JOB = "(job = :job OR substr(job, 1, length(:job) + 1) IN (:job || '@', :job || '/'))"
MEMORY = ":memory:"
_WAIT_SECONDS = 60.0  # for other processes that write
KEYS_AT_ONCE = 500  # SQLite allows so many parameters in every version


def default_path() -> Path:
    """Return the ledger that all runs of this user share.

    Returns:
        The path of the SQLite file.
    """
    return platformdirs.user_data_path("genre") / "ledger.sqlite"


@dataclass(frozen=True)
class Exchange:
    """One call of a language model, a row of the ledger.

    Attributes:
        id: Number of the row.
        at: When it was written, in seconds since 1970.
        job: The name that its budget is counted by.
        model: Fingerprint of the model.
        prompt: Name of the prompt.
        prompt_hash: Digest of the prompt file.
        cutoff: Newest event that the input knows of, in seconds since 1970; None without times.
        input: The rendered prompt.
        output: The answer.
        outcome: How the call ended.
        tokens_in: Tokens of the prompt.
        tokens_out: Tokens of the answer.
        seconds: Wall time of the call.
        money: By the provider's prices.
        error: What went wrong.
        verdict: What the check of the answer said: valid, repaired or quarantined, with the reason.
    """

    id: int
    at: float
    job: str
    model: str
    prompt: str
    prompt_hash: str
    cutoff: int | None
    input: str
    output: str
    outcome: str
    tokens_in: int
    tokens_out: int
    seconds: float
    money: float
    error: str
    verdict: str

    @property
    def result(self) -> str:
        """How the call ended, and the verdict on its answer."""
        ended = self.outcome if self.outcome != "ok" or not self.verdict else ""
        return ": ".join(filter(None, (ended, self.error or self.verdict)))


class LedgerTable:
    """The tables of one ledger file; every statement on them is here. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open a ledger file.

        Args:
            path: The SQLite file, made when missing; `:memory:` for none.

        Raises:
            ArtifactError: The file is something else, or cannot be written.
        """
        self._connection = connect(path)
        self._lock = threading.RLock()

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """Use the connection, one thread at a time.

        Yields:
            The connection.

        Raises:
            LLMError: A statement failed.
        """
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise LLMError(f"the ledger cannot be read or written ({error}); is the disk full?") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make changes that are written together or not at all, while no other process writes.

        Yields:
            The connection.
        """
        with self.locked() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def answers(self, keys: Sequence[str]) -> dict[str, Completion]:
        """Look up earlier answers.

        Args:
            keys: Keys of exchanges.

        Returns:
            Key -> answer, for those that have one.
        """
        found: dict[str, Completion] = {}
        columns = "key, output, outcome, tokens_in, tokens_out, seconds, error"
        with self.locked() as connection:
            for start in range(0, len(keys), KEYS_AT_ONCE):
                some = list(keys[start : start + KEYS_AT_ONCE])
                marks = ",".join("?" * len(some))
                query = f"SELECT {columns} FROM exchanges WHERE outcome != 'failed' AND key IN ({marks})"
                found |= {key: Completion(*values) for key, *values in connection.execute(query, some)}
        return found

    def add(self, row: Mapping[str, Any]) -> None:
        """Record an exchange, and release its reservation.

        Args:
            row: Column -> value.
        """
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        with self.transaction() as connection:
            connection.execute(f"INSERT INTO exchanges ({names}) VALUES ({marks})", row)
            connection.execute("DELETE FROM under_way WHERE key = :key", row)

    def record_verdicts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Record what the checks said of answers.

        Args:
            rows: `(verdict, key)` of each.
        """
        with self.locked() as connection:
            connection.executemany("UPDATE exchanges SET verdict = ? WHERE key = ? AND outcome != 'failed'", rows)

    def spent(self, job: str, *, after: int) -> tuple[Spent, int]:
        """Add up what a job has used, without failed calls that cannot be billed.

        Args:
            job: The name that the budget is counted by.
            after: Only exchanges with a higher id.

        Returns:
            What they used, and the highest id so far.
        """
        query = (
            "SELECT total(outcome != 'failed' OR tokens_out > 0), total(tokens_in + tokens_out), total(money), max(id) "
            "FROM exchanges WHERE job = ? AND id > ?"
        )
        with self.locked() as connection:
            calls, tokens, money, newest = connection.execute(query, (job, after)).fetchone()
        return Spent(int(calls), int(tokens), money), after if newest is None else newest

    def means(self, model: str, prompt_hash: str) -> tuple[float | None, float | None, float | None]:
        """Average earlier calls of a prompt, for estimates.

        Args:
            model: Fingerprint of the model.
            prompt_hash: Digest of the prompt file.

        Returns:
            Tokens out a call, seconds a call, and tokens in a byte of input; None before a first call.
        """
        query = (
            "SELECT avg(tokens_out), avg(seconds), total(tokens_in) / total(length(CAST(input AS BLOB))) "
            "FROM exchanges WHERE model = ? AND prompt_hash = ? AND outcome != 'failed'"
        )
        with self.locked() as connection:
            tokens_out, seconds, tokens_a_byte = connection.execute(query, (model, prompt_hash)).fetchone()
        return tokens_out, seconds, tokens_a_byte

    def reserve(self, key: str, job: str, holder: str, most: Spent) -> None:
        """Reserve the most that a call can cost, within a transaction.

        Args:
            key: Key of the exchange.
            job: The name that the budget is counted by.
            holder: Name of the process.
            most: The most that the call can cost.
        """
        row = key, job, holder, most.tokens, most.money
        self._connection.execute("INSERT INTO under_way VALUES (?, ?, ?, ?, ?)", row)

    def is_under_way(self, key: str) -> bool:
        """Tell whether a call is reserved, within a transaction.

        Args:
            key: Key of the exchange.

        Returns:
            True while it is.
        """
        return self._connection.execute("SELECT 1 FROM under_way WHERE key = ?", (key,)).fetchone() is not None

    def reserved(self, job: str) -> Spent:
        """Add up what is reserved for a job, within a transaction.

        Args:
            job: The name that the budget is counted by.

        Returns:
            Calls, tokens and money.
        """
        query = "SELECT count(*), total(tokens), total(money) FROM under_way WHERE job = ?"
        calls, tokens, money = self._connection.execute(query, (job,)).fetchone()
        return Spent(calls, int(tokens), money)

    def holders(self) -> list[str]:
        """Name the processes that have reserved something, within a transaction.

        Returns:
            Their names.
        """
        return [holder for (holder,) in self._connection.execute("SELECT DISTINCT holder FROM under_way")]

    def book_under_way(self, holder: str) -> None:
        """Record what a process had under way when it ended as failed calls of their full cost, within a transaction.

        They were sent, perhaps, and may be billed.

        Args:
            holder: Name of the process.
        """
        self._connection.execute(
            "INSERT INTO exchanges (key, at, job, model, prompt, prompt_hash, input, request, output, outcome, "
            "tokens_in, tokens_out, seconds, money, error) SELECT key, ?, job, '', '', '', '', '', '', 'failed', "
            "0, tokens, 0, money, 'under way when its process ended; counted with the most that it can have cost' "
            "FROM under_way WHERE holder = ?",
            (time.time(), holder),
        )
        self._connection.execute("DELETE FROM under_way WHERE holder = ?", (holder,))


def read_log(
    path: str | Path,
    *,
    last: int = 20,
    job: str | None = None,
    outcome: str | None = None,
    number: int | None = None,
) -> list[Exchange]:
    """Read the newest exchanges of a ledger file.

    Args:
        path: The SQLite file.
        last: How many at most.
        job: Only of this job, and of `job@...` and `job/...`: the same experiment on other data, and its second stages.
        outcome: Only calls that ended so, or whose verdict begins with this word, such as quarantined.
        number: Only the one with this id.

    Returns:
        Exchanges, newest first; none where there is no file.

    Raises:
        ArtifactError: The file is no ledger.
    """
    if not Path(path).is_file():
        return []
    conditions = {
        "job": _OF_JOB,
        "outcome": "(outcome = :outcome OR verdict = :outcome OR verdict LIKE :outcome || ':%')",
        "number": "id = :number",
    }
    given = {
        name: value for name, value in (("job", job), ("outcome", outcome), ("number", number)) if value is not None
    }
    where = " AND ".join(conditions[name] for name in given) or "1"
    columns = ", ".join(field.name for field in dataclasses.fields(Exchange))
    connection = connect(Path(path))
    try:
        query = f"SELECT {columns} FROM exchanges WHERE {where} ORDER BY id DESC LIMIT :last"
        return [Exchange(*row) for row in connection.execute(query, {**given, "last": last})]
    finally:
        connection.close()


@dataclass(frozen=True)
class Spending:
    """What calls of language models used in a span of time.

    Attributes:
        since: Begin of the span, in seconds since 1970.
        calls: Calls that were answered or may be billed.
        failed: Calls that failed.
        tokens: Tokens, in and out together.
        money: By the provider's prices.
    """

    since: int
    calls: int
    failed: int
    tokens: int
    money: float


def read_spending(path: str | Path, *, job: str, since: int, span: int) -> list[Spending]:
    """Add up by span of time what a job used.

    Args:
        path: The SQLite file.
        job: As in `read_log`.
        since: Time of the first exchange that counts, in seconds since 1970.
        span: Seconds of a span.

    Returns:
        The spans with any exchange, oldest first; none where there is no file.

    Raises:
        ArtifactError: The file is no ledger.
    """
    if not Path(path).is_file():
        return []
    query = (
        "SELECT CAST(at AS INTEGER) / :span * :span, total(outcome != 'failed' OR tokens_out > 0), "
        "total(outcome = 'failed'), total(tokens_in + tokens_out), total(money) FROM exchanges "
        f"WHERE {_OF_JOB} AND at >= :since GROUP BY 1 ORDER BY 1"
    )
    connection = connect(Path(path))
    try:
        rows = connection.execute(query, {"job": job, "since": since, "span": span}).fetchall()
    finally:
        connection.close()
    return [Spending(int(at), int(calls), int(failed), int(tokens), money) for at, calls, failed, tokens, money in rows]


def connect(path: Path) -> sqlite3.Connection:
    """Open a ledger file.

    Args:
        path: The SQLite file, made when missing; `:memory:` for none.

    Returns:
        A connection that threads may share under a lock.

    Raises:
        ArtifactError: The file is something else, or cannot be written.
    """
    try:
        if str(path) != MEMORY:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # prompts hold data of users: only this user may read the file
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        use_write_ahead_log(connection, _WAIT_SECONDS)
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(TABLE)
    except (sqlite3.Error, OSError) as error:
        raise ArtifactError(f"{path}: cannot be used as a ledger ({error}); move it away or name another") from error
    return connection
