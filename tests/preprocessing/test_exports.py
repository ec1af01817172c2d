"""Files as programs export them: lines above the header, other alphabets, packed files, mixed line ends."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import genre
from genre.errors import DataError, DataWarning, OptionError

Write = Callable[[str, str | bytes], Path]
ROWS = "".join(f"{user},{10 + user},{user % 5 + 1},{1_600_000_000 + user}\n" for user in range(40))


@pytest.mark.parametrize("above", ["Export 2021,,,\n", "Report of 2021\n\n", "# exported by x\n", "\n", "sep=,\n"])
def test_lines_above_the_header_are_left_out(write: Write, above: str) -> None:
    data = genre.load(write("i.csv", f"{above}user_id,item_id,rating,timestamp\n{ROWS}"))
    assert (len(data), data.n_users) == (40, 40)
    assert data.rating is not None
    assert data.timestamp is not None


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("cp1251", "Война и мир роман в четырёх томах"),
        ("gb18030", "卧虎藏龙是一部武侠电影"),
        ("cp1252", "Café “x” for 5€"),
    ],
)
def test_other_encodings_are_read_as_what_they_look_like_and_said(write: Write, encoding: str, title: str) -> None:
    items = write("items.csv", f"item_id,title\na,{title}\nb,{title} 2\n".encode(encoding))
    data = genre.load(write("i.csv", "user_id,item_id\nu,a\nu,b\n"), items=items)
    assert data.titles()[0] == title
    assert any("a guess" in line and "encoding" in line for line in data.report.guesses)


def test_one_bad_byte_does_not_turn_the_file_into_another_encoding(write: Write) -> None:
    items = write("items.csv", "item_id,title\na,Café\nb,Crème brûlée\n".encode() + b"c,M\xfcller\n")
    with pytest.raises(DataError, match="line 4: text that is not UTF-8"):
        genre.load(write("i.csv", "user_id,item_id\nu,a\n"), items=items)


def test_an_items_table_without_a_header_loses_no_item(write: Write) -> None:
    items = write("items.csv", "i0,Toy\ni1,Heat\ni2,Up\n")
    data = genre.load(write("i.csv", "user_id,item_id\nu,i0\nu,i1\nv,i2\n"), items=items)
    assert data.titles() == ["Toy", "Heat", "Up"]


def test_plain_quotes_in_a_tsv_swallow_no_items(write: Write) -> None:
    items = write("items.tsv", 'item_id\ttitle\ni1\t"Unclosed\ni2\tC\ni3\tAnother"\n')
    data = genre.load(write("i.csv", "user_id,item_id\nu,i1\nu,i2\nv,i3\n"), items=items)
    assert data.titles() == ['"Unclosed', "C", 'Another"']


@pytest.mark.parametrize(("suffix", "pack"), [(".bz2", bz2.compress), (".xz", lzma.compress)])
def test_packed_text_is_read(write: Write, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    text = f"user_id,item_id,rating,timestamp\n{ROWS}".encode()
    assert len(genre.load(write(f"i.csv{suffix}", pack(text)))) == 40


def test_lines_may_end_in_different_ways(write: Write) -> None:
    text = f"user_id,item_id,rating,timestamp\n{ROWS}".replace("\n", "\r\n") + "99,99,5,1600000099\n"
    assert len(genre.load(write("i.csv", text))) == 41


def test_seconds_among_milliseconds_are_read_as_seconds(write: Write) -> None:
    times = [1_600_000_000_000 + 1000 * n for n in range(8)] + [1_600_000_009, 1_600_000_010]
    text = "user_id,item_id,timestamp\n" + "".join(f"u,{n},{time}\n" for n, time in enumerate(times))
    with pytest.warns(DataWarning, match="some in seconds"):
        data = genre.load(write("i.csv", text))
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [*range(1_600_000_000, 1_600_000_008), 1_600_000_009, 1_600_000_010]


def test_a_rating_that_few_rows_have_does_not_drop_the_others(write: Write) -> None:
    lines = "".join(f'{{"user_id": {n % 5}, "item_id": {n}}}\n' for n in range(30))
    path = write("i.jsonl", lines + '{"user_id": 1, "item_id": 99, "rating": 4}\n')
    with pytest.warns(DataWarning, match="the column is left out"):
        data = genre.load(path)
    assert (len(data), data.rating) == (31, None)


def test_ids_that_look_missing_are_a_stated_guess(write: Write) -> None:
    with pytest.warns(DataWarning, match="2 rows say 'NULL', read as an id"):
        genre.load(write("i.csv", "user_id,item_id\nNULL,a\nNULL,b\nu,a\n"))


def test_wrong_options_of_load_are_named(write: Write) -> None:
    path = write("i.csv", f"user_id,item_id,rating,timestamp\n{ROWS}")
    with pytest.raises(OptionError, match=r"no option 'users' \(did you mean 'user'\?\)"):
        genre.load(path, columns={"users": "user_id"})


def test_a_frame_with_a_column_of_several_types_is_read() -> None:
    frame = pd.DataFrame({"user_id": [2**64, 2**64 + 1, 7], "item_id": ["a", "b", "c"], "misc": [1, "x", None]})
    data = genre.load(frame)
    assert data.user_ids.values.to_pylist() == [str(2**64), str(2**64 + 1), "7"]


def test_a_json_array_is_read_as_lines_are(write: Write) -> None:
    rows = [f'{{"user_id": {n % 5}, "item_id": "{n}", "rating": {n % 5 + 1}}}' for n in range(20)]
    lines = genre.load(write("i.jsonl", "\n".join(rows)))
    assert genre.load(write("i.json", f"[{', '.join(rows)}]")).fingerprint() == lines.fingerprint()
