"""The cache of recent events by user."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from genre.serving.breaker import CircuitBreaker
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.state import EVENT_BYTES, RecentEvents


def test_an_event_during_a_read_is_not_forgotten(sqlite: SQLiteStore) -> None:
    recent, real = RecentEvents(sqlite, CircuitBreaker("s", 5.0)), sqlite.histories
    sqlite.record([Event("a", "x", 1.0, 1)])

    def interrupted(user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        read = real(user_ids)
        sqlite.record([Event("a", "y", 1.0, 2)])
        recent.drop(["a"])
        return read

    sqlite.histories = interrupted  # type: ignore[method-assign]
    assert len(recent.of(["a"])["a"]) == 1, "what was read is the answer of now"
    sqlite.histories = real  # type: ignore[method-assign]
    assert len(recent.of(["a"])["a"]) == 2, "but it is not what is kept"


def test_a_user_is_read_once(sqlite: SQLiteStore) -> None:
    recent, reads, real = RecentEvents(sqlite, CircuitBreaker("s", 5.0)), [], sqlite.histories

    def counted(user_ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        reads.append(list(user_ids))
        return real(user_ids)

    sqlite.histories = counted  # type: ignore[method-assign]
    recent.of(["a"])
    recent.of(["a", "b"])
    recent.of(["a", "b"])
    assert reads == [["a"], ["b"]]


def test_the_cache_holds_so_many_bytes_and_no_more(sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.serving.state.KEPT_BYTES", 10 * EVENT_BYTES)
    recent = RecentEvents(sqlite, CircuitBreaker("store", 5.0))
    users = [f"u{n}" for n in range(20)]
    for round_ in range(3):
        sqlite.record([Event(user, f"i{round_}", 1.0, 1 + round_) for user in users])
        recent.drop(users[::2])
        for user in users:
            assert len(recent.of([user])[user]) >= (round_ + 1 if user in users[::2] else 1)
        assert recent._cache.currsize <= 10 * EVENT_BYTES
        assert 0 < sum(len(events) for events in recent._cache.values()) < 10
    recent.clear()
    assert len(recent.of(users)["u0"]) == 3, "what does not fit is answered all the same"


def test_events_with_long_ids_take_more_of_the_cache(sqlite: SQLiteStore) -> None:
    recent = RecentEvents(sqlite, CircuitBreaker("store", 5.0))
    sqlite.record([Event("u", "i" * 512, 1.0, 1, "e" * 512)])
    recent.of(["u"])
    assert recent._cache.currsize > 4 * 1024
