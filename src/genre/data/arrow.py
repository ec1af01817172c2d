"""Arrow columns to NumPy arrays and back without copies, and a table's content as bytes for a digest.

Knows nothing about what the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def as_numpy(column: pa.ChunkedArray | pa.Array, missing: float) -> npt.NDArray[Any]:
    """Return a column of numbers as an array, without a copy where no value is missing and it is in one piece.

    The buffers are read directly: PyArrow's own conversion first imports pandas where it is installed, which takes
    half a second.

    Args:
        column: Integers or floats `[n]`.
        missing: Replaces nulls.

    Returns:
        `[n]`, of the column's type.
    """
    if isinstance(column, pa.ChunkedArray) and column.num_chunks != 1:
        values = np.empty(len(column), column.type.to_pandas_dtype())
        end = 0
        for chunk in column.chunks:
            start, end = end, end + len(chunk)
            values[start:end] = as_numpy(chunk, missing)
        return values
    array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    validity, content = array.buffers()
    if content is None:
        return np.empty(0, array.type.to_pandas_dtype())
    values = np.frombuffer(content, array.type.to_pandas_dtype(), len(array), array.offset * array.type.bit_width // 8)
    if array.null_count:
        bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
        values = np.where(bits[array.offset : array.offset + len(array)], values, values.dtype.type(missing))
    return values


def as_arrow(values: npt.NDArray[Any]) -> pa.Array:
    """Return an array of numbers as an Arrow column, without a copy.

    Args:
        values: `[n]`.

    Returns:
        `[n]`, of the array's type.
    """
    content = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, content])


def plain_bytes(table: pa.Table) -> Iterator[bytes | memoryview]:
    """Turn names, types and values of a table into bytes for a digest; chunks and offsets make no difference.

    Args:
        table: Any Arrow table.

    Yields:
        Bytes, the same for tables of the same content.
    """
    yield repr(table.schema.remove_metadata()).encode()
    for column in table.columns:
        array = column.combine_chunks()
        if pa.types.is_string(array.type):
            yield from _plain_text(array)
        elif pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
            yield np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).data
            yield array.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint8).data
        else:
            yield repr(array.to_pylist()).encode()


def _plain_text(array: pa.StringArray) -> Iterator[bytes | memoryview]:
    """Yield the lengths (-1 for null) and the characters of a text column."""
    yield pc.fill_null(pc.binary_length(array), -1).to_numpy(zero_copy_only=False).view(np.uint8).data
    texts = array.fill_null("")
    _, offsets, content = texts.buffers()
    if content is not None and len(texts):
        ends = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
        yield memoryview(content)[ends[0] : ends[-1]]
