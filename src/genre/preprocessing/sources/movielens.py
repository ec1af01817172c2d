"""MovieLens folders in their published forms -> Tables. Does not know where a folder came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from genre.engines.duckdb import DuckDB
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
_YEAR = re.compile(r"\((\d{4})\)(?!.*\(\d{4}\))")


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
    for sign, form in _FORMS.items():
        if (folder / sign).is_file():
            return form(engine, folder)
    raise DataError(f"{folder}: no MovieLens data here; expected one of {', '.join(_FORMS)} in it")


def is_movielens(folder: Path) -> bool:
    """Tell whether a folder holds MovieLens data in one of its published forms.

    Args:
        folder: any folder.

    Returns:
        True where one of the telling files is in it, with the film's file beside it.
    """
    beside = {
        "u.data": "u.item",
        "ml-100k.inter": "ml-100k.item",
        "ratings.dat": "movies.dat",
        "ratings.csv": "movies.csv",
    }
    return any((folder / sign).is_file() and (folder / other).is_file() for sign, other in beside.items())


def _read_100k(engine: DuckDB, folder: Path) -> Tables:
    interactions = _ratings(engine, folder / "u.data", "\t")
    users = _rows(engine, folder / "u.user", "|", (*_USERS, "zip_code"))
    known = _GENRES_100K.split()
    names = ["item_id", "title", "released", "video", "url", *(f"genre {name}" for name in known)]
    items = _rows(engine, folder / "u.item", "|", names, encoding="latin-1")
    flags = [items[f"genre {name}"].to_pylist() for name in known]
    genres = [
        ", ".join(name for name, flag in zip(known, row, strict=True) if flag == "1")
        for row in zip(*flags, strict=True)
    ]
    titles = [title.strip() for title in items["title"].to_pylist()]
    return _tables(
        engine, "movielens-100k", interactions, users, _items(items["item_id"], titles, genres), (1.0, 5.0, 1.0)
    )


def _read_recbole(engine: DuckDB, folder: Path) -> Tables:
    """RecBole's copy splits `Heat (1995)` into title and year and misspells the one unknown film."""
    interactions = _ratings(engine, folder / "ml-100k.inter", "\t", header=True)
    users = _rows(engine, folder / "ml-100k.user", "\t", (*_USERS, "zip_code"), header=True)
    parts = ("item_id", "title", "year", "genres")
    items = _rows(engine, folder / "ml-100k.item", "\t", parts, header=True)
    titles = [
        "unknown" if title == "unkonwn" else f"{title} ({year})"
        for title, year in zip(items["title"].to_pylist(), items["year"].to_pylist(), strict=True)
    ]
    genres = [", ".join((genre or "").split(" ")) for genre in items["genres"].to_pylist()]
    return _tables(
        engine, "movielens-100k", interactions, users, _items(items["item_id"], titles, genres), (1.0, 5.0, 1.0)
    )


def _read_1m(engine: DuckDB, folder: Path) -> Tables:
    """Also 10M, whose ratings go by halves and which has no users file."""
    interactions = _ratings(engine, folder / "ratings.dat", "::")
    columns = ("user_id", "gender", "age", "occupation", "zip_code")
    path = folder / "users.dat"
    users = _rows(engine, path, "::", columns) if path.is_file() else None
    items = _rows(engine, folder / "movies.dat", "::", ("item_id", "title", "genres"), "latin-1")
    halves = users is None
    genres = [(genre or "").replace("|", ", ") for genre in items["genres"].to_pylist()]
    scale = (0.5, 5.0, 0.5) if halves else (1.0, 5.0, 1.0)
    films = _items(items["item_id"], items["title"].to_pylist(), genres)
    return _tables(engine, "movielens-10m" if halves else "movielens-1m", interactions, users, films, scale)


def _read_latest(engine: DuckDB, folder: Path) -> Tables:
    interactions = _ratings(engine, folder / "ratings.csv", ",", header=True)
    items = _rows(engine, folder / "movies.csv", ",", ("item_id", "title", "genres"), header=True)
    genres = [
        (genre or "").replace("|", ", ").replace("(no genres listed)", "") for genre in items["genres"].to_pylist()
    ]
    films = _items(items["item_id"], [title.strip() for title in items["title"].to_pylist()], genres)
    return _tables(engine, "movielens", interactions, None, films, (0.5, 5.0, 0.5))


_FORMS: dict[str, Callable[[DuckDB, Path], Tables]] = {
    "u.data": _read_100k,
    "ml-100k.inter": _read_recbole,
    "ratings.dat": _read_1m,
    "ratings.csv": _read_latest,
}
_USERS = ("user_id", "age", "gender", "occupation")
_RATINGS = ("user_id", "item_id", "rating", "timestamp")


def _read_text(
    engine: DuckDB, path: Path, separator: str, columns: Sequence[str], encoding: str, *, header: bool
) -> str:
    """The table of a delimited file with known columns; DataError naming the file and what is wrong in it."""
    with opened(path):
        pass
    place = str(path) if encoding == "utf-8" else readable(engine, path, encoding)
    look = Layout(path, place, separator, header, tuple(columns), encoding, '"' if separator == "," else "")
    table, _, rejected = read(engine, look, columns)
    if rejected:
        raise DataError(
            f"{path}: not in its published form (row {rejected[0].row}: {rejected[0].reason}); fetch it again"
        )
    return table


def _ratings(engine: DuckDB, path: Path, separator: str, *, header: bool = False) -> str:
    """The table of ratings, its numbers read."""
    table = _read_text(engine, path, separator, _RATINGS, "utf-8", header=header)
    read = engine.keep(
        "SELECT trim(user_id) AS user_id, trim(item_id) AS item_id, TRY_CAST(rating AS DOUBLE) AS rating, "
        f"TRY_CAST(timestamp AS BIGINT) AS timestamp, {ROW} AS row FROM {table}"
    )
    wrong = engine.one(f"SELECT row FROM {read} WHERE rating IS NULL OR timestamp IS NULL ORDER BY row LIMIT 1")
    if wrong:
        raise DataError(f"{path}: not in its published form (row {wrong[0]}: no numbers); fetch it again")
    return read


def _rows(
    engine: DuckDB, path: Path, separator: str, columns: Sequence[str], encoding: str = "utf-8", *, header: bool = False
) -> pa.Table:
    """A table of users or items, every column as text."""
    table = _read_text(engine, path, separator, columns, encoding, header=header)
    return engine.arrow(f"SELECT * EXCLUDE ({ROW}) FROM {table} ORDER BY {ROW}")


def _items(ids: pa.ChunkedArray, titles: list[str], genres: list[str]) -> pa.Table:
    found = [_YEAR.search(title) for title in titles]
    return pa.table(
        {
            "item_id": ids.combine_chunks(),
            "title": titles,
            "year": pa.array([int(year[1]) if year else None for year in found], pa.int64()),
            "genres": genres,
        }
    )


def _tables(
    engine: DuckDB,
    name: str,
    interactions: str,
    users: pa.Table | None,
    items: pa.Table,
    scale: tuple[float, float, float],
) -> Tables:
    if users is not None:
        ages = users.column_names.index("age")
        users = users.set_column(ages, "age", to_fields(users["age"])).combine_chunks()
    return Tables(
        engine.frame(interactions),
        users=users,
        items=items,
        name=name,
        calendar=True,
        rating_scale=scale,
        positive_rating=4.0,
    )
