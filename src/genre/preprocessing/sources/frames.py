"""Frames in and out: pandas or Polars, whichever the user has, else Arrow. Does not know what the rows mean."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import pyarrow as pa
from typing_extensions import override

from genre.data.arrow import plain_bytes
from genre.engines.duckdb import DuckDB
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import N_SAMPLE, Columns, check_distinct, named_alike
from genre.preprocessing.sources.entities import Side
from genre.preprocessing.sources.one_table import choose_columns
from genre.preprocessing.sources.raw import Raw, build_tables
from genre.preprocessing.tables import ROW, Tables

NO_NAME = r"__index_level_\d+__"
"""What Arrow calls an index of pandas that has no name."""


@dataclass(eq=False)
class Frames(Source):
    """Interactions, items and users held in memory: pandas, Polars or Arrow, or columns as a mapping."""

    interactions: Annotated[Any, Doc("Who did what with what.")]
    items: Annotated[Any, Doc("Text and other fields of items, by id.")] = None
    users: Annotated[Any, Doc("Fields of users, by id.")] = None
    columns: Annotated[Columns, Doc("Which column is which, where names do not tell.")] = field(default_factory=Columns)

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        users = None if self.users is None else Side("users", from_frame(self.users, "users"))
        items = None if self.items is None else Side("items", from_frame(self.items, "items"))
        preferred = self.columns if items is None else named_alike(self.columns, items.table.column_names)
        raw = _interactions(engine, from_frame(self.interactions, "interactions"), preferred)
        return build_tables(engine, [raw], self.columns, name="data", users=users, items=items)

    @override
    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self.columns).encode())
        for frame in (self.interactions, self.items, self.users):
            digest.update(b"-" if frame is None else b"+")
            for part in () if frame is None else plain_bytes(from_frame(frame)):
                digest.update(part)
        return digest.hexdigest()


def _interactions(engine: DuckDB, table: pa.Table, columns: Columns) -> Raw:
    """The chosen columns of a table of interactions, with the number of each row."""
    check_distinct([*table.column_names, ROW], "interactions")
    if table.num_rows == 0:
        raise DataError("interactions: no rows; expected rows of users and items")
    rows = table.append_column(ROW, pa.array(range(1, table.num_rows + 1), pa.int64()))
    sample = engine.register(rows.slice(0, N_SAMPLE))
    chosen, fields, unused = found = choose_columns(engine, sample, columns, "interactions")
    held = engine.register(rows.select([*found.wanted, ROW]))
    return Raw(held, chosen, "interactions", unused=unused, fields=fields)


def to_frame(rows: pa.Table | Sequence[Mapping[str, Any]] | Mapping[str, Any], library: str | None = None) -> Any:
    """Make a frame of the library that the user has.

    Args:
        rows: an Arrow table, rows, or columns.
        library: the library of the frame, as `library_of` names it; None: whichever is installed.

    Returns:
        A frame of `library`; without it a pandas frame; a Polars frame without pandas; an Arrow table without either.
    """
    if isinstance(rows, pa.Table):
        table = rows
    elif isinstance(rows, Mapping):
        table = pa.table(dict(rows))
    else:
        table = pa.Table.from_pylist([dict(row) for row in rows])
    if library is not None:
        import narwhals as nw

        return nw.DataFrame.from_arrow(table, backend=getattr(nw.Implementation, library.upper())).to_native()
    if importlib.util.find_spec("pandas"):
        return table.to_pandas()
    if importlib.util.find_spec("polars"):
        import polars

        return polars.from_arrow(table)
    return table


def library_of(frame: Any) -> str | None:
    """Name the library of a frame.

    Args:
        frame: anything.

    Returns:
        Such as `pandas`, `polars` or `pyarrow`; None for what is no frame, or a frame of rows that are not in memory.
    """
    import narwhals as nw

    native = nw.from_native(frame, pass_through=True)
    if isinstance(native, nw.LazyFrame):
        return "polars" if native.implementation.is_polars() else None
    return str(native.implementation.value) if isinstance(native, nw.DataFrame) else None


def from_frame(frame: Any, where: str = "frame") -> pa.Table:
    """Take a frame over as an Arrow table.

    Args:
        frame: of pandas, Polars (eager or lazy), Modin, DuckDB or Arrow, columns as a mapping, or a list of rows.
        where: what errors call it.

    Returns:
        The same rows; without an index that has no name.

    Raises:
        DataError: it is none of these.
    """
    table = _table(frame, where)
    named = [place for place, name in enumerate(table.column_names) if not re.fullmatch(NO_NAME, name)]
    table = table.select(named)
    return table.rename_columns([name.strip() or f"column {at}" for at, name in enumerate(table.column_names, 1)])


def _table(frame: Any, where: str) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    import narwhals as nw

    try:
        if isinstance(frame, Mapping):
            return pa.table(dict(frame))
        if isinstance(frame, list):
            return pa.table({name: column_of([row.get(name) for row in frame]) for name in _keys(frame)})
        native = nw.from_native(frame)
        if isinstance(native, nw.LazyFrame):
            return native.collect("pyarrow").to_arrow()
        try:
            return _plain_types(native, native.to_arrow())
        except (OverflowError, pa.ArrowException):  # a column of several types, or of numbers beyond 64 bits
            return pa.table({name: column_of(native[name].to_list()) for name in native.columns})
    except (TypeError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{where}: {type(frame).__name__} cannot be read as a frame ({reason}); give a pandas or Polars frame"
        ) from error


def _plain_types(frame: Any, table: pa.Table) -> pa.Table:
    """The table with periods and intervals of pandas as text: their storage alone says something else."""
    for place, (name, kind) in enumerate(zip(table.column_names, table.schema.types, strict=True)):
        if isinstance(kind, pa.BaseExtensionType) and kind.extension_name.startswith("pandas."):
            texts = [None if value is None or value != value else str(value) for value in frame[name].to_list()]
            table = table.set_column(place, name, pa.array(texts, pa.string()))
    return table


def _keys(rows: list[Any]) -> list[str]:
    """The keys of rows that are mappings, in the order in which they come."""
    if not all(isinstance(row, Mapping) for row in rows):
        raise TypeError("its rows are no mappings")
    return [*dict.fromkeys(key for row in rows for key in row)]


def column_of(values: list[Any]) -> pa.Array:
    """Make a column of plain values.

    Args:
        values: of any types, None and NaN where there is none.

    Returns:
        The column; as text where the values are of several types or beyond 64 bits, binary where bytes are
        among them.
    """
    try:
        return pa.array(values, from_pandas=True)
    except (OverflowError, pa.ArrowException):
        there = [None if value is None or value != value else value for value in values]
        if any(isinstance(value, bytes) for value in there):  # no text: what needs text refuses it
            return pa.array([value if value is None else str(value).encode() for value in there], pa.binary())
        return pa.array([value if value is None else str(value) for value in there], pa.string())
