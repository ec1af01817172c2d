"""What the service knows at this moment: runs on their loaded_runs, what the log added to them, who is to be forgotten.

Knows how to change, not how to answer.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from genre.arrays import Float32
from genre.errors import GenreError, UnknownId
from genre.options import nearest
from genre.runs import Run
from genre.serving.breaker import CircuitBreaker, Skipped
from genre.serving.events.recent import RecentEvents
from genre.serving.events.store import Deletion, Entry, Event, EventStore, ItemChange, user_digest
from genre.serving.events.trending import REACH, RecentPairs, Trending
from genre.serving.fallback import Fallback
from genre.serving.limits import Limits
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.warmup import can_answer, warm_up

Recent = Mapping[str, tuple[Event, ...]]
FRESH = 1.0  # seconds for which the trend is not added up again


class State:
    """Shelves by run name, replaced as a whole: who has taken one keeps it until the answer is made.

    runs, store, shares, limits: as in `Service`.
    """

    def __init__(
        self, runs: Sequence[Run], store: EventStore, *, shares: Mapping[str, float] | None, limits: Limits
    ) -> None:
        self.store = store
        self.fallback = Fallback(limits)
        self._recent_events = RecentEvents(store, self.fallback.breaker("store", limits.store_seconds))
        self._changes: dict[str, dict[str, Any]] = {}
        self._deleted_users: set[str] = set()
        self._changing, self._swapping = threading.Lock(), threading.Lock()
        self._recent_pairs = RecentPairs()
        self._position = store.last()
        for entry in store.entries(kinds=("item", "deletion")):
            self.apply(entry)
        self.trending, self._recount = self._counted(), False
        self.loaded_runs = {name: LoadedRun(name, run, self._changes) for name, run in _named(runs).items()}
        self._popularity: WeakKeyDictionary[LoadedRun, tuple[float, Float32]] = WeakKeyDictionary()
        self.shares = _checked_shares(shares, list(self.loaded_runs))

    # --- what is known ----------------------------------------------------------------------------

    def loaded_run(self, run: str | None, user_id: str | None = None) -> LoadedRun:
        """The run of this name; without a name the user's, or the first."""
        if run is None:
            run = (
                next(iter(self.loaded_runs)) if user_id is None or len(self.loaded_runs) == 1 else self.assign(user_id)
            )
        if run not in self.loaded_runs:
            raise UnknownId(f"no run {run!r}{nearest(run, self.loaded_runs)}; served: {', '.join(self.loaded_runs)}")
        return self.loaded_runs[run]

    def assign(self, user_id: str) -> str:
        """The run that answers a user: a stable draw by the id."""
        draw = int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8).digest(), "big") / 2**64
        bounds = itertools.accumulate(self.shares.values())
        return next((name for name, bound in zip(self.shares, bounds, strict=True) if draw < bound), [*self.shares][-1])

    def recent(self, user_ids: Collection[str]) -> tuple[Recent, str | None]:
        """Events of users since the runs were made, and why there are none when the store does not answer."""
        try:
            return self._recent_events.of(user_ids), None
        except Skipped as skipped:
            return {}, f"store_{skipped.outcome}"

    def history(
        self, loaded: LoadedRun, user_id: str | None, history: Sequence[str] | None, recent: Recent
    ) -> SingleHistory:
        """The history to score: the one that was given, or what is known of the user."""
        if history is not None or user_id is None:
            return loaded.item_history(history or ())
        return loaded.user_history(user_id, recent.get(user_id, ()), forgotten=self.is_deleted(user_id))

    def is_deleted(self, user_id: str) -> bool:
        return bool(self._deleted_users) and user_digest(user_id) in self._deleted_users

    def popularity(self, loaded: LoadedRun) -> Float32:
        """Interactions of the data and of late, by item. [n_items]"""
        made, counts = self._popularity.get(loaded, (0.0, loaded.popularity))
        if time.monotonic() - made > FRESH:
            counts = loaded.popularity + self.trending.of(loaded.catalogue.row)
            self._popularity[loaded] = time.monotonic(), counts
        return counts

    # --- what happens -----------------------------------------------------------------------------

    def record(self, events: Sequence[Event]) -> list[bool]:
        now = int(time.time())
        timed = [e if e.timestamp else Event(e.user_id, e.item_id, e.weight, now, e.event_id) for e in events]
        counted = self.store.record(timed)
        self._recent_events.forget({event.user_id for event in events})
        return counted

    def put_item(self, change: ItemChange) -> None:
        self.store.put_items([change])
        if self.apply(change):
            self.rebuild()

    def delete_user(self, user_id: str) -> int:
        erased = self.store.delete_user(user_id)
        self.apply(Deletion(user_digest(user_id)))
        self._recent_events.forget([user_id])
        return erased

    def sync(self) -> int:
        """Take over what came into the log since the last call, from any process; the number of entries."""
        taken, changed = 0, False
        while page := self.store.read(self._position):
            for _, entry in page:
                changed |= self.apply(entry)
                self._recount |= isinstance(entry, Deletion)
            self._recent_events.forget({entry.user_id for _, entry in page if isinstance(entry, Event)})
            self._position = page[-1][0]
            taken += len(page)
        if self._recount:  # whose events to forget, the log no longer says
            self._recent_events.clear()
            self.trending, self._recount = self._counted(), False
            self._popularity.clear()
        if changed:
            self.rebuild()
        return taken

    def apply(self, entry: Entry) -> bool:
        """Remember one entry of the log; whether the loaded_runs have to be made again."""
        if isinstance(entry, Deletion):
            self._deleted_users.add(entry.digest)
        elif isinstance(entry, ItemChange):
            known = self._changes.get(entry.item_id)
            self._changes[entry.item_id] = {**(known or {}), **entry.fields}
            return self._changes[entry.item_id] != known
        elif (
            entry.weight > 0
            and any(entry.item_id in loaded.catalogue.row for loaded in self.loaded_runs.values())
            and self._recent_pairs.first(entry.user_id, entry.item_id)
        ):
            self.trending.add(entry.item_id, entry.timestamp)
        return False

    def _counted(self) -> Trending:
        """The trend by the log as it stands, up to the entry that was taken last."""
        trend = Trending()
        for item_id, timestamp, users in self.store.activity(int(time.time()) - REACH, self._position):
            trend.add(item_id, timestamp, users)
        return trend

    # --- runs -------------------------------------------------------------------------------------

    def warm_up(self) -> dict[str, str]:
        """ListRequest whatever has not answered yet; by breaker, why it still does not."""
        loaded_runs = list(self.loaded_runs.values())
        troubles = {breaker: why for loaded in loaded_runs for breaker, why in warm_up(self.fallback, loaded).items()}
        if any(loaded.waits and not self.fallback.words_breaker(loaded).open for loaded in loaded_runs):
            self.rebuild()
        return troubles

    def can_answer(self) -> bool:
        """Whether every run has more to say than what everybody takes."""
        return all(can_answer(self.fallback, loaded) for loaded in self.loaded_runs.values())

    def swap(self, run: Run, name: str) -> None:
        """Serve `run` under the name of another once all that answers in that one has answered in this one, too.

        GenreError leaves the other.
        """
        with self._swapping:
            self.loaded_run(name)  # UnknownId where there is none of that name
            known = dict(self._changes)
            loaded, tried = LoadedRun(name, run, known), Fallback(self.fallback.limits)
            troubles, before = warm_up(tried, loaded), self.fallback.missing()
            lost = [f"{breaker} ({why})" for breaker, why in troubles.items() if breaker not in before]
            if lost:
                raise GenreError(f"run {name!r} does not answer: {', '.join(lost)}")
            with self._changing:
                if self._changes != known:  # an item was put during the trial
                    loaded = LoadedRun(name, run, dict(self._changes), loaded)
                self._put(loaded, tried.breakers)

    def rebuild(self) -> None:
        """Make the loaded_runs again with all items that are known now."""
        with self._changing:
            known = dict(self._changes)  # another item may come in meanwhile
            self.loaded_runs = {name: LoadedRun(name, old.run, known, old) for name, old in self.loaded_runs.items()}
            self.fallback.forget_matches()

    def _put(self, loaded: LoadedRun, breakers: Mapping[str, CircuitBreaker]) -> None:
        self.loaded_runs = {**self.loaded_runs, loaded.name: loaded}
        self.fallback.replace_run(loaded.name, breakers)


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by name; by the names of their folders where two have the same."""
    own = [run.name for run in runs]
    named = dict(zip(own if len(set(own)) == len(own) else [run.folder.name for run in runs], runs, strict=True))
    if len(named) < len(runs):
        folders = ", ".join(str(run.folder) for run in runs)
        raise GenreError(
            f"{folders}: a run twice, or two folders of the same name; give each run once, or rename a folder"
        )
    return named


def _checked_shares(shares: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
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
