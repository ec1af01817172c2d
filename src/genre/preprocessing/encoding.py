"""Columns of outside ids -> row numbers in a lasting order. Knows nothing about files or cleaning.

Ids are text without blanks around it. Their order is numeric when all are plain whole numbers, by text otherwise, so it
does not depend on the order of the interactions (which would let row numbers tell the time).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.preprocessing.ids import Ids
from genre.preprocessing.tables import as_arrow, as_numpy

Int32 = npt.NDArray[np.int32]


def encode(column: pa.ChunkedArray, known: pa.ChunkedArray | None = None) -> tuple[Int32, Ids]:
    """Row number of each value, -1 for a missing or empty one, and the ids of `column` and `known` together."""
    codes, values = _distinct(column)
    every = values if known is None else pc.unique(pa.concat_arrays([values, _distinct(known)[1]]))
    ids = every.take(_natural_order(every))
    return _recoded(codes, as_numpy(pc.index_in(values, ids), -1)), Ids(ids)


def _distinct(column: pa.ChunkedArray) -> tuple[Int32, pa.StringArray]:
    """Codes of a column, -1 for a missing or empty value, and the distinct trimmed texts they stand for."""
    if column.type == pa.int64() and not column.null_count and (dense := _ranked(as_numpy(column, 0))) is not None:
        return dense
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    codes = as_numpy(array.indices, -1).astype(np.int32, copy=False)
    texts = pc.utf8_trim_whitespace(array.dictionary.cast(pa.string())).dictionary_encode()
    row_of = as_numpy(texts.indices, -1)
    empty = pc.index(texts.dictionary, "").as_py()
    if empty >= 0:
        row_of = np.where(row_of == empty, -1, row_of - (row_of > empty)).astype(np.int32)
    return _recoded(codes, row_of), texts.dictionary.filter(pc.not_equal(texts.dictionary, ""))


def _ranked(values: npt.NDArray[np.int64]) -> tuple[Int32, pa.StringArray] | None:
    """`np.unique(values, return_inverse=True)` through a table of all numbers between; None when these are many."""
    if len(values) == 0 or values.min() < 0 or values.max() > 8 * len(values):
        return None
    present = np.zeros(int(values.max()) + 1, np.bool_)
    present[values] = True
    rank = np.cumsum(present, dtype=np.int32)
    rank -= 1
    return rank[values], as_arrow(np.flatnonzero(present)).cast(pa.string())


def _recoded(codes: Int32, row_of: npt.NDArray[np.integer]) -> Int32:
    """`row_of[codes]`, with -1 for -1."""
    if np.array_equal(row_of, np.arange(len(row_of))):
        return codes
    return np.append(row_of, -1).astype(np.int32)[codes]


def _natural_order(texts: pa.StringArray) -> pa.Array:
    whole = pc.match_substring_regex(texts, r"^(0|[1-9]\d{0,17})$")
    if len(texts) and pc.all(whole).as_py():
        return pc.sort_indices(texts.cast(pa.int64()))
    return pc.sort_indices(texts)
