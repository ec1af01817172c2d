"""Tables of a database -> Tables: the database runs the queries, the rows come over as Arrow.

DuckDB files and queries over files run in this process; SQLite and PostgreSQL come in through their ADBC drivers or
through Python's DBAPI. Does not know about cleaning.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from typing_extensions import override

from genre.engines.duckdb import DuckDB, identifier
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.frames import Frames, column_of
from genre.preprocessing.tables import Tables

SQLITE = (".sqlite", ".sqlite3", ".db")
"""Endings of SQLite files; the first bytes of a file come before its ending."""
Fetch = Callable[[str], pa.Table]


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
    url: Annotated[str | None, Doc("Another database: `postgresql://user@host/shop` or `sqlite:///shop.db`.")] = None
    columns: Annotated[Columns, Doc("Which column is which, where names do not tell.")] = field(default_factory=Columns)

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        return self._frames().load(engine, log=log)

    @override
    def fingerprint(self) -> str:
        """Make a digest of the options and of what the queries give now: the data may have changed since."""
        queries = repr((self.interactions, self.items, self.users)).encode()
        return hashlib.sha256(queries + self._frames().fingerprint().encode()).hexdigest()

    def _frames(self) -> Frames:
        """What the queries give now."""
        fetch = self._connect()
        items, users = (None if query is None else fetch(query) for query in (self.items, self.users))
        return Frames(fetch(self.interactions), items=items, users=users, columns=self.columns)

    def _connect(self) -> Fetch:
        """A function from a table's name or a query to its rows."""
        path = None if self.path is None else Path(self.path)
        if path is not None and not path.is_file():
            raise DataError(f"{path}: no such file; check the path of the database")
        try:
            if path is not None and _is_sqlite(path):
                return _sqlite(path)
            if self.url is not None:
                return _by_url(self.url)
            return _duckdb(path)
        except DataError:
            raise
        except Exception as error:  # every database has errors of its own
            raise DataError(f"{path or _without_password(self.url)}: no connection ({_first_line(error)})") from error


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(16)
    return head.startswith(b"SQLite format 3") or (path.suffix in SQLITE and head[8:12] != b"DUCK")


def _by_url(url: str) -> Fetch:
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return _sqlite(Path(re.sub(r"^sqlite:/{0,3}", "", url) if not url.startswith("sqlite:////") else url[10:]))
    if scheme in ("postgres", "postgresql"):
        return _postgres(re.sub(r"^postgres:", "postgresql:", url))
    raise DataError(
        f"{_without_password(url)}: no way to read {scheme!r}; expected postgresql:// or sqlite:///, or path"
    )


def _duckdb(path: Path | None) -> Fetch:
    import duckdb

    database = duckdb.connect(str(path) if path else ":memory:", read_only=path is not None)
    return _fetching(lambda query: database.sql(query).to_arrow_table())


def _sqlite(path: Path) -> Fetch:
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path of the database")
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    database.execute("SELECT count(*) FROM sqlite_master")
    return _fetching(lambda query: rows_of(database.execute(query)))


def _postgres(url: str) -> Fetch:
    try:
        import psycopg
    except ImportError as error:
        raise DataError("reading from PostgreSQL needs psycopg: pip install 'genre-rec[postgres]'") from error
    database = psycopg.connect(url, autocommit=True)
    return _fetching(lambda query: rows_of(database.execute(query)))


def rows_of(cursor: Any) -> pa.Table:
    """Fetch what is left in a cursor of Python's DBAPI.

    Args:
        cursor: has run a query.

    Returns:
        Its rows; a column of several types becomes text.
    """
    names = [description[0] for description in cursor.description]
    blocks = []
    while block := cursor.fetchmany(100_000):
        blocks.append(block)
    columns = [[row[at] for block in blocks for row in block] for at in range(len(names))]
    return pa.Table.from_arrays([column_of(values) for values in columns], names=names)


def _fetching(run: Callable[[str], pa.Table]) -> Fetch:
    def fetch(text: str) -> pa.Table:
        name = ".".join(map(identifier, text.strip().split(".")))
        query = text if re.search(r"\s", text.strip()) else f"SELECT * FROM {name}"
        try:
            return run(query)
        except Exception as error:  # every database has errors of its own
            raise DataError(
                f"{text!r}: not a table or query of this database ({_first_line(error)}); expected the name of a "
                'table, or a query such as SELECT * FROM "my table"'
            ) from error

    return fetch


def _first_line(error: Exception) -> str:
    return _without_password((str(error).strip() or type(error).__name__).splitlines()[0])


def _without_password(text: str | None) -> str:
    return re.sub(r"(://[^:@/\s]*):[^@/\s]*@", r"\1@", text or "")
