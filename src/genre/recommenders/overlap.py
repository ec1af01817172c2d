"""The k nearest columns of a sparse matrix, beside the plain twin that judges it. Knows counts and norms, no models.

similarity(i, j) = sum over users of x_ui x_uj, divided by source_i target_j + shrinkage.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Norms = npt.NDArray[np.float64]


def nearest_neighbours_plain(
    matrix: sp.csr_matrix, source: Norms, target: Norms, k: int, shrinkage: float = 0.0
) -> sp.csr_matrix:
    """The obviously right way, all pairs at once: see `nearest_neighbours`."""
    overlap = (matrix.T @ matrix).toarray().astype(np.float64)
    np.fill_diagonal(overlap, 0)
    similarity = overlap / np.maximum(np.outer(source, target) + shrinkage, 1e-30)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(similarity)
    np.put_along_axis(kept, order, np.take_along_axis(similarity, order, axis=1), axis=1)
    return sp.csr_matrix(kept.astype(np.float32))


def nearest_neighbours(
    matrix: sp.csr_matrix, source: Norms, target: Norms, k: int, shrinkage: float = 0.0
) -> sp.csr_matrix:
    """For each item the `k` items most similar to it, itself left out, as float32 CSR `[n_items, n_items]`.

    matrix: weights above zero `[n_users, n_items]`. source, target: norms of the two sides `[n_items]`.
    """
    from genre.kernels.overlap import nearest

    n_items = matrix.shape[1]
    k = max(1, min(k, n_items - 1))
    # popular items first: most pairs then meet at the front of the accumulator, where it stays in cache
    order = np.argsort(-np.bincount(matrix.indices, minlength=n_items), kind="stable")
    ranked = sp.csr_matrix(matrix[:, order])
    ranked.sort_indices()
    columns = ranked.tocsc()
    whole = bool(np.all(ranked.data == 1))  # plain counts fit integers
    weight = (ranked.data[:0], columns.data[:0]) if whole else (ranked.data, columns.data)
    heap_item, heap_value = nearest(
        ranked.indptr,
        ranked.indices,
        weight[0],
        columns.indptr,
        columns.indices,
        weight[1],
        np.zeros(n_items, np.int32 if whole else np.float32),
        source[order].astype(np.float32),
        target[order].astype(np.float32),
        k,
        np.float32(shrinkage),
    )
    return _to_csr(heap_item, heap_value, order)


def _to_csr(item: npt.NDArray[np.int32], value: npt.NDArray[np.float32], order: npt.NDArray[np.int64]) -> sp.csr_matrix:
    n_items = len(item)
    row, slot = np.nonzero(value > 0)
    out = sp.csr_matrix(
        (value[row, slot], (order[row], order[item[row, slot]])), shape=(n_items, n_items), dtype=np.float32
    )
    out.sort_indices()
    return out
