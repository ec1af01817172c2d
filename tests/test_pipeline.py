"""The whole job on a small world: a run is made, read back, reused, and never loads when it is not whole."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genre
from genre.cli.terminal import print_run
from genre.data.folds import sample_users
from genre.errors import ArtifactError, GenreError, UnknownId
from genre.evaluation.shortcuts import COUNTED_REMEDY
from genre.log import Log
from genre.output import describe_made
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.refresh import with_log
from genre.studies import audit_run, remake
from lines import Lines
from small_world import write_interactions

CONFIG = """\
name: small
data: {kind: files, interactions: interactions.csv, items: items.csv}
split: {kind: leave-one-out}
recommenders:
  - {kind: popularity}
  - {kind: ease, regularization: 5}
evaluation: {k: 3, metrics: [ndcg, recall]}
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Even users like even items; each has seen all but one of its parity."""
    write_interactions(tmp_path / "interactions.csv", 20)
    items = [f"i{item},Story {item},{'robots' if item % 2 else 'dragons'}" for item in range(16)]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title,genre", *items]))
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path


def make(world: Path, *overrides: str, log: Log | None = None) -> genre.Run:
    return genre.run(world / "small.yaml", overrides=overrides, runs=world / "runs", log=log or Lines())


def test_a_finished_run_reads_only_the_recommenders_that_are_used(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, loaded = make(world).folder, list[str]()
    original = EASE.load.__func__  # type: ignore[attr-defined]

    def load(cls: type[Recommender], place: Path) -> Recommender:
        loaded.append(place.parent.name)
        made: Recommender = original(cls, place)
        return made

    monkeypatch.setattr(Recommender, "load", classmethod(load))
    run = make(world)
    assert list(run.recommenders) == ["ease", "popularity"]
    assert "popularity" in run.recommenders
    assert not loaded
    run.recommend("u0", k=3)
    run.recommend("u1", k=3)
    assert loaded == ["ease"]
    loaded.clear()
    genre.read_run(folder)
    assert sorted(loaded) == ["ease", "popularity"], "a service finds out at once what does not load"
    with pytest.raises(KeyError):
        run.recommenders["absent"]


def test_a_run_answers_from_its_folder(world: Path) -> None:
    run = make(world)
    assert run.leaderboard["recommender"].iloc[0] == "ease"
    again = genre.read_run(run.folder)
    frame = again.recommend("u0", k=3)
    assert list(frame.columns) == ["item_id", "title", "score", "reason"]
    assert frame["item_id"][0] == "i0", "the one even item that u0 has not seen"
    assert "because of Story" in frame["reason"][0]
    stranger = again.recommend(history=["i1", "story 3"], k=1)
    assert int(stranger["item_id"][0][1:]) % 2 == 1


def test_every_step_says_what_it_cost(world: Path) -> None:
    log = Lines()
    run = make(world, log=log)
    steps = [(step["step"], step["model"]) for step in run.report["steps"]]
    assert steps == [
        *((step, "") for step in ("preprocessed", "split", "checked", "augmented", "encoded")),
        *((step, name) for name in ("popularity", "ease") for step in ("fitted", "saved")),
        *(("evaluated", name) for name in ("popularity", "ease")),
    ]
    assert all(step["cpu_seconds"] >= 0 and step["peak_mib"] > 10 for step in run.report["steps"])
    assert "CPU seconds: " in "\n".join(log.lines)
    assert "Peak memory: " in "\n".join(log.lines)
    last = (run.folder / "log.jsonl").read_text("utf-8").splitlines()[-1]
    assert json.loads(last)["event"] == "reported", "the report is a step, too, which cannot be in it"


def test_discovery_and_repurchase_are_printed_and_reported(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (world / "interactions.csv").read_text().splitlines()
    again = [f"u{user},i{(user * 2 + 2 + user % 2) % 16},{2_000_000 + user}" for user in range(0, 20, 3)]
    (world / "interactions.csv").write_text("\n".join([*rows, *again]))
    run = make(world, "evaluation.exclude_seen=false", "cleaning.repeats=all")
    apart = run.report["leaderboard"][0]["by_history"]
    assert apart["discovery"]["targets"] + apart["repurchase"]["targets"] == 20
    assert apart["repurchase"]["targets"] > 0
    print_run(run)
    out = capsys.readouterr().out
    assert "Lists may hold items of the history" in out
    assert re.search(r"ndcg@3 +together +discovery +repurchase", out)
    assert '<th scope="col">repurchase</th>' in (run.folder / "report.html").read_text("utf-8")
    repeats = {one.check: one.remedy for one in audit_run(run.folder).findings if "repeats" in one.check}
    assert repeats == {"shortcut-repeats": COUNTED_REMEDY}, "what the config does already is no advice"
    print_run(make(world))
    assert "Discovery: lists hold no items that the user had before" in capsys.readouterr().out


def test_many_users_are_sampled_and_the_interval_grows(world: Path) -> None:
    log = Lines()
    few = make(world, "evaluation.users=8", log=log)
    every = make(world)
    assert "evaluation: 8 of 20 users, drawn at random" in "\n".join(log.lines)
    assert few.report["leaderboard"][0]["counts"]["users"] == 8
    assert every.report["leaderboard"][0]["counts"]["users"] == 20


def test_fitted_recommenders_are_let_go_once_they_are_saved(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: weakref.WeakSet[EASE] = weakref.WeakSet()
    alive: list[int] = []
    n_fits = 0
    fit = EASE._fit

    def watched(one: EASE, *parts: Any) -> None:
        nonlocal n_fits
        fit(one, *parts)
        fitted.add(one)
        n_fits += 1

    class Watching(Lines):
        def line(self, text: str) -> None:
            super().line(text)
            alive.append(len(fitted))

    monkeypatch.setattr(EASE, "_fit", watched)
    three = [{"kind": "ease", "regularization": ridge, "name": f"ease-{ridge}"} for ridge in (1, 5, 9)]
    assert len(make(world, f"recommenders={json.dumps(three)}", log=Watching()).recommenders) == 3
    assert n_fits == 3
    assert max(alive) <= 1  # 2 at the third line of training if the first were kept


def test_reports_tell_no_full_local_paths(world: Path) -> None:
    run = make(world, f"data.interactions={world / 'interactions.csv'}")
    for name in ("report.html", "report.json"):
        text = (run.folder / name).read_text("utf-8")
        assert str(world) not in text
        assert str(world.parent) not in text
    assert "interactions: interactions.csv" in (run.folder / "report.html").read_text("utf-8")


def test_a_second_run_does_nothing_and_says_so(world: Path) -> None:
    folder = make(world).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    log = Lines()
    assert make(world, log=log).folder == folder
    assert any("Nothing to do" in line for line in log.lines)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_many_parts_that_were_made_are_counted() -> None:
    made = ["features/items", *(f"recommenders/r{n}" for n in range(4)), "evaluations/r0", "evaluations/r1"]
    assert describe_made(made) == "features/items, 4 recommenders, evaluations/r0, evaluations/r1"
    assert describe_made([]) == "nothing"


def test_editing_one_option_refits_that_one_alone(world: Path) -> None:
    first = make(world).folder
    log = Lines()
    second = make(world, "recommenders.ease.regularization=50", log=log).folder
    assert second != first
    made = next(line for line in log.lines if line.startswith("Made: "))
    assert made == "Made: recommenders/ease, evaluations/ease. The rest was read back."


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The regularization of each EASE that is fitted, in order."""
    fits: list[str] = []
    learn = EASE._fit

    def counted(self: EASE, *given: Any) -> None:
        fits.append(f"{self.regularization:g}")
        learn(self, *given)

    monkeypatch.setattr(EASE, "_fit", counted)
    return fits


