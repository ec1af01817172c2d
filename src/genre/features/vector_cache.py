"""Vectors kept by the content of their text: what was encoded once is not encoded again, in this run or any other.

One SQLite file an encoder. Safe to kill at any moment and to share between processes. Half precision on disk, so
whoever uses it rounds first: a vector is the same whether it was read or made. Nothing here stops the work: a row
that is damaged is made again, a file that is damaged is started again, a folder that cannot be written is done without.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.log import SILENT, Log

Float16 = npt.NDArray[np.float16]

_TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, checksum INTEGER NOT NULL)"
_ASKED_AT_ONCE = 500
_WAIT_SECONDS = 60.0


def text_key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class VectorCache:
    """The vectors of one encoder, `dim` values each."""

    def __init__(self, path: Path, dim: int, *, log: Log = SILENT) -> None:
        self.path, self.dim, self.log = path, dim, log
        self._usable = True

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Float16]:
        """The vectors that are there and whole."""
        found: dict[bytes, Float16] = {}
        for start in range(0, len(keys), _ASKED_AT_ONCE):
            asked = keys[start : start + _ASKED_AT_ONCE]
            marks = ", ".join("?" * len(asked))
            rows = self._execute(f"SELECT key, vector, checksum FROM vectors WHERE key IN ({marks})", asked)
            for key, vector, checksum in rows:
                if isinstance(vector, bytes) and len(vector) == 2 * self.dim and zlib.crc32(key + vector) == checksum:
                    found[key] = np.frombuffer(vector, np.float16)
        return found

    def put(self, vectors: dict[bytes, Float16]) -> None:
        """Keep vectors, all of them or none."""
        rows = [(key, vector.tobytes()) for key, vector in vectors.items()]
        self._execute_many(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
            [(key, vector, zlib.crc32(key + vector)) for key, vector in rows],
        )

    def _execute(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._try(lambda db: db.execute(statement, values).fetchall()) or []

    def _execute_many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._try(lambda db: db.executemany(statement, rows))

    def _try(self, work: Any, *, again: bool = True) -> Any:
        if not self._usable:
            return None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS)) as db, db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                db.execute(_TABLE)
                return work(db)
        except (sqlite3.OperationalError, OSError) as error:
            self._usable = False
            self.log.line(f"embedding: no cache this time ({error}): {self.path}")
        except sqlite3.DatabaseError as error:
            self.log.line(f"embedding: the cache is damaged ({error}) and is started again: {self.path}")
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            return self._try(work, again=False) if again else None
        return None
