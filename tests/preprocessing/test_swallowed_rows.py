"""Rows and ids that are easily lost: inside quoted fields, under a header that comes again, under another spelling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import genre
from genre.data.dataset import Dataset
from genre.errors import DataError
from reading import loaded

Write = Callable[[str, str | bytes], Path]


def pairs(data: Dataset) -> list[tuple[str, str]]:
    return sorted(zip(data.user_ids.take(data.user), data.item_ids.take(data.item), strict=True))


FILMS = [("u1", "a", "Dune"), ("u1", "b", "Beta"), ("u2", "a", "Gamma"), ("u2", "c", "Tale"), ("u3", "b", "Beta")]
ROWS = [(user, item) for user, item, _ in FILMS]


@pytest.mark.parametrize(
    ("opens", "closes", "column", "by"),
    [(0, 2, 2, ","), (1, 4, 1, ","), (3, 4, 0, ","), (0, 4, 2, ";"), (0, 1, 1, ";")],
)
def test_a_quoted_field_that_takes_in_rows_is_an_error_that_names_the_row(
    write: Write, opens: int, closes: int, column: int, by: str
) -> None:
    """One quote opens a field, another one, rows later, closes it: pandas, Python and DuckDB read fewer rows."""
    cells = [[*film] for film in FILMS]
    cells[opens][column] = f'"{cells[opens][column]}'
    cells[closes][column] = f'{cells[closes][column]}"'
    path = write("i.csv", "\n".join(by.join(row) for row in [["user_id", "item_id", "title"], *cells]) + "\n")
    with pytest.raises(DataError, match=rf"row {opens + 1}: a quoted field that takes in {closes - opens} more row"):
        genre.load(path)
    plain, _ = loaded(path, columns={"quote": ""})
    assert len(plain) == 5
    stated, _ = loaded(path, columns={"quote": '"'})
    assert len(stated) == 5 - (closes - opens), "where the user says so, the field is one"


def test_a_table_of_items_whose_quotes_take_in_rows_is_an_error(write: Write) -> None:
    events = write("i.csv", "user_id,item_id\nu,a\nu,b\nv,c\n")
    with pytest.raises(DataError, match="row 1: a quoted field that takes in 1 more row"):
        genre.load(events, items=write("t.csv", 'item_id,title\na,"Dune\nb,Beta tale"\nc,Gamma tale\n'))


def test_rows_far_below_the_head_are_not_taken_in(write: Write) -> None:
    head = "".join(f"u{n % 50},i{n % 70},a title of some length for row {n}\n" for n in range(14_000))
    inside = "".join(f"u{n % 50},j{n % 70},title {n}\n" for n in range(500))
    with pytest.raises(DataError, match="row 14,001: a quoted field that takes in 501 more rows"):
        genre.load(write("i.csv", f'user_id,item_id,title\n{head}u1,a,"Dune\n{inside}u2,b,Dune"\nu3,c,end\n'))


@pytest.mark.parametrize(
    "text", ["two\nlines", "more, with\ncommas, many", "a list:\n1, one\n2, two", "x\ny,z w", "He said:\nNo"]
)
def test_texts_of_several_lines_are_texts(write: Write, text: str) -> None:
    events = write("i.csv", f'user_id,item_id,note\nu1,17,"{text}"\nu2,18,x\n')
    data, said = loaded(events, items=write("t.csv", f'item_id,title\n17,"{text}"\n18,Beta\n'))
    assert (pairs(data), said) == ([("u1", "17"), ("u2", "18")], "")
    assert data.items["title"].to_pylist()[0] == text


def test_a_text_of_several_lines_may_hold_the_delimiter(write: Write) -> None:
    """Found by Hypothesis: only a field that holds whole rows says that quotes are plain text."""
    data, said = loaded(write("i.tsv", 'user_id\titem_id\tnote\n0\t0\t";\t\u00e9a\n2"\n0\t1\t\n'))
    assert (pairs(data), said) == ([("0", "0"), ("0", "1")], "")


def test_a_header_of_known_names_decides_what_separates(write: Write) -> None:
    notes = "".join(f'u{n},i{n % 3},"note {n}, of some words"\n' for n in range(9))
    data, _ = loaded(write("i.csv", f"user_id, item_id, note\n{notes}"))
    assert pairs(data) == [(f"u{n}", f"i{n % 3}") for n in range(9)]


def test_quotes_behind_backslashes_are_plain(write: Write) -> None:
    """As MySQL and Spark write them."""
    rows = 'a,"He said \\"hi\\", ok"\nb,"C:\\\\x"\nc,plain\n'
    data, _ = loaded(write("i.csv", "user_id,item_id\nu,a\nu,b\nv,c\n"), items=write("t.csv", f"item_id,title\n{rows}"))
    assert data.titles() == ['He said "hi", ok', "C:\\x", "plain"]


def test_row_numbers_without_a_header_shift_no_column(write: Write) -> None:
    """As R's write.table writes them; an unquoted comma in a field is no row number."""
    data, _ = loaded(write("r.csv", '"user_id","item_id"\n"1","u","a"\n"2","v","b"\n'))
    assert pairs(data) == [("u", "a"), ("v", "b")]
    with pytest.raises(DataError, match="4 fields, expected 3"):
        genre.load(write("i.csv", "user_id,item_id,timestamp\nu,a,Jan 5, 2020\nv,b,Feb 13, 2020\n"))


