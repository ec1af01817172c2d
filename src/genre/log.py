"""What a long job tells the person who waits: lines, bars with time left, and a record for the machine.

Passed down explicitly; the base class is silent, so that a library call prints nothing. Knows nothing
about recommending.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")


class Bar(Protocol):
    def advance(self, steps: float = 1, /, note: str = "") -> None: ...


class Log:
    """Silent to the eye, the default everywhere; entries go to the files it was given."""

    paths: tuple[Path, ...] = ()

    def also(self, path: Path) -> Self:
        """The same log, which appends its entries to `path` too."""
        copied = copy.copy(self)
        copied.paths = (*self.paths, path)
        return copied

    def line(self, text: str) -> None:
        """One line for the reader."""

    def record(self, event: str, **fields: Any) -> None:
        """One machine-readable entry, a line of JSON."""
        entry = {"time": round(time.time(), 3), "event": event, **fields}
        for path in self.paths:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False, default=float) + "\n")

    @contextmanager
    def bar(self, label: str, total: float | None = None) -> Iterator[Bar]:
        """A progress bar: `with log.bar("als", 10) as bar: bar.advance(1, note="loss 0.3")`."""
        yield _Still()

    def track(self, items: Iterable[T], label: str, total: float | None = None) -> Iterator[T]:
        """Iterate under a bar."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        with self.bar(label, total) as bar:
            for item in items:
                yield item
                bar.advance(1)


class _Still:
    def advance(self, steps: float = 1, /, note: str = "") -> None:
        return None


SILENT = Log()


class ConsoleLog(Log):
    """Rich lines and bars on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self._open = False

    def line(self, text: str) -> None:
        self.console.print(text, markup=False)

    @contextmanager
    def bar(self, label: str, total: float | None = None) -> Iterator[Bar]:
        if self._open or not self.console.is_terminal:  # one live display at a time; none in a pipe
            yield _Still()
            return
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
        self._open = True
        try:
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(label, total=total, note="")

                class Live:
                    def advance(self, steps: float = 1, /, note: str = "") -> None:
                        progress.update(task, advance=steps)
                        if note:
                            progress.update(task, note=note)

                yield Live()
        finally:
            self._open = False
