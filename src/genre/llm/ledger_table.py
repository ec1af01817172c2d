"""The table of all exchanges with language models: one SQLite file, which the ledger writes. Sends nothing."""

from __future__ import annotations

import dataclasses
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from genre.errors import ArtifactError

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
MEMORY = ":memory:"


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
        "job": "(job = :job OR substr(job, 1, length(:job) + 1) IN (:job || '@', :job || '/'))",
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
        connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(TABLE)
    except (sqlite3.Error, OSError) as error:
        raise ArtifactError(f"{path}: cannot be used as a ledger ({error}); move it away or name another") from error
    return connection
