"""Lines of a file that grows and is rotated, from where they were last read on.

A file is known by its number on the disk (inode) and its first bytes, so it is found again under another name.
Knows no event.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from genre.errors import ArtifactError, DataError
from genre.log import SILENT, Log
from genre.serving.ingest.line_source import HALF_LINE, Line, LineSource, LineSplitter
from genre.serving.ingest.positions import Positions

CHUNK = 1 << 17
HEAD_BYTES = 1024
QUIET_SECONDS = 2.0  # after which a file that was rotated is taken to be whole: its writer goes on with the new one
MOST_FINISHED = 1000  # rotated files that are remembered
_NUMBERED = r"(?:[._-][0-9][0-9TZ:._-]*)?"


@dataclass
class FilePosition:
    """How far a file was read.

    Attributes:
        inode: Its number on the disk.
        rewritten: How often it was emptied and written anew.
        stream: The name of its content; empty until its first line is known.
        offset: Bytes that were read.
        head: Digest of the first bytes.
        head_bytes: How many those are.
        modified: When it was last written, in nanoseconds since 1970.
        finished: Rotated files that were read to their end, by inode: when they were last written.
    """

    inode: int
    rewritten: int = 0
    stream: str = ""
    offset: int = 0
    head: str = ""
    head_bytes: int = 0
    modified: int = 0
    finished: dict[str, int] = field(default_factory=dict)


class GrowingFile(LineSource):
    """Reads a file and, where it is rotated by renaming, the files after it, each to its end."""

    def __init__(self, path: Path, positions: Positions, *, follow: bool = False, log: Log = SILENT) -> None:
        """Go on where the file was last read.

        Args:
            path: The file; to follow, it may be made later.
            positions: How far it was read.
            follow: Go on at the end of the file, when it grows.
            log: Gets a line where something is missing.

        Raises:
            DataError: If there is no such file.
        """
        self._path, self._positions, self._follow, self._log = path.absolute(), positions, follow, log
        self._rotated = re.compile(f"{re.escape(path.stem)}{_NUMBERED}{re.escape(path.suffix)}{_NUMBERED}")
        self._file: BinaryIO | None = None
        self._splitter = LineSplitter()
        try:
            kept = positions.get(str(self._path))
            self._at = None if kept is None else FilePosition(**kept)
        except TypeError as error:
            raise ArtifactError(
                f"{path}: its position is damaged ({error}); move the folder of --state away"
            ) from error
        if not follow and self._at is None and not path.is_file():
            raise DataError(f"{path}: no such file; add --follow to wait for it")

    @override
    def read(self) -> list[Line]:
        if self.at_end or (self._file is None and not self._begin()):
            self.at_end = not self._follow
            return []
        assert self._file is not None
        while chunk := self._file.read(CHUNK):
            if lines := [self._line(offset, data) for offset, data in self._splitter.split(chunk)]:
                return lines
        return self._at_end_of_file()

    def _line(self, offset: int, data: bytes) -> Line:
        assert self._at is not None
        if not self._at.stream:
            named = f"{self._at.inode} {self._at.rewritten} ".encode() + data
            self._at.stream = hashlib.sha256(named).hexdigest()[:16]
        return Line(str(self._path), self._at.stream, offset, data, f"{self._at.stream}:{offset}")

    def _begin(self) -> bool:
        """Open the file that was read last, wherever it is, else the one after it; return whether there is one."""
        if self._at is None:
            return self._open(self._path, FilePosition(0))
        for path in (self._path, *_files_beside(self._path)):
            if (found := _stat(path)) is not None and found.st_ino == self._at.inode:
                if _begins_as_known(path, self._at, found.st_size):
                    return self._open(path, self._at)
                if path == self._path:
                    return self._open_rewritten()
        self.n_lost += 1
        self._log.line(
            f"{self._path}: the file that was read up to byte {self._at.offset:,} is gone, moved away, compressed or "
            "removed; what was written behind that is not read"
        )
        return self._open_next()

    def _open(self, path: Path, position: FilePosition) -> bool:
        """Open a file at its position; return False where it is not there."""
        try:
            self._file = path.open("rb", buffering=0)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        found = os.fstat(self._file.fileno())
        position.inode, position.modified = found.st_ino, found.st_mtime_ns
        self._at = position
        self._splitter = LineSplitter(position.offset)
        self._file.seek(position.offset)
        return True

    def _open_rewritten(self) -> bool:
        """Read the same file from its beginning, which holds something else now."""
        assert self._at is not None
        self.n_lost += 1
        self._log.line(
            f"{self._path}: was emptied or written anew after byte {self._at.offset:,} was read; what was written in "
            "between is not read. Rotate by renaming, not by copying and emptying"
        )
        fresh = FilePosition(self._at.inode, self._at.rewritten + 1, finished=self._at.finished)
        return self._open(self._path, fresh)

    def _open_next(self) -> bool:
        """Open the file that was begun after the one that was read last."""
        assert self._at is not None
        following = self._next()
        return following is not None and self._open(following, FilePosition(0, finished=self._at.finished))

    def _next(self) -> Path | None:
        """Find the file that was begun after this one: a rotated one that was not read yet, else that of the path."""
        assert self._at is not None
        present = _stat(self._path)
        if present is not None and present.st_ino == self._at.inode:
            return None
        found = [
            (status.st_mtime_ns, path)
            for path in _files_beside(self._path)
            if path != self._path and self._rotated.fullmatch(path.name) and (status := _stat(path)) is not None
            if status.st_ino != self._at.inode and status.st_mtime_ns >= self._at.modified
            if self._at.finished.get(str(status.st_ino)) != status.st_mtime_ns
        ]
        return min(found)[1] if found else self._path if present is not None else None

    def _at_end_of_file(self) -> list[Line]:
        """Find out whether the file was emptied or rotated, and go on with what is next."""
        assert self._file is not None
        assert self._at is not None
        status = os.fstat(self._file.fileno())
        self._at.modified = status.st_mtime_ns
        if status.st_size < self._file.tell():
            self.close()
            self._open_rewritten()
            return []
        following = self._next()
        if following is None:
            self.at_end = not self._follow
            return self._last_line() if self.at_end else []
        if time.time_ns() - status.st_mtime_ns < QUIET_SECONDS * 1e9:
            return []
        lines = [self._line(*self._splitter.take_rest())] if self._splitter.rest else []
        self._at.finished = dict(
            [*self._at.finished.items(), (str(status.st_ino), status.st_mtime_ns)][-MOST_FINISHED:]
        )
        self.close()
        self._open_next()
        return lines

    def _last_line(self) -> list[Line]:
        """Return the last line where it is whole without a line break: JSON objects end in a bracket."""
        if not self._splitter.rest:
            return []
        try:
            json.loads(self._splitter.rest)
        except (ValueError, RecursionError):
            self._log.line(f"{self._path}: {HALF_LINE}")
            return []
        return [self._line(*self._splitter.take_rest())]

    @override
    def keep(self) -> None:
        if self._at is None or self._file is None:
            return
        self._at.offset = self._splitter.offset
        if self._at.head_bytes < min(HEAD_BYTES, self._at.offset):
            head = os.pread(self._file.fileno(), min(HEAD_BYTES, self._at.offset), 0)
            self._at.head, self._at.head_bytes = hashlib.sha256(head).hexdigest(), len(head)
        self._positions.put(str(self._path), asdict(self._at))

    @override
    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _files_beside(path: Path) -> list[Path]:
    try:
        return [one for one in path.parent.iterdir() if one.is_file()]
    except OSError:
        return []


def _begins_as_known(path: Path, position: FilePosition, size: int) -> bool:
    """Tell whether a file has the bytes that were read of it: numbers of removed files are used again."""
    if size < position.offset:
        return False
    try:
        with path.open("rb") as file:
            return (
                not position.head_bytes or hashlib.sha256(file.read(position.head_bytes)).hexdigest() == position.head
            )
    except OSError:
        return False
