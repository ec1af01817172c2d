"""`vectors`: somebody else's vectors, of whatever modality, by id: images, sound, video. Reads no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from genre.arrays import Float32
from genre.data.dataset import Features
from genre.data.ids import Ids
from genre.errors import DataError, NotFitted
from genre.features.base import Encoder, digest_texts
from genre.log import SILENT, Log


@dataclass(eq=False)
class Vectors(Encoder):
    """Vectors made elsewhere, looked up by id; what the file lacks is zero, and so is every text.

    path: CSV or Parquet with an id column, then a column a value or one column of lists; or NPZ with `ids` `[n]` and
        `vectors` `[n, dim]`.
    id_column: the column that holds the ids, in the file (else its first one) and in the table.
    """

    path: Path
    id_column: str = "item_id"

    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        """Read the file; DataError when it cannot be used."""
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

    def encode(self, table: pa.Table, *, log: Log = SILENT) -> Features:
        values = self._values()
        ids = self._ids_of(table)
        rows = np.array([self._row.get(id_, -1) for id_ in ids], np.int64)
        return Features(
            np.where((rows >= 0)[:, None], values[rows], np.float32(0)), digest_texts([self.fingerprint, *ids])
        )

    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        """Zeros: words have no place among vectors of another kind."""
        return np.zeros((len(texts), self._values().shape[1]), np.float32)

    def _values(self) -> Float32:
        if not hasattr(self, "values_"):
            raise NotFitted("vectors: has read no file yet; call fit(table) or load(folder) first")
        return self.values_

    def _ids_of(self, table: pa.Table) -> list[str]:
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
    """`(ids, vectors [n, dim])` of a file; DataError when it is missing, unreadable or not finite."""
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
    with np.load(path, allow_pickle=False) as arrays:
        return [str(value) for value in arrays["ids"].tolist()], np.asarray(arrays["vectors"], np.float32)


def _from_table(path: Path, id_column: str) -> tuple[list[str], Float32]:
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
