"""The compiled half of `topk.py`: one pass over each score, a heap of `k` a row, nothing sorted but the heap."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from genre.compiled import compiled, spread
from genre.preprocessing.dataset import Float32, Int32, Int64

CHUNK = 64  # scores compared with the threshold at once: a bit each in one word


@compiled
def keep_best(scores: Float32, first: int, item: Int32, score: Float32) -> int:
    """Offer a tile of `scores` `[n, width]`, whose columns are items `first` and on, to the heaps `[n, k]`.

    Tiles come in the order of their columns. Returns the first row that holds NaN, or -1.
    """
    width = scores.shape[1]
    whole = width // CHUNK * CHUNK
    for r in range(scores.shape[0]):
        row, best, where = scores[r], score[r], item[r]
        start_of_row = row.ctypes.data
        for start in range(0, whole, CHUNK):  # best[0] is the threshold; to beat it, so ties keep the lower item
            left: int = _not_up_to(start_of_row + 4 * start, best[0])  # type: ignore[call-arg]  # the compiler's context
            while left:
                j = start + _lowest_bit(left)
                left &= left - 1
                if row[j] != row[j]:
                    return r
                if row[j] > best[0]:
                    replace_worst(best, where, row[j], first + j)
        for j in range(whole, width):
            if row[j] != row[j]:
                return r
            if row[j] > best[0]:
                replace_worst(best, where, row[j], first + j)
    return -1


@intrinsic
def _not_up_to(typing: Any, address: Any, threshold: Any) -> Any:
    """A word whose bit `j` says that float32 number `j` at the address is above the threshold, or NaN."""
    vector = ir.VectorType(ir.FloatType(), CHUNK)

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = builder.load(builder.inttoptr(args[0], vector.as_pointer()), align=4)
        above = builder.fcmp_unordered(">", numbers, spread(builder, args[1], CHUNK))
        return builder.bitcast(above, ir.IntType(CHUNK))

    return types.int64(types.intp, types.float32), make


@intrinsic
def _lowest_bit(typing: Any, word: Any) -> Any:
    """The number of the lowest bit that is set."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.intp(types.int64), make


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
    wide = np.uint32(width)  # unsigned and of 32 bits: the quicker division
    starts = np.zeros(n_tiles + 1, np.int64)
    for p in range(indptr[0], indptr[-1]):
        starts[np.uint32(item[p]) // wide + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    row, column = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32)
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            tile = np.uint32(item[p]) // wide
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
