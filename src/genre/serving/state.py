"""What the service knows at this moment: the loaded runs, what the event log added to them, and recent events of users.

Knows how to look things up and how an entry of the log changes them; nothing about lists.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from cachetools import LRUCache

from genre.config.serving_options import OnlineExperiment
from genre.errors import ConflictError, DataError, GenreError, UnknownId
from genre.options import nearest
from genre.runs import Run
from genre.serving.assignment import assigned
from genre.serving.breaker import CircuitBreaker, NoAnswer
from genre.serving.dialogues import Dialogues
from genre.serving.events.deletion import DeletedUsers, Deletion
from genre.serving.events.experiment_changes import ExperimentChange
from genre.serving.events.log_table import EventStore
from genre.serving.events.store import Entry, Event, ItemChange
from genre.serving.events.trending import REACH_SECONDS, RecentPairs, Trending
from genre.serving.experiment_log import experiments_of
from genre.serving.fallback import Fallback
from genre.serving.limits import Limits
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.new_items import n_chars

EventsByUser = Mapping[str, tuple[Event, ...]]

KEPT_BYTES = 40_000_000  # some 100,000 events with short ids
EVENT_BYTES = 300  # of an event, or of a user without any, beside the text of its ids


class State:
    """The loaded runs, recent events, new items, deleted users and dialogues.

    Loaded runs are replaced as a whole: a request keeps the one it began with until it is answered.

    Attributes:
        fallback: The steps that make lists, with their circuit breakers.
        recent_events: The cache of recent events.
        trending: Recent popularity.
        deleted_users: The deleted users.
        dialogues: The dialogues of the last hour.
        position: Number of the newest entry of the log that is known here.
        loaded_runs: By name.
        shares: Share of the users by name of the run.
        experiments: Experiments of the log, of which one decides at a time in place of `shares`.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        store: EventStore,
        *,
        shares: Mapping[str, float] | None,
        limits: Limits,
    ) -> None:
        """Load runs and what the event log says about items and deleted users.

        Args:
            runs: The runs.
            store: The event store.
            shares: Share of the users by name of the run, or None for equal shares.
            limits: Time limits.

        Raises:
            GenreError: If there is no run, two have one name, or a share is not legal.
        """
        self._store = store
        self.trending = Trending()
        self.fallback = Fallback(limits, self.trending)
        self.recent_events = RecentEvents(store, self.fallback.breaker("store", limits.store_seconds))
        self._changes: dict[str, dict[str, Any]] = {}
        self._changes_chars = 0
        self._changed_fields: set[str] = set()
        self.deleted_users = DeletedUsers(store.key)
        self.dialogues = Dialogues()
        self._replacing = threading.Lock()
        self._pairs = RecentPairs()
        self.position = store.last()
        self._experiment_changes: list[ExperimentChange] = []
        self.experiments: tuple[OnlineExperiment, ...] = ()
        for entry in store.entries(kinds=("item", "deletion", "experiment")):
            self.apply(entry)
        self.recount()
        self.loaded_runs = {name: LoadedRun(name, run, self._changes) for name, run in _by_name(runs).items()}
        self.shares = _checked_shares(shares, list(self.loaded_runs))

    # --- look-ups ---------------------------------------------------------------------------------

    def loaded_run(self, run: str | None, user_id: str | None = None) -> LoadedRun:
        """Return a loaded run.

        Args:
            run: Its name; None: the run that the user is assigned to, or the first run without a user.
            user_id: The user.

        Returns:
            The loaded run.

        Raises:
            UnknownId: If there is no run of that name.
        """
        if run is None:
            first_is_enough = user_id is None or len(self.loaded_runs) == 1
            run = next(iter(self.loaded_runs)) if first_is_enough else self._assigned_run(str(user_id))
        if run not in self.loaded_runs:
            raise UnknownId(f"no run {run!r}{nearest(run, self.loaded_runs)}; served: {', '.join(self.loaded_runs)}")
        return self.loaded_runs[run]

    def _assigned_run(self, user_id: str) -> str:
        """Assign a user to a run, by the experiment that goes on now or else by the shares."""
        now = time.time()
        experiment = next((one for one in self.experiments if one.begins <= now < one.ends), None)
        if experiment is None or not experiment.arms.keys() <= self.loaded_runs.keys():
            return assigned(user_id, self.shares)
        return assigned(user_id, experiment.arms, salt=experiment.name)

    def events_of(self, user_ids: Collection[str]) -> tuple[EventsByUser, str | None]:
        """Return recent events of users.

        Args:
            user_ids: Ids of users.

        Returns:
            Events by user, oldest first, and why there are none where the store gives no answer.
        """
        try:
            return self.recent_events.of(user_ids), None
        except NoAnswer as error:
            return {}, f"store_{error.outcome}"

    def history(
        self, loaded: LoadedRun, user_id: str | None, item_ids: Sequence[str] | None, events: EventsByUser
    ) -> SingleHistory:
        """Return the history to score.

        Args:
            loaded: The run.
            user_id: The user, or None.
            item_ids: Items in place of the user's own history, or None.
            events: Recent events by user.

        Returns:
            The history.
        """
        if item_ids is not None or user_id is None:
            return loaded.item_history(item_ids or ())
        return loaded.user_history(user_id, events.get(user_id, ()), deleted=self.is_deleted(user_id, loaded))

    def is_deleted(self, user_id: str, loaded: LoadedRun) -> bool:
        """Tell whether a user was deleted since the data of a run was recorded.

        Args:
            user_id: The user.
            loaded: The run.

        Returns:
            Whether what the run has of this user must not be used.
        """
        if not self.deleted_users.n_deletions:  # which most requests meet
            return False
        moment = self.deleted_users.deleted_at(user_id)
        return moment is not None and loaded.holds_from_before(user_id, moment)

    # --- changes ----------------------------------------------------------------------------------

    def check_size(self, change: ItemChange) -> None:
        """Check that a change of an item is not too large: all changes are kept, searched and encoded.

        Args:
            change: The change.

        Raises:
            DataError: If the fields of the item would be too long.
            ConflictError: If those of all new and changed items together would be, or were too many.
        """
        known, limits = self._changes.get(change.item_id, {}), self.fallback.limits
        size = n_chars({**known, **change.fields})
        if size > limits.item_chars:
            raise DataError(
                f"the fields of an item may have {limits.item_chars:,} characters together, its earlier changes "
                f"included, found {size:,}; leave out what is not searched or shown, or raise --limit item_chars"
            )
        if self._changes_chars + size - n_chars(known) > limits.new_items_chars:
            raise ConflictError(
                f"new and changed items may have {limits.new_items_chars:,} characters together; put them into "
                "the data of a new run with a new event log, or raise --limit new_items_chars"
            )
        for loaded in self.loaded_runs.values():
            new = (self._changed_fields | change.fields.keys()) - set(loaded.run.dataset.items.column_names)
            if len(new) > limits.new_fields and not change.fields.keys() <= self._changed_fields:
                raise ConflictError(
                    f"new and changed items may have {limits.new_fields:,} fields that run {loaded.name!r} does not "
                    "have; put fewer, or put them into the data of a new run, or raise --limit new_fields"
                )

    def apply(self, entry: Entry) -> bool:
        """Take in one entry of the event log.

        Args:
            entry: An event, a change of an item or of an experiment, or the deletion of a user.

        Returns:
            Whether the runs have to be loaded again, because an item is new or has changed.
        """
        if isinstance(entry, Deletion):
            self.deleted_users.add(entry)
        elif isinstance(entry, ExperimentChange):
            self._experiment_changes.append(entry)
            self.experiments = experiments_of(self._experiment_changes)
        elif isinstance(entry, ItemChange):
            known = self._changes.get(entry.item_id)
            changed = {**(known or {}), **entry.fields}
            self._changes[entry.item_id] = changed
            self._changed_fields |= changed.keys()
            self._changes_chars += n_chars(changed) - n_chars(known or {})
            return changed != known
        elif (
            isinstance(entry, Event)
            and entry.weight > 0
            and any(entry.item_id in loaded.catalogue.row for loaded in self.loaded_runs.values())
            and self._pairs.add(entry.user_id, entry.item_id)
        ):
            self.trending.add(entry.item_id, math.inf if entry.at_arrival else entry.timestamp)
        return False

    def recount(self) -> None:
        """Count trends anew from the log, and drop all cached events: the log has no events of deleted users."""
        self.recent_events.clear()
        now = int(time.time())
        self.trending.restart(self._store.activity(now - REACH_SECONDS, now, self.position))
        self.fallback.clear_caches()

    def load(self, name: str, run: Run) -> LoadedRun:
        """Load a run with the items that are known now, without serving it yet.

        Args:
            name: The name it will be served under.
            run: The run.

        Returns:
            The loaded run.
        """
        return LoadedRun(name, run, dict(self._changes))

    def replace(self, loaded: LoadedRun, breakers: Mapping[str, CircuitBreaker]) -> None:
        """Serve a loaded run in place of the one of its name.

        Args:
            loaded: What `load` returned.
            breakers: Its circuit breakers by name.
        """
        with self._replacing:
            if self._changes != loaded.changes:  # an item was put since it was loaded
                loaded = LoadedRun(loaded.name, loaded.run, dict(self._changes), loaded)
            self.loaded_runs = {**self.loaded_runs, loaded.name: loaded}
            self.fallback.replace_run(loaded.name, breakers)

    def reload(self) -> None:
        """Load the same runs again with all items that are known now."""
        with self._replacing:
            known = dict(self._changes)  # another item may come in meanwhile
            self.loaded_runs = {name: LoadedRun(name, old.run, known, old) for name, old in self.loaded_runs.items()}
            self.fallback.clear_caches()


