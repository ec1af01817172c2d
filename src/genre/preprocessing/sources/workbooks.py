"""Workbooks of Excel and others -> a CSV that is read as any other. Does not know what a column means.

Numbers, dates and yes or no are written as they are meant: 6.0 as `6`, a date as `2024-01-31`, yes as `true`.
"""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Any

from genre.engines.duckdb import DuckDB
from genre.errors import DataError, NotAvailable
from genre.options import nearest
from genre.preprocessing.sources.open_files import is_address, local_copy, opened

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def is_workbook(path: str | Path) -> bool:
    """Tell a workbook by the ending of its name.

    Args:
        path: a file or address.

    Returns:
        True for `sales.xlsx` and its like.
    """
    return Path(str(path)).suffix.lower() in WORKBOOKS


def sheet_as_csv(engine: DuckDB, path: str | Path, sheet: str | None = None) -> tuple[str, str]:
    """Write a sheet of a workbook as CSV, every row of it.

    Args:
        engine: has the folder for the copy.
        path: a file or address.
        sheet: its name; None: the only sheet with rows.

    Returns:
        The path of the CSV, in UTF-8 and with commas, and the name of the sheet.

    Raises:
        DataError: it is no workbook, has no such sheet, or several sheets with rows.
        NotAvailable: the reader of workbooks is not installed.
    """
    try:
        import python_calamine as calamine
    except ImportError as error:
        raise NotAvailable(
            f"{path}: a workbook needs python-calamine: pip install 'genre-rec[excel]'; or save the table as CSV"
        ) from error
    if not is_address(path):
        with opened(path):  # says what is wrong with a path
            pass
    place = local_copy(engine, path) if is_address(path) else str(path)
    copy = engine.folder / f"{engine.name()}.csv"
    try:
        with calamine.CalamineWorkbook.from_path(place) as book:
            found = book.get_sheet_by_name(_chosen(book, path, sheet))
            if found.width < 2 or found.height < 2:
                raise DataError(
                    f"{path}: sheet {found.name!r} has {found.height:,} rows of {found.width:,} columns; expected a "
                    "header and rows of users and items"
                )
            with copy.open("w", encoding="utf-8", newline="") as target:
                csv.writer(target, lineterminator="\n").writerows(
                    [_text(cell) for cell in row] for row in found.iter_rows()
                )
    except (calamine.CalamineError, OSError) as error:
        raise DataError(f"{path}: unreadable as a workbook ({error}); save it anew, or its table as CSV") from error
    return str(copy), str(found.name)


def _chosen(book: Any, path: str | Path, sheet: str | None) -> str:
    """The name of the sheet to read."""
    names = book.sheet_names
    if sheet is not None:
        if sheet not in names:
            raise DataError(f"{path}: no sheet {sheet!r}{nearest(sheet, names)}; it has {', '.join(map(repr, names))}")
        return sheet
    full = [name for name in names if book.get_sheet_by_name(name).height > 0]
    if len(full) != 1:
        held = f"{len(full)} sheets with rows: {', '.join(map(repr, full))}" if full else "no sheet with rows"
        raise DataError(f"{path}: {held}; name one in the data section: sheets: {{interactions: ...}}, or items, users")
    return str(full[0])


def _text(cell: object) -> str:
    """A cell as text."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ")
    return "" if cell is None else str(cell)
