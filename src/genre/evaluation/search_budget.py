"""What a search may use: CPU time, trials, and a clock that ends a fit which takes more than its share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genre.log import Bar, Log


@dataclass
class Allowance:
    """CPU time and trials that a search may use; None: no limit.

    Attributes:
        seconds: CPU seconds of the process from `began` on.
        trials: Fits of single recommenders.
        began: CPU time of the process when the budget began.
    """

    seconds: float | None = None
    trials: int | None = None
    began: float = field(default_factory=time.process_time)

    def left(self) -> float:
        """Return what is left of the time.

        Returns:
            CPU seconds, below zero when more was used; infinite without a limit.
        """
        return np.inf if self.seconds is None else self.seconds - (time.process_time() - self.began)

    def __str__(self) -> str:
        return "" if self.seconds is None else f", {max(self.left(), 0) / 60:.1f} CPU minutes left"


class OutOfTime(Exception):
    """A trial took more than its share of the budget."""


class Stopwatch(Log):
    """A log that ends a long fit at its next sign of progress after the time is up.

    Attributes:
        until: CPU time of the process.
    """

    def __init__(self, until: float) -> None:
        self.until = until

    def record(self, event: str, **fields: Any) -> None:
        """Look at the clock.

        Args:
            event: What happened.
            **fields: Not read.
        """
        self.advance()

    @contextmanager
    def bar(self, label: str, total: float | None = None) -> Iterator[Bar]:
        """Return itself as a bar that shows nothing.

        Args:
            label: Not read.
            total: Not read.
        """
        yield self

    def advance(self, steps: float = 1, /, note: str = "") -> None:
        """Look at the clock.

        Args:
            steps: Not read.
            note: Not read.

        Raises:
            OutOfTime: The time is up.
        """
        if time.process_time() > self.until:
            raise OutOfTime
