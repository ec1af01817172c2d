"""Products of sparse matrices that are wanted dense, on all threads. Knows matrices, no models."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32
from genre.kernels.compiled import compiler_is_loaded
from genre.recommenders.topk import FEW
from genre.threads import map_slices

ROWS = 64  # rows of a product that are worth a thread


def dense_product(left: sp.csr_matrix, right: sp.csr_matrix) -> Float32:
    """Multiply two sparse matrices into a dense one.

    A process that has compiled nothing yet, such as a command that prints one list, leaves small products to SciPy; the
    results are the same to the bit.

    Args:
        left: float32 `[n, m]`.
        right: float32 `[m, n_columns]`.

    Returns:
        float32 `[n, n_columns]`.
    """
    n, n_columns = left.shape[0], right.shape[1]
    if n * n_columns <= FEW and not compiler_is_loaded():
        return np.asarray((left @ right).toarray(), np.float32)
    from genre.kernels.sparse_products import add_product

    out = np.zeros((n, n_columns), np.float32)
    longest = int(np.diff(right.indptr).max(initial=0))
    sides = (left.indices, left.data), (right.indptr, right.indices, right.data)

    def multiply(rows: slice) -> None:
        of_rows = left.indptr[rows.start : rows.stop + 1], *sides[0]
        add_product(of_rows, sides[1], np.empty(longest, np.float32), out[rows])

    map_slices(multiply, n, least=ROWS)
    return out
