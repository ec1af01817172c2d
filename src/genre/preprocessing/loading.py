"""`load`: a name, a path, a frame or a Source -> a Dataset, in one call. Knows no format itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import nearest
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.dataset import Dataset
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources import Source


def load(data: Any, *, cleaning: Cleaning | None = None, log: Log = SILENT) -> Dataset:
    """The Dataset behind `data`: a public set by name (`"movielens-100k"`) or a Source with options of its own.

    What cleaning dropped goes to `log`, line by line. Raises DataError naming file, row and column.
    """
    dataset, report = prepare(_source(data).load(log=log), cleaning)
    for line in report.lines():
        log.line(line)
    return dataset


def _source(data: Any) -> Source:
    from genre.preprocessing.catalog import CATALOG, MovieLens

    if isinstance(data, Source):
        return data
    if isinstance(data, str) and data in CATALOG:
        return CATALOG[data]()
    path = Path(data)
    if path.is_dir():
        return MovieLens(path)
    raise DataError(f"{data!r} is neither a file nor a data set known by name{nearest(str(data), CATALOG)}")
