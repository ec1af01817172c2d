"""`evaluation.refit`: what answers has seen the newest interactions; what is reported has not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import genre
from genre.cli.terminal import print_run
from genre.data.folds import Fold
from genre.evaluation.results import read_evaluation
from genre.log import Log
from genre.recommenders.blend import Blend
from genre.run_folder import read_run
from genre.studies import audit_run
from lines import Lines
from small_world import small_config, write_interactions

BLEND = "{kind: blend, recommenders: [{kind: ease, regularization: 5}, {kind: item_knn}]}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refit")
    write_interactions(folder / "interactions.csv", 20)
    (folder / "small.yaml").write_text(small_config(BLEND))
    return folder


def make(world: Path, *overrides: str) -> genre.Run:
    return genre.run(world / "small.yaml", overrides=overrides, runs=world / "runs", log=Lines())


def test_what_answers_has_seen_everything_and_what_is_reported_train_alone(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, refit = make(world), make(world, "evaluation.refit=true")
    assert (plain.refitted, refit.refitted) == ((), ("blend",))
    assert plain.report["refitted"] == [] != refit.report["refitted"] == ["blend"]
    assert [row["values"]["ndcg@3"] for row in refit.report["leaderboard"]] == [
        row["values"]["ndcg@3"] for row in plain.report["leaderboard"]
    ]
    n_train = refit.report["data"]["train"]
    answers, reported = refit.recommender(), read_run(refit.folder, evaluated=True).recommender()
    assert answers.popularity_.sum() == len(refit.dataset) > n_train == reported.popularity_.sum()
    assert isinstance(answers, Blend)
    assert isinstance(reported, Blend)
    assert np.allclose(answers.weights_, reported.weights_), "validation chose the weights once"
    assert read_run(refit.folder, evaluated=True).refitted == ()
    assert refit.recommender("popularity").popularity_.sum() == n_train, "only the best one is learnt again"
    print_run(refit)
    assert "blend answers below, learnt again from all interactions" in " ".join(capsys.readouterr().out.split())
    assert "learnt again from all interactions" in (refit.folder / "report.html").read_text("utf-8")
    assert "learnt again from all interactions" not in (plain.folder / "report.html").read_text("utf-8")


def test_the_audit_reads_what_is_reported(world: Path) -> None:
    run = make(world, "evaluation.refit=true")
    leaks = [finding for finding in audit_run(run.folder).findings if finding.severity == "error"]
    assert leaks == []


def test_a_second_run_learns_nothing_again(world: Path) -> None:
    make(world, "evaluation.refit=true")
    log = Lines()
    genre.run(world / "small.yaml", overrides=["evaluation.refit=true", "output.k=4"], runs=world / "runs", log=log)
    assert not [line for line in log.lines if line.startswith(("refit:", "training:"))]


def test_weights_are_fitted_on_other_users_than_a_recommender_is_chosen_by(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre.fit_and_evaluate.FEWEST_TO_HALVE", 10)
    fitted_on = list[set[int]]()
    fit_weights = Blend._fit_weights

    def noted(self: Blend, fold: Fold, log: Log) -> None:
        fitted_on.append(set(fold.users().tolist()))
        fit_weights(self, fold, log)

    monkeypatch.setattr(Blend, "_fit_weights", noted)
    log = Lines()
    run = genre.run(world / "small.yaml", runs=tmp_path, log=log)
    chosen_by = read_evaluation(run.folder / "evaluations" / "blend" / "validation").users.tolist()
    assert len(fitted_on) == 1
    assert len(fitted_on[0]) == len(chosen_by) == 10
    assert fitted_on[0].isdisjoint(chosen_by)
    assert len(read_evaluation(run.folder / "evaluations" / "blend" / "test").users) == 20, "the test stays whole"
    assert "validation: 10 users for weights and epochs, 10 to choose by" in log.lines


def test_a_small_validation_part_is_not_halved(world: Path) -> None:
    run = make(world)
    assert len(read_evaluation(run.folder / "evaluations" / "blend" / "validation").users) == 20
