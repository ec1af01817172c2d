"""What `order.py` does, compiled, for interactions by the million. Knows arrays only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def time_order(user: Any, time: Any) -> Any:
    """Sort each user's few rows by time: time and place in one number, so that equal times stay in their order."""
    n = len(user)
    order = np.arange(n)
    bits = 0
    while (1 << bits) < n:
        bits += 1
    low = time.min()
    keys = np.empty(n, np.int64)
    start = 0
    while start < n:
        end, ordered = start, True
        while end < n and user[end] == user[start]:
            keys[end] = ((time[end] - low) << bits) | end
            ordered &= end == start or keys[end] > keys[end - 1]
            end += 1
        if not ordered:
            keys[start:end].sort()
            for row in range(start, end):
                order[row] = keys[row] & ((1 << bits) - 1)
        start = end
    return order


@njit(cache=True)
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
