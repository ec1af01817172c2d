"""How a delimited file is written: encoding, delimiter, quotes, header, from its first megabyte.

Does not read the rows (`delimited.py` does), nor know what a column means.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from genre.display import counted
from genre.engines.duckdb import DuckDB, literal, one_file
from genre.errors import DataError
from genre.preprocessing.sources.base import setting
from genre.preprocessing.sources.open_files import opened, readable
from genre.preprocessing.sources.workbooks import is_workbook, sheet_as_csv
from genre.preprocessing.tables import NO_VALUE, plain_name, untyped_name

DELIMITERS = {"::": "double colon", ",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "space"}
HEAD_BYTES = 1 << 20
LONGEST_LINE = 1 << 28
FEW_LETTERS = 8
"""Fewer letters beyond ASCII do not tell an alphabet."""
MOST_ABOVE = 20
"""So many lines may be above the header."""
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""First bytes -> the encoding they stand for; UTF-32 begins as UTF-16 does, so it comes first."""
EXCEL = "an Excel or other workbook; give it its ending, such as .xlsx, or save the table as CSV"
BINARY = {
    b"PK\x03\x04": EXCEL,
    b"\xd0\xcf\x11\xe0": EXCEL,
    b"PAR1": "a Parquet file; give it the ending .parquet",
    b"\x1f\x8b": "packed by gzip; give it the ending .gz",
    b"\x28\xb5\x2f\xfd": "packed by zstd; give it the ending .zst",
    b"BZh": "packed by bzip2; give it the ending .bz2",
    b"\xfd7zXZ": "packed by xz; give it the ending .xz",
    b"SQLite format 3": "a SQLite database; in a config read it with kind: sql, in Python with SQL('table', path=...)",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; fetch it with git lfs pull",
    b"ARROW1": "an Arrow or Feather file; save it as Parquet, or read it with pyarrow.feather and load the table",
}
"""First bytes of files that are no text -> what to do."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$")


@dataclass(frozen=True)
class Layout:
    """How a delimited file is written.

    Attributes:
        path: the file as the user named it.
        place: where DuckDB reads it: the file itself, or an unpacked copy in UTF-8.
        delimiter: what separates the fields.
        header: whether the first row names the columns.
        names: the columns, `column 1` ... where the header gives no name.
        encoding: the encoding that was found or given.
        quote: what encloses fields that hold the delimiter; empty: quotes are plain characters.
        escape: what makes a quote inside a quoted field a plain one: a second quote, or a backslash.
        certain: whether the head of the file or the user decides about the quotes.
        stated: whether the user says what encloses fields.
        skipped: lines above the header that are left out.
        guessed: whether the encoding is a guess.
        named: whether the header has a name that is known.
        sheet: the sheet of a workbook that the text is a copy of.
    """

    path: str | Path
    place: str
    delimiter: str
    header: bool
    names: tuple[str, ...]
    encoding: str = "utf-8"
    quote: str = '"'
    escape: str = '"'
    certain: bool = True
    stated: bool = False
    skipped: int = 0
    guessed: bool = False
    named: bool = True
    sheet: str = ""

    def __str__(self) -> str:
        header = "with" if self.header else "without"
        by = f"separated by {DELIMITERS.get(self.delimiter, self.delimiter)}"
        by = f"sheet {self.sheet!r}" if self.sheet else by
        encoding = "" if self.encoding == "utf-8" else f", {self.encoding}"
        quoted = "" if self.quote or self.delimiter in ("::", " ") else ", quotes are plain text"
        quoted = ", backslashes before quotes" if self.quote and self.escape == "\\" else quoted
        above = f", {counted(self.skipped, 'line')} above it left out" if self.skipped else ""
        guess = f" (a guess: {setting('encoding', '...')} where it is another)" if self.guessed else ""
        return f"{Path(self.path).name}: {by}, {header} a header{above}{encoding}{guess}{quoted}"

    def scan(self, errors: str) -> str:
        """Write the call of DuckDB's reader that gives every column as text.

        Args:
            errors: where rows that do not fit are kept: the tables `<errors>_errors` and `<errors>_scans`.

        Returns:
            A table expression of SQL.
        """
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in self.names)
        escape = self.escape if self.quote else ""
        empty = literal("") + (f", {literal(NO_VALUE)}" if escape != "\\" else "")  # DuckDB takes no escape in it
        return (
            f"read_csv({one_file(self.place)}, auto_detect=false, columns={{{columns}}}, header={self.header}, "
            f"delim={literal(self.delimiter)}, quote={literal(self.quote)}, escape={literal(escape)}, "
            f"nullstr=[{empty}], skip={self.skipped}, strict_mode=true, max_line_size={LONGEST_LINE}, "
            f"hive_partitioning=false, store_rejects=true, rejects_table='{errors}_errors', "
            f"rejects_scan='{errors}_scans')"
        )


def layout(
    engine: DuckDB,
    path: str | Path,
    known_names: Collection[str],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    quote: str | None = None,
    sheet: str | None = None,
) -> Layout:
    """Find out how a file is written from its first megabyte; of a workbook, a sheet is copied to text first.

    Args:
        engine: has the temporary folder for an unpacked or re-encoded copy.
        path: a file, or an address that fsspec opens.
        known_names: names of columns (lower case, letters and digits only) that give a header away.
        delimiter: what separates the fields, where the file does not show it.
        header: whether the first row names the columns, where the file does not show it.
        encoding: as Python names it; None: found out.
        quote: what encloses fields; empty: nothing does.
        sheet: the sheet of a workbook; None: the only one with rows.

    Returns:
        The layout.

    Raises:
        DataError: the file is not there, empty, binary, or has one column only.
    """
    if is_workbook(path):
        copy, sheet = sheet_as_csv(engine, path, sheet)
        look = layout(engine, copy, known_names, delimiter=",", header=header, encoding="utf-8", quote='"')
        return dataclasses.replace(look, path=path, sheet=sheet)
    head = _head(path)
    found, guessed = (encoding, False) if encoding else _encoding(path, head)
    try:
        text = codecs.getincrementaldecoder(found)().decode(head)
    except (LookupError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as {found} ({error}); {setting('encoding', 'cp1252')}") from error
    text = text.removeprefix("\ufeff")
    if len(head) == HEAD_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    every = _LINE_END.split(text)[:300]
    lines = [line for line in every if line.strip()][:200]
    if not lines:
        raise DataError(f"{path}: empty file; expected rows of users and items")
    if re.fullmatch(r"\d+:", lines[0].strip()) and len(lines) > 1:
        remedy = """write it into each of them: awk -F, 'NF == 1 {sub(":", ""); i = $1; next} {print i "," $0}'"""
        raise DataError(f"{path}: lines such as {lines[0].strip()!r} head the rows below them; {remedy}")
    delimiter = delimiter or _delimiter(path, lines, known_names)
    stated = quote is not None
    quote, certain = _quote(lines, delimiter) if quote is None else (quote, True)
    escape = quote or '"'
    if quote == '"' and not stated and _has_backslashes(lines, delimiter):
        escape = "\\"
    cells = _cells(lines, delimiter, quote, escape=escape)
    above = _lines_above_header(cells, known_names)
    skipped = _physical_line(every, above) if above or not every[0].strip() else 0
    cells = cells[above:]
    if len(cells[0]) < 2:
        raise DataError(
            f"{path}: only one column, {quoted(cells[0][0])}; if something else separates its columns, set delimiter "
            "in the data section (in Python: genre.load(Files(path, delimiter=...)))"
        )
    named = any(plain_name(cell) in known_names for cell in cells[0])
    if (
        named
        and len(cells) > 2
        and all(len(row) == len(cells[0]) + 1 and row[0] == str(at) for at, row in enumerate(cells[1:], 1))
        and any(row[-1] for row in cells[1:])  # else each row ends with a delimiter
    ):
        cells[0] = ["", *cells[0]]  # row numbers without a header, as R writes them
    if header is None:
        header = named or _has_header(cells)
    names = tuple(
        (untyped_name(cell) if header else "") or f"column {number}" for number, cell in enumerate(cells[0], 1)
    )
    place = readable(engine, path, found)
    return Layout(
        path,
        place,
        delimiter,
        header,
        names,
        found,
        quote,
        escape,
        certain,
        stated=stated,
        skipped=skipped,
        guessed=guessed,
        named=named,
    )


def _head(path: str | Path) -> bytes:
    with opened(path) as stream:
        return bytes(stream.read(HEAD_BYTES))


def _encoding(path: str | Path, head: bytes) -> tuple[str, bool]:
    """The encoding, and whether it is a guess: UTF-8, UTF-16 by its mark, else what the letters look like."""
    for mark, name in MARKS.items():
        if head.startswith(mark):
            return name, False
    if found := next((what for start, what in BINARY.items() if head.startswith(start)), None):
        raise DataError(f"{path}: {found}")
    if re.match(rb"\s*<(!doctype|html|\?xml)", head.removeprefix(codecs.BOM_UTF8)[:200], re.IGNORECASE):
        raise DataError(f"{path}: a page of HTML or XML, no table; fetch the file itself, or save the table as CSV")
    if head[257:262] == b"ustar":
        raise DataError(f"{path}: a tar archive; unpack it and name one of its files")
    if b"\0" in head:
        raise DataError(
            f"{path}: a binary file; expected text, Parquet (.parquet) or JSON lines (.jsonl); if it is UTF-16, "
            f"{setting('encoding', 'utf-16-le')}"
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as error:
        readable = codecs.getincrementaldecoder("utf-8")("replace").decode(head)
        broken = readable.count("\ufffd")
        if sum(ord(letter) > 127 for letter in readable) - broken > broken:
            row = head[: error.start].count(b"\n") + 1
            remedy = f"save the file as UTF-8, or {setting('encoding', 'cp1252')}"
            raise DataError(f"{path}: line {row:,}: text that is not UTF-8; {remedy}") from error
        from charset_normalizer import from_bytes

        best = from_bytes(head[: 1 << 16]).best()
        foreign = [] if best is None else [letter for letter in str(best)[:4096] if ord(letter) > 127]
        western = len(foreign) < FEW_LETTERS or 2 * sum(ord(letter) < 0x250 for letter in foreign) >= len(foreign)
        return "cp1252" if best is None or western else best.encoding, True
    return "utf-8", False


def _lines_above_header(cells: Sequence[Sequence[str]], known_names: Collection[str]) -> int:
    """How many of the first rows are no part of the table: titles, comments, `sep=;`."""
    for place, row in enumerate(cells[:MOST_ABOVE]):
        if len(row) > 1 and sum(plain_name(cell) in known_names for cell in row) > 1:
            return place
    width = Counter(map(len, cells)).most_common(1)[0][0]
    first = cells[0]
    if any(plain_name(cell) in known_names for cell in first):
        return 0
    few = [sum(bool(cell) for cell in row) == 1 for row in cells[:MOST_ABOVE]]
    return few.index(False) if width > 1 and few[0] and False in few else 0


def _physical_line(lines: Sequence[str], rows: int) -> int:
    """The line at which the row after `rows` rows begins, blank lines counted."""
    filled = [place for place, line in enumerate(lines) if line.strip()]
    return filled[rows]


def _cells(
    lines: Sequence[str], delimiter: str, quote: str, *, strict: bool = False, escape: str = '"'
) -> list[list[str]]:
    if len(delimiter) > 1 or not quote:
        return [line.split(delimiter) for line in lines]
    longest = csv.field_size_limit(max(csv.field_size_limit(), 2 * HEAD_BYTES))
    try:
        doubled = escape != "\\"
        rows = csv.reader(
            [f"{line}\n" for line in lines],
            delimiter=delimiter,
            quotechar=quote,
            strict=strict,
            doublequote=doubled,
            escapechar=None if doubled else escape,
        )
        return [[cell.strip() for cell in row] for row in rows]
    finally:
        csv.field_size_limit(longest)


def _delimiter(path: str | Path, lines: Sequence[str], known_names: Collection[str]) -> str:
    """The one that cuts a header with several known names, else most lines into the same number of fields."""
    headers = {by: max(_known_in_header(line, by, known_names) for line in lines[:MOST_ABOVE]) for by in DELIMITERS}
    if max(headers.values()) > 1:
        return max(headers, key=lambda by: headers[by])
    best, share = ",", 0.0
    tabs_first = Path(str(path)).suffix == ".tsv"
    for delimiter in sorted(DELIMITERS, key=lambda known: (known != "\t") if tabs_first else 0):
        widths = Counter(len(row) for row in _cells(lines, delimiter, '"'))
        width, count = widths.most_common(1)[0]
        if width > 1 and count / len(lines) > share + 1e-9:
            best, share = delimiter, count / len(lines)
    return best


def _known_in_header(line: str, delimiter: str, known_names: Collection[str]) -> int:
    """How many known names a line names as a header; a sentence has words among them, so half of its words must be."""
    cells = line.split(delimiter)
    known = _known(cells, known_names)
    return 0 if delimiter == " " and 2 * known < len(cells) else known


def _known(cells: Sequence[str], known_names: Collection[str]) -> int:
    """How many cells are known names, with nothing in them that may separate fields."""
    plain = [cell.strip().strip("\"'") for cell in cells]
    return sum(
        plain_name(cell) in known_names for cell in plain if not any(by in cell for by in DELIMITERS if by != " ")
    )


def _has_backslashes(lines: Sequence[str], delimiter: str) -> bool:
    """Whether quotes inside quoted fields stand behind a backslash, as databases write them, and are not doubled."""
    if len(delimiter) > 1 or not any('\\"' in line for line in lines):
        return False

    def fits(escape: str) -> bool:
        try:
            return len({len(row) for row in _cells(lines, delimiter, '"', strict=True, escape=escape)}) == 1
        except csv.Error:
            return False

    return not fits('"') and fits("\\")  # a field may end with a backslash: "C:\\"


def _quote(lines: Sequence[str], delimiter: str) -> tuple[str, bool]:
    """What encloses fields, and whether that is certain.

    Double quotes with commas and semicolons; with tabs and bars the head decides. Single ones where they enclose every
    name of the header.
    """
    if len(delimiter) > 1 or delimiter == " ":
        return "", True
    if all(len(field) > 1 and field[0] == field[-1] == "'" for field in lines[0].split(delimiter)):
        return "'", False
    if delimiter in ",;":
        return '"', True
    opening = [field for line in lines for field in line.split(delimiter) if field.startswith('"')]
    if not opening:
        return '"', False
    closed = all(len(field) > 1 and field.endswith('"') for field in opening)
    try:
        rows = _cells(lines, delimiter, '"', strict=True)
    except csv.Error:
        return "", True
    swallows = any(rows_inside(row, delimiter) for row in rows)
    return ('"', True) if not swallows and (closed or len({len(row) for row in rows}) == 1) else ("", True)


def rows_inside(cells: Sequence[str | None], delimiter: str) -> int:
    """Count the whole rows that a quoted field takes in.

    Args:
        cells: the fields of one row, as they were read.
        delimiter: what separates them.

    Returns:
        How many rows there are in it besides its own; 0 for a text of several lines.
    """
    plain = [cell or "" for cell in cells]
    lines = delimiter.join(cell if "\n" in cell else cell.replace(delimiter, "") for cell in plain).split("\n")
    rows = [line.split(delimiter) for line in lines if line.strip()]
    prose = any(cell.startswith(" ") for row in rows for cell in row[1:])  # a blank after each comma
    if len(rows) < 2 or prose or any(len(row) != len(plain) for row in rows):
        return 0
    shapes = {(bool(re.search(r"\d", row[0])), " " in row[0].strip(), bool(row[0].strip())) for row in rows}
    return len(rows) - 1 if len(shapes) == 1 else 0


def _has_header(cells: list[list[str]]) -> bool:
    """A first row with no number, over a column of numbers or without any cell seen again."""
    first, rest = cells[0], cells[1:]
    if any(_NUMBER.match(cell) for cell in first):
        return False
    columns = [[row[at] for row in rest if at < len(row)] for at in range(len(first))]
    if any(column and all(_NUMBER.match(cell) for cell in column) for column in columns):
        return True
    return bool(rest) and not any(cell in column for cell, column in zip(first, columns, strict=True))


def quoted(text: str) -> str:
    """Shorten a text for a message.

    Args:
        text: any text.

    Returns:
        Its first 80 letters between quotes.
    """
    line = text.strip()
    return repr(line if len(line) <= 80 else f"{line[:77]}...")
