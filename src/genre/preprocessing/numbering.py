"""Columns of outside ids -> row numbers in a lasting order. Knows nothing about files or cleaning.

Ids are text without blanks around it. Their order is numeric when all are plain whole numbers, by text otherwise, so it
does not depend on the order of the interactions (which would let row numbers tell the time).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.data.arrow import as_arrow, as_numpy
from genre.data.ids import Ids
from genre.kernels.order import mark

Int32 = npt.NDArray[np.int32]


class _Coded(NamedTuple):
    """A column in pieces of codes: `row_of[code]` is the place of the value in `texts`, -1 for a missing or empty one.

    A missing value has the code -1, which looks up the last entry of `row_of`; that is -1.
    """

    pieces: list[npt.NDArray[np.integer[Any]]]
    row_of: Int32
    texts: pa.StringArray


def encode(column: pa.ChunkedArray, known: pa.ChunkedArray | None = None) -> tuple[Int32, Ids]:
    """Row number of each value, -1 for a missing or empty one, and the ids of `column` and `known` together."""
    coded = _dense(column) or _coded(column)
    every = coded.texts
    if known is not None:
        every = pc.unique(pa.concat_arrays([every, _coded(known).texts]))
    ids = every.take(_natural_order(every))
    row_of = np.append(as_numpy(pc.index_in(coded.texts, ids), -1), np.int32(-1))[coded.row_of]
    return _recoded(coded.pieces, row_of), Ids(ids)


def _coded(column: pa.ChunkedArray) -> _Coded:
    """A column of any values by the distinct trimmed texts they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    values = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())
    texts = pc.utf8_trim_whitespace(values.cast(pa.string())).dictionary_encode()
    some = as_numpy(pc.binary_length(texts.dictionary), 0) > 0
    place = np.where(some, np.cumsum(some, dtype=np.int32) - np.int32(1), np.int32(-1))
    row_of = np.append(place, np.int32(-1))[np.append(as_numpy(texts.indices, -1), np.int32(-1))]
    pieces = [as_numpy(chunk.indices, -1) for chunk in column.chunks]
    return _Coded(pieces, row_of, texts.dictionary.take(as_arrow(np.flatnonzero(some))))


def _dense(column: pa.ChunkedArray) -> _Coded | None:
    """Whole numbers that are codes themselves; None when there are other values, or the numbers between are many."""
    if not pa.types.is_integer(column.type) or column.null_count or len(column) == 0:
        return None
    pieces = [as_numpy(chunk, 0) for chunk in column.chunks if len(chunk)]
    most = max(int(piece.max()) for piece in pieces)
    if min(int(piece.min()) for piece in pieces) < 0 or most > 8 * len(column):
        return None
    present = np.zeros(most + 1, np.bool_)
    for piece in pieces:
        mark(present, piece)
    row_of = np.append(np.cumsum(present, dtype=np.int32) - np.int32(1), np.int32(-1))
    return _Coded(pieces, row_of, as_arrow(np.flatnonzero(present)).cast(pa.string()))


def _recoded(pieces: list[npt.NDArray[np.integer[Any]]], row_of: Int32) -> Int32:
    """`row_of[codes]` of all pieces."""
    rows = np.empty(sum(map(len, pieces)), np.int32)
    end = 0
    for piece in pieces:
        start, end = end, end + len(piece)
        row_of.take(piece, out=rows[start:end], mode="wrap")  # -1 is the last; no buffer, unlike row_of[piece]
    return rows


def _natural_order(texts: pa.StringArray) -> pa.Array:
    whole = pc.match_substring_regex(texts, r"^(0|[1-9]\d{0,17})$")
    if len(texts) and pc.all(whole).as_py():
        return pc.sort_indices(texts.cast(pa.int64()))
    return pc.sort_indices(texts)
