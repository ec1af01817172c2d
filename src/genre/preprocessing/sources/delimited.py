"""Delimited text of any dialect -> tables of DuckDB, every column as text.

DuckDB reads the rows, strictly: a row that does not fit is kept aside with its line and the reason. Does not know what
a column means.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace

from genre.display import counted
from genre.engines.duckdb import DuckDB, identifier, literal
from genre.errors import DataError
from genre.preprocessing.sources.base import setting
from genre.preprocessing.sources.dialect import Layout, quoted, rows_inside
from genre.preprocessing.sources.open_files import opened
from genre.preprocessing.tables import NO_VALUE, ROW, Rejected

ONE_LINE_END = ".lines"
"""Ending of copies in which every line ends in the same way."""


def read(
    engine: DuckDB, look: Layout, columns: Sequence[str], *, rows: int | None = None
) -> tuple[str, Layout, list[Rejected]]:
    """Read some columns as text, with the number of each row.

    Args:
        engine: reads the file.
        look: how the file is written.
        columns: the columns to read.
        rows: so many rows at most; None: all.

    Returns:
        The name of the table (`ROW` counts from 1), the layout with quotes and line ends settled, and rejected rows.

    Raises:
        DataError: a quote that is not closed would take other rows in, or the text is not in its encoding.
    """
    if look.header and "\n" in "".join(look.names) and not look.place.endswith(ONE_LINE_END):
        look = replace(look, place=_with_one_line_end(engine, look))  # else DuckDB may find no end of the header
    try:
        name, rejected, broken = _read(engine, look, columns, rows)
    except _MixedLineEnds:
        look = replace(look, place=_with_one_line_end(engine, look))
        name, rejected, broken = _read(engine, look, columns, rows)
    if not broken and rows is None:
        broken = _swallowed_rows(engine, look, name, len(rejected))
    if broken and not look.certain:  # a field begins with a quote somewhere below the head, and none closes it
        look = replace(look, quote="", certain=True)
        name, rejected, broken = _read(engine, look, columns, rows)
    if broken:
        row, what, text = broken[0]
        others = f" (and {counted(len(broken) - 1, 'more such row')})" if len(broken) > 1 else ""
        raise DataError(
            f"{look.path}: row {row:,}: {what}, in {quoted(text)}{others}; close the quote, double it inside a quoted "
            f"field, or read quotes as plain text: {setting('quote', '')}"
        )
    return name, look, rejected


def _swallowed_rows(engine: DuckDB, look: Layout, table: str, rejected: int) -> list[Broken]:
    """Quoted fields that hold whole rows of the file: the quotes of two rows, each of them never closed.

    Only files with quotes and with more lines than rows are looked at. A field is such a one where the fields of its
    row, put together again, are lines that have all fields and begin as the first of them does.
    """
    if not look.quote or look.stated:
        return []
    quotes, lines = _quotes_and_lines(look)
    rows = engine.one(f"SELECT count(*) FROM {table}")[0]
    if not quotes or lines <= rows + rejected + look.header + look.skipped:
        return []
    breaks = [f"contains({identifier(name)}, chr(10))" for name in look.names]
    numbered = f"SELECT *, row_number() OVER () AS {ROW} FROM {look.scan(engine.name())}"
    found = engine.connection.execute(f"SELECT * FROM ({numbered}) WHERE {' OR '.join(breaks)} ORDER BY {ROW}")
    broken: list[Broken] = []
    while some := found.fetchmany(10_000):
        for *cells, row in some:
            if taken := rows_inside(cells, look.delimiter):
                what = f"a quoted field that takes in {taken:,} more row{'s' * (taken > 1)}"
                broken.append((row, what, next(cell for cell in cells if cell and "\n" in cell)))
    return broken


def _quotes_and_lines(look: Layout) -> tuple[bool, int]:
    """Whether a file has quotes, and its lines."""
    quote, quotes, feeds, returns = look.quote.encode(), False, 0, 0
    with opened(look.place) as stream:
        while block := stream.read(1 << 20):
            quotes = quotes or quote in block
            feeds += block.count(b"\n")
            returns += 0 if feeds else block.count(b"\r")
    return quotes, max(feeds, returns)


Broken = tuple[int, str, str]
"""A row whose quotes are wrong: its number, what is wrong with it, and its text."""


class _MixedLineEnds(Exception):
    """The lines of a file end in different ways, which DuckDB does not read."""


def _read(
    engine: DuckDB, look: Layout, columns: Sequence[str], rows: int | None
) -> tuple[str, list[Rejected], list[Broken]]:
    """One reading: the table, rows that do not fit, and quotes that are not closed."""
    import duckdb

    held = [identifier(name) for name in columns]
    if look.quote and look.escape == "\\":
        held = [f"nullif({name}, {literal(NO_VALUE)}) AS {name}" for name in held]
    kept = engine.name()
    numbered = f"SELECT {', '.join([*held, f'row_number() OVER () AS {ROW}'])} FROM {look.scan(kept)}"
    try:
        name = engine.keep(f"{numbered} LIMIT {rows}" if rows is not None else numbered)
        errors = engine.connection.execute(
            "SELECT line, arg_max(error_type, unclosed), max(csv_line), arg_max(error_message, unclosed) FROM "
            f"(SELECT *, CAST(error_type AS VARCHAR) = 'UNQUOTED VALUE' AS unclosed FROM {kept}_errors) "
            "GROUP BY line ORDER BY line"
        ).fetchall()
    except duckdb.OutOfMemoryException:
        raise  # no fault of the file
    except duckdb.Error as error:
        if "invalid state" in str(error) and not look.place.endswith(ONE_LINE_END):
            raise _MixedLineEnds from error
        raise _unreadable(look, str(error)) from error
    rejected: list[Rejected] = []
    broken: list[Broken] = []
    for line, kind, text, message in errors:
        kind = str(kind)
        if kind == "MISSING COLUMNS" and not (text or "").strip():
            continue  # a line of blanks is no row
        if "ENCOD" in kind or "unicode" in message.lower() or "utf" in message.lower():
            raise _unreadable(look, message, line)
        if "UNQUOTED" in kind or "unterminated" in message.lower():
            broken.append((line - look.header - look.skipped, "a quote that is not closed", text or ""))
        else:
            fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
            named = ", ".join(look.names[:8]) + (", ..." if len(look.names) > 8 else "")
            reason = f"{fields[2]} fields, expected {fields[1]} ({named})" if fields else message.splitlines()[0]
            rejected.append(Rejected(str(look.path), line - look.header - look.skipped, reason, quoted(text)))
    return name, rejected, broken


def _with_one_line_end(engine: DuckDB, look: Layout) -> str:
    """A copy of a file whose lines end in different ways, as files do that were joined on several systems."""
    copy = engine.folder / f"{engine.name()}{ONE_LINE_END}"
    with (
        opened(look.place) as stream,
        io.TextIOWrapper(stream, encoding="utf-8", newline=None) as text,
        copy.open("w", encoding="utf-8", newline="\n") as target,
    ):
        shutil.copyfileobj(text, target, 1 << 20)
    return str(copy)


def _unreadable(look: Layout, message: str, line: int | None = None) -> DataError:
    found = line or (int(number[1]) if (number := re.search(r"[Ll]ine:? (\d+)", message)) else None)
    where = f"{look.path}: row {found - look.header - look.skipped:,}" if found else str(look.path)
    if "utf" in message.lower() or "unicode" in message.lower():
        return DataError(f"{where}: text that is not UTF-8; save the file as UTF-8, or {setting('encoding', 'cp1252')}")
    return DataError(f"{where}: not readable as text {look.delimiter!r} separates ({message.splitlines()[0]})")
