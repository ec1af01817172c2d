"""The compiled half of `topk.py`: one pass over each score, a heap of `k` a row, nothing sorted but the heap.

Scores come as they are (`keep_best`) or as products of two matrices (`keep_best_products`), which a number of queries
side by side in vector registers makes in one pass over the items, without a copy of either matrix in another order:
what a general matrix product begins with, and the most of its time where queries are few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled
from genre.kernels.simd import LANES, STEP, WORD, load, spread, store, sums_of_products, vector_of

CHUNK = 64  # scores compared with the threshold at once: a bit each in one word

FEW = 16  # queries side by side in vector registers
NEAR = 6144  # numbers of items, 24 KB, that stay in the innermost cache while the groups of queries pass


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


def side_by_side(n: int) -> int:
    """How many queries `keep_best_products` should be given side by side, of `n`."""
    return FEW if n <= FEW else LANES


def keep_best_products(queries: Float32, items: Float32, gone: Int32, item: Int32, score: Float32) -> int:
    """Fill heaps `[n, k]` by products of queries with `items` `[n_items, dim]`; the first row that holds NaN, or -1.

    queries: `[n / lanes, dim, lanes]`, of `side_by_side(n)` lanes; those behind the last query are not looked at.
    gone: `[n / lanes, n_items]`, bit `q` says that query `q` of the group must not get the item.
    """
    groups, dim, lanes = queries.shape
    threshold = np.full((groups, lanes), np.inf, np.float32)  # of a lane without a query: never beaten
    threshold.ravel()[: len(item)] = score[:, 0]
    whole = len(items) // STEP * STEP
    last, gone_last = np.zeros((STEP, dim), np.float32), np.full((groups, STEP), -1, np.int32)
    last[: len(items) - whole] = items[whole:]  # filled up with what nobody may have
    gone_last[:, : len(items) - whole] = gone[:, whole:]
    bad = _keep_products(queries, items[:whole], gone, 0, threshold, item, score)
    return bad if bad >= 0 else _keep_products(queries, last, gone_last, whole, threshold, item, score)


@compiled
def _keep_products(
    queries: Float32, items: Float32, gone: Int32, first: int, threshold: Float32, item: Int32, score: Float32
) -> int:
    """The same for a whole number of steps; items are counted from `first`, the threshold of each query is kept."""
    groups, dim, lanes = queries.shape
    n, n_items = len(item), len(items)
    products, above = np.empty((STEP, lanes), np.float32), np.empty(STEP, np.int64)
    tile = max(1, NEAR // max(1, STEP * dim)) * STEP
    for near in range(0, n_items, tile):
        for group in range(groups):
            live = (1 << min(lanes, n - group * lanes)) - 1
            for start in range(near, min(near + tile, n_items), STEP):
                found: int = _products(
                    items.ctypes.data + 4 * start * dim,
                    gone.ctypes.data + 4 * (group * gone.shape[1] + start),
                    queries.ctypes.data + 4 * group * dim * lanes,
                    threshold.ctypes.data + 4 * group * lanes,
                    products.ctypes.data,
                    above.ctypes.data,
                    dim,
                    lanes,
                )
                if not found:
                    continue
                for at in range(STEP):
                    left = above[at] & live
                    while left:
                        lane: int = _lowest_bit(left)  # type: ignore[call-arg]
                        left &= left - 1
                        row, value = group * lanes + lane, products[at, lane]
                        if value != value:
                            return row
                        if value > score[row, 0]:  # the items before this one may have raised the threshold
                            replace_worst(score[row], item[row], value, first + start + at)
                            threshold[group, lane] = score[row, 0]
    return -1


@compiled
def _products(
    block: int, hidden: int, queries: int, threshold: int, products: int, above: int, dim: int, lanes: int
) -> int:
    if lanes == FEW:
        return _products_of_few(block, hidden, queries, threshold, products, above, dim)  # type: ignore[no-any-return]
    return _products_of_many(block, hidden, queries, threshold, products, above, dim)  # type: ignore[no-any-return]


def _products_of(lanes: int) -> Any:
    """Products of `STEP` items with a group of `lanes` queries, an intrinsic; all arguments but the last are addresses.

    products: float32 `[STEP, lanes]`, filled. above: int64 `[STEP]`, filled with bits: which of the queries may have
    the item and hold a threshold below its product, or NaN. Returns 0 where none does.
    """

    def products_of(
        typing: Any, block: Any, hidden: Any, queries: Any, threshold: Any, products: Any, above: Any, dim: Any
    ) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            block, hidden, queries, threshold, products, above, dim = args
            starts = [ir.Constant(vector_of(lanes), [0.0] * lanes)] * STEP
            rows = [builder.add(block, builder.mul(dim, WORD(4 * at))) for at in range(STEP)]
            bar, found = load(builder, threshold, 0, vector_of(lanes)), WORD(0)
            for at, total in enumerate(sums_of_products(builder, starts, rows, queries, dim)):
                store(builder, total, products, at)
                beats = builder.bitcast(builder.fcmp_unordered(">", total, bar), ir.IntType(lanes))
                may = builder.not_(load(builder, hidden, at, ir.IntType(32)))
                here = builder.and_(builder.zext(beats, WORD), builder.zext(may, WORD))
                store(builder, here, above, at)
                found = builder.or_(found, here)
            return found

        return types.int64(*[types.intp] * 7), make

    return intrinsic(products_of)


_products_of_few, _products_of_many = _products_of(FEW), _products_of(LANES)


@intrinsic
def _not_up_to(typing: Any, address: Any, threshold: Any) -> Any:
    """A word whose bit `j` says that float32 number `j` at the address is above the threshold, or NaN."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = load(builder, args[0], 0, vector_of(CHUNK))
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
def grouped(queries: Float32, lanes: int) -> Float32:
    """Queries `[n, dim]` -> `[n / lanes, dim, lanes]`, zeros behind the last."""
    n, dim = queries.shape
    groups = np.zeros(((n + lanes - 1) // lanes, dim, lanes), np.float32)
    for r in range(n):
        for d in range(dim):
            groups[r // lanes, d, r % lanes] = queries[r, d]
    return groups


@compiled
def hidden_bits(indptr: Int64, item: Int32, n_items: int, lanes: int) -> Int32:
    """CSR rows of items -> bits `[n / lanes, n_items]`, bit `r % lanes` of row `r`."""
    n = len(indptr) - 1
    gone = np.zeros(((n + lanes - 1) // lanes, n_items), np.int32)
    for r in range(n):
        for p in range(indptr[r], indptr[r + 1]):
            gone[r // lanes, item[p]] |= np.int32(1 << (r % lanes))
    return gone


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
