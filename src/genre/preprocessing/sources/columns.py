"""Which column is the user, the item, the rating, the time, and why: by name, then by content.

`build_tables` turns the raw tables of any source into Tables. Does not know where a table is from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pyarrow as pa

from genre.data.dataset import TITLE_COLUMNS
from genre.data.words import is_id_or_address
from genre.engines.duckdb import DuckDB
from genre.errors import DataError
from genre.options import Doc, check_options, nearest
from genre.preprocessing.sources.delimited import identifier, literal
from genre.preprocessing.sources.values import (
    Reading,
    are_whole,
    id_text,
    kind_of,
    looks_like_names,
    looks_like_rating,
    looks_like_time,
    numbers,
    times,
    to_fields,
    without_point,
)
from genre.preprocessing.tables import PARTS, ROWS_A_FILE, Rejected, Tables, plain_name

NAMES = {
    "user": "user userid uid username customer customerid client clientid visitor visitorid member memberid account "
    "accountid reviewer reviewerid reader readerid listener player playerid person personid session sessionid",
    "item": "item itemid iid movie movieid film filmid product productid sku stockcode asin parentasin article "
    "articleid book bookid isbn track trackid song songid artist artistid video videoid news newsid business "
    "businessid venue venueid poi poiid game gameid course courseid recipe recipeid post postid itemname productname",
    "rating": "rating ratings stars star score overall bookrating ratingvalue reviewscore grade vote",
    "weight": "weight count counts plays playcount playcounts listencount quantity qty frequency clicks purchases",
    "timestamp": "timestamp time ts datetime date unixreviewtime reviewtime createdat created eventtime eventdate "
    "invoicedate orderdate purchasedate watchedat ratedat lastupdated",
    "part": "part split subset",
}
"""Role -> the names it goes by, letters and digits only, in lower case."""

SIDES = {"users": ("user", (*NAMES["user"].split(), "id")), "items": ("item", (*NAMES["item"].split(), "id"))}
"""Table of fields -> what its rows are, and the names their id goes by."""

KNOWN_NAMES = frozenset(" ".join(NAMES.values()).split())

LIKE_MISSING = ("NULL", "null", "NaN", "nan", "None", "none", "N/A", "#N/A")
N_SAMPLE = 10_000
"""So many rows tell what the columns are."""

MOST_GUESSED = 8
"""In a table of more columns with foreign names nothing is guessed by content."""


@dataclass(frozen=True)
class Columns:
    """The column of each role, where its name or content does not tell, and how columns are written.

    Columns of a file without a header are called `column 1`, `column 2` ...
    """

    user: Annotated[str | None, Doc("The column of user ids.")] = None
    item: Annotated[str | None, Doc("The column of item ids.")] = None
    rating: Annotated[str | Literal[False] | None, Doc("The column of stars; false: there is none.")] = None
    weight: Annotated[str | Literal[False] | None, Doc("The column of strengths or counts; false: none.")] = None
    timestamp: Annotated[str | Literal[False] | None, Doc("The column of times; false: there is none.")] = None
    part: Annotated[str | Literal[False] | None, Doc("The column of train, validation or test; false: none.")] = None
    title: Annotated[str | Literal[False] | None, Doc("What items are called, in the items table; false: none.")] = None
    format: Annotated[
        str | None,
        Doc("How times are written: a form such as `%d/%m/%Y`, or the unit of numbers: seconds to nanoseconds."),
    ] = None
    decimal: Annotated[Literal[".", ","] | None, Doc("What separates decimals in numbers; None: found out.")] = None
    encoding: Annotated[str | None, Doc("Encoding of text files, as Python names it; None: found out.")] = None
    quote: Annotated[str | None, Doc("What encloses fields of text files; empty: nothing; None: found out.")] = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Chosen:
    """The column taken for a role, and why.

    Attributes:
        role: user, item, rating, weight, timestamp or part.
        column: its name in the source.
        why: how it was found.
    """

    role: str
    column: str
    why: str

    def __str__(self) -> str:
        return f"{self.role}: {self.column!r} ({self.why})" if self.why else ""


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


@dataclass(frozen=True)
class Side:
    """A table of users or items as a source has it.

    Attributes:
        where: what errors call it.
        table: all its columns.
        written: whether its values are text that may be numbers, as in a text file.
        notes: guesses about how it is written.
    """

    where: str
    table: pa.Table
    written: bool = False
    notes: tuple[str, ...] = ()


def choose(engine: DuckDB, sample: str, wanted: Columns, where: str) -> list[Chosen]:
    """Choose a column for each role that a table has one for.

    Names decide. Where none is known (a file without a header, or in another language), content and place do.

    Args:
        engine: holds the table.
        sample: the name of a table with the first rows and all columns, and `row`.
        wanted: what the user says.
        where: what errors call the source.

    Returns:
        The choices, in the order of the roles.

    Raises:
        DataError: there is no user or item, or a column that the user names is not there.
    """
    names = [*types_of(engine, sample)]
    chosen = [*_given(names, wanted, where)]
    open_roles = [role for role in NAMES if getattr(wanted, role) is None]
    chosen += _by_name(engine, sample, open_roles, [name for name in names if name not in {c.column for c in chosen}])
    roles = {choice.role for choice in chosen}
    if not roles & {"user", "item"} and len(names) <= MOST_GUESSED:
        left = [name for name in names if name not in {choice.column for choice in chosen}]
        chosen += _by_content(engine, sample, [role for role in open_roles if role not in roles], left)
    for role in ("user", "item"):
        if role not in {choice.role for choice in chosen}:
            found = f"none of {_listed(names)} is known to name the {role}" if names else "there are no columns"
            raise DataError(
                f"{where}: missing column: {found}; say which with columns: {{{role}: ...}}, or to `genre init` with "
                f"--column {role}=..."
            )
    return sorted(chosen, key=lambda choice: [*NAMES].index(choice.role))


def check_distinct(names: Sequence[str], where: str) -> None:
    """Check that no two columns have one name.

    Args:
        names: of the columns.
        where: what errors call the source.

    Raises:
        DataError: two have.
    """
    if repeated := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where}: column {repeated[0]!r} appears {names.count(repeated[0])} times; rename one")


def types_of(engine: DuckDB, table: str) -> dict[str, str]:
    """List the columns of a table.

    Args:
        engine: holds the table.
        table: its name.

    Returns:
        Name -> type in DuckDB, without `row`.
    """
    rows = engine.connection.execute(f"DESCRIBE {table}").fetchall()
    return {name: kind for name, kind, *_ in rows if name != "row"}


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
        "user": None if users is None else _entity(users, "user", raws[0].chosen),
        "item": None if items is None else _entity(items, "item", raws[0].chosen),
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
    made, said = _entity_tables(engine, entities, ids, wanted, items=items, users=users, name=name)
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


def _entity_tables(
    engine: DuckDB,
    entities: dict[str, _Entity | None],
    ids: dict[str, list[str]],
    wanted: Columns,
    *,
    items: Side | None,
    users: Side | None,
    name: str,
) -> tuple[dict[str, pa.Table], list[str]]:
    """The tables of users and items with ids as in the interactions, numbers as numbers, and a line on each."""
    made: dict[str, pa.Table] = {}
    lines: list[str] = []
    for label, entity in entities.items():
        if entity is not None:
            made[f"{label}s"], line = _fields(engine, entity, label, ids[label])
            lines.append(line)
    if items is not None:
        made["items"], said = _titled(made["items"], wanted.title, items.where)
        lines += said
    elif isinstance(wanted.title, str):
        raise DataError(f"{name}: title: {wanted.title!r} is a column of items; give the items table, or leave it out")
    for label, side in (("users", users), ("items", items)):
        if side is not None and side.written:
            made[label] = _typed_fields(made[label], keep=("user_id", "item_id", *TITLE_COLUMNS))
    return made, lines


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


def _ids(engine: DuckDB, raws: Sequence[Raw], label: str, entity: _Entity | None) -> list[str]:
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


@dataclass(frozen=True)
class _Entity:
    """A table of users or items with its id column first, under its usual name."""

    where: str
    table: pa.Table
    note: str


def _entity(side: Side, label: str, chosen: Sequence[Chosen]) -> _Entity:
    """Find the column of ids in a table of users or items."""
    table, own = side.table, f"{label}_id"
    names, known = table.column_names, SIDES[f"{label}s"][1]
    like = next((choice.column for choice in chosen if choice.role == label and choice.why), None)
    column, why = names[0], "the first column"
    if like in names and not str(like).startswith("column "):
        column, why = str(like), "named as in the interactions"
    elif by_name := [name for name in names if plain_name(name) in known]:
        column, why = by_name[0], "by its name"
    if names.count(column) > 1:
        raise DataError(f"{side.where}: column {column!r} appears {names.count(column)} times; rename one")
    others = [name for name in names if name != column]
    if own in others or len(set(others)) < len(others):
        raise DataError(
            f"{side.where}: two columns of the {label}s would have one name ({', '.join(names)}); rename one"
        )
    table = table.select([column, *others]).rename_columns([own, *others]).replace_schema_metadata()
    note = f"{label}s: {column!r} ({why}){', fields ' if others else ''}{', '.join(others)}"
    return _Entity(side.where, table, note)


def _fields(engine: DuckDB, entity: _Entity, label: str, ids: list[str]) -> tuple[pa.Table, str]:
    """The table with its ids as the interactions write them, and a line on it."""
    own = f"{label}_id"
    name = engine.register(entity.table)
    table = entity.table.set_column(0, own, engine.arrow(f"SELECT {ids[-1]} AS {own} FROM {name}")[own])
    narrow = [field.with_type(pa.string()) if _is_text(field.type) else field for field in table.schema]
    return table.cast(pa.schema(narrow)), entity.note  # text of Polars has wide offsets; here there is one kind of text


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _typed_fields(table: pa.Table, keep: Sequence[str]) -> pa.Table:
    """Fields that are numbers as numbers; ids and titles stay text."""
    columns = [
        column if name in keep or not pa.types.is_string(column.type) else to_fields(column)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _titled(items: pa.Table, given: str | Literal[False] | None, where: str) -> tuple[pa.Table, list[str]]:
    """The table with what items are called under the name `title`, and a line on it where that had another name."""
    names = items.column_names[1:]
    if given is False or (given is None and any(name in names for name in TITLE_COLUMNS)):
        return items, []
    if given is not None and given not in names:
        raise DataError(f"{where}: missing column {given!r}{nearest(given, names)}; it has {_listed(names)}")
    alike = (name for name in names if plain_name(name) in TITLE_COLUMNS)
    words = (name for name in names if not is_id_or_address(name))
    telling = (name for name in words if looks_like_names(items[name].slice(0, N_SAMPLE)))
    title, why = given, "as given"
    if title is None:
        title, why = next(alike, None), "by its name"
    if title is None:
        title, why = next(telling, None), "it holds names"
    if title is None:
        return items, ["titles: none found, items are shown by their ids; say which column with columns: {title: ...}"]
    if title != "title" and "title" in names:
        raise DataError(f"{where}: the title is to be {title!r}, but another column has that name; rename one")
    renamed = ["title" if name == title else name for name in items.column_names]
    return items.rename_columns(renamed), [f"title: {title!r} ({why})"]


def _given(names: list[str], wanted: Columns, where: str) -> Iterator[Chosen]:
    for role in NAMES:
        column = getattr(wanted, role)
        if isinstance(column, str):
            if column not in names:
                raise DataError(f"{where}: missing column {column!r}{nearest(column, names)}; it has {_listed(names)}")
            yield Chosen(role, column, "as given")


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _by_name(engine: DuckDB, sample: str, roles: list[str], left: list[str]) -> Iterator[Chosen]:
    plain = {name: plain_name(name) for name in left}
    for role in roles:
        for known in NAMES[role].split():
            name = next((name for name, letters in plain.items() if letters == known), None)
            if name is not None and (role != "part" or _says_parts(engine, sample, name)):
                del plain[name]
                yield Chosen(role, name, "by its name")
                break


def _says_parts(engine: DuckDB, sample: str, column: str) -> bool:
    found = engine.connection.execute(f"SELECT DISTINCT CAST({identifier(column)} AS VARCHAR) FROM {sample}").fetchall()
    return {value for (value,) in found if value is not None} <= set(PARTS)


def _by_content(engine: DuckDB, sample: str, roles: list[str], left: list[str]) -> Iterator[Chosen]:
    """The time is the last column of dates or unix times; a rating has few different numbers; the rest by place."""

    def holds_times(name: str) -> bool:
        return "timestamp" in roles and looks_like_time(engine, sample, name)

    when = next((name for name in reversed(left) if holds_times(name)), None)
    if when is not None and len(left) > 2:
        left.remove(when)
        yield Chosen("timestamp", when, "it holds times")
    stars = next((name for name in left[2:] if "rating" in roles and looks_like_rating(engine, sample, name)), None)
    if stars is not None:
        left.remove(stars)
        yield Chosen("rating", stars, "it holds few different numbers")
    for role, why in (("user", "the first column"), ("item", "the column after it")):
        if role in roles and left:
            yield Chosen(role, left.pop(0), why)
