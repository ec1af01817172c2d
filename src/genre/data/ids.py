"""Outside ids (any text) <-> row numbers (0..n-1). Knows nothing about interactions.

Row number `i` is the same thing from here to the HTTP answer; outside ids appear at the two ends only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.errors import DataError, UnknownId
from genre.options import nearest


class Ids:
    """An ordered set of distinct, non-empty text ids.

    `ids[row]` is the outside id, `ids.rows(many)` the row numbers, -1 for the unknown.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        if not isinstance(array, pa.Array):
            array = _texts([str(value) for value in values])
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        self.values: pa.StringArray = array.cast(pa.string())
        if self.values.null_count:
            raise DataError("an id is missing (null); drop such rows in cleaning")
        if len(pc.unique(self.values)) != len(self.values):
            raise DataError("ids are not distinct; give each user and item one id")
        self._index: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> str:
        return str(self.values[int(row)].as_py())

    def __contains__(self, outside: object) -> bool:
        return str(outside) in self._rows_by_id()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ids) and self.values.equals(other.values)

    def __hash__(self) -> int:
        return hash((len(self), self[0] if len(self) else ""))

    def __repr__(self) -> str:
        return f"Ids({len(self)})"

    def _rows_by_id(self) -> dict[str, int]:
        if self._index is None:
            self._index = {value: row for row, value in enumerate(self.values.to_pylist())}
        return self._index

    def row(self, outside: Any) -> int:
        """Row number of one id; `UnknownId` with the nearest known id otherwise."""
        found = self._rows_by_id().get(str(outside))
        if found is None:
            text = str(outside)
            shown = text if len(text) <= 100 else text[:100] + "..."
            raise UnknownId(f"unknown id {shown!r}{nearest(text, self._rows_by_id())}")
        return found

    def rows(self, outside: Sequence[Any] | pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Row numbers of many ids, -1 for each unknown one. [n]"""
        if isinstance(outside, (pa.Array, pa.ChunkedArray)):
            found = pc.index_in(outside.cast(pa.string()), self.values)
            return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int32)
        index = self._rows_by_id()
        return np.fromiter((index.get(str(value), -1) for value in outside), np.int32, len(outside))

    def append(self, outside: Sequence[Any]) -> Ids:
        """These ids and then the new ones, so that every row number stays; DataError for one that is known already."""
        known = [str(value) for value in outside if value in self]
        if known:
            raise DataError(f"id {known[0]!r} is known already; append only new ids")
        return Ids(pa.concat_arrays([self.values, _texts([str(value) for value in outside])]))

    def take(self, rows: npt.ArrayLike) -> list[str]:
        """Outside ids of row numbers."""
        return list(self.values.take(pa.array(np.asarray(rows, dtype=np.int64))).to_pylist())


def _texts(values: list[str]) -> pa.StringArray:
    try:
        return pa.array(values, pa.string())
    except (UnicodeEncodeError, pa.ArrowException) as error:
        raise DataError(f"an id is not valid text ({error}); ids are Unicode without lone surrogates") from error
