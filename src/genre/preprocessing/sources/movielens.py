"""MovieLens folders in their published forms -> Tables. Knows nothing about where a folder came from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from genre.errors import DataError
from genre.preprocessing.sources.delimited import Layout, read
from genre.preprocessing.tables import Tables

_GENRES_100K = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
)
_YEAR = re.compile(r"\((\d{4})\)(?!.*\(\d{4}\))")


def read_movielens(folder: Path) -> Tables:
    """Tables of a folder in the form of 100K, 1M or 10M, latest (also 20M and later), or RecBole's copy of 100K.

    Items: title with the year as published (`Heat (1995)`), year, genres joined by `, `. Raises DataError when the
    folder is in none of the forms.
    """
    for sign, form in _FORMS.items():
        if (folder / sign).is_file():
            return form(folder)
    raise DataError(f"{folder}: no MovieLens data here; expected one of {', '.join(_FORMS)} in it")


def _read_100k(folder: Path) -> Tables:
    interactions = _rows(folder / "u.data", "\t", _RATINGS)
    users = _rows(folder / "u.user", "|", {**_USERS, "zip_code": pa.string()})
    known = _GENRES_100K.split()
    names = ["item_id", "title", "released", "video", "url", *(f"genre {name}" for name in known)]
    items = _rows(folder / "u.item", "|", dict.fromkeys(names, pa.string()), encoding="latin-1")
    flags = [items[f"genre {name}"].to_pylist() for name in known]
    genres = [
        ", ".join(name for name, flag in zip(known, row, strict=True) if flag == "1")
        for row in zip(*flags, strict=True)
    ]
    titles = [title.strip() for title in items["title"].to_pylist()]
    return _tables("movielens-100k", interactions, users, _items(items["item_id"], titles, genres), (1.0, 5.0, 1.0))


def _read_recbole(folder: Path) -> Tables:
    """RecBole's copy splits `Heat (1995)` into title and year and misspells the one unknown film."""
    interactions = _rows(folder / "ml-100k.inter", "\t", _RATINGS, header=True)
    users = _rows(folder / "ml-100k.user", "\t", {**_USERS, "zip_code": pa.string()}, header=True)
    parts = dict.fromkeys(("item_id", "title", "year", "genres"), pa.string())
    items = _rows(folder / "ml-100k.item", "\t", parts, header=True)
    titles = [
        "unknown" if title == "unkonwn" else f"{title} ({year})"
        for title, year in zip(items["title"].to_pylist(), items["year"].to_pylist(), strict=True)
    ]
    genres = [", ".join(text.split(" ")) for text in items["genres"].to_pylist()]
    return _tables("movielens-100k", interactions, users, _items(items["item_id"], titles, genres), (1.0, 5.0, 1.0))


def _read_1m(folder: Path) -> Tables:
    """Also 10M, whose ratings go by halves and which has no users file."""
    interactions = _rows(folder / "ratings.dat", "::", _RATINGS)
    columns = {"user_id": pa.string(), "gender": pa.string(), "age": pa.int64(), "occupation": pa.string()}
    path = folder / "users.dat"
    users = _rows(path, "::", {**columns, "zip_code": pa.string()}) if path.is_file() else None
    items = _rows(folder / "movies.dat", "::", dict.fromkeys(("item_id", "title", "genres"), pa.string()), "latin-1")
    halves = users is None
    genres = [text.replace("|", ", ") for text in items["genres"].to_pylist()]
    scale = (0.5, 5.0, 0.5) if halves else (1.0, 5.0, 1.0)
    films = _items(items["item_id"], items["title"].to_pylist(), genres)
    return _tables("movielens-10m" if halves else "movielens-1m", interactions, users, films, scale)


def _read_latest(folder: Path) -> Tables:
    interactions = _rows(folder / "ratings.csv", ",", _RATINGS, header=True)
    items = _rows(folder / "movies.csv", ",", dict.fromkeys(("item_id", "title", "genres"), pa.string()), header=True)
    genres = [text.replace("|", ", ").replace("(no genres listed)", "") for text in items["genres"].to_pylist()]
    films = _items(items["item_id"], [title.strip() for title in items["title"].to_pylist()], genres)
    return _tables("movielens", interactions, None, films, (0.5, 5.0, 0.5))


_FORMS: dict[str, Callable[[Path], Tables]] = {
    "u.data": _read_100k,
    "ml-100k.inter": _read_recbole,
    "ratings.dat": _read_1m,
    "ratings.csv": _read_latest,
}
_ID = pa.dictionary(pa.int32(), pa.string())
_RATINGS = {"user_id": _ID, "item_id": _ID, "rating": pa.float32(), "timestamp": pa.int64()}
_USERS = {"user_id": pa.string(), "age": pa.int64(), "gender": pa.string(), "occupation": pa.string()}


def _rows(
    path: Path, separator: str, columns: dict[str, pa.DataType], encoding: str = "utf8", *, header: bool = False
) -> pa.Table:
    """A delimited file with known columns; DataError naming the file and what is wrong in it."""
    try:
        return read(Layout(path, separator, header, tuple(columns), encoding, separator == ","), columns)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not in its published form ({error}); fetch it again") from error


def _items(ids: pa.ChunkedArray, titles: list[str], genres: list[str]) -> pa.Table:
    found = [_YEAR.search(title) for title in titles]
    return pa.table(
        {
            "item_id": pc.cast(ids, pa.string()).combine_chunks(),
            "title": titles,
            "year": pa.array([int(year[1]) if year else None for year in found], pa.int64()),
            "genres": genres,
        }
    )


def _tables(
    name: str, interactions: pa.Table, users: pa.Table | None, items: pa.Table, scale: tuple[float, float, float]
) -> Tables:
    return Tables(
        interactions,
        users=None if users is None else users.combine_chunks(),
        items=items,
        name=name,
        rating_scale=scale,
        positive_rating=4.0,
    )
