"""Dataset and History: sorted once, picked apart without surprises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.testing import toy_dataset

rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 9), st.floats(0, 3, width=32)), max_size=30
)


def dataset(given_rows: list[tuple[int, int, int, float]]) -> Dataset:
    user, item, time, weight = ([row[at] for row in given_rows] for at in range(4))
    return Dataset.from_arrays(
        user=user, item=item, timestamp=time, weight=weight, user_ids=Ids("abcde"), item_ids=Ids("wxyz")
    )


@given(rows)
def test_rows_are_sorted_by_user_then_time_then_given_order(given_rows: list[tuple[int, int, int, float]]) -> None:
    data = dataset(given_rows)
    expected = sorted(given_rows, key=lambda row: (row[0], row[2]))
    assert data.timestamp is not None
    assert list(zip(data.user, data.item, data.timestamp, data.weight, strict=True)) == expected


@given(rows)
def test_the_matrix_sums_repeats_and_forgets_zeros(given_rows: list[tuple[int, int, int, float]]) -> None:
    dense = np.zeros((5, 4))
    for user, item, _, weight in given_rows:
        dense[user, item] += weight
    matrix = dataset(given_rows).matrix()
    np.testing.assert_allclose(matrix.toarray(), dense, rtol=1e-6)
    assert matrix.has_canonical_format
    assert (matrix.data != 0).all()
    assert matrix.dtype == np.float32


@given(rows, st.lists(st.integers(0, 4), max_size=6), st.integers(0, 5))
def test_histories_can_be_picked_cut_and_filtered(
    given_rows: list[tuple[int, int, int, float]], users: list[int], n: int
) -> None:
    data = dataset(given_rows)
    each = [data.item[data.user == user].tolist() for user in range(5)]

    def lists(history: History) -> list[list[int]]:
        return [part.tolist() for part in np.split(history.item, history.indptr[1:-1])] if len(history) else []

    picked = data.history(users)
    assert lists(picked) == [each[user] for user in users]
    assert picked.user.tolist() == users
    assert (picked.anonymous().user == -1).all()
    assert lists(data.history().last(n)) == [items[len(items) - min(n, len(items)) :] for items in each]
    history = data.history()
    assert lists(history.keep(history.item != 2)) == [[item for item in items if item != 2] for items in each]
    blocks = [(rows.start, lists(part)) for rows, part in history.blocks(2)]
    assert blocks == [(0, each[:2]), (2, each[2:4]), (4, each[4:])]


def test_what_does_not_fit_is_refused() -> None:
    ids = Ids(["a", "b"])
    with pytest.raises(DataError, match=r"item row numbers leave the range 0\.\.1"):
        Dataset.from_arrays(user=[0], item=[2], user_ids=ids, item_ids=ids)
    with pytest.raises(DataError, match="rating has 2 values for 1 interactions"):
        Dataset.from_arrays(user=[0], item=[1], rating=[1, 2], user_ids=ids, item_ids=ids)
    with pytest.raises(DataError, match="features of items have 3 rows for 12 items"):
        toy_dataset().with_features(items=Features(np.ones((3, 2), np.float32), "x"))
    for row in (9, -1):
        with pytest.raises(DataError, match=f"item row {row}, but there are 4"):
            History.of([[3], [0, row]], 4)


def test_a_low_rating_is_seen_but_not_liked() -> None:
    ids = Ids(["a", "b"])
    data = Dataset.from_arrays(
        user=[0, 0], item=[0, 1], rating=[4, 3], positive_rating=4, low_rating_weight=0.1, user_ids=ids, item_ids=ids
    )
    assert data.weight.tolist() == [1, np.float32(0.1)]
    assert data.liked().tolist() == [True, False]


def test_histories_of_a_mask_are_those_where_it_is_true() -> None:
    data = toy_dataset()
    mask = np.isin(np.arange(data.n_users), [3, 5])
    assert data.history(mask).user.tolist() == [3, 5]
    assert data.history().select(mask).item.tolist() == data.history([3, 5]).item.tolist()
    assert data.history(np.zeros(data.n_users, bool)).user.tolist() == []
    assert data.history([]).user.tolist() == []
    assert data.history(np.array([5, 3, 3], np.uint8)).user.tolist() == [5, 3, 3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1.7], r"found 1\.7 \(float64\); expected user rows, whole numbers from 0 to 19, or a mask of 20 values"),
        ([np.nan], "found nan"),
        ([None], "found None"),
        ([-1], "found user row -1; expected user rows"),
        ([0, 20], "found user row 20"),
        ([2**40], "found user row 1099511627776"),
        (5, r"found 5; .* put one row into a list: \[row\]"),
        ("u1", "found .*'u1'; expected"),
        ([[1, 2]], r"found an array of shape \(1, 2\)"),
        (np.ones(3, bool), "found a mask of 3 values"),
    ],
)
def test_histories_by_something_else_than_row_numbers_are_an_error(rows: Any, message: str) -> None:
    data = toy_dataset()
    with pytest.raises(DataError, match=message):
        data.history(rows)
    with pytest.raises(DataError, match=message.replace("user row", "history row")):
        data.history().select(rows)


def test_row_starts_are_searched_for_once_and_a_changed_dataset_has_its_own() -> None:
    data = toy_dataset()
    assert data.history().indptr is data.history().indptr
    fewer = data.where(data.user == 4)
    assert fewer.history().lengths.tolist() == [0] * 4 + [len(fewer)] + [0] * 15
