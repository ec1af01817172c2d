"""What `genre ingest` keeps in its folder: how far each file was read, and the lines that were rejected."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genre.errors import ArtifactError, StoreError
from genre.serving.ingest.line_source import LONGEST_LINE, Line
from genre.storage import read_json, write_json

KEPT_OF_LONG = 10_000  # bytes of a line that is too long


class Positions:
    """How far each source was read, in one file that is written whole. One process may use its folder."""

    def __init__(self, folder: Path) -> None:
        """Read the file, if there is one.

        Args:
            folder: Its folder, made where it is missing.

        Raises:
            StoreError: If another process uses the folder.
            ArtifactError: If the file is damaged.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / "positions.json"
        self._lock = FileLock(folder / ".lock", mode=0o600, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"{folder}: another genre ingest uses this folder; give each a --state of its own"
            ) from None
        self._kept: dict[str, Any] = read_json(self._path) if self._path.exists() else {}
        if not isinstance(self._kept, dict):
            raise ArtifactError(f"{self._path}: not what genre ingest wrote; move it away to read everything again")
        self._changed = False

    def get(self, source: str) -> Any:
        """Return what was noted of a source.

        Args:
            source: Its name.

        Returns:
            JSON values, or None.
        """
        return self._kept.get(source)

    def put(self, source: str, position: Any) -> None:
        """Note how far a source was read.

        Args:
            source: Its name.
            position: JSON values.
        """
        self._changed |= self._kept.get(source) != position
        self._kept[source] = position

    def save(self) -> None:
        """Write what was noted to the disk."""
        if self._changed:
            write_json(self._path, self._kept)
            self._changed = False

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.release()


class Rejects:
    """The file of lines that were rejected, with their places and the reasons; a line that is read again is there once.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Read which lines are in the file.

        Args:
            path: The file.
        """
        self.path = path
        self._last: dict[str, int] = {}  # highest position by stream
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")  # it holds deeds of users
        whole = 0
        for row in self._file:
            if not row.endswith(b"\n"):
                break  # of a process that was killed while it wrote
            whole += len(row)
            with suppress(ValueError, TypeError, KeyError):  # a person may have edited the file
                known = json.loads(row)
                self._note(str(known["stream"]), int(known["position"]))
        self._file.truncate(whole)
        self._file.seek(whole)

    def add(self, line: Line, reason: str, *, with_data: bool = True) -> None:
        """Add a line, unless it is there already.

        Args:
            line: The line.
            reason: Why it was rejected.
            with_data: Keep what it holds, too.
        """
        if line.position <= self._last.get(line.stream, -1):
            return
        self._note(line.stream, line.position)
        given = {"source": line.source, "stream": line.stream, "position": line.position, "reason": reason}
        if with_data and line.data is not None:
            kept = line.data if len(line.data) <= LONGEST_LINE else line.data[:KEPT_OF_LONG]
            given["line"] = kept.decode("utf-8", "backslashreplace")
        self._file.write(json.dumps(given, ensure_ascii=True).encode() + b"\n")

    def save(self) -> None:
        """Write what was added to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self, stream: str, position: int) -> None:
        self._last[stream] = max(position, self._last.get(stream, -1))
