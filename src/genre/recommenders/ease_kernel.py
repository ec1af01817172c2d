"""The compiled half of `ease.py`: Gram matrices of sparse rows and the last step from an inverse to weights."""

from __future__ import annotations

import numpy as np

from genre.compiled import compiled
from genre.preprocessing.dataset import Float32, Int32

TILE = 64  # a tile and its mirror image stay in the first-level cache


@compiled
def add_gram(indptr: Int32, item: Int32, weight: Float32, gram: Float32) -> None:
    """Add X'X of CSR rows with sorted columns to the upper triangle of `gram` `[n_items, n_items]`."""
    for u in range(len(indptr) - 1):
        begin, end = indptr[u], indptr[u + 1]
        for p in range(begin, end):
            row, times = gram[item[p]], weight[p]
            for q in range(p, end):
                row[item[q]] += times * weight[q]


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
