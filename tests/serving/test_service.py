"""The service as its users meet it: outside ids in, answers out."""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.item_fields import Between, OneOf
from genre.errors import ConflictError, DataError, GenreError, StoreError, UnknownId
from genre.llm.settings import LLMOptions
from genre.recommenders.als import ALS
from genre.recommenders.base import Recommender
from genre.recommenders.baseline import Baseline
from genre.recommenders.blend import Blend
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.llm_reranker import LLMReranker
from genre.recommenders.phrasebook import ENGLISH
from genre.recommenders.popularity import Popularity
from genre.recommenders.profiled import Profiled
from genre.recommenders.recommendations import Recommendations
from genre.runs import Run
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ItemChange, Outcome
from genre.serving.limits import Limits
from genre.serving.refresh import with_log
from genre.serving.requests import ListRequest, RankedList
from genre.serving.search.catalogue import Catalogue
from genre.serving.service import Service
from genre.testing import FakeLanguageModel, missing_item, toy_dataset


def ids(answer: RankedList) -> list[str]:
    return [item["item_id"] for item in answer.items]


def test_a_known_user_gets_what_the_recommender_gives(service: Service, run: Run) -> None:
    for user in range(6):
        answer = service.recommend(ListRequest(f"u{user}", k=5))
        row = run.dataset.user_ids.row(f"u{user}")
        assert ids(answer) == run.recommenders["ease"].recommend(run.dataset.history([row]), k=5).ids()
        assert ids(answer)[0] == f"i{missing_item(user)}"
        assert (answer.source, answer.run, answer.recommender, answer.fallback) == ("personal", "toy", "ease", None)
        assert answer.items[0]["reason"].startswith("because of Story ")
        assert answer.items[0]["title"] == f"Story {missing_item(user)}"


def test_answers_do_not_depend_on_who_asks_beside(service: Service) -> None:
    asks = [
        ListRequest("u0", k=3),
        ListRequest("u1", k=8),
        ListRequest("nobody"),
        ListRequest(history=("i1", "i3")),
        ListRequest("u2", exclude_seen=False),
        ListRequest(words="space robots", k=2),
        ListRequest("u3", exclude=("i1",)),
        ListRequest("u4", novelty=0.7),
        ListRequest("u5", recommender="content"),
    ]
    together = service.recommend_many(asks)
    for ask, answer in zip(asks, together, strict=True):
        assert answer == service.recommend(ask)


def test_unknown_users_get_popular_items(service: Service) -> None:
    for ask in (
        ListRequest("nobody"),
        ListRequest(),
        ListRequest(history=()),
        ListRequest(history=("no such item",)),
        ListRequest("\N{SNOWMAN}" * 100),
    ):
        answer = service.recommend(ask)
        assert answer.source == "popular"
        assert len(answer.items) == 10


def test_a_history_is_folded_in(service: Service, run: Run) -> None:
    answer = service.recommend(ListRequest(history=("i1", "gone", "i3"), k=3))
    assert answer.source == "folded_in"
    assert ids(answer) == run.recommenders["ease"].recommend(["i1", "i3"], k=3).ids()


def test_an_event_changes_the_next_answer(service: Service) -> None:
    before = service.recommend(ListRequest("u0", k=3))
    assert service.record([Event("u0", ids(before)[0])]) == [Outcome.NEW]
    after = service.recommend(ListRequest("u0", k=3))
    assert after.source == "folded_in"
    assert ids(before)[0] not in ids(after)
    service.record([Event("newcomer", "i1"), Event("newcomer", "i3"), Event("newcomer", "not in the catalogue")])
    answer = service.recommend(ListRequest("newcomer", k=2))
    assert answer.source == "folded_in"
    assert all(int(item[1:]) % 2 for item in ids(answer))
    assert [one["item_id"] for one in service.user("newcomer")["history"]] == ["i1", "i3"]


def test_a_dislike_is_seen_but_speaks_for_nothing(service: Service) -> None:
    service.record([Event("picky", "i1", weight=0.0)])
    answer = service.recommend(ListRequest("picky"))
    assert answer.source == "popular"
    assert "i1" not in ids(answer)


def test_what_the_data_has_already_is_not_counted_again(service: Service, run: Run) -> None:
    row = run.dataset.user_ids.row("u0")
    history = run.dataset.history([row])
    assert history.timestamp is not None
    old = [
        Event("u0", run.dataset.item_ids[item], 1.0, int(at))
        for item, at in zip(history.item, history.timestamp, strict=True)
    ]
    service.record(old)
    assert service.recommend(ListRequest("u0")).source == "personal"


