"""Which users of a run's data were deleted since it was recorded. Knows no service and no HTTP."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import numpy.typing as npt

from genre.data.dataset import Dataset
from genre.runs import Run
from genre.serving.events.deletion import DeletedUsers
from genre.serving.events.opening import default_store_path, open_store


def from_before_deletion(dataset: Dataset, deleted: DeletedUsers) -> npt.NDArray[np.bool_]:
    """Find deleted users of whom data has anything from before the deletion; later events are a new history.

    Args:
        dataset: The data.
        deleted: The deleted users.

    Returns:
        Whether it has, by user; without times in the data or in the log, anything of the user counts. `[n_users]`
    """
    deleted_at = np.full(dataset.n_users, -1, np.int64)
    if deleted.n_deletions:
        moments = map(deleted.deleted_at, dataset.user_ids.values.to_pylist())
        deleted_at[:] = [-1 if moment is None else moment for moment in moments]
    first = np.zeros(dataset.n_users, np.int64)
    if dataset.timestamp is not None:
        own = deleted_at[dataset.user] >= 0  # few of the interactions, and the next two lines are slow
        first[dataset.user[own]] = np.iinfo(np.int64).max
        np.minimum.at(first, dataset.user[own], dataset.timestamp[own])
    found: npt.NDArray[np.bool_] = (deleted_at == 0) | (first <= deleted_at)
    return found


def users_to_hide(run: Run, store: str | None) -> npt.NDArray[np.bool_] | None:
    """Look up in an event log which users of a run were deleted.

    Args:
        run: The run.
        store: Path or address of the log; None: the SQLite file beside the run, where there is one.

    Returns:
        Whether the user was deleted, by user, or None without a log. `[n_users]`

    Raises:
        StoreError: If the log that `store` names does not exist or cannot be opened.
    """
    default = default_store_path(run.folder)
    if store is None and not default.is_file():
        return None
    with closing(open_store(store or default, must_exist=True)) as log:
        return from_before_deletion(run.dataset, log.deleted_users())
