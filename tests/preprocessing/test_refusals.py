"""What cannot be read is refused by its reason and with a remedy, and the forms that few files have are read."""

from __future__ import annotations

import bz2
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import genre
from genre.data.rating_scale import find_scale
from genre.engines.duckdb import DuckDB
from genre.errors import DataError, OptionError
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.frames import Frames
from genre.preprocessing.sources.impressions import Impressions
from genre.preprocessing.sources.movielens import is_movielens, read_movielens
from genre.preprocessing.sources.sequences import Sequences
from genre.preprocessing.sources.sql import SQL
from reading import loaded, read_tables, shared_engine

Write = Callable[[str, str | bytes], Path]
ROWS = "user_id,item_id\nu,a\nv,b\n"


def times_of(write: Write, values: list[str], **columns: Any) -> list[Any]:
    rows = "".join(f'u{n},i{n},"{value}"\n' for n, value in enumerate(values))
    tables = read_tables(Files(write("times.csv", f"user_id,item_id,timestamp\n{rows}"), columns=Columns(**columns)))
    return tables.interactions["timestamp"].to_pylist()  # type: ignore[no-any-return]


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


def test_a_memory_limit_that_is_none_is_refused() -> None:
    refused = pytest.raises(OptionError, match=r"DuckDB does not take these options \(.*[Mm]emory")
    with refused, DuckDB("much") as engine:
        engine.one("SELECT 1")
    with DuckDB("300MB", threads=1) as engine:
        assert engine.one("SELECT current_setting('threads')") == (1,)
        assert "MiB" in engine.one("SELECT current_setting('memory_limit')")[0]


def test_a_delimiter_at_the_end_of_a_row_makes_no_row_numbers(write: Write) -> None:
    data, _ = loaded(Files(write("i.csv", "user_id;item_id;rating;note\n1;e5;4;1;\n")))
    assert (data.user_ids.values.to_pylist(), data.item_ids.values.to_pylist()) == (["1"], ["e5"])
    data, _ = loaded(Files(write("r.csv", "user_id;item_id;rating\n1;u;e5;4\n2;v;e6;4\n")))
    assert (data.user_ids.values.to_pylist(), data.item_ids.values.to_pylist()) == (["u", "v"], ["e5", "e6"])


@pytest.mark.parametrize("limit", ["3MB", "12MB"])
def test_too_little_memory_is_no_fault_of_the_file(limit: str, write: Write) -> None:
    path = write("i.csv", "user_id,item_id\n" + "".join(f"u{n},i{n % 777}\n" for n in range(200_000)))
    too_little = pytest.raises(OptionError, match=f"engine: memory_limit {limit} is too little for these tables")
    with too_little, DuckDB(limit, threads=1) as engine:
        prepare(Files(path).load(engine), engine)


def test_ratings_without_a_finite_one_have_no_scale() -> None:
    assert find_scale(np.array([math.nan, math.inf], np.float32)) is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"event": "what"}, "event: 'what' has no weights; set columns: {event_kinds: '...'}"),
        ({"event_kinds": {"buy": 1.0}, "weight": "item_id"}, "'item_id' and event_kinds both say what weighs"),
        ({"event_kinds": {"buy": 1.0}, "event": "kind"}, "missing column 'kind'"),
        ({"event_kinds": {"buy": 1.0}}, "no column of 'user_id', 'item_id' is known to hold them"),
    ],
)
def test_kinds_of_events_need_their_column(write: Write, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        genre.load(write("i.csv", ROWS), columns=columns)


def test_a_field_may_end_with_a_backslash(write: Write) -> None:
    """`\\"` is a quote of the field only where doubled quotes do not fit."""
    data = genre.load(write("i.csv", 'user_id,item_id\nu,"C:\\"\nv,"b ""\\"" c"\n'))
    assert data.item_ids.values.to_pylist() == ["C:\\", 'b "\\" c']


def test_two_columns_of_one_name_in_an_items_table_are_refused() -> None:
    items = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["item_id", "item_id"])
    with pytest.raises(DataError, match="items: column 'item_id' appears 2 times; rename one"):
        genre.load({"user_id": ["u"], "item_id": ["a"]}, items=items)


