"""A cache of vectors on disk, by the content of their text: no text is encoded twice, in this run or any other.

One SQLite file an encoder, which processes may share and which survives a kill at any moment. Vectors are in half
precision, and the encoder rounds new ones the same way: a vector is the same whether it was read or computed. The cache
never stops the work: a damaged row counts as missing, a damaged file is deleted and started again, and where the folder
cannot be written nothing is cached. docs/decisions/0023-vector-cache-by-content.md compares it with diskcache.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.log import SILENT, Log
from genre.sqlite_files import use_write_ahead_log

Float16 = npt.NDArray[np.float16]

_TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, checksum INTEGER NOT NULL)"
_KEYS_AT_ONCE = 500  # SQLite allows so many parameters in every version
_WAIT_SECONDS = 60.0


def text_key(text: str) -> bytes:
    """Return the key of a text: a digest of 16 bytes, so that the cache holds no text.

    Args:
        text: Any text.

    Returns:
        The key.
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class VectorCache:
    """The vectors of one encoder, `dim` values each."""

    def __init__(self, path: Path, dim: int, *, log: Log = SILENT) -> None:
        self.path, self.dim, self.log = path, dim, log
        self._usable = True

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Float16]:
        """Look vectors up.

        Args:
            keys: What `text_key` returns.

        Returns:
            Key -> vector `[dim]`, for those that are cached and whole.
        """
        found: dict[bytes, Float16] = {}
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            for key, vector, checksum in self._rows(keys[start : start + _KEYS_AT_ONCE]):
                if isinstance(vector, bytes) and len(vector) == 2 * self.dim and zlib.crc32(key + vector) == checksum:
                    found[key] = np.frombuffer(vector, np.float16)
        return found

    def _rows(self, keys: Sequence[bytes]) -> list[tuple[Any, Any, Any]]:
        """Select the rows of a few keys."""
        query = f"SELECT key, vector, checksum FROM vectors WHERE key IN ({', '.join('?' * len(keys))})"
        return self._try(lambda db: db.execute(query, keys).fetchall()) or []

    def put(self, vectors: dict[bytes, Float16]) -> None:
        """Write vectors, all of them or none.

        Args:
            vectors: Key -> vector `[dim]`.
        """
        data = [(key, vector.tobytes()) for key, vector in vectors.items()]
        rows = [(key, vector, zlib.crc32(key + vector)) for key, vector in data]
        self._try(lambda db: db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows))

    def _try(self, work: Callable[[sqlite3.Connection], Any], *, again: bool = True) -> Any:
        """Do something with the file; None where that is impossible, which is logged once."""
        if not self._usable:
            return None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS)) as db, db:
                use_write_ahead_log(db, _WAIT_SECONDS)
                db.execute("PRAGMA synchronous=NORMAL")
                db.execute(_TABLE)
                return work(db)
        except (sqlite3.OperationalError, OSError) as error:
            self._usable = False
            self.log.line(f"embedding: vectors are not cached this time ({error}): {self.path}")
        except sqlite3.DatabaseError as error:
            self.log.line(f"embedding: the cache of vectors is damaged ({error}) and is started again: {self.path}")
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            return self._try(work, again=False) if again else None
        return None
