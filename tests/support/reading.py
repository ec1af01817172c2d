"""Reading in tests: a source to a Dataset, or to Tables whose interactions are an Arrow table."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from genre.data.dataset import Dataset
from genre.engines.duckdb import DuckDB
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.cleaning_report import CleaningReport
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.base import Source
from genre.preprocessing.tables import Tables


def prepared(source: Source, cleaning: Cleaning | None = None) -> tuple[Dataset, CleaningReport]:
    """The Dataset of a source, and the report of its cleaning."""
    with DuckDB() as engine:
        return prepare(source.load(engine), engine, cleaning)


def read_tables(source: Source) -> Any:
    """The Tables of a source with the interactions as an Arrow table, in the order of the source, without `row`."""
    with DuckDB() as engine:
        tables = source.load(engine)
        rows = tables.interactions.sort("row").drop("row").collect("pyarrow").to_native()
    return dataclasses.replace(tables, interactions=rows)


def prepared_tables(interactions: dict[str, Any], cleaning: Cleaning | None = None, **known: Any) -> Any:
    """The Dataset and report of typed columns, as a source of the user's own would deliver them."""
    with DuckDB() as engine:
        return prepare(Tables(engine.read(pa.table(interactions)), **known), engine, cleaning)