def test_members_of_a_blend_that_are_fitted_alone_too_are_fitted_once(world: Path, fits: list[str]) -> None:
    pair = "[{kind: popularity}, {kind: ease, regularization: 20}]"
    alone = make(world, f"recommenders=[{{kind: blend, recommenders: {pair}}}]", "name=alone")
    assert fits == ["20"]
    beside = f"[{pair[1:-1]}, {{kind: ease}}, {{kind: blend, recommenders: {pair}}}]"
    both = make(world, f"recommenders={beside}", "name=beside")
    assert fits == ["20", "20", "300"]
    history = both.dataset.history()
    assert np.array_equal(both.recommender("blend").score(history), alone.recommender("blend").score(history))


def test_a_ranker_takes_members_that_are_fitted_alone_too(world: Path, fits: list[str]) -> None:
    single, member = "{kind: ease, regularization: 20, history_half_life: 3}", "{kind: ease, regularization: 20}"
    first = f"first: {{kind: blend, recommenders: [{{kind: popularity}}, {member}]}}"
    ranker, linear = (f"{{kind: ranker, candidates: 5, epochs: 1, hidden: {hidden}, {first}}}" for hidden in (4, 0))
    make(world, f"recommenders=[{single}, {ranker}, {linear}]")
    assert fits == ["20", "20"], "on train, and once without its last items"


