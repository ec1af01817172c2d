"""Columns of odd types become numbers, times and fields, or one clear line."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from genre.errors import DataError
from genre.preprocessing.sources.values import to_fields, to_numbers, to_seconds


def numbers(values: pa.Array) -> list[float | None]:
    return to_numbers(pa.chunked_array([values]), "here", "stars").to_pylist()  # type: ignore[no-any-return]


def test_numbers_of_every_type() -> None:
    assert numbers(pa.array([True, False, None])) == [1, 0, None]
    assert numbers(pa.array(["4.5", "+5", "", "1e999"])) == [4.5, 5, None, float("inf")]
    assert numbers(pa.array([Decimal("1.50"), None])) == [1.5, None]
    assert numbers(pa.array(["3", "4", "3"]).dictionary_encode()) == [3, 4, 3]
    assert numbers(pa.Array.from_pandas(pd.Series(pd.Categorical([5, 1, 5])))) == [5, 1, 5]
    with pytest.raises(DataError, match="column 'stars' holds list<item: int64>, expected numbers"):
        numbers(pa.array([[1]]))


def test_times_may_be_decimals() -> None:
    seconds, how = to_seconds(pa.chunked_array([pa.array([Decimal("1000000001.5"), None])]), "here", "when")
    assert how == "unix seconds"
    assert seconds.to_pylist() == [1_000_000_001, None], "to the second"


def test_a_field_without_any_value_stays_text() -> None:
    empty = to_fields(pa.chunked_array([["", None, "  "]], pa.string()))
    assert empty.type == pa.string()
    assert empty.to_pylist() == [None, None, None]
