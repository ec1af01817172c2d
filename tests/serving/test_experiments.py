"""Experiments between runs: who gets which, what is found, and when to promote or to stop."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import genre
from genre.cli.main import main
from genre.config.reading import parse_config, read_serving_options
from genre.config.serving_options import OnlineExperiment, ServingOptions
from genre.errors import ArtifactError, ConfigError, ConflictError, OptionError, UnknownId
from genre.evaluation.online.experiments import RateSums, always_valid_rate
from genre.runs import Run
from genre.serving.assignment import assigned
from genre.serving.events.backup import back_up, restore
from genre.serving.events.experiment_changes import ExperimentChange, change_of_row
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ServedList
from genre.serving.experiment_log import recorded_experiments, start_experiment, stop_experiment
from genre.serving.experiment_verdicts import ArmResult, broken_guardrail, experiment_result
from genre.serving.http.access import ApiKeys
from genre.serving.http.app import create_app
from genre.serving.outcome_table import outcome_table
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


def two_runs(run: Run) -> list[Run]:
    return [dataclasses.replace(run, name=name) for name in TWO_ARMS]


def assigned_runs(service: Service) -> list[str]:
    return [service.recommend(ListRequest(f"u{at}", k=1)).run for at in range(20)]


def test_the_service_assigns_by_the_experiment_that_goes_on(run: Run, sqlite: SQLiteStore) -> None:
    service = Service(two_runs(run), sqlite, shares={"one": 1.0, "two": 0.0}, options=ServingOptions("off"))
    service.operations.start_experiment(experiment(name="later", start="2100-01-01", end="2100-02-01"))
    assert set(assigned_runs(service)) == {"one"}
    service.operations.start_experiment(experiment(end="2099-01-01"))
    found = assigned_runs(service)
    assert set(found) == {"one", "two"}
    assert found == assigned_runs(service)
    service.operations.stop_experiment("e")
    assert set(assigned_runs(service)) == {"one"}


def test_experiments_of_a_config_are_started_once(run: Run, sqlite: SQLiteStore) -> None:
    options = ServingOptions("off", (experiment(start="2001-01-01", end="2099-01-01"),))
    service = Service(two_runs(run), sqlite, options=options)
    (started,) = recorded_experiments(sqlite)
    assert abs(started.begins - time.time()) < 60, "it cannot have begun before anybody was assigned by it"
    service.operations.stop_experiment("e")
    stopped = recorded_experiments(sqlite)
    with pytest.raises(ConflictError, match="has ended; a new one needs a new name"):
        service.operations.start_experiment(options.experiments[0])
    Service(two_runs(run), sqlite, options=options)
    assert recorded_experiments(sqlite) == stopped, "a restart does not begin it anew"
    with pytest.raises(ConflictError, match="already, with other options"):
        Service(two_runs(run), sqlite, options=ServingOptions("off", (experiment(outcome="click"),)))
    with pytest.raises(UnknownId, match="its arm 'two' is not served"):
        Service(two_runs(run)[:1], sqlite, options=ServingOptions("off", (experiment(name="f"),)))
    Service(two_runs(run)[:1], sqlite, options=ServingOptions("off", (experiment(name="g", end="2002-01-01"),)))


def test_every_process_follows_the_log_and_one_without_an_arm_leaves_it_out(
    run: Run, store: EventStore, reopened: Callable[[], EventStore]
) -> None:
    services = [
        Service(two_runs(run)[:n], log, options=ServingOptions("off")) for n, log in ((2, store), (2, reopened()))
    ]
    alone = Service(two_runs(run)[:1], reopened(), options=ServingOptions("off"))
    services[0].operations.start_experiment(experiment())
    assert services[0].operations.start_experiment(experiment())["name"] == "e", "sent again, it changes nothing"
    for service in (services[1], alone):
        service.sync()
    assert assigned_runs(services[0]) == assigned_runs(services[1])
    assert set(assigned_runs(services[1])) == {"one", "two"}
    assert set(assigned_runs(alone)) == {"one"}
    assert alone.operations.report()["unserved"] == ["e"]
    assert services[1].operations.report()["unserved"] == []
    restarted = Service(two_runs(run), reopened(), options=ServingOptions("off"))
    assert assigned_runs(restarted) == assigned_runs(services[0])
    services[1].operations.stop_experiment("e")
    services[0].sync()
    (ended,) = services[0].operations.experiments()["experiments"]
    assert ended["state"] in {"running", "ended"}
    assert services[0].operations.report()["unserved"] == []


def test_of_two_that_are_started_at_once_one_is(store: EventStore, reopened: Callable[[], EventStore]) -> None:
    logs, problems = [store, reopened()], list[str]()
    barrier = threading.Barrier(2)

    def start(at: int) -> None:
        barrier.wait()
        try:
            start_experiment(logs[at], experiment(name=f"e{at}"), int(time.time()))
        except ConflictError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=start, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (started,) = recorded_experiments(store)
    (problem,) = problems
    assert f"experiment {started.name!r} goes on at that time" in problem


def test_the_log_of_experiments_is_read_with_care(store: EventStore, tmp_path: Path) -> None:
    with pytest.raises(UnknownId, match="there are none; start one"):
        stop_experiment(store, "e", 50)
    with pytest.raises(OptionError, match="has passed"):
        start_experiment(store, experiment(end="1970-01-02"), NOW)
    assert start_experiment(store, experiment(start="1970-01-20", end="1970-01-30"), NOW) is not None
    (planned,) = recorded_experiments(store)
    assert (planned.start, planned.end) == ("1970-01-20T00:00:00", "1970-01-30T00:00:00")
    with pytest.raises(UnknownId, match="there are e"):
        stop_experiment(store, "f", NOW)
    assert stop_experiment(store, "e", NOW) is not None
    assert recorded_experiments(store) == (), "taken back before it began"
    start_experiment(store, experiment(name="two"), NOW)
    store.change_experiments(lambda _: ExperimentChange("odd", NOW, {"name": "odd", "arms": 7}))
    assert stop_experiment(store, "two", NOW + 5) is not None
    assert stop_experiment(store, "two", NOW + 9) is None, "it has ended"
    (stopped,) = recorded_experiments(store)
    assert (stopped.name, stopped.begins, stopped.ends) == ("two", NOW, NOW + 5)
    back_up(store, tmp_path / "backup")
    target = SQLiteStore(tmp_path / "restored.sqlite")
    restore(tmp_path / "backup", target)
    assert recorded_experiments(target) == (stopped,)
    target.close()
    assert store.prune(NOW * 2) == 0
    assert change_of_row("[1]", 3) is None
    assert change_of_row('{"name": "x", "definition": 3}', 3) is None


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
    assert (row.lists, row.shows, round(row.fallbacks.value * row.lists)) == (301, 601, 1)


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
    for word in ("off", "'off'", "false"):  # without quotes YAML reads off as false
        path.write_text(f"serving: {{record_shows: {word}}}\n")
        assert read_serving_options(path).record_shows == "off"
    for word in ("on", "true", "no way"):
        path.write_text(f"serving: {{record_shows: {word}}}\n")
        with pytest.raises(ConfigError, match="record_shows: input should be 'buffered', 'durable' or 'off'"):
            read_serving_options(path)
    path.write_text("record_shows: durable\n")
    with pytest.raises(ConfigError, match="expected the section serving: alone, found record_shows"):
        read_serving_options(path)


def test_experiments_over_http_need_a_key_for_admin(run: Run, sqlite: SQLiteStore, serve_app: Any) -> None:
    service = Service(two_runs(run), sqlite)
    keys = {"a key to read the lists": ["read"], "a key for everything": ["admin"]}
    with (
        serve_app(create_app(service, api_keys=ApiKeys(keys))) as url,
        httpx.Client(
            base_url=f"{url}/v1", headers={"authorization": "Bearer a key for everything"}, timeout=30
        ) as http,
    ):
        reader = {"authorization": "Bearer a key to read the lists"}
        for method, path in (("GET", ""), ("POST", ""), ("POST", "/e/stop"), ("POST", "/e/promote")):
            assert http.request(method, f"/experiments{path}", headers=reader).status_code == 403
        body = {"name": "e", "arms": TWO_ARMS, "planned": 400, "guardrails": {"empty": 0.5}}
        started = http.post("/experiments", json=body)
        assert started.status_code == 200
        assert (started.json()["days"], started.json()["guardrails"]["empty"]) == (7.0, 0.5)
        for wrong, status in (
            ({**body, "arms": {"one": 1, "three": 1}}, 404),
            ({**body, "outcome": "sneeze"}, 422),
            ({**body, "arms": {"one": 1}}, 422),
            ({**body, "end": "soon"}, 422),
            ({**body, "name": "f", "end": "2001-01-01"}, 422),
            ({**body, "nam": "f"}, 422),
            ({**body, "name": "f"}, 409),
            ({**body, "outcome": "click"}, 409),
        ):
            answer = http.post("/experiments", json=wrong)
            assert answer.status_code == status, answer.text
        service.recommend(ListRequest("u0", k=2))
        found = http.get("/experiments?days=1").json()
        assert found["experiments"][0]["arms"][1]["verdict"] == "go on"
        assert found["lists"][0]["lists"] == 1, "lists that wait are recorded first"
        refused = http.post("/experiments/e/promote")
        assert refused.status_code == 409
        assert "no arm is to be promoted (two: go on, " in refused.json()["detail"]
        assert http.post("/experiments/e/promote?arm=three").status_code == 404
        assert http.post("/experiments/x/stop").status_code == 404
        stopped = http.post("/experiments/e/stop")
        assert stopped.json()["end"]


def test_what_was_found_is_printed(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.sqlite"
    store = SQLiteStore(path)
    start_experiment(store, experiment(name="winter", arms={"one": 1.0, "two": 1.0}), NOW - 5)
    fill(store, {"one": 0.1, "two": 0.3})
    store.record([Event("one1", "x", 1.0, NOW, kind="click", recommendation_id="lost")])
    store.close()
    words = [str(small_run), "--store", str(path)]
    (tmp_path / "s.yaml").write_text("serving: {experiments: [{name: e, arms: {one: 3, two: 1}, planned: 400}]}\n")
    assert main(["experiment", "start", *words, str(tmp_path / "s.yaml")]) == 2
    assert "experiment 'winter' goes on at that time" in capsys.readouterr().err
    assert main(["experiment", "stop", *words, "winter"]) == 0
    time.sleep(1.1)  # an experiment ends by the second
    for said in ("is recorded", "goes on already"):
        assert main(["experiment", "start", *words, str(tmp_path / "s.yaml")]) == 0
        assert f"e {said}: from " in (out := capsys.readouterr().out)
        assert "UTC until it is stopped, on users of one (75%), two (25%)" in out
    assert main(["experiment", "status", *words, "--days", "3000"]) == 0
    out = capsys.readouterr().out
    assert "two: 400 users, 400 finished, 30.00%, +20.00% (" in out
    assert "promote, buy is more frequent than in one" in out
    assert "e (running): buy within 7 days, by user" in out
    (tmp_path / "s.yaml").write_text("serving: {record_shows: durable}\n")
    assert main(["experiment", "start", *words, str(tmp_path / "s.yaml")]) == 2
    assert "no experiments; write them under serving: experiments:" in capsys.readouterr().err


def test_a_run_takes_the_place_of_another_and_back(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over, winner = tmp_path / "live", tmp_path / "winner"
    shutil.copytree(small_run, over)
    other = genre.run(
        small_run.parents[1] / "x.yaml", overrides=["recommenders[0].kind=item_knn"], runs=small_run.parent
    )
    shutil.copytree(other.folder, winner)
    path = tmp_path / "log.sqlite"
    store = SQLiteStore(path)
    start_experiment(store, experiment(arms={"live": 1.0, "winner": 1.0}), NOW)
    words, log = ["experiment", "promote", str(over)], ["--store", str(path)]
    assert main([*words, "e", *log]) == 2
    assert "no arm is to be promoted (winner: go on, " in capsys.readouterr().err
    assert main(words) == 2
    assert "name the experiment, or by --arm the folder" in capsys.readouterr().err
    assert recorded_experiments(store)[0].end is None
    lists = ServedList("", "", "", "ease", "personal", None, ("x", "y"), (), NOW, 0.01)
    for run, rate in (("live", 0.1), ("winner", 0.3)):
        store.put_lists(
            [
                dataclasses.replace(lists, recommendation_id=f"{run}{u}", user_id=f"{run}{u}", run=run)
                for u in range(400)
            ]
        )
        store.record([Event(f"{run}{u}", "x", 1.0, NOW + 9, kind="buy") for u in range(round(400 * rate))])
    assert main([*words, "e", *log]) == 0
    assert recorded_experiments(store)[0].end is not None
    store.close()
    assert "item_knn" in genre.read_run(over).recommenders
    roll_back(over)
    assert "item_knn" not in genre.read_run(over).recommenders
    assert "item_knn" in genre.read_run(winner).recommenders
    assert main([*words, "--arm", str(winner)]) == 0, "without an experiment, too"
    assert "item_knn" in genre.read_run(over).recommenders
    with pytest.raises(OptionError, match="its own place"):
        promote(winner, winner)
    with pytest.raises(ArtifactError):
        promote(tmp_path / "none", over)


def test_promotion_by_the_service_swaps_the_run_and_ends_the_experiment(
    small_run: Path, tmp_path: Path, sqlite: SQLiteStore
) -> None:
    folders = [tmp_path / name for name in TWO_ARMS]
    for folder in folders:
        shutil.copytree(small_run, folder)
    service = Service([genre.read_run(folder) for folder in folders], sqlite, options=ServingOptions("off"))
    service.operations.start_experiment(experiment())
    before = (folders[0] / "manifest.json").stat().st_ino
    found = service.operations.promote_arm("e", "two")
    assert found == {"experiment": "e", "promoted": "two", "over": "one"}
    assert (folders[0] / "manifest.json").stat().st_ino != before
    (ended,) = recorded_experiments(sqlite)
    assert ended.end is not None
    assert folders[1].is_dir()


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_interactions(folder / "interactions.csv", 20)
    (folder / "x.yaml").write_text(small_config("{kind: popularity}"))
    return genre.run(folder / "x.yaml", runs=folder / "runs").folder
