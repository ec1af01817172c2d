"""Lines of standard input. It cannot be read again, so a line has a place only where the input has a name."""

from __future__ import annotations

import os
import select
import sys
import time

from typing_extensions import override

from genre.serving.ingest.line_source import Line, LineSource, LineSplitter

CHUNK = 1 << 17


class StandardInput(LineSource):
    """Reads standard input to its end."""

    def __init__(self, name: str | None = None, descriptor: int | None = None) -> None:
        """Begin at the first line.

        Args:
            name: A name of the whole input, which is the same when it is sent again; None: it has none.
            descriptor: What is read; None: standard input.
        """
        self._named = name is not None
        self._stream = name or f"standard input {time.time():.3f}"
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._splitter = LineSplitter()
        self._n_lines = 0

    @override
    def read(self) -> list[Line]:
        if self.at_end or not select.select([self._descriptor], [], [], 0)[0]:
            return []
        chunk = os.read(self._descriptor, CHUNK)
        if chunk:
            return [self._line(data) for _, data in self._splitter.split(chunk)]
        self.at_end = True
        return [self._line(self._splitter.take_rest()[1])] if self._splitter.rest else []

    def _line(self, data: bytes) -> Line:
        self._n_lines += 1
        event_id = f"{self._stream}:{self._n_lines}" if self._named else None
        return Line("standard input", self._stream, self._n_lines, data, event_id)

    @override
    def keep(self) -> None:
        pass

    @override
    def close(self) -> None:
        pass
