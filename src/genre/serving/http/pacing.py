"""What is paced: refusals, since a client that is refused at once is back at once, and lines of the log."""

from __future__ import annotations

import asyncio
import logging
import time


class Pace:
    """Turns that come at most so many times a second."""

    def __init__(self, per_second: float) -> None:
        self._between = 1 / per_second
        self._next = 0.0

    def seconds_to_turn(self) -> float:
        """Take the next turn.

        Returns:
            Seconds until it; 0 where the last one is long enough ago.
        """
        now = time.monotonic()
        self._next = max(now, self._next + self._between)
        return self._next - now

    async def turn(self) -> None:
        """Wait for the next turn."""
        seconds = self.seconds_to_turn()
        if seconds > 0:
            await asyncio.sleep(seconds)


class PacedLines(logging.Filter):
    """A filter of a logger: of lines that are alike, one in a while, with the number of those left out since.

    Lines are alike where their text before formatting and the place of their exception are the same.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        """Make a filter.

        Args:
            seconds: Time between two lines that are alike.
        """
        super().__init__()
        self._seconds = seconds
        self._lines: dict[tuple[object, ...], tuple[float, int]] = {}  # time of the last one, number left out since

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide whether a line is written.

        Args:
            record: The line; the number of those left out is added to its text.

        Returns:
            Whether it is.
        """
        key, now = (record.msg, _place(record)), time.monotonic()
        last, left_out = self._lines.get(key, (-self._seconds, 0))
        if now - last < self._seconds:
            self._lines[key] = last, left_out + 1
            return False
        self._lines[key] = now, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out:,} more like this since the last)", ()
        return True


def _place(record: logging.LogRecord) -> object:
    """Return type and place of the exception of a line; None without one."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return None
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return type(error), None if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
