"""The lists that were sent to users, on their way into the event log. Knows no recommender and no HTTP.

Buffered, they wait for at most `FLUSH_SECONDS` and are recorded in one commit; a kill loses those that wait. Durable,
they are on disk before the answer. Where the log cannot be written, the list is answered all the same, and counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from genre.config.serving_options import RecordShows
from genre.errors import StoreError
from genre.serving.events.log_table import EventStore
from genre.serving.events.store import ServedList
from genre.serving.requests import RankedList

FLUSH_SECONDS = 0.05
DURABLE_SECONDS = 0.5  # that an answer waits for the log
MOST_WAITING = 100_000  # lists, some 50 MB; more are lost


class ShowLog:
    """Records lists that were sent to users.

    Attributes:
        n_lost: How many could not be recorded.
    """

    def __init__(self, store: EventStore, record_shows: RecordShows) -> None:
        """Begin with an empty buffer.

        Args:
            store: The event store.
            record_shows: How lists are recorded.
        """
        self._store, self._how = store, record_shows
        self.n_lost = 0
        self._waiting: list[ServedList] = []
        self._timer: threading.Timer | None = None  # of what waits
        self._lock, self._writing = threading.Lock(), threading.Lock()

    def add(self, lists: Sequence[tuple[str | None, RankedList]], seconds: float, *, source: str | None = None) -> None:
        """Record lists.

        Args:
            lists: Each with its user, or None.
            seconds: How long they took to make.
            source: How they were made; None: as they say.
        """
        if self._how == "off" or not lists:
            return
        now = int(time.time())
        served = [_served(user_id, ranked, now, seconds, source or ranked.source) for user_id, ranked in lists]
        if self._how == "durable":
            self._write(served, time.monotonic() + DURABLE_SECONDS)
            return
        with self._lock:
            room = MOST_WAITING - len(self._waiting)
            self._waiting += served[:room]
            self.n_lost += max(0, len(served) - room)
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Record what waits, in one commit."""
        with self._writing:
            with self._lock:
                waiting, self._waiting, self._timer = self._waiting, [], None
            if waiting:
                self._write(waiting, None)

    def _write(self, served: Sequence[ServedList], deadline: float | None) -> None:
        try:
            self._store.put_lists(served, deadline=deadline)
        except StoreError:
            self.n_lost += len(served)


def _served(user_id: str | None, ranked: RankedList, now: int, seconds: float, source: str) -> ServedList:
    return ServedList(
        recommendation_id=ranked.recommendation_id,
        user_id=user_id,
        run=ranked.run,
        recommender=ranked.recommender,
        source=source,
        fallback=ranked.fallback,
        items=tuple(item["item_id"] for item in ranked.items),
        propensities=ranked.propensities,
        timestamp=now,
        seconds=seconds,
    )
