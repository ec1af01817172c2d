"""Experiments between runs: who gets which, what is found, and when to promote or to stop."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import genre
from genre.cli.main import main
from genre.config.reading import parse_config, read_serving_options
from genre.config.serving_options import OnlineExperiment, ServingOptions
from genre.errors import ArtifactError, ConfigError, OptionError, UnknownId
from genre.evaluation.online.experiments import RateSums, always_valid_rate
from genre.runs import Run
from genre.serving.assignment import assigned
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, EventStore, ServedList
from genre.serving.experiment_results import ArmResult, broken_guardrail, experiment_result, outcome_table
from genre.serving.http.access import ApiKeys
from genre.serving.http.app import create_app
from genre.serving.refresh import promote, roll_back
from genre.serving.requests import ListRequest
from genre.serving.service import Service
from small_world import small_config, write_interactions

NOW, WEEK = 1_000_000, 7 * 86_400
TWO_ARMS = {"one": 0.5, "two": 0.5}


def experiment(**more: Any) -> OnlineExperiment:
    return OnlineExperiment(**{"name": "e", "arms": TWO_ARMS, "planned": 400, **more})


def fill(store: EventStore, rates: dict[str, float], n: int = 400, **more: Any) -> None:
    """Users by arm, of whom a share buys on the day after the first list; `more`: fields of the lists."""
    for run, rate in rates.items():
        lists = [
            ServedList(f"{run}{u}{at}", f"{run}{u}", run, "ease", "personal", None, ("x", "y"), (), NOW + at, 0.01)
            for u in range(n)
            for at in range(2)
        ]
        store.put_lists([dataclasses.replace(one, **(more if run == "two" else {})) for one in lists])
        store.record(
            [Event(f"{run}{u}", "x", 1.0, NOW + 86_400, f"b{u}", kind="buy") for u in range(round(n * rate))]
            + [Event(f"{run}{u}", "x", 1.0, NOW + 2 * WEEK, f"late{u}", kind="buy") for u in range(n)]
        )


def judged(store: EventStore, now: int = NOW + 2 * WEEK, **more: Any) -> ArmResult:
    return experiment_result(store, experiment(**more), now).arms[1]


def test_users_stay_with_their_arm_and_experiments_part_them_anew() -> None:
    users = [f"u{at}" for at in range(4000)]
    arms = [assigned(user, TWO_ARMS, salt="a") for user in users]
    assert arms == [assigned(user, {"one": 5, "two": 5}, salt="a") for user in users]
    assert 0.47 < np.mean([arm == "one" for arm in arms]) < 0.53
    other = [assigned(user, TWO_ARMS, salt="b") for user in users]
    assert 0.47 < np.mean([a == b for a, b in zip(arms, other, strict=True)]) < 0.53


def test_the_service_assigns_by_the_experiment_that_goes_on(run: Run, sqlite: SQLiteStore) -> None:
    runs = [dataclasses.replace(run, name=name) for name in TWO_ARMS]
    for more, both in ({"start": "2001-01-01"}, True), ({"start": "2100-01-01"}, False):
        options = ServingOptions("off", (experiment(**more),))
        service = Service(runs, sqlite, shares={"one": 1.0, "two": 0.0}, options=options)
        found = [service.recommend(ListRequest(f"u{at}", k=1)).run for at in range(20)]
        assert (set(found) == {"one", "two"}) == both
        assert found == [service.recommend(ListRequest(f"u{at}", k=1)).run for at in range(20)]
    with pytest.raises(UnknownId, match="its arm 'two' is not served"):
        Service(runs[:1], sqlite, options=ServingOptions("off", (experiment(),)))


def test_a_better_arm_is_to_be_promoted_and_a_worse_one_stopped(store: EventStore) -> None:
    fill(store, {"one": 0.1, "two": 0.3})
    found = experiment_result(store, experiment(), NOW + 2 * WEEK)
    assert [(arm.users, arm.finished, arm.outcome) for arm in found.arms] == [(400, 400, 0.1), (400, 400, 0.3)]
    assert (found.crossed, found.assignment is not None and found.assignment.flagged) == (0, False)
    effect = found.arms[1].effect
    assert effect is not None
    assert effect.low < 0.2 < effect.high
    assert (found.arms[1].verdict, found.arms[0].verdict) == ("promote", None)
    assert judged(store, arms={"two": 1.0, "one": 1.0}).verdict == "stop"
    early = experiment_result(store, experiment(), NOW + WEEK - 10)
    assert [arm.finished for arm in early.arms] == [0, 0], "no user has had all days"
    assert early.arms[1].verdict == "go on"
    assert judged(store, outcome="play").verdict == "go on"
    assert judged(store, outcome="play", end="1970-01-12T20:00").verdict == "stop"


def test_a_wrong_assignment_and_crossed_users_are_seen(store: EventStore) -> None:
    fill(store, {"one": 0.1, "two": 0.3})
    assert judged(store, arms={"one": 0.3, "two": 0.7}).reason.startswith("users were not assigned as was meant")
    store.put_lists([ServedList("x", "one0", "two", "ease", "personal", None, ("x",), (), NOW, 0.01)])
    found = experiment_result(store, experiment(), NOW + 2 * WEEK)
    assert (found.crossed, found.arms[0].users) == (1, 399)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"fallback": "model_late", "source": "popular"}, "by a fallback"),
        ({"items": ()}, "are empty"),
        ({"seconds": 0.5}, "takes 500.0 ms"),
    ],
)
def test_guardrails_stop_a_winner(sqlite: SQLiteStore, more: dict[str, Any], reason: str) -> None:
    fill(sqlite, {"one": 0.1, "two": 0.3}, **more)
    arm = judged(sqlite)
    assert (arm.verdict, reason in arm.reason) == ("stop", True), arm.reason


def test_coverage_is_guarded() -> None:
    first = ArmResult("one", 0.5, 1, 1, 0.0, 1000, 0.0, 0.0, 0.01, coverage=100)
    other = dataclasses.replace(first, run="two", coverage=40)
    assert "40 different items" in broken_guardrail(experiment().guardrails, first, other)
    assert not broken_guardrail(experiment().guardrails, first, dataclasses.replace(other, lists=50))


def test_a_rate_counts_users_not_shows() -> None:
    many = always_valid_rate(RateSums(1000, 100, 1000, 100, 1000, 100), planned=1000)
    assert many.low is not None
    assert many.high is not None
    assert 0.05 < many.low < many.value == 0.1 < many.high < 0.15
    same_user = always_valid_rate(RateSums(100, 100, 1000, 1000, 10_000, 1000), planned=1000)
    assert same_user.low is not None
    assert same_user.low < many.low, "ten shows a user, all clicked or none: as one"
    assert always_valid_rate(RateSums(99, 10, 99, 10, 99, 10), planned=1000).low is None
    assert always_valid_rate(RateSums(0, 0, 0, 0, 0, 0), planned=1000).value == 0


def test_the_table_has_a_row_for_each_run_recommender_and_source(sqlite: SQLiteStore) -> None:
    fill(sqlite, {"one": 0.0}, n=150)
    sqlite.put_lists([ServedList("f", "one0", "one", "ease", "personal", "rerank_late", ("x",), (), NOW, 0.01)])
    (row,) = outcome_table(sqlite, ("buy",))
    assert (row.lists, row.shows, round(row.fallbacks * row.lists)) == (301, 601, 1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("{name: e, arms: {one: 1}}", "arms"),
        ("{name: e, arms: {one: 1, two: 0}}", "arms"),
        ("{name: e, arms: {one: 1, two: 1}, start: 2026-12-01, end: 2026-11-01}", "is not after start"),
        ("{name: e, arms: {one: 1, two: 1}, end: soon}", "found 'soon'"),
        ("{name: e, arms: {one: 1, two: 1}}, {name: f, arms: {one: 1, two: 1}}", "overlap"),
    ],
)
def test_an_experiment_that_makes_no_sense_is_refused(options: str, problem: str, tmp_path: Path) -> None:
    text = f"serving: {{experiments: [{options}]}}\n"
    config = f"name: x\ndata: {{kind: files, interactions: a.csv}}\nrecommenders: [{{kind: ease}}]\n{text}"
    with pytest.raises(ConfigError, match=problem):
        parse_config(config, "x.yaml")
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_serving_options(tmp_path / "s.yaml")


def test_options_of_the_service_come_from_a_file_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("serving: {record_shows: durable, experiments: [{name: e, arms: {one: 1, two: 1}}]}\n")
    found = read_serving_options(path)
    assert (found.record_shows, found.experiments[0].name) == ("durable", "e")
    path.write_text("record_shows: durable\n")
    with pytest.raises(ConfigError, match="expected the section serving: alone, found record_shows"):
        read_serving_options(path)


def test_experiments_over_http_need_a_key_for_admin(run: Run, sqlite: SQLiteStore, serve_app: Any) -> None:
    runs = [dataclasses.replace(run, name=name) for name in TWO_ARMS]
    service = Service(runs, sqlite, options=ServingOptions("buffered", (experiment(),)))
    keys = {"a key to read the lists": ["read"], "a key for everything": ["admin"]}
    with serve_app(create_app(service, api_keys=ApiKeys(keys))) as url:
        answers = [
            httpx.get(f"{url}/v1/experiments", headers={"authorization": f"Bearer {key}"}, timeout=30) for key in keys
        ]
        service.recommend(ListRequest("u0", k=2))
        found = httpx.get(f"{url}/v1/experiments?days=1", headers={"authorization": "Bearer a key for everything"})
    assert [answer.status_code for answer in answers] == [403, 200]
    assert answers[1].json()["experiments"][0]["arms"][1]["verdict"] == "go on"
    assert found.json()["lists"][0]["lists"] == 1, "lists that wait are recorded first"


def test_what_was_found_is_printed(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = SQLiteStore(tmp_path / "log.sqlite")
    fill(store, {"one": 0.1, "two": 0.3})
    store.record([Event("one1", "x", 1.0, NOW, kind="click", recommendation_id="lost")])
    store.close()
    (tmp_path / "s.yaml").write_text("serving: {experiments: [{name: e, arms: {one: 1, two: 1}, planned: 400}]}\n")
    words = ["experiments", str(small_run), "--store", str(tmp_path / "log.sqlite"), "--days", "3000"]
    assert main([*words, "--serving", str(tmp_path / "s.yaml")]) == 0
    out = capsys.readouterr().out
    assert "two: 400 users, 400 finished, 30.00%, +20.00% (" in out
    assert "promote, buy is more frequent than in one" in out


def test_a_run_takes_the_place_of_another_and_back(small_run: Path, tmp_path: Path) -> None:
    over, winner = tmp_path / "live", tmp_path / "winner"
    shutil.copytree(small_run, over)
    other = genre.run(
        small_run.parents[1] / "x.yaml", overrides=["recommenders[0].kind=item_knn"], runs=small_run.parent
    )
    shutil.copytree(other.folder, winner)
    assert main(["promote", str(winner), "--over", str(over)]) == 0
    assert "item_knn" in genre.read_run(over).recommenders
    roll_back(over)
    assert "item_knn" not in genre.read_run(over).recommenders
    assert "item_knn" in genre.read_run(winner).recommenders
    with pytest.raises(OptionError, match="its own place"):
        promote(winner, winner)
    with pytest.raises(ArtifactError):
        promote(tmp_path / "none", over)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_interactions(folder / "interactions.csv", 20)
    (folder / "x.yaml").write_text(small_config("{kind: popularity}"))
    return genre.run(folder / "x.yaml", runs=folder / "runs").folder
