"""The compiled half of `overlap.py`: each pair of items is counted once and offered to the heaps of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.kernels.compiled import compiled
from genre.kernels.topk import replace_worst

Counts = npt.NDArray[np.int32] | Float32


@compiled
def nearest(
    row_start: Int32,
    row_item: Int32,
    row_weight: Float32,
    column_start: Int32,
    column_user: Int32,
    column_weight: Float32,
    overlap: Counts,
    source: Float32,
    target: Float32,
    k: int,
    shrinkage: np.float32,
) -> tuple[Int32, Float32]:
    """Heaps of the `k` items with the largest `overlap / (source target + shrinkage)`: items and values `[n_items, k]`.

    Rows are users with items in order, columns items with users; without weights every entry is one.
    overlap: zeros `[n_items]` of the type to count in.
    """
    n_items = len(column_start) - 1
    where, best = np.zeros((n_items, k), np.int32), np.zeros((n_items, k), np.float32)
    bar = np.zeros(n_items, np.float32)  # the roots of the heaps, side by side
    done = np.zeros(len(row_start) - 1, np.int32)  # items of each user that came before
    touched = np.empty(n_items, np.int32)
    for i in range(n_items):
        users = column_user[column_start[i] : column_start[i + 1]]
        weight = column_weight[column_start[i] : column_start[i + 1]]  # empty without weights
        adds = 0
        for user in users:
            adds += done[user]
        few = 2 * adds < i  # then a list of what was touched is shorter than all items before
        if few:
            n = _add_and_list(users, weight, row_start, row_item, row_weight, done, overlap, touched)
        elif len(row_weight) == 0:
            n = _count(users, row_start, row_item, done, overlap, i)
        else:
            n = _add(users, weight, row_start, row_item, row_weight, done, overlap, i)
        for at in range(n):
            j = touched[at] if few else at
            both = np.float32(overlap[j])
            overlap[j] = 0
            forth = source[i] * target[j] + shrinkage
            back = source[j] * target[i] + shrinkage
            if both > bar[i] * forth:  # a product is cheaper than a division, and few pairs pass
                replace_worst(best[i], where[i], both / forth, j)
                bar[i] = best[i, 0]
            if both > bar[j] * back:
                replace_worst(best[j], where[j], both / back, i)
                bar[j] = best[j, 0]
    return where, best


@compiled
def _count(users: Int32, row_start: Int32, row_item: Int32, done: Int32, overlap: Counts, i: int) -> int:
    """Add one for each earlier item of each user."""
    for user in users:
        for at in range(row_start[user], row_start[user] + done[user]):
            overlap[row_item[at]] += 1
        done[user] += 1
    return i


@compiled
def _add(
    users: Int32,
    weight: Float32,
    row_start: Int32,
    row_item: Int32,
    row_weight: Float32,
    done: Int32,
    overlap: Counts,
    i: int,
) -> int:
    for number, user in enumerate(users):
        for at in range(row_start[user], row_start[user] + done[user]):
            overlap[row_item[at]] += weight[number] * row_weight[at]
        done[user] += 1
    return i


@compiled
def _add_and_list(
    users: Int32,
    weight: Float32,
    row_start: Int32,
    row_item: Int32,
    row_weight: Float32,
    done: Int32,
    overlap: Counts,
    touched: Int32,
) -> int:
    """The same for few entries, listing the items whose overlap is no longer zero; returns how many."""
    n = 0
    for number, user in enumerate(users):
        for at in range(row_start[user], row_start[user] + done[user]):
            j = row_item[at]
            if overlap[j] == 0:
                touched[n] = j
                n += 1
            overlap[j] += weight[number] * row_weight[at] if len(row_weight) else 1
        done[user] += 1
    return n
