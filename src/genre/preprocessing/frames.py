"""Frames in and out: pandas or Polars, whichever the user has, else Arrow. Knows nothing about the rows."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from genre.errors import DataError


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
        return nw.from_native(frame, eager_only=True).to_arrow()
    except TypeError as error:
        raise DataError(
            f"{type(frame).__name__} is no frame; give a pandas or Polars frame or an Arrow table"
        ) from error
