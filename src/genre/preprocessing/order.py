"""Sorting interactions by the ten million: packed keys and counting sorts instead of general ones.

Knows arrays only. Each function's docstring states the plain NumPy it equals; the tests hold it to that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


def user_time_order(user: Int32, timestamp: Int64 | None, n_users: int) -> Int64 | slice:
    """`np.lexsort((timestamp, user))`: by user, then time, then given order. [n]

    A slice of all when they are in this order, so that indexing with it copies nothing.
    """
    if len(user) < 2 or _is_sorted(user, timestamp):
        return slice(None)
    if timestamp is None:
        return counting_order(user, n_users)
    by_time = stable_order(timestamp)
    return by_time[counting_order(user[by_time], n_users)]


def repeated_pairs(user: Int32, item: Int32, n_items: int) -> tuple[Int64, Int64]:
    """The rows whose user and item occur more than once, by pair and given order, and a number for each row's pair.

    Equals `np.lexsort((item, user))` without the rows whose neighbours are other pairs.
    """
    pair = user.astype(np.int64)
    pair *= n_items
    pair += item
    packed, shift = _packed(pair)
    pair = packed >> shift
    again = pair[1:] == pair[:-1]
    if not again.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows = np.flatnonzero(np.append(again, False) | np.insert(again, 0, False))
    return packed[rows] & ((1 << shift) - 1), pair[rows]


def stable_order(keys: Int64) -> Int64:
    """`np.argsort(keys, kind="stable")`. [n]"""
    packed, shift = _packed(keys)
    packed &= (1 << shift) - 1
    return packed


def counting_order(rows: Int32, n_rows: int) -> Int64:
    """`np.argsort(rows, kind="stable")` of row numbers below `n_rows`, in one pass: SciPy's sparse conversion. [n]"""
    index = np.int32 if len(rows) < 2**31 else np.int64
    column = sp.csc_array((np.arange(len(rows), dtype=index), rows, np.array([0, len(rows)], index)), (n_rows, 1))
    return np.asarray(column.tocsr().data, np.int64)


def _packed(keys: Int64) -> tuple[Int64, int]:
    """Key and position of each value in one 64-bit number, sorted (by SIMD), and the number of bits of the position."""
    shift = max(len(keys) - 1, 0).bit_length()
    low, high = (int(keys.min()), int(keys.max())) if len(keys) else (0, 0)
    if (high - low).bit_length() + shift > 63:  # too wide: their ranks are not
        keys, low = np.unique(keys, return_inverse=True)[1], 0
    packed = keys - low
    packed <<= shift
    packed |= np.arange(len(keys))
    packed.sort()
    return packed, shift


def _is_sorted(user: Int32, timestamp: Int64 | None) -> bool:
    later = user[1:] == user[:-1]
    if timestamp is not None:
        later &= timestamp[1:] >= timestamp[:-1]
    later |= user[1:] > user[:-1]
    return bool(later.all())
