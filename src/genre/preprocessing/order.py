"""Sorting interactions by the ten million: packed keys and counting sorts instead of general ones.

Knows arrays only. Each function's docstring states the plain NumPy it equals; the tests hold it to that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Int64 = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer]


def stable_order(keys: Integers) -> Int64:
    """`np.argsort(keys, kind="stable")`: key and position in one 64-bit number, sorted by value."""
    n = len(keys)
    if n < 2:
        return np.arange(n)
    low, high = int(keys.min()), int(keys.max())
    shift = (n - 1).bit_length()
    if (high - low).bit_length() + shift > 63:
        return np.argsort(keys, kind="stable")
    packed = keys.astype(np.int64)
    packed -= low
    packed <<= shift
    packed |= np.arange(n)
    packed.sort()
    packed &= (1 << shift) - 1
    return packed


def counting_order(rows: npt.NDArray[np.int32], n_rows: int) -> Int64:
    """`np.argsort(rows, kind="stable")` of row numbers below `n_rows`, in one pass (SciPy's sparse conversion)."""
    index = np.int32 if len(rows) < 2**31 else np.int64
    column = sp.csc_array((np.arange(len(rows), dtype=index), rows, np.array([0, len(rows)], index)), (n_rows, 1))
    return np.asarray(column.tocsr().data, np.int64)


def user_time_order(user: npt.NDArray[np.int32], timestamp: Int64 | None, n_users: int) -> Int64:
    """`np.lexsort((timestamp, user))`: by user, then time, then given order. [n]"""
    if len(user) < 2 or _is_sorted(user, timestamp):
        return np.arange(len(user))
    if timestamp is None:
        return counting_order(user, n_users)
    by_time = stable_order(timestamp)
    return by_time[counting_order(user[by_time], n_users)]


def pair_order(user: npt.NDArray[np.int32], item: npt.NDArray[np.int32], n_items: int) -> Int64:
    """`np.lexsort((item, user))`: by user, then item, then given order. [n]"""
    pair = user.astype(np.int64)
    pair *= n_items
    pair += item
    return stable_order(pair)


def _is_sorted(user: npt.NDArray[np.int32], timestamp: Int64 | None) -> bool:
    same = user[1:] == user[:-1]
    later = same if timestamp is None else same & (timestamp[1:] >= timestamp[:-1])
    later |= user[1:] > user[:-1]
    return bool(later.all())
