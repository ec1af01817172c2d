"""Files with one user a line, followed by the items in order -> Tables. Knows nothing about cleaning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa

from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import sides_of
from genre.preprocessing.sources.delimited import opened
from genre.preprocessing.sources.files import read_side
from genre.preprocessing.tables import Tables

N_LINES = 200
"""So many lines tell a file of sequences from others."""


@dataclass(eq=False)
class Sequences(Source):
    """One line a user: the user's id, then the ids of the items, oldest first, separated by blanks.

    The form of many published benchmarks. Only the order is known, no times.
    """

    path: Annotated[str | Path, Doc("The file; with `test`, the train part.")]
    validation: Annotated[str | Path | None, Doc("Validation part of data with a split of its own.")] = None
    test: Annotated[str | Path | None, Doc("Test part of data with a split of its own (split kind `given`).")] = None
    items: Annotated[str | Path | None, Doc("Text and other fields of items, by id.")] = None
    users: Annotated[str | Path | None, Doc("Fields of users, by id.")] = None

    def load(self, *, log: Log = SILENT) -> Tables:
        """Read the tables.

        Args:
            log: Where progress is shown.

        Returns:
            Interactions, items and users.
        """
        parts = {"train": self.path, "validation": self.validation, "test": self.test}
        tables = {part: _read(Path(path)) for part, path in parts.items() if path is not None}
        if len(tables) > 1:
            tables = {
                part: table.append_column("part", pa.array([part]).take(pa.repeat(0, len(table))))
                for part, table in tables.items()
            }
        sides, said = sides_of((), users=read_side(self.users), items=read_side(self.items))
        notes = ("a line a user, in order", *said)
        return Tables(pa.concat_tables(tables.values()), **sides, name=Path(self.path).stem, notes=notes)


def looks_like_sequences(path: Path) -> bool:
    """Whether each line is a user of its own and a number of items that is not the same in all, between blanks."""
    if path.is_dir():
        return False
    with opened(path) as stream:
        lines = stream.read(1 << 16).decode(errors="replace").splitlines()[:-1][:N_LINES]
    words = [line.split(" ") for line in lines if line.strip()]
    users, lengths = {row[0] for row in words}, {len(row) for row in words}
    plain = all(re.fullmatch(r"[\w-]+( [\w-]+)+ ?", line) for line in lines if line.strip())
    return plain and len(users) == len(words) and len(lengths) > 1


def _read(path: Path) -> pa.Table:
    with opened(path) as stream:
        try:
            lines = stream.read().decode().splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: unreadable file ({error}); expected text in UTF-8") from error
    words = [line.split() for line in lines]
    lengths = np.array([max(len(row) - 1, 0) for row in words], np.int64)
    if lengths.sum() == 0:
        raise DataError(f"{path}: empty file; expected lines of a user and the user's items")
    users = pa.array([row[0] if row else "" for row in words], pa.string())
    items = pa.array([item for row in words for item in row[1:]], pa.string())
    return pa.table({"user_id": users.take(pa.array(np.repeat(np.arange(len(words)), lengths))), "item_id": items})
