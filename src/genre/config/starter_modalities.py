"""What items have beside text: files of vectors that lie beside the interactions, columns of addresses of pictures."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from genre.data.ids import Ids
from genre.errors import DataError
from genre.features.vectors import read_vectors
from genre.preprocessing.sources.columns import N_SAMPLE

MOST_BYTES = 500_000_000
LEAST_SHARE = 0.05
"""Share of the items from which on a file of vectors is worth naming."""
LINES = 20  # of a CSV that are looked at before it is read
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
MOSTLY = 0.5


def vector_files(given: Iterable[Path | None], item_ids: Ids) -> tuple[Path, ...]:
    """Find files that hold a vector for items, beside the files of the user.

    Args:
        given: The files of the user, which are none.
        item_ids: The items.

    Returns:
        CSV, Parquet and NPZ files, by name.
    """
    own = {path.resolve() for path in given if path is not None}
    beside = sorted({path for folder in {one.parent for one in own if one.is_file()} for path in folder.iterdir()})
    return tuple(path for path in beside if path.is_file() and path not in own and _has_vectors(path, item_ids))


def picture_columns(items: pa.Table) -> tuple[str, ...]:
    """Find columns that hold addresses or paths of pictures.

    Args:
        items: The table of items.

    Returns:
        Names of columns.
    """
    return tuple(name for name in items.column_names if _holds_pictures(items[name].slice(0, N_SAMPLE)))


def _holds_pictures(column: pa.ChunkedArray) -> bool:
    """Tell by the endings of its values whether a column names pictures."""
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return False
    values = [value.strip().lower().partition("?")[0] for value in column.to_pylist() if value and value.strip()]
    return bool(values) and float(np.mean([value.endswith(PICTURES) for value in values])) >= MOSTLY


def _has_vectors(path: Path, item_ids: Ids) -> bool:
    """Tell whether a file holds vectors of enough items."""
    if path.suffix not in (".csv", ".parquet", ".npz") or path.stat().st_size > MOST_BYTES:
        return False
    try:
        if path.suffix == ".csv" and not _looks_like_vectors(path):
            return False
        ids, _ = read_vectors(path, "item_id")
    except (DataError, OSError, UnicodeDecodeError, csv.Error):
        return False
    return float((item_ids.rows(ids) >= 0).sum()) >= LEAST_SHARE * len(item_ids)


def _looks_like_vectors(path: Path) -> bool:
    """Tell by its first lines whether a CSV has two or more numbers behind each id, and fractions among them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for _, row in zip(range(LINES), csv.reader(file), strict=False)][1:]
    values = [value for row in rows for value in row[1:]]
    if not rows or min(map(len, rows)) < 3:
        return False
    return all(map(_is_number, values)) and any("." in value or "e" in value.lower() for value in values)


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
