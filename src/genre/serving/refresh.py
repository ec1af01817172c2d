"""Refresh a run: its data with the event log, and the new run in place of the old one.

Knows nothing about how a run is made.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from genre import storage
from genre.arrays import Int32
from genre.config.reading import FULL_CONFIG, read_config
from genre.config.serving_options import Gate
from genre.data.dataset import Dataset, PartRules
from genre.data.event_kinds import EventKinds
from genre.data.ids import Ids
from genre.data.parquet import read_dataset
from genre.display import counted
from genre.errors import ArtifactError, OptionError, UnknownId
from genre.log import SILENT, Log
from genre.run_folder import manifest_of, read_run
from genre.serving.deleted_users import from_before_deletion
from genre.serving.events.deletion import DeletedUsers, Deletion
from genre.serving.events.log_table import EventStore
from genre.serving.events.store import CHANGES, Event, ItemChange, settle_times
from genre.serving.gate import check_gate
from genre.serving.new_items import fields_table
from genre.serving.pushed_items import Drift, check_drift
from genre.serving.refresh_record import RefreshNotes, RefreshRecord, write_record
from genre.serving.weighed_events import FOREVER, is_newer, ratings_for, take_back_of_users, weigh_events
from genre.workspace import locked


def with_log(dataset: Dataset, store: EventStore, kinds: EventKinds | None = None) -> Dataset:
    """Return data with the event log: without deleted users, with new and changed items, new users and events.

    An event counts once, however often the log was added: it is left out where the data has the same user and item at
    that time or later. One of negative weight takes earlier interactions with its item back.

    Args:
        dataset: The data.
        store: The event log.
        kinds: The table of kinds of events; None: the built-in one.

    Returns:
        The new data, without features; they have to be made anew.
    """
    deleted, changes, events = _by_kind(store)
    kept = _without(dataset, deleted)
    fresh = _not_yet_in(kept, events)
    user_ids = _with_new_ids(kept.user_ids, [event.user_id for event in fresh])
    item_ids = _with_new_ids(kept.item_ids, [*changes, *(event.item_id for event in fresh)])
    user = np.concatenate([kept.user, user_ids.rows([event.user_id for event in fresh])])
    item = np.concatenate([kept.item, item_ids.rows([event.item_id for event in fresh])])
    times = None if kept.timestamp is None else np.concatenate([kept.timestamp, [e.timestamp for e in fresh]])
    new_weight, new_rating = weigh_events(fresh, kinds or EventKinds(), kept)
    before = np.concatenate([kept.weight, new_weight])
    weight = take_back_of_users(user, item, np.zeros(len(user), np.int64) if times is None else times, before)
    rating = None if kept.rating is None else np.concatenate([kept.rating, new_rating])
    context, contexts = _with_contexts(kept, fresh)
    if rating is not None:
        rating = np.where((before > 0) & (weight <= 0), ratings_for(kept, weight), rating)
    return Dataset.from_arrays(
        user=user,
        item=item,
        user_ids=user_ids,
        item_ids=item_ids,
        weight=weight,
        rating=rating,
        timestamp=times,
        part=None if kept.part is None else np.concatenate([kept.part, np.zeros(len(fresh), np.int8)]),
        context=context,
        contexts=contexts,
        users=fields_table(kept.users, "user_id", user_ids, {}),
        items=fields_table(kept.items, "item_id", item_ids, changes),
        rating_scale=kept.rating_scale,
        positive_rating=kept.positive_rating,
        name=kept.name,
        part_rules=_rules_with(kept.part_rules, given=rating is None and bool((weight != 1).any())),
    )


def _with_contexts(dataset: Dataset, events: Sequence[Event]) -> tuple[Int32 | None, pa.Table | None]:
    """Return the circumstances of interactions and events, and the table of those that occur.

    Of an event count those that the data has columns of; without any, it has none.
    """
    if dataset.context is None or dataset.contexts is None:
        return None, None
    names, known = dataset.context_names, dataset.contexts
    said = [tuple(dict(event.context).get(name, "") for name in names) for event in events]
    rows = {tuple(row.values()): at for at, row in enumerate(known.to_pylist())}
    added = [texts for texts in dict.fromkeys(said) if any(texts) and texts not in rows]
    rows |= {texts: known.num_rows + at for at, texts in enumerate(added)}
    if added:
        more = {name: [texts[at] for texts in added] for at, name in enumerate(names)}
        known = pa.concat_tables([known, pa.table(more, schema=known.schema)]).combine_chunks()
    new = [rows[texts] if any(texts) else -1 for texts in said]
    return np.concatenate([dataset.context, np.array(new, np.int32)]), known


def _rules_with(rules: PartRules | None, *, given: bool) -> PartRules | None:
    """Note that the data states weights, where events brought some that do not follow from ratings."""
    return dataclasses.replace(rules, weights_given=True) if rules is not None and given else rules


def _by_kind(store: EventStore) -> tuple[DeletedUsers, dict[str, dict[str, Any]], list[Event]]:
    """Return the log by kind: deleted users, fields of changed items, events."""
    deleted = DeletedUsers(store.key)
    changes: dict[str, dict[str, Any]] = {}
    events: list[Event] = []
    for entry in store.entries(kinds=CHANGES):
        if isinstance(entry, Deletion):
            deleted.add(entry)
        elif isinstance(entry, ItemChange):
            changes[entry.item_id] = {**changes.get(entry.item_id, {}), **entry.fields}
        elif isinstance(entry, Event):
            events.append(entry)
    return deleted, changes, _settled(events)


def _settled(events: Sequence[Event]) -> list[Event]:
    """Return events of many users, in the same order, with times that agree with their order of arrival."""
    places: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault(event.user_id, []).append(place)
    settled, now = list(events), int(time.time())
    for of_user in places.values():
        for place, event in zip(of_user, settle_times([events[place] for place in of_user], now), strict=True):
            settled[place] = event
    return settled


def _without(dataset: Dataset, deleted: DeletedUsers) -> Dataset:
    """Remove what is from before the deletion of a user: rows, fields, the id."""
    kept_users = ~from_before_deletion(dataset, deleted)
    if kept_users.all():
        return dataset
    kept = dataset.where(kept_users[dataset.user])
    return dataclasses.replace(
        kept,
        user=(np.cumsum(kept_users, dtype=np.int32) - 1)[kept.user],
        user_ids=Ids(kept.user_ids.values.filter(pa.array(kept_users))),
        users=kept.users.filter(pa.array(kept_users)),
        user_features=None,
    )


def _not_yet_in(dataset: Dataset, events: Sequence[Event]) -> list[Event]:
    """Return the events that are newer than what the data has of their user and item."""
    users = dataset.user_ids.rows([event.user_id for event in events])
    items = dataset.item_ids.rows([event.item_id for event in events])
    of_users = np.isin(dataset.user, np.unique(users[users >= 0]))
    times = np.full(len(dataset), FOREVER) if dataset.timestamp is None else dataset.timestamp
    newest: dict[tuple[int, int], int] = {}
    liked = set[tuple[int, int]]()  # nothing is left to take back of other pairs
    known = (column[of_users].tolist() for column in (dataset.user, dataset.item, times, dataset.weight))
    for user, item, timestamp, weight in zip(*known, strict=True):
        newest[user, item] = max(timestamp, newest.get((user, item), -1))
        if weight > 0:
            liked.add((user, item))
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    return [
        e
        for e, pair in zip(events, pairs, strict=True)
        if is_newer(e, newest.get(pair, -1)) and (newest.get(pair) != FOREVER or pair in liked)
    ]


def _with_new_ids(ids: Ids, seen: Sequence[str]) -> Ids:
    new = [outside for outside in dict.fromkeys(seen) if outside not in ids]
    return ids.append(new) if new else ids


# --- putting a run in place ---------------------------------------------------------------------------


class MakeRun(Protocol):
    """A function that makes a run again on other data."""

    def __call__(self, folder: Path, dataset: Dataset, place: Path, *, news: str, log: Log) -> None:
        """Make a run.

        Args:
            folder: The old run.
            dataset: The new data.
            place: Folder of the new run.
            news: What is new in the data, for the report.
            log: Where progress goes.
        """


def refresh(
    folder: Path,
    store: EventStore,
    make: MakeRun,
    *,
    drift: Drift | None = None,
    accept: Collection[str] | None = (),
    gate: Gate | None = None,
    trust: bool = False,
    log: Log = SILENT,
) -> bool:
    """Make a run again on its data with the event log; the new run takes the old one's place in one step.

    A server that serves the folder loads the new run by itself. Where anything is raised, the old run stays.

    Args:
        folder: The run.
        store: The event log.
        make: Makes the new run.
        drift: How far a few users may push an item; None: the defaults.
        accept: Ids of items that may rise further; None: all.
        gate: How much worse the new run may be on the newest interactions; None: any.
        trust: Run code of the folder, as in `read_run`.
        log: Where progress goes.

    Returns:
        False where the log has nothing new.

    Raises:
        DriftError: If another item rises too far; the new run is kept, and a call that accepts the item puts it in
            place without training again.
        WorseRunError: If the new run does not pass the gate; it is kept, as above.
        UnknownId: If an accepted item is neither in the data nor in the log.
        GenreError: If another process is making this run.
    """
    with locked(folder):
        notes = RefreshNotes()
        try:
            live = _refresh(folder, store, make, drift or Drift(), accept, gate, notes, trust=trust, log=log)
        except BaseException as error:
            _note(folder, notes.record_of_error(error), log)
            raise
        _note(folder, notes.record("went live" if live else "nothing new"), log)
    return live


def _refresh(
    folder: Path,
    store: EventStore,
    make: MakeRun,
    drift: Drift,
    accept: Collection[str] | None,
    gate: Gate | None,
    notes: RefreshNotes,
    *,
    trust: bool,
    log: Log,
) -> bool:
    """Refresh a locked folder; what becomes known on the way goes into the notes."""
    storage.read_manifest(folder)
    before = read_dataset(folder / "dataset" / "tables")
    after = with_log(before, store, _event_kinds(folder, trust=trust))
    _check_items(accept or (), after)
    if after.fingerprint() == before.fingerprint():
        log.line(f"Nothing to do: the event log has nothing that {folder} does not have.")
        return False
    notes.news = _news(before, after)
    log.line(f"data: {notes.news}")
    place = folder.parent / f".{folder.name}.next"
    make(folder, after, place, news=notes.news, log=log)
    if accept is not None:
        check_drift(read_run(folder, trust=trust), read_run(place, trust=trust), drift, accept)
    if gate is not None:
        runs = read_run(folder, trust=trust, evaluated=True), read_run(place, trust=trust, evaluated=True)
        exclude_seen = read_config(place / FULL_CONFIG, trust=trust).experiment.evaluation.exclude_seen
        notes.gate = check_gate(*runs, gate, exclude_seen=exclude_seen)
        log.line(f"gate: {notes.gate}")
    put_in_place(place, folder)
    if from_before_deletion(before, store.deleted_users()).any():
        kept = previous_folder(folder)
        log.line(f"deleted users are still in the run before, kept for --roll-back; to erase them remove {kept}")
    return True


def _note(folder: Path, record: RefreshRecord, log: Log) -> None:
    """Write what became of a refresh; it does not change where that fails."""
    try:
        write_record(folder, record)
    except OSError as error:
        log.line(f"what became of this refresh could not be written beside {folder}: {error}")


def _event_kinds(folder: Path, *, trust: bool) -> EventKinds:
    """Read the table of kinds of a run."""
    return read_config(folder / FULL_CONFIG, trust=trust).experiment.events


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
    new = "new from the event log: " + (", ".join(counted(n, what) for n, what in counts if n) or "fields of items")
    return new + (f"; left out: {counted(len(gone), 'deleted user')}" if gone else "")


def put_in_place(made: Path, folder: Path) -> None:
    """Put a run in place of another, in one step; `roll_back` undoes it.

    Args:
        made: Folder of the new run.
        folder: Folder of the old run, from now on of the new one.
    """
    storage.read_manifest(made)
    previous = previous_folder(folder)
    shutil.rmtree(previous, ignore_errors=True)
    storage.exchange(made, folder)
    made.rename(previous)


def promote(run: Path, over: Path) -> None:
    """Put a copy of a run in the place of another, in one step; `roll_back` undoes it.

    Args:
        run: Folder of the run, which stays as it is.
        over: Folder of the other run.

    Raises:
        ArtifactError: If one of them is no whole run.
        OptionError: If both are the same.
    """
    if run == over:
        raise OptionError(f"{run}: a run cannot take its own place; name the run that it is to replace")
    manifest_of(over)
    with locked(over):
        manifest_of(run)
        place = over.parent / f".{over.name}.next"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(run, place)
        put_in_place(place, over)


def roll_back(folder: Path) -> None:
    """Bring back the run that the last `put_in_place` replaced; doing it twice changes nothing.

    Args:
        folder: Folder of the run.

    Raises:
        ArtifactError: If no run was replaced.
    """
    with locked(folder):
        previous = previous_folder(folder)
        if not previous.is_dir():
            raise ArtifactError(f"{folder}: nothing to go back to; it was not refreshed")
        storage.read_manifest(previous)
        storage.exchange(previous, folder)
        _note(folder, RefreshNotes().record("rolled back"), SILENT)


def previous_folder(folder: Path) -> Path:
    """Return where `put_in_place` keeps the run that it replaced.

    Args:
        folder: Folder of the run.

    Returns:
        A hidden folder beside it.
    """
    return folder.parent / f".{folder.name}.previous"
