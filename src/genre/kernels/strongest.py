"""The two items of a history that contribute most to each item of a list, for the sentence "because you liked A and B".

An item that is in the history twice is named once. Not compiled: it is in every answer with reasons, also in that of a
command which loads no compiler. `tests/kernels/test_strongest.py` compares it with a sort.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Int32


def two_strongest(shares: Float32, causes: Int32) -> Int32:
    """Find the two largest contributions above zero of each row, and name their items.

    Args:
        shares: What each interaction of the history adds to the score of each listed item, float32 `[m, length]`.
        causes: The items of the history, int32 `[length]`.

    Returns:
        Items int32 `[m, 2]`, the larger contribution first, of equal ones the earlier interaction; each item once; -1
        where there is none.
    """
    found = np.full((len(shares), 2), -1, np.int32)
    if shares.shape[1] == 0:
        return found
    rows, left = np.arange(len(shares)), shares
    for place in range(2):
        at = left.argmax(axis=1)  # [m]
        there = left[rows, at] > 0
        found[there, place] = causes[at[there]]
        left = np.where(causes == found[:, place, None], np.float32(0), left)  # [m, length]
    return found
