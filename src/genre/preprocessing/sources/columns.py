"""Which column is the user, the item, the rating, the time, and why: by name, then by content.

Does not know where a table is from.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from genre.data.context import TIME_NAMES
from genre.display import some_of
from genre.domains.packs import known_names
from genre.engines.duckdb import DuckDB, identifier
from genre.errors import DataError, OptionError
from genre.options import Doc, check_options, nearest
from genre.preprocessing.sources.base import setting
from genre.preprocessing.sources.times import looks_like_time
from genre.preprocessing.sources.values import looks_like_rating
from genre.preprocessing.tables import PARTS, ROW, plain_name

GENERAL = {
    "user": "userid user uid userpseudoid visitorid visitor accountid account reviewerid reviewer playerid player "
    "personid person",
    "item": "itemid item iid bookid isbn book businessid business venueid venue poiid poi gameid game courseid course "
    "recipeid recipe",
    "rating": "rating ratings stars star score overall bookrating ratingvalue reviewscore grade vote "
    "myrating yourrating",
    "weight": "weight count counts frequency clicks",
    "timestamp": "timestamp time ts datetime date unixreviewtime reviewtime createdat created eventtime eventdate "
    "eventtimestamp lastupdated dateread daterated dateadded",
    "part": "part split subset",
}
"""Role -> the names it goes by in every trade, letters and digits only, in lower case; ids come before names."""

SESSIONS = ("sessionid", "session")
"""Names of a visit, which is the user where no column names a person."""


def _names(role: str) -> list[str]:
    """The names of a role in every trade, then those of the domain packs, then titles and names of persons."""
    names = [*GENERAL[role].split(), *known_names(role)]
    if role not in ("user", "item"):
        return names
    names += SESSIONS if role == "user" else ()
    words = [name for name in names if not name.endswith((*NUMBERED, *NAMED[role]))]
    return [*names, *(f"{word}{end}" for end in NAMED[role] for word in words)]


NUMBERED = ("id", "uri", "sku", "code", "isbn", "asin")
"""Endings of names of columns that hold ids."""

NAMED = {"user": ("email", "name"), "item": ("name", "title")}
"""What makes the name of a column of names out of that of a person or a thing, such as `track` -> `trackname`."""


@functools.cache
def names_of_roles() -> Mapping[str, list[str]]:
    """List the names by which each role goes, those of the domain packs included, the most telling first.

    Returns:
        Role -> names, letters and digits only, in lower case.
    """
    return {role: _names(role) for role in GENERAL}


@functools.cache
def known_column_names() -> frozenset[str]:
    """List the names of all roles.

    Returns:
        Letters and digits only, in lower case.
    """
    return frozenset(name for names in names_of_roles().values() for name in names)


PLACES = ("canonicalurl", "url", "titleurl", "pagelocation", "pagepath", "title")
"""Names of the item where a column names the user and none is known to name the item."""

CONTEXT = "context"
"""The role of columns with circumstances, of which there may be several."""

EVENT_NAMES = "event eventtype eventname action actiontype behavior behaviour behaviortype behaviourtype"
"""Names of the column of kinds of events, where these have weights."""

HOUR_NAMES = ("hour", "hours", "clock", "timeofday", "eventhour", "ordertime", "invoicetime", "purchasetime")
"""Names of the column of hours beside one of days, besides those of times."""
OF_VISITS = ("session", "visit", "order", "invoice", "basket", "transaction", "request", "review")
"""How the names of ids begin that are neither of users nor of items."""
HOUR = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?"
DAY_ALONE = r"[^:]*[^:\d]0{1,2}:00(:00([.,]0+)?)?|[^:]*\d[^:]*"
"""A day, perhaps at midnight, as exports of databases write it."""

N_SAMPLE = 10_000
"""So many rows tell what the columns are."""

GAPS = 0.05
"""A column of ids with a larger share of empty cells than another known one is not taken."""

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
    event: Annotated[str | None, Doc("The column of kinds of events, with `event_kinds`.")] = None
    event_kinds: Annotated[
        dict[str, float] | None,
        Doc("Weight of each kind of event, such as `{view: 1, cart: 3, buy: 10}`; 0: seen, but not liked."),
    ] = None
    timestamp: Annotated[str | Literal[False] | None, Doc("The column of times; false: there is none.")] = None
    part: Annotated[str | Literal[False] | None, Doc("The column of train, validation or test; false: none.")] = None
    context: Annotated[
        tuple[str, ...] | None,
        Doc("Columns with the circumstances of interactions, such as a device; `ranker` reads them with `context`."),
    ] = None
    title: Annotated[str | Literal[False] | None, Doc("What items are called, in the items table; false: none.")] = None
    names: Annotated[
        dict[str, tuple[str, ...]] | None,
        Doc("Further names of the columns of a role, letters and digits only: `{item: [matricule]}`."),
    ] = None
    format: Annotated[
        str | None,
        Doc("How times are written: a form such as `%d/%m/%Y`, or the unit of numbers: seconds to nanoseconds."),
    ] = None
    decimal: Annotated[Literal[".", ","] | None, Doc("What separates decimals in numbers; None: found out.")] = None
    encoding: Annotated[str | None, Doc("Encoding of text files, as Python names it; None: found out.")] = None
    quote: Annotated[str | None, Doc("What encloses fields of text files; empty: nothing; None: found out.")] = None

    def __post_init__(self) -> None:
        check_options(self)
        for role in self.names or ():
            if role not in names_of_roles():
                raise OptionError(f"columns: names: unknown role {role!r}; roles: {', '.join(names_of_roles())}")
        for one, other in (("user", "item"), ("user", "timestamp"), ("item", "timestamp")):
            name = getattr(self, one)
            if name is not None and name == getattr(self, other):
                raise OptionError(f"columns: {one} and {other} are both {name!r}; name a column for each")
        for name in self.context or ():
            if name in TIME_NAMES or (self.context or ()).count(name) > 1:
                raise OptionError(
                    f"columns: context: {name!r} is named twice, or means the time ({', '.join(TIME_NAMES)}); rename it"
                )


@dataclass(frozen=True)
class Chosen:
    """The column taken for a role, and why.

    Attributes:
        role: user, item, rating, weight, timestamp, part or context.
        column: its name in the source.
        why: how it was found.
        guess: whether its content decided in spite of a name that says nothing.
        hours: the column with the hours of a time whose `column` has the day alone.
    """

    role: str
    column: str
    why: str
    guess: bool = False
    hours: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it takes."""
        return (self.column,) if self.hours is None else (self.column, self.hours)

    def __str__(self) -> str:
        remedy = f"; a guess: {setting(self.role, '...')} where it is another" if self.guess else ""
        hours = f", with the hours of {self.hours!r}" if self.hours is not None else ""
        return f"{self.role}: {self.column!r} ({self.why}{hours}{remedy})" if self.why else ""


