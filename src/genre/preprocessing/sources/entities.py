"""Tables of users and items: which column holds the ids, what items are called, numbers as numbers.

Does not know where a table is from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from genre.data.dataset import TITLE_COLUMNS
from genre.data.words import is_id_or_address
from genre.engines.duckdb import DuckDB, identifier
from genre.errors import DataError
from genre.options import nearest
from genre.preprocessing.sources.base import setting
from genre.preprocessing.sources.columns import N_SAMPLE, NAMED, Chosen, Columns, listed, names_of_roles
from genre.preprocessing.sources.values import looks_like_names, to_fields, with_decimal_comma
from genre.preprocessing.tables import ROW, plain_name


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


@dataclass(frozen=True)
class Entity:
    """A table of users or items with its id column first, under its usual name.

    Attributes:
        where: what errors call it.
        table: its columns.
        note: which column holds the ids and why, and the other columns.
    """

    where: str
    table: pa.Table
    note: str


def entity_of(engine: DuckDB, side: Side, label: str, chosen: Sequence[Chosen], ids: str) -> Entity:
    """Find the column of ids in a table of users or items.

    Names decide; of several known names, and where a name leads to no id of the interactions, the ids do.

    Args:
        engine: compares ids.
        side: the table as a source has it.
        label: `user` or `item`.
        chosen: the columns of the interactions.
        ids: the SELECT of the different ids of the interactions, as text.

    Returns:
        The table with its ids first.

    Raises:
        DataError: two columns would have one name.
    """
    table, own = side.table, f"{label}_id"
    names = table.column_names
    like = next((choice.column for choice in chosen if choice.role == label and choice.why), None)
    if like in names and not str(like).startswith("column "):
        column, why = str(like), "named as in the interactions"
    else:
        column, why = _id_column(engine, table, (*names_of_roles()[label], "id"), ids)
    if names.count(column) > 1:
        raise DataError(f"{side.where}: column {column!r} appears {names.count(column)} times; rename one")
    others = [name for name in names if name != column]
    if ROW in names:
        raise DataError(f"{side.where}: column {ROW!r} has a name that is taken; rename it")
    if own in others or len(set(others)) < len(others):
        raise DataError(
            f"{side.where}: two columns of the {label}s would have one name ({', '.join(names)}); rename one"
        )
    table = table.select([column, *others]).rename_columns([own, *others]).replace_schema_metadata()
    note = f"{label}s: {column!r} ({why}){', fields ' if others else ''}{', '.join(others)}"
    return Entity(side.where, table, note)


def _id_column(engine: DuckDB, table: pa.Table, known: Sequence[str], ids: str) -> tuple[str, str]:
    """Find the column of ids by known names, or else the first; why it is taken.

    Ids that are more than numbers, which meet by chance, also decide among columns without a known name.
    """
    names = table.column_names
    plain = {plain_name(name): name for name in reversed(names)}
    named = [plain[name] for name in known if name in plain]
    likely, why = (named, "by its name") if named else (names[:1], "the first column")
    if len(set(names)) < len(names) or len(names) == 1:
        return likely[0], why
    held = _ids_held(engine, table, likely, ids)
    if not any(held.values()):
        held = _ids_held(engine, table, names, f"SELECT id FROM ({ids}) WHERE NOT regexp_full_match(id, '\\d*')")
    best = max(held, key=lambda name: held[name])
    return (best, "it holds the ids of the interactions") if held[best] > held[likely[0]] else (likely[0], why)


def _ids_held(engine: DuckDB, table: pa.Table, columns: Sequence[str], ids: str) -> dict[str, int]:
    """How many ids of the interactions each column holds."""
    name, held = engine.register(table), {}
    for column in columns:
        values = f"SELECT trim(CAST({identifier(column)} AS VARCHAR)) FROM {name}"
        held[column] = int(engine.one(f"SELECT count(*) FROM ({ids}) WHERE id IN ({values})")[0])
    return held


def _fields(engine: DuckDB, entity: Entity, label: str, ids: list[str]) -> tuple[pa.Table, str]:
    """The table with its ids as the interactions write them, and a line on it."""
    own = f"{label}_id"
    name = engine.register(entity.table)
    table = entity.table.set_column(0, own, engine.arrow(f"SELECT {ids[-1]} AS {own} FROM {name}")[own])
    narrow = [field.with_type(pa.string()) if _is_text(field.type) else field for field in table.schema]
    return table.cast(pa.schema(narrow)), entity.note  # text of Polars has wide offsets; here there is one kind of text


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _typed_fields(table: pa.Table, keep: Sequence[str], decimal: str | None) -> tuple[pa.Table, list[str]]:
    """Fields that are numbers as numbers, and a line on those with decimal commas; ids and titles stay text."""
    lines = []
    for at, name in enumerate(table.column_names):
        if name in keep or not pa.types.is_string(table[name].type):
            continue
        column = to_fields(table[name])
        if pa.types.is_string(column.type) and (numbers := with_decimal_comma(column, decimal)) is not None:
            column = numbers
            lines.append(f"field {name!r}: read as numbers with a decimal comma")
        table = table.set_column(at, name, column)
    return table, lines


def _titled(items: pa.Table, given: str | Literal[False] | None, where: str) -> tuple[pa.Table, list[str]]:
    """The table with what items are called under the name `title`, and a line on it where that had another name."""
    names = items.column_names[1:]
    if given is False or (given is None and any(name in names for name in TITLE_COLUMNS)):
        return items, []
    if given is not None and given not in names:
        raise DataError(f"{where}: missing column {given!r}{nearest(given, names)}; it has {listed(names)}")
    title, why = given, "as given"
    if title is None:
        title, why = _by_known_name(names), "by its name"
    if title is None and _are_several_words(items["item_id"].slice(0, N_SAMPLE)):
        return items, ["titles: items are shown by their ids, which are names"]
    words = (name for name in names if not is_id_or_address(name))
    telling = (name for name in words if looks_like_names(items[name].slice(0, N_SAMPLE)))
    if title is None:
        title, why = next(telling, None), "it holds names"
    if title is None:
        return items, [f"titles: none found, items are shown by their ids; {setting('title', '...')}"]
    if title != "title" and "title" in names:
        raise DataError(f"{where}: the title is to be {title!r}, but another column has that name; rename one")
    renamed = ["title" if name == title else name for name in items.column_names]
    return items.rename_columns(renamed), [f"title: {title!r} ({why})"]


def _by_known_name(names: Sequence[str]) -> str | None:
    """The column of titles by its name: `Title`, or that of a thing such as `master_metadata_track_name`."""
    plain = {name: plain_name(name) for name in names}
    endings = (end for end in names_of_roles()["item"] if end.endswith(NAMED["item"]))  # of `track` before `artist`
    of_things = (name for end in endings for name in names if plain[name].endswith(end))
    return next((name for name in names if plain[name] in TITLE_COLUMNS), None) or next(of_things, None)


def _are_several_words(column: pa.ChunkedArray) -> bool:
    """Tell whether most ids have a blank inside, as names do and codes do not."""
    ids = [str(value).split() for value in column.to_pylist() if value is not None]
    return 2 * sum(len(words) > 1 for words in ids) > len(ids)


def _one_row_an_id(engine: DuckDB, table: pa.Table, label: str) -> tuple[pa.Table, list[str]]:
    """The table with one row an id, and a line on values that were gathered.

    Different values of an id (tags, friends, a cast) become a list where the column holds lists, else text joined by
    `|`, in the order of the table; of several titles the most frequent counts, the first of those as frequent.
    """
    own, *names = table.column_names
    rows = engine.register(table.append_column(ROW, pa.array(range(table.num_rows), pa.int64())))
    named = f"SELECT * FROM {rows} WHERE nullif({own}, '') IS NOT NULL"
    total, ids = engine.one(f"SELECT count(*), count(DISTINCT {own}) FROM ({named})")
    if total == ids or not names:
        return table, []
    first = engine.keep(f"SELECT {own}, min({ROW}) AS row FROM ({named}) GROUP BY {own}")
    joined, titles, columns = [], 0, {own: engine.arrow(f"SELECT {own} FROM {first} ORDER BY row")[own]}
    for name, kind in zip(names, table.schema.types[1:], strict=True):
        values, value = _different_values(name, kind, named, own)
        different = engine.keep(values)
        several = engine.one(f"SELECT count(*) FROM (SELECT id FROM {different} GROUP BY id HAVING count(*) > 1)")[0]
        if name in TITLE_COLUMNS:
            titles, value = titles + several, "arg_max(value, {n: n, place: -place})"
        elif not several and not pa.types.is_list(kind):
            value = "first(value)"
        else:
            joined += [name] if several else []
        one = f"SELECT id, {value} AS value FROM {different} GROUP BY id"
        columns[name] = engine.arrow(f"SELECT value FROM {first} LEFT JOIN ({one}) ON id = {own} ORDER BY row")["value"]
    unnamed = table.filter(pc.fill_null(pc.equal(table[own], ""), True))
    gathered = f"; several values of one are joined in {', '.join(joined)}" if joined else ""
    most = f"; {titles:,} with several titles, the most frequent counts" if titles else ""
    line = f"{label} table: {total:,} rows describe {ids:,} {label}{gathered}{most}"
    lines = [line] if joined or titles else []
    made = pa.table(columns)
    return pa.concat_tables([made, unnamed.select([own])], promote_options="default"), lines


def _different_values(name: str, kind: pa.DataType, rows: str, own: str) -> tuple[str, str]:
    """The SELECT of the different values of each id with their number and first place, and how several become one."""
    column = identifier(name)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        rows = f"SELECT {own}, {ROW}, unnest({column}) AS {column} FROM ({rows})"
        value = "list(value ORDER BY place, value)"
    else:
        text = (
            "regexp_replace(CAST(value AS VARCHAR), '\\.0$', '')"
            if pa.types.is_floating(kind)
            else "CAST(value AS VARCHAR)"
        )
        value = f"string_agg({text}, '|' ORDER BY place)"
    there = f"{column} IS NOT NULL AND trim(CAST({column} AS VARCHAR)) <> ''"
    counted = f"count(*) AS n, min({ROW}) AS place"
    return f"SELECT {own} AS id, {column} AS value, {counted} FROM ({rows}) WHERE {there} GROUP BY ALL", value


def entity_tables(
    engine: DuckDB,
    entities: dict[str, Entity | None],
    ids: dict[str, list[str]],
    wanted: Columns,
    *,
    items: Side | None,
    users: Side | None,
    name: str,
) -> tuple[dict[str, pa.Table], list[str]]:
    """Write ids as in the interactions, and numbers as numbers.

    Args:
        engine: works on the tables.
        entities: `user` and `item`, with their table or None.
        ids: the expressions of their ids; the last is that of the table.
        wanted: what the user says of columns.
        items: the items as the source has them.
        users: the users as the source has them.
        name: what the data is called.

    Returns:
        The tables by name, and a line on each.

    Raises:
        DataError: the column of titles is not there.
    """
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
        raise DataError(
            f"{name}: title: {wanted.title!r} is neither a column of the interactions without a "
            "role nor of an items table; give the items table, or leave it out"
        )
    for label, table in made.items():
        made[label], several = _one_row_an_id(engine, table, label)
        lines += several
    for label, side in (("users", users), ("items", items)):
        if side is not None and side.written:
            made[label], numbers = _typed_fields(made[label], ("user_id", "item_id", *TITLE_COLUMNS), wanted.decimal)
            lines += numbers
    return made, lines
