"""Data that was misread in silence, each with the right value: places, packing, partitions, ids, times, odd types."""

from __future__ import annotations

import bz2
import decimal
import gzip
import io
import json
import shlex
import sqlite3
import subprocess
import sys
import uuid
import warnings
import zipfile
from contextlib import closing
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import genre
from genre.data.dataset import Dataset
from genre.errors import DataError, DataWarning
from genre.preprocessing.sources.base import partitions
from genre.preprocessing.sources.columns import N_SAMPLE
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.sequences import Sequences
from genre.preprocessing.sources.sql import SQL

Rows = list[tuple[str, str]]
EVENTS = "user_id,item_id\nu,a\nv,b\n"
IDS = [uuid.UUID("3f2504e0-4f89-11d3-9a0c-0305e82c3301"), uuid.UUID("41424344-4546-4748-494a-4b4c4d4e4f50")]


def load(data: Any, **options: Any) -> Dataset:
    """`genre.load`, whose warnings are looked at as guesses of the report."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return genre.load(data, **options)


def pairs(data: Dataset) -> Rows:
    return sorted(zip(data.user_ids.take(data.user), data.item_ids.take(data.item), strict=True))


def titles(data: Dataset) -> dict[str, str]:
    return dict(zip(data.item_ids.values.to_pylist(), data.titles(), strict=True))


def moments(data: Dataset) -> dict[str, str]:
    """The time of each user's only interaction."""
    assert data.timestamp is not None
    read = (datetime.fromtimestamp(int(seconds), UTC).isoformat()[:19] for seconds in data.timestamp)
    return dict(zip(data.user_ids.take(data.user), read, strict=True))


def guesses(data: Dataset) -> str:
    return "\n".join(data.report.guesses)


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def timed(folder: Path, times: list[str], name: str = "t.csv") -> Path:
    return put(folder, name, "user_id,item_id,timestamp\n" + "".join(f'u{n},a,"{t}"\n' for n, t in enumerate(times)))


@pytest.mark.parametrize("mark", ["[1]", "?", "*"])
def test_a_name_with_the_signs_of_a_pattern_is_that_of_one_file(tmp_path: Path, mark: str) -> None:
    """DuckDB reads `sales1.csv` where `sales[1].csv` is named."""
    for place in (f"sales{mark}.csv", f"{mark}/sales.csv"):
        right = put(tmp_path, place, EVENTS)
        put(tmp_path, place.replace(mark, "1"), "user_id,item_id\nwrong,x\n")
        assert pairs(load(right)) == [("u", "a"), ("v", "b")]
    for name, user in ((mark, "right"), ("1", "wrong")):
        pq.write_table(pa.table({"user_id": [user], "item_id": ["a"]}), tmp_path / f"s{name}.parquet")
        put(tmp_path, f"s{name}.jsonl", json.dumps({"user_id": user, "item_id": "a"}))
    assert pairs(load(tmp_path / f"s{mark}.parquet")) == pairs(load(tmp_path / f"s{mark}.jsonl")) == [("right", "a")]


def _zipped(**files: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_DOT_", ".").replace("_IN_", "/"), content)
    return target.getvalue()


def _by_arrow(kind: str, content: str) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, kind) as stream:
        stream.write(content.encode())
    return bytes(target.getvalue())


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".csv.zst", _by_arrow("zstd", "user_id,item_id\nu,a\n") + _by_arrow("zstd", "v,b\n")),
        (".csv.lz4", _by_arrow("lz4", EVENTS)),
        (".csv.br", _by_arrow("brotli", EVENTS)),
        (".CSV.GZ", gzip.compress(b"user_id,item_id\nu,a\n") + gzip.compress(b"v,b\n")),
        (".zip", _zipped(__MACOSX_IN_i_DOT_csv="x", in_IN_i_DOT_csv=EVENTS)),
        (".jsonl.bz2", bz2.compress(b'{"user_id":"u","item_id":"a"}\n{"user_id":"v","item_id":"b"}\n')),
    ],
)
def test_packed_files_are_read_whole(tmp_path: Path, ending: str, content: bytes) -> None:
    assert pairs(load(put(tmp_path, f"i{ending}", content))) == [("u", "a"), ("v", "b")]


