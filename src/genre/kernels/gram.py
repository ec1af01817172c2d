"""The compiled half of `ease.py`: Gram matrices of sparse rows and the last step from an inverse to weights."""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32
from genre.kernels.compiled import compiled

TILE = 64  # a tile and its mirror image stay in the first-level cache


@compiled
def add_gram(
    row_start: Int32,
    row_item: Int32,
    row_weight: Float32,
    column_start: Int32,
    column_row: Int32,
    column_weight: Float32,
    gram: Float32,
) -> None:
    """Add X'X to the upper triangle of `gram` `[n_items, n_items]`; X comes by rows, columns sorted, and by columns.

    A row of the Gram matrix at a time, summed up where it stays in cache.
    """
    begin = row_start[:-1].copy()  # where the items from this one on begin
    total = np.zeros(len(gram), np.float32)
    for i in range(len(gram)):
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
def inverse_to_weights(p: Float32) -> None:
    """The upper triangle of P becomes -P diag(P)^-1 with a diagonal of zeros, in place. `[n, n]`"""
    n = len(p)
    scale = np.empty(n, np.float32)
    for i in range(n):
        scale[i] = -1 / p[i, i]
        p[i, i] = 0
    for top in range(0, n, TILE):
        for left in range(top, n, TILE):
            for i in range(top, min(top + TILE, n)):
                for j in range(max(left, i + 1), min(left + TILE, n)):
                    both = p[i, j]
                    p[i, j] = both * scale[j]
                    p[j, i] = both * scale[i]
