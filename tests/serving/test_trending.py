"""Decayed counts of users by item, and pairs that count once."""

from __future__ import annotations

import numpy as np
import pytest

from genre.serving.events import trending


def test_counts_decay_and_never_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(trending.time, "time", lambda: now)
    monkeypatch.setattr(trending.time, "monotonic", lambda: now - 5)
    made, row = trending.Trending(), {"a": 0, "b": 1, "c": 2}
    made.add("a", now, 4)
    made.add("b", now - trending.HALF_LIFE_SECONDS, 4)
    made.add("b", now + 1e9)
    assert made.counts(row).tolist() == [4, 3, 0]
    now += trending.HALF_LIFE_SECONDS
    assert made.counts(row).tolist() == [2, 1.5, 0]
    for _ in range(50):
        now += 90 * trending.HALF_LIFE_SECONDS
        made.add("c", now)
    assert np.isfinite(made.counts(row)).all()
    assert made.counts(row)[2] == pytest.approx(1)


def test_a_user_counts_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(trending.time, "monotonic", lambda: now)
    pairs = trending.RecentPairs()
    assert [pairs.add("u", "a"), pairs.add("u", "a"), pairs.add("u", "b"), pairs.add("v", "a")] == [1, 0, 1, 1]
    now += trending.WINDOW_SECONDS + 1
    assert not pairs.add("u", "a"), "for one window at least"
    now += trending.WINDOW_SECONDS + 1
    assert pairs.add("u", "a"), "for two at most"


def test_pairs_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trending, "KEPT_PAIRS", 100)
    pairs = trending.RecentPairs()
    assert all(pairs.add(f"u{n}", "a") for n in range(1000))
    assert len(pairs._now) + len(pairs._before) <= 200
    assert not pairs.add("u999", "a")
