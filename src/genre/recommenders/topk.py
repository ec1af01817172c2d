"""Exact top-k selection from scores, from products of factors, and by cosine.

Order: score descending, then row number ascending. Slots without an item hold -1 and -inf; an item whose score
is -inf is never returned. A NaN score is an error, not a rank. Knows nothing about recommenders.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.errors import DataError
from genre.kernels.compiled import compiler_is_loaded
from genre.threads import map_slices

Seen = tuple[Int64, Int32]  # indptr, item: the items that each row must not get
Mask = npt.NDArray[np.bool_]

SCORES_AT_ONCE = 8_000_000  # scores that callers hold at once: 32 MB
ROWS, TILE = 256, 1 << 18  # rows at once; a tile of scores: 1 MB stays in the cache
FEW = 1_000_000  # scores up to which partitioning them takes less time than loading the compiler


def top_k_scores(
    scores: Float32, k: int, *, seen: Seen | None = None, candidates: Mask | None = None
) -> tuple[Int32, Float32]:
    """Return the best `k` items of each row of scores.

    A tile of the scores is copied to a scratch area that fits the cache, seen items are overwritten there with -inf,
    and a heap of `k` for each row keeps the best. A process that has compiled nothing yet, such as a command that
    prints one list, partitions each row instead; the lists are the same.

    Args:
        scores: float32 `[n, n_items]`; stays as it is.
        k: Length of a list.
        seen: Items that each row must not get, as row starts `[n + 1]` and item rows.
        candidates: The only items allowed, bool `[n_items]`; None allows all.

    Returns:
        Items int32 `[n, k]` and their scores float32 `[n, k]`, best first.

    Raises:
        DataError: If a score is NaN, or `seen` or `candidates` do not fit the scores.
    """
    n = len(scores)
    columns, (indptr, gone) = _narrow(n, scores.shape[1], seen, candidates)
    if scores.size <= FEW and not compiler_is_loaded():
        return _partition(scores, k, columns, (indptr, gone))
    from genre.kernels.topk import by_tile, hide_in_tile, keep_best

    width = scores.shape[1] if columns is None else len(columns)
    item, score = _empty(n, k)
    step = max(1, min(width, TILE // max(1, min(n, ROWS))))

    def select(part: slice) -> None:
        scratch = np.empty(min(part.stop - part.start, ROWS) * step, np.float32)
        for start in range(part.start, part.stop, ROWS):
            rows = slice(start, min(start + ROWS, part.stop))
            starts, row, column = by_tile(indptr[start : rows.stop + 1], gone, step, -(-width // step))
            for number, first in enumerate(range(0, width, step)):
                tile = slice(first, min(first + step, width))
                shape = rows.stop - start, tile.stop - first
                block = scratch[: shape[0] * shape[1]].reshape(shape)
                np.copyto(block, scores[rows, tile if columns is None else columns[tile]], casting="same_kind")
                here = slice(starts[number], starts[number + 1])
                hide_in_tile(block, row[here], column[here])
                _refuse_nan(start, keep_best(block, first, item[rows], score[rows]))

    map_slices(select, n, least=ROWS, multiple=ROWS)
    return _best_first(item, score, columns)


def _partition(scores: Float32, k: int, columns: Int64 | None, seen: Seen) -> tuple[Int32, Float32]:
    """Return what the heaps of `top_k_scores` would hold, in the same order; `seen` is in numbers of the columns."""
    item, score = _empty(len(scores), k)
    indptr, gone = seen
    for row, given in enumerate(scores):
        values = np.array(given if columns is None else given[columns], np.float32)
        values[gone[indptr[row] : indptr[row + 1]]] = -np.inf
        _refuse_nan(row, 0 if np.isnan(values).any() else -1)
        least = np.partition(values, -k)[-k] if k < len(values) else -np.inf
        found = np.flatnonzero((values >= least) & (values > -np.inf))
        best = found[np.argsort(-values[found], kind="stable")][:k]
        score[row, : len(best)] = values[best]
        item[row, : len(best)] = best if columns is None else columns[best]
    return item, score


def top_k_factors(
    queries: Float32, items: Float32, k: int, *, seen: Seen | None = None, candidates: Mask | None = None
) -> tuple[Int32, Float32]:
    """Return the best `k` items of each query by dot product.

    Each product is compared as soon as it is computed; the scores `[n, n_items]` never exist in memory. Few candidates
    are copied side by side; where most items are candidates, hiding the others costs less than the copy.

    Args:
        queries: `[n, dim]`.
        items: `[n_items, dim]`.
        k: Length of a list.
        seen: Items that each row must not get, as row starts `[n + 1]` and item rows.
        candidates: The only items allowed, bool `[n_items]`; None allows all.

    Returns:
        Items int32 `[n, k]` and their scores float32 `[n, k]`, best first.

    Raises:
        DataError: If a product is NaN, or `seen` or `candidates` do not fit the items.
    """
    if len(queries) == 1:  # nothing to put side by side
        return top_k_scores(np.asarray(queries @ items.T, np.float32), k, seen=seen, candidates=candidates)
    from genre.kernels.topk import group_queries, group_size, hidden_bits, keep_best_products

    _check_mask(candidates, len(items))
    forbidden = None  # all bits of each item that is no candidate
    if candidates is not None and 2 * np.count_nonzero(candidates) > len(items):
        forbidden, candidates = candidates.astype(np.int32) - 1, None
    columns, (indptr, gone) = _narrow(len(queries), len(items), seen, candidates)
    allowed = np.ascontiguousarray(items if columns is None else items.take(columns, axis=0), np.float32)
    queries = np.asarray(queries, np.float32)
    item, score = _empty(len(queries), k)

    def select(part: slice) -> None:
        for start in range(part.start, part.stop, ROWS):
            rows = slice(start, min(start + ROWS, part.stop))
            lanes = group_size(rows.stop - start)
            hidden = hidden_bits(indptr[start : rows.stop + 1], gone, len(allowed), lanes)
            if forbidden is not None:
                hidden |= forbidden
            bad = keep_best_products(group_queries(queries[rows], lanes), allowed, hidden, item[rows], score[rows])
            _refuse_nan(start, bad)

    map_slices(select, len(queries), least=ROWS, multiple=ROWS)
    return _best_first(item, score, columns)


def top_k_cosine(vectors: Float32, rows: Int32, k: int) -> tuple[Int32, Float32]:
    """Return the vectors with the highest cosine to some of them, each without itself.

    Args:
        vectors: `[n, dim]`.
        rows: Rows of `vectors` to start from `[m]`.
        k: Length of a list.

    Returns:
        Rows int32 `[m, k]` and their cosines float32 `[m, k]`, highest first.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    itself = np.arange(len(rows) + 1, dtype=np.int64), np.asarray(rows, np.int32)
    return top_k_factors(unit[rows], unit, min(k, len(unit)), seen=itself)


