"""Sorting interactions by the ten million: packed keys, counting sorts and compiled loops instead of general sorts.

Knows arrays only. Each function's docstring states the plain NumPy it equals; the tests hold every path to that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

COMPILED_FROM = 4_000_000
"""From so many rows on a compiled loop is worth loading the compiler."""


def user_time_order(user: Int32, timestamp: Int64 | None, n_users: int) -> Int64 | slice:
    """`np.lexsort((timestamp, user))`: by user, then time, then given order. [n]

    A slice of all when they are in this order, so that indexing with it copies nothing.
    """
    order = user_order(user, n_users)
    if timestamp is None:
        return order
    within = time_order(user[order], timestamp[order])
    return within if isinstance(order, slice) else order[within]


def user_order(user: Int32, n_users: int) -> Int64 | slice:
    """`np.argsort(user, kind="stable")`, or a slice of all. [n]"""
    return slice(None) if bool((user[1:] >= user[:-1]).all()) else counting_order(user, n_users)


def time_order(user: Int32, timestamp: Int64, *, compiled_from: int = COMPILED_FROM) -> Int64 | slice:
    """`np.lexsort((timestamp, user))` of rows that are sorted by user, or a slice of all. [n]

    Two steps, by user and then by time, read memory nearly in order; one step to the final place does not.
    """
    if bool(((user[1:] != user[:-1]) | (timestamp[1:] >= timestamp[:-1])).all()):
        return slice(None)
    if len(user) >= compiled_from and _width(timestamp) + len(user).bit_length() < 63:
        from genre.preprocessing import order_kernel

        return np.asarray(order_kernel.time_order(user, timestamp))
    by_time = stable_order(timestamp)
    return by_time[counting_order(user[by_time], int(user[-1]) + 1)]


def repeated_pairs(
    user: Int32, item: Int32, n_items: int, *, compiled_from: int = COMPILED_FROM
) -> tuple[Int64, Int64]:
    """The rows whose user and item occur more than once, by pair and given order, and a number for each row's pair.

    Equals `np.lexsort((item, user))` without the rows whose neighbours are other pairs. Rows come sorted by user.
    """
    among = None
    if len(user) >= compiled_from:
        from genre.preprocessing import order_kernel

        among = np.flatnonzero(order_kernel.with_company(user, item, n_items))
        user, item = user[among], item[among]
    pair = user.astype(np.int64)
    pair *= n_items
    pair += item
    packed, shift = _packed(pair)
    pair = packed >> shift
    again = pair[1:] == pair[:-1]
    if not again.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    place = np.flatnonzero(np.append(again, False) | np.insert(again, 0, False))
    rows = packed[place] & ((1 << shift) - 1)
    return rows if among is None else among[rows], pair[place]


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
    low = int(keys.min()) if len(keys) else 0
    if _width(keys) + shift > 63:  # too wide: their ranks are not
        keys, low = np.unique(keys, return_inverse=True)[1], 0
    packed = keys - low
    packed <<= shift
    packed |= np.arange(len(keys))
    packed.sort()
    return packed, shift


def _width(keys: Int64) -> int:
    """Bits between the lowest and the highest."""
    return (int(keys.max()) - int(keys.min())).bit_length() if len(keys) else 0