def test_filters_come_before_the_list_is_cut(service: Service) -> None:
    assert ids(service.recommend(ListRequest("u0", include=("i1", "i3", "gone"), k=5))) == ["i1", "i3"]
    assert "i9" not in ids(service.recommend(ListRequest("u1", exclude=("i9",), k=12)))
    castles = service.recommend(ListRequest("u0", k=12, filter=frozenset({("genres", OneOf(frozenset({"castles"})))})))
    assert castles.items
    assert all(int(item[1:]) % 2 for item in ids(castles))
    assert len(service.recommend(ListRequest("u0", exclude_seen=False, k=100)).items) == 12
    with pytest.raises(DataError, match=r"genre.*did you mean 'genres'"):
        service.recommend(ListRequest("u0", filter=frozenset({("genre", OneOf(frozenset({"x"})))})))
    nothing = service.recommend(ListRequest("u0", filter=frozenset({("title", Between(low=1))})))
    assert nothing.items == []


def test_an_unknown_name_is_an_error_of_that_request_alone(service: Service) -> None:
    answers = service.recommend_many(
        [ListRequest("u0"), ListRequest("u0", run="tox"), ListRequest("u0", recommender="eas")]
    )
    assert isinstance(answers[0], RankedList)
    assert "did you mean 'toy'" in str(answers[1])
    assert "did you mean 'ease'" in str(answers[2])


def test_words_find_items_by_meaning(service: Service) -> None:
    answer = service.recommend(ListRequest(words="robots in space", k=4))
    assert answer.source == "content"
    assert all(int(item[1:]) % 2 == 0 for item in ids(answer))
    assert answer.items[0]["reason"] == "shares: space", "the category; words that half the items have tell nothing"
    mixed = service.recommend(ListRequest("u0", words="castles knights and dragons", k=3))
    assert int(ids(mixed)[0][1:]) % 2, "the words count more than the history"


def test_words_without_an_encoder_are_looked_for_in_titles(run: Run, sqlite: SQLiteStore) -> None:
    service = Service([dataclasses.replace(run, item_encoder=None)], sqlite)
    answer = service.recommend(ListRequest(words="Story 7", k=3))
    assert answer.fallback == "words_unavailable"
    assert service.recommend(ListRequest(words="xyzzy")).source == "popular"


def test_explanations_hold_the_evidence(service: Service, run: Run) -> None:
    why = service.explain("i4", user_id="u0")
    assert (why.method, why.source) == ("exact", "personal")
    assert why.score == pytest.approx(sum(cause["share"] for cause in why.because), abs=1e-4)
    assert why.because == sorted(why.because, key=lambda cause: -cause["share"])
    assert service.explain("i4", user_id="nobody").method == "popularity"
    assert service.explain("gone", user_id="u0").method == "unknown"
    assert service.explain("i4", history=["i0"], recommender="content").because[0]["item_id"] == "i0"


def test_popularity_and_shares_add_up_to_the_score(run: Run, sqlite: SQLiteStore) -> None:
    blend = Blend((Popularity(), EASE(10.0)), weights=(0.8, 0.2)).fit(run.dataset)
    service = Service([dataclasses.replace(run, recommenders={"blend": blend, **run.recommenders})], sqlite)
    for name in ("blend", "ease", "item_knn", "popularity"):
        for why in (
            service.explain("i4", recommender=name, user_id="u0"),
            service.explain("i4", recommender=name, history=["i0", "i3"]),
        ):
            assert why.score == pytest.approx(why.popular + sum(cause["share"] for cause in why.because), abs=1e-4)
            assert (why.popular > 0) == (name in ("blend", "popularity"))
    stranger = service.explain("i4", user_id="nobody")
    assert stranger.popular == stranger.score == round(stranger.score or 0, 6)


def profiled(run: Run) -> Run:
    """The toy run with a sentence about each user that a language model wrote, and one stage that uses it."""
    texts = pa.array([f"The person likes {'caves' if user % 2 else 'robots'}." for user in range(run.dataset.n_users)])
    said = pa.field("profile", pa.string(), metadata={"genre.model": "small model"})
    users = run.dataset.users.append_column(said, texts)
    model = Profiled(EASE(10.0)).fit(toy_dataset())
    return dataclasses.replace(run, dataset=dataclasses.replace(run.dataset, users=users), recommenders={"told": model})


def test_what_a_language_model_adds_is_said_and_by_which(run: Run, sqlite: SQLiteStore) -> None:
    service = Service([profiled(run)], sqlite)
    found = service.explain("i4", user_id="u0")
    (part,) = found.parts
    assert (part.name, part.text, part.written_by) == ("profile", "The person likes robots.", "small model")
    assert found.score == pytest.approx(part.share + found.popular + sum(c["share"] for c in found.because), abs=1e-4)
    assert service.explain("i4", history=["i0"]).parts == [], "of a stranger nothing is said"
    alone = Profiled(Popularity(), weight=1.0).fit(toy_dataset())
    service = Service([dataclasses.replace(profiled(run), recommenders={"told": alone})], sqlite)
    assert service.recommend(ListRequest("u0", k=1)).items[0]["reason"] == "fits the profile"
    assert service.explain("i4", user_id="u0").reason.startswith("fits the profile")