LONG = "user_id,item_id\n" + "".join(f"u{n * 7919 % 100_003},i{n * 104_729 % 99_991}\n" for n in range(120_000))
"""More than the head of a file that is looked at first."""


@pytest.mark.parametrize("kind", ["zst", "gz", "sum"])
def test_packed_files_that_are_cut_or_damaged_are_refused(tmp_path: Path, kind: str) -> None:
    whole = _by_arrow("zstd", LONG) if kind == "zst" else gzip.compress(LONG.encode(), 1)
    cut = whole[:-6] + bytes([whole[-6] ^ 255]) + whole[-5:] if kind == "sum" else whole[: len(whole) - 2000]
    path = put(tmp_path, f"i.csv.{'gz' if kind == 'sum' else kind}", cut)
    with pytest.raises(DataError, match=r"i\.csv\..*: unreadable file \(.*\); check its permissions and that it is"):
        load(path)


def test_an_archive_of_several_files_is_refused_with_their_names(tmp_path: Path) -> None:
    path = put(tmp_path, "i.zip", _zipped(i_DOT_csv=EVENTS, t_DOT_csv="item_id,title\na,A\n"))
    with pytest.raises(DataError, match=r"2 files in the archive \('i\.csv', 't\.csv'\); unpack it and name one"):
        load(path)


@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl", "parquet"])
def test_partitions_are_columns_as_they_are_written(tmp_path: Path, form: str) -> None:
    """DuckDB makes `2020-1-5` and `2020-01-05` one date, and takes folders above the one that is named."""
    folder = tmp_path / "user_id=above" / "data"
    for item, user in (("2020-1-5", "u"), ("2020-01-05", "v"), ("a%2Fb", "w"), ("__HIVE_DEFAULT_PARTITION__", "x")):
        place = f"item_id={item}/day=07/part.{form}"
        if form == "parquet":
            put(folder, place, b"")
            pq.write_table(pa.table({"user_id": [user]}), folder / place)
        else:
            text = f'{{"user_id":"{user}"}}' if form == "jsonl" else f"user_id,stars\n{user},5\n"
            put(folder, place, gzip.compress(text.encode()) if form == "csv.gz" else text)
    for left in (f"_temporary/part.{form}", ".hidden/part.csv", "_SUCCESS"):
        put(folder, left, "left over")
    rows = [("u", "2020-1-5"), ("v", "2020-01-05"), ("w", "a/b")]
    data = load(folder)
    assert pairs(data) == rows
    assert "no item_id: 1" in str(data.report)
    assert pairs(load(folder / "item_id=*" / "*" / f"*.{form}")) == rows
    assert partitions(folder / "item_id=a%2Fb", folder / "item_id=a%2Fb" / "day=07" / "x") == {"day": "07"}


def test_the_file_itself_comes_before_the_name_of_its_folder(tmp_path: Path) -> None:
    place = put(tmp_path, "user_id=zz/i.parquet", b"")
    pq.write_table(pa.table({"user_id": ["u"], "item_id": ["a"]}), place)
    assert pairs(load(place)) == pairs(load(tmp_path)) == [("u", "a")]


def test_a_partition_of_an_items_table_is_a_field_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    items = tmp_path / "items"
    put(items, "year=2000/p.csv", "item_id,title\na,Alpha\n")
    put(items, "year=2001/p.csv", "item_id,title\nb,Beta\n")
    events = put(tmp_path, "i.csv", EVENTS)
    assert load(events, items=items).items["year"].to_pylist() == [2000, 2001]
    before = Files(events, items=items).fingerprint()
    (items / "year=2000").rename(items / "year=1999")
    assert Files(events, items=items).fingerprint() != before


