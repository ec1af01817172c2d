"""MovieLens folders in their published forms -> Tables. Does not know where a folder came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from genre.engines.duckdb import DuckDB, identifier, literal
from genre.errors import DataError
from genre.preprocessing.sources.delimited import read
from genre.preprocessing.sources.dialect import Layout
from genre.preprocessing.sources.open_files import opened, readable
from genre.preprocessing.sources.values import to_fields
from genre.preprocessing.tables import ROW, Tables

_GENRES_100K = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
)
_FLAGS = ", ".join(f"CASE {identifier(one)} WHEN '1' THEN {literal(one)} END" for one in _GENRES_100K.split())
RATINGS = ("user_id", "item_id", "rating", "timestamp")
FILMS = ("item_id", "title", "genres")
USERS = ("user_id", "age", "gender", "occupation", "zip_code")


@dataclass(frozen=True)
class Form:
    """How a set was published.

    Attributes:
        name: what the data is called.
        ratings: what separates the ratings.
        beside: what separates users and items.
        items: the file of items, then its columns.
        users: the file of users, then its columns; empty: there is none.
        title: the title as SQL.
        genres: the genres as SQL, joined by `, `.
        encoding: of the items.
        header: whether the first rows name the columns.
        without_users: what it is called where the file of users is not there; empty: it has to be.
    """

    name: str
    ratings: str
    beside: str
    items: tuple[str, ...]
    users: tuple[str, ...] = ()
    title: str = "title"
    genres: str = "replace(genres, '|', ', ')"
    encoding: str = "utf-8"
    header: bool = False
    without_users: str = ""


FORMS = {
    "u.data": Form(
        "movielens-100k",
        "\t",
        "|",
        ("u.item", "item_id", "title", "released", "video", "url", *_GENRES_100K.split()),
        ("u.user", *USERS),
        genres=f"concat_ws(', ', {_FLAGS})",
        encoding="latin-1",
    ),
    "ml-100k.inter": Form(
        "movielens-100k",
        "\t",
        "\t",
        ("ml-100k.item", "item_id", "title", "year", "genres"),
        ("ml-100k.user", *USERS),
        title="CASE title WHEN 'unkonwn' THEN 'unknown' ELSE title || ' (' || year || ')' END",
        genres="replace(genres, ' ', ', ')",
        header=True,
    ),
    "ratings.dat": Form(
        "movielens-1m",
        "::",
        "::",
        ("movies.dat", *FILMS),
        ("users.dat", "user_id", "gender", "age", "occupation", "zip_code"),
        encoding="latin-1",
        without_users="movielens-10m",
    ),
    "ratings.csv": Form(
        "movielens",
        ",",
        ",",
        ("movies.csv", *FILMS),
        genres="replace(replace(genres, '|', ', '), '(no genres listed)', '')",
        header=True,
    ),
}
"""The file of ratings -> the form that it is a sign of: 100K, RecBole's copy of it, 1M and 10M, all later ones."""


def read_movielens(engine: DuckDB, folder: Path) -> Tables:
    """Read a folder in the form of 100K, 1M or 10M, latest (also 20M and later), or RecBole's copy of 100K.

    Args:
        engine: reads the files.
        folder: where they are.

    Returns:
        The tables; items have the title as published (`Heat (1995)`), the year, and genres joined by `, `.

    Raises:
        DataError: the folder is in none of the forms.
    """
    sign = next((sign for sign in FORMS if (folder / sign).is_file()), None)
    if sign is None:
        raise DataError(f"{folder}: no MovieLens data here; expected one of {', '.join(FORMS)} in it")
    form = FORMS[sign]
    ratings = _read(engine, folder / sign, form.ratings, RATINGS, header=form.header)
    interactions = engine.keep(
        "SELECT trim(user_id) AS user_id, trim(item_id) AS item_id, TRY_CAST(rating AS DOUBLE) AS rating, "
        f"TRY_CAST(timestamp AS BIGINT) AS timestamp, {ROW} AS row FROM {ratings}"
    )
    wrong = engine.one(f"SELECT row FROM {interactions} WHERE rating IS NULL OR timestamp IS NULL ORDER BY row LIMIT 1")
    if wrong:
        raise DataError(f"{folder / sign}: not in its published form (row {wrong[0]}: no numbers); fetch it again")
    file, *columns = form.items
    films = _read(engine, folder / file, form.beside, columns, form.encoding, header=form.header)
    year = "TRY_CAST(regexp_extract(title, '.*\\((\\d{4})\\)', 1) AS BIGINT) AS year"
    items = engine.arrow(
        f"SELECT item_id, title, {year}, genres FROM (SELECT item_id, trim({form.title}) AS title, "
        f"coalesce({form.genres}, '') AS genres, {ROW} FROM {films}) ORDER BY {ROW}"
    )
    users: pa.Table | None = None
    if form.users and ((folder / form.users[0]).is_file() or not form.without_users):
        file, *columns = form.users
        people = _read(engine, folder / file, form.beside, columns, header=form.header)
        users = engine.arrow(f"SELECT * EXCLUDE ({ROW}) FROM {people} ORDER BY {ROW}")
        users = users.set_column(columns.index("age"), "age", to_fields(users["age"])).combine_chunks()
    return Tables(
        engine.frame(interactions),
        users=users,
        items=items,
        name=form.name if users is not None else form.without_users or form.name,
        calendar=True,
        rating_scale=(0.5, 5.0, 0.5) if users is None else (1.0, 5.0, 1.0),  # half stars came when users were left out
        positive_rating=4.0,
    )


def is_movielens(folder: Path) -> bool:
    """Tell whether a folder holds MovieLens data in one of its published forms.

    Args:
        folder: any folder.

    Returns:
        True where one of the telling files is in it, with the film's file beside it.
    """
    return any((folder / sign).is_file() and (folder / form.items[0]).is_file() for sign, form in FORMS.items())


def _read(
    engine: DuckDB, path: Path, separator: str, columns: Sequence[str], encoding: str = "utf-8", *, header: bool
) -> str:
    """The table of a delimited file with known columns; DataError naming the file and what is wrong in it."""
    with opened(path):
        pass
    place = readable(engine, path, encoding)
    look = Layout(path, place, separator, header, tuple(columns), encoding, '"' if separator == "," else "")
    table, _, rejected = read(engine, look, columns)
    if rejected:
        raise DataError(
            f"{path}: not in its published form (row {rejected[0].row}: {rejected[0].reason}); fetch it again"
        )
    return table
