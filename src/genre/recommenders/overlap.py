"""The k nearest columns of a sparse matrix, by a similarity of co-occurrence counts. Knows counts and norms, no models.

    similarity(i, j) = sum over users of x_ui x_uj / (source_i target_j + shrinkage)

With both norms the root of the sum of squares it is the cosine (Sarwar et al., "Item-based collaborative filtering
recommendation algorithms", WWW 2001).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.kernels.order import mixed

Norms = npt.NDArray[np.float64]


def nearest_neighbours(
    matrix: sp.csr_matrix, source: Norms, target: Norms, k: int, shrinkage: float = 0.0
) -> sp.csr_matrix:
    """Return for each item the `k` items most similar to it, itself left out; of ties the first of `value_order`.

    Args:
        matrix: Weights above zero `[n_users, n_items]`.
        source: Norms of the items whose neighbours are wanted `[n_items]`.
        target: Norms of the neighbours `[n_items]`.
        k: Neighbours of each item.
        shrinkage: Added to the denominator.

    Returns:
        Similarities above zero, float32 CSR `[n_items, n_items]`, from item to neighbour, columns sorted.
    """
    from genre.kernels.overlap import nearest_items

    n_items = matrix.shape[1]
    k = max(1, min(k, n_items - 1))
    # popular items first: most pairs then meet at the front of the accumulator, where it stays in cache
    order = value_order(matrix)
    columns = matrix.tocsc()[:, order]
    ranked = columns.tocsr()
    whole = bool(np.all(ranked.data == 1))  # plain counts fit integers
    values = (ranked.data[:0], columns.data[:0]) if whole else (ranked.data, columns.data)
    heap_item, heap_value = nearest_items(
        (ranked.indptr, ranked.indices, values[0]),
        (columns.indptr, columns.indices, values[1]),
        np.zeros(n_items, np.int32 if whole else np.float32),
        source[order].astype(np.float32),
        target[order].astype(np.float32),
        k,
        np.float32(shrinkage),
    )  # [n_items, k] both, in ranked row numbers
    return in_catalogue_rows(_without_zeros(heap_item, heap_value), order)


def value_order(matrix: sp.csr_matrix) -> npt.NDArray[np.int64]:
    """Return the items by popularity, then by a hash of their interactions: an order for ties that no name decides.

    The hash of an item sums those of its users, and the hash of a user those of its items, each times that of the
    weight (two rounds of colours: Weisfeiler and Leman, 1968). So neither ids nor row numbers have a part in it; only
    items whose interactions are alike in all this keep the order of their rows.

    Args:
        matrix: Weights `[n_users, n_items]`.

    Returns:
        Item rows, the most popular first `[n_items]`.
    """
    popularity = np.bincount(matrix.indices, minlength=matrix.shape[1])
    weight = mixed(matrix.data.astype(np.float32).view(np.uint32).astype(np.uint64))
    hashes = sp.csr_matrix((weight, matrix.indices, matrix.indptr), matrix.shape)  # [n_users, n_items]
    colour = popularity.astype(np.uint64)
    for _ in range(2):
        colour = mixed(hashes.T @ mixed(hashes @ mixed(colour)))
    return np.lexsort((colour, -popularity))


def column_norms(matrix: sp.csr_matrix) -> Norms:
    """Return the length of each column, with which the similarity is the cosine.

    Args:
        matrix: Weights `[n_users, n_items]`.

    Returns:
        The root of the sum of squares `[n_items]`.
    """
    return np.sqrt(np.bincount(matrix.indices, matrix.data.astype(np.float64) ** 2, matrix.shape[1]))


def in_catalogue_rows(ranked: sp.csr_matrix, order: npt.NDArray[np.int64]) -> sp.csr_matrix:
    """Return a matrix from item to item with the row numbers of the catalogue in place of ranks.

    By two changes between rows and columns, each of which sorts: quicker than to sort every row.

    Args:
        ranked: From rank to rank `[n_items, n_items]`, columns in any order.
        order: The item at each rank `[n_items]`.

    Returns:
        The same values as CSR `[n_items, n_items]`, columns sorted.
    """
    item = order.astype(np.int32)
    shape = ranked.shape
    by_neighbour = sp.csr_matrix((ranked.data, item[ranked.indices], ranked.indptr), shape).tocsc()
    return sp.csc_matrix((by_neighbour.data, item[by_neighbour.indices], by_neighbour.indptr), shape).tocsr()


def _without_zeros(item: npt.NDArray[np.int32], value: npt.NDArray[np.float32]) -> sp.csr_matrix:
    """Return heaps `[n_items, k]` as a matrix from item to neighbour, without the places that are not filled."""
    filled = value > 0
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
    return sp.csr_matrix((value[filled], item[filled], indptr), (len(item), len(item)))
