"""One language of tables: the same steps give the same Dataset and the same report on DuckDB and on Polars."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from genre.engines.base import Engine, read_block
from genre.engines.duckdb import DuckDB
from genre.engines.spark import Spark
from genre.errors import ConfigError, DataError, NotAvailable
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.loading import read_and_clean
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.files import Files
from genre.preprocessing.tables import Tables
from polars_engine import Polars
from reading import shared_engine
from sizes import sized

USERS = ["u1", "u2", "10", "9", "٣", " a", "", None, "İ", "ß", "Z", "a", "é", "e\u0301", "😀", "\uffee"]
ITEMS = ["1", "2", "10", "09", "i", None, "٤", "B", "b", "1.0", "-1"]
STARS = [1.0, 2.5, 4.0, 5.0, 99.0, -7.0, 0.0, -0.0, math.nan, math.inf, -math.inf, None, 2.0000001]
TIMES = [1_600_000_000, 1_600_000_001, 0, -1, 253_402_300_799, None, -(2**63), 2**63 - 1, 1_700_000_000]
TYPES = {
    "user_id": pa.string(), "item_id": pa.string(), "rating": pa.float64(), "weight": pa.float64(),
    "timestamp": pa.int64(), "part": pa.string(), "trouble": pa.string(),
}  # fmt: skip

cells = {
    "user_id": st.sampled_from(USERS),
    "item_id": st.sampled_from(ITEMS),
    "rating": st.sampled_from(STARS),
    "weight": st.sampled_from([*STARS, 0.1, 0.2, 1e-300]),
    "timestamp": st.sampled_from(TIMES),
    "part": st.sampled_from(["train", "validation", "test"]),
    "trouble": st.sampled_from([None] * 12 + ["column 'rating': 'abc' is not a number"]),
}


@st.composite
def dirty(draw: st.DrawFn) -> tuple[dict[str, list[Any]], bool]:
    """Columns of a table with all that may be wrong in typed columns, some of its rows several times."""
    names = ["user_id", "item_id", *draw(st.sets(st.sampled_from(list(cells)[2:])))]
    few = draw(st.integers(2, len(USERS)))
    rows = draw(st.lists(st.tuples(*(cells[name] for name in names)), min_size=1, max_size=60))
    if few < 8:  # clean ids, so that a core of users and items is left
        rows = [(f"{few + n % 3}", f"{n % 4}", *row[2:]) for n, row in enumerate(rows)]
    rows += draw(st.lists(st.sampled_from(rows), max_size=15))
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), draw(st.booleans())


cleanings = st.builds(
    Cleaning,
    repeats=st.sampled_from(["first", "last", "max", "sum", "all"]),
    outliers=st.sampled_from(["drop", "keep"]),
    bad_rows=st.sampled_from([0.05, 1.0]),
    min_user_interactions=st.integers(0, 3),
    min_item_interactions=st.integers(0, 3),
    max_user_interactions=st.sampled_from([None, None, 5, 20]),
    min_rating=st.sampled_from([None, None, 2.0]),
)
known = st.none() | st.just(
    pa.table({"item_id": ["1", "2", "cold", "10", None, "1"], "title": ["a", "b", "c", "d", "e", "f"]})
)


def outcome(engine: Engine, columns: dict[str, list[Any]], calendar: Any, items: Any, cleaning: Cleaning) -> Any:
    """The fingerprint and the whole report, or the error."""
    table = pa.table({name: pa.array(values, TYPES[name]) for name, values in columns.items()})
    try:
        dataset, report = prepare(Tables(engine.read(table), items=items, calendar=calendar), engine, cleaning)
    except DataError as error:
        return str(error)
    return dataset.fingerprint(), report.as_dict(), dataset.user_ids.values.to_pylist()


@settings(max_examples=sized(15, 1000), deadline=None)
@given(given_=dirty(), items=known, cleaning=cleanings)
def test_both_engines_give_the_same(given_: Any, items: Any, cleaning: Cleaning) -> None:
    columns, calendar = given_
    note(f"{columns}\n{calendar} {items} {cleaning}")
    assert outcome(shared_engine(), columns, calendar, items, cleaning) == outcome(
        Polars(), columns, calendar, items, cleaning
    )


@settings(max_examples=sized(6, 500), deadline=None)
@given(given_=dirty(), cleaning=cleanings, seed=st.randoms(use_true_random=False))
def test_the_order_of_rows_is_no_value(given_: Any, cleaning: Cleaning, seed: Any) -> None:
    columns, calendar = given_
    if "timestamp" not in columns:
        columns["timestamp"] = [1_600_000_000 + n for n in range(len(columns["user_id"]))]
    order = list(range(len(columns["user_id"])))
    seed.shuffle(order)
    moved = {name: [values[place] for place in order] for name, values in columns.items()}
    one, other = (outcome(shared_engine(), some, calendar, None, cleaning) for some in (columns, moved))
    assert isinstance(one, str) == isinstance(other, str)
    assert isinstance(one, str) or one[0] == other[0]


def test_the_engine_prints_nothing_between_the_results_of_a_command() -> None:
    with DuckDB() as engine:
        assert engine.one("SELECT current_setting('enable_progress_bar')") == (False,)


def test_blocks_without_rows_have_no_file(tmp_path: Path) -> None:
    """Users 0 and 1 are of the first block of two, user 9 of the fifth; those between have no rows."""
    schema = pa.schema([("user", pa.int64()), ("item", pa.int64())])
    with DuckDB(threads=1) as engine:
        frame = engine.read(pa.table({"user": [9, 1, 0], "item": [3, 2, 1]}, schema=schema))
        files = [*engine.map_blocks(lambda table: table, frame, schema, by="user", size=2, to=tmp_path)]
        assert [read_block(file).to_pydict() for file in files] == [
            {"user": [0, 1], "item": [1, 2]},
            {"user": [9], "item": [3]},
        ]
        none = engine.read(pa.table({"user": [], "item": []}, schema=schema))
        assert [*engine.map_blocks(lambda table: table, none, schema, by="user", size=2, to=tmp_path)] == []


def test_a_frame_is_converted_to_parquet(tmp_path):
    table = pa.table({"user_id": ["a", None, "\u00e9"], "timestamp": [3, 1, None]})
    with DuckDB() as engine:
        engine.convert(engine.read(table), tmp_path / "made")
    assert pq.read_table(tmp_path / "made").to_pylist() == [
        {"user_id": "a", "timestamp": 3, "row": 1},
        {"user_id": None, "timestamp": 1, "row": 2},
        {"user_id": "\u00e9", "timestamp": None, "row": 3},
    ]


def test_spark_says_what_is_missing(monkeypatch, tmp_path):
    engine = Spark(shared=str(tmp_path / "shared"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with engine, pytest.raises(NotAvailable, match=r"genre-rec\[spark\]"):
        engine.read(pa.table({"user_id": ["a"]}))
    assert [*(tmp_path / "shared").iterdir()] == []  # its folder is gone


def test_sources_are_cleaned_on_no_engine_of_another_kind(tmp_path):
    with pytest.raises(ConfigError, match="duckdb or spark"):
        read_and_clean(Files(tmp_path / "i.csv"), Polars(), None)
