"""Tables: what every source delivers, under one set of column names. Does not know about files or cleaning."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from genre.engines.base import Frame

PARTS = ("train", "validation", "test")
"""What the `part` of an interaction may say, in this order."""


ROW = "row_of_source"
"""The column that sources add to theirs: the place of a row, from 1. No column of a file may have this name."""

ROWS_A_FILE = 1 << 40
"""The `row` of interactions is the number of their file times this, plus their place in it."""

NO_VALUE = "\\N"
"""How MySQL, PostgreSQL and Hive write a cell without a value."""


@dataclass(frozen=True)
class Rejected:
    """A row that could not be read as a row.

    Attributes:
        where: the file.
        row: its number in the file, from 1, the header not counted.
        reason: what is wrong with it.
        text: the row as it stands in the file, shortened.
    """

    where: str
    row: int
    reason: str
    text: str


@dataclass(frozen=True, eq=False)
class Tables:
    """Interactions, and what is known of users and items, before cleaning.

    Attributes:
        interactions: a lazy frame of `user_id`, `item_id` (text), `row` (int64: the place in the source, from 1; see
            `ROWS_A_FILE`), and where known `rating`, `weight` (float64), `timestamp` (int64: seconds since 1970, or an
            order), `moment` (int64: nanoseconds, where fractions of a second are known), `part` (text: train,
            validation or test, for data that comes with its split), `context` (text: a JSON list with the value of each
            column of `context`), and `trouble` (text: a cell that cannot be read).
        users: `user_id`, then any other columns. None: only the ids are known.
        items: `item_id`, then any other columns. None: only the ids are known.
        name: what the data is called.
        notes: one line a column: what it was read as and why.
        guesses: the notes that are guesses: a setting of `columns` overrides each.
        rejected: rows that could not be read as rows.
        calendar: whether timestamps are seconds since 1970, not only an order.
        ordered: whether the place of a row in the source is its time.
        columns: names of all columns as the source has them, as `plain_name` writes them.
        unused: columns of all files of interactions that have no role, as the source names them.
        files: what errors call each file of interactions, in the order of their numbers.
        rating_scale: lowest rating, highest rating and step, where the owner of the data states them.
        positive_rating: from here on a rating is a like, where the owner of the data states it.
        context: the columns with the circumstances of interactions, such as a device.
    """

    interactions: Frame
    users: pa.Table | None = None
    items: pa.Table | None = None
    name: str = "data"
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    calendar: bool = False
    ordered: bool = False
    columns: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    rating_scale: tuple[float, float, float] | None = None
    positive_rating: float | None = None
    context: tuple[str, ...] = ()


def untyped_name(name: str) -> str:
    """Remove the type that RecBole's headers add to a column's name.

    Args:
        name: a column's name, such as `user_id:token`.

    Returns:
        The name without type and blanks: `user_id`.
    """
    return re.sub(r":(token|float)(_seq)?$", "", name.strip())


def plain_name(name: str) -> str:
    """Reduce a column's name to its letters and digits, in lower case.

    Args:
        name: a column's name, such as `User-ID`.

    Returns:
        The reduced name: `userid`.
    """
    return re.sub(r"[^a-z0-9]", "", untyped_name(name).lower())
