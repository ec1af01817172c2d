"""Files -> Tables: CSV, TSV and other delimited text, workbooks, Parquet, JSON lines. Does not know about cleaning."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from typing_extensions import override

from genre.engines.duckdb import DuckDB, identifier, literal, one_file
from genre.errors import DataError, OptionError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source, partitions, several_files
from genre.preprocessing.sources.columns import (
    N_SAMPLE,
    Columns,
    check_distinct,
    known_column_names,
    named_alike,
    types_of,
)
from genre.preprocessing.sources.delimited import read
from genre.preprocessing.sources.dialect import layout
from genre.preprocessing.sources.entities import Side
from genre.preprocessing.sources.one_table import choose_columns
from genre.preprocessing.sources.open_files import PACKED, is_address, local_copy, opened
from genre.preprocessing.sources.raw import Raw, build_tables
from genre.preprocessing.sources.values import to_fields
from genre.preprocessing.tables import ROW, Tables

PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson", ".json")
FILE = "file_of_row"
"""The column that tells from which of several files a row is; no column of a file may have this name."""
AS_JSON = (
    "write them as JSON: python -c 'import ast, json, sys; [print(json.dumps(ast.literal_eval(line))) for line in "
    "sys.stdin]' < FILE > FILE.jsonl"
)
TABLES = ("interactions", "items", "users", "validation", "test")


@dataclass(eq=False)
class Files(Source):
    """Files of interactions, items and users; what each column is is found out and said.

    A file's ending tells its format: `.parquet`, `.jsonl`, and delimited text otherwise; text may be packed (`.gz`,
    `.zst`, `.bz2`, `.xz`, or the only file of a `.zip`). A folder or a pattern such as `clicks-*.csv` is all the files
    in it, with Hive partitions as columns. An address such as `s3://bucket/clicks.parquet` is read through fsspec.
    """

    interactions: Annotated[str | Path, Doc("Who did what with what; with `test`, the train part.")]
    items: Annotated[str | Path | None, Doc("Text and other fields of items, by id.")] = None
    users: Annotated[str | Path | None, Doc("Fields of users, by id.")] = None
    validation: Annotated[str | Path | None, Doc("Validation part of data with a split of its own.")] = None
    test: Annotated[str | Path | None, Doc("Test part of data with a split of its own (split kind `given`).")] = None
    columns: Annotated[Columns, Doc("Which column is which, where names and content do not tell.")] = field(
        default_factory=Columns
    )
    delimiter: Annotated[str | None, Doc("What separates fields, where the head of the file does not tell.")] = None
    header: Annotated[bool | None, Doc("Whether the first row names the columns; None: found out.")] = None
    sheets: Annotated[
        dict[str, str] | None,
        Doc("Sheets of workbooks: `{interactions: Orders, items: Products}`; None: the only sheet with rows."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for table in self.sheets or ():
            if table not in TABLES:
                raise OptionError(f"sheets: unknown table {table!r}; expected {', '.join(TABLES)}")

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        split = self.validation is not None or self.test is not None
        sheets = self.sheets or {}
        raws: list[Raw] = []
        columns = self._preferred(engine)
        for part, path in (("train", self.interactions), ("validation", self.validation), ("test", self.test)):
            if path is None:
                continue
            sheet = sheets.get("interactions" if part == "train" else part)
            found = self._raws(engine, path, columns, part if split else None, sheet)
            roles, first = ({c.role for c in some[0].chosen} - {"part"} for some in (found, raws or found))
            if roles != first:
                held, expected = ", ".join(sorted(roles)), ", ".join(sorted(first))
                raise DataError(
                    f"{path}: holds {held}, but {self.interactions} holds {expected}; give both the same columns"
                )
            raws += found

        def side(table: Literal["users", "items"], path: str | Path | None) -> Side | None:
            ids, sheet = lambda: _some_ids(engine, raws, table.removesuffix("s")), sheets.get(table)
            return read_side(engine, path, self.columns, ids=ids, sheet=sheet)

        return build_tables(
            engine,
            raws,
            self.columns,
            name=Path(str(self.interactions)).name.split(".")[0],
            users=side("users", self.users),
            items=side("items", self.items),
        )

    def _preferred(self, engine: DuckDB) -> Columns:
        """The columns as the user says, and those that items go by in their own table."""
        if self.items is None:
            return self.columns
        try:
            return named_alike(self.columns, column_names(engine, self.items))
        except DataError:  # which is said when that table is read, with all that the user says of it
            return self.columns

    def _raws(
        self, engine: DuckDB, path: str | Path, columns: Columns, part: str | None, sheet: str | None
    ) -> list[Raw]:
        """The raw tables of a file, a folder or a pattern."""
        kind, files = expand(path)
        if kind == "text":
            return [self._text(engine, file, path, columns, part, sheet) for file in files]
        sample = _scan(engine, kind, files, path, N_SAMPLE)
        chosen, fields, unused = found = choose_columns(engine, sample, columns, str(path))
        table = _scan(engine, kind, files, path, None, found.wanted)
        _check_rows(engine, table, path)
        return [Raw(table, chosen, str(path), part, unused, fields=fields, written=kind == "json")]

    def _text(
        self,
        engine: DuckDB,
        file: str | Path,
        path: str | Path,
        columns: Columns,
        part: str | None,
        sheet: str | None,
    ) -> Raw:
        look = layout(
            engine,
            file,
            known_column_names(),
            delimiter=self.delimiter,
            header=self.header,
            encoding=self.columns.encoding,
            quote=self.columns.quote,
            sheet=sheet,
        )
        check_distinct([*look.names, ROW], str(file))
        given = _partitions(path, file, look.names)
        sample, look, _ = read(engine, look, look.names, rows=N_SAMPLE)
        sample = _with_values(engine, sample, given)
        chosen, fields, unused = found = choose_columns(engine, sample, columns, str(file))
        table, look, bad = read(engine, look, [name for name in found.wanted if name not in given])
        if not bad:
            _check_rows(engine, table, file)
        return Raw(
            _with_values(engine, table, given),
            chosen,
            str(file),
            part,
            unused,
            european=look.delimiter == ";",
            note=str(look),
            guessed=look.guessed,
            rejected=tuple(bad),
            fields=fields,
            written=True,
        )


def column_names(engine: DuckDB, path: str | Path) -> list[str]:
    """List the columns of a file, or of the first of several.

    Args:
        engine: reads it.
        path: a file, folder, pattern or address.

    Returns:
        Their names, as they are written.
    """
    kind, files = expand(path)
    if kind == "text":
        names = layout(engine, files[0], known_column_names()).names
        return [*names, *_partitions(path, files[0], names)]
    return [*types_of(engine, _scan(engine, kind, files[:1], path, 1))]


def expand(path: str | Path) -> tuple[str, list[str | Path]]:
    """List the files behind a path and tell their format.

    Args:
        path: a file, a folder, a pattern with `*`, or an address.

    Returns:
        `parquet`, `json` or `text`, and the files in the order of their names.

    Raises:
        DataError: the folder or pattern holds no files, or files of several formats.
    """
    place = Path(str(path))
    several = None if is_address(path) else several_files(place)
    if several is None:
        return _format(place), [path]
    kinds = {_format(file) for file in several}
    if not several:
        raise DataError(f"{path}: no files in it; expected CSV, Parquet or JSON lines")
    if len(kinds) > 1:
        raise DataError(
            f"{path}: files of several formats ({', '.join(sorted(kinds))}); name those that belong together"
        )
    return kinds.pop(), list(several)


def _format(path: Path) -> str:
    suffix = Path(path.stem).suffix if path.suffix.lower() in PACKED else path.suffix
    return "parquet" if suffix.lower() in PARQUET else "json" if suffix.lower() in JSON_LINES else "text"


def _scan(
    engine: DuckDB,
    kind: str,
    files: Sequence[str | Path],
    path: str | Path,
    rows: int | None,
    columns: Sequence[str] | None = None,
) -> str:
    """Read Parquet or JSON lines into a table of DuckDB with the number of each row."""
    import duckdb

    places = [_place(engine, file) for file in files]
    listed = f"[{', '.join(map(one_file, places))}]"
    limit = "" if rows is None else f" LIMIT {rows}"
    try:
        options = f"union_by_name=true, hive_partitioning=false, filename={literal(FILE)}"
        if kind == "parquet":
            reader = f"read_parquet({listed}, {options})"
        else:
            form = "array" if _is_array(files[0]) else "newline_delimited"
            kinds = _json_columns(engine, f"{listed}, format='{form}', {options}")
            reader = f"read_json({listed}, columns={kinds}, format='{form}', {options})"
        described = engine.connection.execute(f"DESCRIBE SELECT * EXCLUDE ({FILE}) FROM {reader}").fetchall()
        names = [name for name, *_ in described]
        check_distinct([*names, ROW, FILE], str(path))
        given = [_partitions(path, file, names) for file in files]
        found = [*dict.fromkeys(name for one in given for name in one)]
        wanted = ", ".join(map(identifier, [*names, *found] if columns is None else columns))
        rows_read = f"SELECT *, row_number() OVER () AS {ROW} FROM {reader}{limit}"
        if found:
            values = {
                name: _numbers_where_all(pa.array([one.get(name) for one in given], pa.string())) for name in found
            }
            rows_read = (
                f"SELECT * FROM ({rows_read}) JOIN {engine.register(pa.table({FILE: places} | values))} USING ({FILE})"
            )
        return engine.keep(f"SELECT {wanted}, {ROW} FROM ({rows_read})")
    except duckdb.OutOfMemoryException:
        raise  # no fault of the file
    except (duckdb.Error, UnicodeDecodeError, OSError) as error:
        raise _unreadable(path, kind, str(error), files) from error


def _partitions(path: str | Path, file: str | Path, names: Collection[str]) -> dict[str, str | None]:
    """The columns that the folders of a file give, besides those that the file has itself."""
    if is_address(path):
        return {}
    own = {name.lower() for name in names}
    return {name: value for name, value in partitions(Path(path), Path(file)).items() if name.lower() not in own}


def _with_values(engine: DuckDB, table: str, values: dict[str, str | None]) -> str:
    """A table with columns of one value each."""
    if not values:
        return table
    columns = (
        f"CAST({'NULL' if x is None else literal(x)} AS VARCHAR) AS {identifier(name)}" for name, x in values.items()
    )
    return engine.view(f"SELECT *, {', '.join(columns)} FROM {table}")


def _numbers_where_all(values: pa.Array) -> pa.Array:
    """Text as whole numbers where all of it is."""
    numbers = to_fields(pa.chunked_array([values]))
    return numbers.combine_chunks() if pa.types.is_integer(numbers.type) else values


def _is_array(file: str | Path) -> bool:
    """Whether a file of JSON is one array of objects, not an object a line."""
    with opened(file) as stream:
        return bytes(stream.read(4096)).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _json_columns(engine: DuckDB, arguments: str) -> str:
    """Every column of JSON lines with its type: lists and objects as they are, all else as text, as it is written.

    A column is JSON where lists or objects stand among other values.
    """
    rows = engine.connection.execute(
        f"DESCRIBE SELECT * EXCLUDE ({FILE}) FROM read_json({arguments}, records=true, sample_size=-1)"
    ).fetchall()
    kinds = {
        name: kind if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "JSON")) else "VARCHAR"
        for name, kind, *_ in rows
    }
    for name in (name for name, kind in kinds.items() if kind == "JSON"):
        column = f"columns={{{literal(name)}: 'JSON'}}"
        nested = f"json_type({identifier(name)}) IN ('ARRAY', 'OBJECT')"
        if not engine.one(f"SELECT 1 FROM read_json({arguments}, {column}) WHERE {nested} LIMIT 1"):
            kinds[name] = "VARCHAR"  # no value at all
    return "{" + ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in kinds.items()) + "}"


def _place(engine: DuckDB, file: str | Path) -> str:
    """A place from which DuckDB reads a file of Parquet or JSON lines."""
    if is_address(file) or Path(str(file)).suffix.lower() in PACKED:
        return local_copy(engine, file)
    with opened(file):  # which says so where it is not there
        return str(file)


def _unreadable(path: str | Path, kind: str, message: str, files: Sequence[str | Path]) -> DataError:
    """The error of a file that DuckDB cannot read, in our words where its reason is known."""
    if kind == "json" and "UTF-16" not in message:
        path, place = _first_broken(files) or (path, "")
    else:
        place = ""
    if cast := re.search(r'file "([^"]+)": failed to cast column "([^"]+)" from type (\S+) to (\S+?):', message):
        return DataError(
            f"{cast[1]}: column {cast[2]!r} holds {cast[3]}, in another file {cast[4]}; give it one type in all files"
        )
    reasons = {
        "duplicate key": f"unreadable as JSON lines: an object has a key twice{place}; give each key once",
        "UTF-16": "unreadable as JSON lines: it is UTF-16; save it as UTF-8",
        "Malformed JSON": f"unreadable as JSON lines: no whole object{place}; expected one object a line, or an array",
        "non-record": f"unreadable as JSON lines: no whole object{place}; expected one object a line, or an array",
        "No magic bytes": "unreadable as Parquet: it does not end as Parquet does; check that it is whole and no text",
        "too small": "unreadable as Parquet: it is too small; check that the file is whole",
    }
    known = next((reason for sign, reason in reasons.items() if sign in message), None)
    if kind == "json" and _holds_python(files[0]):
        known = f"unreadable as JSON lines: dictionaries of Python, with single quotes; {AS_JSON}"
    form = "Parquet" if kind == "parquet" else "JSON lines"
    first = re.sub(r"^[A-Z][A-Za-z ]+ Error: ", "", message.strip().splitlines()[0])
    remedy = "check that the file is there and whole" if kind == "parquet" else "expected one object a line"
    return DataError(f"{path}: {known or f'unreadable as {form} ({first}); {remedy}'}")


def _holds_python(file: str | Path) -> bool:
    with opened(file) as stream:
        return bool(re.match(rb"\s*\{u?'", stream.read(100)))


def _first_broken(files: Sequence[str | Path]) -> tuple[str | Path, str] | None:
    """The first file with a line of JSON that cannot be read, and the line; DuckDB counts no blank lines."""
    for file in files:
        if _is_array(file):
            continue
        with opened(file) as stream:
            for number, line in enumerate(stream, 1):
                try:
                    whole = isinstance(json.loads(line.strip() or b"{}", object_pairs_hook=_each_key_once), dict)
                except ValueError:
                    whole = False
                if not whole:
                    return file, f" (line {number:,})"
    return None


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(made := dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return made


def _check_rows(engine: DuckDB, table: str, path: str | Path) -> None:
    if engine.one(f"SELECT count(*) FROM {table}") == (0,):
        raise DataError(f"{path}: no rows; expected rows of users and items")


def _some_ids(engine: DuckDB, raws: Sequence[Raw], role: str) -> set[str]:
    """The ids of the first interactions, as they are written."""
    found: set[str] = set()
    for raw in raws:
        column = identifier(raw.column(role))
        query = f"SELECT DISTINCT CAST({column} AS VARCHAR) FROM (SELECT {column} FROM {raw.table} LIMIT 100000)"
        found |= {value for (value,) in engine.connection.execute(query).fetchall() if value is not None}
    return found


def read_side(
    engine: DuckDB,
    path: str | Path | None,
    columns: Columns | None = None,
    *,
    ids: Callable[[], Collection[str]] = set,
    sheet: str | None = None,
) -> Side | None:
    """Read a table of users or items with all its columns.

    Args:
        engine: reads it.
        path: a file, folder, pattern or address; None: there is none.
        columns: how text is written, where the file does not show it.
        ids: gives ids of the interactions: a first row that holds one of them is no header, unless it has a known name.
        sheet: the sheet of a workbook; None: the only one with rows.

    Returns:
        The table, or None.

    Raises:
        DataError: it cannot be read, or some row of it cannot.
    """
    if path is None:
        return None
    columns = columns or Columns()
    kind, files = expand(path)
    if kind != "text":
        table = _scan(engine, kind, files, path, None)
        mixed = (identifier(name) for name, type_ in types_of(engine, table).items() if type_ == "JSON")
        texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in mixed)
        columns_read = f"* EXCLUDE ({ROW}){f' REPLACE ({texts})' if texts else ''}"
        return Side(str(path), engine.arrow(f"SELECT {columns_read} FROM {table} ORDER BY {ROW}"), kind == "json")
    tables, notes = [], []
    for file in files:
        find_layout = partial(
            layout, engine, file, known_column_names(), encoding=columns.encoding, quote=columns.quote, sheet=sheet
        )
        look = find_layout()
        if look.header and not look.named and set(look.names) & set(ids()):
            look = find_layout(header=False)
        check_distinct([*look.names, ROW], str(file))
        table, look, rejected = read(engine, look, look.names)
        if rejected:
            first = rejected[0]
            raise DataError(f"{file}: row {first.row:,}: {first.reason}; correct or quote the row")
        tables.append(_with_values(engine, table, _partitions(path, file, look.names)))
        notes += [str(look)] if look.guessed else []
    query = " UNION ALL BY NAME ".join(f"SELECT * FROM {table}" for table in tables)
    return Side(str(path), engine.arrow(f"SELECT * EXCLUDE ({ROW}) FROM ({query})"), written=True, notes=tuple(notes))
