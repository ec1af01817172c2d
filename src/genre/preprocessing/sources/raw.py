"""The raw tables of any source -> Tables: ids to text, numbers and times to numbers, once over all files.

Does not know where a table is from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genre.display import counted
from genre.engines.duckdb import DuckDB, identifier, literal
from genre.errors import DataError
from genre.preprocessing.sources.columns import CONTEXT, Chosen, Columns, columns_of, types_of
from genre.preprocessing.sources.dialect import quoted
from genre.preprocessing.sources.entities import Entity, Side, entity_of, entity_tables
from genre.preprocessing.sources.one_table import Label, choose_fields, most_frequent
from genre.preprocessing.sources.times import times
from genre.preprocessing.sources.values import (
    SHORTENED,
    Reading,
    are_whole,
    event_weights,
    id_text,
    kind_of,
    numbers,
    without_point,
)
from genre.preprocessing.tables import ROW, ROWS_A_FILE, Rejected, Tables, plain_name

LAST_WHOLE = {"FLOAT": 2**24, "DOUBLE": 2**53}
"""Type -> the number from which on it does not hold every whole number."""
LIKE_MISSING = ("NA", "NULL", "null", "NaN", "nan", "None", "none", "N/A", "#N/A", "NaT", "<NA>", "undefined")


@dataclass(frozen=True)
class Raw:
    """Interactions as a source has them.

    Attributes:
        table: a table of DuckDB with the chosen columns and `ROW`.
        chosen: the column of each role.
        where: what errors call the source.
        part: train, validation or test, where all rows are of one part.
        unused: columns that have no role.
        european: whether it is written in the form that goes with decimal commas: separated by semicolons.
        note: a line on how it is written.
        guessed: whether that is a guess.
        rejected: rows that could not be read as rows.
        fields: columns without a role that `table` holds, too, since they may be fields of items or users.
        written: whether the values are text that may be numbers, as in a text file.
    """

    table: str
    chosen: Sequence[Chosen]
    where: str
    part: str | None = None
    unused: Sequence[str] = ()
    european: bool = False
    note: str = ""
    guessed: bool = False
    rejected: tuple[Rejected, ...] = ()
    fields: Sequence[str] = ()
    written: bool = False

    def column(self, role: str) -> str:
        """Look up the column of a role.

        Args:
            role: a role that the table has a column for.

        Returns:
            Its name.
        """
        return next(choice.column for choice in self.chosen if choice.role == role)


def build_tables(
    engine: DuckDB,
    raws: Sequence[Raw],
    wanted: Columns,
    *,
    name: str,
    users: Side | None = None,
    items: Side | None = None,
    notes: Sequence[str] = (),
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
        ordered: whether the place of a row in the source is its time.

    Returns:
        The tables.

    Raises:
        DataError: a column holds what its role cannot be, or the files do not fit together.
    """
    columns = _plain_columns(raws, users, items)
    raws = _without_one_date(engine, raws)
    raws = [_with_whole_times(engine, raw) for raw in raws]
    raws, users, items, found = _gather_fields(engine, raws, wanted, users=users, items=items)
    sides = {"user": users, "item": items}
    distinct = {label: [_distinct(engine, raw, label) for raw in raws] for label in sides}
    entities = {
        label: None if side is None else entity_of(engine, side, label, raws[0].chosen, _all_ids(raws, distinct, label))
        for label, side in sides.items()
    }
    odd: list[str] = []
    again = [_repeats_header(engine, raw, distinct["user"][number]) for number, raw in enumerate(raws)]
    ids = {label: _ids(engine, raws, distinct[label], label, entities[label], odd) for label in entities}
    readings = _readings(engine, raws, wanted)
    queries = [_query(raw, number, readings[number], ids, again=again[number]) for number, raw in enumerate(raws)]
    times_read = [found["timestamp"] for found in readings if "timestamp" in found]
    calendars = {reading.calendar for reading in times_read if reading.how != "empty"}
    if len(calendars) > 1:
        raise DataError(f"{name}: some files give dates, others plain numbers as times; give them one form")
    lines, guesses = _describe(raws, readings)
    odd += [note for side in (users, items) if side is not None for note in side.notes]
    made, said = entity_tables(engine, entities, ids, wanted, items=items, users=users, name=name)
    return Tables(
        engine.frame(engine.view(" UNION ALL BY NAME ".join(queries))),
        **made,
        name=name,
        notes=(*notes, *dict.fromkeys(raw.note for raw in raws if raw.note), *lines, *found, *odd, *said),
        guesses=(*dict.fromkeys(raw.note for raw in raws if raw.guessed), *guesses, *odd),
        rejected=tuple(bad for raw in raws for bad in raw.rejected),
        calendar=calendars == {True},
        ordered=ordered,
        columns=columns,
        unused=tuple(name for name in raws[0].unused if all(name in raw.unused for raw in raws)),
        files=tuple(raw.where for raw in raws),
        context=wanted.context or (),
    )