def test_changed_data_is_read_again(world: Path) -> None:
    first = make(world)
    with (world / "interactions.csv").open("a") as file:
        file.write("\nu99,i0,2000000\nu99,i2,2000001\nu99,i4,2000002")
    second = make(world)
    assert second.folder != first.folder
    assert second.dataset.n_users == first.dataset.n_users + 1


def test_a_damaged_run_does_not_load_and_the_next_run_repairs_it(world: Path) -> None:
    folder = make(world).folder
    state = folder / "recommenders" / "ease" / "model" / "state.safetensors"
    bytes_ = bytearray(state.read_bytes())
    bytes_[-1] ^= 1
    state.write_bytes(bytes_)
    with pytest.raises(ArtifactError, match="damaged"):
        genre.read_run(folder)
    log = Lines()
    make(world, log=log)
    assert "Made: recommenders/ease. The rest was read back." in log.lines
    genre.read_run(folder)


def test_a_run_killed_anywhere_never_loads_wrong(world: Path) -> None:
    """kill -9 at growing delays: what is left is refused or whole, and the next run completes it."""
    code = f"import genre; genre.run({str(world / 'small.yaml')!r}, runs={str(world / 'runs')!r})"
    for delay in (0.4, 0.8, 1.2, 1.6, 2.0, 2.6):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for folder in (world / "runs").glob("small-*"):
            with contextlib.suppress(ArtifactError):
                assert len(genre.read_run(folder).recommenders) == 2
    run = make(world)
    assert run.recommend("u0", k=1)["item_id"][0] == "i0"


def test_two_processes_do_not_make_one_run_at_once(world: Path) -> None:
    from genre.workspace import locked

    folder = make(world).folder
    with locked(folder), pytest.raises(GenreError, match="another process"):
        make(world)


def test_a_shown_user_nobody_knows_is_said_first_and_an_erased_one_is_left_out(world: Path) -> None:
    log = Lines()
    with pytest.raises(UnknownId, match=r"output.users: unknown id 'u99' \(did you mean 'u9'"):
        make(world, "output.users=[u1, u99]", log=log)
    assert not [line for line in log.lines if line.startswith("training")]
    run = make(world, "output.users=[u1, u2]")
    place = world / "runs" / "next"
    store = SQLiteStore(world / "events.sqlite")
    store.delete_user("u1")
    left = with_log(run.dataset, store)
    store.close()
    remake(run.folder, left, place, news="one user less")
    assert [example["user_id"] for example in genre.read_run(place).report["examples"]] == ["u2"]


def test_users_shown_unasked_have_a_short_a_middling_and_a_long_history_as_counted_beside_them(world: Path) -> None:
    rows = ["user_id,item_id,timestamp"]
    for user in range(9):  # the more a user did in all, the less of it before the test part
        before, after = 9 - user, 2 * user + 1
        rows += [f"u{user},i{item},{item}" for item in range(before)]
        rows += [f"u{user},i{item},{100_000 + item}" for item in range(before, before + after)]
    (world / "interactions.csv").write_text("\n".join(rows))
    run = make(world, "split={kind: time, test: 0.6, validation: 0.1}")
    lengths = [example["history_length"] for example in run.report["examples"]]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[1] < lengths[2]


