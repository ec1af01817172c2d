"""Texts are numbered as Arrow's `dictionary_encode` numbers them, in however many pieces they come."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.errors import DataError
from genre.preprocessing import delimited, text_kernel
from genre.preprocessing.text_kernel import Texts

Write = Callable[..., Path]

alike = st.text("ab", max_size=20) | st.text(max_size=9) | st.integers(0, 99).map(lambda n: f"item-{n:09d}")


@given(st.lists(alike, max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_texts_get_the_numbers_that_arrow_gives(values: list[str], cuts: list[int]) -> None:
    column = pa.array(values, pa.string())
    bounds = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    known = Texts()
    for start, stop in pairwise(bounds):
        known.add(column[start:stop])
    assert known.column().equals(column.dictionary_encode())


def test_there_is_room_for_more_texts_and_longer_ones_than_at_first() -> None:
    values = [f"{n}" * (1 + n % 30) for n in range(20_000)]
    known = Texts()
    for _ in range(5):
        known.add(pa.array(values))
    assert known.column().equals(pa.array(5 * values).dictionary_encode())


def test_more_text_than_arrow_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_kernel, "MOST_BYTES", 5)
    known = Texts()
    known.add(pa.array(["abc", "def"]))
    with pytest.raises(pa.ArrowInvalid, match="two gigabytes"):
        known.column()


TYPES = {
    "u": pa.dictionary(pa.int32(), pa.string()),
    "i": pa.dictionary(pa.int32(), pa.string()),
    "r": pa.float32(),
    "t": pa.int64(),
}
ROW = '"u, 7",i\u00e9,4.5,1000\n'


@pytest.mark.parametrize(
    "more", ["", "u8,,,\n", "u8,i,1,3000000000\n", '"say ""so""","two\nlines",1,2\n', "u" * 200 + ",i,1,1\n"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_hold_what_the_whole_holds(write: Write, monkeypatch: pytest.MonkeyPatch, more: str, end: str) -> None:
    monkeypatch.setattr(delimited, "STREAM_BYTES", 64)  # the longest row is longer than that
    path = write("data.csv", ("u,i,r,t\n" + ROW * 9 + more + "u9,i9,,5\n" + ROW).replace("\n", end))
    look = delimited.layout(path, ("u", "i"))
    found = delimited.read_in_blocks(look, TYPES, [*"iutr"])
    expected = delimited.read(look, TYPES, [*"iutr"])
    assert found.to_pylist() == expected.to_pylist()
    fits = "3000000000" not in more and len(more) < 64
    assert (
        found.schema
        == pa.schema({**TYPES, "t": pa.int32() if fits else pa.int64()}).empty_table().select([*"iutr"]).schema
    )


def test_a_file_of_no_rows_has_no_blocks(write: Write) -> None:
    look = delimited.layout(write("data.csv", "u,i,r,t\n"), ("u", "i"))
    assert delimited.read_in_blocks(look, TYPES, [*"uirt"]).num_rows == 0


def test_what_is_wrong_is_said_as_when_read_whole(write: Write) -> None:
    look = delimited.layout(write("data.csv", "u,i,r,t\n" + ROW * 3 + "a,b,c\n"), ("u", "i"))
    with pytest.raises(DataError, match="row 4: 3 fields, expected 4"):
        delimited.read_in_blocks(look, TYPES, [*"uirt"])
    look = delimited.layout(write("data.csv", "u,i,r,t\n" + ROW * 3 + "a,b,c,1\n"), ("u", "i"))
    with pytest.raises(pa.ArrowInvalid, match="conversion error"):
        delimited.read_in_blocks(look, TYPES, [*"uirt"])
