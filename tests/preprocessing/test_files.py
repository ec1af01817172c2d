"""Files of every form give the same Tables; hostile ones give one clear line."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre.engines.duckdb import DuckDB
from genre.errors import DataError, GenreError, OptionError
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.files import Files, column_names
from reading import prepared, read_tables
from sizes import sized

Write = Callable[..., Path]

CSV = "userId,movieId,rating,timestamp\n7,a,4.5,1000000000\n8,b,3,1000000060\n7,b,1,1000000120\n"
EXPECTED = {
    "user_id": ["7", "8", "7"],
    "item_id": ["a", "b", "b"],
    "rating": [4.5, 3.0, 1.0],
    "timestamp": [1_000_000_000, 1_000_000_060, 1_000_000_120],
}


def read(path: Path, **options: object) -> dict[str, list[object]]:
    """The interactions as plain values."""
    values: dict[str, list[object]] = read_tables(Files(path, **options)).interactions.to_pydict()  # type: ignore[arg-type]
    return {name: column for name, column in values.items() if name not in ("trouble", "moment")}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "|"),
        lambda text: text.replace(",", "::"),
        lambda text: text.replace(",", ", "),
        lambda text: text.replace("a,", '"a",'),
        lambda text: text.split("\n", 1)[1],
        lambda text: text.replace("userId", "user_id:token").replace("rating", "rating:float"),
    ],
)
def test_the_dialects_of_delimited_text_are_told_apart(write: Write, change: Callable[[str], str]) -> None:
    assert read(write("data.csv", change(CSV))) == EXPECTED


def test_parquet_json_lines_and_packed_text_give_the_same(write: Write, tmp_path: Path) -> None:
    columns = {"userId": [7, 8, 7], "movieId": ["a", "b", "b"], "rating": [4.5, 3, 1]}
    columns["timestamp"] = [1_000_000_000, 1_000_000_060, 1_000_000_120]
    pq.write_table(pa.table(columns), tmp_path / "data.parquet")
    lines = "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))
    assert read(tmp_path / "data.parquet") == EXPECTED
    assert read(write("data.jsonl", lines)) == EXPECTED
    assert read(write("data.csv.gz", gzip.compress(CSV.encode()))) == EXPECTED
    (tmp_path / "parts").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "parts" / "one.parquet")
    assert read(tmp_path / "parts") == EXPECTED


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1000000000123", 1_000_000_000),  # milliseconds
        ("1000000000123456", 1_000_000_000),
        ("1000000000123456789", 1_000_000_000),
        ("1000000000.9", 1_000_000_000),
        ("2001-09-09T01:46:40Z", 1_000_000_000),
        ("2001-09-09 01:46:40", 1_000_000_000),
        ("2001-09-09T03:46:40+02:00", 1_000_000_000),
        ("2001-09-09T01:46:40\n1,3,2001-09-09T01:46:40Z", 1_000_000_000),
        ("2001-09-09", 999_993_600),
        ("09/09/2001 01:46", 999_999_960),
        ("9.9.2001", 999_993_600),
    ],
)
def test_times_in_many_forms_become_seconds(write: Write, written: str, seconds: int) -> None:
    table = read_tables(Files(write("data.csv", f"user,item,time\n1,2,{written}\n2,2,{written}\n"))).interactions
    assert set(table["timestamp"].to_pylist()) == {seconds}


def test_what_was_taken_for_what_is_said(write: Write) -> None:
    notes = read_tables(Files(write("data.csv", CSV))).notes
    assert notes == (
        "data.csv: separated by comma, with a header",
        "user: 'userId' (by its name)",
        "item: 'movieId' (by its name)",
        "rating: 'rating' (by its name)",
        "timestamp: 'timestamp' (by its name), read as unix seconds",
    )
    foreign = "Kunde,Ware,Note,Wann\n" + CSV.split("\n", 1)[1]
    assert read(write("fremd.csv", foreign)) == EXPECTED
    assert "it holds times" in str(read_tables(Files(write("fremd.csv", foreign))).notes)


def test_explicit_columns_override_what_is_sniffed(write: Write) -> None:
    path = write("data.csv", CSV)
    table = read_tables(Files(path, columns=Columns(user="movieId", item="userId", rating=False))).interactions
    assert table["user_id"].cast(pa.string()).to_pylist() == ["a", "b", "b"]
    assert "rating" not in table.column_names
    with pytest.raises(DataError, match=r"missing column 'movie' \(did you mean 'movieId'\?\); it has 'userId'"):
        read_tables(Files(path, columns=Columns(item="movie")))
    with pytest.raises(OptionError, match="user"):
        Columns(user=3)  # type: ignore[arg-type]


def test_ids_stay_as_written(write: Write) -> None:
    rows = [("007", "NA"), ("7", str(10**30)), ("7.0", "None"), ("1e5", "Crème, brûlée")]
    text = "user,item\n" + "\n".join(f'{user},"{item}"' for user, item in rows)
    table = read_tables(Files(write("data.csv", text))).interactions.to_pydict()
    assert list(zip(table["user_id"], table["item_id"], strict=True)) == rows


def test_fields_of_items_keep_their_type_only_where_nothing_is_lost(write: Write) -> None:
    items = write(
        "items.csv", 'movieId,title,year,zip,price\na,"Heat, the (1995)",1995,01234,1.50\nb,"B\nb",,99999,2\n'
    )
    tables = read_tables(Files(write("data.csv", CSV), items=items))
    assert tables.items is not None
    assert tables.items.to_pylist() == [
        {"item_id": "a", "title": "Heat, the (1995)", "year": 1995, "zip": "01234", "price": 1.5},
        {"item_id": "b", "title": "B\nb", "year": None, "zip": "99999", "price": 2.0},
    ]


def test_fields_come_from_files_of_every_form(write: Write, tmp_path: Path) -> None:
    rows = [{"item_id": "a", "title": "Heat", "year": 1995}, {"item_id": "b", "title": "Up", "year": 2009}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "items.parquet")
    lines = write("items.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for items in (tmp_path / "items.parquet", lines):
        tables = read_tables(Files(write("data.csv", CSV), items=items))
        assert tables.items is not None
        assert tables.items.to_pylist() == rows


def test_validation_and_test_files_become_parts(write: Write) -> None:
    test = write("test.csv", "userId,movieId,rating,timestamp\n8,a,5,1000000180\n")
    source = Files(write("train.csv", CSV), test=test)
    assert read_tables(source).interactions["part"].to_pylist() == ["train", "train", "train", "test"]
    dataset, _ = prepared(source)
    assert dataset.part is not None
    assert dataset.part.tolist() == [0, 0, 0, 2]
    with pytest.raises(DataError, match="give both the same columns"):
        read_tables(Files(write("train.csv", CSV), test=write("t.csv", "user,item\n1,a\n")))


HOSTILE = {
    "empty": (b"", "empty file"),
    "blank lines": (b"\n\n\n", "empty file"),
    "header only": (b"user,item,rating\n", "no rows"),
    "binary": (bytes(range(256)) * 20, "binary file"),
    "one column": (b"user\n1\n2\n", "only one column"),
    "a quote that is not closed": (b'user,item\n"' + b"x" * 200_000 + b",1\n", "row 1: a quote that is not closed"),
    "missing column": (b"user,price\n1,2\n", "missing column: none of 'user', 'price' is known to name the item"),
    "twice a column": (b"user,item,item\n1,2,3\n", "column 'item' appears 2 times"),
    "a word for a rating": (b"user,item,rating\n1,2,3\n1,3,abc\n", "row 2, column 'rating': 'abc' is not a number"),
    "a word for a time": (b"user,item,time\n1,2,1000000000\n1,3,soon\n", "row 2, column 'time': 'soon' is not a time"),
    "a day that is none": (b"user,item,time\n1,2,2020-02-28\n1,3,2020-02-31\n", "row 2, column 'time': '2020-02-31'"),
    "a time beyond all": (b"user,item,time\n1,2,1000000000\n1,3,1e300\n", "row 2, column 'time': .* is not a time"),
    "a short row": (b"user,item,rating\n1,2,3\n1,3\n1,4,5\n", "row 2: 2 fields, expected 3"),
    "a long row": (b"user,item,rating\n1,2,3\n1,3,4,5\n", "row 2: 4 fields, expected 3"),
    "broken UTF-8": (b"user,item\n1,2\n" + b"3,4\n" * 300_000 + b"5,\xff\n", "not UTF-8"),
    "broken gzip": (b"\x1f\x8b\x08\x00nonsense", "unreadable|binary"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_clear_line(write: Write, name: str) -> None:
    content, message = HOSTILE[name]
    path = write("data.csv.gz" if "gzip" in name else "data.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        prepared(Files(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.parquet", b"PAR1 nonsense"),
        ("data.jsonl", b'{"user": 1, "item"'),
        ("data.jsonl", b'{"user": "\\ud800", "item": 1}'),
        ("data.jsonl", b'{"user": "\x80", "item": 1}'),
        ("data.jsonl", b'{"user": 1, "\x80": 1}'),
    ],
)
def test_an_unreadable_parquet_or_json_file_names_itself(write: Write, name: str, content: bytes) -> None:
    path = write(name, content)
    with pytest.raises(DataError, match="unreadable as"):
        read_tables(Files(path))


def test_a_file_that_is_not_there_is_named_with_the_nearest(write: Write, tmp_path: Path) -> None:
    write("ratings.csv", CSV)
    for name in ("rating.csv", "ratings.parquet", "ratings.jsonl"):
        with pytest.raises(DataError, match=name):
            read_tables(Files(tmp_path / name))
    with pytest.raises(DataError, match=r"did you mean 'ratings.csv'\?"):
        read_tables(Files(tmp_path / "rating.csv"))


def test_numbers_that_are_none_become_missing_or_infinite(write: Write) -> None:
    rating = read(write("data.csv", "user,item,rating\n1,1,NaN\n1,2,\n1,3,1e999\n1,4,-inf\n1,5,NA\n1,6, 2\n"))["rating"]
    np.testing.assert_array_equal(np.array(rating, float), [np.nan, np.nan, np.inf, -np.inf, np.nan, 2])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=sized(25, 5000))
@given(content=st.binary(max_size=200) | st.text(alphabet='ab1.,;\t"\n\r|: -é', max_size=80).map(str.encode))
def test_whatever_a_file_holds_only_declared_errors_come_out(write: Write, content: bytes) -> None:
    with contextlib.suppress(GenreError):
        prepared(Files(write("data.csv", content)))


def test_columns_without_a_name_are_told_apart_and_repeated_names_refused(write: Write) -> None:
    tables = read_tables(Files(write("data.csv", ",user_id,item_id,\n1,a,x,7\n2,b,y,8\n")))
    assert tables.interactions["user_id"].to_pylist() == ["a", "b"]
    with pytest.raises(DataError, match="'who' appears 2 times"):
        read_tables(Files(write("data.csv", "who,who,what\na,a,x\nb,b,y\n")))


def test_text_of_other_encodings_is_read(write: Write) -> None:
    for encoding in ("utf-16", "utf-16-be", "latin-1"):
        mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
        assert read(write("data.csv", mark + CSV.replace("a,", "ä,").encode(encoding)))["item_id"] == ["ä", "b", "b"]


def test_a_part_may_be_a_column(write: Write) -> None:
    rows = "user,item,part\n1,a,train\n1,b,test\n"
    dataset, _ = prepared(Files(write("data.csv", rows)))
    assert dataset.part is not None
    assert dataset.part.tolist() == [0, 2]
    numbered = read_tables(Files(write("data.csv", rows.replace("train", "1").replace("test", "2"))))
    assert "part" not in numbered.interactions.column_names, "numbers say no part"
    odd = Files(write("data.csv", rows.replace("test", "exam")), columns=Columns(part="part"))
    with pytest.raises(DataError, match="row 2 says 'exam'; legal are train, validation, test"):
        prepared(odd)


def test_the_ids_of_items_are_found(write: Write) -> None:
    data = write("data.csv", CSV)
    by_name = read_tables(Files(data, items=write("items.csv", "title,item_id\nHeat,a\nUp,b\n")))
    assert by_name.items is not None
    assert by_name.items["item_id"].to_pylist() == ["a", "b"]
    assert any("'item_id' (by its name)" in note for note in by_name.notes)
    first = read_tables(Files(data, items=write("items.csv", "code,label\na,Heat\nb,Up\n")))
    assert any("'code' (the first column)" in note for note in first.notes)
    with pytest.raises(DataError, match=r"two columns of the items would have one name \(movieId, item_id\)"):
        read_tables(Files(data, items=write("items.csv", "movieId,item_id\na,1\n")))
    with pytest.raises(DataError, match="column 'movieId' appears 2 times"):
        read_tables(Files(data, items=write("items.csv", "movieId,movieId\na,b\n")))


def test_what_is_no_file_is_named(write: Write, tmp_path: Path) -> None:
    inside = write("data.csv", CSV) / "inside.csv"
    with pytest.raises(DataError, match=r"inside\.csv: unreadable file"):
        read_tables(Files(inside))
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read"):
        Files(tmp_path / "gone.csv").fingerprint()


def test_a_fingerprint_follows_the_content_not_the_place(write: Write, tmp_path: Path) -> None:
    here = Files(write("data.csv", CSV))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data.csv").write_text(CSV)
    assert Files(tmp_path / "other" / "data.csv").fingerprint() == here.fingerprint()
    before = here.fingerprint()
    write("data.csv", CSV.replace("4.5", "4"))
    assert here.fingerprint() != before
    assert Files(here.interactions, header=True).fingerprint() != here.fingerprint()


def test_a_source_names_its_files_that_are_not_there(write: Write, tmp_path: Path) -> None:
    source = Files(str(write("i.csv", CSV)), items=str(tmp_path / "gone.csv"))
    assert source.not_there() == [tmp_path / "gone.csv"]
    assert Files(source.interactions).not_there() == []


@pytest.mark.parametrize(
    ("columns", "header", "told"),
    [
        ({"title": "label"}, "movieId,label,kind", "title: 'label' (as given)"),
        ({}, "movieId,Title,kind", "title: 'Title' (by its name)"),
        ({"title": "lable"}, "movieId,label,kind", "missing column 'lable' (did you mean 'label'?)"),
        ({"title": "label"}, "movieId,label,title", "another column has that name; rename one"),
    ],
)
def test_what_items_are_called_is_found_or_said(write: Write, columns: dict[str, str], header: str, told: str) -> None:
    items = write("items.csv", f"{header}\na,The First One,x\nb,Another Thing,y\n")
    source = Files(write("i.csv", CSV), items=items, columns=Columns(**columns))  # type: ignore[arg-type]
    if told.startswith("title"):
        tables = read_tables(source)
        assert told in tables.notes
        assert tables.items is not None
        assert tables.items["title"].to_pylist() == ["The First One", "Another Thing"]
    else:
        with pytest.raises(DataError, match=re.escape(told)):
            read_tables(source)


def test_where_nothing_names_the_items_it_is_said(write: Write) -> None:
    source = Files(write("i.csv", CSV), items=write("items.csv", "movieId,code\na,17\nb,18\n"))
    assert any(note.startswith("titles: none found") for note in read_tables(source).notes)


def test_the_columns_of_a_file_are_listed_as_they_are_written(write: Write, tmp_path: Path) -> None:
    pq.write_table(pa.table({"Item": ["a"], "score": [1.0]}), tmp_path / "lists.parquet")
    with DuckDB() as engine:
        assert column_names(engine, write("lists.csv", "User,rank\nu,1\n")) == ["User", "rank"]
        assert column_names(engine, tmp_path / "lists.parquet") == ["Item", "score"]
