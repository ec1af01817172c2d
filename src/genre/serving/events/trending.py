"""What is taken now: users by item, each worth half as much after a day. One user cannot make a trend.

`Trend` knows nothing about who took what, `Taken` nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from genre.arrays import Float32

HALF_LIFE = 86_400.0  # seconds
REACH = 7 * 86_400  # older events weigh less than a hundredth and are not read at the start
WINDOW = 86_400.0  # seconds in which a user counts once an item
KEPT_PAIRS = 250_000  # some 20 MB, twice


class Trending:
    """Decayed counts in one number an item: worth is written in units of a fixed moment, so nothing ever has to age."""

    def __init__(self) -> None:
        self._moment = time.time()
        self._worth: dict[str, float] = {}

    def add(self, item_id: str, timestamp: float, users: int = 1) -> None:
        now = time.time()
        if now - self._moment > 100 * HALF_LIFE:  # long before the numbers grow past what a float holds
            scale = 2.0 ** ((self._moment - now) / HALF_LIFE)
            self._worth = {item: worth * scale for item, worth in self._worth.items()}
            self._moment = now
        age = min(timestamp, now) - self._moment  # a clock that runs ahead gains nothing
        self._worth[item_id] = self._worth.get(item_id, 0.0) + users * 2.0 ** (age / HALF_LIFE)

    def of(self, row: Mapping[str, int]) -> Float32:
        """What each item is worth now, by its row in `row`: one who takes it this moment counts 1. [len(row)]"""
        out = np.zeros(len(row), np.float32)
        scale = 2.0 ** ((self._moment - time.time()) / HALF_LIFE)
        for item_id, worth in list(self._worth.items()):
            if item_id in row:
                out[row[item_id]] = worth * scale
        return out


class RecentPairs:
    """Who took what of late, by the time it came in: whatever time an event states, it counts once.

    Pairs are kept as hashes for one to two windows; when more come in than memory is set aside for, for less long.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._now, self._before = set[int](), set[int]()

    def first(self, user_id: str, item_id: str) -> bool:
        """Note that a user takes an item; False when the user did so a moment ago."""
        moment = time.monotonic()
        if moment - self._since > WINDOW or len(self._now) >= KEPT_PAIRS:
            self._since, self._now, self._before = moment, set(), self._now
        pair = hash((user_id, item_id))  # salted by the process: nobody can aim at a collision
        if pair in self._now or pair in self._before:
            return False
        self._now.add(pair)
        return True
