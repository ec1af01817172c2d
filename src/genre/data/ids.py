"""Outside ids (any text) to row numbers (0 to n - 1) and back. Knows nothing about interactions.

Row `i` is the same user or item from here to the HTTP answer; outside ids appear where data comes in and where answers
go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.arrays import Int64
from genre.data.arrow import as_arrow
from genre.data.history import row_numbers
from genre.errors import DataError, UnknownId
from genre.options import nearest


class Ids:
    """An ordered set of distinct text ids: the position of an id is its row number.

    It never changes: `append` makes a new one, in which every row number stays.

    Attributes:
        values: The ids in the order of their rows, an Arrow array of strings.

    Example:
        >>> ids = Ids(["alien", "brazil"])
        >>> ids.row("brazil"), ids[1]
        (1, 'brazil')
        >>> ids.rows(["alien", "casablanca"]).tolist()
        [0, -1]
        >>> ids.append(["casablanca"]).row("casablanca")
        2
    """

    def __init__(self, values: Iterable[Any]) -> None:
        """Number ids in the given order.

        Args:
            values: Distinct ids; what is no text is written as text.

        Raises:
            DataError: If an id is missing, repeated, or not valid Unicode.
        """
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

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return list(self.values[row].to_pylist())
        if isinstance(row, str):
            raise DataError(f"found the id {row!r}; expected a row number: the row of an id is given by `row`")
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
        """Look up the row of one id.

        Args:
            outside: The id.

        Returns:
            Its row number.

        Raises:
            UnknownId: If there is no such id; the message names the nearest.
        """
        found = self._rows_by_id().get(str(outside))
        if found is None:
            text = str(outside)
            shown = text if len(text) <= 100 else text[:100] + "..."
            raise UnknownId(f"unknown id {shown!r}{nearest(text, self._rows_by_id())}")
        return found

    def rows(self, outside: Sequence[Any] | pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Look up the rows of many ids.

        Args:
            outside: The ids.

        Returns:
            int32 `[n]`, -1 for each unknown id.
        """
        if isinstance(outside, (pa.Array, pa.ChunkedArray)):
            found = pc.index_in(outside.cast(pa.string()), self.values)
            return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int32)
        index = self._rows_by_id()
        return np.fromiter((index.get(str(value), -1) for value in outside), np.int32, len(outside))

    def rows_of(self, given: npt.ArrayLike, what: str) -> Int64:
        """Find the rows that a caller means, by ids or by row numbers.

        Args:
            given: Ids as texts, row numbers, or a mask `[n]`.
            what: What a row is, for the message: user, item, ...

        Returns:
            int64 `[m]`.

        Raises:
            UnknownId: If there is no such id; the message names the nearest.
            DataError: If a row number is out of range, or a single id is given in place of a list.
        """
        if isinstance(given, str | bytes):
            raise DataError(f"found the text {given!r}; expected a list of {what} ids: [{given!r}]")
        values = np.asarray(given)
        if values.ndim == 1 and len(values) and isinstance(values[0], str):
            return np.array([self.row(value) for value in values.tolist()], np.int64)
        return row_numbers(given, len(self), what)

    def mask_of(self, given: npt.ArrayLike, what: str) -> npt.NDArray[np.bool_]:
        """Find the rows that a caller allows.

        Args:
            given: Ids as texts, or True and False for each row `[n]`.
            what: What a row is, for the message: user, item, ...

        Returns:
            bool `[n]`.

        Raises:
            UnknownId: If there is no such id; the message names the nearest.
            DataError: If numbers are given, which could be rows or a mask.
        """
        values = np.asarray(given)
        if values.dtype.kind in "iuf" and values.size:
            raise DataError(f"found {values.flat[0]!r}; give {what} ids, or True or False for each {what}")
        mask = np.zeros(len(self), bool)
        mask[self.rows_of(given, what)] = True
        return mask

    def append(self, outside: Sequence[Any]) -> Ids:
        """Add ids behind these, so that every row number stays.

        Args:
            outside: New ids.

        Returns:
            All ids.

        Raises:
            DataError: If an id is known already.
        """
        known = [str(value) for value in outside if value in self]
        if known:
            raise DataError(f"id {known[0]!r} is known already; append only new ids")
        return Ids(pa.concat_arrays([self.values, _texts([str(value) for value in outside])]))

    def take(self, rows: npt.ArrayLike) -> list[str]:
        """Return the ids of rows.

        Args:
            rows: Row numbers.

        Returns:
            Outside ids.
        """
        return list(self.values.take(as_arrow(np.asarray(rows, dtype=np.int64))).to_pylist())


def _texts(values: list[str]) -> pa.StringArray:
    """Return an Arrow array of texts, from its buffers: PyArrow's own conversion first imports pandas."""
    try:
        encoded = [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise DataError(f"an id is not valid text ({error}); ids are Unicode without lone surrogates") from error
    ends = np.cumsum([0, *map(len, encoded)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise DataError(
            f"the ids have {ends[-1]:,} bytes together; an Arrow array of texts holds 2 GB; use shorter ids"
        )
    return pa.StringArray.from_buffers(
        len(values), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(encoded))
    )
