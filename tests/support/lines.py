"""A log that keeps its lines."""

from __future__ import annotations

from genre.log import Log


class Lines(Log):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)
