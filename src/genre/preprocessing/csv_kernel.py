"""Delimited text of plain rows, at a gigabyte in a few seconds. Compiled on first use; knows no roles.

Anything out of the ordinary where it matters (quotes inside of a text; quotes, blanks, exponents, leading zeros and
long decimals in a number; a row of another width) is refused, and the caller reads the file with Arrow, which knows
what to do or say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre.data.arrow import as_arrow
from genre.kernels.compiled import compiled
from genre.preprocessing.text_kernel import Texts, with_room

SKIP, WHOLE, DECIMAL, TEXT = 0, 1, 2, 3
BLOCK_BYTES = 1 << 21
"""Small enough that a text is still in cache when it is numbered."""
_NO_WHOLE = np.iinfo(np.int64).min
_MARK = b"\xef\xbb\xbf"  # what some programs put before UTF-8
_NEWLINE, _RETURN, _MINUS, _DOT, _QUOTE, _ZERO = 10, 13, 45, 46, 34, 48
_POWERS = 10.0 ** np.arange(9)


def read_plain(
    stream: pa.NativeFile, n_bytes: int, delimiter: str, kinds: list[int], *, header: bool, quoted: bool
) -> list[pa.Array] | None:
    """The columns of a file; None when refused.

    Raises ArrowInvalid for texts that are not UTF-8 or too much for one array, OSError for a broken packed stream.

    n_bytes: about how long the stream is, from which the number of rows is guessed. kinds: one for each column of the
    file: WHOLE gives int32 or where needed int64, DECIMAL float32 with NaN for a missing one, TEXT a dictionary, SKIP
    nothing. quoted: whether a field may stand in quotes.
    """
    slots = np.array([kinds[:at].count(kind) for at, kind in enumerate(kinds)])
    n_most = BLOCK_BYTES // len(kinds) + 1  # as many rows as a block can hold
    whole = np.empty((kinds.count(WHOLE), n_most), np.int64)
    decimal = np.empty((kinds.count(DECIMAL), n_most), np.float32)
    bounds = np.empty((kinds.count(TEXT), n_most, 2), np.int32)
    columns: list[tuple[Texts | _Numbers, npt.NDArray[Any]]] = []
    for kind, slot in zip(kinds, slots, strict=True):
        if kind == TEXT:
            columns.append((Texts(), bounds[slot]))
        elif kind == WHOLE:
            columns.append((_Numbers(np.int32), whole[slot]))
        elif kind == DECIMAL:
            columns.append((_Numbers(np.float32), decimal[slot]))
    ends = np.zeros(256, np.bool_)
    ends[[ord(delimiter), _NEWLINE, _RETURN]] = True
    ends[_QUOTE] = quoted

    block = np.empty(BLOCK_BYTES + 1, np.uint8)  # one more: a last line without an end gets one
    n_rows, n_seen, rest, last = 0, 0, 0, False
    while not last:
        size = rest
        while size < BLOCK_BYTES and (got := stream.readinto(block[size:BLOCK_BYTES].data)):
            size += got
        start, n_seen = _first_row(block[:size], header=header) if n_seen == 0 else 0, n_seen + size - rest
        last = size < BLOCK_BYTES
        if last and size > start:
            block[size] = _NEWLINE  # an empty line does no harm
            size += 1
        found, stop = _parse(
            block, start, size, ord(delimiter), np.array(kinds), slots, ends, _POWERS, whole, decimal, bounds
        )
        if found < 0 or (stop < size and (last or stop == 0)):
            return None
        n_rows, rest = n_rows + found, size - stop
        likely = int(n_rows * n_bytes / max(n_seen - rest, 1) * 1.02)  # if the rest is as this
        for column, values in columns:
            if isinstance(column, Texts):
                column.add(block, values[:found], likely)
            else:
                column.add(values[:found], likely)
        block[:rest] = block[stop:size]
    return [column.column() for column, _ in columns]


def kind_of(type_: pa.DataType | None) -> int:
    """How a column of a type is read; one without a type is left out."""
    if type_ is None:
        return SKIP
    return WHOLE if pa.types.is_integer(type_) else DECIMAL if pa.types.is_floating(type_) else TEXT


class _Numbers:
    """A column of numbers that comes in pieces; whole ones take half the memory while they are small."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self._n, self._values = 0, np.empty(0, dtype)

    def add(self, values: npt.NDArray[Any], likely: int) -> None:
        """The next piece. likely: how many numbers there may be in all; memory that is not used is not taken."""
        start, self._n = self._n, self._n + len(values)
        if self._n > len(self._values):
            self._values = with_room(self._values, max(self._n, likely))
        if self._values.dtype == np.int32 and len(values) and not _is_narrow(values):
            self._values = self._values.astype(np.int64)
        self._values[start : self._n] = values

    def column(self) -> pa.Array:
        return as_arrow(self._values[: self._n], _NO_WHOLE)


