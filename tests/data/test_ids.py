"""Ids: outside text <-> row numbers, whatever the text is."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.ids import Ids
from genre.engines.duckdb import DuckDB
from genre.errors import DataError, UnknownId
from genre.preprocessing.numbering import number_ids
from sizes import sized

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


def numbered(column: list[str], known: list[str | None] | None = None) -> tuple[list[int], Ids]:
    """The row number of each value, and the ids."""
    table = None if known is None else pa.table({"user_id": pa.array(known, pa.string())})
    with DuckDB() as engine:
        frame, ids = number_ids(frame := engine.read(pa.table({"user_id": column})), frame, engine, "user", table)
        return frame.sort("row").collect("pyarrow")["user"].to_list(), ids


@settings(max_examples=sized(15, 1000))
@given(st.lists(texts, min_size=1), st.lists(texts | st.none()))
def test_numbering_gives_each_distinct_id_a_row(column: list[str], known: list[str | None]) -> None:
    codes, ids = numbered(column, known)
    assert ids.take(np.array(codes)) == column
    assert ids.values.to_pylist() == sorted({*column, *(one for one in known if one is not None)}, key=str.encode) or (
        all(value.isdigit() for value in ids.values.to_pylist())
    )


def test_whole_numbers_are_in_numeric_order() -> None:
    assert numbered(["10", "9", "0", "123456789012345678"])[1].values.to_pylist() == [
        "0",
        "9",
        "10",
        "123456789012345678",
    ]
    assert numbered(["10", "9", "01"])[1].values.to_pylist() == ["01", "10", "9"], "01 is no number's plain form"


def test_row_numbers_do_not_follow_the_order_of_the_rows() -> None:
    forward, ids = numbered(["b", "a", "c"])
    backward, same = numbered(["c", "a", "b"])
    assert ids == same
    assert forward == backward[::-1]
