"""Every path of the sorts equals the plain NumPy its docstring names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.kernels import order

NEVER = 10**9
SMALL = st.integers(-3, 9)


@st.composite
def interactions(draw: st.DrawFn, times: st.SearchStrategy[int] = SMALL) -> tuple[np.ndarray, ...]:
    n = draw(st.integers(0, 60))
    user = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    item = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    time = draw(st.lists(times, min_size=n, max_size=n))
    return np.array(user, np.int32), np.array(item, np.int32), np.array(time, np.int64)


@pytest.mark.parametrize("compiled_from", [0, NEVER])
@given(rows=interactions(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3)))
def test_user_time_order_is_a_stable_lexsort(compiled_from: int, rows: tuple[np.ndarray, ...]) -> None:
    user, _, time = rows
    user -= user.max(initial=0) > 3  # some are left out, some are not
    known = np.flatnonzero(user >= 0)
    for times in (time, np.sort(time), None):
        expected = known[np.lexsort((user[known],) if times is None else (times[known], user[known]))]
        found = order.user_time_order(user, times, 6, compiled_from=compiled_from)
        np.testing.assert_array_equal(np.arange(len(user))[found], expected)
    for keys in (time, time.astype(np.int32)):
        np.testing.assert_array_equal(order.stable_order(keys), np.argsort(keys, kind="stable"))
    np.testing.assert_array_equal(
        order.counts(user, 6, compiled_from=compiled_from), np.bincount(user[known], minlength=6)
    )
    found = np.zeros(6, np.bool_)
    order.mark(found, user, compiled_from=compiled_from)
    assert np.flatnonzero(found).tolist() == sorted({*user[known].tolist()})


def test_what_is_in_order_stays_as_it_is() -> None:
    user, time = np.array([0, 0, 1, 1], np.int32), np.array([3, 4, 1, 1])
    for times in (time, None):
        assert order.user_time_order(user, times, 2) == slice(None)
    assert not isinstance(order.user_time_order(user, time[::-1], 2), slice)
    assert order.user_time_order(np.append(np.int32(-1), user), None, 2).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("compiled_from", [0, NEVER])
@given(rows=interactions())
def test_repeated_pairs_are_the_rows_with_company(compiled_from: int, rows: tuple[np.ndarray, ...]) -> None:
    user, item, _ = rows
    by_user = np.argsort(user, kind="stable")
    user, item = user[by_user], item[by_user]
    found, pair = order.repeated_pairs(user, item, 5, compiled_from=compiled_from)
    by_pair = np.lexsort((item, user))
    key = (user.astype(int) * 5 + item)[by_pair]
    several = np.isin(key, [value for value in np.unique(key) if (key == value).sum() > 1])
    np.testing.assert_array_equal(found, by_pair[several])
    np.testing.assert_array_equal(np.diff(pair) == 0, np.diff(key[several]) == 0)