def _without_one_date(engine: DuckDB, raws: Sequence[Raw]) -> Sequence[Raw]:
    """The tables without a guessed time that is the same in all rows, such as the day of an export."""
    guesses = [choice for raw in raws for choice in raw.chosen if choice.role == "timestamp" and choice.guess]
    if len(guesses) < len(raws):
        return raws
    dates = " UNION ".join(
        f"(SELECT DISTINCT CAST({identifier(choice.column)} AS VARCHAR) AS date FROM {raw.table} LIMIT 2)"
        for raw, choice in zip(raws, guesses, strict=True)
    )
    if engine.one(f"SELECT count(*) FROM ({dates})")[0] > 1:
        return raws
    return [
        dataclasses.replace(
            raw,
            chosen=[one for one in raw.chosen if one is not choice],
            unused=[*raw.unused, choice.column],
        )
        for raw, choice in zip(raws, guesses, strict=True)
    ]


def _with_whole_times(engine: DuckDB, raw: Raw) -> Raw:
    """The table with day and hour in one column, where they are in two."""
    choice = next((choice for choice in raw.chosen if choice.hours is not None), None)
    if choice is None or choice.hours is None:
        return raw
    day, hours = (f"trim(CAST({identifier(name)} AS VARCHAR))" for name in choice.columns)
    alone = f"nullif(regexp_replace({day}, '[ T]0{{1,2}}:00(:00([.,]0+)?)?$', ''), '')"
    whole = f"{alone} || coalesce(' ' || nullif({hours}, ''), '')"
    return dataclasses.replace(
        raw, table=engine.view(f"SELECT * REPLACE ({whole} AS {identifier(choice.column)}) FROM {raw.table}")
    )


def _plain_columns(raws: Sequence[Raw], users: Side | None, items: Side | None) -> tuple[str, ...]:
    """The reduced names of the columns of all tables, each once."""
    names = [name for raw in raws for name in (*columns_of([one for one in raw.chosen if one.why]), *raw.unused)]
    names += [name for side in (users, items) if side is not None for name in side.table.column_names]
    return tuple(dict.fromkeys(map(plain_name, names)))


def _gather_fields(
    engine: DuckDB, raws: Sequence[Raw], wanted: Columns, *, users: Side | None, items: Side | None
) -> tuple[list[Raw], Side | None, Side | None, list[str]]:
    """Make tables of users and items that have none from columns of the interactions, with a line on each column."""
    sides: dict[Label, Side | None] = {"user": users, "item": items}
    written = any(raw.written for raw in raws)
    possible = [*dict.fromkeys(name for raw in raws for name in raw.fields)]
    possible = [name for name in possible if all(name in raw.fields or name not in raw.unused for raw in raws)]
    open_sides = [label for label, side in sides.items() if side is None and possible]
    queries = {label: _with_ids(engine, raws, label, possible) for label in open_sides}
    fields = [*choose_fields(engine, queries, possible, wanted.title)]
    for label in queries:
        if own := [field.column for field in fields if field.label == label]:
            id_column = raws[0].column(label)
            ids = f"SELECT DISTINCT id FROM ({queries[label]}) WHERE id IS NOT NULL"
            joins = [
                f"LEFT JOIN ({most_frequent(queries[label], name)}) AS field_{place} USING (id)"
                for place, name in enumerate(own)
            ]
            values = [f"field_{place}.value AS {identifier(name)}" for place, name in enumerate(own)]
            names = ", ".join([f"id AS {identifier(id_column)}", *values])
            table = engine.arrow(f"SELECT {names} FROM ({ids}) {' '.join(joins)} ORDER BY id")
            sides[label] = Side(raws[0].where, table, written=written)
    gone = {field.column for field in fields}
    left = [dataclasses.replace(raw, unused=[name for name in raw.unused if name not in gone]) for raw in raws]
    return left, sides["user"], sides["item"], [str(field) for field in fields]


