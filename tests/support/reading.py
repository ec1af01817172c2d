"""Reading in tests: a source to a Dataset, or to Tables whose interactions are an Arrow table."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import genre
from genre.data.dataset import Dataset
from genre.engines.duckdb import DuckDB
from genre.errors import DataWarning
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.cleaning_report import CleaningReport
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.base import Source
from genre.preprocessing.tables import PARTS, Tables


def _engines() -> Iterator[DuckDB]:
    """Opening an engine takes as long as reading a small file; the tables of one that is never closed pile up."""
    while True:
        with DuckDB(threads=1) as engine:
            yield from itertools.repeat(engine, 100)


_ENGINES = _engines()


def shared_engine() -> DuckDB:
    """An engine that many tests and examples share; valid until the next hundred calls."""
    return next(_ENGINES)


def prepared(source: Source, cleaning: Cleaning | None = None) -> tuple[Dataset, CleaningReport]:
    """The Dataset of a source, and the report of its cleaning."""
    engine = shared_engine()
    return prepare(source.load(engine), engine, cleaning)


def read_tables(source: Source) -> Any:
    """The Tables of a source with the interactions as an Arrow table, by part, then by `row`, which goes."""
    tables = source.load(shared_engine())
    rows = tables.interactions.collect("pyarrow").to_native()
    parts = [None] * len(rows) if "part" not in rows.column_names else rows["part"].to_pylist()
    part = [PARTS.index(name) if name in PARTS else -1 for name in parts]
    keys = pa.table({"part": pa.array(part, pa.int64()), "row": rows["row"]})
    order = pc.sort_indices(keys, [("part", "ascending"), ("row", "ascending")])
    return dataclasses.replace(tables, interactions=rows.take(order).drop(["row"]).combine_chunks())


def prepared_tables(interactions: dict[str, Any], cleaning: Cleaning | None = None, **known: Any) -> Any:
    """The Dataset and report of typed columns, as a source of the user's own would deliver them."""
    engine = shared_engine()
    return prepare(Tables(engine.read(pa.table(interactions)), **known), engine, cleaning)


def loaded(data: Any, **options: Any) -> tuple[Dataset, str]:
    """The Dataset, and what `genre.load` warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        dataset = genre.load(data, **options)
    return dataset, "\n".join(str(one.message) for one in caught)