def test_what_a_model_did_not_write_is_not_its_own(run: Run, sqlite: SQLiteStore) -> None:
    told = profiled(run)
    said = told.dataset.users.schema.field("profile")
    empty = pa.nulls(run.dataset.n_users, pa.string())
    at = told.dataset.users.schema.get_field_index("profile")
    users = told.dataset.users.set_column(at, said, empty)
    service = Service([dataclasses.replace(told, dataset=dataclasses.replace(told.dataset, users=users))], sqlite)
    (part,) = service.explain("i4", user_id="u0").parts
    assert (part.name, part.text, part.written_by) == ("profile", None, None)


def test_which_model_moved_an_item_is_said(run: Run, sqlite: SQLiteStore) -> None:
    llm = LLMOptions(FakeLanguageModel(name="mover"), ledger=":memory:")
    model = LLMReranker(Popularity(), llm, ("title",), n=6, weight=1.0, short_history=None).fit(run.dataset)
    service = Service([dataclasses.replace(run, recommenders={"moved": model})], sqlite)
    moved = [why for item in range(12) for why in service.explain(f"i{item}", user_id="u0").parts]
    assert {part.name for part in moved} == {"reordering"}
    assert all("mover" in (part.written_by or "") for part in moved)


def test_similar_items(service: Service) -> None:
    found = service.similar("i3", k=3)
    assert all(int(item[1:]) % 2 for item in ids(found))
    assert found.items[0]["reason"] == "similar to Story 3"
    assert service.similar("gone").source == "popular"


def test_popular_items_are_never_called_similar(run: Run, sqlite: SQLiteStore) -> None:
    """Whatever the recommender, also one that is popularity for the most part, and for an item nobody has met."""
    data = run.dataset
    members = (Popularity(), EASE(10.0), Content())
    blend = Blend(members, weights=(0.9, 0.05, 0.05)).fit(data)
    made = {"blend": blend, **run.recommenders, "baseline": Baseline().fit(data)}
    service = Service([dataclasses.replace(run, recommenders=made)], sqlite)
    service.put_item("n1", {"title": "Dragon Castle", "genres": "castles", "text": "castles knights dragons"})
    for name in made:
        for item in ("i3", "i4", "n1"):
            answer = service.similar(item, k=2, recommender=name)
            parity = {int(other[1:]) % 2 for other in ids(answer) if other != "n1"}
            assert parity == {0 if item == "i4" else 1}, (name, item, ids(answer))
            assert {one["reason"] for one in answer.items} == {f"similar to {service.item(item)['title']}"}
            assert answer.source == ("content" if name in ("popularity", "baseline") else "folded_in")
    bare = dataclasses.replace(data, item_features=None)
    alone = Service(
        [dataclasses.replace(run, dataset=bare, recommenders={"popularity": Popularity().fit(bare)})], sqlite
    )
    answer = alone.similar("i3", k=3)
    assert (answer.source, answer.fallback) == ("popular", None)
    assert {one["reason"] for one in answer.items} == {ENGLISH.popular}


def test_content_is_content_alone(run: Run, sqlite: SQLiteStore) -> None:
    """Texts that are mapped to another recommender's vectors say nothing of an item that nobody has met."""
    mapped = Content(recommender=ALS(factors=2)).fit(run.dataset)
    service = Service([dataclasses.replace(run, recommenders={"mapped": mapped})], sqlite)
    service.put_item("n1", {"title": "Dragon Castle", "genres": "castles", "text": "castles knights dragons"})
    answer = service.similar("n1", k=2)
    assert answer.source == "content"
    assert all(int(item[1:]) % 2 for item in ids(answer))


def test_trends_follow_the_events(service: Service) -> None:
    assert service.popular(trending=True).items == []
    service.record(
        [Event(f"v{n}", "i5") for n in range(3)] + [Event("v", "i6"), Event("v", "gone"), Event("v", "i7", 0.0)]
    )
    assert service.sync() == 6
    trending = service.popular(trending=True)
    assert ids(trending) == ["i5", "i6"]
    assert trending.items[0]["score"] == pytest.approx(3, abs=0.01)