def choose(engine: DuckDB, sample: str, wanted: Columns, where: str) -> list[Chosen]:
    """Choose a column for each role that a table has one for.

    Names decide. Where none is known (a file without a header, or in another language), content and place do.

    Args:
        engine: holds the table.
        sample: the name of a table with the first rows and all columns, and `ROW`.
        wanted: what the user says.
        where: what errors call the source.

    Returns:
        The choices, in the order of the roles.

    Raises:
        DataError: there is no user or item, or a column that the user names is not there.
    """
    names = [*types_of(engine, sample)]
    chosen = [*_given(names, wanted, where), *_context(names, wanted, where)]
    chosen += _events(names, wanted, where)
    taken = {choice.role for choice in chosen}
    open_roles = [role for role in names_of_roles() if getattr(wanted, role) is None and role not in taken]
    chosen += _by_name(
        engine, sample, open_roles, wanted, [name for name in names if name not in {c.column for c in chosen}]
    )
    chosen = [_with_hours(engine, sample, choice, names) for choice in chosen]
    roles = {choice.role for choice in chosen}
    if not roles & {"user", "item"} and len(names) <= MOST_GUESSED:
        left = [name for name in names if name not in {choice.column for choice in chosen}]
        chosen += _by_content(engine, sample, [role for role in open_roles if role not in roles], left)
    if {choice.role for choice in chosen} & {"user", "item"} == {"user"}:
        left = [name for name in names if name not in columns_of(chosen)]
        chosen += [*_by_ending(engine, sample, left)] or _by_place(left)
    for role in ("user", "item"):
        if role not in {choice.role for choice in chosen}:
            found = f"none of {listed(names)} is known to name the {role}" if names else "there are no columns"
            raise DataError(
                f"{where}: missing column: {found}; {setting(role, '...')}, or give `genre init` --column {role}=..."
            )
    return sorted(chosen, key=lambda choice: [*names_of_roles(), CONTEXT].index(choice.role))


