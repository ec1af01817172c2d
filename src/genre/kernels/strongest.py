"""The two items of a history that contribute most to each item of a list, for the sentence "because you liked A and B".

Compiled, because it is in every answer with reasons: for so few numbers the calls of array operations cost more than
the work, and a partition does not know that an item that is in the history twice is named once.
`tests/kernels/test_strongest.py` compares it with a sort.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32
from genre.kernels.compiled import compiled


@compiled
def two_strongest(shares: Float32, causes: Int32) -> Int32:
    """Find the two largest contributions above zero of each row, and name their items.

    Args:
        shares: What each interaction of the history adds to the score of each listed item, float32 `[m, length]`.
        causes: The items of the history, int32 `[length]`.

    Returns:
        Items int32 `[m, 2]`, the larger contribution first, each item once; -1 where there is none.
    """
    found = np.full((shares.shape[0], 2), -1, np.int32)
    for r in range(shares.shape[0]):
        first, second = np.float32(0), np.float32(0)
        for j in range(shares.shape[1]):
            share, cause = shares[r, j], causes[j]
            if share > first:
                if cause != found[r, 0]:
                    second, found[r, 1] = first, found[r, 0]
                first, found[r, 0] = share, cause
            elif share > second and cause != found[r, 0]:
                second, found[r, 1] = share, cause
    return found
