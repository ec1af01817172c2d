"""Logs of what was shown, in the form of the MIND news sets -> Tables. Does not know about cleaning."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from typing_extensions import override

from genre.engines.duckdb import DuckDB
from genre.errors import DataError, OptionError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import Chosen, Columns
from genre.preprocessing.sources.delimited import read
from genre.preprocessing.sources.dialect import Layout
from genre.preprocessing.sources.files import read_side
from genre.preprocessing.sources.open_files import opened
from genre.preprocessing.sources.raw import Raw, build_tables
from genre.preprocessing.sources.times import times
from genre.preprocessing.sources.values import BLANKS, Reading
from genre.preprocessing.tables import ROW, Rejected, Tables

FORMS = {
    4: ("impression", "user", "history", "shown"),
    5: ("impression", "user", "time", "history", "shown"),
}
"""Number of fields of a line -> what they are."""
SHOWN_ITEMS = re.compile(r"\S+-[01](\s+\S+-[01])*")
NOTE = "impressions: clicks weigh 1, items shown and not clicked 0, those of histories 1"
BEFORE = "times of histories are unknown: their items come before all impressions, in their order"
LINES = "impressions have no times: the number of the line is the time"


@dataclass(eq=False)
class Impressions(Source):
    """One line an impression, fields between tabs: its id, the user, the time (optional), the history, the items shown.

    The history is the ids of items clicked before, oldest first; an item shown is its id with `-1` where it was clicked
    and `-0` where it was not. A click weighs 1, an item that was shown and not clicked 0 (seen, but not liked). All
    items of an impression are at one time; without times, that is the number of its line. Histories come before all.
    """

    path: Annotated[str | Path, Doc("The file, such as `behaviors.tsv`.")]
    items: Annotated[str | Path | None, Doc("Text and other fields of items, by id.")] = None
    users: Annotated[str | Path | None, Doc("Fields of users, by id.")] = None
    columns: Annotated[Columns, Doc("How times are written, as `{format: ...}`; the places of fields are known.")] = (
        field(default_factory=Columns)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.columns != Columns(format=self.columns.format):
            raise OptionError("columns: impressions have their fields in known places; only `format` can be named")

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        lines, timed, rejected = _lines(engine, self.path)
        when = times(engine, lines, "time", where=str(self.path), written=self.columns.format) if timed else None
        roles = ("user", "item", "weight", "timestamp")
        names = {"user": "user_id", "item": "item_id"}
        chosen = [Chosen(role, names.get(role, role), "") for role in roles]
        raw = Raw(
            _interactions(engine, lines, str(self.path), when),
            chosen,
            str(self.path),
            note=f"times of impressions: read as {when.how}" if when is not None else "",
            guessed=when is not None and when.guess,
            rejected=rejected,
        )
        return build_tables(
            engine,
            [raw],
            Columns(),
            name=Path(self.path).stem,
            users=read_side(engine, self.users),
            items=read_side(engine, self.items),
            notes=[NOTE, BEFORE] if timed else [NOTE, BEFORE, LINES],
        )


def looks_like_impressions(path: Path) -> bool:
    """Tell whether the first line of a file, or the one below its header, is an impression.

    Args:
        path: The file.

    Returns:
        True for fields between tabs of which the last is `n3-0 n4-1` or the like.
    """
    if not path.is_file():
        return False
    with opened(path) as stream:
        lines = stream.read(1 << 16).decode(errors="replace").splitlines()[:2]
    return any(map(_is_impression, lines))


def _is_impression(line: str) -> bool:
    fields = line.split("\t")
    return len(fields) in FORMS and SHOWN_ITEMS.fullmatch(fields[-1].strip()) is not None


def _lines(engine: DuckDB, path: str | Path) -> tuple[str, bool, tuple[Rejected, ...]]:
    """The table of lines, whether they have times, and the lines that could not be read."""
    with opened(path) as stream:
        head = stream.read(1 << 20).decode(errors="replace").splitlines()
    width = len(head[0].split("\t")) if head else 0
    if width not in FORMS:
        raise DataError(
            f"{path}: row 1 has {width} fields between tabs; expected impression, user, time (optional), history, "
            "shown items"
        )
    headed = len(head) > 1 and not _is_impression(head[0]) and _is_impression(head[1])
    look = Layout(path, str(path), "\t", header=headed, names=FORMS[width], quote="")
    table, _, rejected = read(engine, look, look.names)
    return table, width == 5, tuple(rejected)


def _interactions(engine: DuckDB, lines: str, where: str, reading: Reading | None) -> str:
    """The table of users, items, weights and times: histories, each item once, then impressions."""
    when = ROW
    if reading is not None:
        when = f"CAST({reading.value} AS BIGINT)"
        wrong = engine.one(f"SELECT min({ROW}) FROM {lines} WHERE {reading.wrong} OR {reading.value} IS NULL")[0]
        if wrong is not None:
            raise DataError(f"{where}: row {wrong:,} has no time that can be read; correct it or take the row out")
    lines = engine.keep(f'SELECT trim("user") AS user_id, {when} AS time, history, shown, {ROW} AS row FROM {lines}')
    marks = engine.keep(
        f"SELECT user_id, time, row, unnest({_words('shown')}) AS mark, "
        f"generate_subscripts({_words('shown')}, 1) AS place FROM {lines}"
    )
    odd = engine.one(f"SELECT arg_min(mark, row), min(row) FROM {marks} WHERE NOT regexp_matches(mark, '.-[01]$')")
    if odd[0] is not None:
        raise DataError(f"{where}: row {odd[1]:,} shows {odd[0]!r}; expected ids with -1 (clicked) or -0 (not)")
    shown = (
        "SELECT user_id, left(mark, length(mark) - 2) AS item_id, CAST(right(mark, 1) AS DOUBLE) AS weight, "
        f"time AS timestamp, 1 AS part, row AS line, place FROM {marks}"
    )
    before = (
        f"SELECT user_id, unnest({_words('history')}) AS item_id, row, "
        f"generate_subscripts({_words('history')}, 1) AS place FROM {lines}"
    )
    once = f"SELECT user_id, item_id, min(row) AS line, arg_min(place, row) AS place FROM ({before}) GROUP BY ALL"
    first = f"SELECT min(time) AS time FROM {lines}"
    later = "row_number() OVER (PARTITION BY user_id ORDER BY line DESC, place DESC)"
    past = (
        f"SELECT user_id, item_id, 1.0::DOUBLE AS weight, time - {later} AS timestamp, 0 AS part, line, place "
        f"FROM ({once}) CROSS JOIN ({first})"
    )
    order = "part, line, weight, place"  # of one impression the clicks come last
    return engine.keep(
        f"SELECT user_id, item_id, weight, timestamp, row_number() OVER (ORDER BY {order}) AS {ROW} "
        f"FROM ({past} UNION ALL BY NAME {shown})"
    )


def _words(column: str) -> str:
    """The ids of a cell as a list."""
    cell = f"trim({column}, {BLANKS})"
    return f"CASE WHEN {cell} <> '' THEN regexp_split_to_array({cell}, '\\s+') END"
