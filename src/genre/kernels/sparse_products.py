"""Products of sparse matrices into dense rows: the scores of histories by sparse weights between items.

Compiled, because a sparse product of SciPy counts and lists the entries of each row before it is made dense.
`tests/kernels/test_sparse_products.py` compares it with SciPy's, to the bit.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32
from genre.kernels.compiled import compiled
from genre.kernels.overlap import Sparse


@compiled
def add_product(left: Sparse, right: Sparse, scratch: Float32, out: Float32) -> None:
    """Add a product of two sparse matrices to a dense one.

    Args:
        left: A `[n, m]` by rows: where they begin `[n + 1]`, their columns and values.
        right: B `[m, n_columns]` likewise.
        scratch: Room for the longest row of B.
        out: Float32 `[n, n_columns]`.
    """
    left_start, left_column, left_value = left
    start, column, value = right
    for row in range(len(out)):
        total = out[row]
        for at in range(left_start[row], left_start[row + 1]):
            times, first, last = left_value[at], start[left_column[at]], start[left_column[at] + 1]
            columns, values, terms = column[first:last], value[first:last], scratch[: last - first]
            for q in range(len(terms)):
                terms[q] = times * values[q]  # rounded before it is added, as SciPy does
            for q in range(len(terms)):
                total[np.uint32(columns[q])] += terms[q]  # unsigned: no test for places counted from the end
