"""Tables: what every source delivers, under one set of column names. Knows nothing about files or cleaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

PARTS = ("train", "validation", "test")
"""What the `part` of an interaction may say, in this order."""

TITLES = ("title", "name", "headline")
"""What people call the column that names a thing, in this order."""

_NO_TEXT = re.compile(r"(^|_)(ids?|uuid|hash|url|uri|link|href|image|poster|path|zip|zip_code|postcode)$|^synthetic_")


@dataclass(frozen=True, eq=False)
class Tables:
    """Interactions, and what is known of users and items, before cleaning.

    interactions: `user_id`, `item_id` (text), and where known `rating`, `weight` (float32), `timestamp` (seconds since
    1970; int64, or int32 where none is missing), `part` (text: train, validation or test, for data that comes with its
    split). In file order.
    users, items: `user_id` or `item_id`, then any other columns. None: only the ids are known.
    notes: one line a column: what it was taken for and why.
    rating_scale, positive_rating: where the owner of the data states them.
    """

    interactions: pa.Table
    users: pa.Table | None = None
    items: pa.Table | None = None
    name: str = "data"
    notes: tuple[str, ...] = ()
    rating_scale: tuple[float, float, float] | None = None
    positive_rating: float | None = None


def as_numpy(column: pa.ChunkedArray | pa.Array, missing: float) -> npt.NDArray[Any]:
    """The numbers of a column, with `missing` for a missing one; not copied where that can be.

    From the buffers: PyArrow's own way first imports pandas where it is installed, which takes half a second.
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


def as_arrow(values: npt.NDArray[Any], missing: int | None = None) -> pa.Array:
    """An Arrow column of numbers, not copied; `missing` becomes null."""
    kind = pa.from_numpy_dtype(values.dtype)
    content = pa.py_buffer(np.ascontiguousarray(values))
    if missing is None or not (gone := values == missing).any():
        return pa.Array.from_buffers(kind, len(values), [None, content])
    return pa.Array.from_buffers(kind, len(values), [pa.py_buffer(np.packbits(~gone, bitorder="little")), content])


def untyped_name(name: str) -> str:
    """A column's name without the type that RecBole's headers add (`user_id:token`)."""
    return re.sub(r":(token|float)(_seq)?$", "", name.strip())


def plain_name(name: str) -> str:
    """Letters and digits of a column's name in lower case: `User-ID` is `userid`."""
    return re.sub(r"[^a-z0-9]", "", untyped_name(name).lower())


def names_no_text(name: str) -> bool:
    """Whether a column's name says that it holds ids, addresses or the like: `image_url`, also `imageURL`."""
    return bool(_NO_TEXT.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


def plain_bytes(table: pa.Table) -> Iterator[bytes | memoryview]:
    """Names, types and values of a table as bytes to digest; how its memory is laid out makes no difference."""
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
    yield pc.fill_null(pc.binary_length(array), -1).to_numpy(zero_copy_only=False).view(np.uint8).data
    texts = array.fill_null("")
    _, offsets, content = texts.buffers()
    if content is not None and len(texts):
        ends = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
        yield memoryview(content)[ends[0] : ends[-1]]
