"""The k nearest items of each item by how many users they share: the loop of item-based neighbourhoods.

With X `[n_users, n_items]` the interactions, the similarity of item i to item j is

    sum_u x_ui x_uj / (source_i target_j + shrinkage)

which is the cosine where source and target are the lengths of the columns (Sarwar et al., WWW 2001; Deshpande &
Karypis, TOIS 2004). Each pair is counted once, in one pass over the items: item i meets the items before it through
its users, and the sum of the pair is offered to the heaps (see `topk.py`) of both.

Compiled, because a sparse product of SciPy builds every count of `[n_items, n_items]` before the first is dropped.
`tests/recommenders/test_item_knn.py` compares it with a dense product and a sort.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.kernels.compiled import compiled, compiled_part
from genre.kernels.topk import replace_worst

Counts = npt.NDArray[np.int32] | Float32
Sparse = tuple[Int32, Int32, Float32]
"""Where each row begins, its columns and its values (CSR); or the same by columns (CSC)."""


def nearest_items(
    rows: Sparse, columns: Sparse, overlap: Counts, source: Float32, target: Float32, k: int, shrinkage: np.float32
) -> tuple[Int32, Float32]:
    """Find the `k` nearest items of each item.

    Args:
        rows: X by rows: where users begin `[n_users + 1]`, their items, sorted inside each row, and their values; no
            values where every one is one.
        columns: X by columns: where items begin `[n_items + 1]`, their users and values likewise.
        overlap: Zeros `[n_items]` of the type to count in: int32 where every value is one, otherwise float32.
        source: Norms of items as the first of a pair, float32 `[n_items]`.
        target: Norms of items as the second of a pair, float32 `[n_items]`.
        k: Length of a heap.
        shrinkage: Added to the product of norms; more of it trusts small overlaps less.

    Returns:
        Heaps of the nearest items: int32 and their similarities float32, `[n_items, k]`, not sorted; 0 where there are
        fewer than `k`. Of equal similarities the lower row is kept.
    """
    n_users, n_items = len(rows[0]) - 1, len(columns[0]) - 1
    where, best = np.zeros((n_items, k), np.int32), np.zeros((n_items, k), np.float32)
    bar, touched = np.zeros(n_items, np.float32), np.empty(n_items, np.int32)
    done = np.zeros(n_users, np.int32)
    _find_nearest(rows, columns, overlap, source, target, shrinkage, where, best, bar, done, touched)
    return where, best


@compiled
def _find_nearest(
    rows: Sparse,
    columns: Sparse,
    overlap: Counts,
    source: Float32,
    target: Float32,
    shrinkage: np.float32,
    where: Int32,
    best: Float32,
    bar: Float32,
    done: Int32,
    touched: Int32,
) -> None:
    """Fill the heaps `where` and `best` of all items.

    bar: a little below the roots of the heaps, side by side.
    done: items of each user that came before, zeros.
    touched: scratch.
    """
    start, column_user, column_weight = columns
    n_items = len(start) - 1
    for i in range(n_items):
        users = column_user[start[i] : start[i + 1]]
        weight = column_weight[start[i] : start[i + 1]]  # empty without weights
        adds = 0
        for user in users:
            adds += done[user]
        few = 2 * adds < i  # a list of the items met is then shorter than all the items before
        if few:
            n = _add_and_list(users, weight, rows, done, overlap, touched)
        elif len(rows[2]) == 0:
            n = _count(users, rows, done, overlap, i)
        else:
            n = _add(users, weight, rows, done, overlap, i)
        for at in range(n):
            j = touched[at] if few else at
            both = np.float32(overlap[j])
            overlap[j] = 0
            forth = source[i] * target[j] + shrinkage
            back = source[j] * target[i] + shrinkage
            if both > bar[i] * forth:  # a product is cheaper than a division, and few pairs pass
                bar[i] = _offer(best[i], where[i], both / forth, j)
            if both > bar[j] * back:
                bar[j] = _offer(best[j], where[j], both / back, i)


@compiled_part
def _offer(best: Float32, where: Int32, similarity: float, item: int) -> float:
    """Put an item into a heap, where it is better than the worst one or as good and of a lower row.

    Return the new bar: so far below the worst that no rounding of the product keeps a tie away.
    """
    if similarity > best[0] or (similarity == best[0] and item < where[0]):
        replace_worst(best, where, similarity, item)
    return float(best[0] * np.float32(0.999999))


@compiled_part
def _count(users: Int32, rows: Sparse, done: Int32, overlap: Counts, i: int) -> int:
    """Add one to `overlap` for each item before `i` of each of its users; return how many items to look at, `i`.

    done: how many items of each user came before, `[n_users]`, counted on here.
    """
    start, item, _ = rows
    for user in users:
        for at in range(start[user], start[user] + done[user]):
            overlap[item[at]] += 1
        done[user] += 1
    return i


@compiled_part
def _add(users: Int32, weight: Float32, rows: Sparse, done: Int32, overlap: Counts, i: int) -> int:
    """Add the product of both values, as `_count` adds one."""
    start, item, value = rows
    for number, user in enumerate(users):
        for at in range(start[user], start[user] + done[user]):
            overlap[item[at]] += weight[number] * value[at]
        done[user] += 1
    return i


@compiled_part
def _add_and_list(users: Int32, weight: Float32, rows: Sparse, done: Int32, overlap: Counts, touched: Int32) -> int:
    """Add as `_add` or `_count`, and list the items whose overlap is no longer zero; return how many.

    Where the users of an item have few items, the list is shorter than all the items before.
    """
    n = 0
    start, item, value = rows
    for number, user in enumerate(users):
        for at in range(start[user], start[user] + done[user]):
            j = item[at]
            if overlap[j] == 0:
                touched[n] = j
                n += 1
            overlap[j] += weight[number] * value[at] if len(value) else 1
        done[user] += 1
    return n
