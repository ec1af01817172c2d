"""Rows: interactions on their way from Tables to a Dataset, as arrays. Knows nothing about why a row goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.data.arrow import as_numpy
from genre.data.ids import Ids
from genre.errors import DataError
from genre.kernels.order import Places, counts, true_places, user_time_order
from genre.preprocessing.numbering import encode
from genre.preprocessing.tables import PARTS

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing timestamp."""
GAPS = {"rating": np.nan, "weight": np.nan, "timestamp": NO_TIME}
"""Column of numbers -> what stands for a missing value in it."""


@dataclass(eq=False)
class Rows:
    """Interactions with what may still be wrong in them: -1 for a missing id, NaN for a missing number, NO_TIME.

    user, item: of the rows that are left, in their order. columns: `rating`, `weight`, `timestamp` and `part` (index
    into PARTS) where known, of all rows as the source has them: most steps need users and items only, and ten million
    values are put in order once. row: the place in the source of each row that is left, None: all are at their place.
    """

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    user_ids: Ids
    item_ids: Ids
    columns: dict[str, npt.NDArray[Any]]
    row: Places | None = None

    @classmethod
    def of(
        cls,
        columns: dict[str, pa.ChunkedArray],
        known_users: pa.ChunkedArray | None = None,
        known_items: pa.ChunkedArray | None = None,
    ) -> Rows:
        """Number the users and items of interactions, and those known besides; `columns` is emptied on the way."""
        user, user_ids = encode(columns.pop("user_id"), known_users)
        item, item_ids = encode(columns.pop("item_id"), known_items)
        numbers = {name: as_numpy(columns.pop(name), gap) for name, gap in GAPS.items() if name in columns}
        if "part" in columns:
            numbers["part"] = _parts(columns.pop("part"))
        return cls(user, item, user_ids, item_ids, numbers)

    def __len__(self) -> int:
        return len(self.user)

    def values(self, name: str, at: Places | int | slice = slice(None)) -> Any:
        """A column of the rows that are left, or of some positions among them; None when it is not known."""
        column = self.columns.get(name)
        return column if column is None else column[self.source(at)]

    def put(self, name: str, at: Places, values: npt.NDArray[Any]) -> None:
        """Other values in a known column at some positions; the source keeps its own."""
        self.columns[name] = self.columns[name].copy()
        self.columns[name][self.source(at)] = values

    def sort(self, mask: npt.NDArray[np.bool_]) -> None:
        """Keep the rows where `mask` `[n]` is True, by user, then time, then given order."""
        if not mask.all():
            self.user[~mask] = -1
        n = len(self.user_ids)
        index = user_time_order(self.user, self.values("timestamp"), n)
        if not isinstance(index, slice):
            self.row, self.item = self.source(index), self.item[index]
            self.user = np.repeat(np.arange(n, dtype=np.int32), counts(self.user, n))  # cheaper than to look each up

    def keep(self, mask: npt.NDArray[np.bool_]) -> None:
        """Keep the rows where `mask` `[n]` is True."""
        if not mask.all():
            self.row = true_places(mask) if self.row is None else self.row[mask]
            self.user, self.item = self.user[mask], self.item[mask]

    def settle(self) -> dict[str, npt.NDArray[Any]]:
        """The columns of the rows that are left; those of the source are let go, one after the other."""
        settled = {}
        for name in [*self.columns]:
            settled[name] = self.values(name)
            del self.columns[name]
        pa.default_memory_pool().release_unused()
        return settled

    def example(self, position: int) -> dict[str, Any]:
        """One row as plain values under outside ids, None for what is missing; rows are counted from 1."""
        shown: dict[str, Any] = {"row": int(self.source(position)) + 1}
        for label, rows, ids in (("user_id", self.user, self.user_ids), ("item_id", self.item, self.item_ids)):
            shown[label] = ids[rows[position]] if rows[position] >= 0 else None
        for label in ("rating", "weight"):
            if label in self.columns:
                value = float(self.values(label, position))
                shown[label] = None if np.isnan(value) else value if np.isfinite(value) else str(value)
        if "timestamp" in self.columns:
            when = int(self.values("timestamp", position))
            shown["timestamp"] = None if when == NO_TIME else when
        return shown

    def source(self, at: Any) -> Any:
        """Where the rows at these positions stand in what was given, counted from 0."""
        return at if self.row is None else self.row[at]


def _parts(column: pa.ChunkedArray) -> npt.NDArray[np.int8]:
    found = pc.index_in(column.cast(pa.string()), pa.array(PARTS))
    if found.null_count:
        row = pc.index(pc.is_null(found), True).as_py()
        raise DataError(f"part: row {row + 1} says {column[row].as_py()!r}; legal are {', '.join(PARTS)}")
    return as_numpy(found, -1).astype(np.int8)
