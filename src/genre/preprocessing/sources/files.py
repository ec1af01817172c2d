"""Files -> Tables: CSV, TSV and other delimited text, Parquet, JSON lines. Knows nothing about cleaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc

from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources import delimited
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import (
    KNOWN_NAMES,
    N_SAMPLE,
    Chosen,
    Columns,
    choose,
    interactions_of,
    sides_of,
)
from genre.preprocessing.sources.values import to_fields
from genre.preprocessing.tables import Tables

COMPILED_FROM_BYTES = 64 << 20
"""From this size on a compiled loop is worth loading the compiler."""
PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson", ".json")
PACKED = (".gz", ".bz2", ".zst", ".lz4", ".br")


@dataclass(eq=False)
class Files(Source):
    """Files of interactions, items and users; the role of each column is found by its name and content.

    A file's ending tells its format: `.parquet` (also a folder of such), `.jsonl`, and delimited text otherwise; text
    may be packed (`.gz`, `.zst`).
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

    def load(self, *, log: Log = SILENT) -> Tables:
        """Read the tables.

        Args:
            log: Where progress is shown.

        Returns:
            Interactions, items and users.
        """
        main = Path(self.interactions)
        interactions, notes, chosen = self._interactions(main)
        if self.validation is not None or self.test is not None:
            interactions = self._with_parts(interactions, main)
        sides, said = sides_of(chosen, self.columns, users=read_side(self.users), items=read_side(self.items))
        return Tables(interactions, **sides, name=main.name.split(".")[0], notes=(*notes, *said))

    def _interactions(self, path: Path) -> tuple[pa.Table, list[str], list[Chosen]]:
        where, notes = str(path), []
        kind = _format(path)
        if kind == "parquet":
            sample = _parquet(path, N_SAMPLE)
            chosen = choose(sample, self.columns, where)
            table = _parquet(path, columns=[choice.column for choice in chosen])
        elif kind == "json":
            table = _json_lines(path)
            sample = table.slice(0, N_SAMPLE)
            chosen = choose(sample, self.columns, where)
        else:
            look = delimited.layout(path, KNOWN_NAMES, delimiter=self.delimiter, header=self.header)
            sample = delimited.sample(look)
            chosen = choose(sample, self.columns, where)
            table = _delimited(look, sample, chosen)
            notes.append(str(look))
        if table.num_rows == 0:
            raise DataError(f"{path}: no rows; expected rows of users and items")
        interactions, said = interactions_of(table, chosen, sample.column_names, where)
        return interactions, notes + said, chosen

    def _with_parts(self, train: pa.Table, main: Path) -> pa.Table:
        """The interactions of all files, each row with the part its file stands for."""
        tables = []
        for part, path in (("train", main), ("validation", self.validation), ("test", self.test)):
            if path is None:
                continue
            table = train if part == "train" else self._interactions(Path(path))[0]
            if set(table.column_names) != set(train.column_names):
                found, expected = ", ".join(table.column_names), ", ".join(train.column_names)
                raise DataError(f"{path}: holds {found}, but {main} holds {expected}; give both the same columns")
            table = table.drop_columns(["part"] if "part" in table.column_names else [])
            tables.append(table.append_column("part", pa.array([part]).take(pa.repeat(0, table.num_rows))))
        return pa.concat_tables(tables, promote_options="permissive")


def _format(path: Path) -> str:
    if path.is_dir():
        return "parquet"
    suffix = Path(path.stem).suffix if path.suffix in PACKED else path.suffix
    return "parquet" if suffix.lower() in PARQUET else "json" if suffix.lower() in JSON_LINES else "delimited"


def _delimited(look: delimited.Layout, sample: pa.Table, chosen: list[Chosen]) -> pa.Table:
    """Ids straight into dictionaries and numbers into their types; as text where a value is not what it seemed."""
    columns = [choice.column for choice in chosen]
    types: dict[str, pa.DataType] = dict.fromkeys(columns, pa.string())
    plain: dict[str, pa.DataType] = {}
    for choice in chosen:
        whole = _whole_numbers(sample[choice.column])
        if choice.role in ("user", "item"):
            types[choice.column] = pa.dictionary(pa.int32(), pa.string())
            plain[choice.column] = pa.int64() if whole else types[choice.column]
        elif choice.role in ("rating", "weight"):
            types[choice.column] = pa.float32()
        elif choice.role == "timestamp" and whole:
            types[choice.column] = pa.int64()
    if look.path.stat().st_size >= COMPILED_FROM_BYTES:
        table = delimited.read_plain(look, types | plain)
        if table is not None:
            return table
    try:
        return delimited.read(look, types, columns)
    except pa.ArrowInvalid:
        return delimited.read(look, dict.fromkeys(columns, pa.string()), columns)


def _whole_numbers(column: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, r"^(-?\d{1,18})?$")).as_py())


def read_side(path: str | Path | None) -> tuple[str | Path, pa.Table] | None:
    """Where a table of users or items is from, and itself; None where there is none."""
    return None if path is None else (path, read_fields(Path(path)))


def read_fields(path: Path) -> pa.Table:
    """A table of users or items with every column; of text, those that are numbers become numbers."""
    kind = _format(path)
    if kind != "delimited":
        return _parquet(path) if kind == "parquet" else _json_lines(path)
    look = delimited.layout(path, KNOWN_NAMES)
    table = delimited.read(look, dict.fromkeys(look.names, pa.string()))
    return pa.Table.from_arrays([to_fields(column) for column in table.columns], names=table.column_names)


def _parquet(path: Path, rows: int | None = None, columns: list[str] | None = None) -> pa.Table:
    import pyarrow.dataset as pa_dataset

    try:
        files = pa_dataset.dataset(path, format="parquet")
        return _valid(files.to_table(columns=columns) if rows is None else files.head(rows))
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"{path}: unreadable as Parquet ({error}); check that the file is there and whole") from error


def _json_lines(path: Path) -> pa.Table:
    import pyarrow.json as pa_json

    with delimited.opened(path) as stream:
        try:
            return _valid(pa_json.read_json(stream, pa_json.ReadOptions(block_size=delimited.BLOCK_BYTES)))
        except (UnicodeDecodeError, pa.ArrowException) as error:
            raise DataError(f"{path}: unreadable as JSON lines ({error}); expected one object a line") from error


def _valid(table: pa.Table) -> pa.Table:
    """The table, when its texts and the names of its columns are UTF-8; ArrowInvalid or UnicodeDecodeError else."""
    table.validate(full=True)
    return table.select(table.column_names)  # to look at the names decodes them
