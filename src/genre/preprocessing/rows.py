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
from genre.preprocessing.tables import PARTS, Tables, as_numpy

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing timestamp."""


@dataclass(eq=False)
class Rows:
    """Interactions with what may still be wrong in them: -1 for a missing id, NaN for a missing number, NO_TIME.

    part: index into PARTS, or None. row: the place of each row in the source, None: all are at their place.
    """

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    user_ids: Ids
    item_ids: Ids
    rating: npt.NDArray[np.float32] | None = None
    weight: npt.NDArray[np.float32] | None = None
    timestamp: npt.NDArray[np.int64] | None = None
    part: npt.NDArray[np.int8] | None = None
    row: npt.NDArray[np.int64] | None = None

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
            user_ids=user_ids,
            item_ids=item_ids,
            rating=as_numpy(interactions["rating"], np.nan) if "rating" in present else None,
            weight=as_numpy(interactions["weight"], np.nan) if "weight" in present else None,
            timestamp=as_numpy(interactions["timestamp"], NO_TIME) if "timestamp" in present else None,
            part=_parts(interactions["part"]) if "part" in present else None,
        )

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: npt.NDArray[Any] | slice) -> None:
        """Keep the rows of a mask or an order, one column after the other: no second copy of ten million rows."""
        if not isinstance(index, slice) and index.dtype == np.bool_:
            index = np.flatnonzero(index)
        if self.row is None and not isinstance(index, slice):
            self.row = index
        elif self.row is not None:
            self.row = self.row[index]
        for name in ("user", "item", "rating", "weight", "timestamp", "part"):
            if (column := getattr(self, name)) is not None:
                setattr(self, name, column[index])

    def example(self, position: int) -> dict[str, Any]:
        """One row as plain values under outside ids, None for what is missing; rows are counted from 1."""
        shown: dict[str, Any] = {"row": int(position if self.row is None else self.row[position]) + 1}
        for label, rows, ids in (("user_id", self.user, self.user_ids), ("item_id", self.item, self.item_ids)):
            shown[label] = ids[rows[position]] if rows[position] >= 0 else None
        for label in ("rating", "weight"):
            if (column := getattr(self, label)) is not None:
                value = float(column[position])
                shown[label] = None if np.isnan(value) else value if np.isfinite(value) else str(value)
        if self.timestamp is not None:
            shown["timestamp"] = None if self.timestamp[position] == NO_TIME else int(self.timestamp[position])
        return shown


def _parts(column: pa.ChunkedArray) -> npt.NDArray[np.int8]:
    found = pc.index_in(column.cast(pa.string()), pa.array(PARTS))
    if found.null_count:
        row = pc.index(pc.is_null(found), True).as_py()
        raise DataError(f"part: row {row + 1} says {column[row].as_py()!r}; legal are {', '.join(PARTS)}")
    return as_numpy(found, -1).astype(np.int8)
