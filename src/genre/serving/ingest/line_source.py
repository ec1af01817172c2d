"""What events are read from: lines with a place, and the contract of those who read them. Knows no event.

The place of a line is the same whenever it is read again, so an event without an id of its own has that of its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

LONGEST_LINE = 1_000_000  # bytes; of a longer one only its begin is kept
HALF_LINE = "ends in half a line, which is left for the next time"


class Line(NamedTuple):
    """A line that holds an event.

    Attributes:
        source: What it was read from, for people.
        stream: A name of that which never stands for anything else, also where files are renamed.
        position: Its place in the stream; later lines have higher ones.
        data: What it holds, without the line break; None: a message without a value.
        event_id: The id of an event that has none of its own; None: its place cannot be named.
        timestamp: When it was sent, in seconds since 1970; 0: unknown.
    """

    source: str
    stream: str
    position: int
    data: bytes | None
    event_id: str | None
    timestamp: int = 0


class LineSource(ABC):
    """Base of what reads lines.

    Attributes:
        at_end: Whether there is nothing more to read, and no more will come.
        n_lost: How much is known to be gone before it could be read.
    """

    at_end: bool = False
    n_lost: int = 0

    @abstractmethod
    def read(self) -> list[Line]:
        """Read some lines, without waiting for more than a moment.

        Returns:
            The next lines; none where there are none now.

        Raises:
            DataError: If it cannot be read.
        """

    @abstractmethod
    def keep(self) -> None:
        """Take note that all lines up to here are recorded, so that they are not read again."""

    @abstractmethod
    def close(self) -> None:
        """Stop reading."""


class LineSplitter:
    """Splits bytes into lines, however they arrive, and keeps what is not yet a whole line.

    Attributes:
        offset: Where the line begins that is not whole yet.
    """

    def __init__(self, offset: int = 0) -> None:
        """Begin at a line.

        Args:
            offset: Where that is.
        """
        self.offset = offset
        self._rest = bytearray()
        self._length = 0  # of the rest, also of what was not kept of a long line

    def split(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """Take in the next bytes.

        Args:
            chunk: The bytes.

        Returns:
            Lines that are whole now, with where they begin; of one longer than `LONGEST_LINE` a byte more than that.
        """
        *whole, rest = chunk.split(b"\n")
        lines = []
        for piece in whole:
            self._add(piece)
            lines.append(self.take_rest())
            self.offset += 1  # the line break
        self._add(rest)
        return lines

    @property
    def rest(self) -> bytes:
        """The line that is not whole yet."""
        return bytes(self._rest)

    def take_rest(self) -> tuple[int, bytes]:
        """End the line that is not whole.

        Returns:
            Where it begins, and the line.
        """
        line = self.offset, self.rest
        self.offset += self._length
        self._rest.clear()
        self._length = 0
        return line

    def _add(self, piece: bytes) -> None:
        self._length += len(piece)
        self._rest += piece[: LONGEST_LINE + 1 - len(self._rest)]