def _is_narrow(values: npt.NDArray[Any]) -> bool:
    bounds = np.iinfo(np.int32)
    return bool(values.min() >= bounds.min and values.max() <= bounds.max)


def _first_row(block: npt.NDArray[np.uint8], *, header: bool) -> int:
    """Where the first row begins: after a byte order mark and the header."""
    start = len(_MARK) if block[: len(_MARK)].tobytes() == _MARK else 0
    return start + int(np.argmax(block[start:] == _NEWLINE)) + 1 if header and len(block) else start


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
    size: int,
    delimiter: int,
    kinds: Any,
    slots: Any,
    ends: Any,
    powers: Any,
    whole: Any,
    decimal: Any,
    bounds: Any,
) -> Any:
    """Read the whole rows of `block[start:size]` into the columns; how many, and where they end.

    -1 rows where one is out of the ordinary. ends: for each byte whether a field without quotes ends there. Positions
    are unsigned, which spares a check for negative ones at every byte.
    """
    one = np.uint64(1)
    while size > start and block[size - 1] != _NEWLINE:
        size -= 1
    at, stop, last, row = np.uint64(start), np.uint64(size), len(kinds) - 1, 0
    quoted = ends[_QUOTE]
    while at < stop:
        if block[at] == _NEWLINE or (block[at] == _RETURN and block[at + one] == _NEWLINE):  # an empty line
            at += one + np.uint64(block[at] == _RETURN)
            continue
        first = at
        for column in range(len(kinds)):
            kind = kinds[column]
            if kind in (WHOLE, DECIMAL):
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
                        return -1, 0
                    number = -np.int64(value) if negative else np.int64(value)
                    whole[slots[column], row] = number if digits else _NO_WHOLE
                else:
                    places = np.uint64(0)
                    if block[at] == _DOT:
                        value, dot = _digits(block, at + one, value)
                        places = dot - at - one
                        at = dot
                    if digits + places > 8 or (digits + places == 0 and at != begin) or (digits < one and negative):
                        return -1, 0  # up to 8 digits, one division gives the nearest float32
                    share = value / powers[places]
                    decimal[slots[column], row] = np.nan if at == begin else -share if negative else share
            else:
                closing = np.uint64(quoted and block[at] == _QUOTE)
                at += closing
                begin = at
                if closing:
                    while block[at] != _QUOTE or block[at + one] == _QUOTE:
                        if block[at] == _QUOTE:  # a quote inside is written twice
                            if kind == TEXT:
                                return -1, 0
                            at += one
                        at += one
                        if at >= stop:  # the field goes on in the next block
                            return row, np.int64(first)
                else:
                    while not ends[block[at]]:
                        at += one
                if kind == TEXT:
                    bounds[slots[column], row, 0], bounds[slots[column], row, 1] = begin, at
                at += closing
            if block[at] == _RETURN and block[at + one] == _NEWLINE:
                at += one
            if block[at] != (_NEWLINE if column == last else delimiter):
                return -1, 0
            at += one
        row += 1
    return row, np.int64(stop)
