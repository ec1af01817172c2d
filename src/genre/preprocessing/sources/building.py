"""The raw tables of any source -> Tables: ids to text, numbers and times to numbers, once over all files.

Does not know where a table is from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genre.engines.duckdb import DuckDB, identifier, literal
from genre.errors import DataError
from genre.preprocessing.sources.columns import Chosen, Columns, types_of
from genre.preprocessing.sources.entities import Entity, Side, entity_of, entity_tables
from genre.preprocessing.sources.times import times
from genre.preprocessing.sources.values import Reading, are_whole, id_text, kind_of, numbers, without_point
from genre.preprocessing.tables import ROWS_A_FILE, Rejected, Tables

LIKE_MISSING = ("NULL", "null", "NaN", "nan", "None", "none", "N/A", "#N/A")


@dataclass(frozen=True)
class Raw:
    """Interactions as a source has them.

    Attributes:
        table: a table of DuckDB with the chosen columns and `row`, the place of each row in the source, from 1.
        chosen: the column of each role.
        where: what errors call the source.
        part: train, validation or test, where all rows are of one part.
        unused: columns that have no role.
    """

    table: str
    chosen: Sequence[Chosen]
    where: str
    part: str | None = None
    unused: Sequence[str] = ()


def build_tables(
    engine: DuckDB,
    raws: Sequence[Raw],
    wanted: Columns,
    *,
    name: str,
    users: Side | None = None,
    items: Side | None = None,
    notes: Sequence[str] = (),
    rejected: Sequence[Rejected] = (),
    ordered: bool = False,
) -> Tables:
    """Turn the raw tables of a source into Tables: ids to text, numbers and times to numbers.

    Whether ids such as `196.0` are whole numbers is decided once over all tables, times once per raw table.

    Args:
        engine: holds the tables.
        raws: the interactions, one table a file.
        wanted: what the user says of the columns.
        name: what the data is called.
        users: what is known of users.
        items: what is known of items.
        notes: lines that come first.
        rejected: rows that could not be read as rows.
        ordered: whether the place of a row in the source is its time.

    Returns:
        The tables.

    Raises:
        DataError: a column holds what its role cannot be, or the files do not fit together.
    """
    entities = {
        "user": None if users is None else entity_of(users, "user", raws[0].chosen),
        "item": None if items is None else entity_of(items, "item", raws[0].chosen),
    }
    ids = {label: _ids(engine, raws, label, entities[label]) for label in entities}
    readings = _readings(engine, raws, wanted)
    queries = [_query(raw, number, found, ids) for number, (raw, found) in enumerate(zip(raws, readings, strict=True))]
    times_read = [found["timestamp"] for found in readings if "timestamp" in found]
    calendars = {reading.calendar for reading in times_read if reading.how != "empty"}
    if len(calendars) > 1:
        raise DataError(f"{name}: some files give dates, others plain numbers as times; give them one form")
    lines, guesses = _describe(raws, readings)
    odd = [*_odd_ids(engine, raws), *(note for side in (users, items) if side is not None for note in side.notes)]
    made, said = entity_tables(engine, entities, ids, wanted, items=items, users=users, name=name)
    return Tables(
        engine.frame(engine.view(" UNION ALL BY NAME ".join(queries))),
        **made,
        name=name,
        notes=(*notes, *lines, *odd, *said),
        guesses=(*(note for note in notes if "a guess" in note), *guesses, *odd),
        rejected=tuple(rejected),
        calendar=calendars == {True},
        ordered=ordered,
        files=tuple(raw.where for raw in raws),
    )


def _odd_ids(engine: DuckDB, raws: Sequence[Raw]) -> Iterator[str]:
    """A line on ids that look like a missing value."""
    listed = ", ".join(map(literal, LIKE_MISSING))
    for raw in raws:
        for choice in raw.chosen:
            name = identifier(choice.column)
            if choice.role not in ("user", "item") or kind_of(types_of(engine, raw.table)[choice.column]) != "text":
                continue
            query = f"SELECT {name}, count(*) FROM {raw.table} WHERE {name} IN ({listed}) GROUP BY 1 ORDER BY 1"
            for value, count in engine.connection.execute(query).fetchall():
                yield f"{choice.role}: {count:,} rows say {value!r}, read as an id (a guess: drop them if it is none)"


def _describe(raws: Sequence[Raw], readings: Sequence[dict[str, Reading]]) -> tuple[list[str], list[str]]:
    """A line on each column, said once, and those of them that are guesses."""
    lines: dict[str, bool] = {}
    for raw, found in zip(raws, readings, strict=True):
        for choice in raw.chosen:
            reading = found.get(choice.role)
            if choice.why:
                how = f", read as {reading.how}" if reading and reading.how else ""
                lines.setdefault(f"{choice}{how}", bool(reading and reading.guess))
        if raw.unused:
            lines.setdefault(f"not used: {', '.join(raw.unused)}", False)
    return [*lines], [line for line, guess in lines.items() if guess]


def _readings(engine: DuckDB, raws: Sequence[Raw], wanted: Columns) -> list[dict[str, Reading]]:
    """How each raw table's numbers and times are read."""
    found = []
    for raw in raws:
        readings = {}
        for choice in raw.chosen:
            if choice.role in ("rating", "weight"):
                readings[choice.role] = numbers(
                    engine, raw.table, choice.column, where=raw.where, decimal=wanted.decimal
                )
            elif choice.role == "timestamp":
                readings[choice.role] = times(engine, raw.table, choice.column, where=raw.where, written=wanted.format)
        found.append(readings)
    most = max((one["timestamp"].digits for one in found if "timestamp" in one), default=0)
    for raw, readings in zip(raws, found, strict=True):
        if "timestamp" in readings and readings["timestamp"].digits != most and not readings["timestamp"].calendar:
            column = next(choice.column for choice in raw.chosen if choice.role == "timestamp")
            readings["timestamp"] = times(engine, raw.table, column, where=raw.where, digits=most)
    return found


