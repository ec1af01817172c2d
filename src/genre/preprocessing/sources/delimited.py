"""Delimited text files of any dialect -> Arrow: what a file looks like, a sample of it, all of it. Knows no roles.

Read by Arrow, which is fast and strict: a row with too few or too many fields is an error naming the row.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from genre.errors import DataError
from genre.options import nearest
from genre.preprocessing.tables import plain_name, untyped_name

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", "::": "double colon", " ": "space"}
HEAD_BYTES = 1 << 20
BLOCK_BYTES = 1 << 24
_NUMBER = re.compile(r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$")


@dataclass(frozen=True)
class Layout:
    """How a delimited file is written. names: its columns, `column 1` ... where the header is silent."""

    path: Path
    delimiter: str
    header: bool
    names: tuple[str, ...]
    encoding: str
    quoted: bool

    def __str__(self) -> str:
        header = "with" if self.header else "without"
        by = DELIMITERS.get(self.delimiter, self.delimiter)
        encoding = "" if self.encoding == "utf8" else f", {self.encoding}"
        return f"{self.path.name}: separated by {by}, {header} a header{encoding}"


def layout(
    path: Path, known_names: Collection[str], *, delimiter: str | None = None, header: bool | None = None
) -> Layout:
    """Look at the head of a file. known_names: names of columns (lower case, letters only) that betray a header."""
    text, encoding = _decoded(path, _head(path))
    lines = [line for line in text.splitlines() if line.strip()][:100]
    if not lines:
        raise DataError(f"{path}: empty file; expected rows of users and items")
    delimiter = delimiter or _delimiter(path, lines)
    try:
        cells = _cells(lines, delimiter)
    except csv.Error as error:
        raise DataError(f"{path}: no rows of fields ({error}); look for a quote that is not closed") from error
    if len(cells[0]) < 2:
        raise DataError(
            f"{path}: only one column, {cells[0][0]!r}; if its columns are separated by something else, say so with "
            "delimiter"
        )
    if header is None:
        header = _has_header(cells, known_names)
    names = [(untyped_name(cell) if header else "") or f"column {number}" for number, cell in enumerate(cells[0], 1)]
    quoted = delimiter in ",;" or any(line.startswith('"') for line in lines)
    return Layout(path, delimiter, header, tuple(names), encoding, quoted)


def sample(look: Layout) -> pa.Table:
    """The first rows, every column as text."""
    head = _head(look.path)
    complete = head[: head.rfind(b"\n") + 1] if len(head) == HEAD_BYTES else head
    types = dict.fromkeys(look.names, pa.string())
    try:
        return _read(look, complete, types, None)
    except pa.ArrowInvalid as error:
        raise DataError(_explain(look, types, None, str(error))) from error


def read(look: Layout, types: dict[str, pa.DataType] | None = None, columns: list[str] | None = None) -> pa.Table:
    """All rows of some columns, of the types given or found; DataError naming file and row otherwise.

    Raises ArrowInvalid when only a value does not fit the type asked for.
    """
    try:
        return _read(look, None, types or {}, columns)
    except pa.ArrowInvalid as error:
        if "conversion error" in str(error) and "UTF8" not in str(error):
            raise
        raise DataError(_explain(look, types or {}, columns, str(error))) from error


def read_plain(look: Layout, types: dict[str, pa.DataType]) -> pa.Table | None:
    """What `read` gives of the columns that have a type, much faster; None when some row is out of the ordinary.

    Whole numbers are int32 where that is enough.
    """
    if len(look.delimiter) > 1 or look.encoding != "utf8":
        return None
    from genre.preprocessing import csv_kernel as kernel

    kinds = [kernel.kind_of(types.get(name)) for name in look.names]
    try:
        with opened(look.path) as stream:
            n_bytes = look.path.stat().st_size
            columns = kernel.read_plain(stream, n_bytes, look.delimiter, kinds, header=look.header, quoted=look.quoted)
        if columns is None:
            return None
        found = dict(zip([name for name in look.names if name in types], columns, strict=True))
        return pa.table(
            {name: found[name].cast(kind) if pa.types.is_string(kind) else found[name] for name, kind in types.items()}
        )
    except pa.ArrowInvalid:  # `read` knows what to do or say
        return None


def _read(
    look: Layout,
    content: bytes | None,
    types: dict[str, pa.DataType],
    columns: list[str] | None,
    *,
    threads: bool = True,
) -> pa.Table:
    delimiter = look.delimiter
    with opened(look.path) as stream:
        source = stream if content is None else pa.BufferReader(content)
        if len(delimiter) > 1:
            source, delimiter = pa.BufferReader(source.read().replace(delimiter.encode(), b"\x1f")), "\x1f"
        return pa_csv.read_csv(
            source,
            pa_csv.ReadOptions(
                column_names=list(look.names),
                skip_rows=int(look.header),
                encoding=look.encoding,
                block_size=BLOCK_BYTES,
                use_threads=threads and pa.cpu_count() > 1,  # one thread need not look for the ends of blocks first
            ),
            pa_csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if look.quoted else False, newlines_in_values=look.quoted
            ),
            pa_csv.ConvertOptions(column_types=types, include_columns=columns),
        )


def _explain(look: Layout, types: dict[str, pa.DataType], columns: list[str] | None, said: str) -> str:
    """Arrow names the row only when it reads in order; so read once more."""
    try:
        _read(look, None, types, columns, threads=False)
    except pa.ArrowInvalid as error:
        said = str(error)
    row = re.search(r"Row #(\d+)", said)
    where = f"{look.path}: row {int(row[1]) - look.header:,}" if row else str(look.path)
    if "UTF8" in said:
        return f"{where}: text that is not UTF-8; save the file as UTF-8"
    if fields := re.search(r"Expected (\d+) columns, got (\d+)", said):
        names = ", ".join(look.names[:8]) + (", ..." if len(look.names) > 8 else "")
        remedy = "correct or quote the row" if look.header else "correct the row (kind sequences reads a line a user)"
        return f"{where}: {fields[2]} fields, expected {fields[1]} ({names}); {remedy}"
    return f"{where}: not readable as text {look.delimiter!r} separates ({said.splitlines()[0]})"


@contextmanager
def opened(path: Path) -> Iterator[pa.NativeFile]:
    """A file, unpacked on the fly where its ending says it is packed; DataError when it cannot be read to its end."""
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            yield stream
    except FileNotFoundError as error:
        near = nearest(path.name, [file.name for file in path.parent.glob("*")]) if path.parent.is_dir() else ""
        raise DataError(f"{path}: no such file{near}; check the path") from error
    except OSError as error:
        raise DataError(f"{path}: unreadable file ({error}); check its permissions and that it is whole") from error


def _head(path: Path) -> bytes:
    with opened(path) as stream:
        return bytes(stream.read(HEAD_BYTES))


def _decoded(path: Path, head: bytes) -> tuple[str, str]:
    """The head as text and the encoding: UTF-8, UTF-16 by its mark, else Latin-1."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace"), "utf-16"
    if b"\0" in head:
        raise DataError(f"{path}: a binary file; expected text, Parquet (.parquet) or JSON lines (.jsonl)")
    text = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        return text.decode(head), "utf8"
    except UnicodeDecodeError:
        return head.decode("latin-1"), "latin-1"


