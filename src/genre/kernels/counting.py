"""The loops behind `order.py`, compiled: counts, marks, a counting sort, repeated pairs.

A counting sort (Knuth, TAOCP vol. 3, 5.2) counts how often each key occurs, which says where each key's entries begin,
then puts each entry at its key's next free place: one pass where a general sort compares n log n times. Compiled,
because NumPy makes a wider copy of the columns for each step. `tests/kernels/test_order.py` compares them with NumPy.
Knows arrays only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.kernels.compiled import compiled


@compiled
def count_rows(rows: Any, n_rows: int) -> Any:
    """Count how often each row number occurs.

    Args:
        rows: Row numbers `[n]`; -1 is left out.
        n_rows: How many row numbers there are.

    Returns:
        Int64 `[n_rows]`.
    """
    found = np.zeros(n_rows, np.int64)
    for row in rows:
        if row >= 0:
            found[row] += 1
    return found


@compiled
def mark_rows(found: Any, rows: Any) -> None:
    """Set `found` at each row number to True.

    Args:
        found: Bool `[n_rows]`.
        rows: Row numbers `[n]`; -1 is left out.
    """
    for row in rows:
        if row >= 0:
            found[row] = True


@compiled
def sort_by_counting(rows: Any, n_rows: int, by: Any, order: Any) -> int:
    """Fill `order` with the positions of each row number, lowest row number first (a stable counting sort).

    Args:
        rows: Row numbers `[n]`; -1 is left out.
        n_rows: How many row numbers there are.
        by: Positions `[n]` in the order that equal row numbers keep; None: as they are given.
        order: Filled with positions, `[n]`.

    Returns:
        How many of `order` are filled.
    """
    free, of_row = np.zeros(n_rows + 1, np.int64), count_rows(rows, n_rows)
    for row in range(n_rows):
        free[row + 1] = free[row] + of_row[row]
    for turn in range(len(rows)):
        place = turn if by is None else by[turn]
        row = rows[place]
        if row >= 0:
            order[free[row]] = place
            free[row] += 1
    return int(free[n_rows])


@compiled
def repeated(user: Any, item: Any, n_items: int) -> Any:
    """Find the interactions that share user and item with another: one look at each item's last position.

    Args:
        user: Users, sorted `[n]`.
        item: Items `[n]`.
        n_items: Size of the catalogue.

    Returns:
        Bool `[n]`.
    """
    last = np.full(n_items, -1, np.int64)
    shared = np.zeros(len(user), np.bool_)
    start = 0
    for row in range(len(user)):
        if row > 0 and user[row] != user[row - 1]:
            start = row
        before = last[item[row]]
        if before >= start:
            shared[row] = shared[before] = True
        last[item[row]] = row
    return shared