@pytest.mark.parametrize("name", ["row", "Row", "ROW"])
def test_a_column_called_row_is_a_column_as_others_are(name: str, write: Write, tmp_path: Path) -> None:
    table = pa.table({name: ["u", "v"], "item_id": ["a", "b"], "rating": [9, 4]})
    pq.write_table(table, tmp_path / "i.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "i.csv")
    (tmp_path / "i.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    for source in (table, tmp_path / "i.parquet", tmp_path / "i.csv", tmp_path / "i.jsonl"):
        data = genre.load(source, columns={"user": name})
        assert data.user_ids.values.to_pylist() == ["u", "v"]
        alone = (
            {"user_id": ["u"], "item_id": ["b"]} if source is table else write("alone.csv", "user_id,item_id\nu,b\n")
        )
        assert genre.load(alone, items=source).items["title"].to_pylist() == ["u", "v"]


def test_the_one_name_that_sources_keep_for_themselves_is_refused(tmp_path: Path) -> None:
    table = pa.table({"user_id": ["u"], "item_id": ["a"], "row_of_source": [1]})
    with pytest.raises(DataError, match="column 'row_of_source' appears 2 times; rename one"):
        genre.load(table)


def test_json_lines_are_unpacked_where_duckdb_does_not(tmp_path: Path) -> None:
    (tmp_path / "i.jsonl.bz2").write_bytes(bz2.compress(b'{"user_id": "u", "item_id": 7}\n'))
    assert genre.load(tmp_path / "i.jsonl.bz2").item_ids.values.to_pylist() == ["7"]
    with pytest.raises(DataError, match=r"j\.parquet: no such file"):
        genre.load(tmp_path / "j.parquet")


def test_an_address_that_nothing_installed_opens_says_so() -> None:
    with pytest.raises(DataError, match=r"gs://bucket/i\.csv: .*; install what reads it"):
        genre.load("gs://bucket/i.csv")


def test_an_encoding_that_does_not_fit_further_down_is_refused(write: Write) -> None:
    path = write("i.csv", ROWS + "u,a\n" * 300_000 + "ü,a\n")
    with pytest.raises(DataError, match=r"not readable as ascii .*; name its encoding"):
        genre.load(path, columns={"encoding": "ascii"})


def test_a_bad_row_of_an_items_table_is_named(write: Write) -> None:
    items = write("t.csv", "item_id,title\na,Alpha\nb,Beta,Gamma,Delta\n")
    with pytest.raises(DataError, match=r"t\.csv: row 2: .* fields, expected 2 .*; correct or quote the row"):
        genre.load(write("i.csv", ROWS), items=items)


def test_an_empty_column_of_an_items_table_stays_empty(write: Write) -> None:
    data = genre.load(write("i.csv", ROWS), items=write("t.csv", "item_id,title,note\na,Alpha,\nb,Beta, \n"))
    assert data.items["note"].to_pylist() == [None, None]


def test_a_folder_of_something_else_is_no_movielens(tmp_path: Path) -> None:
    assert not is_movielens(tmp_path)
    with pytest.raises(DataError, match=r"no MovieLens data here; expected one of .*u\.data"):
        read_movielens(shared_engine(), tmp_path)
    (tmp_path / "ratings.dat").write_text("1::2::5::978300760\n1::3::4\n")
    (tmp_path / "movies.dat").write_text("2::Alien (1979)::Horror\n3::Heat (1995)::Crime\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n")
    with pytest.raises(DataError, match=r"ratings\.dat: not in its published form \(row 2: 3 fields, expected 4"):
        read_movielens(shared_engine(), tmp_path)


def test_files_give_their_times_in_one_form(write: Write) -> None:
    head = "user_id,item_id,timestamp\n"
    train = write("tr.csv", f"{head}u,a,2020-01-01\nv,b,2020-01-02\n")
    test = write("te.csv", f"{head}u,b,1\nv,a,2\n")
    with pytest.raises(DataError, match="some files give dates, others plain numbers as times"):
        genre.load(Files(train, test=test))
    train = write("tr.csv", f"{head}u,a,1\nv,b,2\n")
    test = write("te.csv", f"{head}u,b,2.25\nv,a,3.5\n")
    found = read_tables(Files(train, test=test)).interactions["timestamp"].to_pylist()
    assert found == [100, 200, 225, 350], "the decimals that one file needs are kept in both"


def test_lines_of_sequences_are_utf_8(write: Write) -> None:
    with pytest.raises(DataError, match=r"unreadable file .* expected lines of text in UTF-8"):
        read_tables(Sequences(write("s.txt", b"u1 a b\nu2 \xff\xfe a\n")))
    with pytest.raises(DataError, match="empty file; expected lines of a user and the user's items"):
        read_tables(Sequences(write("t.txt", "\n \n")))


def test_an_sqlite_file_may_be_an_address(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE i (user_id TEXT, item_id TEXT)")
        database.execute("INSERT INTO i VALUES ('007', '7')")
    data = genre.load(SQL("i", url=f"sqlite:///{tmp_path}/shop.db"))
    assert (data.user_ids.values.to_pylist(), data.item_ids.values.to_pylist()) == (["007"], ["7"])
    with pytest.raises(DataError, match=r"none\.db: no such file; check the path of the database"):
        genre.load(SQL("i", url=f"sqlite:///{tmp_path}/none.db"))
    (tmp_path / "text.db").write_text("user_id,item_id\n" * 100)
    with pytest.raises(DataError, match=r"text\.db: no connection \(file is not a database\)"):
        genre.load(SQL("i", path=tmp_path / "text.db"))


def test_columns_without_known_names_are_told_by_what_they_hold() -> None:
    """A column of lists is neither times nor a rating, and does not stop the search."""
    frame = {"who": ["u", "v"], "what": ["a", "b"], "when": ["2020-01-05", "2020-02-06"], "tags": [["x"], ["y"]]}
    tables = read_tables(Frames(frame))
    assert tables.interactions["timestamp"].to_pylist() == [seconds(2020, 1, 5), seconds(2020, 2, 6)]
    assert "rating" not in tables.interactions.column_names


@pytest.mark.parametrize(
    ("values", "columns", "right"),
    [
        (["05.01.20 +0100", "06.02.20 +0000"], {"format": "%d.%m.%y %z"}, [(2020, 1, 4, 23), (2020, 2, 6)]),
        (["20200105", "20200206", *["20201231"] * 18, "20209999"], {}, [(2020, 1, 5), (2020, 2, 6), (2020, 12, 31)]),
        (["5 Jan 2020 10:00 PST", "6 Feb 2020 10:00 PST"], {}, [(2020, 1, 5, 18), (2020, 2, 6, 18)]),
    ],
)
def test_times_of_rare_forms(write: Write, values: list[str], columns: dict[str, Any], right: list[Any]) -> None:
    found = times_of(write, values, **columns)
    assert found[: len(right)] == [seconds(*moment) for moment in right]
    assert found.count(None) == values.count("20209999")


def test_a_zone_of_three_letters_is_a_guess(write: Write) -> None:
    _, said = loaded(write("i.csv", "user_id,item_id,timestamp\nu,a,5 Jan 2020 10:00 PST\nv,b,6 Jan 2020 10:00 PST\n"))
    assert "a zone of three letters has several meanings" in said


def test_a_form_that_the_sample_lacks_is_read(write: Write) -> None:
    """One row in five thousand has seconds and another one is ISO."""
    days = [f"{n % 28 + 1:02d}.01.2020" for n in range(5000)]
    days[4000], days[4500] = "05.01.2020 10:15:30", "2020-01-05T10:15:30"
    found = times_of(write, days)
    assert found[4000] == found[4500] == seconds(2020, 1, 5, 10, 15, 30)
    assert None not in found


def test_numbers_that_are_no_packed_dates_are_an_order(write: Write) -> None:
    assert times_of(write, ["12345678", "23456789"]) == [12345678, 23456789]


def test_an_order_keeps_nine_decimals_at_most(write: Write) -> None:
    assert times_of(write, ["0.1234567891", "0.1234567892", "0.5"])[2] == 500_000_000


def test_a_unit_that_is_none_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"format 'fortnights' is no unit of times; expected seconds, .*order"):
        times_of(write, ["1600000000", "1600000001"], format="fortnights")


def test_a_number_beyond_all_times_is_a_bad_cell(write: Write) -> None:
    found = times_of(write, ["1600000000", "1600000001.5", "1e26"])
    assert found == [1_600_000_000, 1_600_000_001, None]


def test_impressions_without_a_time_are_refused_by_their_row(write: Write) -> None:
    lines = "1\tU1\t11/13/2019 8:36:57 AM\tN1 N2\tN3-1 N4-0\n2\tU2\tsoon\tN1\tN4-1\n"
    with pytest.raises(DataError, match="row 2 has no time that can be read; correct it or take the row out"):
        read_tables(Impressions(write("behaviors.tsv", lines)))


@pytest.mark.parametrize("unit", [10**3, 10**6, 10**9])
def test_whole_times_in_fine_units_are_exact(write: Write, unit: int) -> None:
    values = [1_600_000_000 * unit + 123, 1_600_000_000 * unit + 124, 1_600_000_001 * unit - 1]
    rows = "".join(f"u{n},i,{value}\n" for n, value in enumerate(values))
    read = read_tables(Files(write("i.csv", f"user_id,item_id,timestamp\n{rows}"))).interactions
    assert read["timestamp"].to_pylist() == [1_600_000_000] * 3
    assert read["moment"].to_pylist() == [value * (10**9 // unit) for value in values]


def test_names_of_columns_that_differ_in_capitals_alone_are_refused(write: Write) -> None:
    with pytest.raises(DataError, match="columns 'Item_ID' and 'item_id' differ in capitals alone; rename one"):
        genre.load(write("i.csv", "user_id,Item_ID,item_id\nu,a,b\n"))
    with pytest.raises(DataError, match="columns 'Item_ID' and 'item_id' differ in capitals alone; rename one"):
        genre.load({"user_id": ["u"], "Item_ID": ["a"], "item_id": ["b"]})


def test_single_quotes_enclose_fields_where_they_enclose_the_header(write: Write) -> None:
    data = genre.load(write("i.csv", "'user_id','item_id'\n'u,1','it''s'\n'v','b'\n"))
    assert data.user_ids.values.to_pylist() == ["u,1", "v"]
    assert data.item_ids.values.to_pylist() == ["b", "it's"]
    plain = genre.load(write("j.csv", "'user_id','item_id'\n'u','a\nv,b\n"))
    assert plain.item_ids.values.to_pylist() == ["'a", "b"]


def test_bytes_beside_text_are_no_ids() -> None:
    rows = [{"user_id": b"u", "item_id": "a", "note": b"x"}, {"user_id": "v", "item_id": "b", "note": 7}]
    with pytest.raises(DataError, match="column 'user_id' holds binary values"):
        genre.load(rows)
    assert genre.load([{**row, "user_id": "w"} for row in rows]).user_ids.values.to_pylist() == ["w"]
