"""Files that go wrong silently, each with the right value: ids, quotes, times, numbers, nested columns, long texts."""

from __future__ import annotations

import functools
import json
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

import genre
from genre.data.dataset import Dataset
from genre.errors import DataError, DataWarning
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.sql import SQL
from sizes import sized

Write = Callable[..., Path]
START = 1_600_000_000


def load(data: Any, **options: Any) -> Dataset:
    """`genre.load`; what it warns of is looked at in other tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return genre.load(data, **options)


def pairs(data: Dataset) -> list[tuple[str, str]]:
    """User and item of every interaction, in the order of the Dataset."""
    return list(zip(data.user_ids.take(data.user), data.item_ids.take(data.item), strict=True))


def titles(data: Dataset) -> dict[str, str]:
    return dict(zip(data.item_ids.values.to_pylist(), data.titles(), strict=True))


def times(data: Dataset) -> list[int]:
    assert data.timestamp is not None
    return [int(time) for time in data.timestamp]


def ratings(data: Dataset) -> list[float]:
    assert data.rating is not None
    return [float(rating) for rating in data.rating]


def facts(data: Dataset) -> str:
    return "\n".join(data.report.facts)


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


def loaded(data: Any, **options: Any) -> tuple[Dataset | None, str]:
    """The Dataset, or the error."""
    try:
        return load(data, **options), ""
    except DataError as error:
        return None, str(error)


def rows_or_error(data: Any, expected: list[tuple[str, str]], row: str, **options: Any) -> None:
    """Either every row is there, or an error names the row; none is lost in silence."""
    found, error = loaded(data, **options)
    assert row in error if found is None else sorted(pairs(found)) == sorted(expected)


# --- ids that a table of items or users rewrites -------------------------------------------------------

LARGE = "1234567890123456789"
NEXT = "1234567890123456790"
SHOP = [("u1", "17"), ("u1", LARGE), ("u2", "18"), ("u2", LARGE), ("u3", "17"), ("u3", "18")]
GOODS = {"17": "Alpha tale", "18": "Beta tale", LARGE: "Gamma tale", NEXT: "Delta tale"}


def as_text(rows: list[tuple[Any, ...]], names: str, by: str = ",") -> str:
    lines = [names.replace(",", by), *(by.join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def table_in(form: str, folder: Path, name: str, columns: dict[str, list[Any]]) -> Any:
    """The same columns as a file of some form or a frame; None stays empty."""
    place = folder / f"{name}.{form}"
    if form in ("csv", "tsv", "psv"):
        by = {"csv": ",", "tsv": "\t", "psv": "|"}[form]
        cells = [["" if value is None else value for value in column] for column in columns.values()]
        place.write_text(as_text(list(zip(*cells, strict=True)), ",".join(columns), by))
    elif form == "jsonl":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "parquet":
        pq.write_table(pa.table(columns), place)
    elif form == "pandas":
        return pd.DataFrame(columns)
    elif form == "polars":
        return pl.DataFrame(columns)
    return place


@pytest.mark.parametrize("kind", [str, int])
@pytest.mark.parametrize("form", ["csv", "tsv", "psv", "jsonl", "parquet", "pandas", "polars"])
def test_a_table_of_items_never_rewrites_ids(tmp_path: Path, form: str, kind: type) -> None:
    user, item = zip(*SHOP, strict=True)
    events = table_in(form, tmp_path, "i", {"user_id": [*user], "item_id": [kind(one) for one in item]})
    goods = table_in(form, tmp_path, "t", {"item_id": [kind(one) for one in GOODS], "title": [*GOODS.values()]})
    data = load(events, items=goods)
    assert titles(data) == GOODS
    assert genre.Popularity().fit(data).recommend(["17"], k=5).ids()[0] in (LARGE, "18")


def test_databases_keep_ids_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    for kind in ("TEXT", "INTEGER"):
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TABLE IF EXISTS i")
            database.execute("DROP TABLE IF EXISTS t")
            database.execute(f"CREATE TABLE i (user_id TEXT, item_id {kind})")
            database.execute(f"CREATE TABLE t (item_id {kind}, title TEXT)")
            database.executemany("INSERT INTO i VALUES (?, ?)", SHOP)
            database.executemany("INSERT INTO t VALUES (?, ?)", GOODS.items())
            database.commit()
        assert titles(load(SQL("i", items="t", path=path))) == GOODS
    for kind in ("VARCHAR", "BIGINT", "HUGEINT", "DECIMAL(20, 0)"):
        shop = tmp_path / f"{kind[:4]}.duckdb"
        with duckdb.connect(str(shop)) as database:
            database.execute(f"CREATE TABLE i (user_id VARCHAR, item_id {kind})")
            database.execute(f"CREATE TABLE t (item_id {kind}, title VARCHAR)")
            database.executemany("INSERT INTO i VALUES (?, ?)", SHOP)
            database.executemany("INSERT INTO t VALUES (?, ?)", [*GOODS.items()])
        assert titles(load(SQL("i", items="t", path=shop))) == GOODS


def test_ids_of_nineteen_digits_join_in_both_tables(write: Write) -> None:
    events = write("i.csv", f"user_id,item_id\n{LARGE},{NEXT}\n{NEXT},{LARGE}\n")
    goods = write("t.csv", f"item_id,title\n{LARGE},Alpha\n{NEXT},Beta\n")
    people = write("u.csv", f"user_id,age\n{LARGE},31\n{NEXT},32\n")
    data = load(events, items=goods, users=people)
    assert titles(data) == {LARGE: "Alpha", NEXT: "Beta"}
    assert data.users.to_pylist() == [{"user_id": LARGE, "age": 31}, {"user_id": NEXT, "age": 32}]


def test_decimal_codes_are_three_items(write: Write) -> None:
    events = write("i.csv", "user_id,item_id\nu1,1.10\nu1,1.20\nu2,1.10\nu2,1.1\n")
    goods = write("t.csv", "item_id,title\n1.10,Alpha tale\n1.20,Beta tale\n1.1,Gamma tale\n")
    assert titles(load(events, items=goods)) == {"1.1": "Gamma tale", "1.10": "Alpha tale", "1.20": "Beta tale"}


@pytest.mark.parametrize(
    "ids",
    [
        ["007", "7", "07"],
        ["1e5", "100000", "1E5"],
        ["NA", "null", "None"],
        ["true", "false", "TRUE"],
        ["2020-01-01", "2020-01-02", "2020-1-1"],
        [str(10**30), str(10**30 + 1), "1"],
        ["1_000", "1,000", "1000"],
        ["0x10", "16", "1.0.0"],
        ["-1", "+1", "1"],
        ["a b", "a  b", "A b"],
        ["1.5", "1.0", "1"],
        ["Inf", "NaN", "-"],
        ["\u00e9", "e\u0301", "\u00df"],
    ],
)
def test_ids_are_text_in_every_table(tmp_path: Path, ids: list[str]) -> None:
    events = tmp_path / "i.csv"
    events.write_text("user_id,item_id\n" + "".join(f'"{one}","{other}"\n' for one in ids for other in ids))
    goods, people = tmp_path / "t.csv", tmp_path / "u.csv"
    goods.write_text("title,item_id\n" + "".join(f'Tale {n},"{one}"\n' for n, one in enumerate(ids)))
    people.write_text("user_id,age\n" + "".join(f'"{one}",{n}\n' for n, one in enumerate(ids)))
    data = load(events, items=goods, users=people)
    assert titles(data) == {one: f"Tale {n}" for n, one in enumerate(ids)}
    ages = dict(zip(data.users["user_id"].to_pylist(), data.users["age"].to_pylist(), strict=True))
    assert ages == {one: n for n, one in enumerate(ids)}
    assert len(data) == len(ids) ** 2


def test_text_and_numbers_of_two_forms_join(tmp_path: Path, write: Write) -> None:
    events = write("i.csv", "user_id,item_id\nu,17\nv,18\n")
    for form in ("parquet", "jsonl"):
        goods = table_in(form, tmp_path, "t", {"item_id": [17, 18], "title": ["Alpha", "Beta"]})
        assert titles(load(events, items=goods)) == {"17": "Alpha", "18": "Beta"}
    floats = pd.DataFrame({"item_id": [17.0, 18.0], "title": ["Alpha", "Beta"]})
    assert titles(load(pd.read_csv(events), items=floats)) == {"17": "Alpha", "18": "Beta"}


# --- ids such as 196.0 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "jsonl", "pandas", "polars"])
@pytest.mark.parametrize("written", ["both", "interactions", "items"])
def test_whole_numbers_with_a_point_are_whole_in_every_table(tmp_path: Path, form: str, written: str) -> None:
    def ids(where: str, *numbers: int) -> list[Any]:
        return [float(number) if written in ("both", where) else number for number in numbers]

    events = {"user_id": [1, 1, 2], "item_id": ids("interactions", 196, 197, 196), "rating": [5, 4, 3]}
    goods = {"item_id": ids("items", 196, 197), "title": ["Alpha tale", "Beta tale"]}
    data = load(table_in(form, tmp_path, "i", events), items=table_in(form, tmp_path, "t", goods))
    assert titles(data) == {"196": "Alpha tale", "197": "Beta tale"}


def test_real_ids_of_databases_are_whole(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database:
        database.execute("CREATE TABLE i (user_id REAL, item_id REAL)")
        database.executemany("INSERT INTO i VALUES (?, ?)", [(1, 196), (2, 197), (2, 1e15)])
        database.commit()
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as database:
        database.execute("CREATE TABLE i AS SELECT * FROM (VALUES (1.0::DOUBLE, 196.0::DOUBLE), (2, 197), (2, 1e15))")
    for name in ("shop.sqlite", "shop.duckdb"):
        data = load(SQL("i", path=tmp_path / name))
        assert data.user_ids.values.to_pylist() == ["1", "2"]
        assert data.item_ids.values.to_pylist() == ["196", "197", "1000000000000000"]


@pytest.mark.parametrize("test", ["1,198.0\n2,197.0\n3,\n", "1,198\n2,197\n"])
def test_train_and_test_files_have_one_kind_of_ids(write: Write, test: str) -> None:
    train = write("tr.csv", "user_id,item_id\n1,196\n1,197\n2,196\n2,198\n3,197\n")
    data = load(Files(train, test=write("te.csv", f"user_id,item_id\n{test}")), cleaning=Cleaning(bad_rows=0.5))
    assert data.item_ids.values.to_pylist() == ["196", "197", "198"]
    parts = genre.split(data, "given")
    found = genre.evaluate(genre.Popularity().fit(parts.train), parts.test, k=2)
    assert found.values["hit_rate@2"] == 1


def test_two_and_two_point_nought_are_one_user(write: Write) -> None:
    data = load(write("i.csv", "user_id,item_id\n2,a\n2.0,b\n3,a\n"))
    assert pairs(data) == [("2", "a"), ("2", "b"), ("3", "a")]
    versions = load(write("v.csv", "user_id,item_id\nu,1.0\nu,1.5\nv,2.0\n"))
    assert versions.item_ids.values.to_pylist() == ["1.0", "1.5", "2.0"], "codes, where one has decimals that count"


def test_the_parts_of_a_folder_have_one_kind_of_ids(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "1.csv").write_text("user_id,item_id\n1,196\n2,197\n")
    (folder / "2.csv").write_text("user_id,item_id\n1.0,197.0\n2.0,198.0\n")
    data = load(Files(folder))
    assert (data.user_ids.values.to_pylist(), data.item_ids.values.to_pylist()) == (["1", "2"], ["196", "197", "198"])


# --- quotes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [",", ";", "\t", "|"])
@pytest.mark.parametrize("n_before", [0, 12_000])
def test_a_stray_quote_swallows_no_rows(write: Write, by: str, n_before: int) -> None:
    before = [(f"w{n}", f"i{n % 7}", "Fine") for n in range(n_before)]
    stray = [("u1", "a", '"Dune'), ("u1", "b", "Beta"), ("u2", "a", '"Gamma'), ("u2", "c", "Tale"), ("u3", "b", "Beta")]
    path = write("q.csv", as_text([*before, *stray], "user_id,item_id,title", by))
    rows_or_error(path, [row[:2] for row in before + stray], f"row {n_before + 1:,}")


@pytest.mark.parametrize("by", [",", ";", "\t", "|"])
def test_a_quote_that_is_not_closed_is_an_error_or_text(write: Write, by: str) -> None:
    review = as_text([("u", "a", '"unclosed'), ("u", "b", "ok"), ("v", "a", "ok")], "user_id,item_id,review", by)
    rows_or_error(write("r.csv", review), [("u", "a"), ("u", "b"), ("v", "a")], "row 1")
    users = as_text([('"u1', "a"), ("u1", "b"), ("u2", "a"), ('"u3', "b"), ("u3", "a")], "user_id,item_id", by)
    plain = [('"u1', "a"), ("u1", "b"), ("u2", "a"), ('"u3', "b"), ("u3", "a")]
    rows_or_error(write("u.csv", users), plain, "row 1")
    items = as_text([("u1", '"a', 5), ("u1", "b", 4), ("u2", '"c', 3), ("u2", "d", 1)], "user_id,item_id,rating", by)
    rows_or_error(write("i.csv", items), [("u1", '"a'), ("u1", "b"), ("u2", '"c'), ("u2", "d")], "row 1")


def test_a_table_of_items_with_a_stray_quote_keeps_every_title_or_is_refused(write: Write) -> None:
    events = write("i.csv", "user_id,item_id\nu,a\nu,b\nv,c\n")
    with pytest.raises(DataError, match="row 1"):
        load(events, items=write("t.csv", 'item_id,title\na,"Dune\nb,Beta tale\nc,Gamma tale\n'))
    data = load(events, items=write("t.csv", 'item_id,title\na,"Dune\n(part two)"\nb,Beta tale\nc,"Gamma, tale"\n'))
    assert titles(data) == {"a": "Dune\n(part two)", "b": "Beta tale", "c": "Gamma, tale"}


def test_quotes_as_plain_text_can_be_set(write: Write) -> None:
    events = write("i.csv", 'user_id,item_id\nu,"a\nu,b\nv,"a\n')
    data = load(events, columns={"quote": ""})
    assert pairs(data) == [("u", '"a'), ("u", "b"), ("v", '"a')]
    single = load(write("s.csv", "user_id,item_id\n'u,1',a\nv,'b'\n"), columns={"quote": "'"})
    assert pairs(single) == [("u,1", "a"), ("v", "b")]


@pytest.mark.parametrize("by", ["\t", "|", ";", ","])
def test_text_in_quotes_is_read_with_every_delimiter(tmp_path: Path, by: str) -> None:
    names = ['Say "hi" now', "Plain tale", f"A{by}B", "Two\nlines", '"', 'ends in "', '""', '5" disk']
    frame = pd.DataFrame({"item_id": [f"i{n}" for n in range(len(names))], "title": names})
    frame.to_csv(tmp_path / "q.tsv", sep=by, index=False)
    events = pd.DataFrame({"user_id": ["u"] * len(names), "item_id": frame["item_id"]})
    events.to_csv(tmp_path / "i.csv", index=False)
    assert load(tmp_path / "i.csv", items=tmp_path / "q.tsv").titles() == names
    quoted = pd.DataFrame({"user_id": names, "item_id": ["x"] * len(names)})
    quoted.to_csv(tmp_path / "q.csv", sep=by, index=False)
    assert {user for user, _ in pairs(load(tmp_path / "q.csv"))} == set(names)


@pytest.mark.parametrize("by", ["\t", "|"])
def test_quotes_inside_plain_text_stay(write: Write, by: str) -> None:
    rows = [("u", 'q"r', 'the "big" one'), ("u", '5"', "x"), ("v", 'q"r', "say 'hi'")]
    data = load(write("q.tsv", as_text(rows, "user_id,item_id,note", by)))
    assert pairs(data) == [row[:2] for row in sorted(rows)] or sorted(pairs(data)) == sorted(row[:2] for row in rows)


# --- times ---------------------------------------------------------------------------------------------

STEPS = ["checkout", "cart", "detail", "home"]


def visits(moment: Callable[[float], Any]) -> dict[str, list[Any]]:
    """Twelve users, four clicks 0.3 seconds apart, the newest first, as logs are exported."""
    rows = [
        (f"u{n:02}", step, moment(START + 60 * n + 0.3 * (3 - place)))
        for n in range(12)
        for place, step in enumerate(STEPS)
    ]
    user, item, when = zip(*rows, strict=True)
    return {"user_id": [*user], "item_id": [*item], "timestamp": [*when]}


FRACTIONS: dict[str, Callable[[float], Any]] = {
    "milliseconds": lambda t: round(t * 1000),
    "microseconds": lambda t: round(t * 10) * 100_000,
    "nanoseconds": lambda t: round(t * 10) * 100_000_000,
    "decimals": lambda t: f"{t:.1f}",
    "float": lambda t: round(t, 1),
    "ISO text": lambda t: datetime.fromtimestamp(round(t, 1), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
    "ISO text with a zone": lambda t: datetime.fromtimestamp(round(t, 1), UTC).isoformat(timespec="milliseconds"),
    "day first": lambda t: datetime.fromtimestamp(round(t, 1), UTC).strftime("%d/%m/%Y %H:%M:%S.%f"),
    "serial days": lambda t: f"{t / 86_400 + 25_569:.8f}",
    "a share of all time": lambda t: f"{(t - START) / 1e6:.9f}",
}


@pytest.mark.parametrize(
    ("written", "form"),
    [
        *((written, "csv") for written in FRACTIONS),
        *((w, f) for w in ("milliseconds", "float") for f in ("parquet", "jsonl")),
    ],
)
def test_fractions_of_times_order_the_clicks(tmp_path: Path, written: str, form: str) -> None:
    data = load(table_in(form, tmp_path, "c", visits(FRACTIONS[written])))
    assert data.item_ids.take(data.item[:4]) == STEPS[::-1]
    if "serial" not in written and "share" not in written:
        assert times(data)[:4] == [START] * 4
    if form == "csv" and written == "milliseconds":
        parts = genre.split(data, "leave-one-out")
        assert set(parts.test.target.item_ids.take(parts.test.target.item)) == {"checkout"}
        assert genre.Transitions().fit(data).recommend(["detail"], k=1).ids() == ["cart"]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_fractions_of_times_in_frames_order_the_clicks(unit: str) -> None:
    columns = visits(lambda t: np.datetime64(round(t * 10) * 100, "ms").astype(f"datetime64[{unit}]"))
    columns["timestamp"] = np.array(columns["timestamp"])  # type: ignore[assignment]
    zoned = pd.DataFrame(columns)
    zoned["timestamp"] = zoned["timestamp"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    for frame in (pd.DataFrame(columns), zoned, pl.DataFrame(columns), pl.from_pandas(zoned), pa.table(columns)):
        data = load(frame)
        assert data.item_ids.take(data.item[:4]) == STEPS[::-1]
        assert times(data)[:4] == [START] * 4


FAR = 253_402_300_799
"""9999-12-31 23:59:59, a usual sign that there is no date."""


@pytest.mark.parametrize("sign", [FAR, 0, -1, -62_135_596_800, 2_147_483_647 * 4])
def test_one_sentinel_does_not_set_the_unit_of_all(write: Write, sign: int) -> None:
    rows = [("u", f"i{n}", START + 100 * n) for n in range(30)] + [("v", "a", START), ("v", "b", sign)]
    path = write("i.csv", as_text(rows, "user_id,item_id,timestamp"))
    with pytest.warns(DataWarning, match="time outside 1980 to 2100: 1"):
        data = genre.load(path)
    assert sorted(times(data)) == sorted(row[2] for row in rows[:-1])
    kept = load(path, cleaning=Cleaning(outliers="keep"))
    assert sorted(times(kept)) == sorted(row[2] for row in rows)


def test_the_smallest_file_with_a_sentinel(write: Write) -> None:
    rows = [
        ("u", "a", START),
        ("u", "b", START + 100),
        ("u", "c", START + 200),
        ("v", "a", START + 300),
        ("v", "b", FAR),
    ]
    data = load(write("i.csv", as_text(rows, "user_id,item_id,timestamp")))
    assert times(data) == [START, START + 100, START + 200, START + 300]
    assert "time outside 1980 to 2100: 1" in str(data.report)
    milliseconds = [(user, item, time * 1000) for user, item, time in rows]
    assert times(load(write("m.csv", as_text(milliseconds, "user_id,item_id,timestamp")))) == times(data)
    dates = [(u, i, "9999-12-31 23:59:59" if t == FAR else datetime.fromtimestamp(t, UTC)) for u, i, t in rows]
    assert times(load(write("d.csv", as_text(dates, "user_id,item_id,timestamp")))) == times(data)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("20200131", (2020, 1, 31)),
        ("202001311230", (2020, 1, 31, 12, 30)),
        ("20200131123045", (2020, 1, 31, 12, 30, 45)),
        ("2020-01-31", (2020, 1, 31)),
        ("2020/01/31", (2020, 1, 31)),
        ("31.01.2020", (2020, 1, 31)),
        ("31.1.2020 12:30", (2020, 1, 31, 12, 30)),
        ("31/01/2020", (2020, 1, 31)),
        ("01/31/2020", (2020, 1, 31)),
        ("31-01-2020", (2020, 1, 31)),
        ("31-Jan-2020", (2020, 1, 31)),
        ("31 Jan 2020", (2020, 1, 31)),
        ("31 January 2020", (2020, 1, 31)),
        ("Jan 31, 2020", (2020, 1, 31)),
        ("January 31, 2020", (2020, 1, 31)),
        ("01 31, 2020", (2020, 1, 31)),
        ("31/01/20", (2020, 1, 31)),
        ("1/31/20 1:05 PM", (2020, 1, 31, 13, 5)),
        ("01/31/2020 12:30:45 AM", (2020, 1, 31, 0, 30, 45)),
        ("01/31/2020 12:30:45 PM", (2020, 1, 31, 12, 30, 45)),
        ("31.01.2020 01:02:03 pm", (2020, 1, 31, 13, 2, 3)),
        ("2020-01-31 01:02:03 PM", (2020, 1, 31, 13, 2, 3)),
        ("2020-01-31T12:30:45Z", (2020, 1, 31, 12, 30, 45)),
        ("2020-01-31T12:30:45+02:00", (2020, 1, 31, 10, 30, 45)),
        ("2020-01-31 12:30:45 +0200", (2020, 1, 31, 10, 30, 45)),
        ("2020-01-31 12:30:45 UTC", (2020, 1, 31, 12, 30, 45)),
        ("2020-01-31 12:30:45 Europe/Berlin", (2020, 1, 31, 11, 30, 45)),
        ("31/01/2020 12:30:45 America/New_York", (2020, 1, 31, 17, 30, 45)),
        ("Fri, 31 Jan 2020 12:30:45 GMT", (2020, 1, 31, 12, 30, 45)),
        ("Fri Jan 31 2020 12:30:45", (2020, 1, 31, 12, 30, 45)),
        ("Fri Jan 31 12:30:45 2020", (2020, 1, 31, 12, 30, 45)),
        ("31/Jan/2020:12:30:45 +0200", (2020, 1, 31, 10, 30, 45)),
    ],
)
def test_dates_in_many_forms(write: Write, written: str, expected: tuple[int, ...]) -> None:
    text = f'user,item,time\nu,a,"{written}"\nu,b,"{written}"\n'
    assert times(load(write("data.csv", text))) == [seconds(*expected)] * 2


def test_units_may_differ_from_row_to_row_and_from_file_to_file(write: Write, tmp_path: Path) -> None:
    rows = [("u", f"i{n}", (START + n) * (1000 if n % 3 == 0 else 1)) for n in range(30)]
    assert times(load(write("m.csv", as_text(rows, "user_id,item_id,timestamp")))) == [START + n for n in range(30)]
    train = write("tr.csv", as_text([("u", "a", START), ("u", "b", START + 1)], "user,item,time"))
    test = write("te.csv", as_text([("u", "c", (START + 2) * 1000)], "user,item,time"))
    assert times(load(Files(train, test=test))) == [START, START + 1, START + 2]
    (tmp_path / "parts").mkdir()
    for n, unit in enumerate((1, 10**3, 10**6, 10**9)):
        (tmp_path / "parts" / f"{n}.csv").write_text(as_text([("u", f"i{n}", (START + n) * unit)], "user,item,time"))
    assert times(load(tmp_path / "parts")) == [START, START + 1, START + 2, START + 3]


def test_a_packed_date_among_unix_times_is_no_reason_to_lose_them(write: Write) -> None:
    rows = [("u", f"i{n}", START + n) for n in range(30)]
    data = load(write("m.csv", as_text([*rows, ("u", "x", 20_200_131)], "user_id,item_id,timestamp")))
    assert times(data)[-30:] == [START + n for n in range(30)]


@pytest.mark.parametrize(
    ("late", "form"), [("13/02/2020", "%d/%m/%Y"), ("02/13/2020", "%m/%d/%Y"), ("25-12-2020", "%d-%m-%Y")]
)
def test_day_first_is_decided_over_all_rows(write: Write, late: str, form: str) -> None:
    by = late[2]
    rows = [("u", f"i{n}", f"{n % 12 + 1:02}{by}{(n * 5) % 12 + 1:02}{by}2020") for n in range(15_000)]
    data = load(write("d.csv", as_text([*rows, ("v", "a", late)], "user,item,date")))
    expected = {int(datetime.strptime(row[2], form).replace(tzinfo=UTC).timestamp()) for row in rows}
    assert set(times(data)[:-1]) == expected
    assert times(data)[-1] == int(datetime.strptime(late, form).replace(tzinfo=UTC).timestamp())
    assert not data.report.guesses


def test_a_date_that_may_be_two_is_a_stated_guess_that_can_be_set(write: Write) -> None:
    path = write(
        "d.csv",
        as_text([("u", "a", "03/02/2020"), ("v", "b", "05/04/2020"), ("w", "c", "01/09/2020")], "user,item,date"),
    )
    with pytest.warns(DataWarning, match="guess") as caught:
        data = genre.load(path)
    assert len(caught) == 1
    assert [guess for guess in data.report.guesses if "%d/%m/%Y" in guess and "%m/%d/%Y" in guess]
    assert data.report.guesses[0] in data.report.facts
    for form, day in (("%d/%m/%Y", (2020, 2, 3)), ("%m/%d/%Y", (2020, 3, 2))):
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataWarning)
            set_ = genre.load(path, columns={"format": form})
        assert times(set_)[0] == seconds(*day)
        assert not set_.report.guesses


def test_rows_in_order_tell_the_day_from_the_month(write: Write) -> None:
    rows = [
        ("u", f"i{n}", f"{month:02}/{day:02}/2020") for n, (month, day) in enumerate([(1, 5), (2, 3), (3, 1), (4, 2)])
    ]
    data = load(write("d.csv", as_text(rows, "user,item,date")))
    assert data.item_ids.take(data.item) == ["i0", "i1", "i2", "i3"]
    assert "a guess" in data.report.guesses[0]


def test_the_unit_of_numbers_can_be_set(write: Write) -> None:
    path = write("t.csv", as_text([("u", "a", 5_000), ("u", "b", 61_000)], "user,item,time"))
    assert times(load(path, columns={"format": "milliseconds"}, cleaning=Cleaning(outliers="keep"))) == [5, 61]
    path = write("p.csv", as_text([("u", "a", 20_200_131), ("u", "b", 20_200_201)], "user,item,time"))
    assert times(load(path, columns={"format": "%Y%m%d"})) == [seconds(2020, 1, 31), seconds(2020, 2, 1)]


def test_dates_before_1970_and_leap_days_are_dates(write: Write) -> None:
    rows = [("u", "a", "1969-12-31"), ("u", "b", "2020-02-29"), ("u", "c", "1965-06-01 12:00:00.5")]
    data = load(write("d.csv", as_text(rows, "user,item,date")), cleaning=Cleaning(outliers="keep"))
    assert times(data) == [seconds(1965, 6, 1, 12), seconds(1969, 12, 31), seconds(2020, 2, 29)]


# --- numbers -------------------------------------------------------------------------------------------


def test_decimal_commas_are_decimals(write: Write) -> None:
    data = load(write("d.csv", "user;item;rating\nu;a;3,5\nu;b;4\nv;a;1,25\n"))
    assert ratings(data) == [3.5, 4, 1.25]
    assert "decimal comma" in facts(data)
    quoted = load(write("q.csv", 'user,item,rating\nu,a,"3,5"\nu,b,4\nv,a,"1,5"\n'))
    assert ratings(quoted) == [3.5, 4, 1.5]
    large = load(write("w.csv", "user;item;plays\nu;a;1.234,5\nu;b;12,0\nv;a;2.000.000\n"))
    assert large.weight.tolist() == [1234.5, 12, 2_000_000]


def test_prices_with_a_decimal_comma_are_numbers_and_lists_of_categories_are_none(write: Write) -> None:
    rows = "".join(f"u{n};a{n % 4};{n}\n" for n in range(12))
    sales = write("s.csv", "user;item;qty\n" + rows)
    items = write("i.csv", "item;price;size;tags\na0;1.234,50;9,05;3,7\na1;8,43;12,5;3\na2;7;1,5;7,12\na3;;2;12\n")
    data = load(sales, items=items)
    assert data.items["price"].to_pylist() == [1234.5, 8.43, 7, None]
    assert data.items["size"].to_pylist() == [9.05, 12.5, 1.5, 2]
    assert data.items["tags"].to_pylist() == ["3,7", "3", "7,12", "12"]
    assert "field 'price': read as numbers with a decimal comma" in facts(data)
    assert load(sales, items=items, columns={"decimal": "."}).items["price"].to_pylist() == [
        "1.234,50",
        "8,43",
        "7",
        None,
    ]


def test_commas_between_thousands_are_none(write: Write) -> None:
    data = load(write("w.csv", 'user,item,plays\nu,a,"1,234"\nu,b,"1,234,567.5"\nv,a,12\n'))
    assert data.weight.tolist() == [1234, 1_234_567.5, 12]


def test_a_comma_that_may_be_two_things_is_a_stated_guess_that_can_be_set(write: Write) -> None:
    path = write("w.csv", 'user,item,plays\nu,a,"1,234"\nu,b,7\nv,a,"2,500"\n')
    assert load(path).report.guesses
    comma = load(path, columns={"decimal": ","})
    assert comma.weight.tolist() == pytest.approx([1.234, 7, 2.5])
    point = load(path, columns={"decimal": "."}, cleaning=Cleaning(bad_rows=0.9))
    assert not comma.report.guesses
    assert not point.report.guesses


# --- nested and binary columns -------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["user_id", "item_id", "rating", "timestamp"])
@pytest.mark.parametrize("kind", ["list", "struct", "binary", "fixed binary", "map"])
def test_nested_and_binary_columns_are_refused_by_name(tmp_path: Path, column: str, kind: str) -> None:
    columns: dict[str, Any] = {
        "user_id": ["u", "v"],
        "item_id": ["a", "b"],
        "rating": [5, 4],
        "timestamp": [START, START],
    }
    columns[column] = {
        "list": pa.array([["a", "b"], ["b"]]),
        "struct": pa.array([{"x": 1}, {"x": 2}]),
        "binary": pa.array([b"ab", b"\xff"], pa.binary()),
        "fixed binary": pa.array([b"abcdefghijklmnop", b"qrstuvwxyzabcdef"], pa.binary(16)),
        "map": pa.array([[("x", 1)], [("y", 2)]], pa.map_(pa.string(), pa.int64())),
    }[kind]
    pq.write_table(pa.table(columns), tmp_path / "data.parquet")
    for source in (tmp_path / "data.parquet", pa.table(columns)):
        with pytest.raises(DataError, match=column):
            load(source)


def test_lists_in_json_lines_are_refused_by_name(write: Write) -> None:
    with pytest.raises(DataError, match="'item_id' holds"):
        load(write("l.jsonl", '{"user_id":1,"item_id":["a","b"]}\n{"user_id":2,"item_id":["b"]}\n'))
    with pytest.raises(DataError, match="'user_id' holds"):
        load(write("s.jsonl", '{"user_id":{"id":1},"item_id":"a"}\n{"user_id":{"id":2},"item_id":"b"}\n'))
    events = write("i.jsonl", '{"user_id":1,"item_id":"a"}\n{"user_id":2,"item_id":"b"}\n')
    with pytest.raises(DataError, match="item_id"):
        load(events, items=write("t.jsonl", '{"item_id":["a"],"title":"A"}\n{"item_id":["b"],"title":"B"}\n'))


def test_lists_among_the_fields_of_items_stay_lists(tmp_path: Path, write: Write) -> None:
    events = write("i.csv", "user_id,item_id\nu,a\nv,b\n")
    fields = {"item_id": ["a", "b"], "genres": [["x", "y"], ["y"]]}
    for form in ("parquet", "jsonl"):
        data = load(events, items=table_in(form, tmp_path, "t", fields))
        assert data.items["genres"].to_pylist() == fields["genres"]


# --- folders and part files ----------------------------------------------------------------------------


def test_a_hive_partition_is_a_column(tmp_path: Path) -> None:
    folder = tmp_path / "hive"
    for day, item in ((1, "a"), (2, "b"), (3, "c")):
        place = folder / f"timestamp=2020-01-0{day}"
        place.mkdir(parents=True)
        pq.write_table(pa.table({"user_id": ["u"], "item_id": [item]}), place / "part.parquet")
    for source in (folder, Files(folder)):
        data = load(source)
        assert times(data) == [seconds(2020, 1, day) for day in (1, 2, 3)]
        assert data.item_ids.take(data.item) == ["a", "b", "c"]


def test_a_hive_partition_keeps_ids_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "hive"
    for user in ("007", "7", LARGE):
        place = folder / f"user_id={user}"
        place.mkdir(parents=True)
        pq.write_table(pa.table({"item_id": ["a", "b"]}), place / "part.parquet")
    assert load(folder).user_ids.values.to_pylist() == sorted(["007", "7", LARGE])


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_part_files_with_different_columns_lose_nothing_in_silence(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    table_in(form, folder, "1", {"user_id": ["u"], "item_id": ["a"]})
    columns = {"user_id": ["v"] * 30, "item_id": [f"i{n}" for n in range(30)], "rating": [n % 5 + 1 for n in range(30)]}
    columns["timestamp"] = [START + n for n in range(30)]
    table_in(form, folder, "2", columns)
    data, error = loaded(folder)
    if data is None:
        assert "rating" in error or "timestamp" in error
        return
    assert data.rating is not None
    assert data.timestamp is not None
    assert len(data) == 31 or "no rating: 1" in "\n".join(data.report.warnings())


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_part_files_may_hold_whole_and_other_numbers(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    table_in(form, folder, "1", {"user_id": ["u", "u"], "item_id": ["a", "b"], "rating": [4, 5]})
    table_in(form, folder, "2", {"item_id": ["a"], "rating": [1.5], "user_id": ["v"]})
    data = load(folder)
    assert list(zip(pairs(data), ratings(data), strict=True)) == [(("u", "a"), 4), (("u", "b"), 5), (("v", "a"), 1.5)]


def test_part_files_without_times_follow_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for n, items in enumerate(["cb", "ad", "fe"]):
        (folder / f"{n}.csv").write_text("user_id,item_id\n" + "".join(f"u,{item}\n" for item in items))
    data = load(folder)
    assert data.item_ids.take(data.item) == list("cbadfe")


def test_a_pattern_is_all_its_files(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"clicks-{n}.csv").write_text(f"user_id,item_id\nu{n},a\n")
    (tmp_path / "other.csv").write_text("user_id,item_id\nx,y\n")
    assert load(tmp_path / "clicks-*.csv").user_ids.values.to_pylist() == ["u0", "u1", "u2"]


# --- long texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x" * 131_073, "word " * 30_000, "y" * 2_500_000], ids=["131,073", "words", "2.5 MB"])
@pytest.mark.parametrize("row", [1, 121])
def test_long_texts_are_read_wherever_they_are(write: Write, text: str, row: int) -> None:
    names = [f"i{n:03}" for n in range(130)]
    cells = {name: text.strip() if n == row - 1 else f"Tale {n}" for n, name in enumerate(names)}
    events = write("i.csv", "user_id,item_id\n" + "".join(f"u,{name}\n" for name in names))
    goods = write("t.csv", "item_id,title\n" + "".join(f"{name},{title}\n" for name, title in cells.items()))
    assert titles(load(events, items=goods)) == cells
    reviews = write("r.csv", "user_id,item_id,review\n" + "".join(f"u,{name},{text}\n" for name, text in cells.items()))
    assert len(load(reviews)) == 130


# --- sparse matrices -----------------------------------------------------------------------------------


def test_a_matrix_of_many_empty_rows_costs_little(tmp_path: Path) -> None:
    import tracemalloc

    n_rows = sized(2_000_000, 20_000_000)
    matrix = sp.csr_matrix(([1.0, 2.0, 4.0], ([0, 5, n_rows - 1], [1, 2, 0])), shape=(n_rows, 3))
    sp.save_npz(tmp_path / "big.npz", matrix, compressed=False)
    tracemalloc.start()
    before = pa.default_memory_pool().max_memory()
    data = load(tmp_path / "big.npz")
    peak = tracemalloc.get_traced_memory()[1] + max(pa.default_memory_pool().max_memory() - before, 0)
    tracemalloc.stop()
    assert pairs(data) == [("0", "1"), ("5", "2"), (str(n_rows - 1), "0")]
    assert peak < 40 * n_rows, "a few numbers a row, no text for rows that are empty"


# --- constant and extreme ratings ----------------------------------------------------------------------

CONSTANT = {"user_id": [*"uuvvww"], "item_id": [*"ababcb"]}


@pytest.mark.parametrize("name", ["RatingFactors", "Baseline"])
@pytest.mark.parametrize("stars", [[5], [3, 3, 3, 3, 3, 3], [1e-30] * 6, [1e30] * 6])
def test_constant_ratings_are_predicted(name: str, stars: list[float]) -> None:
    n = len(stars)
    data = load({"user_id": CONSTANT["user_id"][:n], "item_id": CONSTANT["item_id"][:n], "rating": stars})
    fitted = getattr(genre, name)().fit(data)
    found = fitted.predict(data.history(), np.zeros(2, np.int32), np.array([0, data.n_items - 1], np.int32))
    np.testing.assert_allclose(found, stars[0], rtol=1e-5)


SIMPLE = ["ALS", "BPR", "EASE", "ItemKNN", "Popularity", "Transitions", "RatingFactors", "Baseline"]


EXTREME = {
    "constant": [5.0] * 6,
    "one": [5.0],
    "huge": [1e30] * 6,
    "tiny": [1e-30] * 6,
    "spread": [1e-20, 1, 1e20] * 2,
    "zero": [0.0] * 6,
}


@functools.cache
def extreme(column: str, kind: str) -> Dataset:
    """Read once for all recommenders."""
    values = EXTREME[column]
    columns = {name: ids[: len(values)] for name, ids in CONSTANT.items()}
    return load({**columns, "timestamp": [START + i for i in range(len(values))], kind: values})


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("column", EXTREME)
def test_constant_and_extreme_values_break_no_recommender(name: str, column: str) -> None:
    try:
        data = extreme(column, "rating" if name in ("RatingFactors", "Baseline") else "weight")
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            found = getattr(genre, name)().fit(data).recommend(data.history(), k=2)
    except genre.GenreError:
        return
    assert not np.isnan(found.score).any()


# --- JSON lines ----------------------------------------------------------------------------------------


def test_dates_in_json_lines_stay_text(write: Write) -> None:
    events = write("i.csv", "user_id,item_id\nu,2020-01-01\nv,2020-01-02\n")
    goods = write(
        "t.jsonl",
        '{"item_id":"2020-01-01","title":"2001-01-01"}\n{"item_id":"2020-01-02","title":"1984-01-01 10:00:00"}\n',
    )
    assert titles(load(events, items=goods)) == {"2020-01-01": "2001-01-01", "2020-01-02": "1984-01-01 10:00:00"}
    clicks = write("e.jsonl", '{"user_id":"u","item_id":"2020-01-01","time":"2020-01-01T00:00:00Z"}\n')
    data = load(clicks)
    assert (pairs(data), times(data)) == ([("u", "2020-01-01")], [seconds(2020, 1, 1)])


def test_values_of_json_lines_are_what_is_written(write: Write) -> None:
    lines = (
        '{"user_id":"007","item_id":"1.10","rating":4.5}\n{"user_id":"7","item_id":1.1,"rating":"3"}\n'
        '{"user_id":" 7 ","item_id":"true","rating":5}\n'
    )
    data = load(write("e.jsonl", lines))
    assert sorted(pairs(data)) == [("007", "1.10"), ("7", "1.1"), ("7", "true")]
    uuids = write("u.jsonl", '{"user_id":"123E4567-E89B-12D3-A456-426614174000","item_id":"a"}\n')
    assert load(uuids).user_ids.values.to_pylist() == ["123E4567-E89B-12D3-A456-426614174000"]


def test_blanks_around_ids_are_none_in_every_source(tmp_path: Path) -> None:
    columns = {"user_id": [" u0 ", "u0", "\tu1\u00a0"], "item_id": ["a", "b ", "a"]}
    for form in ("parquet", "jsonl", "pandas", "polars"):
        assert load(table_in(form, tmp_path, "e", columns)).user_ids.values.to_pylist() == ["u0", "u1"]


# --- neighbours at the cut -----------------------------------------------------------------------------


def test_neighbours_do_not_depend_on_how_ids_are_spelt() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"u{user:02}", item) for user in range(40) for item in rng.choice(30, 6, replace=False)]
    scores = []
    for name in (lambda item: f"i{item:02}", lambda item: f"i{29 - item:02}"):
        data = load({"user_id": [user for user, _ in rows], "item_id": [name(item) for _, item in rows]})
        found = genre.ItemKNN(neighbours=10).fit(data).recommend(data.history(), k=30)
        table = np.zeros((40, 30))
        ids = [int(one[1:]) for one in data.item_ids.values.to_pylist()]
        real = np.array([one if name(0) == "i00" else 29 - one for one in ids])
        for user in range(40):
            kept = found.item[user] >= 0
            table[user, real[found.item[user][kept]]] = found.score[user][kept]
        scores.append(table)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
