"""What the service knows at this moment: runs on their shelves, what the log added to them, who is to be forgotten.

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
from genre.serving.breaker import Skipped, Stage
from genre.serving.events.recent import Memory
from genre.serving.events.store import Deletion, Entry, Event, EventStore, ItemChange, user_digest
from genre.serving.events.trending import REACH, Taken, Trend
from genre.serving.fallback import Ladder
from genre.serving.limits import Limits
from genre.serving.loaded_run import Past, Shelf
from genre.serving.warmup import answers, try_out

Recent = Mapping[str, tuple[Event, ...]]
FRESH = 1.0  # seconds for which the trend is not added up again


class World:
    """Shelves by run name, replaced as a whole: who has taken one keeps it until the answer is made.

    runs, store, shares, limits: as in `Service`.
    """

    def __init__(
        self, runs: Sequence[Run], store: EventStore, *, shares: Mapping[str, float] | None, limits: Limits
    ) -> None:
        self.store = store
        self.ladder = Ladder(limits)
        self._memory = Memory(store, self.ladder.stage("store", limits.store_seconds))
        self._changes: dict[str, dict[str, Any]] = {}
        self._forgotten: set[str] = set()
        self._changing, self._swapping = threading.Lock(), threading.Lock()
        self._taken = Taken()
        self._position = store.last()
        for entry in store.entries(kinds=("item", "deletion")):
            self.take(entry)
        self.trend, self._recount = self._counted(), False
        self.shelves = {name: Shelf(name, run, self._changes) for name, run in _named(runs).items()}
        self._previous: dict[str, Run] = {}
        self._popularity: WeakKeyDictionary[Shelf, tuple[float, Float32]] = WeakKeyDictionary()
        self.shares = _checked_shares(shares, list(self.shelves))

    # --- what is known ----------------------------------------------------------------------------

    def shelf(self, run: str | None, user_id: str | None = None) -> Shelf:
        """The run of this name; without a name the user's, or the first."""
        if run is None:
            run = next(iter(self.shelves)) if user_id is None or len(self.shelves) == 1 else self.assign(user_id)
        if run not in self.shelves:
            raise UnknownId(f"no run {run!r}{nearest(run, self.shelves)}; served: {', '.join(self.shelves)}")
        return self.shelves[run]

    def assign(self, user_id: str) -> str:
        """The run that answers a user: a stable draw by the id."""
        draw = int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8).digest(), "big") / 2**64
        bounds = itertools.accumulate(self.shares.values())
        return next((name for name, bound in zip(self.shares, bounds, strict=True) if draw < bound), [*self.shares][-1])

    def recent(self, user_ids: Collection[str]) -> tuple[Recent, str | None]:
        """Events of users since the runs were made, and why there are none when the store does not answer."""
        try:
            return self._memory.of(user_ids), None
        except Skipped as skipped:
            return {}, f"store_{skipped.outcome}"

    def past(self, shelf: Shelf, user_id: str | None, history: Sequence[str] | None, recent: Recent) -> Past:
        """The history to score: the one that was given, or what is known of the user."""
        if history is not None or user_id is None:
            return shelf.basket(history or ())
        return shelf.past_of(user_id, recent.get(user_id, ()), forgotten=self.forgot(user_id))

    def forgot(self, user_id: str) -> bool:
        return bool(self._forgotten) and user_digest(user_id) in self._forgotten

    def popularity(self, shelf: Shelf) -> Float32:
        """Interactions of the data and of late, by item. [n_items]"""
        made, counts = self._popularity.get(shelf, (0.0, shelf.popularity))
        if time.monotonic() - made > FRESH:
            counts = shelf.popularity + self.trend.of(shelf.catalogue.row)
            self._popularity[shelf] = time.monotonic(), counts
        return counts

    # --- what happens -----------------------------------------------------------------------------

    def record(self, events: Sequence[Event]) -> list[bool]:
        now = int(time.time())
        timed = [e if e.timestamp else Event(e.user_id, e.item_id, e.weight, now, e.event_id) for e in events]
        counted = self.store.record(timed)
        self._memory.forget({event.user_id for event in events})
        return counted

    def put_item(self, change: ItemChange) -> None:
        self.store.put_items([change])
        if self.take(change):
            self.rebuild()

    def delete_user(self, user_id: str) -> int:
        erased = self.store.delete_user(user_id)
        self.take(Deletion(user_digest(user_id)))
        self._memory.forget([user_id])
        return erased

    def sync(self) -> int:
        """Take over what came into the log since the last call, from any process; the number of entries."""
        taken, changed = 0, False
        while page := self.store.read(self._position):
            for _, entry in page:
                changed |= self.take(entry)
                self._recount |= isinstance(entry, Deletion)
            self._memory.forget({entry.user_id for _, entry in page if isinstance(entry, Event)})
            self._position = page[-1][0]
            taken += len(page)
        if self._recount:  # whose events to forget, the log no longer says
            self._memory.clear()
            self.trend, self._recount = self._counted(), False
            self._popularity.clear()
        if changed:
            self.rebuild()
        return taken

    def take(self, entry: Entry) -> bool:
        """Remember one entry of the log; whether the shelves have to be made again."""
        if isinstance(entry, Deletion):
            self._forgotten.add(entry.digest)
        elif isinstance(entry, ItemChange):
            known = self._changes.get(entry.item_id)
            self._changes[entry.item_id] = {**(known or {}), **entry.fields}
            return self._changes[entry.item_id] != known
        elif (
            entry.weight > 0
            and any(entry.item_id in shelf.catalogue.row for shelf in self.shelves.values())
            and self._taken.first(entry.user_id, entry.item_id)
        ):
            self.trend.add(entry.item_id, entry.timestamp)
        return False

    def _counted(self) -> Trend:
        """The trend by the log as it stands, up to the entry that was taken last."""
        trend = Trend()
        for item_id, timestamp, users in self.store.activity(int(time.time()) - REACH, self._position):
            trend.add(item_id, timestamp, users)
        return trend

    # --- runs -------------------------------------------------------------------------------------

    def try_out(self) -> dict[str, str]:
        """Ask whatever has not answered yet; by stage, why it still does not."""
        shelves = list(self.shelves.values())
        troubles = {stage: why for shelf in shelves for stage, why in try_out(self.ladder, shelf).items()}
        if any(shelf.waits and not self.ladder.words_of(shelf).out for shelf in shelves):
            self.rebuild()
        return troubles

    def answers(self) -> bool:
        """Whether every run has more to say than what everybody takes."""
        return all(answers(self.ladder, shelf) for shelf in self.shelves.values())

    def swap(self, run: Run, name: str) -> None:
        """Serve `run` under the name of another once all that answers in that one has answered in this one, too.

        GenreError leaves the other.
        """
        with self._swapping:
            replaced, known = self.shelf(name).run, dict(self._changes)
            shelf, trial = Shelf(name, run, known), Ladder(self.ladder.limits)
            troubles, before = try_out(trial, shelf), self.ladder.missing()
            lost = [f"{stage} ({why})" for stage, why in troubles.items() if stage not in before]
            if lost:
                raise GenreError(f"run {name!r} does not answer: {', '.join(lost)}")
            with self._changing:
                if self._changes != known:  # an item was put during the trial
                    shelf = Shelf(name, run, dict(self._changes), shelf)
                self._previous[name] = replaced
                self._put(shelf, trial.stages)

    def rollback(self, name: str) -> None:
        with self._changing:
            if name not in self._previous:
                raise UnknownId(f"run {name!r} was not swapped, so there is nothing to go back to")
            self._put(Shelf(name, self._previous.pop(name), dict(self._changes)), {})

    def rebuild(self) -> None:
        """Make the shelves again with all items that are known now."""
        with self._changing:
            known = dict(self._changes)  # another item may come in meanwhile
            self.shelves = {name: Shelf(name, old.run, known, old) for name, old in self.shelves.items()}
            self.ladder.forget_matches()

    def _put(self, shelf: Shelf, stages: Mapping[str, Stage]) -> None:
        self.shelves = {**self.shelves, shelf.name: shelf}
        self.ladder.replace_run(shelf.name, stages)


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
