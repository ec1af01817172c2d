"""Progress of a long job: lines and bars for the person who waits, entries for the machine.

Passed down explicitly; the base class shows nothing, so that a library call prints nothing. Knows nothing about
recommending.
"""

from __future__ import annotations

import copy
import json
import resource
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")

EVERY = 5.0  # seconds between two lines about the same work, where no bar can move
SECOND = 1.0  # between two moves of a bar that the clock moves


class Bar(Protocol):
    """A progress bar."""

    def advance(self, steps: float = 1, /, note: str = "") -> None:
        """Move the bar.

        Args:
            steps: How many steps were done.
            note: A text behind the bar, such as the loss.
        """


class Log:
    """A log that shows nothing and appends its entries to files: the default of every function."""

    paths: tuple[Path, ...] = ()

    def also(self, path: Path) -> Self:
        """Return the same log with one more file.

        Args:
            path: The file that entries are appended to.

        Returns:
            A copy.
        """
        copied = copy.copy(self)
        copied.paths = (*self.paths, path)
        return copied

    def line(self, text: str) -> None:
        """Show one line to the reader.

        Args:
            text: The line.
        """

    def record(self, event: str, **fields: Any) -> None:
        """Append one entry, a line of JSON, to every file.

        Args:
            event: What happened.
            **fields: JSON values.
        """
        entry = {"time": round(time.time(), 3), "event": event, **fields}
        for path in self.paths:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False, default=float) + "\n")

    @contextmanager
    def measure(self, event: str, **fields: Any) -> Iterator[None]:
        """Record at the end of the block what it cost: CPU seconds, wall seconds, and the peak memory in MiB.

        Args:
            event: What happened in the block.
            **fields: Further values of the entry.
        """
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.record(
            event,
            **fields,
            cpu_seconds=round(time.process_time() - cpu, 3),
            seconds=round(time.perf_counter() - wall, 3),
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        )

    @contextmanager
    def bar(self, label: str, total: float | None = None) -> Iterator[Bar]:
        """Show a progress bar: `with log.bar("als", 10) as bar: bar.advance(1, note="loss 0.3")`.

        Args:
            label: The text before the bar.
            total: The number of steps; None: unknown.
        """
        yield _NoBar()

    @contextmanager
    def waiting(self, label: str, seconds: float) -> Iterator[None]:
        """Show a bar that the clock moves, during a block whose progress cannot be seen, such as one call of a library.

        Args:
            label: The text before the bar.
            seconds: How long the block is expected to take.
        """
        yield

    def track(self, items: Iterable[T], label: str, total: float | None = None) -> Iterator[T]:
        """Yield items and advance a progress bar with each.

        Args:
            items: The items.
            label: The text before the bar.
            total: Their number; None: their length, where they have one.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        with self.bar(label, total) as bar:
            for item in items:
                yield item
                bar.advance(1)


class _NoBar:
    """A bar that shows nothing."""

    def advance(self, steps: float = 1, /, note: str = "") -> None:
        """Do nothing."""


class _Lines:
    """A bar of lines, for output that is kept: `  als: 40 % after 12 s, about 18 s left`."""

    def __init__(self, log: Log, label: str, total: float | None) -> None:
        self._log, self._label, self._total = log, label, total
        self._done, self._begun, self._shown = 0.0, time.monotonic(), time.monotonic()

    def advance(self, steps: float = 1, /, note: str = "") -> None:
        """Count, and print a line where the last one is `EVERY` seconds old."""
        self._done += steps
        now = time.monotonic()
        if now - self._shown < EVERY:
            return
        self._shown = now
        seconds, share = now - self._begun, self._done / self._total if self._total else 0
        how_far = f"{share:.0%}".replace("%", " %") if share else f"{self._done:,.0f} done"
        left = f", about {seconds * (1 - share) / share:,.0f} s left" if 0 < share < 1 else ""
        self._log.line(f"  {self._label}: {how_far} after {seconds:,.0f} s{left}{f'; {note}' if note else ''}")


SILENT = Log()


def printable(text: str) -> str:
    """Return text of the data as a terminal may show it.

    Args:
        text: Any text.

    Returns:
        The text with control characters and marks of direction as spaces; ends of lines stay.
    """
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


class ConsoleLog(Log):
    """Lines and bars on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self._open = False

    def line(self, text: str) -> None:
        """Print one line.

        Args:
            text: The line.
        """
        self.console.print(printable(text), markup=False)

    @contextmanager
    def bar(self, label: str, total: float | None = None) -> Iterator[Bar]:
        """Show a progress bar, in a pipe or a file a line every few seconds; none inside another bar.

        Args:
            label: The text before the bar.
            total: The number of steps; None: unknown.
        """
        if self._open or self.console.quiet:
            yield _NoBar()
            return
        self._open = True
        try:
            with self._live(label, total) if self.console.is_terminal else self._lines(label, total) as bar:
                yield bar
        finally:
            self._open = False

    @contextmanager
    def waiting(self, label: str, seconds: float) -> Iterator[None]:
        """Show a bar that the clock moves; it stays just below its end where the block takes longer than expected.

        Args:
            label: The text before the bar.
            seconds: How long the block is expected to take.
        """
        done = threading.Event()

        def move(bar: Bar) -> None:
            moved = 0.0
            while not done.wait(SECOND):
                step = min(SECOND, 0.99 * seconds - moved)
                bar.advance(max(step, 0))
                moved += max(step, 0)

        with self.bar(label, seconds) as bar:
            mover = threading.Thread(target=move, args=(bar,), daemon=True)
            mover.start()
            try:
                yield
            finally:
                done.set()
                mover.join()

    @contextmanager
    def _lines(self, label: str, total: float | None) -> Iterator[Bar]:
        """Print how far the work is every `EVERY` seconds; nothing for work that is done before."""
        yield _Lines(self, label, total)

    @contextmanager
    def _live(self, label: str, total: float | None) -> Iterator[Bar]:
        """Draw a bar that moves in place."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(label, total=total, note="")

            class Live:
                def advance(self, steps: float = 1, /, note: str = "") -> None:
                    progress.update(task, advance=steps)
                    if note:
                        progress.update(task, note=note)

            yield Live()