def _with_ids(engine: DuckDB, raws: Sequence[Raw], label: str, columns: Sequence[str]) -> str:
    """The SELECT of some columns of all raw tables with the `id` of a user or item."""
    selects = []
    for raw in raws:
        column = raw.column(label)
        held = [identifier(name) for name in columns if name in raw.fields]
        own = id_text(engine, raw.table, column, where=raw.where)
        selects.append(f"SELECT {', '.join([f'{own} AS id', *held])} FROM {raw.table}")
    return " UNION ALL BY NAME ".join(selects)


def _odd_ids(engine: DuckDB, table: str, label: str, distinct: str, column: str) -> Iterator[str]:
    """A line on ids that look missing, hold several lines, or have lost digits; `distinct` holds each once."""
    name, sql_type = identifier(column), types_of(engine, distinct)[column]
    if sql_type in LAST_WHOLE:
        large = f"isfinite({name}) AND abs({name}) >= {LAST_WHOLE[sql_type]}"
        if many := engine.one(f"SELECT count(*) FROM {distinct} WHERE {large}")[0]:
            large = counted(many, "id is", "ids are")
            yield f"{label}: {large} too large for {sql_type}, which rounds such (a guess: store ids as text)"
    if kind_of(sql_type) != "text":
        return
    name = name if sql_type == "VARCHAR" else f"CAST({name} AS VARCHAR)"
    like = f"SELECT {name} FROM {distinct} WHERE {name} IN ({', '.join(map(literal, LIKE_MISSING))}) ORDER BY 1"
    for (value,) in engine.connection.execute(like).fetchall():
        count = engine.one(f"SELECT count(*) FROM {table} WHERE {name} = {literal(value)}")[0]
        say = counted(count, "row says", "rows say")
        yield f"{label}: {say} {value!r}, read as an id (a guess: drop them if it is none)"
    shortened = f"SELECT count(*), min({name}) FROM {distinct} WHERE regexp_matches({name}, '{SHORTENED}')"
    if (found := engine.one(shortened))[0]:
        yield (
            f"{label}: {counted(found[0], 'id')} shortened as numbers are by spreadsheets, such as {found[1]!r}, "
            "which may stand for several (a guess: export ids as text)"
        )
    inner = f"trim({name}, chr(10) || chr(13) || ' ')"
    lines = f"contains({inner}, chr(10)) OR contains({inner}, chr(0))"
    many, first = engine.one(f"SELECT count(*), min({name}) FROM {distinct} WHERE {lines}")
    if many:
        hold = counted(many, "id holds", "ids hold")
        yield f"{label}: {hold} line breaks or NUL, such as {quoted(first)} (a guess: look for stray quotes)"


def _is_header(raw: Raw) -> str:
    """The condition of rows that hold the names of the columns."""
    columns = [choice.column for choice in raw.chosen if choice.role in ("user", "item")]
    return " AND ".join(f"trim(CAST({identifier(name)} AS VARCHAR)) = {literal(name)}" for name in columns)


def _repeats_header(engine: DuckDB, raw: Raw, users: str) -> bool:
    """Whether a row holds the names of the columns, as where files with a header were joined; first of all a user."""
    types = types_of(engine, raw.table)
    if any(types[choice.column] != "VARCHAR" for choice in raw.chosen if choice.role in ("user", "item")):
        return False
    user = raw.column("user")
    if not engine.one(f"SELECT 1 FROM {users} WHERE contains({identifier(user)}, {literal(user)}) LIMIT 1"):
        return False
    return bool(engine.one(f"SELECT 1 FROM {raw.table} WHERE {_is_header(raw)} LIMIT 1"))


def _distinct(engine: DuckDB, raw: Raw, label: str) -> str:
    """The table of the different users or items of a raw table, each once."""
    column = raw.column(label)
    return engine.keep(f"SELECT {identifier(column)} FROM {raw.table} GROUP BY ALL")


def _all_ids(raws: Sequence[Raw], distinct: dict[str, list[str]], label: str) -> str:
    """The SELECT of the different ids of all raw tables, as text."""
    columns = zip(map(identifier, (raw.column(label) for raw in raws)), distinct[label], strict=True)
    return " UNION ".join(f"SELECT trim(CAST({name} AS VARCHAR)) AS id FROM {table}" for name, table in columns)