def test_ids_are_trimmed_of_every_blank_and_those_that_look_alike_are_named(tmp_path: Path) -> None:
    blanks = ["a", "\u3000a", "a\u202f", "\u2009a\xa0", " a"]
    text = "user_id,item_id\n" + "".join(f"u{n},{item}\n" for n, item in enumerate(blanks))
    assert set(load(put(tmp_path, "i.csv", text)).item_ids.values.to_pylist()) == {"a"}
    alike = load(put(tmp_path, "j.csv", "user_id,item_id\nu,ab\nv,a\u200bb\nw,c d\nx,c\xa0d\n"))
    assert len(alike.item_ids) == 4
    assert "2 item ids nearly like another" in guesses(alike)


@pytest.mark.parametrize(
    "text", ["user_id\titem_id\nu\ta\nv\t\\N\n\\N\tb\n", '"user_id","item_id"\n"u","a"\n"v",\\N\n']
)
def test_no_value_as_databases_write_it_is_no_id(tmp_path: Path, text: str) -> None:
    assert pairs(load(put(tmp_path, "i.txt", text))) == [("u", "a")]
    quoted = text + '"say \\"hi\\"","c"\n' if text.startswith('"') else text
    assert "\\N" not in load(put(tmp_path, "j.txt", quoted)).item_ids.values.to_pylist()
    events, items = put(tmp_path, "i.csv", EVENTS), put(tmp_path, "t.tsv", "item_id\ttitle\na\t\\N\nb\tBeta\n")
    assert titles(load(events, items=items)) == {"a": "a", "b": "Beta"}


def test_ids_that_lost_digits_are_guesses(tmp_path: Path) -> None:
    short = load(put(tmp_path, "i.csv", "user_id,item_id\nu,8.41E+11\nv,8.41E+11\nw,1e5\n"))
    assert "item: 1 id shortened as numbers are by spreadsheets, such as '8.41E+11'" in guesses(short)
    frame = pd.DataFrame({"user_id": ["u"], "item_id": [9_007_199_254_740_993]})
    items = pd.DataFrame({"item_id": [9_007_199_254_740_993, None], "title": ["A", "B"]})
    with pytest.raises(DataError, match="items table: item: 1 id is too large for DOUBLE, which rounds such"):
        load(frame, items=items)


