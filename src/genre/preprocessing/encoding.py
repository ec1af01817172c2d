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

Int32 = npt.NDArray[np.int32]


def encode(column: pa.ChunkedArray, known: pa.ChunkedArray | None = None) -> tuple[Int32, Ids]:
    """Row number of each value, -1 for a missing or empty one, and the ids of `column` and `known` together."""
    codes, values = _distinct(column)
    every = values if known is None else pc.unique(pa.concat_arrays([values, _distinct(known)[1]]))
    ids = every.take(_natural_order(every))
    row_of = pc.index_in(values, ids).to_numpy(zero_copy_only=False).astype(np.int32)
    return np.append(row_of, np.int32(-1))[codes], Ids(ids)


def _distinct(column: pa.ChunkedArray) -> tuple[Int32, pa.StringArray]:
    """Codes of a column, -1 for a missing or empty value, and the distinct trimmed texts they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    codes = pc.fill_null(array.indices, -1) if array.indices.null_count else array.indices
    codes = codes.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    texts = pc.utf8_trim_whitespace(array.dictionary.cast(pa.string()))
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts).dictionary_encode()
    row_of = pc.fill_null(texts.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    if not np.array_equal(row_of, np.arange(len(row_of))):
        codes = np.append(row_of, np.int32(-1))[codes]
    return codes, texts.dictionary


def _natural_order(texts: pa.StringArray) -> pa.Array:
    whole = pc.match_substring_regex(texts, r"^(0|[1-9]\d{0,17})$")
    if len(texts) and pc.all(whole).as_py():
        return pc.sort_indices(texts.cast(pa.int64()))
    return pc.sort_indices(texts)
