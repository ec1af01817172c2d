"""Compiled kernels of the evaluator: ranks with ties in one pass, no sorting. Knows arrays only.

Their plain twins stand in tests/evaluation/test_ranks.py.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled


@compiled
def distinct(
    indptr: Int64, item: Int32, seen_indptr: Int64, seen_item: Int32, n_items: int
) -> tuple[Int64, Int32, int]:
    """Each row's items once, in order, without those it has seen: indptr, items, and how many were seen."""
    out, out_indptr = np.empty(len(item), np.int32), np.zeros(len(indptr), np.int64)
    stamp = np.full(n_items, -1, np.int32)  # 2 row: seen by the row; 2 row + 1: counted already
    total, seen = 0, 0
    for row in range(len(indptr) - 1):
        for at in range(seen_indptr[row], seen_indptr[row + 1]):
            stamp[seen_item[at]] = 2 * row
        for at in range(indptr[row], indptr[row + 1]):
            mark = stamp[item[at]]
            if mark == 2 * row:
                seen += 1
            elif mark != 2 * row + 1:
                stamp[item[at]] = 2 * row + 1
                out[total] = item[at]
                total += 1
        out_indptr[row + 1] = total
    return out_indptr, out[:total], seen


@compiled
def hide(scores: Float32, indptr: Int64, item: Int32) -> None:
    """Set the places of each row's items to -inf."""
    for row in range(len(scores)):
        for at in range(indptr[row], indptr[row + 1]):
            scores[row, item[at]] = -np.inf


@compiled
def rank_targets(
    scores: Float32, indptr: Int64, item: Int32, out: Int32, above: Int32, ties: Int32, candidates: Int64
) -> None:
    """For each target how many items of its row score higher, and how many the same (itself too).

    scores: float32 `[n, n_items]`, -inf for what is no candidate. Fills out (the items), above and ties `[n_targets]`,
    ordered by `above` within each row, and candidates `[n]`; a target that is no candidate is FAR.
    """
    start = indptr[0]
    for row in range(len(indptr) - 1):
        values = scores[row]
        allowed = np.int32(0)
        for j in range(len(values)):
            allowed = np.int32(allowed + np.int32(values[j] > -np.inf))
        candidates[row] = allowed
        for at in range(indptr[row] - start, indptr[row + 1] - start):
            mine = values[item[at]]
            higher, same = np.int32(0), np.int32(0)
            for j in range(len(values)):  # kept in 32 bits, this becomes vector instructions: four times the speed
                higher = np.int32(higher + np.int32(values[j] > mine))
                same = np.int32(same + np.int32(values[j] == mine))
            rank, group = int(higher), int(same)
            if mine == -np.inf:
                rank, group = FAR, 1
            place = at
            while place > indptr[row] - start and above[place - 1] > rank:
                out[place], above[place], ties[place] = out[place - 1], above[place - 1], ties[place - 1]
                place -= 1
            out[place], above[place], ties[place] = item[at], rank, group


@compiled
def place_targets(lists: Int32, indptr: Int64, item: Int32, n_items: int) -> tuple[Int32, Int32]:
    """Each row's targets in the order of its list `[n, k]`, then those it lacks: items and 0-based ranks, else FAR."""
    out, above = np.empty(len(item), np.int32), np.empty(len(item), np.int32)
    wanted = np.full(n_items, -1, np.int32)
    for row in range(len(lists)):
        at = indptr[row]
        for target in item[at : indptr[row + 1]]:
            wanted[target] = row
        for place in range(lists.shape[1]):
            candidate = lists[row, place]
            if candidate >= 0 and wanted[candidate] == row:
                out[at], above[at] = candidate, place
                wanted[candidate] = -1
                at += 1
        for target in item[indptr[row] : indptr[row + 1]]:
            if wanted[target] == row:
                out[at], above[at] = target, FAR
                at += 1
    return out, above


@compiled
def unsound_list(lists: Int32, n_items: int) -> int:
    """The first row of lists `[n, k]` that holds an item twice or an item out of range; -1 when all are sound."""
    stamp = np.full(n_items, -1, np.int32)
    for row in range(len(lists)):
        for candidate in lists[row]:
            if candidate >= n_items or (candidate >= 0 and stamp[candidate] == row):
                return row
            if candidate >= 0:
                stamp[candidate] = row
    return -1


FAR = 1 << 30
"""The rank of an item that no list can hold."""
