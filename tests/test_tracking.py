"""A run in MLflow, by the real library and a store of files; skipped where the extra `mlflow` is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import genre
from genre.cli.main import main
from genre.errors import NotAvailable
from genre.run_folder import read_run
from genre.tracking import metric_name, track_in_mlflow
from small_world import small_config, write_interactions


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_interactions(tmp_path / "interactions.csv", 20)
    path = tmp_path / "small.yaml"
    path.write_text(small_config("{kind: ease, regularization: 5}"))
    return path


def test_a_run_is_logged_once_with_its_figures_config_and_files(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert main(["run", str(config), "--quiet", "--mlflow", "shop"]) == 0
    (folder,) = (tmp_path / "runs").glob("small-*")
    made = read_run(folder)
    client = mlflow.MlflowClient()
    (experiment,) = [one for one in client.search_experiments() if one.name == "shop"]
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    children = {one.info.run_name: one for one in runs if one is not parent}
    assert parent.info.run_name == folder.name
    assert children.keys() == {row["name"] for row in made.report["leaderboard"]}
    for row in made.report["leaderboard"]:
        found = children[row["name"]].data.metrics
        for label, value in row["values"].items():
            assert value is None or found[metric_name(label)] == pytest.approx(value)
    assert parent.data.params["recommenders.1.regularization"] in ("5", "5.0")
    assert parent.data.tags["genre.best"] == made.report["best"]
    assert {one.path for one in client.list_artifacts(parent.info.run_id)} >= {"report.html", "config.full.yaml"}
    again = track_in_mlflow(made, "shop")
    assert again == parent.info.run_id
    assert len(client.search_runs([experiment.experiment_id])) == len(runs)


def test_without_mlflow_the_extra_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = genre.run(config)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(NotAvailable, match=r"genre-rec\[mlflow\]"):
        track_in_mlflow(made, "shop")