def test_a_table_that_spells_all_ids_otherwise_is_refused_with_that_remedy(tmp_path: Path) -> None:
    pq.write_table(pa.table({"item_id": [7, 8], "title": ["Seven", "Eight"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="say '007', the table says '7'; ids are compared as they are written, so"):
        load(put(tmp_path, "i.csv", "user_id,item_id\nu,007\nv,008\n"), items=tmp_path / "t.parquet")


def test_fields_keep_every_digit(tmp_path: Path) -> None:
    events = put(tmp_path, "i.csv", EVENTS)
    items = put(tmp_path, "t.csv", "item_id,title,code,price\na,A,12345678901234567890,2.50\nb,B,7,3\n")
    fields = load(events, items=items).items
    assert fields["code"].to_pylist() == ["12345678901234567890", "7"]
    assert fields["price"].to_pylist() == [2.5, 3.0]


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ("date,time", ["31/01/2024,9:05", "15/02/2024,23:59:59"]),
        ("Order_Date,Order_Time", ["01/31/2024,9:05 AM", "02/15/2024,11:59:59 PM"]),
        ("time,date", ["09:05,2024-01-31 00:00:00", "23:59:59,2024-02-15 00:00:00"]),
        ("date,time", ["20240131,09:05:00", "20240215,23:59:59"]),
        ("timestamp,time", ["2024-01-31 09:05,1:00", "2024-02-15 23:59:59,2:00"]),
        ("time,date", [",2024-01-31 09:05", ",2024-02-15 23:59:59"]),
    ],
)
def test_a_day_and_an_hour_in_two_columns_are_one_time(tmp_path: Path, head: str, rows: list[str]) -> None:
    lines = "".join(f"u{n},a,{row}\n" for n, row in enumerate(rows))
    data = load(put(tmp_path, "i.csv", f"user_id,item_id,{head}\n{lines}"))
    assert moments(data) == {"u0": "2024-01-31T09:05:00", "u1": "2024-02-15T23:59:59"}


def test_a_day_and_an_hour_of_their_own_types_are_one_time() -> None:
    frame = {"user_id": ["u", "v"], "item_id": ["a", "b"]}
    frame |= {"date": [date(2024, 1, 31), date(2024, 2, 15)], "time": [time(9, 5), None]}
    assert moments(load(pa.table(frame))) == {"u": "2024-01-31T09:05:00", "v": "2024-02-15T00:00:00"}


@pytest.mark.parametrize(
    ("times", "read", "said"),
    [
        (["2024013110", "2024021523"], ["2024-01-31T10:00:00", "2024-02-15T23:00:00"], ""),
        (["20240131101500123", "20240215235959999"], ["2024-01-31T10:15:00", "2024-02-15T23:59:59"], ""),
        (["31012024", "01122023"], ["2024-01-31T00:00:00", "2023-12-01T00:00:00"], ""),
        (["1312024", "12152024"], ["2024-01-31T00:00:00", "2024-12-15T00:00:00"], ""),
        (["05032024", "01122024", "11022024"], ["2024-03-05T00:00:00"], "%m%d%Y fits as well"),
        (["2000000000", "2000000100"], ["2033-05-18T03:33:20", "2033-05-18T03:35:00"], ""),
        (["1.70E+09", "1.71E+09"], ["2023-11-14T22:13:20"], "2 times are shortened"),
    ],
)
def test_packed_and_shortened_times(tmp_path: Path, times: list[str], read: list[str], said: str) -> None:
    data = load(timed(tmp_path, times))
    assert list(moments(data).values())[: len(read)] == read
    assert said in guesses(data) if said else not guesses(data)


@pytest.mark.parametrize(
    ("times", "last"),
    [
        ([f"0{n}/11/2024" for n in (3, 1, 4, 2)], "2024-11-04T00:00:00"),  # four days of November
        ([f"11/0{n}/2024" for n in (3, 1, 4, 2)], "2024-11-04T00:00:00"),  # the same, with the month first
        (["05/03/2024", "01/12/2024", "11/02/2024"], "2024-12-01T00:00:00"),  # spans alike: the day comes first
    ],
)
def test_days_that_may_be_months_are_read_as_the_shorter_span(tmp_path: Path, times: list[str], last: str) -> None:
    data = load(timed(tmp_path, times))
    assert max(moments(data).values()) == last
    assert "fits as well" in guesses(data)


def test_numbers_of_eight_digits_are_an_order_where_they_are_no_days(tmp_path: Path) -> None:
    data = load(timed(tmp_path, ["10000001", "31129999", "20112222"]))
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [10_000_001, 31_129_999, 20_112_222]


def test_files_of_one_folder_share_the_form_of_their_dates(tmp_path: Path) -> None:
    timed(tmp_path, ["01/31/2024"], "p/a.csv")
    put(tmp_path, "p/b.csv", "user_id,item_id,timestamp\nv,a,02/03/2024\nw,a,02/02/2024\n")
    data = load(tmp_path / "p")
    assert moments(data) == {"u0": "2024-01-31T00:00:00", "v": "2024-02-03T00:00:00", "w": "2024-02-02T00:00:00"}
    assert not guesses(data)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("dd/mm/yyyy", "is no unit of times; expected seconds"),
        ("%Q/%m", "cannot be read"),
        ("%Y-%m-%d", r"'31/01/2024' is not a time \(times written as %Y-%m-%d\)"),
    ],
)
def test_a_form_that_cannot_be_is_refused(tmp_path: Path, written: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load(timed(tmp_path, ["31/01/2024"]), columns={"format": written})


def test_a_form_of_text_for_numbers_is_refused() -> None:
    frame = {"user_id": ["u"], "item_id": ["a"], "timestamp": [31012024]}
    with pytest.raises(DataError, match="'timestamp' holds numbers, which have no form such as '%d%m%Y'"):
        load(frame, columns={"format": "%d%m%Y"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<!DOCTYPE html>\n<html><head><title>404, not found</title></head></html>\n", "a page of HTML or XML"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a pointer of Git LFS"),
        (b"SQLite format 3\0" + bytes(100), "a SQLite database; in a config read it with kind: sql"),
        (b"i.csv" + bytes(252) + b"ustar\0" + bytes(250), "a tar archive"),
    ],
)
def test_what_is_no_table_is_refused_by_its_kind(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(DataError, match=rf"i\.csv: {reason}"):
        load(put(tmp_path, "i.csv", content))


def test_columns_chosen_by_content_under_names_that_say_nothing_are_guesses(tmp_path: Path) -> None:
    """A matrix of users and films is no list of interactions."""
    wide = load(put(tmp_path, "i.csv", ",matrix,alien\nann,5,4\nbob,3,2\ncat,4,1\n"))
    assert "item: 'matrix' (the column after it; a guess: set columns: {item: '...'}" in guesses(wide)
    assert not guesses(load(put(tmp_path, "j.csv", "u1,a\nu1,b\nu2,a\n")))


def test_a_header_of_several_lines_in_a_file_of_windows(tmp_path: Path) -> None:
    assert pairs(load(put(tmp_path, "i.csv", '"user\nid",item_id\r\nu,a\r\nv,b\r\n'))) == [("u", "a"), ("v", "b")]


@pytest.mark.parametrize(
    ("rating", "stray"), [([5, 4, -1, 2], -1), ([1, 5, 999, 2], 999), ([1, -1, 0, 1], None), ([1, 5, 10, 9], None)]
)
def test_a_rating_that_may_stand_for_none_is_a_guess(rating: list[int], stray: int | None) -> None:
    frame = {"user_id": [*"uvwx"] * 5, "item_id": [f"i{n // 4}" for n in range(20)], "rating": rating * 5}
    said = guesses(load(frame))
    assert (f"5 ratings of {stray} may mean that there is none" in said) == (stray is not None)


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series(IDS),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes for one in IDS], pa.binary(16))),
    ],
)
def test_uuids_of_any_type_are_ids(ids: Any) -> None:
    made = pd.DataFrame({"user_id": ["u", "v"], "item_id": ids}) if isinstance(ids, pd.Series) else None
    data = load(pa.table({"user_id": ["u", "v"], "item_id": ids}) if made is None else made)
    assert pairs(data) == [("u", str(IDS[0])), ("v", str(IDS[1]))]


