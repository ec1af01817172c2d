"""The steps of EASE around LAPACK: the Gram matrix of sparse interactions, and weights from its inverse.

EASE (Steck, WWW 2019) solves for item weights B with a diagonal of zeros: with X `[n_users, n_items]` the interactions,
G = X'X and P = (G + ridge I)^-1,

    B_ij = -P_ij / P_jj,   B_jj = 0

Compiled, because a sparse product of SciPy takes .8 CPU seconds where `add_gram` takes .1 (MovieLens 1M), and because
array operations on `[n_items, n_items]` would hold a copy for each step. The inverse itself is LAPACK's.
`tests/kernels/test_gram.py` compares both with NumPy.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32
from genre.kernels.compiled import compiled
from genre.kernels.overlap import Sparse

TILE = 64  # a tile and its mirror image stay in the first-level cache


def add_gram(rows: Sparse, columns: Sparse, gram: Float32, first: int, last: int) -> None:
    """Add X'X to rows of the upper triangle of `gram`, one at a time, which is summed up where it stays in cache.

    Row i of X'X is the sum, over the users u of item i, of x_ui times row u of X. Only items from i on are wanted: as
    the items of each user are sorted and i rises, each user's part that is still wanted begins one place later each
    time.

    Args:
        rows: X by rows: where users begin `[n_users + 1]`, their items, sorted inside each row, and their values.
        columns: X by columns: where items begin `[n_items + 1]`, their users and values.
        gram: Float32 `[n_items, n_items]`.
        first: The first row of `gram` to add to.
        last: The row behind it.
    """
    _add_gram(rows, columns, gram, first, last, rows[0][:-1].copy(), np.zeros(len(gram), np.float32))


@compiled
def _add_gram(
    rows: Sparse, columns: Sparse, gram: Float32, first: int, last: int, begin: Int32, total: Float32
) -> None:
    """Add with scratch space.

    begin: where the items of each row from this one on begin, at first the whole rows.
    total: zeros `[n_items]`.
    """
    row_start, row_item, row_weight = rows
    column_start, column_row, column_weight = columns
    if first > 0:
        for row in range(len(begin)):
            while begin[row] < row_start[row + 1] and row_item[begin[row]] < first:
                begin[row] += 1
    for i in range(first, last):
        for at in range(column_start[i], column_start[i + 1]):
            row, times = column_row[at], column_weight[at]
            item, weight = row_item[begin[row] : row_start[row + 1]], row_weight[begin[row] : row_start[row + 1]]
            for q in range(len(item)):
                total[np.uint32(item[q])] += times * weight[q]  # unsigned: no test for places counted from the end
            begin[row] += 1
        out = gram[i]
        for j in range(i, len(gram)):
            out[j] += total[j]
            total[j] = 0


@compiled
def add_gram_among(
    rows: Sparse, columns: Sparse, members: Int32, first: int, place: Int32, total: Float32, gram: Float32
) -> None:
    """Add the products of some columns of X to the upper triangle of `gram`, from column `first` of it on.

    A column is summed up from the users of its item: of each, the items before it that are members.

    Args:
        rows: X by rows: where users begin `[n_users + 1]`, their items, sorted inside each row, and their values.
        columns: X by columns: where items begin `[n_items + 1]`, their users and values.
        members: The items, ascending `[n]`.
        first: The first column of `gram` to add to.
        place: The place of each item among the members, -1 for others, int32 `[n_items]`.
        total: Zeros, at least `n` of them; zeros again afterwards.
        gram: Float32 `[n, n]`.
    """
    row_start, row_item, row_weight = rows
    column_start, column_row, column_weight = columns
    for j in range(first, len(members)):
        for at in range(column_start[members[j]], column_start[members[j] + 1]):
            row, times = column_row[at], column_weight[at]
            for q in range(row_start[row], row_start[row + 1]):
                item = row_item[q]
                if item > members[j]:
                    break
                if place[item] >= 0:
                    total[place[item]] += times * row_weight[q]
        for i in range(j + 1):
            gram[i, j] += total[i]
            total[i] = 0


@compiled
def inverse_to_weights(p: Float32, scale: Float32, first: int, last: int) -> None:
    """Turn some rows of the upper triangle of P into the weights B_ij = -P_ij / P_jj, B_jj = 0, in place.

    A tile and its mirror image at a time: P_ij makes B_ij and, as P is symmetric, B_ji.

    Args:
        p: Float32 `[n_items, n_items]`; what is below the diagonal is overwritten.
        scale: -1 / P_jj, float32 `[n_items]`.
        first: The first row, a multiple of `TILE`.
        last: The row behind it.
    """
    n = len(p)
    for i in range(first, last):
        p[i, i] = 0
    for top in range(first, last, TILE):
        for left in range(top, n, TILE):
            for i in range(top, min(top + TILE, n)):
                for j in range(max(left, i + 1), min(left + TILE, n)):
                    both = p[i, j]
                    p[i, j] = both * scale[j]
                    p[j, i] = both * scale[i]