def _cells(lines: list[str], delimiter: str) -> list[list[str]]:
    if len(delimiter) > 1:
        return [line.split(delimiter) for line in lines]
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]


def _delimiter(path: Path, lines: list[str]) -> str:
    """The one that cuts most lines into the same number of fields, more than one."""
    best, share = ",", 0.0
    for delimiter in sorted(DELIMITERS, key=lambda known: (known != "\t") if path.suffix == ".tsv" else 0):
        try:
            widths = Counter(len(row) for row in _cells(lines, delimiter))
        except csv.Error:
            continue
        width, count = widths.most_common(1)[0]
        if width > 1 and count / len(lines) > share + 1e-9:
            best, share = delimiter, count / len(lines)
    return best


def _has_header(cells: list[list[str]], known_names: Collection[str]) -> bool:
    """A first row with a known name; or with no number, over a column of numbers or without any cell seen again."""
    first, rest = cells[0], cells[1:]
    if any(plain_name(cell) in known_names for cell in first):
        return True
    if any(_NUMBER.match(cell) for cell in first):
        return False
    columns = [[row[at] for row in rest if at < len(row)] for at in range(len(first))]
    if any(column and all(_NUMBER.match(cell) for cell in column) for column in columns):
        return True
    return bool(rest) and not any(cell in column for cell, column in zip(first, columns, strict=True))
