"""The two items of a history that speak most for each item of a list; compiled, it is in every answer."""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32
from genre.kernels.compiled import compiled


@compiled
def two_strongest(shares: Float32, causes: Int32) -> Int32:
    """For each row of `shares` `[m, length]` the two largest above 0, as items of `causes` `[length]`, largest first.

    int32 `[m, 2]`, -1 where there is none; an item that stands in the history twice is named once.
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
