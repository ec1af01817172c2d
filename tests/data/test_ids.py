"""Ids: outside text <-> row numbers, whatever the text is."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.data.ids import Ids
from genre.errors import DataError, UnknownId
from genre.preprocessing.numbering import encode

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.lists(texts, unique=True))
def test_ids_and_rows_are_inverse(values: list[str]) -> None:
    ids = Ids(values)
    rows = np.arange(len(values), dtype=np.int32)
    assert [ids[row] for row in rows] == values
    assert ids.take(rows) == values
    np.testing.assert_array_equal(ids.rows(values), rows)
    np.testing.assert_array_equal(ids.rows(pa.array(values, pa.string())), rows)
    assert [ids.row(value) for value in values] == rows.tolist()
    assert ids == Ids(pa.array(values, pa.string()))


def test_an_unknown_id_is_an_error_with_the_nearest_one() -> None:
    ids = Ids(["toy story", "heat"])
    np.testing.assert_array_equal(ids.rows(["heat", "nope", "\ud800"]), [1, -1, -1])
    with pytest.raises(UnknownId, match=r"unknown id 'toi story' \(did you mean 'toy story'\?\)"):
        ids.row("toi story")
    with pytest.raises(UnknownId, match="unknown id '1000000000000000000000000000000'"):
        ids.row(10**30)


def test_an_unknown_id_costs_no_more_than_a_moment() -> None:
    ids = Ids(pa.array([str(number) for number in range(200_000)]))
    ids.row("7")
    started = time.process_time()
    for unknown in ("x" * 1_000_000, "1234567"):
        with pytest.raises(UnknownId) as caught:
            ids.row(unknown)
        assert len(str(caught.value)) < 200
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize(("values", "message"), [(["a", "a"], "not distinct"), (["\ud800"], "not valid text")])
def test_what_cannot_be_ids_is_refused(values: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Ids(values)


def test_a_missing_id_is_refused() -> None:
    with pytest.raises(DataError, match="missing"):
        Ids(pa.array(["a", None]))


raw = st.lists(st.one_of(st.none(), st.sampled_from(["", "  ", " a", "a", "b ", "10", "9", "007", "7"]), texts))


@given(raw, raw)
def test_encoding_numbers_each_distinct_trimmed_value(column: list[str | None], known: list[str | None]) -> None:
    codes, ids = encode(
        pa.chunked_array([pa.array(column, pa.string())]), pa.chunked_array([pa.array(known, pa.string())])
    )
    for value, code in zip(column, codes, strict=True):
        trimmed = value and pa.compute.utf8_trim_whitespace(value).as_py()
        assert (code == -1) if not trimmed else ids[code] == trimmed
    alone, _ = encode(pa.chunked_array([pa.array(column, pa.string())]))
    assert ((alone == -1) == (codes == -1)).all()


@given(st.lists(st.integers(-5, 10**12) | st.integers(0, 40)), st.integers(0, 10))
def test_whole_numbers_are_ids_in_numeric_order_however_they_are_stored(numbers: list[int], cut: int) -> None:
    column = pa.chunked_array([pa.array(numbers[:cut], pa.int64()), pa.array(numbers[cut:], pa.int64())])
    codes, ids = encode(column)
    as_text, text_ids = encode(column.cast(pa.string()))
    if all(abs(number) < 2**31 for number in numbers):
        np.testing.assert_array_equal(encode(column.cast(pa.int32()))[0], codes)
    np.testing.assert_array_equal(codes, as_text)
    assert ids == text_ids
    assert ids.take(codes) == [str(number) for number in numbers]
    if all(number >= 0 for number in numbers):
        assert ids.values.to_pylist() == [str(number) for number in sorted(set(numbers))]


def test_row_numbers_do_not_follow_the_order_of_the_rows() -> None:
    forward, ids = encode(pa.chunked_array([["b", "a", "c"]]))
    backward, same = encode(pa.chunked_array([["c", "a", "b"]]))
    assert ids == same
    np.testing.assert_array_equal(forward, backward[::-1])