def test_a_header_that_comes_again_is_no_user(write: Write) -> None:
    rows = "".join(f"u{n},i{n % 3}\n" for n in range(30))
    data, said = loaded(write("i.csv", f"user_id,item_id\n{rows}user_id,item_id\n{rows}"))
    assert len(data) == 30
    assert "row 31, the header again" in said


def test_rows_that_an_items_table_loses_are_a_warning(write: Write) -> None:
    events = write("i.csv", "user_id,item_id\nu,a\nu,b\nv,a\n")
    _, said = loaded(events, items=write("t.csv", "item_id,title\na,Alpha\na,Alpha two\nb,Beta\n,Nothing\n"))
    assert "items table: 1 row without an id" in said
    assert "the id of a row before" not in said, "both titles are counted, and one is chosen"
    _, said = loaded(events, items=write("t.csv", "item_id,title\na,Alpha\nb,Beta\na,Alpha\n"))
    assert said == "", "the same row again loses nothing"


@pytest.mark.parametrize(
    ("one", "other"),
    [("caf\u00e9", "cafe\u0301"), ("007", "7"), ("7", "007"), ("ABC1", "abc1"), ("A B", "A  B"), ("A", "A\u200b")],
)
def test_ids_that_an_items_table_spells_otherwise_are_a_warning(write: Write, one: str, other: str) -> None:
    events = write("i.csv", f"user_id,item_id\nu,{one}\nv,b\n")
    data, said = loaded(events, items=write("t.csv", f"item_id,title\n{other},Coffee\nb,Bee\n"))
    assert {one, other, "b"} == set(data.item_ids.values.to_pylist()), "they stay two: ids are what is written"
    assert f"another spelling, such as {one!r} as {other!r}" in said


def test_ids_that_only_look_the_same_are_a_warning() -> None:
    _, said = loaded({"user_id": ["u", "v"], "item_id": ["caf\u00e9", "cafe\u0301"]})
    assert "1 item id nearly like another" in said
    assert loaded({"user_id": ["u", "v"], "item_id": ["caf\u00e9", "\u00e9caf"]})[1] == ""


def test_ids_that_floats_have_rounded_are_a_warning() -> None:
    _, said = loaded(pd.DataFrame({"user_id": [2.0**53 + 2, 1.0], "item_id": [1, 2]}))
    assert "user: 1 id is too large for DOUBLE" in said


@pytest.mark.parametrize("column", ["rating", "timestamp"])
def test_a_column_without_any_value_is_left_out_and_said(column: str) -> None:
    data, said = loaded(pd.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"], column: [None, None]}))
    assert (len(data), getattr(data, column)) == (2, None)
    assert f"{column}: 2 of 2 rows have none" in said


def test_a_list_of_rows_is_a_frame() -> None:
    rows = [
        {"user_id": 1, "item_id": 2},
        {"user_id": 2, "item_id": 3, "rating": 4.5},
        {"user_id": 2, "item_id": 4, "rating": 3},
    ]
    assert pairs(loaded(rows)[0]) == [("2", "3"), ("2", "4")]
    with pytest.raises(DataError, match="no mappings"):
        genre.load([1, 2])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("i.csv", b"PK\x03\x04" + bytes(99), "workbook; give it its ending"),
        ("i.txt", b"\xd0\xcf\x11\xe0" + bytes(99), "workbook; give it its ending"),
        ("i.csv", b"PAR1" + bytes(99), "give it the ending .parquet"),
        ("i.csv", b"\x1f\x8b" + bytes(99), "give it the ending .gz"),
        ("i.feather", b"ARROW1" + bytes(99), "save it as Parquet"),
        ("i.csv", "user_id,item_id\nu,a\n".encode("utf-16-le"), "encoding: 'utf-16-le'"),
        ("i.jsonl", b'{"user_id": 1, "user_id": 2}\n', "has a key twice"),
        ("i.jsonl", b'{"user_id": 1,\n{"user_id": 2}\n', "no whole object"),
        ("i.parquet", b"user_id,item_id\nu,a\n", "does not end as Parquet does"),
    ],
)
def test_other_files_are_refused_with_what_to_do(write: Write, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        genre.load(write(name, content))
    assert "Error:" not in str(caught.value), "no words of DuckDB"
