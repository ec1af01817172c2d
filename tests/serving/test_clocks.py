"""Clocks that disagree: the order of arrival decides, and nothing lies ahead of the present."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.runs import Run
from genre.serving.events.log_table import EventStore
from genre.serving.events.store import Event, Outcome, settle_times
from genre.serving.refresh import with_log
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from genre.testing import toy_dataset
from sizes import sized

DAY = 86_400
NEW, DUPLICATE, DELETED = Outcome.NEW, Outcome.DUPLICATE, Outcome.DELETED


class Clock:
    """The clock of the machine, to be set."""

    def __init__(self) -> None:
        self.real, self.ahead = time.time, 0.0

    def __call__(self) -> float:
        return self.real() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    yield clock
    monkeypatch.undo()


@pytest.mark.parametrize("ahead", [-400 * DAY, -3600, 400 * DAY])
def test_the_last_click_is_last_whatever_the_clock_did(store: EventStore, clock: Clock, ahead: float) -> None:
    for item, set_to in (("first", 0.0), ("wrong", ahead), ("last", 0.0)):
        clock.ahead = set_to
        store.record([Event("a", item)])
    assert [event.item_id for event in store.histories(["a"])["a"]] == ["first", "wrong", "last"]
    assert all(event.timestamp <= time.time() for event in store.histories(["a"])["a"])


def test_a_clock_that_stays_back_changes_no_order(store: EventStore, clock: Clock) -> None:
    store.record([Event("a", "first")])
    clock.ahead = -400 * DAY
    store.record([Event("a", "second")])
    store.record([Event("a", "third", 1.0, int(clock.real()))])  # by a client whose clock is right
    assert [event.item_id for event in store.histories(["a"])["a"]] == ["first", "second", "third"]


def test_a_time_ahead_is_held_to_now_and_its_retry_is_the_same_event(store: EventStore) -> None:
    now = int(time.time())
    event = Event("a", "x", 1.0, now + 3600, "e1")
    assert store.record([event]) == [NEW]
    assert store.record([event, Event("a", "y", 1.0, 0, "e2")], now + 7200) == [DUPLICATE, NEW]
    assert store.record([Event("a", "x", 1.0, now + 3601, "e1")]) == [Outcome.CONFLICT]
    (held, _) = store.histories(["a"])["a"]
    assert now <= held.timestamp <= time.time()
    assert held.at_arrival


def test_what_comes_late_is_still_ordered_by_its_time(store: EventStore) -> None:
    now = int(time.time())
    store.record([Event("a", "now"), Event("a", "yesterday", 1.0, now - DAY), Event("a", "today", 1.0, now - 60)])
    assert [event.item_id for event in store.histories(["a"])["a"]] == ["yesterday", "today", "now"]


@pytest.mark.parametrize("ahead", [-400 * DAY, 400 * DAY])
def test_no_item_stays_first_in_popular_lists_because_a_clock_was_wrong(
    run: Run, store: EventStore, clock: Clock, ahead: float
) -> None:
    service = Service([run], store)
    service.record([Event(f"v{n}", "i5") for n in range(3)])
    service.sync()
    clock.ahead = ahead
    service.record([Event("w", "i6")])
    service.sync()
    clock.ahead = 0
    service.record([Event("x", "i7")])
    service.sync()
    for counted in (service, Service([run], store)):  # as it goes on, and after a restart
        for listed in (counted.popular(trending=True), counted.popular(k=12), counted.recommend(ListRequest("w", k=3))):
            assert all(item["score"] is not None and np.isfinite(item["score"]) for item in listed.items)
        assert counted.popular(trending=True).items[0]["item_id"] == "i5"


def test_a_refresh_learns_no_time_ahead(store: EventStore, clock: Clock) -> None:
    clock.ahead = 400 * DAY
    store.record([Event("a", "i1"), Event("b", "i2")])
    clock.ahead = 0
    store.record([Event("a", "i3")])
    data = toy_dataset()
    timed = Dataset.from_arrays(
        user=data.user, item=data.item, user_ids=data.user_ids, item_ids=data.item_ids, timestamp=np.arange(len(data))
    )
    made = with_log(timed, store)
    assert len(made) == len(data) + 3
    assert made.timestamp is not None
    assert made.timestamp.max() <= time.time()
    of_a = made.item[made.user == made.user_ids.row("a")]
    assert made.item_ids.take(of_a) == ["i1", "i3"]
    assert isinstance(made.user_ids, Ids)


times = st.integers(0, 10)


@settings(max_examples=sized(200, 5000), deadline=None)
@given(st.lists(st.tuples(times, st.booleans()), max_size=12), times)
def test_settled_times(given: list[tuple[int, bool]], now: int) -> None:
    events = [Event("a", str(at), 1.0, time, None, arrived) for at, (time, arrived) in enumerate(given)]
    settled = settle_times(events, now)
    assert [event.item_id for event in settled] == [event.item_id for event in events], "in the same order"
    assert all(event.timestamp <= now for event in settled)
    for at, (before, after) in enumerate(zip(events, settled, strict=True)):
        if not before.at_arrival and before.timestamp <= now:
            assert after == before, "a time that can be right is left alone"
        else:
            assert after.timestamp >= max((e.timestamp for e in settled[:at]), default=0), "the order of arrival"


def test_an_event_from_before_the_deletion_of_its_user_is_refused(
    store: EventStore, reopened: Callable[[], EventStore]
) -> None:
    now = int(time.time())
    late = Event("a", "x", 1.0, now - 60, "e1")
    store.record([late, Event("b", "x", 1.0, now - 60, "e1")])
    store.delete_user("a", now - 30)
    for opened in (store, reopened()):
        assert opened.record([late, Event("a", "y", 1.0, now - 30), Event("b", "x", 1.0, now - 60, "e1")]) == [
            DELETED, DELETED, DUPLICATE,
        ]  # fmt: skip
    assert store.histories(["a"])["a"] == ()
    assert store.record([Event("a", "z", 1.0, now - 29), Event("a", "w")]) == [NEW, NEW], "a new history"
    assert [event.item_id for event in store.histories(["a"])["a"]] == ["z", "w"]


def test_a_deletion_by_a_clock_that_was_ahead_refuses_nothing_new(store: EventStore) -> None:
    now = int(time.time())
    store.delete_user("a", now + 400 * DAY)
    assert store.record([Event("a", "x", 1.0, now - 5)]) == [NEW]
