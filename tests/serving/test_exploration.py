"""Places that are drawn at random, with probabilities that are true, and what another run would have earned."""

from __future__ import annotations

import dataclasses
import re
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre.cli.main import main
from genre.config.reading import parse_config
from genre.config.serving_options import Explore, ServingOptions
from genre.errors import ConfigError, EvaluationError, OptionError
from genre.rules.built_in import AtMost, Hide
from genre.rules.rule_set import rules_for
from genre.run_folder import read_run
from genre.runs import Run
from genre.serving.events.opening import default_store_path
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.exploration import Explorer, click_counts
from genre.serving.limits import Limits
from genre.serving.loaded_run import LoadedRun
from genre.serving.logged_shows import judge_by_log
from genre.serving.requests import ListRequest, RankedList
from genre.serving.service import Service
from small_world import story_run

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
    patient = Limits(model_seconds=60)  # 2,000 lists at a time
    return Service([run], store, limits=patient, options=ServingOptions("durable", explore=explore))


def test_a_service_draws_places_and_records_how_likely_each_was(run: Run, sqlite: SQLiteStore) -> None:
    service = service_of(run, sqlite, Explore(0.5))
    best = [item["item_id"] for item in service.recommend(ListRequest("u0", k=4, record=False)).items]
    made = [service.recommend(ListRequest("u0", k=4)) for _ in range(30)]
    assert any([item["item_id"] for item in one.items] != best for one in made)
    reasons = {item["reason"] for one in made for item in one.items}
    assert any("drawn at random" in reason for reason in reasons)
    assert sqlite.lists_of("u0")[0].propensities == made[0].propensities != ()
    for other in ({"diversity": 0.5}, {"exclude": ("i1",)}, {"history": ("i1",)}, {"record": False}):
        assert service.recommend(ListRequest("u0", k=4, **other)).propensities == ()
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return story_run(tmp_path_factory.mktemp("stories"))


def serve_and_click(folder: Path, store: SQLiteStore, judged: str, n: int) -> tuple[float, float]:
    """Serve lists of which places are drawn; what `judged` likes best is clicked at a rate of 0.6, the rest at 0.1.

    Returns:
        Clicks a show that `judged` would have had at these places, and those that there were.
    """
    run = read_run(folder)
    loaded = LoadedRun(run.name, run)
    users = [f"u{at}" for at in range(20)]
    best = loaded.models[judged].recommend(loaded.batch([loaded.user_history(user) for user in users]), k=1).item[:, 0]
    favourite = {user: loaded.catalogue.item_ids[item] for user, item in zip(users, best.tolist(), strict=True)}
    requests = [ListRequest(users[at % 20], k=3) for at in range(n)]
    rng, now, clicks, expected = np.random.default_rng(0), int(time.time()) + 5, [], []
    service = service_of(run, store)
    service.explorer = Explorer(Explore(0.5), seed=0)
    for request, made in zip(requests, service.recommend_many(requests), strict=True):
        assert isinstance(made, RankedList)
        liked, ids = favourite[str(request.user_id)], [item["item_id"] for item in made.items]
        expected += [0.1 if liked in ids[:at] else 0.6 for at in range(len(ids))]
        clicks += [
            Event(str(request.user_id), item, 1.0, now, kind="click", recommendation_id=made.recommendation_id)
            for item in ids
            if rng.random() < (0.6 if item == liked else 0.1)
        ]
    store.record(clicks)
    return float(np.mean(expected)), len(clicks) / len(expected)


def test_a_run_is_judged_by_the_shows_of_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = list(read_run(folder).recommenders)[-1]
    with closing(SQLiteStore(default_store_path(folder))) as store:
        store.record([Event("u0", "i1", 1.0, 2_000_000)])
        assert main(["offpolicy", str(folder), "--using", judged]) == 2
        assert "0 lists with propensities" in capsys.readouterr().err
        serve_and_click(folder, store, judged, 40)
        assert main(["offpolicy", str(folder), "--using", judged]) == 2
        assert "and 100 are needed" in capsys.readouterr().err
    default_store_path(folder).unlink()
    with closing(SQLiteStore(default_store_path(folder))) as store:
        truth, live = serve_and_click(folder, store, judged, 2000)
    assert main(["offpolicy", str(folder), "--using", judged]) == 0
    out = capsys.readouterr().out
    found = re.findall(r"(IPS|SNIPS|DR): (\S+) \(95 % interval (\S+) to (\S+)\)", out)
    assert [name for name, *_ in found] == ["IPS", "SNIPS", "DR"]
    for name, *numbers in found:
        value, low, high = map(float, numbers)
        assert low < truth < high, (name, numbers, truth)
        assert live < low, "the list that was served is worse"
        assert abs(value - truth) < 0.08
    assert "6,000 shows, worth" in out
    assert 0.9 < float(out.rpartition("mean weight ")[2]) < 1.1
    assert main(["offpolicy", str(folder), "--outcome", "nosuch"]) == 2
    assert "nosuch" in capsys.readouterr().err


def test_lists_that_the_judged_run_may_have_learnt_from_do_not_count(run: Run, sqlite: SQLiteStore) -> None:
    ahead = dataclasses.replace(run.dataset, timestamp=np.full(len(run.dataset), 4_000_000_000))
    service_of(run, sqlite, Explore(0.5)).recommend(ListRequest("u0", k=3))
    with pytest.raises(EvaluationError, match="1 list with propensities, none of them from after"):
        judge_by_log(LoadedRun("toy", dataclasses.replace(run, dataset=ahead)), sqlite, "content", "click")
