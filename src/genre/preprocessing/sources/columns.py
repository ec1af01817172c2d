"""Which column is the user, the item, the rating, the time, and why: by name, then by content. Knows no file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc

from genre.data.dataset import TITLE_COLUMNS
from genre.data.words import is_id_or_address
from genre.errors import DataError
from genre.options import Doc, check_options, nearest
from genre.preprocessing.sources.values import looks_like_names, looks_like_time, to_ids, to_numbers, to_seconds
from genre.preprocessing.tables import PARTS, plain_name

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

N_SAMPLE = 10_000
"""So many rows tell what the columns are."""

MOST_GUESSED = 8
"""In a table of more columns with foreign names nothing is guessed by content."""


@dataclass(frozen=True)
class Columns:
    """The column of each role, where its name or content does not tell.

    Columns of a file without a header are called `column 1`, `column 2` ...
    """

    user: Annotated[str | None, Doc("The column of user ids.")] = None
    item: Annotated[str | None, Doc("The column of item ids.")] = None
    rating: Annotated[str | Literal[False] | None, Doc("The column of stars; false: there is none.")] = None
    weight: Annotated[str | Literal[False] | None, Doc("The column of strengths or counts; false: none.")] = None
    timestamp: Annotated[str | Literal[False] | None, Doc("The column of times; false: there is none.")] = None
    part: Annotated[str | Literal[False] | None, Doc("The column of train, validation or test; false: none.")] = None
    title: Annotated[str | Literal[False] | None, Doc("What items are called, in the items table; false: none.")] = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Chosen:
    """The column taken for a role, and why."""

    role: str
    column: str
    why: str

    def __str__(self) -> str:
        return f"{self.role}: {self.column!r} ({self.why})"


def choose(sample: pa.Table, wanted: Columns, where: str) -> list[Chosen]:
    """A column for each role that the sample has one for; DataError when there is no user or item.

    Names decide. Where none is known (a file without a header, or in another language), content and place do.
    """
    names = sample.column_names
    if repeated := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where}: column {repeated[0]!r} appears {names.count(repeated[0])} times; rename one")
    chosen = [*_asked_for(names, wanted, where)]
    open_roles = [role for role in NAMES if getattr(wanted, role) is None]
    chosen += _by_name(sample, open_roles, {choice.column for choice in chosen})
    roles = {choice.role for choice in chosen}
    if not roles & {"user", "item"} and len(names) <= MOST_GUESSED:
        chosen += _by_content(sample, [role for role in open_roles if role not in roles], {c.column for c in chosen})
    for role in ("user", "item"):
        if role not in {choice.role for choice in chosen}:
            found = f"none of {_listed(names)} is known to name the {role}" if names else "there are no columns"
            raise DataError(
                f"{where}: missing column: {found}; say which with columns: {{{role}: ...}}, or to `genre init` with "
                f"--column {role}=..."
            )
    return sorted(chosen, key=lambda choice: [*NAMES].index(choice.role))


def interactions_of(
    table: pa.Table, chosen: list[Chosen], names: Sequence[str], where: str
) -> tuple[pa.Table, list[str]]:
    """The chosen columns under their usual names and types, and a line on each; one on the others of `names`."""
    columns, notes = {}, []
    for choice in chosen:
        column, how = table[choice.column], ""
        if choice.role in ("user", "item"):
            columns[f"{choice.role}_id"] = to_ids(column)
        elif choice.role == "part":
            columns["part"] = column
        elif choice.role == "timestamp":
            columns["timestamp"], how = to_seconds(column, where, choice.column)
        else:
            columns[choice.role] = to_numbers(column, where, choice.column)
        notes.append(f"{choice}{how and ', read as '}{how}")
    taken = {choice.column for choice in chosen}
    if unused := [name for name in names if name not in taken]:
        notes.append(f"not used: {', '.join(unused)}")
    return pa.table(columns), notes


def sides_of(
    chosen: Sequence[Chosen], wanted: Columns | None = None, **tables: tuple[object, pa.Table] | None
) -> tuple[dict[str, pa.Table], list[str]]:
    """The tables of `users` and `items` that are there, each with its id column first, and a line on each.

    chosen: the columns of the interactions, whose names are looked for first. tables: where each is from, and itself.
    What items are called becomes their `title`, unless a name tells already.
    """
    sides, notes = {}, []
    for side, (label, known) in SIDES.items():
        if (given := tables[side]) is not None:
            like = next((choice.column for choice in chosen if choice.role == label), None)
            sides[side], note = _entities(given[1], label, known, like, str(given[0]))
            notes.append(note)
    if tables["items"] is not None:
        wanted = wanted or Columns()
        sides["items"], said = _titled(sides["items"], wanted.title, str(tables["items"][0]))
        notes += said
    return sides, notes


def _titled(items: pa.Table, asked: str | Literal[False] | None, where: str) -> tuple[pa.Table, list[str]]:
    """The table with what items are called under the name `title`, and a line on it where that had another name."""
    names = items.column_names[1:]
    if asked is False or (asked is None and any(name in names for name in TITLE_COLUMNS)):
        return items, []
    if asked is not None and asked not in names:
        raise DataError(f"{where}: missing column {asked!r}{nearest(asked, names)}; it has {_listed(names)}")
    alike = (name for name in names if plain_name(name) in TITLE_COLUMNS)
    words = (name for name in names if not is_id_or_address(name))
    telling = (name for name in words if looks_like_names(items[name].slice(0, N_SAMPLE)))
    title, why = asked, "as asked"
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


def _entities(table: pa.Table, label: str, known: Sequence[str], like: str | None, where: str) -> tuple[pa.Table, str]:
    names, own = table.column_names, f"{label}_id"
    column, why = names[0], "the first column"
    if like in names and not str(like).startswith("column "):
        column, why = str(like), "named as in the interactions"
    elif by_name := [name for name in names if plain_name(name) in known]:
        column, why = by_name[0], "by its name"
    if names.count(column) > 1:
        raise DataError(f"{where}: column {column!r} appears {names.count(column)} times; rename one")
    others = [name for name in names if name != column]
    if own in others or len(set(others)) < len(others):
        raise DataError(f"{where}: two columns of the {label}s would have one name ({', '.join(names)}); rename one")
    table = table.select([column, *others]).rename_columns([own, *others]).replace_schema_metadata()
    narrow = [field.with_type(pa.string()) if field.type == pa.large_string() else field for field in table.schema]
    table = table.cast(pa.schema(narrow))  # text of Polars has wide offsets; here there is one kind of text
    table = table.set_column(0, own, to_ids(table[0]))
    return table, f"{label}s: {column!r} ({why}){', fields ' if others else ''}{', '.join(others)}"


def _asked_for(names: list[str], wanted: Columns, where: str) -> Iterator[Chosen]:
    for role in NAMES:
        column = getattr(wanted, role)
        if isinstance(column, str):
            if column not in names:
                raise DataError(f"{where}: missing column {column!r}{nearest(column, names)}; it has {_listed(names)}")
            yield Chosen(role, column, "as asked")


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _by_name(sample: pa.Table, roles: list[str], taken: set[str]) -> Iterator[Chosen]:
    plain = {name: plain_name(name) for name in sample.column_names if name not in taken}
    for role in roles:
        for known in NAMES[role].split():
            name = next((name for name, letters in plain.items() if letters == known), None)
            if name is not None and (role != "part" or _says_parts(sample[name])):
                del plain[name]
                yield Chosen(role, name, "by its name")
                break


def _says_parts(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) and pc.all(pc.is_in(column, pa.array(PARTS))).as_py())


def _by_content(sample: pa.Table, roles: list[str], taken: set[str]) -> Iterator[Chosen]:
    """The time is the last column of dates or unix times; a rating has few different numbers; the rest by place."""
    left = [name for name in sample.column_names if name not in taken]
    when = next((name for name in reversed(left) if "timestamp" in roles and looks_like_time(sample[name])), None)
    if when is not None and len(left) > 2:
        left.remove(when)
        yield Chosen("timestamp", when, "it holds times")
    stars = next((name for name in left[2:] if "rating" in roles and _looks_like_rating(sample[name])), None)
    if stars is not None:
        left.remove(stars)
        yield Chosen("rating", stars, "it holds few different numbers")
    for role, why in (("user", "the first column"), ("item", "the column after it")):
        if role in roles and left:
            yield Chosen(role, left.pop(0), why)


def _looks_like_rating(column: pa.ChunkedArray) -> bool:
    try:
        numbers = to_numbers(column, "", "")
    except DataError:
        return False
    levels = pc.unique(numbers.drop_null())
    bounds = pc.min_max(levels).as_py()
    return 1 < len(levels) <= 21 and bounds["min"] >= -10 and bounds["max"] <= 100
