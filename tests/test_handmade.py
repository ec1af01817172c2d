"""The configs by hand in `benchmarks/handmade` are legal, and the best of all that was tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from genre.config.reading import read_config

FOLDER = Path(__file__).parents[1] / "benchmarks" / "handmade"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_config_by_hand_is_the_best_of_at_least_thirty(path: Path) -> None:
    assert read_config(path).experiment.name == path.stem
    rows = [line.split("\t") for line in path.with_suffix(".tsv").read_text().splitlines()[1:]]
    assert len(rows) >= 30
    best = max(rows, key=lambda row: float(row[0]))
    assert yaml.safe_load(path.read_text())["recommenders"] == [json.loads(best[2])]