def test_lists_among_other_values_are_no_ids(tmp_path: Path) -> None:
    lines = ['{"user_id":"u","item_id":"[REC]"}', '{"user_id":"v","item_id":1}', '{"user_id":"w","item_id":"x"}']
    assert pairs(load(put(tmp_path, "i.jsonl", "\n".join(lines)))) == [("u", "[REC]"), ("v", "1"), ("w", "x")]
    with pytest.raises(DataError, match="column 'item_id' holds lists or objects among other values"):
        load(put(tmp_path, "j.jsonl", "\n".join([*lines, '{"user_id":"x","item_id":["a"]}'])))


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_folders_of_days_are_times_though_each_file_has_one(tmp_path: Path, form: str) -> None:
    for day in range(1, 6):
        rows = [f"u{n},i{(n + day) % 4}" for n in range(5)]
        file = written(tmp_path, f"log/day=2024-01-0{day}/part.csv", ["user_id,item_id", *rows])
        if form == "parquet":
            pd.read_csv(file).to_parquet(file.with_suffix(".parquet"))
            file.unlink()
    data = load(tmp_path / "log")
    assert data.timestamp is not None
    assert (len(data), len({*data.timestamp.tolist()})) == (25, 5)
    assert data.report is not None
    assert sum("'day' (it holds times; a guess" in line for line in data.report.guesses) == 1


