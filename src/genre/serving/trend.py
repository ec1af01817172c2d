"""What is taken now: events by item, each worth half as much after a day. Knows nothing about who took what."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from genre.preprocessing.dataset import Float32

HALF_LIFE = 86_400.0  # seconds
REACH = 7 * 86_400  # older events weigh less than a hundredth and are not read at the start


class Trend:
    """Decayed counts in one number an item: worth is written in units of a fixed moment, so nothing ever has to age."""

    def __init__(self) -> None:
        self._moment = time.time()
        self._worth: dict[str, float] = {}

    def add(self, item_id: str, timestamp: float, events: int = 1) -> None:
        now = time.time()
        if now - self._moment > 100 * HALF_LIFE:  # long before the numbers grow past what a float holds
            scale = 2.0 ** ((self._moment - now) / HALF_LIFE)
            self._worth = {item: worth * scale for item, worth in self._worth.items()}
            self._moment = now
        age = min(timestamp, now) - self._moment  # a clock that runs ahead gains nothing
        self._worth[item_id] = self._worth.get(item_id, 0.0) + events * 2.0 ** (age / HALF_LIFE)

    def of(self, row: Mapping[str, int]) -> Float32:
        """What each item is worth now, by its row in `row`: an event of this moment counts 1. [len(row)]"""
        out = np.zeros(len(row), np.float32)
        scale = 2.0 ** ((self._moment - time.time()) / HALF_LIFE)
        for item_id, worth in list(self._worth.items()):
            if item_id in row:
                out[row[item_id]] = worth * scale
        return out
