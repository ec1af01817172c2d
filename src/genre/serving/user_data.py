"""Everything that is kept of one user: the events in the log and the data of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from genre.data.dataset import Dataset
from genre.data.parquet import read_dataset
from genre.serving.events.log_reader import LogReader


def data_of_user(store: LogReader, user_id: str, run: Path | None = None) -> dict[str, Any]:
    """Collect what is kept of a user.

    Args:
        store: The event log.
        user_id: The user.
        run: Folder of a run; None: the log alone.

    Returns:
        JSON values: `user_id`; `deleted_at` in seconds since 1970, null for a user who was not deleted; `events` (shows
        among them) and `lists` in order of arrival; and of the run `fields` and `interactions`, which answers do not
        show of a deleted user.
    """
    deleted_at = store.deleted_users().deleted_at(user_id)
    events = [dataclasses.asdict(event) | {"context": dict(event.context)} for event in store.events_of(user_id)]
    lists = [dataclasses.asdict(served) for served in store.lists_of(user_id)]
    found: dict[str, Any] = {"user_id": user_id, "deleted_at": deleted_at, "events": events, "lists": lists}
    if run is not None:
        found |= _in_run(read_dataset(run / "dataset" / "tables"), user_id)
    return found


def _in_run(dataset: Dataset, user_id: str) -> dict[str, Any]:
    if user_id not in dataset.user_ids:
        return {"fields": {}, "interactions": []}
    row = dataset.user_ids.row(user_id)
    own = dataset.where(dataset.user == row)
    columns: dict[str, list[Any]] = {"item_id": list(own.item_ids.take(own.item)), "weight": own.weight.tolist()}
    for name, column in (("rating", own.rating), ("timestamp", own.timestamp)):
        if column is not None:
            columns[name] = column.tolist()
    if own.context is not None:
        columns |= {name: own.context_texts(name)[own.context].tolist() for name in own.context_names}
    known = ([None if value != value else value for value in column] for column in columns.values())  # JSON has no NaN
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*known, strict=True)]
    return {"fields": dataset.users.slice(row, 1).to_pylist()[0], "interactions": rows}
