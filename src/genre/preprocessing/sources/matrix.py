"""A rating matrix (users x items, blank where unknown) -> Tables of user-item pairs. Knows nothing about cleaning."""

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

from genre.data.arrow import as_arrow
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources import delimited
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import sides_of
from genre.preprocessing.sources.files import read_side
from genre.preprocessing.sources.values import to_numbers
from genre.preprocessing.tables import Tables


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

    def load(self, *, log: Log = SILENT) -> Tables:
        """Read the tables.

        Args:
            log: Where progress is shown.

        Returns:
            Interactions, items and users.
        """
        path = Path(self.path)
        sides, notes = sides_of((), users=read_side(self.users), items=read_side(self.items))
        if path.suffix in (".npy", ".npz"):
            matrix = _array(path)
            user_ids = _ids(matrix.shape[0], sides.get("users"))
            item_ids = _ids(matrix.shape[1], sides.get("items"))
        else:
            user_ids, item_ids, matrix = _wide_text(path)
        user, item, rating = _pairs(matrix, self.missing)
        interactions = {
            "user_id": pa.DictionaryArray.from_arrays(as_arrow(user), user_ids),
            "item_id": pa.DictionaryArray.from_arrays(as_arrow(item), item_ids),
            "rating": as_arrow(rating.astype(np.float32)),
        }
        told = f"{path.name}: a matrix of {matrix.shape[0]:,} x {matrix.shape[1]:,}, {len(user):,} cells known"
        return Tables(pa.table(interactions), **sides, name=path.stem, notes=(told, *notes))


def _array(path: Path) -> Any:
    """A dense array or a SciPy matrix, two-dimensional and of real numbers; never a pickle."""
    try:
        matrix = np.load(path, allow_pickle=False) if path.suffix == ".npy" else sp.load_npz(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: unreadable matrix ({error}); write it with np.save or scipy.sparse.save_npz"
        ) from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "iufb":
        raise DataError(f"{path}: holds {matrix.dtype} of shape {matrix.shape}, expected numbers, users x items")
    return matrix


def _ids(n: int, table: pa.Table | None) -> pa.StringArray:
    if table is not None and table.num_rows == n:
        return table[0].cast(pa.string()).combine_chunks()
    return pa.array(map(str, range(n)), pa.string())


def _wide_text(path: Path) -> tuple[pa.StringArray, pa.StringArray, npt.NDArray[np.float32]]:
    look = delimited.layout(path, (), header=True)
    users, *items = look.names
    if len(set(look.names)) < len(look.names):
        twice = Counter(look.names).most_common(1)[0][0]
        raise DataError(f"{path}: the first row names {twice!r} twice; give each item one column")
    try:
        table = delimited.read(look, {users: pa.string(), **dict.fromkeys(items, pa.float32())})
    except pa.ArrowInvalid:  # some cell is no plain number: read as text, which finds the row
        table = delimited.read(look, dict.fromkeys(look.names, pa.string()))
    ids = table[users].combine_chunks()
    if len(ids) == 0:
        raise DataError(f"{path}: no rows below the header; expected a row for each user")
    columns = [to_numbers(table[name], str(path), name).to_numpy() for name in items]
    return ids, pa.array(items), np.column_stack(columns)


def _pairs(
    matrix: Any, missing: float | None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Row, column and value of each known cell, row by row."""
    if sp.issparse(matrix):
        cells = sp.csr_array(matrix).tocoo()
        user, item, rating = cells.row, cells.col, np.asarray(cells.data, float)
        known = ~np.isnan(rating)
    else:
        values = np.asarray(matrix, np.float32)
        told = ~np.isnan(values) if missing is None else ~np.isnan(values) & (values != missing)
        user, item = np.nonzero(told)
        return user.astype(np.int32), item.astype(np.int32), values[told].astype(float)
    if missing is not None:
        known &= rating != missing
    return user[known].astype(np.int32), item[known].astype(np.int32), rating[known]
