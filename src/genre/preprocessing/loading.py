"""A name, a path, a frame or a Source -> a Dataset: read, then cleaned. Does not know any format itself."""

from __future__ import annotations

import dataclasses
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

from genre.data.dataset import Dataset
from genre.data.parquet import read_dataset
from genre.engines.base import Engine
from genre.engines.duckdb import DuckDB
from genre.engines.spark import Spark
from genre.errors import ConfigError, DataError, DataWarning, OptionError
from genre.log import SILENT, Log
from genre.options import check_names, nearest
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.cleaning_report import CleaningReport
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.converted import Converted
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.frames import Frames, library_of
from genre.preprocessing.sources.matrix import Matrix
from genre.preprocessing.sources.movielens import is_movielens
from genre.preprocessing.sources.public import CATALOG, MovieLens


def load(
    data: Any,
    *,
    items: Any = None,
    users: Any = None,
    columns: Columns | dict[str, Any] | None = None,
    cleaning: Cleaning | None = None,
    log: Log = SILENT,
) -> Dataset:
    """Read data of any form into a Dataset; warn once where rows were lost or a reading is a guess.

    Args:
        data: a public set by name (`"movielens-100k"`), the path of a file of interactions or of a folder, a pandas,
            Polars or Arrow frame, or a Source with options of its own.
        items: text and other fields of items by id, given likewise.
        users: fields of users by id, given likewise.
        columns: which column is which, where names and content do not tell: `{"user": "who"}`.
        cleaning: what is dropped; None: what cannot be used.
        log: gets what cleaning dropped, line by line.

    Returns:
        The Dataset; its `report` holds what was read as what and what became of every row.

    Raises:
        DataError: names file, row and column.
        NotAvailable: a public set cannot be fetched.

    Example:
        >>> import genre
        >>> dataset = genre.load("interactions.csv", items="items.csv")
        >>> dataset.n_users, dataset.n_items
        (20, 16)
        >>> dataset.titles()[:2]
        ['Story 0', 'Story 1']
    """
    path = Path(data) if isinstance(data, (str, Path)) else None
    if path is not None and (path / "dataset.json").is_file():
        return read_dataset(path)
    if isinstance(columns, dict):
        check_names(Columns, columns)
    if not isinstance(cleaning, Cleaning | None):
        raise OptionError(f"cleaning: found a {type(cleaning).__name__}; expected Cleaning(repeats='all', ...)")
    named = Columns(**columns) if isinstance(columns, dict) else columns or Columns()
    dataset, report = read_and_clean(_source(data, path, items, users, named), DuckDB(), cleaning, log=log)
    dataset = dataclasses.replace(dataset, frame_library=library_of(data))
    for line in report.lines():
        log.line(line)
    if lost := report.warnings():
        warnings.warn("\n".join(lost), DataWarning, stacklevel=2)
    return dataset


def read_and_clean(
    source: Source, engine: Engine, cleaning: Cleaning | None, *, log: Log = SILENT
) -> tuple[Dataset, CleaningReport]:
    """Read interactions with DuckDB and clean them on an engine.

    Another engine gets the columns as typed Parquet, in its own folder unless the source is such a folder: from there
    on all engines give the same rows.

    Args:
        source: Where the data is.
        engine: Cleans it.
        cleaning: What is dropped; None: what cannot be used.
        log: Where progress is shown.

    Returns:
        All interactions, and what was dropped.

    Raises:
        ConfigError: Sources are not cleaned on such an engine.
        DataError: The data cannot be used.
    """
    if isinstance(engine, DuckDB):
        with engine, closing(engine):  # its memory is free for what learns
            return prepare(source.load(engine, log=log), engine, cleaning)
    if not isinstance(engine, Spark):
        raise ConfigError("engine: sources are read with duckdb and cleaned with duckdb or spark; write one of these")
    with engine:
        with DuckDB() as reader:
            tables = source.load(reader, log=log)
            if isinstance(source, Converted):
                folder = source.interactions
            else:
                reader.convert(tables.interactions, folder := engine.place())
        return prepare(dataclasses.replace(tables, interactions=engine.read_parquet(folder)), engine, cleaning)


def _source(data: Any, path: Path | None, items: Any, users: Any, columns: Columns) -> Source:
    if isinstance(data, Source):
        return data
    for name, side in (("items", items), ("users", users)):
        if side is not None and isinstance(side, str | Path) != (path is not None):
            held = "a path" if path is not None else f"a {type(data).__name__}"
            raise DataError(
                f"{name}: found a {type(side).__name__}, but the interactions are {held}; give both as paths, or both "
                "as frames"
            )
    if path is None:
        return Frames(data, items=items, users=users, columns=columns)
    if isinstance(data, str) and data in CATALOG:
        return CATALOG[data]()
    if path.suffix in (".npy", ".npz"):
        return Matrix(path, items=items, users=users)
    if path.is_dir() and is_movielens(path):
        return MovieLens(path)
    if not path.exists() and not path.suffix and "://" not in str(data) and "*" not in str(data):
        raise DataError(f"{data!r} is no file and no data set known by name{nearest(str(data), CATALOG)}")
    return Files(data, items=items, users=users, columns=columns)
