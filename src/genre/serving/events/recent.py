"""The recent events of the users who are asked about, kept in memory; read from the store when they are not.

Knows nothing about items.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable

from genre.serving.breaker import CircuitBreaker
from genre.serving.events.store import Event, EventStore

KEPT_USERS = 100_000
KEPT_EVENTS = 100_000  # some 40 MB


class RecentEvents:
    """Events by user. A user about whom something new is known is forgotten and read again when asked for."""

    def __init__(self, store: EventStore, breaker: CircuitBreaker) -> None:
        self._store, self._breaker = store, breaker
        self._kept: OrderedDict[str, tuple[Event, ...]] = OrderedDict()
        self._n_events = 0
        self._lock = threading.Lock()
        self._forgotten = 0  # how often something was forgotten: what was read before then may be old

    def of(self, user_ids: Collection[str]) -> dict[str, tuple[Event, ...]]:
        """The events of each user, oldest first; `Skipped` when the store does not answer in time."""
        kept = self._kept
        found = {user_id: events for user_id in user_ids if (events := kept.get(user_id)) is not None}
        missing = [user_id for user_id in user_ids if user_id not in found]
        if missing:
            before = self._forgotten
            read = self._breaker.call(lambda: self._store.histories(missing))
            self._keep(read, before)
            found.update(read)
        return found

    def _keep(self, read: dict[str, tuple[Event, ...]], before: int) -> None:
        with self._lock:
            if self._forgotten != before:
                return
            for user_id, events in read.items():
                self._drop(user_id)
                self._kept[user_id] = events
                self._n_events += len(events)
            while len(self._kept) > KEPT_USERS or self._n_events > KEPT_EVENTS:
                self._drop(next(iter(self._kept)))

    def _drop(self, user_id: str) -> None:
        self._n_events -= len(self._kept.pop(user_id, ()))

    def forget(self, user_ids: Iterable[str]) -> None:
        with self._lock:
            self._forgotten += 1
            for user_id in user_ids:
                self._drop(user_id)

    def clear(self) -> None:
        with self._lock:
            self._forgotten += 1
            self._kept.clear()
            self._n_events = 0
