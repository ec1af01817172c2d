"""Ranks of target items among all scores of a row, with their ties, without sorting anything.

The rank of a target is how many items of its row score higher, a count in one pass over the row. Lists of
recommendations are ranked by looking up their places, after `unsound_list` has refused what is not a list.

Compiled, because a sort orders the whole catalogue for the places of a few, and because finding repeated or seen
items by array operations sorts, too; here each item carries the number of the last row that marked it (`stamp`), so
that nothing is cleared between rows. `tests/kernels/test_ranks.py` compares them with loops over Python lists. Knows
arrays only.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled

FAR = 1 << 30
"""The rank of an item that is in no list: far behind all others."""


def distinct(
    indptr: Int64, item: Int32, seen_indptr: Int64, seen_item: Int32, n_items: int
) -> tuple[Int64, Int32, int]:
    """Keep each item of a row once, in the order of its first occurrence, without those the row has seen.

    Args:
        indptr: Row `r` has the items `item[indptr[r]:indptr[r + 1]]`, int64 `[n + 1]`.
        item: Int32 `[nnz]`.
        seen_indptr: Bounds of the seen items of each row, int64 `[n + 1]`.
        seen_item: Int32.
        n_items: Size of the catalogue.

    Returns:
        The new indptr and items, and how many entries were left out because they were seen.
    """
    out, out_indptr = np.empty(len(item), np.int32), np.zeros(len(indptr), np.int64)
    seen = _keep_distinct(indptr, item, seen_indptr, seen_item, np.full(n_items, -1, np.int32), out, out_indptr)
    return out_indptr, out[: out_indptr[-1]], seen


@compiled
def _keep_distinct(
    indptr: Int64, item: Int32, seen_indptr: Int64, seen_item: Int32, stamp: Int32, out: Int32, out_indptr: Int64
) -> int:
    """Fill `out` and `out_indptr`; return how many entries were left out because they were seen.

    stamp: -1 for each item; becomes 2 row where seen by the row, 2 row + 1 where counted already.
    """
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
    return seen


@compiled
def hide_seen(scores: Float32, indptr: Int64, item: Int32) -> None:
    """Set the scores of each row's items to -inf.

    Args:
        scores: Float32 `[n, n_items]`.
        indptr: Row `r` has the items `item[indptr[r]:indptr[r + 1]]`, int64 `[n + 1]`.
        item: Int32 `[nnz]`.
    """
    for row in range(len(scores)):
        for at in range(indptr[row], indptr[row + 1]):
            scores[row, item[at]] = -np.inf


@compiled
def rank_targets(
    scores: Float32, indptr: Int64, item: Int32, out: Int32, n_higher: Int32, ties: Int32, candidates: Int64
) -> None:
    """Count for each target how many items of its row score higher, and how many the same, itself included.

    Args:
        scores: Float32 `[n, n_items]`; -inf for an item that is no candidate.
        indptr: Row `r` has the targets `item[indptr[r] - indptr[0]:...]`, int64 `[n + 1]`.
        item: Int32 `[n_targets]`.
        out: Filled with the targets, sorted by `n_higher` within each row, int32 `[n_targets]`.
        n_higher: Filled with how many items score higher, `FAR` for a target that is no candidate, int32 `[n_targets]`.
        ties: Filled with how many score the same, int32 `[n_targets]`.
        candidates: Filled with the number of candidates of each row, int64 `[n]`.
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
            for j in range(len(values)):  # counted in 32 bits, this becomes vector instructions: four times the speed
                higher = np.int32(higher + np.int32(values[j] > mine))
                same = np.int32(same + np.int32(values[j] == mine))
            rank, group = int(higher), int(same)
            if mine == -np.inf:
                rank, group = FAR, 1
            place = at
            while place > indptr[row] - start and n_higher[place - 1] > rank:
                out[place], n_higher[place], ties[place] = out[place - 1], n_higher[place - 1], ties[place - 1]
                place -= 1
            out[place], n_higher[place], ties[place] = item[at], rank, group


@compiled
def place_targets(lists: Int32, indptr: Int64, item: Int32, n_items: int) -> tuple[Int32, Int32]:
    """Find the place of each target in the list of its row.

    Args:
        lists: Recommended items, best first, -1 for an empty place, int32 `[n, k]`.
        indptr: Row `r` has the targets `item[indptr[r]:indptr[r + 1]]`, int64 `[n + 1]`.
        item: Int32 `[n_targets]`.
        n_items: Size of the catalogue.

    Returns:
        The targets of each row in the order of its list, then those that are not in it; and their ranks, counted from
        0, `FAR` for the latter. Both int32 `[n_targets]`.
    """
    out, n_higher = np.empty(len(item), np.int32), np.empty(len(item), np.int32)
    wanted = np.full(n_items, -1, np.int32)
    for row in range(len(lists)):
        at = indptr[row]
        for target in item[at : indptr[row + 1]]:
            wanted[target] = row
        for place in range(lists.shape[1]):
            candidate = lists[row, place]
            if candidate >= 0 and wanted[candidate] == row:
                out[at], n_higher[at] = candidate, place
                wanted[candidate] = -1
                at += 1
        for target in item[indptr[row] : indptr[row + 1]]:
            if wanted[target] == row:
                out[at], n_higher[at] = target, FAR
                at += 1
    return out, n_higher


@compiled
def unsound_list(lists: Int32, n_items: int) -> int:
    """Find a list that holds an item twice, or an item that is not in the catalogue.

    Args:
        lists: Recommended items, -1 for an empty place, int32 `[n, k]`.
        n_items: Size of the catalogue.

    Returns:
        The first such row, or -1.
    """
    stamp = np.full(n_items, -1, np.int32)
    for row in range(len(lists)):
        for candidate in lists[row]:
            if candidate >= n_items or (candidate >= 0 and stamp[candidate] == row):
                return row
            if candidate >= 0:
                stamp[candidate] = row
    return -1