def named_alike(wanted: Columns, names: Sequence[str]) -> Columns:
    """Prefer the column of items that a table of items has, too: reviews name a variant beside the product.

    Args:
        wanted: what the user says.
        names: the columns of the table of items.

    Returns:
        The same, where the user names the item; else with the names that items go by there before all others.
    """
    plain = {plain_name(name) for name in names}
    shared = tuple(known for known in names_of_roles()["item"] if known in plain)
    if wanted.item is not None or not shared:
        return wanted
    own = wanted.names or {}
    return replace(wanted, names=own | {"item": (*own.get("item", ()), *shared)})


def columns_of(chosen: Sequence[Chosen]) -> list[str]:
    """List the columns that have a role.

    Args:
        chosen: the choices.

    Returns:
        Their names.
    """
    return [name for choice in chosen for name in choice.columns]


def check_distinct(names: Sequence[str], where: str) -> None:
    """Check that no two columns have one name; capitals make no difference.

    Args:
        names: of the columns.
        where: what errors call the source.

    Raises:
        DataError: two have.
    """
    for name in names:
        alike = [other for other in names if other.lower() == name.lower()]
        spellings = dict.fromkeys(alike)
        if len(spellings) > 1:
            said = " and ".join(map(repr, spellings))
            raise DataError(f"{where}: columns {said} differ in capitals alone; rename one")
        if len(alike) > 1:
            raise DataError(f"{where}: column {name!r} appears {len(alike)} times; rename one")


def types_of(engine: DuckDB, table: str) -> dict[str, str]:
    """List the columns of a table.

    Args:
        engine: holds the table.
        table: its name.

    Returns:
        Name -> type in DuckDB, without `ROW`.
    """
    rows = engine.connection.execute(f"DESCRIBE {table}").fetchall()
    return {name: kind for name, kind, *_ in rows if name != ROW}


def _given(names: list[str], wanted: Columns, where: str) -> Iterator[Chosen]:
    for role in names_of_roles():
        column = getattr(wanted, role)
        if isinstance(column, str):
            if column not in names:
                raise DataError(f"{where}: missing column {column!r}{nearest(column, names)}; it has {listed(names)}")
            yield Chosen(role, column, "as given")


def _context(names: list[str], wanted: Columns, where: str) -> Iterator[Chosen]:
    for column in wanted.context or ():
        if column not in names:
            raise DataError(f"{where}: missing column {column!r}{nearest(column, names)}; it has {listed(names)}")
        yield Chosen(CONTEXT, column, "as given")


def _events(names: list[str], wanted: Columns, where: str) -> Iterator[Chosen]:
    """The column of kinds of events, which takes the place of the weights."""
    if wanted.event_kinds is None:
        if wanted.event is not None:
            raise DataError(f"{where}: event: {wanted.event!r} has no weights; {setting('event_kinds', '...')}")
        return
    if isinstance(wanted.weight, str):
        raise DataError(f"{where}: weight: {wanted.weight!r} and event_kinds both say what weighs; leave one out")
    known = [name for name in names if plain_name(name) in EVENT_NAMES.split()]
    if wanted.event is not None and wanted.event not in names:
        raise DataError(
            f"{where}: missing column {wanted.event!r}{nearest(wanted.event, names)}; it has {listed(names)}"
        )
    column = wanted.event or next(iter(known), None)
    if column is None:
        raise DataError(
            f"{where}: event_kinds: no column of {listed(names)} is known to hold them; {setting('event', '...')}"
        )
    yield Chosen("weight", column, "as given" if wanted.event else "by its name")


def listed(names: list[str]) -> str:
    """List names for a message.

    Args:
        names: of columns.

    Returns:
        The first twenty between quotes, and how many more there are.
    """
    return some_of([*map(repr, names)], 20)


def _by_name(engine: DuckDB, sample: str, roles: list[str], wanted: Columns, left: list[str]) -> Iterator[Chosen]:
    plain = {name: plain_name(name) for name in left}
    for role in roles:
        found: list[str] = []
        for known in (*(wanted.names or {}).get(role, ()), *names_of_roles()[role]):
            name = next((name for name, letters in plain.items() if letters == known), None)
            if name is not None and (role != "part" or _says_parts(engine, sample, name)):
                found.append(name)
        if found:
            column = _fullest(engine, sample, found, role) if len(found) > 1 else found[0]
            del plain[column]
            gaps = f"; {found[0]!r} has gaps" if column != found[0] else ""
            yield Chosen(role, column, f"by its name{gaps}")