def _describe(raws: Sequence[Raw], readings: Sequence[dict[str, Reading]]) -> tuple[list[str], list[str]]:
    """A line on each column, said once, and those of them that are guesses."""
    lines: dict[str, bool] = {}
    for raw, found in zip(raws, readings, strict=True):
        for choice in raw.chosen:
            reading = found.get(choice.role)
            if choice.why:
                how = f", read as {reading.how}" if reading and reading.how else ""
                lines.setdefault(f"{choice}{how}", choice.guess or bool(reading and reading.guess))
        if raw.unused:
            lines.setdefault(f"not used: {', '.join(raw.unused)}", False)
    return [*lines], [line for line, guess in lines.items() if guess]


def _readings(engine: DuckDB, raws: Sequence[Raw], wanted: Columns) -> list[dict[str, Reading]]:
    """How each raw table's numbers and times are read."""
    found = []
    for raw in raws:
        readings = {}
        for choice in raw.chosen:
            if choice.role == "weight" and wanted.event_kinds is not None:
                readings["weight"] = event_weights(
                    engine, raw.table, choice.column, wanted.event_kinds, where=raw.where
                )
            elif choice.role in ("rating", "weight"):
                readings[choice.role] = numbers(
                    engine,
                    raw.table,
                    choice.column,
                    where=raw.where,
                    decimal=wanted.decimal,
                    counted=choice.role == "weight",
                    european=raw.european,
                )
            elif choice.role == "timestamp":
                readings[choice.role] = times(engine, raw.table, choice.column, where=raw.where, written=wanted.format)
        found.append(readings)
    read = [one["timestamp"] for one in found if "timestamp" in one]
    most = max((one.digits for one in read), default=0)
    forms = {one.form for one in read if one.form and not one.guess}
    for raw, readings in zip(raws, found, strict=True):
        one = readings.get("timestamp")
        if one is not None and ((one.digits != most and not one.calendar) or (one.guess and one.form and forms)):
            column = raw.column("timestamp")
            readings["timestamp"] = times(engine, raw.table, column, where=raw.where, digits=most, likely=forms)
    return found


def _ids(
    engine: DuckDB, raws: Sequence[Raw], distinct: Sequence[str], label: str, entity: Entity | None, odd: list[str]
) -> list[str]:
    """The expression of the ids in each raw table, then in the table of users or items; a line on ids that are odd."""
    found = []
    for raw, table in zip(raws, distinct, strict=True):
        column = raw.column(label)
        found.append((table, id_text(engine, table, column, where=raw.where)))
        odd += _odd_ids(engine, raw.table, label, table, column)
    if entity is not None:
        name = engine.register(entity.table)
        found.append((name, id_text(engine, name, f"{label}_id", where=entity.where)))
        odd += (f"{label}s table: {line}" for line in _odd_ids(engine, name, label, name, f"{label}_id"))
    whole = are_whole(engine, found)
    return [without_point(value) if whole else value for _, value in found]


def _query(raw: Raw, number: int, readings: dict[str, Reading], ids: dict[str, list[str]], *, again: bool) -> str:
    """The SELECT of one raw table under the usual names."""
    columns = [f"{ids[label][number]} AS {label}_id" for label in ("user", "item")]
    troubles = [f"CASE WHEN {_is_header(raw)} THEN 'the header again' END"] if again else []
    for role, reading in readings.items():
        columns.append(f"{reading.value} AS {role}")
        if role == "timestamp" and reading.moment is not None:
            columns.append(f"{reading.moment} AS moment")
        if reading.wrong != "false":
            column = raw.column(role)
            kind = "a time" if role == "timestamp" else "a number"
            kind += f" ({reading.how})" if reading.how else ""
            value = f"left(CAST({identifier(column)} AS VARCHAR), 40)"
            said = f"{literal(f'column {column!r}: ')} || chr(39) || {value} || chr(39) || {literal(f' is not {kind}')}"
            troubles.append(f"CASE WHEN {reading.wrong} THEN {said} END")
    if troubles:
        columns.append(f"coalesce({', '.join(troubles)}) AS trouble")
    circumstances = [identifier(choice.column) for choice in raw.chosen if choice.role == CONTEXT]
    if circumstances:
        texts = ", ".join(f"trim(CAST({name} AS VARCHAR))" for name in circumstances)
        columns.append(f"CAST(to_json([{texts}]) AS VARCHAR) AS context")
    part = next((choice.column for choice in raw.chosen if choice.role == "part"), None)
    if raw.part is not None:
        columns.append(f"{literal(raw.part)} AS part")
    elif part is not None:
        columns.append(f"CAST({identifier(part)} AS VARCHAR) AS part")
    return f"SELECT {', '.join(columns)}, {ROW} + {number * ROWS_A_FILE} AS row FROM {raw.table}"
