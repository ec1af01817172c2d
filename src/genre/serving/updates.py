"""What changes what a service knows: events, items, deletions, the event log of other processes, a run in place of one.

Knows nothing about lists and how they are made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from genre.config.serving_options import ServingOptions
from genre.data.context import check_context
from genre.errors import DataError, GenreError, OptionError
from genre.runs import Run
from genre.serving.erasure import Erasure
from genre.serving.events.deletion import Deletion, user_digest
from genre.serving.events.log_table import EventStore
from genre.serving.events.store import CHANGES, Event, ItemChange, Outcome, Pruning
from genre.serving.exploration import Explorer, click_counts
from genre.serving.fallback import Fallback
from genre.serving.limits import Limits
from genre.serving.new_items import check_fields
from genre.serving.operations import Operations
from genre.serving.shows import ShowLog
from genre.serving.state import State
from genre.serving.warmup import can_personalise, warm_up
from genre.serving.weighed_events import check_event, weigh_for_log

CLICKS_SECONDS = 60.0  # between two counts of what exploration learns from


class Updates:
    """The runs and the event log behind a service, and everything that changes what is known of them.

    Attributes:
        options: How to serve.
        limits: Time limits and other limits.
        ready: Whether every run has answered with more than popular items; stays true.
        erasure: What is still kept of deleted users.
        shows: The lists that were sent to users.
        explorer: Draws places of lists at random, or None.
        operations: What an operator wants to know.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        store: EventStore,
        *,
        shares: Mapping[str, float] | None = None,
        limits: Limits | None = None,
        options: ServingOptions | None = None,
    ) -> None:
        """Load runs.

        Args:
            runs: The runs; the first answers requests without a user.
            store: The event store.
            shares: Share of the users by name of the run; None: equal shares. A user is assigned to the same run while
                names and shares stay.
            limits: Limits; None: the defaults.
            options: How to serve; None: as the config of the first run says.

        Raises:
            GenreError: If there is no run, two have one name, a share is not legal, or an experiment of the options
                cannot be started.
        """
        self.limits = limits or Limits()
        self.ready = False
        self._store = store
        if not runs:
            raise GenreError("a service needs at least one run")
        self.options = options or runs[0].serving
        self._state = State(runs, store, shares=shares, limits=self.limits)
        self.explorer = None if self.options.explore is None else Explorer(self.options.explore)
        self._learn_clicks_at = 0.0
        _check_exploration(self._state, self.explorer)
        self.shows = ShowLog(store, self.options.record_shows)
        self.erasure = Erasure(store, self._state)
        self.operations = Operations(store, self._state, self.shows)
        self.operations.start_configured(self.options.experiments)
        self._swapping = threading.Lock()
        self._recount = False  # a user was deleted, and trends have to be counted anew

    def warm(self) -> dict[str, str]:
        """Make every kind of call that has not succeeded yet, so that no user waits for code to be compiled.

        Returns:
            Why a call gives no answer, by name of its circuit breaker; other steps answer in its place.
        """
        state, fallback = self._state, self._state.fallback
        runs = list(state.loaded_runs.values())
        failures = {name: why for loaded in runs for name, why in warm_up(fallback, loaded).items()}
        if any(loaded.encoder_failed and not fallback.words_breaker(loaded).open for loaded in runs):
            state.reload()  # the encoder answers again: new items get their vectors
        self.ready = self.ready or all(can_personalise(fallback, loaded) for loaded in state.loaded_runs.values())
        return failures

    def close(self) -> None:
        """Record the lists that wait, and close the event store."""
        self.ready = False
        self.shows.flush()
        self._store.close()

    def failing_calls(self) -> list[str]:
        """Return which kinds of calls keep failing.

        Returns:
            Names of the open circuit breakers.
        """
        return [name for name, breaker in list(self._state.fallback.breakers.items()) if breaker.open]

    def record(self, events: Sequence[Event], *, deadline: float | None = None) -> list[Outcome]:
        """Record events on disk; the next list for their users takes them into account.

        Args:
            events: The events; those without a time happened now.
            deadline: Moment of `time.monotonic()` after which nothing is written; None: the store's own.

        Returns:
            What became of each event.

        Raises:
            DataError: If there is no such kind of event, the data has no such stars or no such circumstances; nothing
                is recorded.
        """
        self.check_events(events)
        outcomes = self._store.record(self._weighed(events), deadline=deadline)
        self._state.recent_events.drop({event.user_id for event in events})
        return outcomes

    def check_events(self, events: Sequence[Event]) -> None:
        """Check that the first run's table has the kinds of events, its data their stars, some run their circumstances.

        Args:
            events: The events.

        Raises:
            DataError: If there is no such kind, there are no such stars, or no such column of circumstances.
        """
        run = self._state.loaded_run(None).run
        for event in events:
            if event.kind is not None:
                check_event(event, run.event_kinds, run.dataset.rating_scale)
        if said := {name: text for event in events for name, text in event.context}:
            runs = self._state.loaded_runs.values()
            check_context(said, dict.fromkeys(name for one in runs for name in one.dataset.context_names), times=())

    def _weighed(self, events: Sequence[Event]) -> list[Event]:
        """Give events that have a kind its weight, by the first run's table of kinds."""
        run = self._state.loaded_run(None).run
        return weigh_for_log(events, run.event_kinds, run.dataset.positive_rating)

    def put_item(self, item_id: str, fields: Mapping[str, Any], *, deadline: float | None = None) -> dict[str, bool]:
        """Add an item or change its fields.

        Args:
            item_id: The item.
            fields: Values by name of the field.
            deadline: As in `record`.

        Returns:
            By run, whether the item can be recommended from now on.

        Raises:
            DataError: If a value does not fit its column in a run's data, the fields are too long, or they name another
                item.
            ConflictError: If the fields of all new and changed items are too long together, or too many.
        """
        given = dict(fields)
        if given.pop("item_id", item_id) != item_id:
            raise DataError(f"item_id: the address names the item {item_id!r}; leave it out")
        for loaded in self._state.loaded_runs.values():
            check_fields(loaded.run.dataset, given)
        change = ItemChange(item_id, given)
        self._state.check_size(change)
        self._store.put_items([change], deadline=deadline)
        changed = self._state.apply(change)
        if changed:
            self._state.reload()
        return {name: item_id in loaded.catalogue.row for name, loaded in self._state.loaded_runs.items()}

    def delete_user(self, user_id: str, *, deadline: float | None = None) -> int:
        """Erase a user from the event log and from every answer.

        `erasure` says what is left in files then.

        Args:
            user_id: The user.
            deadline: As in `record`.

        Returns:
            Number of erased events.
        """
        now = int(time.time())
        erased = self._store.delete_user(user_id, now, deadline=deadline)
        self._state.apply(Deletion(user_digest(user_id, self._store.key), now))
        self._state.recent_events.drop([user_id])
        return erased

    def sync(self) -> int:
        """Take in what any process wrote into the event log since the last call, and count trends.

        Returns:
            Number of new entries.
        """
        n_entries, items_changed, last = 0, False, self._store.last()
        while page := self._store.read(self._state.position, CHANGES):
            for _, entry in page:
                items_changed |= self._state.apply(entry)
                self._recount |= isinstance(entry, Deletion | Pruning)
            self._state.recent_events.drop({entry.user_id for _, entry in page if isinstance(entry, Event)})
            self._state.position = page[-1][0]
            n_entries += len(page)
        self._state.position = max(self._state.position, last)  # lists and shows change nothing and are not read
        if self._recount or self._state.trending.clock_was_set:  # the log does not say which events were erased
            self._state.recount()
            self._recount = False
        if items_changed:
            self._state.reload()
        if self.explorer is not None and time.monotonic() > self._learn_clicks_at:
            self._learn_clicks_at = time.monotonic() + CLICKS_SECONDS
            self.explorer.learn(*click_counts(self._store))
        return n_entries

    def swap(self, run: Run, name: str | None = None) -> None:
        """Serve a run in place of another, in one step, once it has answered every kind of call in time.

        Calls that fail in the old run may fail in the new one.

        Args:
            run: The new run.
            name: Name of the old one; None: the name of the new one.

        Raises:
            GenreError: If the new run does not answer, or there is no old one; the old one stays.
        """
        name = name or run.name
        with self._swapping:
            self._state.loaded_run(name)
            loaded, fallback = self._state.load(name, run), Fallback(self.limits, self._state.trending)
            failures, failing_in_old_run = warm_up(fallback, loaded), self.failing_calls()
            lost = [f"{breaker} ({why})" for breaker, why in failures.items() if breaker not in failing_in_old_run]
            if lost:
                raise GenreError(f"run {name!r} does not answer: {', '.join(lost)}")
            self._state.replace(loaded, fallback.breakers)


def _check_exploration(state: State, explorer: Explorer | None) -> None:
    """Refuse to draw places at random in lists whose rules say what is at a place."""
    for name, loaded in state.loaded_runs.items() if explorer is not None else ():
        if loaded.rules is not None and not loaded.rules.only_hides:
            raise OptionError(
                f"explore: the rules of run {name!r} pin, limit or move items, which drawn places would break; leave "
                "explore or those rules out (hide and only may stay)"
            )
