"""Counts in words, and small tables as plain text for a terminal and as HTML for a notebook. Does not know of what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

LONGEST = 80  # characters of a cell
RIGHT, LEFT = ' style="text-align:right"', ' style="text-align:left"'


def counted(n: int, one: str, many: str = "") -> str:
    """Write a number with what is counted, in the singular or the plural.

    Args:
        n: The number.
        one: The singular.
        many: The plural; empty: the singular with an s.

    Returns:
        Such as `1 user` or `2,000 users`.
    """
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


class Display(NamedTuple):
    """A table with a caption and a note.

    Attributes:
        caption: What the table shows.
        columns: The heads of the columns.
        rows: The cells: texts, whole numbers, fractions, None where there is nothing.
        note: A sentence below the table.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    def text(self) -> str:
        """Return the table as lines of text, numbers to the right.

        Returns:
            Lines without an end of line behind the last.
        """
        cells = [[_cell(value) for value in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(self.columns, *cells, strict=True)]
        right = self._numeric()
        lines = [self.caption]
        for row in (self.columns, *cells):
            padded = (
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            )
            lines.append("  ".join(padded).rstrip())
        return "\n".join([*lines, self.note] if self.note else lines)

    def html(self) -> str:
        """Return the table as HTML, every text escaped.

        Returns:
            A `<table>` in the style of the notebook, and the note behind it.
        """
        from html import escape  # its table of names takes longer to load than a command takes to start

        sides = [RIGHT if right else LEFT for right in self._numeric()]
        head = "".join(f"<th{side}>{escape(name)}</th>" for name, side in zip(self.columns, sides, strict=True))
        body = "".join(
            f"<tr>{''.join(f'<td{side}>{escape(_cell(v))}</td>' for v, side in zip(row, sides, strict=True))}</tr>"
            for row in self.rows
        )
        table = f"<caption{LEFT}>{escape(self.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        return f"<table>{table}</table>" + (f"<small>{escape(self.note)}</small>" if self.note else "")

    def _numeric(self) -> list[bool]:
        """Tell which columns hold numbers."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        return [
            any(isinstance(v, int | float) for v in column) and not any(isinstance(v, str) for v in column)
            for column in columns
        ]


def _cell(value: Any) -> str:
    """Return a value as it is shown, on one line."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    line = "".join(char if char.isprintable() else " " for char in str(value))
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def some_of(names: Sequence[str], most: int) -> str:
    """Name the first few of many things, and say how many more there are.

    Args:
        names: Their names.
        most: How many are named.

    Returns:
        Such as `a, b, c and 2 more`.
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
