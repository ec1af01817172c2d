"""The compiled half of `transitions.py`: one item at a time, every place it stands, the best of its followers."""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled


@compiled
def follow(
    indptr: Int64,
    row: Int64,
    item: Int32,
    weight: Float32,
    starts: Int64,
    places: Int64,
    forward: Float32,
    backward: Float32,
    source: Float32,
    target: Float32,
    k: int,
) -> tuple[Int64, Int32, Float32]:
    """CSR of the `k` largest `source[a] * count[a, b] * target[b]` of each item `a`: indptr, indices, data.

    indptr: bounds of the histories; row: the history of each place. places, by `starts` `[n_items + 1]`: where each
    item stands. backward: empty when pairs count in their order only.
    """
    n_items = len(starts) - 1
    reach = 2 * len(forward)
    room = 0
    for a in range(n_items):
        room += min(k, n_items, reach * (starts[a + 1] - starts[a]))
    out_start = np.zeros(n_items + 1, np.int64)
    out_item, out_value = np.empty(room, np.int32), np.empty(room, np.float32)
    count = np.zeros(n_items, np.float32)
    touched = np.empty(n_items, np.int32)
    value = np.empty(n_items, np.float32)
    for a in range(n_items):
        n_touched = 0
        for at in range(starts[a], starts[a + 1]):
            p = places[at]
            begin, end = indptr[row[p]], indptr[row[p] + 1]
            for step in range(1, min(len(forward), end - 1 - p) + 1):
                b = item[p + step]
                if count[b] == 0:
                    touched[n_touched] = b
                    n_touched += 1
                count[b] += weight[p] * weight[p + step] * forward[step - 1]
            for step in range(1, min(len(backward), p - begin) + 1):
                b = item[p - step]
                if count[b] == 0:
                    touched[n_touched] = b
                    n_touched += 1
                count[b] += weight[p] * weight[p - step] * backward[step - 1]
        count[a] = 0
        n = 0
        for at in range(n_touched):
            b = touched[at]
            value[n], touched[n] = source[a] * count[b] * target[b], b
            n += 1 if value[n] > 0 else 0
            count[b] = 0
        bar, last = _bar(value[:n], touched[:n], k)
        filled = out_start[a]
        for at in range(n):
            if value[at] > bar or (value[at] == bar and touched[at] <= last):
                out_item[filled], out_value[filled] = touched[at], value[at]
                filled += 1
        out_start[a + 1] = filled
    return out_start, out_item[: out_start[-1]], out_value[: out_start[-1]]


@compiled
def _bar(value: Float32, item: Int32, k: int) -> tuple[np.float32, np.int32]:
    """The `k`-th largest value, and the last item that is in with just this value: of equal ones the first are."""
    n = len(value)
    if n <= k:
        return np.float32(0), np.int32(0)
    bar = np.partition(value, n - k)[n - k]
    tied = item[value == bar]
    rest = k - np.sum(value > bar)
    return bar, np.partition(tied, rest - 1)[rest - 1]
