"""A finished run as people use it: who is unknown is said, lists and the leaderboard are tables."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import genre
from genre import storage
from genre.config.reading import read_config
from genre.errors import ArtifactError, DataError, UnknownId
from genre.preprocessing.cleaning_report import CleaningReport
from genre.runs import Run
from genre.workspace import Fitted, Workspace, dataset_key, leave_dataset, workspace_of

GOLDEN = Path(__file__).parent / "golden" / f"run-{storage.FORMAT}"


@pytest.fixture(scope="module")
def run() -> Run:
    return genre.read_run(GOLDEN)


def test_an_unknown_user_is_named_with_what_to_do(run: Run) -> None:
    with pytest.raises(UnknownId, match=r"users: .*'nobody'.*; for a new user give a history"):
        run.history_of_user("nobody")
    with pytest.raises(DataError, match=r"found the text 'i1'; expected a list of ids or titles: \['i1'\]"):
        run.history_of("i1")


def test_lists_of_some_users_are_tables_without_what_they_know(run: Run) -> None:
    (table,) = run.recommend_all(k=3, users=["u3", "u1"])
    assert sorted(set(table["user_id"])) == ["u1", "u3"]
    assert len(table) == 6
    history = run.history_of_user("u3")
    known = set(run.dataset.item_ids.take(history.item))
    assert known.isdisjoint(table["item_id"][table["user_id"] == "u3"])


def test_the_leaderboard_is_the_report_as_a_table(run: Run) -> None:
    rows = run.report["leaderboard"]
    assert list(run.leaderboard["recommender"]) == [row["name"] for row in rows]
    assert run.llm_problems() == [], "no language model was asked"


def test_sentences_that_could_not_be_worded_are_said(run: Run) -> None:
    worded: Any = SimpleNamespace(counts=Counter(valid=3, failed=2))
    (line,) = dataclasses.replace(run, wording=worded).llm_problems()
    assert line.startswith("explanations: ")
    assert "2" in line


def test_a_dataset_that_was_left_for_a_run_is_taken_over_and_is_no_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("user_id,item_id\nu,a\n")
    (tmp_path / "left.yaml").write_text(
        "name: left\ndata: {kind: files, interactions: i.csv}\nrecommenders: [{kind: popularity}]\n"
    )
    config = read_config(tmp_path / "left.yaml")
    assert run.unsplit is not None
    folder = leave_dataset(tmp_path, config, run.unsplit, CleaningReport())
    assert workspace_of(config, tmp_path).reuse("dataset", dataset_key(config.experiment))
    kept = (folder / "dataset" / "manifest.json").stat().st_mtime_ns
    assert leave_dataset(tmp_path, config, run.unsplit, CleaningReport()) == folder
    assert (folder / "dataset" / "manifest.json").stat().st_mtime_ns == kept, "once is enough"
    with pytest.raises(ArtifactError):
        genre.read_run(folder)


def test_a_run_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "manifest.json")

    monkeypatch.setattr(storage, "read_manifest", refuse)
    with pytest.raises(ArtifactError, match=r"manifest\.json: Permission denied; check who may read it"):
        genre.read_run(GOLDEN)


def test_fitted_recommenders_of_a_workspace_are_counted_and_read_once(run: Run, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work", "key")
    label, recommender = next(iter(run.recommenders.items()))
    recommender.save(work.folder / "recommenders" / label / "model")
    fitted = Fitted(work)
    fitted.add(label, type(recommender))
    assert len(fitted) == 1
    held = fitted[label]
    assert fitted[label] is held
