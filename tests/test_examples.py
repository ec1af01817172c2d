"""The examples do what they say, on smaller data of the same making."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import genre

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_matrix_whose_answer_is_known_is_learnt(tmp_path: Path) -> None:
    """The network's error lies well below the mean's and cannot lie below that of the truth itself."""
    size = ["--users", "200", "--items", "500", "--density", "0.15", "--output", str(tmp_path)]
    subprocess.run([sys.executable, str(EXAMPLES / "matrix" / "make.py"), *size], check=True, capture_output=True)
    truth = json.loads((tmp_path / "truth.json").read_text())
    here = [f"data.path={tmp_path}/ratings.csv", f"data.items={tmp_path}/items.csv"]
    run = genre.run(EXAMPLES / "matrix" / "matrix.yaml", overrides=here, runs=tmp_path / "runs")
    rmse = {row["name"]: row["values"]["rmse"] for row in run.report["leaderboard"]}
    mean, floor = truth["rmse_of_the_mean"], truth["rmse_of_the_truth"]
    assert floor < rmse["rating_factors"] < 0.75 * mean
    assert floor < rmse["mlp"] < 0.8 * mean < rmse["baseline"]
    assert run.report["primary"] == "rmse"
    assert run.report["best"] == next(iter(rmse)) == "rating_factors"