def test_a_run_of_own_classes_says_what_module_it_misses_and_where_to_start(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "from dataclasses import dataclass", "from genre.recommenders.popularity import Popularity"
    (world / "beside.py").write_text("\n".join([*lines, "@dataclass", "class Own(Popularity):", "    pass"]))
    run = make(world, "recommenders=['beside:Own']")
    monkeypatch.delitem(sys.modules, "beside")
    remedy = r"put the folder where its file lies on PYTHONPATH; .* give --trust .* runs code of the folder$"
    with pytest.raises(ArtifactError, match=rf"cannot import beside .*; {remedy}") as caught:
        genre.read_run(run.folder)
    assert "version of GENRE" not in str(caught.value)
    monkeypatch.syspath_prepend(world)
    assert genre.read_run(run.folder).recommend("u0", k=1)["item_id"][0]
    sys.modules.pop("beside")


def test_metrics_of_categories_and_groups_are_judged_and_an_unknown_field_is_said_before_training(world: Path) -> None:
    (world / "users.csv").write_text("\n".join(["user_id,side", *(f"u{user},{user % 2}" for user in range(20))]))
    asked = "data.users=users.csv", "evaluation.metrics=[ndcg, calibration, group_gap]", "evaluation.category=genre"
    log = Lines()
    with pytest.raises(GenreError, match=r"no field 'sid' of users \(did you mean 'side'"):
        make(world, *asked, "evaluation.group=sid", log=log)
    assert not [line for line in log.lines if line.startswith("training")]
    run = make(world, *asked, "evaluation.group=side")
    best = run.report["leaderboard"][0]["values"]
    assert 0.2 < best["calibration@3"] < 0.4, "one item of the own genre is left for a list of three"
    assert best["group_gap@3"] >= 0


def test_unknown_names_are_explained(world: Path) -> None:
    run = make(world)
    with pytest.raises(UnknownId, match="unknown id 'u00'"):
        run.recommend("u00")
    with pytest.raises(UnknownId, match="no recommender 'eese' in this run \\(did you mean 'ease'"):
        run.recommend("u0", using="eese")
    with pytest.raises(UnknownId, match="no item has the id or title 'Story 77'"):
        run.recommend(history=["Story 77"])
    assert len(run.recommend("u0", k=10_000)) <= 16, "k above the catalogue is what is left of it"
    assert len(run.recommend(history=[], k=3)) == 3, "an empty history gets what is popular"


def test_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such run folder"):
        genre.read_run(tmp_path / "none")


def test_lists_of_several_lengths_are_evaluated_and_the_first_orders(world: Path) -> None:
    run = make(world, "evaluation.k=[3, 5]", "evaluation.metrics=[ndcg, recall]")
    assert run.report["primary"] == "ndcg@3"
    assert list(run.report["leaderboard"][0]["values"]) == ["ndcg@3", "ndcg@5", "recall@3", "recall@5"]
    assert "ndcg@3" in (run.folder / "report.html").read_text("utf-8")
    with pytest.raises(GenreError, match=r"k.*0"):
        make(world, "evaluation.k=[3, 0]")
    with pytest.raises(GenreError, match="k"):
        make(world, "evaluation.k=[]")


def test_recommenders_learn_from_a_sample_of_users_and_all_get_lists(world: Path) -> None:
    log = Lines()
    run = make(world, "train_users=8", "evaluation.refit=true", "recommenders=[{kind: item_knn}]", log=log)
    assert "training: from 8 of 20 users, drawn at random; train_users=null takes all" in log.lines
    split = LeaveOneOut().split(run.unsplit)
    drawn = sample_users(split.train, 8, 0)
    assert len(np.unique(drawn.user)) == 8
    assert set(sample_users(split.train, 4, 0).user) < set(drawn.user)
    learnt = genre.ItemKNN.load(run.folder / "recommenders" / "item_knn" / "model").score(split.test.context.history())
    assert np.array_equal(learnt, genre.ItemKNN().fit(drawn).score(split.test.context.history()))
    assert not np.array_equal(learnt, genre.ItemKNN().fit(split.train).score(split.test.context.history()))
    assert all(len(run.recommend(f"u{user}", k=1)) == 1 for user in range(20))
    curve = run.report["learning_curve"]
    assert [point["users"] for point in curve["points"]] == [2, 4, 8]
    assert (curve["name"], curve["metric"], curve["every"]) == ("item_knn", "ndcg@3", 20)
    again = Lines()
    make(world, "train_users=8", "evaluation.refit=true", "recommenders=[{kind: item_knn}]", "output.k=2", log=again)
    assert not any(line.startswith("training: item_knn") for line in again.lines), "all of it is read back"
    assert make(world, "train_users=20").report["learning_curve"] == {}
