"""A rating matrix (users x items, blank where unknown) -> Tables of user-item pairs. Does not know about cleaning."""

from __future__ import annotations

import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
from typing_extensions import override

from genre.arrays import Int64
from genre.data.arrow import as_arrow
from genre.engines.duckdb import DuckDB, identifier
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import Chosen, Columns, check_distinct
from genre.preprocessing.sources.delimited import read
from genre.preprocessing.sources.dialect import layout
from genre.preprocessing.sources.entities import Side
from genre.preprocessing.sources.files import read_side
from genre.preprocessing.sources.raw import Raw, build_tables
from genre.preprocessing.sources.values import numbers
from genre.preprocessing.tables import ROW, Rejected, Tables

PAIRS = (Chosen("user", "user_id", ""), Chosen("item", "item_id", ""), Chosen("rating", "rating", ""))
"""The columns of a matrix that was turned into pairs."""


@dataclass(eq=False)
class Matrix(Source):
    """One row a user, one column an item, a rating in each cell that is known.

    A `.npy` file holds a dense matrix, an `.npz` file a SciPy sparse one; anything else is delimited text whose first
    row names the items and whose first column names the users. Without names, row and column numbers are the ids, or
    the ids of `users` and `items` in their order where these have one row for each.
    """

    path: Annotated[str | Path, Doc("The matrix.")]
    items: Annotated[str | Path | None, Doc("Text and other fields of items, by id.")] = None
    users: Annotated[str | Path | None, Doc("Fields of users, by id.")] = None
    missing: Annotated[float | None, Doc("The number that means unknown, besides blank and NaN; None: no number.")] = (
        0.0
    )

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        path = Path(self.path)
        users, items = read_side(engine, self.users), read_side(engine, self.items)
        rejected: list[Rejected] = []
        if path.suffix in (".npy", ".npz"):
            table, size = _pairs(engine, _array(path), self.missing, users, items)
        else:
            table, size, rejected = _wide_text(engine, path, self.missing)
        cells = engine.one(f"SELECT count(*) FROM {table}")
        unknown = "blank or NaN" if self.missing is None else f"blank, NaN or {self.missing:g}"
        note = f"{path.name}: a matrix of {size[0]:,} x {size[1]:,}, {cells[0]:,} cells known, all others {unknown}"
        raw = Raw(table, PAIRS, str(path), note=note, rejected=tuple(rejected))
        return build_tables(engine, [raw], Columns(), name=path.stem, users=users, items=items)


def _array(path: Path) -> Any:
    """A dense array or a SciPy matrix, two-dimensional and of real numbers; never a pickle."""
    try:
        matrix = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _cells(sp.load_npz(path))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: unreadable matrix ({error}); write it with np.save or scipy.sparse.save_npz"
        ) from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "iufb":
        raise DataError(f"{path}: holds {matrix.dtype} of shape {matrix.shape}, expected numbers, users x items")
    return matrix


def _cells(matrix: Any) -> sp.coo_array:
    """The cells of a sparse matrix whose places are checked: SciPy does not when it loads them."""
    if isinstance(matrix, (sp.csr_array, sp.csc_array, sp.bsr_array, sp.csr_matrix, sp.csc_matrix, sp.bsr_matrix)):
        matrix.check_format(full_check=True)
    return sp.coo_array(matrix)


def _pairs(
    engine: DuckDB, matrix: Any, missing: float | None, users: Side | None, items: Side | None
) -> tuple[str, tuple[int, int]]:
    """The table of known cells, row by row, and the size of the matrix."""
    if sp.issparse(matrix):
        matrix.sum_duplicates()
        row, column, rating = matrix.row, matrix.col, np.asarray(matrix.data, float)
        known = ~np.isnan(rating) if missing is None else ~np.isnan(rating) & (rating != missing)
        row, column, rating = row[known], column[known], rating[known]
        order = np.lexsort((column, row))
        row, column, rating = row[order], column[order], rating[order]
    else:
        values = np.asarray(matrix, np.float32)
        known = ~np.isnan(values) if missing is None else ~np.isnan(values) & (values != missing)
        row, column = np.nonzero(known)
        rating = values[known].astype(float)
    table = pa.table(
        {
            "user_id": _ids(row, matrix.shape[0], users),
            "item_id": _ids(column, matrix.shape[1], items),
            "rating": as_arrow(rating),
            ROW: pa.array(np.arange(1, len(row) + 1)),
        }
    )
    return engine.register(table), matrix.shape


def _ids(place: npt.NDArray[np.integer[Any]], n: int, side: Side | None) -> pa.Array:
    """The ids of rows or columns at these places: their numbers, or those of a table with a row for each."""
    if side is not None and side.table.num_rows == n:
        return side.table.column(0).combine_chunks().take(as_arrow(place.astype(np.int64)))
    present, code = np.unique(place, return_inverse=True)
    names = as_arrow(present.astype(np.int64)).cast(pa.string())
    return pa.DictionaryArray.from_arrays(as_arrow(code.astype(np.int32)), names)


def _wide_text(engine: DuckDB, path: Path, missing: float | None) -> tuple[str, tuple[int, int], list[Rejected]]:
    """The same of delimited text: every item's column turned into rows."""
    look = layout(engine, path, (), header=True)
    users, *items = look.names
    if len(set(look.names)) < len(look.names):
        twice = Counter(look.names).most_common(1)[0][0]
        raise DataError(f"{path}: the first row names {twice!r} twice; give each item one column")
    check_distinct(look.names, str(path))
    wide, _, rejected = read(engine, look, look.names)
    n_users = (engine.one(f"SELECT count(*) FROM {wide}"))[0]
    if n_users == 0:
        raise DataError(f"{path}: no rows below the header; expected a row for each user")
    order = pa.table({"item_id": pa.array(items, pa.string()), "place": pa.array(_places(len(items)))})
    cells = engine.keep(
        f"SELECT {identifier(users)} AS user_id, item_id, rating, {ROW} AS line FROM (UNPIVOT {wide} ON COLUMNS("
        f"* EXCLUDE ({identifier(users)}, {ROW})) INTO NAME item_id VALUE rating)"
    )
    reading = numbers(engine, cells, "rating", where=str(path))
    wrong = engine.one(f"SELECT line, item_id, rating FROM {cells} WHERE {reading.wrong} ORDER BY line LIMIT 1")
    if wrong:
        raise DataError(
            f"{path}: row {wrong[0]:,}, column {wrong[1]!r}: {wrong[2]!r} is not a number; correct it or leave it empty"
        )
    unknown = "" if missing is None else f" AND x != {missing!r}"
    table = engine.keep(
        f"SELECT user_id, item_id, x AS rating, row_number() OVER (ORDER BY line, place) AS {ROW} FROM "
        f"(SELECT user_id, item_id, line, place, {reading.value} AS x FROM {cells} "
        f"JOIN {engine.register(order)} USING (item_id)) WHERE x IS NOT NULL AND NOT isnan(x){unknown}"
    )
    return table, (int(n_users), len(items)), rejected


def _places(n: int) -> Int64:
    return np.arange(n, dtype=np.int64)