def _narrow(n: int, n_items: int, seen: Seen | None, candidates: Mask | None) -> tuple[Int64 | None, Seen]:
    """Return the allowed columns, None for all, and `seen` in numbers of those columns."""
    indptr, item = _checked(seen, n, n_items)
    _check_mask(candidates, n_items)
    if candidates is None:
        return None, (indptr, item)
    columns = np.flatnonzero(candidates)
    kept = np.flatnonzero(candidates[item])
    place = np.empty(n_items, np.int32)  # of the items that are candidates
    place[columns] = np.arange(len(columns), dtype=np.int32)
    return columns, (np.searchsorted(kept, indptr), place[item[kept]])


def _check_mask(candidates: Mask | None, n_items: int) -> None:
    if candidates is not None and candidates.shape != (n_items,):
        raise DataError(f"candidates: one True or False an item, {n_items} of them; found shape {candidates.shape}")


def _empty(n: int, k: int) -> tuple[Int32, Float32]:
    """Return heaps without an item."""
    if k < 1:
        raise DataError(f"k is {k}; ask for at least one item")
    return np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)


def _best_first(item: Int32, score: Float32, columns: Int64 | None) -> tuple[Int32, Float32]:
    """Sort the heaps into lists, in row numbers of the whole catalogue."""
    from genre.kernels.topk import best_first

    best_first(item, score)
    if columns is not None:
        item = np.append(columns, -1).astype(np.int32)[item]  # an empty slot, -1, picks the -1 at the end
    return item, score


def _refuse_nan(start: int, bad: int) -> None:
    """Raise DataError where a kernel found NaN: `bad` is its row after `start`, or -1."""
    if bad >= 0:
        raise DataError(
            f"the scores of row {start + bad} hold NaN, which has no rank; look for a training run "
            "that diverged or for features that are not finite"
        )


def _checked(seen: Seen | None, n: int, n_items: int) -> Seen:
    """Return `seen` in the types of the kernels; a row number outside the scores would write outside their memory."""
    if seen is None:
        return np.zeros(n + 1, np.int64), np.empty(0, np.int32)
    indptr, item = np.ascontiguousarray(seen[0], np.int64), np.ascontiguousarray(seen[1], np.int32)
    if len(indptr) != n + 1 or indptr[0] < 0 or indptr[-1] > len(item) or (indptr[1:] < indptr[:-1]).any():
        raise DataError(f"seen: the row starts do not fit {n} rows and {len(item)} items")
    if len(item) and (item.min() < 0 or item.max() >= n_items):
        raise DataError(f"seen: item numbers leave the range 0..{n_items - 1}")
    return indptr, item
