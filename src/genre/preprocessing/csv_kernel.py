"""Delimited text that holds numbers only, at a gigabyte in a few seconds. Compiled on first use; knows no roles.

Anything out of the ordinary (quotes, blanks, exponents, leading zeros, long decimals, rows of another width) is
refused, and the caller reads the file with Arrow, which knows what to do or say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.compiled import compiled

SKIP, WHOLE, DECIMAL = 0, 1, 2
NO_WHOLE = np.iinfo(np.int64).min
BLOCK_BYTES = 1 << 22
_NEWLINE, _RETURN, _MINUS, _DOT, _QUOTE, _ZERO, _NINE = 10, 13, 45, 46, 34, 48, 57
_POWERS = 10.0 ** np.arange(9)


def read_numbers(path: Path, delimiter: str, kinds: list[int], *, header: bool) -> list[npt.NDArray[Any]] | None:
    """The columns of a file: int32 or int64 where its kind is WHOLE, float32 where it is DECIMAL; None when refused.

    kinds: one for each column of the file; SKIP leaves a column out. A missing whole number is NO_WHOLE (and its column
    int64), a decimal NaN.
    """
    slots = np.array([kinds[:at].count(kind) for at, kind in enumerate(kinds)])
    read = [(kind, slot) for kind, slot in zip(kinds, slots, strict=True) if kind != SKIP]
    columns = [np.empty(0, np.int32 if kind == WHOLE else np.float32) for kind, _ in read]
    whole = np.empty((kinds.count(WHOLE), BLOCK_BYTES // len(kinds) + 1), np.int64)  # as many rows as a block can hold
    decimal = np.empty((kinds.count(DECIMAL), BLOCK_BYTES // len(kinds) + 1), np.float32)
    end, seen, n_bytes = 0, 0, path.stat().st_size
    for number, (block, size) in enumerate(_blocks(path)):
        first = int(np.argmax(block[:size] == _NEWLINE)) + 1 if header and number == 0 and size else 0
        found = _parse(block, first, size, ord(delimiter), np.array(kinds), slots, _POWERS, whole, decimal)
        if found < 0 or size == 0:
            return None
        start, end, seen = end, end + found, seen + size
        if columns and end > len(columns[0]):
            # As many rows as there are if the rest is as this; memory that is not used is not taken.
            likely = int(end * n_bytes / seen * 1.02)
            for at, column in enumerate(columns):
                columns[at] = np.empty(max(likely, end), column.dtype)
                columns[at][:start] = column[:start]
        for at, (kind, slot) in enumerate(read):
            values = (whole if kind == WHOLE else decimal)[slot, :found]
            if columns[at].dtype == np.int32 and not _is_narrow(values):
                columns[at] = columns[at].astype(np.int64)
            columns[at][start:end] = values
    return [column[:end] for column in columns]


def _is_narrow(values: npt.NDArray[Any]) -> bool:
    bounds = np.iinfo(np.int32)
    return len(values) == 0 or bool(values.min() >= bounds.min and values.max() <= bounds.max)


def _blocks(path: Path) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    """Whole lines at a time, in one buffer used again, and how many bytes of it count; 0 for too long a line."""
    buffer = np.empty(BLOCK_BYTES + 1, np.uint8)  # one more: a last line without an end gets one
    rest = 0
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(buffer[rest:BLOCK_BYTES].data):
            size = rest + got
            end = size
            while end > 0 and buffer[end - 1] != _NEWLINE:
                end -= 1
            yield buffer, end
            rest = size - end
            buffer[:rest] = buffer[end:size]
    if 0 < rest < BLOCK_BYTES:
        buffer[rest] = _NEWLINE
        yield buffer, rest + 1


@compiled
def _digits(block: Any, at: Any, value: Any) -> Any:
    """Digits appended to `value`, and the place after them."""
    digit = block[at] - np.uint64(_ZERO)
    while digit <= np.uint64(9):
        value = value * np.uint64(10) + digit
        at += np.uint64(1)
        digit = block[at] - np.uint64(_ZERO)
    return value, at


@compiled
def _parse(
    block: Any,
    start: int,
    end: int,
    delimiter: int,
    kinds: Any,
    slots: Any,
    powers: Any,
    whole: Any,
    decimal: Any,
) -> int:
    """Read the lines of `block[start:end]` into the columns; how many, or -1 where one is out of the ordinary.

    Positions are unsigned, which spares a check for negative ones at every byte.
    """
    one = np.uint64(1)
    at, stop, last, row = np.uint64(start), np.uint64(end), len(kinds) - 1, 0
    while at < stop:
        if block[at] == _NEWLINE or (block[at] == _RETURN and block[at + one] == _NEWLINE):  # an empty line
            at += one + np.uint64(block[at] == _RETURN)
            continue
        for column in range(len(kinds)):
            kind = kinds[column]
            if kind == SKIP:
                while block[at] != delimiter and block[at] != _NEWLINE and block[at] != _QUOTE:
                    at += one
            else:
                negative = block[at] == _MINUS
                at += np.uint64(negative)
                begin = at
                value, at = _digits(block, begin, np.uint64(0))
                digits = at - begin
                if kind == WHOLE:
                    if (
                        digits > 18
                        or (block[begin] == _ZERO and (digits > one or negative))
                        or (digits < one and negative)
                    ):
                        return -1
                    number = -np.int64(value) if negative else np.int64(value)
                    whole[slots[column], row] = number if digits else NO_WHOLE
                else:
                    places = np.uint64(0)
                    if block[at] == _DOT:
                        value, dot = _digits(block, at + one, value)
                        places = dot - at - one
                        at = dot
                    if digits + places > 8 or (digits + places == 0 and at != begin) or (digits < one and negative):
                        return -1  # up to 8 digits, one division gives the nearest float32
                    size = value / powers[places]
                    decimal[slots[column], row] = np.nan if at == begin else -size if negative else size
                if block[at] == _RETURN and block[at + one] == _NEWLINE:
                    at += one
            if block[at] != (_NEWLINE if column == last else delimiter):
                return -1
            at += one
        row += 1
    return row
