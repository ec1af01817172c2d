"""Files with one user a line, followed by the items in order -> Tables. Does not know about cleaning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typing_extensions import override

from genre.display import counted
from genre.engines.duckdb import DuckDB
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import Chosen, Columns
from genre.preprocessing.sources.delimited import read
from genre.preprocessing.sources.dialect import Layout
from genre.preprocessing.sources.files import read_side
from genre.preprocessing.sources.open_files import opened
from genre.preprocessing.sources.raw import Raw, build_tables
from genre.preprocessing.tables import ROW, Tables

N_LINES = 200
"""So many lines tell a file of sequences from others."""
IN_ORDER = (Chosen("user", "user_id", ""), Chosen("item", "item_id", ""))


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

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        parts = {"train": self.path, "validation": self.validation, "test": self.test}
        given = {part: path for part, path in parts.items() if path is not None}
        raws, alone = [], 0
        for part, path in given.items():
            table, without = _read(engine, path)
            raws.append(Raw(table, IN_ORDER, str(path), part if len(given) > 1 else None))
            alone += without
        return build_tables(
            engine,
            raws,
            Columns(),
            name=Path(self.path).stem,
            users=read_side(engine, self.users),
            items=read_side(engine, self.items),
            notes=[
                "a line a user, in order",
                *([f"{counted(alone, 'line names', 'lines name')} a user and no item"] if alone else []),
            ],
            ordered=True,
        )


def looks_like_sequences(path: Path) -> bool:
    """Tell a file of sequences from other text.

    Args:
        path: a file or folder.

    Returns:
        True where each line is a user of its own and a number of items, not the same in all lines, between blanks.
    """
    if path.is_dir():
        return False
    with opened(path) as stream:
        lines = stream.read(1 << 16).decode(errors="replace").splitlines()[:-1][:N_LINES]
    words = [line.split(" ") for line in lines if line.strip()]
    users, lengths = {row[0] for row in words}, {len(row) for row in words}
    plain = all(re.fullmatch(r"[\w-]+( [\w-]+)+ ?", line) for line in lines if line.strip())
    return plain and len(users) == len(words) and len(lengths) > 1


def _read(engine: DuckDB, path: str | Path) -> tuple[str, int]:
    """The table of users and items, line by line, and how many lines have no item."""
    with opened(path) as stream:
        if not stream.read(1):
            raise DataError(f"{path}: empty file; expected lines of a user and the user's items")
    look = Layout(path, str(path), "\x1f", header=False, names=("line",), quote="")
    try:
        lines, _, _ = read(engine, look, look.names)
    except DataError as error:
        raise DataError(f"{path}: unreadable file ({error}); expected lines of text in UTF-8") from error
    words = "regexp_split_to_array(trim(regexp_replace(line, '\\s+', ' ', 'g')), ' ')"
    table = engine.keep(
        f"SELECT words[1] AS user_id, unnest(words[2:]) AS item_id, {ROW} AS line, "
        f"generate_subscripts(words[2:], 1) AS place FROM (SELECT {words} AS words, {ROW} FROM {lines}) "
        "WHERE words IS NOT NULL"
    )
    numbered = engine.keep(f"SELECT user_id, item_id, row_number() OVER (ORDER BY line, place) AS {ROW} FROM {table}")
    alone = engine.one(f"SELECT count(*) FROM {lines} WHERE regexp_full_match(trim(line), '\\S+')")[0]
    if engine.one(f"SELECT count(*) FROM {numbered}") == (0,):
        found = f"no blank in {counted(alone, 'line')}" if alone else "empty file"
        raise DataError(f"{path}: {found}; expected lines of a user and the user's items, between blanks")
    return numbered, int(alone)
