"""The small parts: stages, batches, the catalogue, the knobs, the trend, growing, the strongest causes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genre.arrays import Float32, Int32
from genre.data.dataset import History
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.serving import breaker as stages
from genre.serving.breaker import CircuitBreaker, NoAnswer
from genre.serving.diversify import diversify
from genre.serving.events import trending as trend
from genre.serving.events.recent import RecentEvents
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ItemChange
from genre.serving.http.batching import Batcher
from genre.serving.lists import strongest
from genre.serving.new_items import ByNeighbours, add_items, with_items
from genre.serving.refresh import put_in_place, roll_back, with_log
from genre.serving.search.catalogue import Between, Catalogue, OneOf
from genre.storage import publish
from genre.testing import toy_dataset

# --- stages -------------------------------------------------------------------------------------------


def test_a_breaker_hands_back_what_the_work_returns_or_raises() -> None:
    breaker = CircuitBreaker("s", 1.0)
    assert breaker.call(lambda: 7) == 7
    with pytest.raises(NoAnswer) as failed:
        breaker.call(lambda: 1 / 0)
    assert failed.value.outcome == "failed"
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_a_hung_call_delays_others_for_a_short_time() -> None:
    breaker, gate = CircuitBreaker("s", 0.5, failures=2, pause=0.2), threading.Event()
    for outcome in ("late", "late", "paused"):
        with pytest.raises(NoAnswer) as skipped:
            breaker.call(lambda: gate.wait(10))
        assert skipped.value.outcome == outcome
    gate.set()
    time.sleep(0.25)
    assert breaker.call(lambda: "well again") == "well again"
    assert not breaker.open


def test_after_the_pause_one_call_tries_and_the_others_wait() -> None:
    breaker = CircuitBreaker("s", 0.5, failures=1, pause=0.1)
    with pytest.raises(NoAnswer):
        breaker.call(lambda: 1 / 0)
    time.sleep(0.15)
    gate, outcomes = threading.Event(), []

    def ask() -> None:
        try:
            outcomes.append(breaker.call(lambda: gate.wait(5)))
        except NoAnswer as skipped:
            outcomes.append(skipped.outcome)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert outcomes == ["paused"] * 3
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["True", "paused", "paused", "paused"]


def test_an_idle_breaker_ends_its_thread_and_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "IDLE_SECONDS", 0.02)
    breaker = CircuitBreaker("ends", 1.0)
    for _ in range(3):
        assert breaker.call(threading.get_ident)
        time.sleep(0.1)
        assert "genre-ends" not in {thread.name for thread in threading.enumerate()}


# --- batches ------------------------------------------------------------------------------------------


def test_what_waits_together_is_worked_on_together() -> None:
    sizes: list[int] = []

    def work(questions: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(questions))
        time.sleep(0.02)
        return [ValueError("three") if question == 3 else question * 2 for question in questions]

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(work, ThreadPoolExecutor(4), largest=8)
        answers = await asyncio.gather(*(batcher.submit(n) for n in range(20)), return_exceptions=True)
        assert [a for n, a in enumerate(answers) if n != 3] == [n * 2 for n in range(20) if n != 3]
        assert isinstance(answers[3], ValueError)
        by_key = await asyncio.gather(*(batcher.submit(n, key=n % 2) for n in range(4, 8)))
        assert by_key == [8, 10, 12, 14]

    ThreadPoolExecutor(1).submit(asyncio.run, main()).result()  # the browser tests leave a loop in this thread
    assert sizes == [8, 8, 4, 2, 2]


def test_those_who_ask_again_at_once_are_worked_on_together() -> None:
    """Two halves that begin at different times do not go on waiting for one another."""
    sizes: list[int] = []

    def work(questions: Sequence[int]) -> list[int]:
        sizes.append(len(questions))
        time.sleep(0.02)
        return list(questions)

    async def client(batcher: Batcher[int, int], late: float) -> None:
        await asyncio.sleep(late)
        for n in range(6):
            await batcher.submit(n)
            await asyncio.sleep(0)  # the answer goes out

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(work, ThreadPoolExecutor(1), largest=64)
        await asyncio.gather(*(client(batcher, late) for late in [0.0] * 4 + [0.01] * 4))

    ThreadPoolExecutor(1).submit(asyncio.run, main()).result()  # the browser tests leave a loop in this thread
    assert sizes == [4, 8, 8, 8, 8, 8, 4]


def test_work_that_fails_fails_for_all_who_waited_and_for_none_after() -> None:
    def work(questions: Sequence[str]) -> list[str | Exception]:
        if "bad" in questions:
            raise OSError("disk")
        return list(questions)

    async def main() -> None:
        batcher: Batcher[str, str] = Batcher(work, ThreadPoolExecutor(1), largest=8)
        answers = await asyncio.gather(*(batcher.submit(word) for word in ("good", "bad")), return_exceptions=True)
        assert all(isinstance(answer, OSError) for answer in answers)
        gone = batcher.submit("gone")
        gone.cancel()
        assert await batcher.submit("after") == "after"

    ThreadPoolExecutor(1).submit(asyncio.run, main()).result()  # the browser tests leave a loop in this thread


# --- catalogue ----------------------------------------------------------------------------------------


@pytest.fixture
def catalogue() -> Catalogue:
    data = toy_dataset()
    changes = {
        "i0": {"title": "Das Boot (1981)", "genres": "Drama|War", "year": 1981},
        "i1": {"title": "Amélie", "genres": "Comedy, Romance", "year": 2001},
        "i2": {"title": "千と千尋の神隠し", "genres": "animation", "year": None},
        "i3": {"title": "Boots and all", "genres": "Documentary", "year": "1999"},
    }
    return Catalogue(with_items(data, changes))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("boot", [3, 0]),  # a title that begins with it
        ("das boot (1981)", [0]),
        ("AMELIE", [1]),
        ("千尋", [2]),
        ("boot all", [3]),
        ("no such title", []),
        ("(", [0]),
        ("(1981) [a-z]", []),
        (".*", []),
    ],
)
def test_search(catalogue: Catalogue, text: str, found: list[int]) -> None:
    assert catalogue.search(text, 5, np.zeros(len(catalogue))) == found


def test_search_without_words_finds_popular_items(catalogue: Catalogue) -> None:
    assert catalogue.search("  ", 2, np.arange(len(catalogue))) == [11, 10]


@pytest.mark.parametrize(
    ("name", "wanted", "rows"),
    [
        ("genres", OneOf(frozenset({"war", "romance"})), [0, 1]),
        ("genres", OneOf(frozenset({"drama|war"})), [0]),
        ("year", OneOf(frozenset({"1981"})), [0]),
        ("year", Between(1990, None), [1, 3]),
        ("year", Between(None, 1999), [0, 3]),
        ("title", Between(0, 1), []),
    ],
)
def test_filters(catalogue: Catalogue, name: str, wanted: OneOf | Between, rows: list[int]) -> None:
    mask = catalogue.mask(None, (), frozenset({(name, wanted)}))
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == rows
    assert catalogue.mask(None, (), frozenset({(name, wanted)})) is mask, "equal filters can be batched"
    assert catalogue.mask(None, ("i0",), frozenset({(name, wanted)})) is not mask


def test_shared_words_are_telling_words(catalogue: Catalogue) -> None:
    words = catalogue.words_of([0, 4])
    assert "story" in words
    assert catalogue.shared_words(0, {"boot", "story", "war", "absent"}) == ("boot", "war")


# --- diversify --------------------------------------------------------------------------------------------


def test_novelty_and_diversity_of_zero_change_nothing() -> None:
    items, scores = np.arange(5, dtype=np.int32), np.array([9.0, 7, 5, 3, 1])
    found, _ = diversify(items, scores, 3, novelty=0, diversity=0, popularity=np.ones(5, np.float32), vectors=None)
    assert found.tolist() == [0, 1, 2]


def test_novelty_and_explore() -> None:
    items, scores = np.arange(6, dtype=np.int32), np.array([1.0, 0.99, 0.98, 0.6, 0.59, 0.0])
    popularity = np.array([100, 90, 80, 5, 4, 1], np.float32)
    vectors = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1, 1]]
    novel, _ = diversify(items, scores, 2, novelty=1, diversity=0, popularity=popularity, vectors=None)
    assert novel.tolist() == [5, 4]
    varied, _ = diversify(items, scores, 3, novelty=0, diversity=0.5, popularity=popularity, vectors=vectors)
    assert varied.tolist() == [0, 3, 1]
    few, _ = diversify(items[:2], scores[:2], 5, novelty=0, diversity=1, popularity=popularity, vectors=vectors)
    assert sorted(few.tolist()) == [0, 1]
    none, _ = diversify(items[:0], scores[:0], 5, novelty=0.5, diversity=0.5, popularity=popularity, vectors=vectors)
    assert none.tolist() == []


# --- trend --------------------------------------------------------------------------------------------


def test_trend_decays_and_never_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(trend.time, "time", lambda: now)
    made, row = trend.Trending(), {"a": 0, "b": 1, "c": 2}
    made.add("a", now, 4)
    made.add("b", now - trend.HALF_LIFE_SECONDS, 4)
    made.add("b", now + 1e9)
    assert made.counts(row).tolist() == [4, 3, 0]
    now += trend.HALF_LIFE_SECONDS
    assert made.counts(row).tolist() == [2, 1.5, 0]
    for _ in range(50):
        now += 90 * trend.HALF_LIFE_SECONDS
        made.add("c", now)
    assert np.isfinite(made.counts(row)).all()
    assert made.counts(row)[2] == pytest.approx(1)


def test_a_user_counts_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(trend.time, "monotonic", lambda: now)
    pairs = trend.RecentPairs()
    assert [pairs.add("u", "a"), pairs.add("u", "a"), pairs.add("u", "b"), pairs.add("v", "a")] == [1, 0, 1, 1]
    now += trend.WINDOW_SECONDS + 1
    assert not pairs.add("u", "a"), "for one window at least"
    now += trend.WINDOW_SECONDS + 1
    assert pairs.add("u", "a"), "for two at most"


def test_who_took_what_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trend, "KEPT_PAIRS", 100)
    pairs = trend.RecentPairs()
    assert all(pairs.add(f"u{n}", "a") for n in range(1000))
    assert len(pairs._now) + len(pairs._before) <= 200
    assert not pairs.add("u999", "a")


# --- recent events -------------------------------------------------------------------------------------------


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


def test_the_cache_holds_so_many_events_and_no_more(sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.serving.events.recent.KEPT_EVENTS", 10)
    recent = RecentEvents(sqlite, CircuitBreaker("store", 5.0))
    users = [f"u{n}" for n in range(20)]
    for round_ in range(3):
        sqlite.record([Event(user, f"i{round_}", 1.0, 1 + round_) for user in users])
        recent.drop(users[::2])
        for user in users:
            assert len(recent.of([user])[user]) >= (round_ + 1 if user in users[::2] else 1)
        assert recent._cache.currsize == sum(len(events) for events in recent._cache.values()) <= 10
    recent.clear()
    assert len(recent.of(users)["u0"]) == 3, "what does not fit is answered all the same"


# --- new items ------------------------------------------------------------------------------------------


def test_new_items_get_a_place_by_their_neighbours() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    like_evens, like_odds = data.item_features.values[0::2].mean(0), data.item_features.values[1::2].mean(0)
    content = Content().fit(data).extend(["even", "odd"], np.stack([like_evens, like_odds]))
    model = EASE(10.0).fit(data)
    grown = add_items(model, content, ["even", "odd"], np.stack([like_evens, like_odds]))
    assert isinstance(grown, ByNeighbours)
    histories = History.of([[0, 2, 4], [1, 3], [12], [13], []], 14)
    scores = grown.score(histories)
    assert scores.shape == (5, 14)
    assert np.array_equal(scores[:2, :12], model.score(History.of([[0, 2, 4], [1, 3]], 12))), "known items as before"
    assert scores[0, 12] > scores[0, 13]
    assert scores[1, 13] > scores[1, 12]
    assert grown.recommend(histories.select([2]), k=1).item[0, 0] % 2 == 0
    shares = grown.contributions(histories.select([0]), np.arange(14, dtype=np.int32))
    assert np.allclose(shares.sum(axis=1), scores[0], atol=1e-5), "and its shares add up"


# --- strongest ----------------------------------------------------------------------------------------


def _strongest_plain(shares: Float32, causes: Int32) -> list[list[int]]:
    out = []
    for row in shares:
        best: dict[int, float] = {}
        for share, cause in zip(row.tolist(), causes.tolist(), strict=True):
            if share > 0:
                best[cause] = max(share, best.get(cause, 0.0))
        out.append(sorted(best.values(), reverse=True)[:2])
    return out


@settings(deadline=None)  # the first call compiles
@given(st.data())
def test_the_two_strongest(data: st.DataObject) -> None:
    m, length = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 9))
    shares = data.draw(hnp.arrays(np.float32, (m, length), elements=st.floats(-1, 1, width=32)))
    causes = data.draw(hnp.arrays(np.int32, length, elements=st.integers(0, 5)))
    found = strongest(shares, causes)
    expected = _strongest_plain(shares, causes)
    for row, names, values in zip(shares, found, expected, strict=True):
        assert len(set(names)) == len(names) == len(values)
        assert [max(row[causes == name].tolist()) for name in names] == values


# --- back into the data -------------------------------------------------------------------------------


def test_the_log_goes_back_into_the_data(sqlite: SQLiteStore) -> None:
    data = toy_dataset()
    sqlite.record([Event("u0", "i1", 1.0, 2_000_000_000), Event("gone", "i1", 1.0, 2_000_000_000)])
    sqlite.put_items([ItemChange("n1", {"title": "New", "genres": ["a", "b"], "plot": "a plot"})])
    sqlite.put_items([ItemChange("i0", {"title": "Renamed"})])
    sqlite.delete_user("u1")
    sqlite.delete_user("gone")
    sqlite.record([Event("fresh", "n1", 1.0, 2_000_000_001), Event("fresh", "n2", 0.0, 2_000_000_002)])
    merged = with_log(data, sqlite)
    assert "u1" not in merged.user_ids
    assert "gone" not in merged.user_ids
    assert merged.n_users == data.n_users - 1 + 1
    assert merged.item_ids.values.to_pylist()[-2:] == ["n1", "n2"]
    assert merged.items.column("title").to_pylist()[0] == "Renamed"
    assert merged.items.column("title").to_pylist()[-2:] == ["New", None]
    assert merged.items.column("genres").to_pylist()[-2] == "a|b"
    assert merged.items.column("plot").to_pylist()[-2] == "a plot"
    fresh = merged.history([merged.user_ids.row("fresh")])
    assert (fresh.weight.tolist(), fresh.rating is not None and fresh.rating.tolist()) == ([1, 0], [4, 1])
    own = int((data.user == data.user_ids.row("u1")).sum())
    assert len(merged) == len(data) - own + 3
    again = with_log(merged, sqlite)
    assert len(again) == len(merged), "an event counts once, however often the data is made anew"
    kept = merged.where(merged.user == merged.user_ids.row("u2"))
    before = data.where(data.user == data.user_ids.row("u2"))
    assert kept.item.tolist() == before.item.tolist()


def test_an_empty_log_changes_nothing(sqlite: SQLiteStore) -> None:
    data = toy_dataset()
    assert with_log(data, sqlite).fingerprint() == data.fingerprint()


def test_a_run_is_put_in_place_and_brought_back(tmp_path: Path) -> None:
    for name, text in (("run", "old"), ("new", "new"), ("newer", "newer")):
        with publish(tmp_path / name) as aside:
            (aside / "text").write_text(text)
    run = tmp_path / "run"
    put_in_place(tmp_path / "new", run)
    assert (run / "text").read_text() == "new"
    assert not (tmp_path / "new").exists()
    put_in_place(tmp_path / "newer", run)
    roll_back(run)
    assert (run / "text").read_text() == "new"
    roll_back(run)
    assert (run / "text").read_text() == "newer"
