"""Fields of items and users inside the interactions, as in exports of one table: columns with one value per id.

Does not know where a table is from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from genre.display import counted
from genre.engines.duckdb import DuckDB, identifier
from genre.preprocessing.sources.columns import Chosen, Columns, choose, columns_of, types_of
from genre.preprocessing.sources.times import date_columns
from genre.preprocessing.sources.values import kind_of

Label = Literal["user", "item"]
ALIKE = 0.9
"""Share of the repeated rows of an id that must agree with its most frequent value."""
ALIKE_IN_SAMPLE = 0.8
"""The same in the first rows, which only tell whether the rest of a column is worth reading."""
EXPLAINED = 0.8
"""Share of the rows that differ from the most frequent value of all which the id must explain (Goodman and Kruskal's
lambda): a column that says `United Kingdom` nearly everywhere belongs to no item."""
FEWEST = 8
"""With fewer repeated rows of ids nothing is concluded."""
VALUES = 1 << 20
"""So many values are counted in one query: a wide table takes few, whose plans read the names of all its columns; a
long one takes one a column, so that the memory does not grow with their number."""


@dataclass(frozen=True)
class Agreement:
    """How far the values of a column depend on an id.

    Attributes:
        repeats: rows of an id beyond its first, over all ids, where the column has a value.
        alike: those that agree with the most frequent value of their id.
        common: share of the most frequent value of all.
        mixed: ids with several values.
    """

    repeats: int
    alike: int
    common: float
    mixed: int

    @property
    def explained(self) -> float:
        """The share of what varies that the id explains: 1 where each id has one value; at most 0: nothing."""
        if self.repeats < FEWEST or self.common == 1 or self.alike < ALIKE * self.repeats:
            return 0.0
        return 1 - (1 - self.alike / self.repeats) / (1 - self.common)

    @property
    def possible(self) -> bool:
        """Whether this, found in the first rows, may become a field."""
        return self.repeats - self.alike <= max(2, (1 - ALIKE_IN_SAMPLE) * self.repeats)


@dataclass(frozen=True)
class Field:
    """A column of the interactions that is a field of items or users.

    Attributes:
        label: `user` or `item`.
        column: its name.
        mixed: ids with several values, of which the most frequent counts.
        given: whether the user named it as the title.
    """

    label: Label
    column: str
    mixed: int
    given: bool

    def __str__(self) -> str:
        why = "the title as given" if self.given else f"one value per {self.label}"
        several = f"; {counted(self.mixed, self.label)} with several, the most frequent counts" if self.mixed else ""
        return f"field of {self.label}s: {self.column!r} ({why}{several})"


class ChosenColumns(NamedTuple):
    """What the columns of a table are.

    Attributes:
        chosen: the column of each role.
        fields: columns without a role that may hold one value per user or item; all rows decide later.
        unused: all columns without a role.
    """

    chosen: list[Chosen]
    fields: list[str]
    unused: list[str]

    @property
    def wanted(self) -> list[str]:
        """The columns to read."""
        return [*dict.fromkeys(columns_of(self.chosen)), *self.fields]


def choose_columns(engine: DuckDB, sample: str, wanted: Columns, where: str) -> ChosenColumns:
    """Choose a column for each role, and those that may be fields of users or items.

    Args:
        engine: holds the sample.
        sample: the name of a table with the first rows and all columns.
        wanted: what the user says of the columns.
        where: what errors call the source.

    Returns:
        The choices.

    Raises:
        DataError: there is no user or item, or a column that the user names is not there.
    """
    chosen = choose(engine, sample, wanted, where)
    taken, types = {*columns_of(chosen)}, types_of(engine, sample)
    unused = [name for name in types if name not in taken]
    ids = [identifier(choice.column) for choice in chosen if choice.role in ("user", "item")]
    readable = [name for name in unused if kind_of(types[name]) != "other" or types[name].endswith("]")]
    found = [agreements(engine, own, sample, readable) for own in ids]
    fields = [name for name in readable if name == wanted.title or any(one[name].possible for one in found)]
    if wanted.timestamp is None and all(choice.role != "timestamp" for choice in chosen):
        same = [name for name in readable if all(one[name].common == 1 for one in found)]  # other rows may differ
        of_ids = [name for name in readable if any(one[name].explained >= EXPLAINED for one in found)]
        likely = [name for name in readable if name not in of_ids and name not in same] + same
        dates = date_columns(engine, sample, likely)
        if dates:
            why = "it holds times" + "".join(f", as does {name!r}" for name in dates[1:])
            chosen.append(Chosen("timestamp", dates[0], why, guess=True))
            unused.remove(dates[0])
            fields = [name for name in fields if name != dates[0]]
    return ChosenColumns(chosen, fields, unused)


def choose_fields(
    engine: DuckDB, queries: dict[Label, str], columns: Sequence[str], title: str | Literal[False] | None
) -> Iterator[Field]:
    """Choose which columns are fields of items or users, over all rows.

    Args:
        engine: holds the rows.
        queries: `user` and `item`, where they have no table of their own, each with a SELECT of `id` and the columns.
        columns: those that may be fields.
        title: the column of titles, where the user names it.

    Yields:
        The fields.
    """
    found = {
        label: agreements(engine, "id", f"({query})", [name for name in columns if name != f"{label}_id"])
        for label, query in queries.items()
    }
    for column in columns:
        own = {label: one[column] for label, one in found.items() if column in one}
        if column == title and "item" in own:
            yield Field("item", column, own["item"].mixed, given=True)
        elif own:
            label = max(own, key=lambda label: (own[label].explained, label == "item"))
            if own[label].explained >= EXPLAINED:
                yield Field(label, column, own[label].mixed, given=False)


def most_frequent(query: str, column: str) -> str:
    """Write the query of the most frequent value of each id; of values as frequent the greatest.

    Args:
        query: a SELECT of the `id` and the column.
        column: the column.

    Returns:
        A SELECT of `id` and `value`.
    """
    counted = f"SELECT id, value, count(*) AS n FROM ({_one_field(query, column)}) WHERE value IS NOT NULL GROUP BY ALL"
    return f"SELECT id, arg_max(value, {{n: n, value: value}}) AS value FROM ({counted}) GROUP BY id"


def agreements(engine: DuckDB, own: str, table: str, columns: Sequence[str]) -> dict[str, Agreement]:
    """Measure how far the values of columns depend on an id.

    Args:
        engine: holds the rows.
        own: the column of the id, as SQL.
        table: what holds the rows, as SQL.
        columns: the columns; rows without a value, or without an id, do not count.

    Returns:
        The counts of each column.
    """
    found = {name: Agreement(0, 0, 1.0, 0) for name in columns}
    if not columns:
        return found
    width = max(1, VALUES // (engine.one(f"SELECT count(*) FROM {table}")[0] + 1))
    for start in range(0, len(columns), width):
        several = columns[start : start + width]
        texts = ", ".join(f"CAST({_value(name)} AS VARCHAR) AS c{at}" for at, name in enumerate(several))
        places = ", ".join(f"c{at}" for at in range(len(several)))
        counts = engine.arrow(
            f"WITH long AS (UNPIVOT (SELECT {own} AS id, {texts} FROM {table} WHERE {own} IS NOT NULL) ON {places} "
            "INTO NAME field VALUE value), counted AS (SELECT field, id, value, count(*) AS n FROM long GROUP BY ALL), "
            "ids AS (SELECT field, sum(n) AS n, max(n) AS most FROM counted GROUP BY field, id), "
            "sums AS (SELECT field, sum(n) AS n FROM counted GROUP BY field, value), "
            "common AS (SELECT field, max(n) AS common FROM sums GROUP BY field) "
            "SELECT field, sum(n - 1), sum(most - 1), count(*) FILTER (most < n), sum(n), any_value(common) "
            "FROM ids JOIN common USING (field) GROUP BY field"
        )
        for field, repeats, alike, mixed, n, most in zip(*(one.to_pylist() for one in counts.columns), strict=True):
            found[several[int(field[1:])]] = Agreement(int(repeats), int(alike), int(most) / int(n), int(mixed))
    return found


def _one_field(query: str, column: str) -> str:
    return f"SELECT id, {_value(column)} AS value FROM ({query})"


def _value(column: str) -> str:
    """A column without empty text."""
    name = identifier(column)
    return f"CASE WHEN trim(CAST({name} AS VARCHAR)) <> '' THEN {name} END"