def test_a_deleted_user_leaves_the_trend(run: Run, store: EventStore, reopened: Callable[[], EventStore]) -> None:
    one, other = Service([run], store), Service([run], reopened())
    one.record([Event("pusher", "i5"), Event("v", "i5"), Event("v", "i6")])
    for service in (one, other):
        service.sync()
        assert ids(service.popular(trending=True)) == ["i5", "i6"]
    before = popularity(one, "i5")
    one.delete_user("pusher")
    one.record([Event("w", "i7")])
    for service in (one, other):
        service.sync()
        trending = service.popular(trending=True)
        assert set(ids(trending)) == {"i5", "i6", "i7"}
        assert all(item["score"] == pytest.approx(1, abs=0.05) for item in trending.items)
        assert popularity(service, "i5") == pytest.approx(before - 1, abs=0.05), "nor does what everybody takes hold it"


def popularity(service: Service, item_id: str) -> float:
    return float(next(one["score"] for one in service.popular(k=12).items if one["item_id"] == item_id))


def test_one_user_makes_no_trend(run: Run, store: EventStore, reopened: Callable[[], EventStore]) -> None:
    service = Service([run], store)
    for round_ in range(3):
        service.record([Event("pusher", "i5") for _ in range(100)])
        service.record([Event(f"v{round_}", "i6")])
        service.sync()
    for one in (service, Service([run], reopened())):
        trending = one.popular(trending=True)
        assert ids(trending) == ["i6", "i5"]
        assert [item["score"] for item in trending.items] == pytest.approx([3, 1], abs=0.1)


def test_a_new_item_is_recommendable_at_once(service: Service) -> None:
    assert service.put_item(
        "n1", {"title": "Dragon Castle", "genres": "castles", "text": "castles knights dragons"}
    ) == {"toy": True}
    for recommender in ("ease", "content", "item_knn", "popularity"):
        answer = service.recommend(ListRequest("u1", k=13, recommender=recommender, exclude_seen=False))
        assert "n1" in ids(answer), recommender
    assert "n1" in ids(service.recommend(ListRequest("u1", k=3, recommender="content")))
    assert "n1" in ids(service.recommend(ListRequest(words="a castle, a dragon", k=2)))
    assert [item["item_id"] for item in service.search("dragon")] == ["n1"]
    assert service.explain("n1", user_id="u1").because
    service.record([Event("fresh", "n1")])
    answer = service.recommend(ListRequest("fresh", k=3))
    assert answer.source == "folded_in"
    assert all(int(item[1:]) % 2 for item in ids(answer))
    service.put_item("i0", {"title": "Renamed"})
    assert service.item("i0")["title"] == "Renamed"
    assert service.item("n1")["title"] == "Dragon Castle"


