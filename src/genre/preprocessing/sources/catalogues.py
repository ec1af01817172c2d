"""Several catalogues with users in common -> one: films and books, say. Each is read by a source of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import narwhals as nw
import pyarrow as pa
from typing_extensions import override

from genre.engines.base import Frame
from genre.engines.duckdb import DuckDB
from genre.errors import DataError, OptionError
from genre.log import SILENT, Log
from genre.options import Doc, check_options
from genre.preprocessing.sources.base import Source
from genre.preprocessing.tables import ROWS_A_FILE, Tables

FIELD = "catalogue"
"""The field of items that says which catalogue an item is from."""
SEPARATOR = ":"
"""Between the name of a catalogue and the id of an item in it."""


@dataclass(frozen=True)
class NamedSource:
    """A source of one of several catalogues."""

    name: Annotated[
        str, Doc("What the catalogue is called: before the ids of its items, and in their field `catalogue`.")
    ]
    data: Annotated[Source, Doc("Where its interactions, items and users come from.")]

    def __post_init__(self) -> None:
        check_options(self)
        if not self.name or SEPARATOR in self.name:
            raise OptionError(f"name: found {self.name!r}; expected a name without {SEPARATOR!r}, such as books")


@dataclass(eq=False)
class Catalogues(Source):
    """Catalogues whose users are the same people: a user of several has one history over all of them.

    The item `7` of `books` has the id `books:7` and the field `catalogue: books`, so that rules and filters of requests
    ask for books alone; ids of users are taken as they are. Fields of one user in several catalogues are joined, of one
    name the first that has a value.
    """

    catalogues: Annotated[tuple[NamedSource, ...], Doc("At least two, each with a name and its `data`.")]

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [one.name for one in self.catalogues]
        if len(names) < 2 or len(set(names)) < len(names):
            raise OptionError(
                f"catalogues: found {', '.join(names) or 'none'}; expected two or more of different names"
            )

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        tables = [one.data.load(engine, log=log) for one in self.catalogues]
        names = [one.name for one in self.catalogues]
        frames = _alike([one.interactions for one in tables], names)
        item_id = [nw.lit(f"{name}{SEPARATOR}") for name in names]
        starts = [sum(len(one.files) for one in tables[:at]) * ROWS_A_FILE for at in range(len(tables))]
        parts = [
            frame.with_columns(
                nw.concat_str([prefix, nw.col("item_id")]).alias("item_id"), (nw.col("row") + start).alias("row")
            )
            for frame, prefix, start in zip(frames, item_id, starts, strict=True)
        ]
        if len({one.calendar for one in tables}) > 1:
            raise DataError(f"{', '.join(names)}: some have dates, others an order for times; give them one form")
        if len(known := {one.context for one in tables}) > 1:
            found = " and ".join(", ".join(one) or "none" for one in sorted(known))
            raise DataError(
                f"{', '.join(names)}: columns.context is {found}; name the same columns in one order for each, or none"
            )
        scales = {(one.rating_scale, one.positive_rating) for one in tables}
        scale, positive = scales.pop() if len(scales) == 1 else (None, None)
        return Tables(
            nw.concat(parts),
            users=_joined_users([one.users for one in tables if one.users is not None]),
            items=_joined_items(engine, tables, frames, names),
            name="-".join(names),
            notes=_said(names, [one.notes for one in tables]),
            guesses=_said(names, [one.guesses for one in tables]),
            rejected=tuple(bad for one in tables for bad in one.rejected),
            calendar=tables[0].calendar,
            ordered=all(one.ordered for one in tables),
            columns=tuple(dict.fromkeys(name for one in tables for name in one.columns)),
            files=tuple(file for one in tables for file in one.files),
            rating_scale=scale,
            positive_rating=positive,
            context=tables[0].context,
        )

    @override
    def not_there(self) -> list[Path]:
        return [path for one in self.catalogues for path in one.data.not_there()]

    @override
    def fingerprint(self) -> str:
        parts = [f"{one.name}={one.data.fingerprint()};" for one in self.catalogues]
        return hashlib.sha256(f"{type(self).__qualname__} {''.join(parts)}".encode()).hexdigest()


def _alike(frames: Sequence[Frame], names: Sequence[str]) -> list[Frame]:
    """Give the interactions of all catalogues the same columns in one order."""
    held = [frame.collect_schema().names() for frame in frames]
    finer = all("moment" in columns for columns in held)
    known = [[name for name in columns if name not in ("moment", "trouble")] for columns in held]
    for name, columns in zip(names, known, strict=True):
        if set(columns) != set(known[0]):
            odd = ", ".join(sorted(set(columns) ^ set(known[0])))
            raise DataError(
                f"{names[0]} and {name}: one has {odd}, the other has not; leave the column out of both, such as "
                "columns: {rating: false}, or give both one"
            )
    order = [*known[0], *(["moment"] if finer else [])]
    if not any("trouble" in columns for columns in held):
        return [frame.select(order) for frame in frames]
    empty = nw.lit(None).cast(nw.String).alias("trouble")
    return [
        frame.select(*order, "trouble" if "trouble" in columns else empty)
        for frame, columns in zip(frames, held, strict=True)
    ]


def _joined_items(engine: DuckDB, tables: Sequence[Tables], frames: Sequence[Frame], names: Sequence[str]) -> pa.Table:
    """Put the items of all catalogues below one another, with their catalogue as a field."""
    parts = []
    for one, frame, name in zip(tables, frames, names, strict=True):
        items = one.items
        if items is None:
            known = frame.select("item_id").filter(~nw.col("item_id").is_null()).unique()
            items = engine.collect(known, pa.schema([("item_id", pa.string())])).sort_by("item_id")
        if FIELD in items.column_names:
            raise DataError(f"{name}: items have a field {FIELD!r} already; rename it")
        ids = [None if item_id is None else f"{name}{SEPARATOR}{item_id}" for item_id in items["item_id"].to_pylist()]
        items = items.set_column(items.column_names.index("item_id"), "item_id", pa.array(ids, pa.string()))
        parts.append(items.append_column(FIELD, pa.array([name] * len(items), pa.string())))
    return _below(parts)


def _joined_users(tables: Sequence[pa.Table]) -> pa.Table | None:
    """Make one row of a user's rows in several catalogues; of one field the first value counts."""
    if not tables:
        return None
    every = _below(tables)
    rows: dict[str, dict[str, object]] = {}
    for row in every.to_pylist():
        known = rows.setdefault(row["user_id"], row)
        known.update({name: value for name, value in row.items() if known[name] is None})
    return pa.Table.from_pylist(list(rows.values()), schema=every.schema)


def _below(tables: Sequence[pa.Table]) -> pa.Table:
    """Put tables below one another, with nulls where one lacks a field; a field of several types becomes text."""
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    texts = {name for name, kinds in types.items() if len(kinds) > 1}
    schemas = [
        pa.schema([field.with_type(pa.string()) if field.name in texts else field for field in table.schema])
        for table in tables
    ]
    plain = [table.cast(schema) for table, schema in zip(tables, schemas, strict=True)]
    return pa.concat_tables(plain, promote_options="default").combine_chunks()


def _said(names: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(f"{name}: {line}" for name, some in zip(names, lines, strict=True) for line in some)