def _ids(engine: DuckDB, raws: Sequence[Raw], label: str, entity: Entity | None) -> list[str]:
    """The expression of the ids in each raw table, then in the table of users or items."""
    found = []
    for raw in raws:
        column = next(choice.column for choice in raw.chosen if choice.role == label)
        distinct = engine.keep(f"SELECT {identifier(column)} FROM {raw.table} GROUP BY ALL")
        found.append((distinct, id_text(engine, distinct, column, where=raw.where)))
    if entity is not None:
        name = engine.register(entity.table)
        found.append((name, id_text(engine, name, f"{label}_id", where=entity.where)))
    whole = are_whole(engine, found)
    return [without_point(value) if whole else value for _, value in found]


def _query(raw: Raw, number: int, readings: dict[str, Reading], ids: dict[str, list[str]]) -> str:
    """The SELECT of one raw table under the usual names."""
    columns = [f"{ids[label][number]} AS {label}_id" for label in ("user", "item")]
    troubles = []
    for role, reading in readings.items():
        columns.append(f"{reading.value} AS {role}")
        if role == "timestamp" and reading.moment is not None:
            columns.append(f"{reading.moment} AS moment")
        if reading.wrong != "false":
            column = next(choice.column for choice in raw.chosen if choice.role == role)
            kind = "a time" if role == "timestamp" else "a number"
            value = f"left(CAST({identifier(column)} AS VARCHAR), 40)"
            said = f"{literal(f'column {column!r}: ')} || chr(39) || {value} || chr(39) || {literal(f' is not {kind}')}"
            troubles.append(f"CASE WHEN {reading.wrong} THEN {said} END")
    if troubles:
        columns.append(f"coalesce({', '.join(troubles)}) AS trouble")
    part = next((choice.column for choice in raw.chosen if choice.role == "part"), None)
    if raw.part is not None:
        columns.append(f"{literal(raw.part)} AS part")
    elif part is not None:
        columns.append(f"CAST({identifier(part)} AS VARCHAR) AS part")
    return f"SELECT {', '.join(columns)}, row + {number * ROWS_A_FILE} AS row FROM {raw.table}"
