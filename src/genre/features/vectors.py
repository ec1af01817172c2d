"""Encoder `vectors`: precomputed vectors of any kind by id, such as of images, sound or video. Reads no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32
from genre.data.features import Features, join_blocks
from genre.data.ids import Ids
from genre.errors import DataError, NotFitted
from genre.features.base import Encoder, digest_texts
from genre.log import SILENT, Log
from genre.options import Doc


@dataclass(eq=False)
class Vectors(Encoder):
    """Precomputed vectors, looked up by id; an id that the file lacks has a zero vector, and so has every text."""

    path: Annotated[
        Path,
        Doc(
            "CSV or Parquet with an id column, then a column a value or one column of lists; or NPZ with `ids` `[n]` "
            "and `vectors` `[n, dim]`."
        ),
    ]
    id_column: Annotated[str, Doc("The column of ids in the table, and in the file (else its first one).")] = "item_id"

    reads_text: ClassVar[bool] = False

    @override
    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        """Read the file; the log says how many rows of the table have a vector."""
        ids, self.values_ = read_vectors(self.path, self.id_column)
        self.ids_: list[str] = ids
        self._row = {id_: row for row, id_ in enumerate(ids)}
        if self.id_column in table.column_names:
            found = sum(id_ in self._row for id_ in self._ids_of(table))
            log.line(f"vectors: {found:,} of {len(table):,} rows have one in {self.path}")
            if not found:
                raise DataError(
                    f"{self.path}: has none of the {len(table):,} ids; {self.id_column} looks like {ids[0]!r}"
                )
        return self

    @override
    def encode(self, table: pa.Table, *, log: Log = SILENT) -> Features:
        values = self._values()
        ids = self._ids_of(table)
        rows = np.array([self._row.get(id_, -1) for id_ in ids], np.int64)
        known = rows >= 0
        found = np.where(known[:, None], values[rows], np.float32(0))
        return join_blocks([found], ["vectors"], [known], digest_texts([self.fingerprint, *ids]))

    @override
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        return np.zeros((len(texts), self._values().shape[1]), np.float32)  # texts are of another kind than the vectors

    def _values(self) -> Float32:
        """Return the vectors of the file, [n_ids, dim]."""
        if not hasattr(self, "values_"):
            raise NotFitted("vectors: is not fitted; call fit(table) or load(folder) first")
        return self.values_

    def _ids_of(self, table: pa.Table) -> list[str]:
        """Return the ids of a table's rows as text."""
        if self.id_column not in table.column_names:
            raise DataError(f"vectors: no column {self.id_column!r}; the table has {', '.join(table.column_names)}")
        return [str(value) for value in table[self.id_column].to_pylist()]

    def _options(self) -> dict[str, Any]:
        return {"path": str(self.path), "id_column": self.id_column}

    @classmethod
    def _read(cls, folder: Path, options: dict[str, Any]) -> Self:
        made = super()._read(folder, {**options, "path": Path(options["path"])})
        made._row = {id_: row for row, id_ in enumerate(made.ids_)}
        return made


def read_vectors(path: Path, id_column: str) -> tuple[list[str], Float32]:
    """Read a file of vectors.

    Args:
        path: CSV, Parquet or NPZ.
        id_column: The column of ids in CSV and Parquet, else the first one.

    Returns:
        Ids `[n]` and vectors `[n, dim]`.

    Raises:
        DataError: The file is missing or unreadable, an id is there twice, or a vector is not finite.
    """
    try:
        ids, values = _from_npz(path) if path.suffix == ".npz" else _from_table(path, id_column)
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as vectors ({error}); give CSV, Parquet or NPZ") from error
    if values.ndim != 2 or len(values) != len(ids) or not values.size:
        raise DataError(f"{path}: vectors have the shape {values.shape} for {len(ids)} ids; expected [n, dim]")
    if not np.isfinite(values).all():
        bad = ids[int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])]
        raise DataError(f"{path}: the vector of {bad!r} is not finite; leave such rows out")
    return list(Ids(ids).values.to_pylist()), values


def _from_npz(path: Path) -> tuple[list[str], Float32]:
    """Read `ids` and `vectors` of an NPZ file."""
    with np.load(path, allow_pickle=False) as arrays:
        return [str(value) for value in arrays["ids"].tolist()], np.asarray(arrays["vectors"], np.float32)


def _from_table(path: Path, id_column: str) -> tuple[list[str], Float32]:
    """Read ids and values of a CSV or Parquet file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
    else:
        import pyarrow.csv as pc

        table = pc.read_csv(path)
    name = id_column if id_column in table.column_names else table.column_names[0]
    ids = [str(value) for value in table[name].to_pylist()]
    rest = table.drop_columns([name])
    if rest.num_columns == 1 and pa.types.is_nested(rest.schema[0].type):
        return ids, np.array(rest.column(0).to_pylist(), np.float32)
    return ids, np.column_stack([column.to_numpy() for column in rest.columns]).astype(np.float32)
