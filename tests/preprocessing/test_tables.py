"""Columns between Arrow and NumPy: nothing is copied that need not be, nothing missing is lost."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from genre.data.arrow import as_arrow, as_numpy
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.prepare import prepare
from genre.preprocessing.tables import Tables

KINDS = (pa.int32(), pa.int64())


def test_a_column_in_one_piece_is_not_copied() -> None:
    values = np.arange(5)
    assert np.shares_memory(as_numpy(pa.chunked_array([as_arrow(values)]), 0), values)


@pytest.mark.parametrize("cuts", [[], [2], [0, 2, 5]])
def test_a_missing_number_is_told_wherever_the_pieces_end(cuts: list[int]) -> None:
    pieces = np.split(np.array([1, -7, 3, 4, -7]), cuts)
    column = pa.chunked_array([as_arrow(piece, -7) for piece in pieces])
    assert column.null_count == 2
    assert as_numpy(column, -1).tolist() == [1, -1, 3, 4, -1]


def test_times_of_32_bits_do_what_those_of_64_do() -> None:
    columns = {"user_id": ["a", "b", "a", "a", None], "item_id": ["x", "x", "x", "y", "y"]}
    for times in ([3, 2**31 - 1, -(2**31), 2, 1], [7, 7, 7, 7, 7]):
        found = [prepare(Tables(pa.table({**columns, "timestamp": pa.array(times, kind)}))) for kind in KINDS]
        assert found[0][0].timestamp is not None
        assert found[0][0].timestamp.dtype == np.int64
        assert found[0][0].fingerprint() == found[1][0].fingerprint()
        assert str(found[0][1]) == str(found[1][1])


def test_preparing_changes_no_column_of_the_source() -> None:
    columns = {"user_id": ["a", "b", "a"], "item_id": ["x", "x", "x"], "timestamp": [3, 1, 2]}
    weight = np.array([1, 2, 4], np.float32)
    table = pa.table({**columns, "weight": as_arrow(weight)})
    dataset, _ = prepare(Tables(table), Cleaning(repeats="sum"))
    assert dataset.weight.tolist() == [5, 2]
    assert weight.tolist() == [1, 2, 4]
    assert table.num_rows == 3
