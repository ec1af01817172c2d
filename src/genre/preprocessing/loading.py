"""`load`: a name, a path, a frame or a Source -> a Dataset, in one call. Knows no format itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre.data.dataset import Dataset
from genre.data.parquet import read_dataset
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import nearest
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.frames import Frames
from genre.preprocessing.sources.matrix import Matrix
from genre.preprocessing.sources.public import CATALOG, MovieLens


def load(
    data: Any, *, items: Any = None, users: Any = None, cleaning: Cleaning | None = None, log: Log = SILENT
) -> Dataset:
    """Load interactions as a cleaned dataset.

    Args:
        data: The name of a public data set (`"movielens-100k"`), the path of a file of interactions or of a folder, a
            pandas, Polars or Arrow frame, or a Source with options of its own.
        items: Fields of items by id, given in the same ways.
        users: Fields of users by id, given in the same ways.
        cleaning: What is dropped or changed; None: the defaults.
        log: Where the findings and the dropped rows are shown, line by line.

    Returns:
        The dataset.

    Raises:
        DataError: The data cannot be used; the message names file, row and column.
        NotAvailable: A public data set cannot be fetched.

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
    dataset, report = prepare(_source(data, path, items, users).load(log=log), cleaning)
    for line in report.lines():
        log.line(line)
    return dataset


def _source(data: Any, path: Path | None, items: Any, users: Any) -> Source:
    if isinstance(data, Source):
        return data
    if path is None:
        return Frames(data, items=items, users=users)
    if isinstance(data, str) and data in CATALOG:
        return CATALOG[data]()
    if path.suffix in (".npy", ".npz"):
        return Matrix(path, items=items, users=users)
    if path.is_dir() and not any(path.glob("*.parquet")):
        return MovieLens(path)
    if not path.exists() and not path.suffix:
        raise DataError(f"{data!r} is no file and no data set known by name{nearest(str(data), CATALOG)}")
    return Files(path, items=items, users=users)
