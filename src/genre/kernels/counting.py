"""What `order.py` does, compiled, for interactions by the million. Knows arrays only."""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.kernels.compiled import compiled


@compiled
def counts(rows: Any, n_rows: int) -> Any:
    """How often each row number occurs; -1 is left out."""
    found = np.zeros(n_rows, np.int64)
    for row in rows:
        if row >= 0:
            found[row] += 1
    return found


@compiled
def mark(found: Any, rows: Any) -> None:
    """Set `found` at each row number; -1 is left out."""
    for row in rows:
        if row >= 0:
            found[row] = True


@compiled
def counting_order(rows: Any, n_rows: int, by: Any, order: Any) -> int:
    """Fill `order` with the places of each row number, lowest first; places of one in the order of `by` or as given.

    Rows that are -1 are left out; returns how many are not.
    """
    free = np.zeros(n_rows + 1, np.int64)
    free[1:] = counts(rows, n_rows)
    for row in range(n_rows):
        free[row + 1] += free[row]
    for turn in range(len(rows)):
        place = turn if by is None else by[turn]
        row = rows[place]
        if row >= 0:
            order[free[row]] = place
            free[row] += 1
    return int(free[n_rows])


@compiled
def with_company(user: Any, item: Any, n_items: int) -> Any:
    """Which rows, sorted by user, share user and item with another: one look at each item's last row."""
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
