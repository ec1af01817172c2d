"""`genre auto`: from files to a config whose run gives what was found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import genre
from genre import storage
from genre.auto import find_config, short_form
from genre.cli.main import main
from genre.evaluation.search_budget import Allowance
from genre.recommenders.blend import Blend
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.ranker import Ranker
from genre.recommenders.smoothed import Smoothed


@pytest.fixture
def stars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = ["user,item,rating,time"]
    for user in range(60):
        items = 2 * rng.permutation(12)[:9] + user % 2
        lines += [
            f"u{user},i{item},{5 if at else 1},{1_600_000_000 + 86_400 * (user + 7 * at)}"
            for at, item in enumerate(items)
        ]
    (tmp_path / "stars.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_run_of_the_config_gives_the_value_that_was_found(stars: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["auto", "stars.csv", "--trials", "9", "--budget", "5"]) == 0
    printed = capsys.readouterr()
    assert "minutes left" in printed.err
    assert "next: genre run genre.yaml" in printed.out
    text = Path("genre.yaml").read_text()
    assert text.startswith("# Written by `genre auto`.")
    first = yaml.safe_load(text)["recommenders"][0]
    value = float(text.partition(" on validation, the best after 9 trials")[0].split()[-1])
    run = genre.run("genre.yaml", overrides=[f"recommenders={json.dumps([first])}"])
    best = first["kind"] if "name" not in first else first["name"]
    again = storage.read_json(run.folder / "evaluations" / best / "validation" / "evaluation.json")["values"]["ndcg@10"]
    assert round(again, 4) == value
    assert "rating_factors" in text
    assert main(["auto", "stars.csv"]) == 2, "it replaces no file"


def test_a_seed_gives_one_config(stars: Path) -> None:
    texts = [
        find_config(stars / "stars.csv", output=stars / "genre.yaml", allowance=Allowance(trials=7), seed=seed).text
        for seed in (3, 3)
    ]
    assert texts[0] == texts[1]


def test_options_at_their_defaults_are_not_written() -> None:
    blend = Blend((EASE(regularization=20.0), Smoothed(ItemKNN())), length_buckets=2)
    assert short_form(Ranker(blend, epochs=3)) == {
        "kind": "ranker",
        "first": {
            "kind": "blend",
            "recommenders": [
                {"kind": "ease", "regularization": 20.0},
                {"kind": "smoothed", "recommender": {"kind": "item_knn"}},
            ],
            "length_buckets": 2,
        },
        "epochs": 3,
    }
