"""The compiled half of `topk.py`: one pass over each score, a heap of `k` a row, nothing sorted but the heap."""

from __future__ import annotations

import numpy as np

from genre.compiled import compiled
from genre.preprocessing.dataset import Float32, Int32, Int64

CHUNK = 64  # scores compared with the threshold at once


@compiled
def keep_best(scores: Float32, first: int, item: Int32, score: Float32) -> int:
    """Offer a tile of `scores` `[n, width]`, whose columns are items `first` and on, to the heaps `[n, k]`.

    Tiles come in the order of their columns. Returns the first row that holds NaN, or -1.
    """
    width = scores.shape[1]
    for r in range(scores.shape[0]):
        row, best, where = scores[r], score[r], item[r]
        threshold = best[0]  # the worst score on the heap: the next one must beat it, so ties keep the lower item
        for start in range(0, width, CHUNK):
            above = start + CHUNK > width  # the last few are looked at one by one
            if not above:
                for j in range(start, start + CHUNK):  # vectorised; written so that NaN counts
                    above |= not (row[j] <= threshold)
            if above:
                for j in range(start, min(start + CHUNK, width)):
                    if not (row[j] <= threshold):
                        if row[j] != row[j]:
                            return r
                        replace_worst(best, where, row[j], first + j)
                        threshold = best[0]
    return -1


@compiled
def best_first(item: Int32, score: Float32) -> None:
    """Heaps `[n, k]` -> lists, best first."""
    for r in range(len(item)):
        best, where = score[r], item[r]
        for last in range(len(best) - 1, 0, -1):
            worst, at = best[0], where[0]
            replace_worst(best[:last], where[:last], best[last], where[last])
            best[last], where[last] = worst, at


@compiled
def hide(scores: Float32, row: Int32, column: Int32) -> None:
    """Set places of a tile to -inf."""
    for p in range(len(row)):
        scores[row[p], column[p]] = -np.inf


@compiled
def by_tile(indptr: Int64, item: Int32, width: int, n_tiles: int) -> tuple[Int64, Int32, Int32]:
    """Items of CSR rows sorted by the tile of `width` columns they fall into: tile starts, row and column in it."""
    begin = indptr[0]
    starts = np.zeros(n_tiles + 1, np.int64)
    for p in range(begin, indptr[-1]):
        starts[item[p] // width + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    row, column = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32)
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            tile = item[p] // width
            row[free[tile]] = r
            column[free[tile]] = item[p] - tile * width
            free[tile] += 1
    return starts, row, column


@compiled
def replace_worst(best: Float32, where: Int32, score: float, item: int) -> None:
    """Put `score` in place of the heap's root, the worst: lowest score, then highest item."""
    at, child = 0, 1
    while child < len(best):
        right = child + 1
        if right < len(best) and (
            best[right] < best[child] or (best[right] == best[child] and where[right] > where[child])
        ):
            child = right
        if best[child] > score or (best[child] == score and where[child] < item):
            break
        best[at], where[at] = best[child], where[child]
        at, child = child, 2 * child + 1
    best[at], where[at] = score, item
