"""Texts by the ten million, each numbered when it is first seen. Compiled; knows no roles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre.data.arrow import as_arrow
from genre.kernels.compiled import compiled

MOST_BYTES = 2**31 - 1
"""Arrow's limit for the texts of one array together."""
_PRIME, _GOLDEN = np.uint64(1099511628211), np.uint64(0x9E3779B97F4A7C15)
_ONE, _EIGHT = np.uint64(1), np.uint64(8)


class Texts:
    """A column of texts that comes in pieces, each numbered when it is first seen: what `dictionary_encode` finds.

    A hash table with linear probing, never more than a quarter full. Text `code` is
    `content[ends[code]:ends[code + 1]]`.
    """

    def __init__(self) -> None:
        self._n_rows, self._n = 0, 0
        self._codes = np.empty(1 << 16, np.int32)
        self._content = np.empty(1 << 16, np.uint8)
        self._ends = np.zeros(1 << 12, np.int64)
        self._table = np.full(4 * len(self._ends), -1, np.int32)

    def add(self, content: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int32], likely: int = 0) -> None:
        """The next piece of the column: the texts `content[begin:end]` for `bounds` [n, 2].

        likely: how many texts there may be in all; memory that is not used is not taken.
        """
        start, self._n_rows = self._n_rows, self._n_rows + len(bounds)
        if self._n_rows > len(self._codes):
            self._codes = with_room(self._codes, max(self._n_rows, likely))
        self._content = with_room(self._content, int(self._ends[self._n]) + int((bounds[:, 1] - bounds[:, 0]).sum()))
        codes, done = self._codes[start : self._n_rows], 0
        while True:
            done, self._n = _number(content, bounds, codes, done, self._content, self._ends, self._n, self._table)
            if done == len(codes):
                return
            self._ends = with_room(self._ends, 2 * len(self._ends))
            self._table = np.full(4 * len(self._ends), -1, np.int32)
            _file(self._content, self._ends, self._n, self._table)

    def column(self) -> pa.DictionaryArray:
        """The whole column; ArrowInvalid when a text is not UTF-8, or the distinct ones are too much for one array."""
        ends = self._ends[: self._n + 1]
        if ends[-1] > MOST_BYTES:
            raise pa.ArrowInvalid("more than two gigabytes of distinct texts")
        content = self._content[: ends[-1]].copy()
        texts = pa.StringArray.from_buffers(self._n, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(content))
        texts.validate(full=True)
        return pa.DictionaryArray.from_arrays(as_arrow(self._codes[: self._n_rows]), texts)


def with_room(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The array, or a copy at least twice as long where it holds fewer than `size`."""
    if len(array) >= size:
        return array
    longer = np.empty(max(size, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


@compiled
def _word(content: Any, at: Any) -> Any:
    """Eight bytes as one number, written so that the compiler makes one load of it."""
    return (
        np.uint64(content[at])
        | np.uint64(content[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(content[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(content[at + np.uint64(3)]) << np.uint64(24)
        | np.uint64(content[at + np.uint64(4)]) << np.uint64(32)
        | np.uint64(content[at + np.uint64(5)]) << np.uint64(40)
        | np.uint64(content[at + np.uint64(6)]) << np.uint64(48)
        | np.uint64(content[at + np.uint64(7)]) << np.uint64(56)
    )


@compiled
def _hash(content: Any, begin: Any, end: Any) -> Any:
    """FNV-1a over words of eight bytes, of which the last overlaps the one before; the high bits are mixed down."""
    value = end - begin
    if value < _EIGHT:
        for at in range(begin, end):
            value = (value ^ np.uint64(content[at])) * _PRIME
    else:
        at, last = begin, end - _EIGHT
        while at < last:
            value = (value ^ _word(content, at)) * _PRIME
            value ^= value >> np.uint64(32)
            at += _EIGHT
        value = (value ^ _word(content, last)) * _PRIME
    value = (value ^ (value >> np.uint64(32))) * _GOLDEN
    return value ^ (value >> np.uint64(29))


@compiled
def _equal(content: Any, at: Any, other: Any, begin: Any, end: Any) -> bool:
    """Whether `other[begin:end]` stands in `content` at `at`."""
    if end - begin < _EIGHT:
        while begin < end and content[at] == other[begin]:
            begin, at = begin + _ONE, at + _ONE
        return bool(begin == end)
    last = end - _EIGHT
    at_last = at + (last - begin)
    while begin < last:
        if _word(content, at) != _word(other, begin):
            return False
        begin, at = begin + _EIGHT, at + _EIGHT
    return bool(_word(content, at_last) == _word(other, last))


@compiled
def _file(content: Any, ends: Any, n: int, table: Any) -> None:
    """Put the first `n` texts, all distinct, into an empty table."""
    mask = np.uint64(len(table) - 1)
    for code in range(n):
        slot = _hash(content, np.uint64(ends[code]), np.uint64(ends[code + 1])) & mask
        while table[slot] >= 0:
            slot = (slot + _ONE) & mask
        table[slot] = code


@compiled
def _number(new: Any, bounds: Any, codes: Any, done: int, content: Any, ends: Any, n: int, table: Any) -> Any:
    """Write the codes from `done` on, adding texts while there is room; how many are done, and how many are known."""
    mask = np.uint64(len(table) - 1)
    for row in range(done, len(codes)):
        begin, end = np.uint64(bounds[row, 0]), np.uint64(bounds[row, 1])
        slot = _hash(new, begin, end) & mask
        while True:
            code = table[slot]
            if code < 0:
                if n + 1 == len(ends):
                    return row, n
                free = np.uint64(ends[n])
                for byte in range(begin, end):
                    content[free] = new[byte]
                    free += _ONE
                ends[n + 1] = free
                table[slot] = code = n
                n += 1
                break
            at = np.uint64(ends[code])
            if np.uint64(ends[code + 1]) - at == end - begin and _equal(content, at, new, begin, end):
                break
            slot = (slot + _ONE) & mask
        codes[row] = code
    return len(codes), n
