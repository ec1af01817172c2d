"""Rows: interactions on their way from Tables to a Dataset, as arrays. Knows nothing about why a row goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.errors import DataError
from genre.preprocessing.encoding import encode
from genre.preprocessing.ids import Ids
from genre.preprocessing.tables import PARTS, Tables

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing timestamp."""


@dataclass(eq=False)
class Rows:
    """Interactions with what may still be wrong in them: -1 for a missing id, NaN for a missing number, NO_TIME.

    row: the row in the source, from 1. part: index into PARTS, or None.
    """

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    user_ids: Ids
    item_ids: Ids
    rating: npt.NDArray[np.float32] | None = None
    weight: npt.NDArray[np.float32] | None = None
    timestamp: npt.NDArray[np.int64] | None = None
    part: npt.NDArray[np.int8] | None = None

    @classmethod
    def of(cls, tables: Tables) -> Rows:
        """Number the users and items of tables; ids known only from the tables of users and items get a number too."""
        interactions = tables.interactions
        present = interactions.column_names
        known_users = None if tables.users is None else tables.users["user_id"]
        known_items = None if tables.items is None else tables.items["item_id"]
        user, user_ids = encode(interactions["user_id"], known_users)
        item, item_ids = encode(interactions["item_id"], known_items)
        return cls(
            user=user,
            item=item,
            row=np.arange(1, len(user) + 1, dtype=np.int32),
            user_ids=user_ids,
            item_ids=item_ids,
            rating=_numbers(interactions["rating"], np.nan, np.float32) if "rating" in present else None,
            weight=_numbers(interactions["weight"], np.nan, np.float32) if "weight" in present else None,
            timestamp=_numbers(interactions["timestamp"], NO_TIME, np.int64) if "timestamp" in present else None,
            part=_parts(interactions["part"]) if "part" in present else None,
        )

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: npt.NDArray[Any] | slice) -> None:
        """Keep the rows of a mask or an order, one column after the other: no second copy of ten million rows."""
        for name in ("user", "item", "row", "rating", "weight", "timestamp", "part"):
            if (column := getattr(self, name)) is not None:
                setattr(self, name, column[index])

    def example(self, position: int) -> dict[str, Any]:
        """One row as plain values under outside ids, None for what is missing."""
        shown: dict[str, Any] = {"row": int(self.row[position])}
        for label, rows, ids in (("user_id", self.user, self.user_ids), ("item_id", self.item, self.item_ids)):
            shown[label] = ids[rows[position]] if rows[position] >= 0 else None
        for label in ("rating", "weight"):
            if (column := getattr(self, label)) is not None:
                value = float(column[position])
                shown[label] = None if np.isnan(value) else value if np.isfinite(value) else str(value)
        if self.timestamp is not None:
            shown["timestamp"] = None if self.timestamp[position] == NO_TIME else int(self.timestamp[position])
        return shown


def _numbers(column: pa.ChunkedArray, missing: float, dtype: type[np.generic]) -> npt.NDArray[Any]:
    filled = pc.fill_null(column, pa.scalar(missing, column.type)) if column.null_count else column
    return np.asarray(filled.to_numpy(), dtype=dtype)


def _parts(column: pa.ChunkedArray) -> npt.NDArray[np.int8]:
    found = pc.index_in(column.cast(pa.string()), pa.array(PARTS))
    if found.null_count:
        row = pc.index(pc.is_null(found), True).as_py()
        raise DataError(f"part: row {row + 1} says {column[row].as_py()!r}; legal are {', '.join(PARTS)}")
    return np.asarray(found.to_numpy(), np.int8)
