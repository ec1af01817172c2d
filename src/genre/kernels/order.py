"""Sorting, counting and marking interactions by the ten million, with less time and memory than general sorts.

Each function's docstring names the plain NumPy expression it equals, and `tests/kernels/test_order.py` holds it to
that. Three means: a column that is in order already is not sorted; a key and its position packed into one 64-bit
number are sorted together (NumPy sorts numbers by SIMD, but not positions by their keys); a compiled counting sort
(`counting.py`) where there are enough rows to be worth loading the compiler. Knows arrays only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Int32, Int64

Places = npt.NDArray[np.integer[Any]]  # positions: int32 where that is wide enough, otherwise int64

COMPILED_FROM = 4_000_000
"""The number of rows from which a compiled loop is worth loading the compiler for."""


def user_time_order(
    user: Int32, timestamp: Int64 | None, n_users: int, *, compiled_from: int = COMPILED_FROM
) -> Places | slice:
    """Sort by user, then time, then given order: `np.lexsort((timestamp, user))`, without the rows of user -1.

    Args:
        user: Users, -1 for a row to leave out, int32 `[n]`.
        timestamp: Int64 `[n]`, or None where the given order is the order in time.
        n_users: Number of users.
        compiled_from: Number of rows from which the compiled loop is used.

    Returns:
        Positions, or a slice of all rows when they are in this order, so that indexing with it copies nothing.
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
    """Find the rows whose user and item occur more than once.

    Equals `np.lexsort((item, user))` without the rows whose neighbours are other pairs.

    Args:
        user: Users, sorted, int32 `[n]`.
        item: Items, int32 `[n]`.
        n_items: Number of items.
        compiled_from: Number of rows from which the compiled loop is used.

    Returns:
        Positions of the rows, by pair and then given order; and a number for each row's pair.
    """
    among = None
    if len(user) >= compiled_from:
        from genre.kernels import counting

        among = np.flatnonzero(counting.repeated(user, item, n_items))
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
    """Sort by keys, equal keys in given order: `np.argsort(keys, kind="stable")`.

    Args:
        keys: Int64 `[n]`.

    Returns:
        Positions `[n]`.
    """
    packed, shift = _packed(keys)
    packed &= (1 << shift) - 1
    return packed


def counting_order(rows: Int32, n_rows: int, by: Int64 | None = None, *, compiled_from: int = COMPILED_FROM) -> Places:
    """Sort by row number: `np.argsort(rows, kind="stable")`, or `by[np.argsort(rows[by], kind="stable")]`, without -1.

    A counting sort by a compiled loop, or by SciPy's sparse conversion, which holds more memory.

    Args:
        rows: Row numbers, -1 for what to leave out, int32 `[n]`.
        n_rows: How many row numbers there are.
        by: The order that equal row numbers keep, positions `[n]`; None: as they are given.
        compiled_from: Number of rows from which the compiled loop is used.

    Returns:
        Positions.
    """
    index = _place_type(len(rows))
    if len(rows) >= compiled_from:
        from genre.kernels import counting

        order = np.empty(len(rows), index)
        return order[: counting.sort_by_counting(rows, n_rows, by, order)]
    by = np.arange(len(rows)) if by is None else by
    by = by[rows[by] >= 0].astype(index)
    column = sp.csc_array((by, rows[by], np.array([0, len(by)], index)), (n_rows, 1))
    return np.asarray(column.tocsr().data)


def counts(rows: Int32, n_rows: int, *, compiled_from: int = COMPILED_FROM) -> Int64:
    """Count how often each row number occurs: `np.bincount(rows, minlength=n_rows)`, without -1.

    Args:
        rows: Row numbers, int32 `[n]`.
        n_rows: How many row numbers there are.
        compiled_from: Number of rows from which the compiled loop is used.

    Returns:
        Int64 `[n_rows]`.
    """
    if len(rows) >= compiled_from:  # NumPy would first make a wider copy
        from genre.kernels import counting

        return np.asarray(counting.count_rows(rows, n_rows))
    return np.bincount(rows[rows >= 0], minlength=n_rows)


def mark(
    found: npt.NDArray[np.bool_], rows: npt.NDArray[np.integer[Any]], *, compiled_from: int = COMPILED_FROM
) -> None:
    """Set `found[rows] = True`, without the rows that are -1.

    Args:
        found: Bool, changed in place.
        rows: Row numbers `[n]`.
        compiled_from: Number of rows from which the compiled loop is used.
    """
    if len(rows) >= compiled_from:
        from genre.kernels import counting

        counting.mark_rows(found, rows)
    else:
        found[rows[rows >= 0]] = True


def _packed(keys: Int64) -> tuple[Int64, int]:
    """Return key and position of each value in one 64-bit number, sorted, and the number of bits of the position."""
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
    """Return the number of bits of the difference between the highest and the lowest key."""
    return (int(keys.max()) - int(keys.min())).bit_length() if len(keys) else 0


def mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash whole numbers, so that close ones lie far apart: the finalizer of splitmix64 (Steele et al., OOPSLA 2014).

    Args:
        values: uint64 `[n]`.

    Returns:
        uint64 `[n]`, a permutation of all 64-bit numbers.
    """
    with np.errstate(over="ignore"):
        x = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))
