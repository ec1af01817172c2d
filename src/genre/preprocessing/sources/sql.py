"""Tables of a database -> Tables. The columns are chosen, renamed and cast where the data lives, as ibis expressions.

The same expressions run on DuckDB in the process, on SQLite and on PostgreSQL; only the columns that are needed come
over. Knows nothing about cleaning.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa

from genre.data.arrow import plain_bytes
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import N_SAMPLE, Columns, choose, interactions_of, sides_of
from genre.preprocessing.tables import Tables


@dataclass(eq=False)
class SQL(Source):
    """Interactions, items and users out of a database, each by the name of a table or by a query.

    Without `path` and `url` the queries run on DuckDB in the process, which also reads files:
    `SELECT * FROM 'sales/*.parquet'`.
    """

    interactions: Annotated[str, Doc("Who did what with what.")]
    items: Annotated[str | None, Doc("Text and other fields of items, by id.")] = None
    users: Annotated[str | None, Doc("Fields of users, by id.")] = None
    path: Annotated[str | Path | None, Doc("A DuckDB or SQLite (`.sqlite`, `.db`) file.")] = None
    url: Annotated[str | None, Doc("Any other database, as ibis names it: `postgres://user@host/shop`.")] = None
    columns: Annotated[Columns, Doc("Which column is which, where names do not tell.")] = field(default_factory=Columns)

    def load(self, *, log: Log = SILENT) -> Tables:
        """Read the tables.

        Args:
            log: Where progress is shown.

        Returns:
            Interactions, items and users.
        """
        database = self._connect()
        table = _table(database, self.interactions)
        chosen = choose(_rows(table.limit(N_SAMPLE)), self.columns, "interactions")
        wanted = table.select(*[choice.column for choice in chosen])
        ids = [choice.column for choice in chosen if choice.role in ("user", "item")]
        wanted = wanted.mutate(**{name: wanted[name].cast("string") for name in ids})
        interactions, notes = interactions_of(_rows(wanted), chosen, table.columns, "interactions")
        users = None if self.users is None else ("users", _rows(_table(database, self.users)))
        items = None if self.items is None else ("items", _rows(_table(database, self.items)))
        sides, said = sides_of(chosen, self.columns, users=users, items=items)
        return Tables(interactions, **sides, notes=(*notes, *said))

    def fingerprint(self) -> str:
        """A digest of the options and of what the queries give now: the data may have changed since."""
        database = self._connect()
        digest = hashlib.sha256(repr(self.columns).encode())
        for query in (self.interactions, self.items, self.users):
            digest.update(repr(query).encode())
            for part in () if query is None else plain_bytes(_rows(_table(database, query))):
                digest.update(part)
        return digest.hexdigest()

    def _connect(self) -> Any:
        try:
            import ibis
        except ImportError as error:
            raise DataError("reading from a database needs ibis: pip install 'genre-rec[sql]'") from error
        path = None if self.path is None else Path(self.path)
        if path is not None and not path.is_file():
            raise DataError(f"{path}: no such file; check the path of the database")
        try:
            if path is not None and path.suffix in (".sqlite", ".sqlite3", ".db"):
                return ibis.sqlite.connect(path)
            if self.url is not None:
                return ibis.connect(self.url)
            return ibis.duckdb.connect(path or ":memory:", read_only=path is not None)
        except Exception as error:  # every database has errors of its own
            raise DataError(f"{path or _without_password(self.url)}: no connection ({_first_line(error)})") from error


def _table(database: Any, text: str) -> Any:
    """The ibis table behind a table's name or a query."""
    try:
        return database.sql(text) if re.search(r"\s", text.strip()) else database.table(text.strip())
    except Exception as error:  # every database has errors of its own
        raise DataError(f"{text!r}: not a table or query of this database ({_first_line(error)})") from error


def _rows(table: Any) -> pa.Table:
    try:
        return table.to_pyarrow()
    except Exception as error:  # every database has errors of its own
        raise DataError(f"the database refused a query ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return _without_password((str(error).strip() or type(error).__name__).splitlines()[0])


def _without_password(text: str | None) -> str:
    return re.sub(r"(://[^:@/\s]*):[^@/\s]*@", r"\1@", text or "")