def test_a_day_that_fills_the_first_rows_is_a_time_and_one_of_all_rows_is_none(tmp_path: Path) -> None:
    """Sales in the order of their days; the day of an export."""
    rows = [f"u{n % 700},i{n % 90},2018-09-{20 + n // N_SAMPLE},2020-01-01" for n in range(N_SAMPLE + 500)]
    data = load(written(tmp_path, "sales.csv", ["customer_id,article_id,t_dat,exported", *rows]))
    assert data.timestamp is not None
    assert {*data.timestamp.tolist()} == {1537401600, 1537488000}
    some = [row.replace("2018-09-21", "2018-09-20") for row in rows[-100:]]
    other = [f"{row.rpartition(',')[0]},2020-01-0{1 + n % 7}" for n, row in enumerate(some)]
    data = load(written(tmp_path, "other.csv", ["customer_id,article_id,exported,t_dat", *other]))
    assert data.timestamp is not None
    assert len({*data.timestamp.tolist()}) == 7
    data = load(written(tmp_path, "few.csv", ["customer_id,article_id,t_dat,exported", *some]))
    assert data.timestamp is None
    assert "not used: exported, t_dat" in str(data.report)


@pytest.mark.parametrize("bad", ['{"user_id":"u" "item_id":"b"}', '["v","b"]', '{"user_id":"u","item_'])
def test_a_broken_line_of_json_is_named_as_it_is_counted(tmp_path: Path, bad: str) -> None:
    good = '{"user_id":"u","item_id":"a"}'
    put(tmp_path, "p/a.jsonl", good)
    put(tmp_path, "p/b.jsonl", "\n".join([good, "", "", bad]))
    with pytest.raises(DataError, match=r"b\.jsonl: unreadable as JSON lines: no whole object \(line 4\)"):
        load(tmp_path / "p")


