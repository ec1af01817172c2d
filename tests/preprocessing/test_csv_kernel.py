"""The compiled reader gives what Arrow gives, or refuses."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre.errors import DataError
from genre.preprocessing import csv_kernel, text_kernel
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources import delimited, files
from genre.preprocessing.sources.files import Files

Write = Callable[..., Path]

whole = st.integers(-(10**12), 10**12).map(str) | st.sampled_from(["0", "7", "", "-3"])
text = st.text(f"ab{chr(233)} ", max_size=12).flatmap(lambda t: st.sampled_from([t, f'"{t}"']))
decimal = st.integers(0, 9_999_999).map(lambda n: f"{n / 1000:.3f}"[:8]) | st.sampled_from(
    ["5", "-0.5", "", "4.", ".25"]
)
odd = whole | decimal | st.sampled_from(['"a""b"', '"a,\n"', '"', "NA", '"7"', "a,b", "a\rb", '""'])

TYPES = {"u": pa.int64(), "i": pa.dictionary(pa.int32(), pa.string()), "r": pa.float32(), "t": pa.string()}


def plain(path: Path, names: str = "uirt") -> pa.Table | None:
    """The columns of some names of a file with a header."""
    types = {name: TYPES[name] for name in names}
    return delimited.read_plain(delimited.layout(path, [*TYPES]), types)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(whole, text, st.text("ab ", max_size=3), decimal), max_size=20),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.sampled_from(["", "\n"]),
)
def test_plain_rows_are_read_as_python_reads_them(
    write: Write, rows: list[tuple[str, str, str, str]], end: str, last: str
) -> None:
    content = "u,i,x,r\n" + end.join(",".join(row) for row in rows) + last
    found = plain(write("n.csv", content), "uir")
    assert found is not None
    assert found["u"].to_pylist() == [int(row[0]) if row[0] else None for row in rows]
    assert found["i"].to_pylist() == [row[1].strip('"') for row in rows]
    np.testing.assert_array_equal(found["r"].to_numpy(), np.array([float(row[3] or "nan") for row in rows], np.float32))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
@given(
    rows=st.lists(st.tuples(whole, text | odd, decimal, text | odd), max_size=5),
    more=st.lists(odd, max_size=6) | st.text('7a.-,;"\n\r\u00e9', max_size=40),
    by=st.sampled_from(",\t"),
)
def test_whatever_is_read_arrow_reads_the_same(
    write: Write, rows: list[tuple[str, ...]], more: list[str] | str, by: str
) -> None:
    """And what Arrow finds wrong is refused."""
    lines = [by.join(row) for row in ([*TYPES], *rows)]
    path = write("n.csv", "\n".join([*lines, by.join(more)]))
    look = delimited.Layout(path, by, header=True, names=(*TYPES,), encoding="utf8", quoted=by == ",")
    found = delimited.read_plain(look, TYPES)
    if found is not None:
        expected = delimited.read(look, TYPES, [*TYPES])
        assert found.drop_columns("r").to_pylist() == expected.drop_columns("r").to_pylist()
        np.testing.assert_array_equal(found["r"].to_numpy(), expected["r"].to_numpy())


def test_whole_numbers_take_half_the_memory_while_they_are_small(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_kernel, "BLOCK_BYTES", 32)
    numbers = [2**31 - 1, -(2**31), 7] * 5
    for more, kind in (([], pa.int32()), ([2**31], pa.int64()), ([-(2**31) - 1, 3], pa.int64())):
        found = plain(write("n.csv", "u,x\n" + "".join(f"{number},1\n" for number in numbers + more)), "u")
        assert found is not None
        assert found["u"].type == kind
        assert found["u"].to_pylist() == numbers + more


REFUSED = (
    *("1", "1,2,3,4,5", '"1",a,2,t', "01,a,2,t", "+1,a,2,t", "-0,a,2,t", "1 ,a,2,t", "1e3,a,2,t", "1.0,a,2,t"),
    *("1234567890123456789,a,2,t", "1\r,a,2,t", "1,a,2x,t", "1,a,--2,t", "1,a,1.2.3,t", "1,a,.,t", "1,a,-,t"),
    *("1,a,1e5,t", "1,a,nan,t", "1,a,123456789,t", "1,a,0.12345678,t", '1,a,"2",t', '1,"a""b",2,t', '1,"a"b,2,t'),
    *('1,a"b,2,t', "1,a\rb,2,t", '1,a,2,"t', "1,a,2,t\ud83d"),
)


@pytest.mark.parametrize("row", REFUSED)
def test_anything_out_of_the_ordinary_is_refused(write: Write, row: str) -> None:
    path = write("n.csv", f"u,i,r,t\n5,a,3.5,t\n{row}\n6,b,4,t\n".encode("utf-8", "surrogatepass"))
    assert plain(path) is None


def test_quotes_and_ends_of_lines_do_no_harm_where_nothing_is_asked_for(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f'{n},"say ""so"",\n\nnow {"and then " * (n % 7)}",i{n}' for n in range(40)]
    path = write("n.csv", "u,x,i\n" + "\n".join(rows))
    for n_bytes in (100, 1 << 20):
        monkeypatch.setattr(csv_kernel, "BLOCK_BYTES", n_bytes)
        found = plain(path, "ui")
        assert found is not None
        assert found.to_pylist() == [{"u": n, "i": f"i{n}"} for n in range(40)]
        assert plain(path, "u").num_rows == 40  # type: ignore[union-attr]
    assert plain(write("n.csv", path.read_text() + '\n1,"never closed,i7\n'), "ui") is None


def test_more_text_than_one_array_holds_is_left_to_arrow(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_kernel, "MOST_BYTES", 5)
    path = write("n.csv", "u,i\n1,abc\n2,def\n")
    assert plain(path, "ui") is None
    beyond = write("n.csv", b"u,i\n" + b"1,abc\n" * (delimited.HEAD_BYTES // 6) + b"1,\xff\n")
    monkeypatch.undo()
    assert plain(beyond, "ui") is None  # not UTF-8, but the head does not tell


def test_lines_across_blocks_and_beyond(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_kernel, "BLOCK_BYTES", 16)
    path = write("n.csv", "u;r;i\n" + "".join(f"{n};{n / 4:g};i{n % 3}\n\n" for n in range(50)))
    found = plain(path, "uri")
    assert found is not None
    assert found.to_pylist() == [{"u": n, "r": n / 4, "i": f"i{n % 3}"} for n in range(50)]
    assert plain(write("n.csv", "u;i\n1;" + "2" * 40 + "\n"), "u") is None


def test_a_file_without_rows_and_a_mark_before_the_first(write: Write) -> None:
    found = plain(write("n.csv", "u,i\n"), "ui")
    assert found is not None
    assert found.num_rows == 0
    look = delimited.layout(write("n.csv", "\ufeffa,7\nb,8\n"), [], header=False)
    found = delimited.read_plain(look, {"column 1": TYPES["i"], "column 2": TYPES["u"]})
    assert found is not None
    assert found.to_pylist() == [{"column 1": "a", "column 2": 7}, {"column 1": "b", "column 2": 8}]


@pytest.mark.parametrize("sign", ["", "u"])
@pytest.mark.parametrize("rating", ["4.5", "abc", "NaN", ""])
def test_large_files_read_the_same_with_and_without_it(
    write: Write, monkeypatch: pytest.MonkeyPatch, rating: str, sign: str
) -> None:
    """sign: before an id of a user; with a letter in it there is nothing for the kernel."""
    rows = (f"{sign}{n % 7},{n % 11},{n % 5 + 1},{n},x\n" for n in range(200))
    text = "user,item,rating,timestamp,note\n" + "".join(rows)
    path = write("data.csv", text + f"3,4,{rating},500,y\n")
    outcomes = []
    for threshold in (0, 1 << 40):
        monkeypatch.setattr(files, "COMPILED_FROM_BYTES", threshold)
        try:
            dataset, report = prepare(Files(path).load())
            outcomes.append((dataset.fingerprint(), str(report)))
        except Exception as error:
            outcomes.append((type(error).__name__, str(error)))
        packed = write("data.csv.gz", gzip.compress(path.read_bytes()))
        with contextlib.suppress(DataError):
            assert prepare(Files(packed).load())[0].fingerprint() == outcomes[-1][0]
    assert outcomes[0] == outcomes[1]
    assert ("DataError" in outcomes[0]) == (rating == "abc")


@pytest.mark.parametrize("name", ["data.csv.gz", "data.jsonl.gz", "data.inter.gz"])
@pytest.mark.parametrize("threshold", [0, 1 << 40])
def test_half_a_packed_file_is_named(write: Write, monkeypatch: pytest.MonkeyPatch, name: str, threshold: int) -> None:
    monkeypatch.setattr(files, "COMPILED_FROM_BYTES", threshold)
    row = '{{"user": {0}, "item": {1}}}\n' if "jsonl" in name else "{0},{1}\n"
    text = ("" if "jsonl" in name else "user,item\n") + "".join(row.format(n % 97, n * n) for n in range(200_000))
    packed = gzip.compress(text.encode())
    with pytest.raises(DataError, match=r"unreadable file \(Truncated.*check .* that it is whole"):
        Files(write(name, packed[: len(packed) // 2])).load()