def _by_name(runs: Sequence[Run]) -> dict[str, Run]:
    """Return the runs by name; by the names of their folders where two have the same."""
    own = [run.name for run in runs]
    named = dict(zip(own if len(set(own)) == len(own) else [run.folder.name for run in runs], runs, strict=True))
    if len(named) < len(runs):
        folders = ", ".join(str(run.folder) for run in runs)
        raise GenreError(
            f"{folders}: a run twice, or two folders of the same name; give each run once, or rename a folder"
        )
    return named


def _checked_shares(shares: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    """Check the shares of users, and scale them to a sum of 1."""
    if not names:
        raise GenreError("a service needs at least one run")
    given = dict.fromkeys(names, 1.0) if shares is None else dict(shares)
    strange = [name for name in given if name not in names]
    if strange:
        raise UnknownId(f"shares name the run {strange[0]!r}{nearest(strange[0], names)}; served: {', '.join(names)}")
    total = sum(given.values())
    if min(given.values()) < 0 or not total > 0:
        raise GenreError(f"shares must not be negative nor all 0, found {given}")
    return {name: given.get(name, 0.0) / total for name in names}


class RecentEvents:
    """A cache of the event store by user. A user with new events is dropped, and read again when needed."""

    def __init__(self, store: EventStore, breaker: CircuitBreaker) -> None:
        """Make an empty cache.

        Args:
            store: The event store.
            breaker: The circuit breaker of reads.
        """
        self._store, self._breaker = store, breaker
        self._cache: LRUCache[str, tuple[Event, ...]] = LRUCache(KEPT_BYTES, getsizeof=_bytes_of_events)
        self._lock = threading.Lock()
        self._n_drops = 0  # events that were read before a drop may be old

    def of(self, user_ids: Collection[str]) -> dict[str, tuple[Event, ...]]:
        """Return the newest events of users.

        Args:
            user_ids: Ids of users.

        Returns:
            Events by user, oldest first.

        Raises:
            NoAnswer: If the store does not answer in time.
        """
        with self._lock:
            found = {user_id: self._cache[user_id] for user_id in user_ids if user_id in self._cache}
            n_drops = self._n_drops
        missing = [user_id for user_id in user_ids if user_id not in found]
        if missing:
            read = self._breaker.call(lambda: self._store.histories(missing))
            with self._lock:
                if self._n_drops == n_drops:
                    self._cache.update(read)
            found.update(read)
        return found

    def drop(self, user_ids: Iterable[str]) -> None:
        """Drop users of whom something new is known.

        Args:
            user_ids: Ids of users.
        """
        with self._lock:
            self._n_drops += 1
            for user_id in user_ids:
                self._cache.pop(user_id, None)

    def clear(self) -> None:
        """Drop all users."""
        with self._lock:
            self._n_drops += 1
            self._cache.clear()


def _bytes_of_events(events: Collection[Event]) -> int:
    """Return about how much a user's events take; an id of one character may take four bytes."""
    ids = sum(len(event.user_id) + len(event.item_id) + len(event.event_id or "") for event in events)
    return EVENT_BYTES * (len(events) + 1) + 4 * ids
