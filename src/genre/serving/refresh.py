"""From the log back into the data, and a new run into the place of the old one. Knows not how a run is made."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from genre import storage
from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.data.parquet import read_dataset
from genre.errors import ArtifactError, UnknownId
from genre.log import SILENT, Log
from genre.runs import read_run
from genre.serving.drift import Drift, check_drift
from genre.serving.events.store import Deletion, Event, EventStore, ItemChange, user_digest
from genre.serving.loaded_run import ratings_for
from genre.serving.new_items import fields_table
from genre.workspace import locked


def with_log(dataset: Dataset, store: EventStore) -> Dataset:
    """The data with everything the log says: deleted users gone, new and changed items, new users, every event.

    An event counts once, however often the data was made from the log: what the data has of a user and an item at
    that time or later is not added again. Features are left out; they have to be made anew.
    """
    deleted, changes, events = _sorted_log(store)
    kept = _without(dataset, deleted)
    fresh = _not_yet_in(kept, events)
    user_ids = _grown(kept.user_ids, [event.user_id for event in fresh])
    item_ids = _grown(kept.item_ids, [*changes, *(event.item_id for event in fresh)])
    weight = np.array([event.weight for event in fresh], np.float32)
    times = np.array([event.timestamp for event in fresh], np.int64)
    return Dataset.from_arrays(
        user=np.concatenate([kept.user, user_ids.rows([event.user_id for event in fresh])]),
        item=np.concatenate([kept.item, item_ids.rows([event.item_id for event in fresh])]),
        user_ids=user_ids,
        item_ids=item_ids,
        weight=np.concatenate([kept.weight, weight]),
        rating=None if kept.rating is None else np.concatenate([kept.rating, ratings_for(kept, weight)]),
        timestamp=None if kept.timestamp is None else np.concatenate([kept.timestamp, times]),
        part=None if kept.part is None else np.concatenate([kept.part, np.zeros(len(fresh), np.int8)]),
        users=fields_table(kept.users, "user_id", user_ids, {}),
        items=fields_table(kept.items, "item_id", item_ids, changes),
        rating_scale=kept.rating_scale,
        positive_rating=kept.positive_rating,
        name=kept.name,
    )


def _sorted_log(store: EventStore) -> tuple[set[str], dict[str, dict[str, Any]], list[Event]]:
    deleted: set[str] = set()
    changes: dict[str, dict[str, Any]] = {}
    events: list[Event] = []
    for entry in store.entries():
        if isinstance(entry, Deletion):
            deleted.add(entry.digest)
        elif isinstance(entry, ItemChange):
            changes[entry.item_id] = {**changes.get(entry.item_id, {}), **entry.fields}
        else:
            events.append(entry)
    return deleted, changes, events


def _without(dataset: Dataset, deleted: set[str]) -> Dataset:
    """The data without deleted users: their rows, their fields, their ids."""
    if not deleted:
        return dataset
    stays = np.array([user_digest(u) not in deleted for u in dataset.user_ids.values.to_pylist()], bool)
    kept = dataset.where(stays[dataset.user])
    return dataclasses.replace(
        kept,
        user=(np.cumsum(stays, dtype=np.int32) - 1)[kept.user],
        user_ids=Ids(kept.user_ids.values.filter(pa.array(stays))),
        users=kept.users.filter(pa.array(stays)),
        user_features=None,
    )


def _not_yet_in(dataset: Dataset, events: Sequence[Event]) -> list[Event]:
    """Events of which the data has nothing from that time or later."""
    users = dataset.user_ids.rows([event.user_id for event in events])
    items = dataset.item_ids.rows([event.item_id for event in events])
    asked = np.isin(dataset.user, np.unique(users[users >= 0]))
    times = np.full(len(dataset), np.iinfo(np.int64).max) if dataset.timestamp is None else dataset.timestamp
    newest: dict[tuple[int, int], int] = {}
    known = (column[asked].tolist() for column in (dataset.user, dataset.item, times))
    for user, item, time in zip(*known, strict=True):
        newest[user, item] = max(time, newest.get((user, item), -1))
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    return [e for e, pair in zip(events, pairs, strict=True) if e.timestamp > newest.get(pair, -1)]


def _grown(ids: Ids, seen: Sequence[str]) -> Ids:
    new = [outside for outside in dict.fromkeys(seen) if outside not in ids]
    return ids.append(new) if new else ids


# --- putting a run in place ---------------------------------------------------------------------------


class Make(Protocol):
    """Makes the run in `folder` again on `dataset`, as a whole run in `place`."""

    def __call__(self, folder: Path, dataset: Dataset, place: Path, *, news: str, log: Log) -> None: ...


def refresh(
    folder: Path,
    store: EventStore,
    make: Make,
    *,
    drift: Drift | None = None,
    accept: Collection[str] | None = (),
    log: Log = SILENT,
) -> bool:
    """Learn again from the run's data with everything the log says; the new run takes the old one's place in one step.

    A server that serves the folder takes it over by itself. False when the log says nothing new.

    drift: how far a few users may push an item. accept: ids of items that may rise all the same, None: all. Raises
    DriftError when another rises: the new run waits, and a call that accepts the item puts it in place without learning
    again. Raises UnknownId for an accepted item that is nowhere, GenreError when somebody else is making this run;
    whatever is raised, the old run stands.
    """
    with locked(folder):
        storage.read_manifest(folder)
        before = read_dataset(folder / "dataset" / "tables")
        after = with_log(before, store)
        _check_items(accept or (), after)
        if after.fingerprint() == before.fingerprint():
            log.line(f"Nothing to do: the event log says nothing that {folder} does not know.")
            return False
        news = _news(before, after)
        log.line(f"data: {news}")
        place = folder.parent / f".{folder.name}.next"
        make(folder, after, place, news=news, log=log)
        if accept is not None:
            check_drift(read_run(folder), read_run(place), drift or Drift(), accept)
        put_in_place(place, folder)
    return True


def _check_items(accept: Collection[str], dataset: Dataset) -> None:
    try:
        for item_id in accept:
            dataset.item_ids.row(item_id)
    except UnknownId as error:
        raise UnknownId(f"items to accept: {error}; neither the run nor its event log has it") from None


def _news(before: Dataset, after: Dataset) -> str:
    known = set(before.user_ids.values.to_pylist())
    gone = known.difference(after.user_ids.values.to_pylist())
    lost = int(np.isin(before.user, before.user_ids.rows(list(gone))).sum())
    users, items = after.n_users - before.n_users + len(gone), after.n_items - before.n_items
    counts = [(len(after) - len(before) + lost, "interaction"), (users, "user"), (items, "item")]
    told = "new from the event log: " + (", ".join(_count(n, what) for n, what in counts if n) or "fields of items")
    return told + (f"; left out: {_count(len(gone), 'deleted user')}" if gone else "")


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def put_in_place(made: Path, folder: Path) -> None:
    """`made` becomes `folder`, in one step; what was there can be brought back by `roll_back`."""
    storage.read_manifest(made)
    previous = _previous(folder)
    shutil.rmtree(previous, ignore_errors=True)
    storage.exchange(made, folder)
    made.rename(previous)


def roll_back(folder: Path) -> None:
    """The run that stood in `folder` before the last `put_in_place`; twice is back again."""
    with locked(folder):
        previous = _previous(folder)
        if not previous.is_dir():
            raise ArtifactError(f"{folder}: nothing to go back to; it was not refreshed")
        storage.read_manifest(previous)
        storage.exchange(previous, folder)


def _previous(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.previous"
