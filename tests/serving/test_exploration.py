"""Places that are drawn at random, with probabilities that are true, and what another run would have earned."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest

from genre.config.reading import parse_config
from genre.config.serving_options import Explore, ServingOptions
from genre.data.dataset import Dataset
from genre.errors import ConfigError, EvaluationError, OptionError
from genre.rules.built_in import AtMost, Hide
from genre.rules.rule_set import rules_for
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.exploration import Explorer, click_counts
from genre.serving.loaded_run import LoadedRun
from genre.serving.logged_shows import judge_by_log
from genre.serving.requests import ListRequest
from genre.serving.service import Service

ITEMS = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("kind", ["uniform", "thompson"])
def test_propensities_are_the_frequencies_of_the_draws(kind: Any) -> None:
    explorer = Explorer(Explore(0.4, kind), seed=0)
    explorer.learn({"a": 1, "d": 30}, {"a": 50, "b": 50, "d": 50})
    n, firsts, stated = 4000, Counter[int](), dict[int, float]()
    for _ in range(n):
        drawn = explorer.draw(ITEMS, 2)
        first = int(drawn.places[0])
        firsts[first] += 1
        stated[first] = drawn.propensities[0]
    assert all(abs(firsts[at] / n - probability) < 0.03 for at, probability in stated.items())
    if kind == "uniform":
        assert stated[0] == pytest.approx(0.6 + 0.4 / 5)
        assert stated[3] == pytest.approx(0.4 / 5)
    else:
        assert stated[3] > 0.3, "often clicked"


def test_a_list_keeps_its_length_and_no_item_twice() -> None:
    drawn = Explorer(Explore(0.5), seed=1).draw(ITEMS, 9)
    assert sorted(drawn.places.tolist()) == [0, 1, 2, 3, 4]
    assert drawn.propensities[-1] == pytest.approx(1)


def service_of(run: Run, store: SQLiteStore, explore: Explore | None = None) -> Service:
    return Service([run], store, options=ServingOptions("durable", explore))


def test_a_service_draws_places_and_records_how_likely_each_was(run: Run, sqlite: SQLiteStore) -> None:
    service = service_of(run, sqlite, Explore(0.5))
    best = [item["item_id"] for item in service.recommend(ListRequest("u0", k=4, record=False)).items]
    made = [service.recommend(ListRequest("u0", k=4)) for _ in range(30)]
    assert any([item["item_id"] for item in one.items] != best for one in made)
    reasons = {item["reason"] for one in made for item in one.items}
    assert any("drawn at random" in reason for reason in reasons)
    assert sqlite.lists_of("u0")[0].propensities == made[0].propensities != ()
    assert service.recommend(ListRequest("u0", k=4, diversity=0.5)).propensities == ()
    service.sync()
    assert click_counts(sqlite)[1]


def test_rules_for_places_and_exploration_exclude_each_other(run: Run, sqlite: SQLiteStore) -> None:
    limited = dataclasses.replace(run, rules=rules_for((AtMost(n=1, per="genres"),), run.dataset))
    with pytest.raises(OptionError, match="leave explore or those rules out"):
        service_of(limited, sqlite, Explore())
    hidden = dataclasses.replace(run, rules=rules_for((Hide(items=("i1",)),), run.dataset))
    service = service_of(hidden, sqlite, Explore(0.5))
    shown = {item["item_id"] for _ in range(20) for item in service.recommend(ListRequest("u0", k=6)).items}
    assert "i1" not in shown


def test_the_old_number_is_refused() -> None:
    text = "name: x\ndata: {kind: files, interactions: a.csv}\nrecommenders: [{kind: ease}]\nserving: {explore: 0.3}\n"
    with pytest.raises(ConfigError, match=r"explore was diversity, .* write diversity: 0.3"):
        parse_config(text, "x.yaml")


def test_a_run_is_judged_by_the_shows_of_another(run: Run, sqlite: SQLiteStore) -> None:
    """The clicks are those of a world in which the content recommender's first item is clicked most."""
    data: Dataset = run.dataset
    old = dataclasses.replace(run, dataset=dataclasses.replace(data, timestamp=np.ones(len(data), np.int64)))
    judge = LoadedRun("toy", old)
    service = service_of(old, sqlite, Explore(0.5, candidates=6))
    with pytest.raises(EvaluationError, match="0 lists have propensities"):
        judge_by_log(judge, sqlite, "content", "click")
    rng = np.random.default_rng(0)
    requests = [ListRequest(f"u{at % 20}", k=3) for at in range(600)]
    for made, request in zip(service.recommend_many(requests), requests, strict=True):
        assert not isinstance(made, Exception)
        for item in made.items:
            if rng.random() < (0.5 if int(item["item_id"][1:]) % 2 else 0.1):
                sqlite.record([Event(str(request.user_id), item["item_id"], 1.0, 2, kind="click",
                                     recommendation_id=made.recommendation_id)])  # fmt: skip
    for name in ("ease", "popularity"):
        found = judge_by_log(judge, sqlite, name, "click")
        truth = expected(judge, name)
        assert [one.name for one in found] == ["IPS", "SNIPS", "DR"]
        for one in found:
            assert one.low - 0.05 < truth < one.high + 0.05, (name, one, truth)
    with pytest.raises(EvaluationError, match="are worth"):
        judge_by_log(judge, few(sqlite), "ease", "click")


def expected(judge: LoadedRun, name: str) -> float:
    """Clicks a show of the recommender's own lists, near enough: places depend on what was drawn before them."""
    users = [f"u{at}" for at in range(20)]
    history = judge.batch([judge.user_history(user) for user in users])
    items = judge.models[name].recommend(history, k=3).item
    odd = np.array([int(judge.catalogue.item_ids[item][1:]) % 2 for item in items.ravel()])
    return float(np.where(odd, 0.5, 0.1).mean())


def few(store: SQLiteStore) -> SQLiteStore:
    """The same log without all but ten lists."""
    with store._transaction() as log:
        log.execute(
            "DELETE FROM log WHERE kind = 'list' AND seq NOT IN (SELECT seq FROM log WHERE kind = 'list' LIMIT 10)"
        )
    return store
