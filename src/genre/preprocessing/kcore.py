"""The k-core of a user-item graph: what is left when everybody has enough. Knows arrays only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.preprocessing.order import counts

Int32 = npt.NDArray[np.int32]


def k_core(user: Int32, item: Int32, n_users: int, n_items: int, min_user: int, min_item: int) -> npt.NDArray[np.bool_]:
    """Which interactions stay when users below `min_user` and items below `min_item` go, again and again. [n]

    The result is unique: the largest set in which every user and every item has enough.
    """
    kept = np.ones(len(user), np.bool_)
    of_user, of_item = counts(user, n_users), counts(item, n_items)
    while True:
        poor_user, poor_item = (of_user < min_user) & (of_user > 0), (of_item < min_item) & (of_item > 0)
        if not (poor_user.any() or poor_item.any()):
            return kept
        leaving = np.flatnonzero((poor_user[user] | poor_item[item]) & kept)
        kept[leaving] = False
        of_user -= counts(user[leaving], n_users)
        of_item -= counts(item[leaving], n_items)