def test_a_new_item_trains_no_recommender(run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = dataclasses.replace(run, recommenders={"ease": run.recommenders["ease"]})
    service = Service([alone], sqlite)

    def fit(*_: object, **__: object) -> Content:
        raise AssertionError("what the texts of the run are like is known")

    monkeypatch.setattr(Content, "fit", fit)
    for name in ("n1", "n2"):
        service.put_item(name, {"title": "Dragon Castle", "text": "castles knights dragons"})
        assert name in ids(service.recommend(ListRequest(words="a castle, a dragon", k=3)))


def test_items_and_deletions_survive_a_restart(run: Run, store: EventStore, reopened: Callable[[], EventStore]) -> None:
    first = Service([run], store)
    first.put_item("n1", {"title": "Dragon Castle", "text": "castles"})
    first.record([Event("u0", "n1"), Event("u2", "i1")])
    assert first.delete_user("u0") == 1
    again = Service([run], reopened())
    assert again.item("n1")["title"] == "Dragon Castle"
    assert again.recommend(ListRequest("u0")).source == "popular"
    assert again.recommend(ListRequest("u2")).source == "folded_in"
    assert "u0" not in again.users()
    assert ids(again.popular(trending=True)) == ["i1"]


def test_processes_follow_one_another(run: Run, store: EventStore, reopened: Callable[[], EventStore]) -> None:
    one, other = Service([run], store), Service([run], reopened())
    assert other.recommend(ListRequest("shared")).source == "popular"
    one.record([Event("shared", "i1")])
    one.put_item("n1", {"title": "New", "text": "castles"})
    other.sync()
    assert other.recommend(ListRequest("shared")).source == "folded_in"
    assert other.item("n1")["title"] == "New"
    one.delete_user("shared")
    other.sync()
    assert other.recommend(ListRequest("shared")).source == "popular"


def test_a_deleted_user_starts_anew(service: Service) -> None:
    service.record([Event("u0", "i1")])
    service.delete_user("u0")
    assert service.recommend(ListRequest("u0")).source == "popular"
    assert service.user("u0")["history"] == []
    service.record([Event("u0", "i3")])
    assert [one["item_id"] for one in service.user("u0")["history"]] == ["i3"]


def test_users_are_split_over_runs_for_good(run: Run, sqlite: SQLiteStore, tmp_path: Path) -> None:
    runs = [run, dataclasses.replace(run, name="b")]
    service = Service(runs, sqlite, shares={"toy": 0.25, "b": 0.75})
    drawn = {user: service.recommend(ListRequest(user)).run for user in (f"x{n}" for n in range(400))}
    assert 60 < sum(name == "toy" for name in drawn.values()) < 140
    again = Service(runs, sqlite, shares={"toy": 1, "b": 3})
    assert all(again.recommend(ListRequest(user)).run == name for user, name in drawn.items())
    assert service.recommend(ListRequest("x1", run="toy")).run == "toy"
    assert service.recommend(ListRequest(history=("i1",))).run == "toy"
    with pytest.raises(UnknownId, match="run 'B'; served: toy, b"):
        Service(runs, sqlite, shares={"B": 1.0})
    with pytest.raises(GenreError, match="a run twice, or two folders of the same name; give each run once, or rename"):
        Service([run, run], sqlite)


def test_a_loaded_run_that_was_replaced_leaves_nothing_behind(service: Service) -> None:
    state = service._state
    old = state.loaded_run(None)
    service.put_item("n1", {"title": "Dragon Castle", "text": "castles"})
    assert len(state.fallback.popularity(old)) == 12, "a request that still holds it"
    gone = weakref.ref(old)
    del old
    gc.collect()
    assert gone() is None
    assert not state.fallback._popularity
    assert len(state.fallback.popularity(state.loaded_run(None))) == 13


# --- swapping -----------------------------------------------------------------------------------------


class Broken(EASE):
    def _score(self, history: History) -> Float32:
        raise ValueError("cannot score")

    def _contributions(self, history: History, items: Int32) -> Float32:
        raise ValueError("cannot score")

    def similar_items(self, items: Int32, *, k: int = 10) -> Recommendations:
        raise ValueError("cannot score")


def test_a_run_that_does_not_answer_is_not_swapped_in(service: Service, run: Run) -> None:
    before = service.recommend(ListRequest("u0"))
    broken = Broken(10.0).fit(run.dataset)
    with pytest.raises(GenreError, match=r"does not answer: toy/ease/model/recommend \(failed: cannot score\)"):
        service.swap(dataclasses.replace(run, recommenders={"ease": broken}))
    assert service.recommend(ListRequest("u0")) == before


def test_swap_and_swap_back(service: Service, run: Run) -> None:
    before = service.recommend(ListRequest("u0"))
    service.swap(dataclasses.replace(run, recommenders={"content": run.recommenders["content"]}))
    assert service.recommend(ListRequest("u0")).recommender == "content"
    service.swap(run)
    assert service.recommend(ListRequest("u0")) == before
    with pytest.raises(UnknownId, match="no run"):
        service.swap(run, "other")


class Constant(Recommender):
    """Scores that say which model they come from."""

    def __init__(self, mark: int) -> None:
        self.mark = mark

    def _fit(self, dataset: Dataset, validation: object, log: object) -> None:
        pass

    def _score(self, history: History) -> Float32:
        return np.full((len(history), history.n_items), self.mark, np.float32)


def test_no_answer_mixes_two_runs(run: Run, sqlite: SQLiteStore) -> None:
    def marked(mark: int) -> Run:
        data = toy_dataset()
        titles = [f"{title} v{mark}" for title in data.titles()]
        items = data.items.set_column(data.items.column_names.index("title"), "title", [titles])
        data = dataclasses.replace(data, items=items)
        return Run(Path("x"), "toy", data, {"constant": Constant(mark).fit(data)})

    service = Service([marked(0)], sqlite)
    stop, mixed = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            for answer in service.recommend_many([ListRequest("u0"), ListRequest("u1")]):
                assert isinstance(answer, RankedList)
                marks = {item["title"][-1] for item in answer.items} | {
                    str(int(item["score"])) for item in answer.items
                }
                if len(marks) != 1:
                    mixed.append(marks)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for mark in range(1, 10):
        service.swap(marked(mark))
    stop.set()
    for thread in threads:
        thread.join()
    assert mixed == []
    assert service.recommend(ListRequest("u0")).items[0]["score"] == 9


# --- fallback -----------------------------------------------------------------------------------------


class Slow(EASE):
    """Answers when it is let."""

    def _wait(self) -> None:
        gate = getattr(self, "gate", None)
        if gate is not None:
            gate.wait(10)

    def _score(self, history: History) -> Float32:
        self._wait()
        return super()._score(history)

    def _contributions(self, history: History, items: Int32) -> Float32:
        self._wait()
        return super()._contributions(history, items)

    def similar_items(self, items: Int32, *, k: int = 10) -> Recommendations:
        self._wait()
        return super().similar_items(items, k=k)


QUICK = Limits(model_seconds=0.05, words_seconds=0.05, store_seconds=0.05, failures=2, pause_seconds=0.3)
IMPATIENT = dataclasses.replace(QUICK, warm_seconds=1.0)


def slow(run: Run) -> tuple[Slow, threading.Event]:
    for compiled in run.recommenders.values():  # else the first call of a fallback is late, too
        compiled.recommend(run.dataset.history([0]), k=3)
    model, gate = Slow(10.0).fit(run.dataset), threading.Event()
    model.gate = gate  # type: ignore[attr-defined]
    return model, gate


def test_a_late_model_gives_way_and_comes_back(run: Run, sqlite: SQLiteStore) -> None:
    model, gate = slow(run)
    service = Service([dataclasses.replace(run, recommenders={"slow": model})], sqlite, limits=QUICK)
    answer = service.recommend(ListRequest("u0", k=3))
    assert (answer.source, answer.fallback) == ("content", "model_late")
    assert service.recommend(ListRequest("u0")).fallback == "model_late"
    assert service.recommend(ListRequest("u0")).fallback == "model_paused"
    started = time.monotonic()
    assert service.recommend(ListRequest("u0")).source == "content"
    assert time.monotonic() - started < QUICK.model_seconds, "a paused stage is not waited for"
    assert service.failing_calls() == ["toy/slow/model/recommend"]
    assert service.similar("i3").source == "content"
    assert service.explain("i3", user_id="u1").fallback == "model_late"
    gate.set()
    time.sleep(QUICK.pause_seconds + 0.05)
    assert service.recommend(ListRequest("u0")).source == "personal", "recovers without anybody"
    assert service.failing_calls() == []


def test_a_late_language_model_leaves_the_rest_of_a_blend(run: Run, sqlite: SQLiteStore) -> None:
    late = LLMOptions(FakeLanguageModel(fault="hang", patience_seconds=0.5), ledger=":memory:")
    inner = LLMReranker(EASE(10.0), late, ("title",), "list", n=4, short_history=None)
    blend = Blend((Popularity(), inner), weights=(0.1, 1)).fit(run.dataset)
    service = Service([dataclasses.replace(run, recommenders={"blend": blend})], sqlite, limits=QUICK)
    answer = service.recommend(ListRequest("u0", k=3))
    assert (answer.source, answer.fallback) == ("personal", "rerank_late")
    plain = blend.without_llm().recommend(run.dataset.history([0]), k=3)
    assert ids(answer) == plain.ids()


def test_without_content_popular_items_are_the_last_step(run: Run, sqlite: SQLiteStore) -> None:
    model, gate = slow(run)
    bare = dataclasses.replace(run, dataset=toy_dataset(), recommenders={"slow": model}, item_encoder=None)
    bare = dataclasses.replace(bare, dataset=dataclasses.replace(bare.dataset, item_features=None))
    service = Service([bare], sqlite, limits=QUICK)
    answer = service.recommend(ListRequest("u0", k=3))
    assert (answer.source, answer.fallback) == ("popular", "model_late")
    seen = {one["item_id"] for one in service.user("u0")["history"]}
    assert not seen & set(ids(answer))
    gate.set()


def test_a_failing_model_gives_way(run: Run, sqlite: SQLiteStore) -> None:
    broken = Broken(10.0).fit(run.dataset)
    service = Service([dataclasses.replace(run, recommenders={"broken": broken})], sqlite, limits=QUICK)
    assert service.recommend(ListRequest("u0")).fallback == "model_failed"


def test_a_late_second_stage_leaves_the_first(run: Run, sqlite: SQLiteStore) -> None:
    model, gate = slow(run)
    model.first_ = (run.recommenders["ease"],)  # type: ignore[attr-defined]
    service = Service([dataclasses.replace(run, recommenders={"reranked": model})], sqlite, limits=QUICK)
    answer = service.recommend(ListRequest("u0", k=3))
    assert (answer.source, answer.fallback) == ("personal", "rerank_late")
    assert ids(answer)[0] == f"i{missing_item(0)}"
    gate.set()


def test_a_store_that_does_not_answer_leaves_the_data(run: Run, sqlite: SQLiteStore) -> None:
    service = Service([run], sqlite, limits=QUICK)
    gate, real = threading.Event(), sqlite.histories

    def hanging(user_ids: list[str]) -> object:
        gate.wait(10)
        return real(user_ids)

    sqlite.histories = hanging  # type: ignore[method-assign,assignment]
    answer = service.recommend(ListRequest("u0", k=3))
    assert (answer.source, answer.fallback) == ("personal", "store_late")
    assert service.user("u2")["fallback"] == "store_late", "a history without recent events says so"
    gate.set()
    time.sleep(0.4)
    assert service.recommend(ListRequest("u0")).fallback is None
    assert service.user("u2")["fallback"] is None

    def failing(user_ids: list[str]) -> object:
        raise StoreError("gone")

    sqlite.histories = failing  # type: ignore[method-assign,assignment]
    assert service.recommend(ListRequest("u1")).fallback == "store_failed"


def test_late_words_are_looked_for_in_titles(run: Run, sqlite: SQLiteStore) -> None:
    class Hanging(type(run.item_encoder)):  # type: ignore[misc]
        def encode_texts(self, texts: object, **_: object) -> Float32:
            time.sleep(1)
            raise AssertionError

    service = Service([dataclasses.replace(run, item_encoder=Hanging())], sqlite, limits=QUICK)
    answer = service.recommend(ListRequest(words="story 7", k=2))
    assert (answer.source, answer.fallback) == ("content", "words_late")


# --- novelty --------------------------------------------------------------------------------------------


def test_novelty_leads_away_from_popular_items(service: Service, run: Run) -> None:
    popularity = np.bincount(run.dataset.item, run.dataset.weight > 0, run.dataset.n_items)

    def mean(novelty: float) -> float:
        answer = service.recommend(ListRequest("u0", k=4, novelty=novelty, exclude_seen=False))
        return float(np.mean([popularity[run.dataset.item_ids.row(item)] for item in ids(answer)]))

    assert mean(1.0) < mean(0.0)
    assert mean(1.0) == np.sort(popularity)[:4].mean()


# --- warming up ---------------------------------------------------------------------------------------


def test_what_fails_or_hangs_does_not_keep_the_service_from_being_ready(run: Run, sqlite: SQLiteStore) -> None:
    model, gate = slow(run)
    made = {"broken": Broken(10.0).fit(run.dataset), "slow": model, **run.recommenders}
    service = Service([dataclasses.replace(run, recommenders=made)], sqlite, limits=IMPATIENT)
    started = time.monotonic()
    troubles = service.warm()
    assert time.monotonic() - started < 5, "all stages are waited for at the same time"
    assert service.ready
    hung = ["toy/slow/model/recommend", "toy/slow/model/similar"]
    assert sorted(troubles) == sorted(service.failing_calls())
    assert sorted(troubles) == ["toy/broken/model/recommend", "toy/broken/model/similar", *hung]
    assert "cannot score" in troubles["toy/broken/model/recommend"]
    assert service.recommend(ListRequest("u0", recommender="slow")).fallback == "model_paused", (
        "no caller waits for it again"
    )
    assert service.recommend(ListRequest("u0", recommender="ease")).source == "personal"
    gate.set()
    time.sleep(IMPATIENT.pause_seconds + 0.1)
    assert not set(hung) & set(service.warm()), "it is tried again"
    assert service.recommend(ListRequest("u0", recommender="slow")).source == "personal"


def test_with_nothing_but_popularity_it_is_not_ready(run: Run, sqlite: SQLiteStore) -> None:
    broken = {"broken": Broken(10.0).fit(run.dataset)}
    bare = dataclasses.replace(toy_dataset(), item_features=None)
    service = Service([Run(run.folder, "toy", bare, broken)], sqlite, limits=IMPATIENT)
    service.warm()
    assert not service.ready


def test_an_encoder_that_cannot_be_had_costs_the_words_alone(run: Run, sqlite: SQLiteStore) -> None:
    class Gone(type(run.item_encoder)):  # type: ignore[misc]
        def encode_texts(self, texts: object, **_: object) -> Float32:
            raise GenreError("the package index does not answer")

    service = Service([dataclasses.replace(run, item_encoder=Gone())], sqlite, limits=IMPATIENT)
    assert list(service.warm()) == ["toy/words"]
    assert service.ready
    assert service.recommend(ListRequest(words="story 7")).fallback == "words_paused"


def test_new_items_wait_for_an_encoder_that_cannot_be_had(run: Run, sqlite: SQLiteStore) -> None:
    class Gone(type(run.item_encoder)):  # type: ignore[misc]
        gone = True

        def encode_texts(self, texts: object, **_: object) -> Float32:
            if self.gone:
                raise GenreError("the package index does not answer")
            return super().encode_texts(texts)  # type: ignore[no-any-return]

    sqlite.put_items([ItemChange("n1", {"title": "Dragon Castle", "text": "castles"})])
    encoder = Gone()
    limits = dataclasses.replace(
        IMPATIENT, model_seconds=10.0, warm_seconds=10.0
    )  # nothing hangs here, and the machine may be busy
    service = Service([dataclasses.replace(run, item_encoder=encoder)], sqlite, limits=limits)
    service.warm()
    assert service.put_item("n2", {"title": "Robots", "text": "space robots"}) == {"toy": False}
    assert service.recommend(ListRequest("u0")).source == "personal"
    encoder.gone = False
    time.sleep(IMPATIENT.pause_seconds + 0.1)
    assert service.warm() == {}
    assert [service.item(item)["title"] for item in ("n1", "n2")] == ["Dragon Castle", "Robots"]


def test_a_run_whose_second_stage_hangs_as_before_is_swapped_in(run: Run, sqlite: SQLiteStore) -> None:
    def reranked() -> Run:
        model, _ = slow(run)
        model.first_ = (run.recommenders["ease"],)  # type: ignore[attr-defined]
        return dataclasses.replace(run, recommenders={"reranked": model})

    service = Service([reranked()], sqlite, limits=IMPATIENT)
    service.warm()
    assert service.ready
    fresh = reranked()
    service.swap(fresh)
    assert service.run() is fresh
    assert service.recommend(ListRequest("u0")).fallback == "rerank_paused"
    with pytest.raises(GenreError, match="toy/reranked/rerank/recommend"):
        Service([run], sqlite, limits=IMPATIENT).swap(reranked())


# --- large items --------------------------------------------------------------------------------------


def test_items_have_bounds_each_and_together(run: Run, sqlite: SQLiteStore) -> None:
    service = Service([run], sqlite, limits=Limits(item_chars=1000, new_items_chars=2500))
    for fields in ({"text": "x" * 1001}, {"tags": ["x" * 100] * 10}, {"n" * 1000: "x"}):
        with pytest.raises(DataError, match="may have 1,000 characters together"):
            service.put_item("large", fields)
    service.put_item("a", {"text": "x" * 900})
    with pytest.raises(DataError, match="its earlier changes included, found 1,107"):
        service.put_item("a", {"more": "x" * 199})
    service.put_item("b", {"text": "x" * 900})
    with pytest.raises(ConflictError, match="may have 2,500 characters together"):
        service.put_item("c", {"text": "x" * 900})
    service.put_item("b", {"text": "x"})  # a change that is smaller makes room
    service.put_item("c", {"text": "x" * 900})
    assert sqlite.last() == 4, "what is refused is not recorded"


def test_new_fields_have_a_bound_and_items_one_id(run: Run, sqlite: SQLiteStore) -> None:
    service = Service([run], sqlite, limits=Limits(new_fields=3))
    service.put_item("a", {"title": "A", "x": "1", "y": "2", "item_id": "a"})
    service.put_item("b", {"title": "B", "z": "3"})
    with pytest.raises(ConflictError, match="may have 3 fields that run 'toy' does not have"):
        service.put_item("b", {"w": "4"})
    service.put_item("b", {"x": "5"})
    with pytest.raises(DataError, match="the address names the item 'b'"):
        service.put_item("b", {"item_id": "a"})
    assert sqlite.last() == 3, "what is refused is not recorded"


def test_stars_that_the_data_cannot_have_are_refused_and_not_learnt(run: Run, sqlite: SQLiteStore) -> None:
    service = Service([run], sqlite)
    for stars in (1e12, -1e12, 5.5, 0.0):
        with pytest.raises(DataError, match="stars of this data are 1 to 5"):
            service.record([Event("u0", "i1", kind="rate", value=stars)])
    service.record([Event("u0", "i1", kind="rate", value=4.5)])
    sqlite.record([Event("u1", "i0", 0.0, kind="rate", value=1e12)])  # of a version before, or by another hand
    rating = with_log(run.dataset, sqlite).rating
    assert rating is not None
    assert (rating.min(), rating.max()) == (1, 5)
    assert 4.5 in rating


def test_all_work_of_a_query_is_inside_its_time_limit(
    run: Run, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service([run], sqlite, limits=Limits(words_seconds=0.1, failures=100))
    service.warm()
    gate = threading.Event()

    def slow(*_: object, **__: object) -> None:
        gate.wait(30)

    loaded = service._state.loaded_run(None)
    for owner, name, fallback in (
        (type(loaded.matcher), "parse", "words_late"),
        (type(loaded.matcher), "match", "words_late"),
        (Catalogue, "with_words", "words_late"),
        (Catalogue, "shared_words", None),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, slow)
            if name == "with_words":
                patch.setattr(type(loaded.matcher), "match", slow)
            begun = time.monotonic()
            answer = service.recommend(ListRequest(words=f"robots in space {name}", k=3))
            assert time.monotonic() - begun < 10, name
        assert (answer.fallback, len(answer.items)) == (fallback, 3), name
        gate.set()  # the thread is free again
        gate = threading.Event()
