"""The recent events of users, cached in memory. Knows nothing about items."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from cachetools import LRUCache

from genre.serving.breaker import CircuitBreaker
from genre.serving.events.store import Event, EventStore

KEPT_BYTES = 40_000_000  # some 100,000 events with short ids
EVENT_BYTES = 300  # of an event, or of a user without any, beside the text of its ids


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
