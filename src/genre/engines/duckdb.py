"""The embedded engine: DuckDB in this process, on all its cores, on disk where memory ends."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import narwhals as nw
import pyarrow as pa
from typing_extensions import override

from genre.engines.base import Engine, Frame
from genre.errors import OptionError
from genre.options import Doc, Ge
from genre.threads import n_threads

if TYPE_CHECKING:
    import duckdb


FILE_SIZE = "64MB"
"""Size of the Parquet files that other engines read in parallel."""


@dataclass(eq=False)
class DuckDB(Engine):
    """DuckDB in this process: tables larger than memory spill to a temporary folder."""

    memory_limit: Annotated[str | None, Doc("Memory that tables may take, such as `1500MB`; None: 80 % of it.")] = None
    threads: Annotated[int | None, Ge(1), Doc("Threads that work on tables; None: the `threads` of the config.")] = None

    @cached_property
    def folder(self) -> Path:
        """The temporary folder of this engine, removed by `close`."""
        self._temporary = tempfile.TemporaryDirectory(prefix="genre-tables-", ignore_cleanup_errors=True)
        return Path(self._temporary.name)

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The database in this process; sources read text and files with it."""
        import duckdb

        config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(self.folder)}
        if self.memory_limit is not None:
            config["memory_limit"] = self.memory_limit
        config["threads"] = self.threads or n_threads()
        try:
            connection = duckdb.connect(":memory:", config=config)
        except duckdb.Error as error:
            raise OptionError(f"engine: DuckDB does not take these options ({_first_line(error)})") from error
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it is printed on standard output, between results
        return connection

    def name(self) -> str:
        """Make a name for a table.

        Returns:
            A name that no table of this engine has yet.
        """
        return f"genre_{next(self._names)}"

    def keep(self, query: str) -> str:
        """Compute a query once and keep its rows.

        Args:
            query: a SELECT statement.

        Returns:
            The name of the table that holds the rows.
        """
        name = self.name()
        self.connection.execute(f"CREATE TEMP TABLE {name} AS {query}")
        return name

    def view(self, query: str) -> str:
        """Name a query without computing it.

        Args:
            query: a SELECT statement.

        Returns:
            The name under which other queries find its rows.
        """
        name = self.name()
        self.connection.execute(f"CREATE TEMP VIEW {name} AS {query}")
        return name

    def one(self, query: str) -> tuple[Any, ...]:
        """Compute a query whose result is one row.

        Args:
            query: a SELECT statement.

        Returns:
            The first row.
        """
        rows: list[tuple[Any, ...]] = self.connection.execute(query).fetchall()
        return rows[0] if rows else ()

    def arrow(self, query: str) -> pa.Table:
        """Compute a query.

        Args:
            query: a SELECT statement.

        Returns:
            Its rows as an Arrow table.
        """
        return self.connection.sql(query).to_arrow_table()

    def frame(self, name: str) -> Frame:
        """Look at a table as a lazy frame.

        Args:
            name: a table of this engine.

        Returns:
            Its rows, computed when they are needed.
        """
        return nw.from_native(self.connection.table(name))

    def register(self, table: pa.Table) -> str:
        """Make an Arrow table known to queries.

        Args:
            table: rows of any columns; they are not copied.

        Returns:
            The name under which queries find it.
        """
        name = self.name()
        self.connection.register(name, _readable(table))
        return name

    @override
    def read(self, table: pa.Table) -> Frame:
        if "row" not in table.column_names:
            table = table.append_column("row", pa.array(range(1, table.num_rows + 1), pa.int64()))
        return self.frame(self.register(table))

    @override
    def write(self, frame: Frame) -> Frame:
        name = self.name()
        nw.to_native(frame).create(name)
        return self.frame(name)

    def convert(self, frame: Frame, folder: Path) -> None:
        """Write a frame as Parquet, in memory that does not grow with it.

        Args:
            frame: a lazy frame of this engine.
            folder: a folder that is not there yet.
        """
        name = self.name()
        nw.to_native(frame).create_view(name)
        target = f"{literal(str(folder))} (FORMAT parquet, FILE_SIZE_BYTES '{FILE_SIZE}')"
        self.connection.execute(f"COPY (SELECT * FROM {name}) TO {target}")

    @override
    def collect(self, frame: Frame, schema: pa.Schema) -> pa.Table:
        table = nw.to_native(frame.select(schema.names)).to_arrow_table()
        return table.cast(schema)

    @override
    def close(self) -> None:
        if "connection" in vars(self):
            self.connection.close()
            del vars(self)["connection"]
        if "folder" in vars(self):
            self._temporary.cleanup()
            del vars(self)["folder"]

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is None:
            return
        import duckdb  # only now: an engine that was never used has not loaded it

        if isinstance(error, duckdb.OutOfMemoryException):
            limit = f"memory_limit {self.memory_limit}" if self.memory_limit else "80 % of the memory"
            raise OptionError(
                f"engine: {limit} is too little for these tables, also with what the disk can take of them "
                f"({_first_line(error)}); set a larger memory_limit or fewer threads, or make room for temporary files"
            ) from error


def literal(text: str) -> str:
    """Write a text as a literal of SQL.

    Args:
        text: any text.

    Returns:
        The text between single quotes, its own quotes doubled.
    """
    return "'" + text.replace("'", "''") + "'"


def one_file(path: str | Path) -> str:
    """Write the path of a file as a literal of SQL, in which `*`, `?` and `[` are no pattern.

    Args:
        path: of a file or folder.

    Returns:
        The literal; DuckDB reads `sales[1].csv` as the name of `sales1.csv` otherwise.
    """
    return literal(re.sub(r"([*?\[])", r"[\1]", str(path)))


def identifier(name: str) -> str:
    """Write the name of a column for SQL.

    Args:
        name: any text.

    Returns:
        The name between double quotes, its own quotes doubled.
    """
    return '"' + name.replace('"', '""') + '"'


def _readable(table: pa.Table) -> pa.Table:
    """A table without the types of numbers that DuckDB does not take from Arrow."""
    for place, field in enumerate(table.schema):
        if pa.types.is_float16(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.float32()))
        elif pa.types.is_decimal256(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    return table


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
