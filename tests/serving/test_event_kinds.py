"""Kinds of events: one table of weights for files and the service, and what an event does to the next list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from genre.config.reading import parse_config
from genre.data.dataset import Dataset
from genre.data.event_kinds import EventKinds
from genre.data.ids import Ids
from genre.errors import ConfigError, DataError, OptionError
from genre.runs import Run
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.refresh import with_log
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from genre.serving.weighed_events import take_back, take_back_of_users

CONFIG = "name: x\n{more}data: {{kind: files, interactions: a.csv{columns}}}\nrecommenders: [{{kind: popularity}}]\n"


def parsed(more: str = "", columns: str = "") -> Any:
    return parse_config(CONFIG.format(more=more, columns=columns), "x.yaml").experiment


def test_there_is_one_table_for_files_and_the_service() -> None:
    weights = {"view": 1.0, "buy": 10.0}
    in_columns = parsed(columns=", columns: {event_kinds: {view: 1, buy: 10}}")
    assert in_columns.events.weights == weights
    named = parsed("events: {weights: {buy: 10, share: 2}}\n", ", columns: {event: action}")
    assert named.data.columns.event_kinds == named.events.table
    assert (named.events.weight("share"), named.events.weight("dislike")) == (2, -1)
    with pytest.raises(ConfigError, match=r"events.weights and data.columns.event_kinds differ; leave event_kinds out"):
        parsed("events: {weights: {buy: 3}}\n", ", columns: {event_kinds: {buy: 10}}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"show": 1.0}}, "'show' is no interaction"),
        ({"weights": {"buy": float("nan")}}, "should be a finite number"),
        ({"outcomes": ("purchase",)}, "no kind of event 'purchase'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        EventKinds(**options)


def test_negative_weights_take_from_the_top_of_the_pile() -> None:
    item, weight = np.array([1, 2, 1, 1, 1]), np.array([1, 5, 2, -2.5, 4], np.float32)
    assert take_back(item, weight).tolist() == [0.5, 5, 0, 0, 4]
    user = np.array([0, 0, 1, 1, 0])
    times = np.array([1, 1, 2, 1, 0])
    weight = np.array([1, 1, -2, 1, -1], np.float32)
    assert take_back_of_users(user, np.array([3, 4, 3, 3, 3]), times, weight).tolist() == [1, 1, 0, 0, 0]


def unseen(service: Service, user: str) -> list[str]:
    return [item["item_id"] for item in service.recommend(ListRequest(user, k=5, record=False)).items]


def test_a_dislike_or_a_skip_changes_the_next_list(service: Service) -> None:
    service.record([Event("new", "i0", kind="like"), Event("new", "i2", kind="play")])
    liked = unseen(service, "new")
    service.record([Event("new", liked[0], kind="skip")])
    assert liked[0] not in unseen(service, "new")
    before = service.recommend(ListRequest("new", k=5, record=False)).items[0]["score"]
    service.record([Event("new", "i0", kind="dislike", timestamp=0)])
    after = service.recommend(ListRequest("new", k=5, record=False)).items[0]["score"]
    assert after < before, "the like is taken back"
    assert [one["weight"] for one in service.user("new")["history"] if one["item_id"] == "i0"] == [0, 0]


def test_kinds_weigh_by_the_table_of_the_run(run: Run, tmp_path: Path) -> None:
    own = replace(run, event_kinds=EventKinds({"buy": 4.0, "gift": 2.0}))
    service = Service([own], SQLiteStore(tmp_path / "own.sqlite"))
    service.record([Event("x", "i0", kind="buy"), Event("x", "i1", kind="gift"), Event("x", "i2", 0.5)])
    assert [one["weight"] for one in service.user("x")["history"]] == [4, 2, 0.5]
    with pytest.raises(DataError, match=r"no kind of event 'gitf'.*did you mean 'gift'"):
        service.record([Event("x", "i0", kind="gitf")])
    service.close()


def test_a_refresh_learns_kinds_with_their_weights(store: EventStore) -> None:
    data = Dataset.from_arrays(
        user=[0, 0], item=[0, 1], user_ids=Ids(["a"]), item_ids=Ids(["x", "y"]), timestamp=[1, 2], weight=[1, 1]
    )
    store.record(
        [
            Event("a", "x", -1.0, 5, kind="dislike"),
            Event("b", "x", 1.0, 6, kind="buy"),
            Event("b", "y", 0.0, 7, kind="skip"),
            Event("b", "z", 0.0, 8, "s", kind="show", recommendation_id="l"),
        ]
    )
    made = with_log(data, store, EventKinds({"buy": 4.0}))
    rows = zip(made.user.tolist(), made.item.tolist(), made.weight.tolist(), strict=True)
    assert list(rows) == [(0, 0, 0), (0, 1, 1), (0, 0, 0), (1, 0, 4), (1, 1, 0)]
    assert list(made.item_ids.values.to_pylist()) == ["x", "y"], "a show is no interaction"
    assert with_log(made, store, EventKinds({"buy": 4.0})).fingerprint() == made.fingerprint()


@pytest.mark.parametrize("timestamp", [None, [3, 4]])
def test_ratings_and_what_is_taken_back(store: EventStore, timestamp: list[int] | None) -> None:
    data = Dataset.from_arrays(
        user=[0, 0],
        item=[0, 1],
        user_ids=Ids(["a"]),
        item_ids=Ids(["x", "y"]),
        rating=[5, 4],
        timestamp=timestamp,
        rating_scale=(1.0, 5.0, 1.0),
        positive_rating=4.0,
    )
    rates = [Event("b", "x", 1.0, 5, kind="rate", value=2.0), Event("b", "y", 1.0, 6, kind="rate", value=5.0)]
    store.record([*rates, Event("a", "x", -1.0, 9, kind="dislike")])
    made = with_log(data, store)
    assert made.rating is not None
    ratings = dict(zip(zip(made.user, made.item, strict=True), made.rating, strict=True))
    assert ratings == {(0, 0): 1, (0, 1): 4, (1, 0): 2, (1, 1): 5}
    assert made.weight[made.user == 1].tolist() == [0, 1]
    assert with_log(made, store).fingerprint() == made.fingerprint()


def test_events_over_http_have_one_meaning(url: str, run: Run, sqlite: SQLiteStore) -> None:
    def send(**more: Any) -> httpx.Response:
        return httpx.post(f"{url}/v1/events", json={"user_id": "http", "item_id": "i1", **more}, timeout=30)

    assert send().json() == {"recorded": 1, "duplicates": 0}, "as old clients do"
    assert send(weight=0.5).status_code == 200
    click = {"kind": "click", "recommendation_id": "l1", "position": 2, "event_id": "c", "value": 3.5}
    assert send(**click).json() == {"recorded": 1, "duplicates": 0}
    assert send(**click).json() == {"recorded": 0, "duplicates": 1}
    assert send(**click | {"position": 3}).status_code == 409
    for more, problem in (
        ({"kind": "buy", "weight": 2}, "leave `weight` out"),
        ({"kind": "rate"}, "needs `value`"),
        ({"kind": "show"}, "needs `recommendation_id`"),
        ({"kind": "clikc"}, "did you mean 'click'"),
        ({"position": 0}, "position"),
    ):
        answer = send(**more)
        assert (answer.status_code, problem in answer.json()["detail"]) == (422, True), answer.text


def test_what_an_event_led_from_survives_the_log(store: EventStore) -> None:
    event = Event("a", "x", 1.0, 5, "e", kind="click", recommendation_id="l", position=3, value=2.5)
    shown = Event("a", "y", 0.0, 5, kind="show", recommendation_id="l", position=1)
    store.record([event, shown])
    assert list(store.entries()) == [event, shown]
    assert store.histories(["a"])["a"] == (event,), "a show is no part of a history"
    assert store.events_of("a") == [event, shown]
