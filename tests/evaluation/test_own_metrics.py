"""Metrics of the user's own, `module:function`: computed as any other, and run from trusted places alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import genre
from genre.config.reading import read_config
from genre.errors import ConfigError, EvaluationError, NotImportable
from genre.evaluation.evaluator import evaluate
from genre.evaluation.metric_table import labels
from small_world import small_config, write_interactions

OWN = """
import numpy as np
from genre.evaluation.metrics import hit_rate

def found(ranks):
    return hit_rate(ranks)

def negative(ranks):
    return -hit_rate(ranks)

def total(ranks):
    return 3.0

NUMBER = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "metrics_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "metrics_of_mine", raising=False)
    return "metrics_of_mine"


def test_a_function_is_a_metric(module: str, fold: Callable[..., object], table: Callable[..., object]) -> None:
    part = fold([[0], [1]], [[1], [3]], 4)
    model = table(np.array([[0, 3, 2, 1], [3, 0, 2, 1]]), part.context)  # type: ignore[attr-defined]
    wanted = [f"{module}:found", f"{module}:negative@1", "hit_rate"]
    result = evaluate(model, part, k=2, metrics=wanted)  # type: ignore[arg-type]
    assert result.per_user[f"{module}:found@2"].tolist() == result.per_user["hit_rate@2"].tolist() == [1, 0]
    assert result.values[f"{module}:negative@1"] == -0.5
    low, high = result.intervals[f"{module}:found@2"]
    assert low <= 0.5 <= high


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("total", "gave float64 of shape (); give one finite number for each of the 1 users"),
        ("missing", "cannot be imported"),
    ],
)
def test_what_is_no_metric_is_refused(
    module: str, name: str, message: str, fold: Callable[..., object], table: Callable[..., object]
) -> None:
    part = fold([[0]], [[1]], 2)
    model = table(np.zeros((1, 2)), part.context)  # type: ignore[attr-defined]
    with pytest.raises(EvaluationError) as caught:
        evaluate(model, part, metrics=[f"{module}:{name}"])  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_label_has_the_form_of_a_function() -> None:
    assert labels(["a.b:c", "a:b@3"], 5) == {"a.b:c@5": 5, "a:b@3": 3}
    with pytest.raises(EvaluationError, match="unknown metric"):
        labels(["a b:c"], 5)


def config(folder: Path, metric: str) -> Path:
    write_interactions(folder / "interactions.csv", 20)
    text = small_config("{kind: ease, regularization: 5}").replace("metrics: [ndcg]", f"metrics: ['{metric}', ndcg]")
    (folder / "small.yaml").write_text(text)
    return folder / "small.yaml"


def test_a_run_reports_it_and_is_read_without_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_the_config.py").write_text(OWN)
    run = genre.run(config(tmp_path, "beside_the_config:found"), runs=tmp_path / "runs")
    assert run.report["primary"] == "beside_the_config:found@3"
    monkeypatch.delitem(sys.modules, "beside_the_config")
    (tmp_path / "beside_the_config.py").unlink()
    assert genre.read_run(run.folder).leaderboard["beside_the_config:found@3"].iloc[0] > 0


def test_a_config_names_what_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "beside_this_config.py").write_text(OWN)
    with pytest.raises(NotImportable, match="cannot import no_such_module_here"):
        read_config(config(tmp_path, "no_such_module_here:f"))
    with pytest.raises(ConfigError, match="'beside_this_config:NUMBER': is no function"):
        read_config(config(tmp_path, "beside_this_config:NUMBER"))


def test_a_run_folder_makes_no_metric_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metric_of_a_stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{OWN}")
    run = genre.run(config(tmp_path, "metric_of_a_stranger:found"), runs=tmp_path / "runs")
    (tmp_path / "ran").unlink()
    shutil.copy(tmp_path / "metric_of_a_stranger.py", run.folder)
    monkeypatch.delitem(sys.modules, "metric_of_a_stranger")
    monkeypatch.syspath_prepend(str(run.folder))
    with pytest.raises(ConfigError, match="is a file of the run folder, whose code is not run"):
        read_config(run.folder / "config.full.yaml")
    assert not (tmp_path / "ran").exists()
    assert json.loads((run.folder / "report.json").read_text())["primary"] == "metric_of_a_stranger:found@3"
