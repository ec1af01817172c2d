"""The same rows give the same Dataset, whatever holds them, in whatever order, in however many files."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import genre
from genre.data.dataset import Dataset
from genre.errors import DataWarning
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.sql import SQL
from postgres_server import PostgresServer

Columns_ = dict[str, list[Any]]
N = 400
DIALECTS = {"csv": ",", "tsv": "\t", "psv": "|", "txt": ";"}


def events(ids: str = "text") -> Columns_:
    """Ratings with repeated pairs, equal times and a rating without a user."""
    rng = np.random.default_rng(3)
    user, item = rng.integers(0, 30, N), rng.integers(0, 25, N)
    names = {"text": lambda n: f"Ä {n:02}, {n}", "zeros": lambda n: f"{n:03}", "whole": lambda n: str(n)}[ids]
    who: list[Any] = [names(int(one)) for one in user]
    return {
        "user_id": [None, *who[1:]],
        "item_id": [f"i{one}" for one in item],
        "rating": [float(one) for one in rng.integers(2, 11, N) / 2],
        "timestamp": [int(one) for one in 1_600_000_000 + rng.integers(0, 40, N) * 3600],
    }


GOODS = {"item_id": [f"i{n}" for n in range(30)], "title": [f"Tale {n}, the {n}th" for n in range(30)]}


def rows_of(columns: Columns_) -> list[tuple[Any, ...]]:
    return list(zip(*columns.values(), strict=True))


def to_text(columns: Columns_, by: str, path: Path) -> Path:
    frame = pd.DataFrame(columns)
    frame.to_csv(path, sep=by, index=False)
    return path


def to_json(columns: Columns_, path: Path) -> Path:
    lines = (json.dumps(dict(zip(columns, row, strict=True))) for row in rows_of(columns))
    path.write_text("\n".join(lines) + "\n")
    return path


def to_parquet(columns: Columns_, path: Path) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=100)
    return path


def to_sqlite(columns: Columns_, goods: Columns_, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE events (user_id TEXT, item_id TEXT, rating REAL, timestamp INTEGER)")
        database.execute("CREATE TABLE goods (item_id TEXT, title TEXT)")
        database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows_of(columns))
        database.executemany("INSERT INTO goods VALUES (?, ?)", rows_of(goods))
        database.commit()
    return path


def load(data: Any, **options: Any) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return genre.load(data, **options)


@pytest.mark.parametrize("ids", ["text", "zeros", "whole"])
def test_every_source_gives_the_same(tmp_path: Path, ids: str) -> None:
    columns, goods = events(ids), GOODS
    expected = load(columns, items=goods)
    assert len(expected) == N - 1 - sum(step.dropped for step in expected.report.steps[1:])
    found: dict[str, Dataset] = {}
    for form, by in DIALECTS.items():
        items = to_text(goods, by, tmp_path / f"goods.{form}")
        found[form] = load(to_text(columns, by, tmp_path / f"events.{form}"), items=items)
    found["gzip"] = load(to_text(columns, ",", tmp_path / "packed.csv.gz"), items=tmp_path / "goods.csv")
    found["Parquet"] = load(
        to_parquet(columns, tmp_path / "e.parquet"), items=to_parquet(goods, tmp_path / "g.parquet")
    )
    found["JSON lines"] = load(to_json(columns, tmp_path / "e.jsonl"), items=to_json(goods, tmp_path / "g.jsonl"))
    for frame in (pd.DataFrame, pl.DataFrame, pa.table):
        found[frame.__module__] = load(frame(columns), items=frame(goods))
    found["Polars, lazy"] = load(pl.DataFrame(columns).lazy(), items=pl.DataFrame(goods))
    categories = pd.DataFrame(columns).astype({"user_id": "category", "item_id": "category"})
    found["pandas, categories"] = load(categories, items=pd.DataFrame(goods))
    found["SQLite"] = load(SQL("events", items="goods", path=to_sqlite(columns, goods, tmp_path / "shop.sqlite")))
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as database:
        database.execute(f"CREATE TABLE events AS FROM '{tmp_path / 'e.parquet'}'")
        database.execute(f"CREATE TABLE goods AS FROM '{tmp_path / 'g.parquet'}'")
    found["DuckDB"] = load(SQL("events", items="goods", path=tmp_path / "shop.duckdb"))
    assert {form: data.fingerprint() for form, data in found.items()} == dict.fromkeys(found, expected.fingerprint())
    dropped = [[(step.name, step.reason, step.dropped) for step in data.report.steps] for data in found.values()]
    assert all(one == dropped[0] for one in dropped)


def test_postgres_gives_the_same(postgres_server: PostgresServer) -> None:
    import psycopg

    columns = events()
    with psycopg.connect(postgres_server.address, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS events")
        connection.execute("CREATE TABLE events (user_id TEXT, item_id TEXT, rating REAL, timestamp TIMESTAMPTZ)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO events VALUES (%s, %s, %s, to_timestamp(%s))", rows_of(columns))
    assert load(SQL("events", url=postgres_server.address)).fingerprint() == load(columns).fingerprint()


def test_a_time_is_the_same_in_every_form(tmp_path: Path) -> None:
    columns = events()
    expected = load(columns).fingerprint()
    moments = pd.to_datetime(pd.Series(columns["timestamp"]), unit="s")
    forms: dict[str, Any] = {
        "milliseconds": [one * 1000 for one in columns["timestamp"]],
        "text": [str(one) for one in columns["timestamp"]],
        "ISO": moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "day first": moments.dt.strftime("%d/%m/%Y %H:%M:%S"),
        "packed": moments.dt.strftime("%Y%m%d%H%M%S"),
        "datetime": moments,
        "a zone": moments.dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
        "half days": moments.dt.strftime("%m/%d/%Y %I:%M:%S %p"),
    }
    for form, values in forms.items():
        frame = pd.DataFrame({**columns, "timestamp": values})
        options = {"format": "%d/%m/%Y %H:%M:%S"} if form == "day first" else {}
        assert load(frame, columns=options).fingerprint() == expected, form
        frame.to_csv(tmp_path / "e.csv", index=False)
        assert load(tmp_path / "e.csv", columns=options).fingerprint() == expected, form
        if form in ("datetime", "a zone"):
            frame.to_parquet(tmp_path / "e.parquet")
            assert load(tmp_path / "e.parquet").fingerprint() == expected, form


CHANGES: dict[str, Callable[[Columns_], Columns_]] = {
    "reversed": lambda columns: {name: values[::-1] for name, values in columns.items()},
    "by user": lambda columns: taken(columns, sorted(range(N), key=lambda n: columns["user_id"][n] or "")),
    "shuffled": lambda columns: taken(columns, np.random.default_rng(7).permutation(N).tolist()),
    "doubled": lambda columns: {name: values * 2 for name, values in columns.items()},
    "each twice": lambda columns: taken(columns, [n // 2 for n in range(2 * N)]),
    "columns in another order": lambda columns: dict(reversed(columns.items())),
}


def taken(columns: Columns_, rows: list[int]) -> Columns_:
    return {name: [values[row] for row in rows] for name, values in columns.items()}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("cleaning", [{}, {"repeats": "max", "min_user_interactions": 8, "min_item_interactions": 9}])
def test_order_and_copies_of_rows_change_nothing(change: str, cleaning: dict[str, Any], tmp_path: Path) -> None:
    columns = events()
    made = CHANGES[change](columns)
    expected, found = (load(one, cleaning=Cleaning(**cleaning)) for one in (columns, made))
    assert found.fingerprint() == expected.fingerprint()
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (("time", {}), ("leave-one-out", {}), ("random", {"seed": 1}))
    for kind, options in kinds:
        one, other = (genre.split(data, kind, options) for data in (expected, found))
        for part, same in ((one.train, other.train), (one.test.target, other.test.target)):
            assert part.fingerprint() == same.fingerprint()


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_part_files_give_what_one_file_gives(tmp_path: Path, form: str) -> None:
    columns = events("whole")
    expected = load(columns).fingerprint()
    write: Callable[[Columns_, Path], Path] = {
        "csv": lambda some, path: to_text(some, ",", path), "parquet": to_parquet, "jsonl": to_json
    }[form]  # fmt: skip
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, start in enumerate(range(0, N, 90)):
        write({name: values[start : start + 90] for name, values in columns.items()}, folder / f"part-{number}.{form}")
    assert load(folder).fingerprint() == expected
    assert load(Files(f"{folder}/part-*.{form}")).fingerprint() == expected
    write({name: values[:50] for name, values in columns.items()}, folder / f"part-9.{form}")
    assert load(folder).fingerprint() == expected, "a file that is there twice adds nothing"


def test_ids_in_other_columns_are_found_by_their_name(tmp_path: Path) -> None:
    columns = events("zeros")
    renamed = {
        "who": columns["user_id"],
        "what": columns["item_id"],
        "how": columns["rating"],
        "when": columns["timestamp"],
    }
    said = Columns(user="who", item="what", rating="how", timestamp="when")
    assert load(to_text(renamed, ";", tmp_path / "e.csv"), columns=said).fingerprint() == load(columns).fingerprint()
