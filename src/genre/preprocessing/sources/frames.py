"""Frames in and out: pandas or Polars, whichever the user has, else Arrow. Knows nothing about the rows."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from genre.data.arrow import plain_bytes
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import N_SAMPLE, Columns, choose, interactions_of, sides_of
from genre.preprocessing.tables import Tables


@dataclass(eq=False)
class Frames(Source):
    """Interactions, items and users held in memory: pandas, Polars or Arrow, or columns as a mapping.

    interactions: who did what. items, users: their fields by id.
    columns: which column is which, where names do not tell.
    """

    interactions: Any
    items: Any = None
    users: Any = None
    columns: Columns = field(default_factory=Columns)

    def load(self, *, log: Log = SILENT) -> Tables:
        """Read the tables.

        Args:
            log: Where progress is shown.

        Returns:
            Interactions, items and users.
        """
        table = from_frame(self.interactions)
        chosen = choose(table.slice(0, N_SAMPLE), self.columns, "interactions")
        interactions, notes = interactions_of(table, chosen, table.column_names, "interactions")
        users = None if self.users is None else ("users", from_frame(self.users))
        items = None if self.items is None else ("items", from_frame(self.items))
        sides, said = sides_of(chosen, self.columns, users=users, items=items)
        return Tables(interactions, **sides, notes=(*notes, *said))

    def fingerprint(self) -> str:
        """Return a digest of everything that the tables depend on.

        Returns:
            Equal fingerprints mean equal tables.
        """
        digest = hashlib.sha256(repr(self.columns).encode())
        for frame in (self.interactions, self.items, self.users):
            digest.update(b"-" if frame is None else b"+")
            for part in () if frame is None else plain_bytes(from_frame(frame)):
                digest.update(part)
        return digest.hexdigest()


def to_frame(rows: pa.Table | Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> Any:
    """A table, rows, or columns as a pandas frame; as Polars without pandas; as an Arrow table without either."""
    if isinstance(rows, pa.Table):
        table = rows
    elif isinstance(rows, Mapping):
        table = pa.table(dict(rows))
    else:
        table = pa.Table.from_pylist([dict(row) for row in rows])
    if importlib.util.find_spec("pandas"):
        return table.to_pandas()
    if importlib.util.find_spec("polars"):
        import polars

        return polars.from_arrow(table)
    return table


def from_frame(frame: Any) -> pa.Table:
    """The Arrow table of a pandas, Polars, Modin, DuckDB or Arrow frame; DataError for anything else."""
    if isinstance(frame, pa.Table):
        return frame
    import narwhals as nw

    try:
        if isinstance(frame, Mapping):
            return pa.table(dict(frame))
        return nw.from_native(frame, eager_only=True).to_arrow()
    except (TypeError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{type(frame).__name__} cannot be read as a frame ({reason}); give a pandas or Polars frame"
        ) from error
