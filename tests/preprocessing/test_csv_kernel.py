"""The compiled reader gives what Arrow gives, or refuses."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre.errors import DataError
from genre.preprocessing import csv_kernel, files
from genre.preprocessing.csv_kernel import DECIMAL, NO_WHOLE, SKIP, WHOLE, read_numbers
from genre.preprocessing.files import Files
from genre.preprocessing.prepare import prepare

Write = Callable[..., Path]

whole = st.integers(-(10**12), 10**12).map(str) | st.sampled_from(["0", "7", "", "-3"])
decimal = st.integers(0, 9_999_999).map(lambda n: f"{n / 1000:.3f}"[:8]) | st.sampled_from(
    ["5", "-0.5", "", "4.", ".25"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(whole, st.text("ab ", max_size=3), decimal), max_size=20),
    end=st.sampled_from(["", "\n", "\r\n"]),
)
def test_numbers_are_read_as_python_reads_them(write: Write, rows: list[tuple[str, str, str]], end: str) -> None:
    text = "u,x,r\n" + (end or "\n").join(",".join(row) for row in rows) + end
    found = read_numbers(write("n.csv", text), ",", [WHOLE, SKIP, DECIMAL], header=True)
    assert found is not None
    assert found[0].tolist() == [int(row[0]) if row[0] else NO_WHOLE for row in rows]
    np.testing.assert_array_equal(found[1], np.array([float(row[2] or "nan") for row in rows], np.float32))


def test_whole_numbers_take_half_the_memory_while_they_are_small(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_kernel, "BLOCK_BYTES", 32)
    numbers = [2**31 - 1, -(2**31), 7] * 5
    for more, dtype in (([], np.int32), ([2**31], np.int64), ([-(2**31) - 1, 3], np.int64)):
        path = write("n.csv", "".join(f"{number},1\n" for number in numbers + more))
        found = read_numbers(path, ",", [WHOLE, SKIP], header=False)
        assert found is not None
        assert found[0].dtype == dtype
        assert found[0].tolist() == numbers + more


REFUSED = (
    *("1", "1,2,3", '"1",2', "01,2", "+1,2", "-0,2", "1 ,2", "1e3,2", "1.0,2", "1234567890123456789,2", "1\r,2"),
    *("1,2x", "1,--2", "1,1.2.3", "1,.", "1,-", "1,1e5", "1,nan", "1,123456789", "1,0.12345678"),
)


@pytest.mark.parametrize("row", REFUSED)
def test_anything_out_of_the_ordinary_is_refused(write: Write, row: str) -> None:
    assert read_numbers(write("n.csv", f"5,3.5\n{row}\n6,4\n"), ",", [WHOLE, DECIMAL], header=False) is None


def test_lines_across_blocks_and_beyond(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_kernel, "BLOCK_BYTES", 16)
    path = write("n.csv", "user;rating\n" + "".join(f"{n};{n / 4:g}\n\n" for n in range(50)))
    found = read_numbers(path, ";", [WHOLE, DECIMAL], header=True)
    assert found is not None
    assert found[0].tolist() == list(range(50))
    assert found[1].tolist() == [n / 4 for n in range(50)]
    assert read_numbers(write("n.csv", "1;" + "2" * 40 + "\n"), ";", [WHOLE, SKIP], header=False) is None


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
