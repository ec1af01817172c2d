"""The compiled half of `overlap.py`: each pair of items is counted once and offered to the heaps of both."""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.compiled import compiled


@compiled
def nearest(
    row_start: Any,
    row_item: Any,
    row_weight: Any,
    column_start: Any,
    column_user: Any,
    column_weight: Any,
    overlap: Any,
    source: Any,
    target: Any,
    k: int,
    shrinkage: Any,
) -> Any:
    """Items in turn: add up the overlap with all items before, then offer each pair to the heaps of both.

    Only pairs `j < i` are counted, so each is counted once. Empty weights stand for ones.
    """
    n_items = len(column_start) - 1
    heap_item = np.zeros((n_items, k), np.int32)
    heap_value = np.zeros((n_items, k), np.float32)  # a min-heap a row; its root is the bar to pass
    bar = np.zeros(n_items, np.float32)
    done = np.zeros(len(row_start) - 1, np.int64)  # items of each user that came before
    touched = np.empty(n_items, np.int32)
    for i in range(n_items):
        start, stop = column_start[i], column_start[i + 1]
        adds = 0
        for at in range(start, stop):
            adds += done[column_user[at]]
        n_touched = -1  # above zero: only these overlaps are not zero
        if 8 * adds < i:
            n_touched = 0
            for at in range(start, stop):
                user = column_user[at]
                for near in range(row_start[user], row_start[user] + done[user]):
                    j = row_item[near]
                    if overlap[j] == 0:
                        touched[n_touched] = j
                        n_touched += 1
                    overlap[j] += 1 if len(row_weight) == 0 else column_weight[at] * row_weight[near]
                done[user] += 1
        elif len(row_weight) == 0:
            for at in range(start, stop):
                user = column_user[at]
                for near in range(row_start[user], row_start[user] + done[user]):
                    overlap[row_item[near]] += 1
                done[user] += 1
        else:
            for at in range(start, stop):
                user, mine = column_user[at], column_weight[at]
                for near in range(row_start[user], row_start[user] + done[user]):
                    overlap[row_item[near]] += mine * row_weight[near]
                done[user] += 1
        for at in range(i if n_touched < 0 else n_touched):
            j = at if n_touched < 0 else touched[at]
            both = np.float32(overlap[j])
            overlap[j] = 0
            forth = source[i] * target[j] + shrinkage
            back = source[j] * target[i] + shrinkage
            if both > bar[i] * forth:  # a product is cheaper than a division, and few pairs pass
                bar[i] = _replace_root(heap_value[i], heap_item[i], both / forth, j)
            if both > bar[j] * back:
                bar[j] = _replace_root(heap_value[j], heap_item[j], both / back, i)
    return heap_item, heap_value


@compiled
def _replace_root(value: Any, item: Any, new_value: Any, new_item: Any) -> Any:
    """Put a larger value in place of a min-heap's root; returns the new root's value."""
    at, k = 0, len(value)
    while True:
        child = 2 * at + 1
        if child >= k:
            break
        if child + 1 < k and value[child + 1] < value[child]:
            child += 1
        if value[child] >= new_value:
            break
        value[at], item[at] = value[child], item[child]
        at = child
    value[at], item[at] = new_value, new_item
    return value[0]
