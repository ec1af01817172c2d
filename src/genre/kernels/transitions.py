"""Which items follow which, and the k best followers of each: the loop of a Markov chain over histories.

For items a and b,

    count[a, b] = sum over the places p of a and steps s >= 1 of  weight_p weight_{p+s} forward_s [item_{p+s} = b]
                + the same backwards, with backward_s and p - s

and the value of b as a follower of a is source_a count[a, b] target_b (a first-order chain where `forward` has one
entry; several entries skip items in between).

Compiled, because array operations take one step s at a time and hold every count of `[n_items, n_items]` before the
first is dropped. Here one item's counts are made, cut to k and cleared before the next.
`tests/recommenders/test_transitions.py` compares it with a loop over pairs.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled, compiled_part

Interactions = tuple[Int64, Int64, Int32, Float32]
"""Bounds of the histories, int64 `[n + 1]`; history, item and weight of each interaction, oldest first in each history,
int64, int32 and float32 `[nnz]`."""
TwoArrays = tuple[Float32, Float32]


@compiled
def best_followers(
    interactions: Interactions,
    starts: Int64,
    places: Int64,
    by_steps: TwoArrays,
    factors: TwoArrays,
    k: int,
    first: int,
) -> tuple[Int64, Int32, Float32]:
    """Find the `k` items of the largest value after each item of a range, itself left out.

    Args:
        interactions: The histories.
        starts: Item `first + a` is at the interactions `places[starts[a]:starts[a + 1]]`, int64 `[n_rows + 1]`.
        places: Int64 `[nnz]`.
        by_steps: `forward`, what a follower counts at a distance of 1, 2, ... steps, and `backward`, what an item
            before counts, empty where only the order of the history counts; both float32.
        factors: `source` and `target`, those of each item as the first and as the second of a pair, float32
            `[n_items]`.
        k: How many followers to keep; of equal values the lower item.
        first: The first item of the range.

    Returns:
        A CSR matrix `[n_rows, n_items]`: indptr, indices (not sorted), data.
    """
    indptr, row, item, weight = interactions
    forward, backward = by_steps
    source, target = factors
    n_rows, n_items = len(starts) - 1, len(target)
    reach = 2 * len(forward)
    room = 0
    for a in range(n_rows):
        room += min(k, n_items, reach * (starts[a + 1] - starts[a]))
    out_start = np.zeros(n_rows + 1, np.int64)
    out_item, out_value = np.empty(room, np.int32), np.empty(room, np.float32)
    count = np.zeros(n_items, np.float32)
    touched = np.empty(n_items + 1, np.int32)  # one place behind the longest list, see `_add_near`
    value = np.empty(n_items, np.float32)
    for a in range(n_rows):
        n_touched = 0
        for at in range(starts[a], starts[a + 1]):
            p = places[at]
            begin, end = indptr[row[p]], indptr[row[p] + 1]
            ahead, back = min(len(forward), end - 1 - p), min(len(backward), p - begin)
            n_touched = _add_near(item, weight, p, 1, ahead, forward, count, touched, n_touched)
            n_touched = _add_near(item, weight, p, -1, back, backward, count, touched, n_touched)
        count[first + a] = 0
        n = 0
        for at in range(n_touched):
            b = touched[at]
            value[n], touched[n] = source[first + a] * count[b] * target[b], b
            n += 1 if value[n] > 0 else 0
            count[b] = 0
        kept = min(n, k)
        if kept < n:
            _best_to_front(value[:n], touched[:n], kept)
        begin = out_start[a]
        for at in range(kept):
            out_value[begin + at], out_item[begin + at] = value[at], touched[at]
        out_start[a + 1] = begin + kept
    return out_start, out_item[: out_start[-1]], out_value[: out_start[-1]]


@compiled_part
def _add_near(
    item: Int32,
    weight: Float32,
    p: int,
    direction: int,
    steps: int,
    by_distance: Float32,
    count: Float32,
    touched: Int32,
    n_touched: int,
) -> int:
    """Add what interaction `p` counts with those up to `steps` after it (direction 1) or before it (-1) to `count`.

    Items whose count was zero are listed in `touched`; return the new length of the list. Each item is written behind
    the list and kept where it is new: a branch that is often guessed wrong costs more.
    """
    for step in range(1, steps + 1):
        other = p + direction * step
        b = np.uint32(item[other])  # unsigned: no check for a number that counts from the end
        before, added = count[b], weight[p] * weight[other] * by_distance[step - 1]
        touched[n_touched] = b
        n_touched += (before == 0) & (added > 0)  # a product of tiny weights may be 0, and b be listed again and again
        count[b] = before + added
    return n_touched


@compiled_part
def _best_to_front(value: Float32, item: Int32, k: int) -> None:
    """Move the `k` largest values and their items to the front, in any order; of equal values the lower item.

    Hoare's "Algorithm 65: Find", CACM 1961: parts the range in two around a pivot and goes on in the part that holds
    place `k`. Not by `np.partition`, whose checks of its arguments alone take numba ten seconds to compile.
    """
    low, high = 0, len(value) - 1
    while low < high:
        middle = (low + high) // 2
        pivot, its_item = value[middle], item[middle]
        left, right = low, high
        while left <= right:
            while value[left] > pivot or (value[left] == pivot and item[left] < its_item):
                left += 1
            while value[right] < pivot or (value[right] == pivot and item[right] > its_item):
                right -= 1
            if left <= right:
                value[left], value[right] = value[right], value[left]
                item[left], item[right] = item[right], item[left]
                left, right = left + 1, right - 1
        if k <= right + 1:
            high = right
        elif k > left:
            low = left
        else:
            return