def _by_place(left: list[str]) -> Iterator[Chosen]:
    """The item by the address or title of what it is, where no column is known to name it."""
    plain = {plain_name(name): name for name in reversed(left)}
    if known := next((known for known in PLACES if known in plain), None):
        yield _guessed("item", plain[known], "by its name, since none says more")


def _fullest(engine: DuckDB, sample: str, found: list[str], role: str) -> str:
    """The first column with values; of items and times one without gaps, since rows without either are dropped."""
    held = ", ".join(f"count(*) FILTER (trim(CAST({identifier(name)} AS VARCHAR)) <> '')" for name in found)
    counts = engine.one(f"SELECT {held} FROM {sample}")
    least = (1 - GAPS) * max(counts) if role in ("item", "timestamp") else 1
    return next((name for name, count in zip(found, counts, strict=True) if count >= max(least, 1)), found[0])


def _with_hours(engine: DuckDB, sample: str, choice: Chosen, names: list[str]) -> Chosen:
    """A time by its name, with both columns where one has the day and another one the hour."""
    named = [name for name in names if plain_name(name) in (*names_of_roles()["timestamp"], *HOUR_NAMES)]
    if choice.role != "timestamp" or not choice.why.startswith("by its name") or len(named) < 2:
        return choice

    def all_are(name: str, form: str) -> bool:
        text = f"trim(CAST({identifier(name)} AS VARCHAR))"
        query = (
            f"SELECT count(*), count(*) FILTER (regexp_full_match({text}, '{form}')) FROM {sample} WHERE {text} <> ''"
        )
        given, fit = engine.one(query)
        return bool(given) and given == fit

    hours = next((name for name in named if all_are(name, HOUR)), None)
    days = (name for name in named if all_are(name, DAY_ALONE) and plain_name(name) not in HOUR_NAMES)
    day = next(days, None) if hours is not None else None
    return choice if day is None else Chosen("timestamp", day, choice.why, hours=hours)


def _by_ending(engine: DuckDB, sample: str, left: Sequence[str]) -> Iterator[Chosen]:
    """The item, where one column only is called an id of something; ids of users, visits and rows are no items."""
    like = [name for name in left if re.search(r"(?i:[_\- ]id$)|[a-z]I[dD]$", name)]
    like = [name for name in like if not plain_name(name).startswith((*names_of_roles()["user"], *OF_VISITS))]
    like = [name for name in like if _repeats(engine, sample, name)]
    if len(like) == 1:
        yield Chosen("item", like[0], "the only other column of ids", guess=True)


def _repeats(engine: DuckDB, sample: str, column: str) -> bool:
    name = identifier(column)
    given, distinct = engine.one(f"SELECT count({name}), count(DISTINCT {name}) FROM {sample}")
    return int(distinct) < int(given)


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
        yield _guessed("timestamp", when, "it holds times")
    stars = next((name for name in left[2:] if "rating" in roles and looks_like_rating(engine, sample, name)), None)
    if stars is not None:
        left.remove(stars)
        yield _guessed("rating", stars, "it holds few different numbers")
    for role, why in (("user", "the first column"), ("item", "the column after it")):
        if role in roles and left:
            place = next((at for at, name in enumerate(left) if not _holds_fractions(engine, sample, name)), 0)
            yield _guessed(role, left[place], why + (", behind those of fractions" if place else ""))
            del left[: place + 1]


def _holds_fractions(engine: DuckDB, sample: str, column: str) -> bool:
    number = f"TRY_CAST(trim(CAST({identifier(column)} AS VARCHAR)) AS DOUBLE)"
    return bool(
        engine.one(
            f"SELECT bool_and(x IS NOT NULL) AND bool_or(x <> floor(x)) FROM (SELECT {number} AS x FROM {sample} "
            f"WHERE {identifier(column)} IS NOT NULL)"
        )[0]
    )


def _guessed(role: str, column: str, why: str) -> Chosen:
    """A column chosen by its content: a guess, unless the file has no header that names it."""
    return Chosen(role, column, why, guess=not re.fullmatch(r"column \d+", column))
