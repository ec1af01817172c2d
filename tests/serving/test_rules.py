"""Rules in the service: in every list of a run, in a request, with items that change while it runs, and over HTTP."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from genre.errors import DataError
from genre.rules.base import Rule
from genre.rules.built_in import AtLeast, AtMost, Boost, Hide, NotWithin, Pin
from genre.rules.rule_set import rules_for
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.http.app import create_app
from genre.serving.requests import ListRequest, RankedList
from genre.serving.service import Service

Serve = Callable[..., Service]


@pytest.fixture
def serve(run: Run, sqlite: SQLiteStore) -> Serve:
    """A service of the toy run with rules."""

    def made(*rules: Rule) -> Service:
        service = Service([dataclasses.replace(run, rules=rules_for(rules, run.dataset))], sqlite)
        service.warm()
        return service

    return made


def ids(answer: RankedList) -> list[str]:
    return [one["item_id"] for one in answer.items]


def test_a_hidden_item_is_in_no_list_of_any_kind(serve: Serve, service: Service) -> None:
    first = ids(service.recommend(ListRequest("u0", k=1)))[0]
    hidden = serve(Hide(items=(first,)))
    hidden.record([Event(f"u{n}", first) for n in range(3)])
    hidden.sync()
    lists = [
        *hidden.recommend_many([ListRequest("u0", k=12), ListRequest(history=("i2",), k=12), ListRequest(k=12)]),
        hidden.recommend(ListRequest("u0", words="space robots", k=12)),
        hidden.recommend(ListRequest("u0", k=12, novelty=0.5)),
        hidden.recommend(ListRequest("u0", k=12, exclude=("i1",))),
        hidden.popular(k=12),
        hidden.popular(k=12, trending=True),
        hidden.similar("i2", k=12),
    ]
    for answer in lists:
        assert isinstance(answer, RankedList)
        assert first not in ids(answer)
    assert len(ids(hidden.similar("i2", k=3))) == 3
    assert first in ids(service.popular(k=12))


def test_without_rules_and_with_rules_that_change_nothing_lists_are_equal(serve: Serve, service: Service) -> None:
    same = serve(Hide(items=("gone",)), AtMost(n=12, per="genres"))
    for request in (ListRequest("u0"), ListRequest(history=("i3", "i5")), ListRequest(), ListRequest(words="castles")):
        assert same.recommend(request) == service.recommend(request)


def test_an_item_goes_when_its_stock_does(serve: Serve, run: Run) -> None:
    service = serve(Hide(where={"genres": "sold out"}))
    first = ids(service.recommend(ListRequest("u0", k=1)))[0]
    service.put_item(first, {"genres": "sold out"})
    assert first not in ids(service.recommend(ListRequest("u0", k=12)))
    service.put_item(first, {"genres": "space"})
    assert first in ids(service.recommend(ListRequest("u0", k=12)))


def test_pins_boosts_and_shares_say_what_they_did(serve: Serve) -> None:
    service = serve(Pin(item="i1", place=2, name="campaign"), AtLeast(where={"genres": "castles"}, share=0.5))
    answer = service.recommend(ListRequest("u0", k=4))
    assert answer.items[1]["item_id"] == "i1"
    assert answer.items[1]["reason"].startswith("placed here by a rule (campaign)")
    assert isinstance(answer.items[1]["score"], float)
    castles = [one for one in answer.items if int(one["item_id"][1:]) % 2]
    assert len(castles) >= 2
    last = ids(serve(Hide(items=("gone",))).recommend(ListRequest("u0", k=12)))[-1]
    boosted = serve(Boost(items=(last,), by=1.5)).recommend(ListRequest("u0", k=3)).items[0]
    assert boosted["item_id"] == last
    assert boosted["reason"].startswith("moved up by a rule (boost)")
    chinese = [one["reason"] for one in service.recommend(ListRequest("u0", k=4, language="zh")).items]
    assert chinese[1].startswith("由规则（campaign）放在这里")
    assert not any(re.search("rule|because", reason) for reason in chinese)
    assert service.recommend(ListRequest(history=("i1",), k=4)).unkept == [
        "campaign: item i1 is not at place 2: the user had it"
    ]
    assert service.recommend(ListRequest(history=("i1",), k=4, language="zh")).unkept == [
        "campaign：条目 i1 不在第 2 位：该用户已有"
    ]


def test_an_item_bought_yesterday_is_not_shown_again(serve: Serve) -> None:
    service = serve(NotWithin(days=30))
    service.record([Event("new", "i2"), Event("new", "i4", timestamp=1_000_000_000)])
    found = ids(service.recommend(ListRequest("new", k=12, exclude_seen=False)))
    assert "i2" not in found
    assert "i4" in found


def test_rules_of_a_request_come_beside_those_of_the_run(serve: Serve) -> None:
    service = serve(Hide(items=("i0",)))
    request = ListRequest("u1", k=12, rules=(AtMost(n=1, per="genres"),))
    plain, ruled = service.recommend_many([ListRequest("u1", k=12), request])
    assert isinstance(plain, RankedList)
    assert isinstance(ruled, RankedList)
    assert len(ids(ruled)) == 2  # one of each of the two genres
    assert "i0" not in [*ids(plain), *ids(ruled)]
    wrong = service.recommend_many([ListRequest("u1", rules=(AtMost(n=1, per="genre"),)), ListRequest("u1")])
    assert isinstance(wrong[0], DataError)
    assert isinstance(wrong[1], RankedList)


def post(url: str, rules: Sequence[Any]) -> httpx.Response:
    return httpx.post(f"{url}/v1/recommendations", json={"user_id": "u0", "k": 4, "rules": rules})


def test_rules_over_http(serve: Serve, serve_app: Callable[..., AbstractContextManager[str]]) -> None:
    with serve_app(create_app(serve(Hide(items=("i0",))))) as url:
        answer = post(url, [{"kind": "pin", "item": "i7", "place": 1}, {"kind": "pin", "item": "nothing"}]).json()
        assert answer["items"][0]["item_id"] == "i7"
        assert answer["unkept"] == ["pin: item nothing is not at place 1: not in the catalogue"]
        for rules, text in [
            ([{"kind": "pine", "item": "i7"}], "rules[0]: found kind 'pine' (did you mean 'pin'?); kinds: at_least"),
            ([{"kind": "pin"}], "rules[0]: "),
            ([{"kind": "pin", "item": "i7", "at": 1}], "rules[0]: Pin has no option 'at'"),
            ([{"kind": "hide", "where": {"genre": "war"}}], "items have no field 'genre' (did you mean 'genres'?)"),
            ([{"kind": "os:system", "item": "i7"}], "rules[0]: found kind 'os:system'"),
            ([{"kind": "hide", "where": {"genres": {"a": {}}}}], "rules[0]: where.genres: found"),
            ([1], "rules"),
        ]:
            refused = post(url, rules)
            assert refused.status_code in (400, 404, 422), refused.text
            assert text in refused.text.replace('\\"', '"'), refused.text
