"""What was shown together: items clicked and items that were not. Does not know recommenders or metrics.

An impression is the interactions of a user at one time: items that were shown and clicked (liked) and others that were
not, as in the MIND news recommendation task (Wu et al., "MIND: A large-scale dataset for news recommendation",
ACL 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genre.arrays import Float64, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, hold_out_last
from genre.data.linear_algebra import ratio
from genre.errors import DataError

NO_TIMES = (
    "impressions: items shown together are those of one time, and the data has no times; read it with "
    "data: {kind: impressions}"
)


@dataclass(frozen=True, eq=False)
class Shown:
    """What was shown together, with at least one item clicked and one that was not.

    Attributes:
        users: Rows of the users, ascending. int32 `[n_users]`
        owner: The position in `users` of the user of each impression. int64 `[n]`
        indptr: Impression `j` shows `item[indptr[j]:indptr[j + 1]]`. int64 `[n + 1]`
        item: Rows of the items. int32 `[n_shown]`
        clicked: Whether each was clicked. bool `[n_shown]`
        left_out: Impressions of which all or no items were clicked.
    """

    users: Int32
    owner: Int64
    indptr: Int64
    item: Int32
    clicked: np.ndarray[tuple[int], np.dtype[np.bool_]]
    left_out: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def mean_per_user(self, values: Float64, impressions: Int64) -> Float64:
        """Average values of impressions over each user's.

        Args:
            values: Of some impressions `[m]`.
            impressions: Their numbers `[m]`.

        Returns:
            float64 `[n_users]`, NaN for a user without a value.
        """
        owner = self.owner[impressions]
        n = np.bincount(owner, minlength=len(self.users))
        return ratio(np.bincount(owner, values, minlength=len(self.users)), n)


def collect_shown(fold: Fold) -> Shown:
    """Collect the impressions of a fold's target.

    Args:
        fold: Histories and what was shown later.

    Returns:
        The impressions that can be ranked.

    Raises:
        DataError: There is none.
    """
    target = fold.target
    if target.timestamp is None:
        raise DataError(NO_TIMES)
    starts = np.ones(len(target), np.bool_)
    starts[1:] = (np.diff(target.user) != 0) | (np.diff(target.timestamp) != 0)
    group = np.cumsum(starts) - 1
    clicked = target.liked()
    size, clicks = np.bincount(group), np.bincount(group, clicked)
    mixed = (clicks > 0) & (clicks < size)
    if not mixed.any():
        raise DataError(
            f"impressions: of {len(size):,} impressions none shows both an item that was clicked and one that was "
            "not; read the data with data: {kind: impressions}, and keep all of it with cleaning: {repeats: all}"
        )
    kept = mixed[group]
    users, owner = np.unique(target.user[starts][mixed], return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(size[mixed])]).astype(np.int64)
    return Shown(users, owner.astype(np.int64), indptr, target.item[kept], clicked[kept], int((~mixed).sum()))


def hold_out_last_shown(dataset: Dataset, *, remedy: str) -> Fold:
    """Hold out the impression of the last liked interaction of each history with at least two.

    Args:
        dataset: A training part.
        remedy: What to do where no history has two, for the message.

    Returns:
        What is left, and those impressions, whole.

    Raises:
        DataError: No history has two liked interactions.
    """
    last = hold_out_last(dataset, remedy=remedy).target
    if dataset.timestamp is None or last.timestamp is None:
        raise DataError(NO_TIMES)
    time = np.full(dataset.n_users, np.iinfo(np.int64).min)
    time[last.user] = last.timestamp
    held = dataset.timestamp == time[dataset.user]
    return Fold(dataset.where(~held), dataset.where(held))
