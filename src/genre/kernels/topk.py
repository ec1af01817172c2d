"""The k best of each row: one look at each score, a heap of k a row, nothing sorted but the heap.

A heap is a pair of rows `item` and `score` `[k]`, filled with -1 and -inf, whose first place, the root, is the worst of
the k: the lowest score, of equal scores the highest item number. Place `c` is never worse than its parent `(c - 1) //
2`. A score is looked at further only if it is above the root's, the threshold; as items come in rising order, equal
scores keep the lower item. NaN has no rank: the kernels return the row in which they find one.

- `keep_best` reads scores that exist, a tile `[n, width]` at a time.
- `keep_best_products` makes the scores as products of `queries` and `items`, and compares them before they leave the
  registers (`simd.py`), so that `[n, n_items]` never exists. Queries lie in groups, side by side: a group is `[dim,
  lanes]`.

Compiled, because sorting or partitioning reads each score several times. `tests/recommenders/test_topk.py` compares
them with a sort of whole rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled, compiled_part
from genre.kernels.simd import FEW_QUERIES, ITEMS_AT_ONCE, MANY_QUERIES, products_of_few, products_of_many

CHUNK = 32  # scores compared with the threshold at once; few chunks hold one above it
CACHED = 6144  # numbers of items, 24 KB, that stay in the innermost cache while all groups of queries pass


@compiled
def keep_best(scores: Float32, first: int, item: Int32, score: Float32) -> int:
    """Offer a tile of scores to the heaps; tiles come in the order of their columns.

    Args:
        scores: Float32 `[n, width]`; its columns are the items from `first` on.
        first: Item of the first column.
        item: Items of the heaps, int32 `[n, k]`.
        score: Scores of the heaps, float32 `[n, k]`.

    Returns:
        The first row that holds NaN, or -1.
    """
    for r in range(scores.shape[0]):
        row, best, where = scores[r], score[r], item[r]
        for start in range(0, len(row), CHUNK):
            chunk, threshold, above = row[start : start + CHUNK], best[0], np.int32(0)
            for j in range(len(chunk)):  # counted in 32 bits, this becomes vector instructions; true for NaN, too
                above = np.int32(above + np.int32(not chunk[j] <= threshold))
            if above == 0:
                continue
            for j in range(len(chunk)):
                if chunk[j] != chunk[j]:
                    return r
                if chunk[j] > best[0]:
                    replace_worst(best, where, chunk[j], first + start + j)
    return -1


def group_size(n: int) -> int:
    """Return how many of `n` queries `keep_best_products` should get side by side in a group.

    Args:
        n: Number of queries.

    Returns:
        The number of lanes of a group.
    """
    return FEW_QUERIES if n <= FEW_QUERIES else MANY_QUERIES


def keep_best_products(queries: Float32, items: Float32, hidden: Int32, item: Int32, score: Float32) -> int:
    """Fill empty heaps with the best products of each query.

    Args:
        queries: Float32 `[n_groups, dim, lanes]`, from `group_queries` with `group_size` lanes.
        items: Float32 `[n_items, dim]`.
        hidden: From `hidden_bits`, int32 `[n_groups, n_items]`; bit `q` of group `g` says that its query `q` must not
            get the item.
        item: Items of the heaps, int32 `[n, k]`.
        score: Scores of the heaps, float32 `[n, k]`.

    Returns:
        The first row that holds NaN, or -1.
    """
    groups, dim, lanes = queries.shape
    threshold = np.full((groups, lanes), np.inf, np.float32)  # of a lane without a query: never beaten
    threshold.ravel()[: len(item)] = score[:, 0]
    whole = len(items) // ITEMS_AT_ONCE * ITEMS_AT_ONCE
    last = np.zeros((ITEMS_AT_ONCE, dim), np.float32)  # what is left, filled up with items hidden from every query
    hidden_last = np.full((groups, ITEMS_AT_ONCE), -1, np.int32)
    last[: len(items) - whole], hidden_last[:, : len(items) - whole] = items[whole:], hidden[:, whole:]
    scratch = np.empty((ITEMS_AT_ONCE, lanes), np.float32), np.empty(ITEMS_AT_ONCE, np.int64)
    bad = _keep_products(queries, items[:whole], hidden, 0, threshold, item, score, *scratch)
    return bad if bad >= 0 else _keep_products(queries, last, hidden_last, whole, threshold, item, score, *scratch)


@compiled
def _keep_products(
    queries: Float32,
    items: Float32,
    hidden: Int32,
    first: int,
    threshold: Float32,
    item: Int32,
    score: Float32,
    products: Float32,
    above: Int64,
) -> int:
    """Offer the products of a multiple of `ITEMS_AT_ONCE` items, numbered from `first`, to the heaps.

    threshold: the root of each query's heap, `[n_groups, lanes]`, kept up to date.
    products, above: scratch `[ITEMS_AT_ONCE, lanes]` and `[ITEMS_AT_ONCE]`.
    """
    groups, dim, lanes = queries.shape
    n, n_items = len(item), len(items)
    tile = max(1, CACHED // max(1, ITEMS_AT_ONCE * dim)) * ITEMS_AT_ONCE
    for begin in range(0, n_items, tile):
        for group in range(groups):
            n_queries = min(lanes, n - group * lanes)
            for start in range(begin, min(begin + tile, n_items), ITEMS_AT_ONCE):
                found: int = _products(
                    items.ctypes.data + 4 * start * dim,
                    hidden.ctypes.data + 4 * (group * hidden.shape[1] + start),
                    queries.ctypes.data + 4 * group * dim * lanes,
                    threshold.ctypes.data + 4 * group * lanes,
                    products.ctypes.data,
                    above.ctypes.data,
                    dim,
                    lanes,
                )
                if found != 0:
                    bad = _offer_products(
                        products, above, first + start, group * lanes, n_queries, threshold[group], item, score
                    )
                    if bad >= 0:
                        return bad
    return -1


@compiled_part
def _offer_products(
    products: Float32,
    above: Int64,
    first_item: int,
    first_row: int,
    n_queries: int,
    threshold: Float32,
    item: Int32,
    score: Float32,
) -> int:
    """Offer the products whose bit in `above` is set, and keep `threshold` up to date; return a row of NaN, or -1."""
    real = (1 << n_queries) - 1  # the lanes that hold a query
    for at in range(ITEMS_AT_ONCE):
        left = above[at] & real
        while left != 0:
            lowest = left & -left
            left ^= lowest
            lane = math.frexp(float(lowest))[1] - 1  # the number of the only bit that is set
            row, value = first_row + lane, products[at, lane]
            if value != value:
                return row
            if value > score[row, 0]:  # the items before this one may have raised the threshold
                replace_worst(score[row], item[row], value, first_item + at)
                threshold[lane] = score[row, 0]
    return -1


@compiled_part
def _products(
    block: int, hidden: int, queries: int, threshold: int, products: int, above: int, dim: int, lanes: int
) -> int:
    """Call the intrinsic that is made for this number of lanes."""
    if lanes == FEW_QUERIES:
        return products_of_few(block, hidden, queries, threshold, products, above, dim)  # type: ignore[no-any-return]
    return products_of_many(block, hidden, queries, threshold, products, above, dim)  # type: ignore[no-any-return]


@compiled
def best_first(item: Int32, score: Float32) -> None:
    """Sort heaps into lists, best first, in place (the second half of heapsort).

    Args:
        item: Items of the heaps, int32 `[n, k]`.
        score: Scores of the heaps, float32 `[n, k]`.
    """
    for r in range(len(item)):
        best, where = score[r], item[r]
        for last in range(len(best) - 1, 0, -1):
            worst, at = best[0], where[0]
            item_number: Any = np.int64(where[last])  # the type by which all kernels call it: compiled once
            replace_worst(best[:last], where[:last], best[last], item_number)
            best[last], where[last] = worst, at


@compiled
def hide_in_tile(scores: Float32, row: Int32, column: Int32) -> None:
    """Set some places of a tile of scores to -inf.

    Args:
        scores: Float32 `[n, width]`.
        row: Row of each place `[m]`.
        column: Column of each place `[m]`.
    """
    for p in range(len(row)):
        scores[row[p], column[p]] = -np.inf


def group_queries(queries: Float32, lanes: int) -> Float32:
    """Put `lanes` queries side by side in each group.

    Args:
        queries: Float32 `[n, dim]`.
        lanes: Queries of a group.

    Returns:
        Float32 `[n_groups, dim, lanes]`, zeros behind the last query.
    """
    n, dim = queries.shape
    n_groups = -(-n // lanes)
    rows = np.zeros((n_groups * lanes, dim), np.float32)
    rows[:n] = queries
    return np.ascontiguousarray(rows.reshape(n_groups, lanes, dim).transpose(0, 2, 1))


def hidden_bits(indptr: Int64, item: Int32, n_items: int, lanes: int) -> Int32:
    """Turn the items that each query must not get into bits, one for each lane of a group.

    Args:
        indptr: Query `r` must not get `item[indptr[r]:indptr[r + 1]]`, int64 `[n + 1]`.
        item: Int32.
        n_items: Number of items.
        lanes: Queries of a group.

    Returns:
        Int32 `[n_groups, n_items]`; query `r` has bit `r % lanes` of group `r // lanes`.
    """
    hidden = np.zeros((-(-(len(indptr) - 1) // lanes), n_items), np.int32)
    _mark_hidden(indptr, item, lanes, hidden)
    return hidden


@compiled
def _mark_hidden(indptr: Int64, item: Int32, lanes: int, hidden: Int32) -> None:
    """Set the bits of `hidden_bits`."""
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            hidden[r // lanes, item[p]] |= np.int32(1 << (r % lanes))


def by_tile(indptr: Int64, item: Int32, width: int, n_tiles: int) -> tuple[Int64, Int32, Int32]:
    """Sort the items of CSR rows by the tile of columns they fall into (a counting sort).

    Args:
        indptr: Row `r` has the items `item[indptr[r]:indptr[r + 1]]`, int64 `[n + 1]`.
        item: Int32.
        width: Columns of a tile.
        n_tiles: Number of tiles.

    Returns:
        Where each tile begins, int64 `[n_tiles + 1]`, then the row and the column inside the tile of each entry.
    """
    tile = item[indptr[0] : indptr[-1]] // np.int32(width)
    starts = np.zeros(n_tiles + 1, np.int64)
    np.cumsum(np.bincount(tile, minlength=n_tiles), out=starts[1:])
    row, column = np.empty_like(tile), np.empty_like(tile)
    _place_in_tiles(indptr, item, np.uint32(width), starts[:-1].copy(), row, column)
    return starts, row, column


@compiled
def _place_in_tiles(indptr: Int64, item: Int32, width: np.uint32, free: Int64, row: Int32, column: Int32) -> None:
    """Place each entry of `by_tile`; `width` is unsigned and of 32 bits: the quicker division.

    free: the next place of each tile, `[n_tiles]`.
    """
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            tile = np.uint32(item[p]) // width
            row[free[tile]] = r
            column[free[tile]] = item[p] - tile * width
            free[tile] += 1


@compiled_part
def replace_worst(best: Float32, where: Int32, score: float, item: int) -> None:
    """Replace the root of a heap, and let the new entry sink until neither child is worse than it.

    Args:
        best: Scores of the heap `[k]`.
        where: Its items `[k]`.
        score: The new score.
        item: The new item.
    """
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
