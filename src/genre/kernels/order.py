"""Sorting interactions by the ten million: packed keys, counting sorts and compiled loops instead of general sorts.

Knows arrays only. Each function's docstring states the plain NumPy it equals; the tests hold every path to that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Places = npt.NDArray[np.integer[Any]]  # int32 where that is wide enough

COMPILED_FROM = 4_000_000
"""From so many rows on a compiled loop is worth loading the compiler."""


def user_time_order(
    user: Int32, timestamp: Int64 | None, n_users: int, *, compiled_from: int = COMPILED_FROM
) -> Places | slice:
    """`np.lexsort((timestamp, user))` without the rows of user -1: by user, then time, then given order.

    A slice of all when they are in this order, so that indexing with it copies nothing.
    """
    by_user = len(user) == 0 or bool(user[0] >= 0 and (user[1:] >= user[:-1]).all())
    if timestamp is None:
        return slice(None) if by_user else counting_order(user, n_users, compiled_from=compiled_from)
    later = timestamp[1:] >= timestamp[:-1]
    if by_user and bool((later | (user[1:] != user[:-1])).all()):
        return slice(None)
    if later.all():
        return counting_order(user, n_users, compiled_from=compiled_from)
    known = user >= 0
    if not known.all():  # the time of a row that is left out may be none, far below all others
        timestamp = np.where(known, timestamp, timestamp[known.argmax()])
    return counting_order(user, n_users, stable_order(timestamp), compiled_from=compiled_from)


def repeated_pairs(
    user: Int32, item: Int32, n_items: int, *, compiled_from: int = COMPILED_FROM
) -> tuple[Int64, Int64]:
    """The rows whose user and item occur more than once, by pair and given order, and a number for each row's pair.

    Equals `np.lexsort((item, user))` without the rows whose neighbours are other pairs. Rows come sorted by user.
    """
    among = None
    if len(user) >= compiled_from:
        from genre.kernels import counting as order_kernel

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


def places(mask: npt.NDArray[np.bool_]) -> Places:
    """`np.flatnonzero(mask)`, in half the memory where that can be. [n]"""
    return np.flatnonzero(mask).astype(_place_type(len(mask)), copy=False)


def stable_order(keys: Int64) -> Int64:
    """`np.argsort(keys, kind="stable")`. [n]"""
    packed, shift = _packed(keys)
    packed &= (1 << shift) - 1
    return packed


def counting_order(rows: Int32, n_rows: int, by: Int64 | None = None, *, compiled_from: int = COMPILED_FROM) -> Places:
    """`np.argsort(rows, kind="stable")`, or `by[np.argsort(rows[by], kind="stable")]`, without the rows that are -1.

    By a compiled loop, or by SciPy's sparse conversion, which holds more memory.
    """
    index = _place_type(len(rows))
    if len(rows) >= compiled_from:
        from genre.kernels import counting as order_kernel

        order = np.empty(len(rows), index)
        return order[: order_kernel.counting_order(rows, n_rows, by, order)]
    by = np.arange(len(rows)) if by is None else by
    by = by[rows[by] >= 0].astype(index)
    column = sp.csc_array((by, rows[by], np.array([0, len(by)], index)), (n_rows, 1))
    return np.asarray(column.tocsr().data)


def counts(rows: Int32, n_rows: int, *, compiled_from: int = COMPILED_FROM) -> Int64:
    """`np.bincount(rows, minlength=n_rows)` without the rows that are -1. [n_rows]"""
    if len(rows) >= compiled_from:  # NumPy would first make a wider copy
        from genre.kernels import counting as order_kernel

        return np.asarray(order_kernel.counts(rows, n_rows))
    return np.bincount(rows[rows >= 0], minlength=n_rows)


def mark(
    found: npt.NDArray[np.bool_], rows: npt.NDArray[np.integer[Any]], *, compiled_from: int = COMPILED_FROM
) -> None:
    """`found[rows] = True`, without the rows that are -1."""
    if len(rows) >= compiled_from:
        from genre.kernels import counting as order_kernel

        order_kernel.mark(found, rows)
    else:
        found[rows[rows >= 0]] = True


def _packed(keys: Int64) -> tuple[Int64, int]:
    """Key and position of each value in one 64-bit number, sorted (by SIMD), and the number of bits of the position."""
    shift = max(len(keys) - 1, 0).bit_length()
    low = int(keys.min()) if len(keys) else 0
    if _width(keys) + shift > 63:  # too wide: their ranks are not
        keys, low = np.unique(keys, return_inverse=True)[1], 0
    packed = keys.astype(np.int64)
    packed -= low
    packed <<= shift
    packed |= np.arange(len(keys), dtype=_place_type(len(keys)))
    packed.sort()
    return packed, shift


def _place_type(n: int) -> Any:
    return np.int32 if n < 2**31 else np.int64


def _width(keys: Int64) -> int:
    """Bits between the lowest and the highest."""
    return (int(keys.max()) - int(keys.min())).bit_length() if len(keys) else 0