def test_files_of_different_types_are_refused_with_the_column(tmp_path: Path) -> None:
    for name, kind in (("a", pa.int64()), ("b", pa.timestamp("s"))):
        table = pa.table({"user_id": ["u"], "item_id": ["a"], "timestamp": pa.array([1], kind)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: column 'timestamp' holds BIGINT, in another file TIMESTAMP"):
        load(tmp_path)


@pytest.mark.parametrize("indptr", [[0, 2_000_000, 2], [0, 1, 2]])
def test_a_sparse_matrix_with_places_outside_is_refused(tmp_path: Path, indptr: list[int]) -> None:
    indices = np.array([1, 0] if indptr[1] > 2 else [5, 0])
    parts = {"indices": indices, "indptr": np.array(indptr), "data": np.array([1.0, 2.0])}
    np.savez(tmp_path / "m.npz", format=np.array(b"csr"), shape=np.array([2, 2]), **parts)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"m\.npz: unreadable matrix"):
        load(tmp_path / "m.npz")


def test_frames_of_odd_types_and_names() -> None:
    frame = {"user_id": ["u", "v"], "item_id": ["a", "b"], "rating": np.array([4.5, 3], np.float16), "": [1, 2]}
    data = load(pd.DataFrame(frame, index=[7, 7]))
    assert data.rating is not None
    assert data.rating.tolist() == [4.5, 3.0]
    large = [decimal.Decimal(10**44 + 1), decimal.Decimal(10**44 + 2)]
    ids = load(pa.table({"user_id": ["u", "v"], "item_id": pa.array(large, pa.decimal256(45, 0))})).item_ids
    assert ids.values.to_pylist() == [str(10**44 + 1), str(10**44 + 2)]
    sizes = [{"x": 1}, {"x": 2}, {"x": 3}]
    items = pa.table({"item_id": ["a", "a", "b"], "title": ["A", "A", "B"], "size": sizes, "place": ["p", "q", "r"]})
    assert load({"user_id": ["u", "v"], "item_id": ["a", "b"]}, items=items).items["place"].to_pylist() == ["p|q", "r"]
    with pytest.raises(DataError, match=r"'2024Q1' is not a time"):
        load(pd.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": pd.PeriodIndex(["2024Q1"], freq="Q")}))
    with pytest.raises(DataError, match="items: found a str, but the interactions are a DataFrame; give both"):
        load(pd.DataFrame({"user_id": ["u"], "item_id": ["a"]}), items="items.csv")


def test_databases_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.duckdb")) as lite, lite:
        lite.execute("CREATE TABLE t AS SELECT 'u' AS user_id, 'a' AS item_id")
    with closing(duckdb.connect(tmp_path / "x.db")) as database:
        database.execute("CREATE TABLE t AS SELECT 'u' AS user_id, 'a' AS item_id")
    for name in ("x.duckdb", "x.db"):
        assert pairs(load(SQL("t", path=tmp_path / name))) == [("u", "a")]


def test_a_line_with_a_user_and_no_item_is_counted(tmp_path: Path) -> None:
    data = load(Sequences(put(tmp_path, "s.txt", "1 10 11\n2\n")))
    assert pairs(data) == [("1", "10"), ("1", "11")]
    assert "1 line names a user and no item" in str(data.report)


def written(tmp_path: Path, name: str, rows: list[str]) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def test_fractions_are_no_items(tmp_path: Path) -> None:
    """Check-ins: user, time, latitude, longitude, place."""
    rows = [
        f"u{n % 3}\t2010-10-19T23:55:{n:02}Z\t{30 + n / 7:.5f}\t{-97 - n / 9:.5f}\t{22840 + n % 4}" for n in range(12)
    ]
    assert load(written(tmp_path, "places.tsv", rows)).item_ids.values.to_pylist() == [
        "22840",
        "22841",
        "22842",
        "22843",
    ]


def test_two_colons_come_before_the_bars_of_a_field(tmp_path: Path) -> None:
    rows = [f"{n % 5}::{n % 7}::{n % 5 + 1}::{978300000 + n}" for n in range(20)]
    movies = [f"{n}::Film {'abcdefg'[n]} (1995)::Drama|Comedy" for n in range(7)]
    data = load(written(tmp_path, "ratings.dat", rows), items=written(tmp_path, "movies.dat", movies))
    assert titles(data)["3"] == "Film d (1995)"


def test_a_time_under_a_foreign_name_is_found_by_its_content(tmp_path: Path) -> None:
    """Not a day of birth of the user, nor a day on which the item appeared, nor a count of the size of times."""
    rows = [
        f"u{n % 3},a{n % 4},1970-01-0{1 + n % 3},2001-01-0{1 + n % 4},{1500000000 + n},2018-09-{n + 10}"
        for n in range(12)
    ]
    head = "customer_id,article_id,born,published,receipt,t_dat"
    data = load(written(tmp_path, "sales.csv", [head, *rows]))
    assert data.timestamp is not None
    assert datetime.fromtimestamp(int(data.timestamp.max()), UTC).isoformat()[:10] == "2018-09-21"
    assert data.report is not None
    assert any("'t_dat' (it holds times; a guess" in line for line in data.report.guesses)
    gap = [row.rpartition(",")[0] + "," if n == 5 else row for n, row in enumerate(rows)]
    assert load(written(tmp_path, "gaps.csv", [head, *gap])).timestamp is None, "no row is dropped for a guess"


def test_numbers_are_times_where_the_name_ends_so(tmp_path: Path) -> None:
    rows = [f"{n % 3},{1506825423000 + n},{n % 4},{1506825423271 + 1000 * n},{n % 5}" for n in range(12)]
    data = load(written(tmp_path, "clicks.csv", ["user_id,session_start,click_article_id,click_timestamp,os", *rows]))
    assert data.timestamp is not None
    assert set(data.timestamp.tolist()) == set(range(1506825423, 1506825435))
    assert data.item_ids.values.to_pylist() == ["0", "1", "2", "3"]


def test_dictionaries_of_python_are_refused_with_what_makes_them_json(tmp_path: Path) -> None:
    reviews = written(tmp_path, "reviews.json", ["{u'user': u'a', u'item': u'x'}", "{'user': 'b', 'item': \"it's\"}"])
    with pytest.raises(DataError, match="dictionaries of Python") as error:
        load(reviews)
    command = str(error.value).partition("as JSON: python ")[2].partition(" <")[0]
    with reviews.open() as lines:
        made = subprocess.run([sys.executable, *shlex.split(command)], stdin=lines, capture_output=True, check=True)
    (tmp_path / "made.jsonl").write_bytes(made.stdout)
    assert pairs(load(tmp_path / "made.jsonl")) == [("a", "x"), ("b", "it's")]


def test_a_zone_may_stand_before_the_year(tmp_path: Path) -> None:
    rows = ["user,item,created_at", "u,a,Tue Apr 03 18:00:09 +0200 2012", "v,a,Fri Apr 06 18:00:09 -0100 2012"]
    assert moments(load(written(tmp_path, "posts.csv", rows))) == {
        "u": "2012-04-03T16:00:09",
        "v": "2012-04-06T19:00:09",
    }


def test_the_only_other_column_of_ids_is_the_item(tmp_path: Path) -> None:
    rows = [f"r{n},u{n % 3},{n % 4},{n % 5 + 1}" for n in range(12)]
    data = load(written(tmp_path, "ratings.csv", ["review_id,user_id,anime_id,rating", *rows]))
    assert data.item_ids.values.to_pylist() == ["0", "1", "2", "3"]
    visits = [f"u{n % 3},s{n % 4},{n % 5}" for n in range(12)]
    with pytest.raises(DataError, match="known to name the item"):
        load(written(tmp_path, "visits.csv", ["user_id,session_id,reference", *visits]))
    stores = [f"h{n % 3},{n % 4},1,{n % 5}" for n in range(12)]
    with pytest.raises(DataError, match="known to name the user"):
        load(written(tmp_path, "baskets.csv", ["household,product_id,store_id,day", *stores]))


def test_reviews_name_the_item_as_its_table_does(tmp_path: Path) -> None:
    reviews = written(tmp_path, "r.csv", ["user_id,asin,parent_asin", "u,a1,a", "v,a2,a", "v,b1,b"])
    products = written(tmp_path, "p.csv", ["title,parent_asin", "Soap,a", "Cup,b"])
    assert titles(load(reviews, items=products)) == {"a": "Soap", "b": "Cup"}
    assert titles(load(pd.read_csv(reviews), items=pd.read_csv(products))) == {"a": "Soap", "b": "Cup"}
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        pd.read_csv(reviews).to_sql("reviews", shop, index=False)
        pd.read_csv(products).to_sql("products", shop, index=False)
    assert titles(load(SQL("reviews", items="products", path=tmp_path / "shop.db"))) == {"a": "Soap", "b": "Cup"}


def test_a_column_of_ids_with_no_value_says_so(tmp_path: Path) -> None:
    data = load(written(tmp_path, "views.csv", ["user_id,item_id", "NA,a", "NA,b", "7,a"]))
    assert data.report is not None
    assert any("2 rows say 'NA', read as an id" in line for line in data.report.guesses)


def test_rows_below_a_number_are_refused_with_what_brings_them_into_rows(tmp_path: Path) -> None:
    prize = written(tmp_path, "prize.txt", ["1:", "7,3,2005-09-06", "8,5,2005-05-13", "2:", "7,4,2005-10-19"])
    with pytest.raises(DataError, match="lines such as '1:' head the rows below them") as error:
        load(prize)
    command = str(error.value).partition("of them: ")[2]
    done = subprocess.run([*shlex.split(command), str(prize)], capture_output=True, text=True, check=True).stdout
    assert done.splitlines()[-1] == "2,7,4,2005-10-19"
