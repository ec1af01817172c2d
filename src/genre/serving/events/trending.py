"""Trending items: users who interacted with an item, where each counts half as much after a day.

`Trending` knows nothing about users, `RecentPairs` nothing else than users and items.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import numpy as np

from genre.arrays import Float32
from genre.data.durations import DAY
from genre.serving.events.store import Activity

HALF_LIFE_SECONDS = DAY
REACH_SECONDS = 7 * DAY  # older events weigh less than a hundredth and are not read at the start
CLOCK_SECONDS = 60.0  # by which a clock may drift until counting begins anew
WINDOW_SECONDS = DAY  # in which a user counts once an item
KEPT_PAIRS = 250_000  # some 20 MB, twice


class Trending:
    """Decayed counts of users by item.

    A user at time `t` counts `2 ** ((t - now) / half-life)`. The counts are kept relative to a fixed moment instead of
    `now`, so one number an item is enough and time passing changes none of them.
    """

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()  # of the clock that is never set
        self._moment = self._now()
        self._counts: dict[str, float] = {}

    def _now(self) -> float:
        """Return the present by the clock of the machine when counting began, whatever it was set to since."""
        return time.monotonic() + self._ahead

    @property
    def clock_was_set(self) -> bool:
        """Whether the clock of the machine was set since counting began, so that it has to begin anew."""
        return abs(time.time() - self._now()) > CLOCK_SECONDS

    def restart(self, activity: Iterable[Activity]) -> None:
        """Count anew.

        Args:
            activity: Users by item and hour.
        """
        other = Trending()
        for item_id, timestamp, users in activity:
            other.add(item_id, timestamp, users)
        self._ahead, self._moment, self._counts = other._ahead, other._moment, other._counts

    def add(self, item_id: str, timestamp: float, users: int = 1) -> None:
        """Count users of an item.

        Args:
            item_id: The item.
            timestamp: When, in seconds since 1970; times to come count as now.
            users: How many.
        """
        now = self._now()
        if now - self._moment > 100 * HALF_LIFE_SECONDS:  # long before the numbers outgrow a float
            scale = 2.0 ** ((self._moment - now) / HALF_LIFE_SECONDS)
            self._counts = {item: count * scale for item, count in self._counts.items()}
            self._moment = now
        age = min(timestamp, now) - self._moment
        self._counts[item_id] = self._counts.get(item_id, 0.0) + users * 2.0 ** (age / HALF_LIFE_SECONDS)

    def counts(self, row: Mapping[str, int]) -> Float32:
        """Return the decayed counts as of now.

        Args:
            row: Row of each item id.

        Returns:
            Counts; a user of this moment counts 1. `[len(row)]`
        """
        out = np.zeros(len(row), np.float32)
        scale = 2.0 ** ((self._moment - self._now()) / HALF_LIFE_SECONDS)
        for item_id, count in list(self._counts.items()):
            if item_id in row:
                out[row[item_id]] = count * scale
        return out


class RecentPairs:
    """The recent pairs of a user and an item, so that a user who repeats an event makes no trend.

    What counts is the time of arrival, whatever time an event states. Pairs are kept as hashes in two sets, for one to
    two windows, or shorter when more come in than `KEPT_PAIRS`: a cache with a time for each pair (cachetools) takes
    several times the memory.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._now, self._before = set[int](), set[int]()

    def add(self, user_id: str, item_id: str) -> bool:
        """Note a pair.

        Args:
            user_id: The user.
            item_id: The item.

        Returns:
            False where the pair was noted recently.
        """
        moment = time.monotonic()
        if moment - self._since > WINDOW_SECONDS or len(self._now) >= KEPT_PAIRS:
            self._since, self._now, self._before = moment, set(), self._now
        pair = hash((user_id, item_id))  # salted by the process, so that a collision cannot be constructed
        if pair in self._now or pair in self._before:
            return False
        self._now.add(pair)
        return True
