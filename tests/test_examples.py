"""The examples do what they say, on smaller data of the same making."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genre

SMALL = {
    "shop": ["--customers", "120", "--weeks", "24"],
    "social": ["--members", "320", "--days", "20"],
    "news": ["--readers", "300", "--days", "6"],
    "music": ["--listeners", "80", "--days", "40", "--tracks", "150"],
    "video": ["--viewers", "200", "--films", "120"],
}
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


def made(domain: str, folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, float]], genre.Run]:
    """A smaller world of an example, its truth, and what its config finds there, by recommender."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(EXAMPLES / domain / "make.py"), *SMALL[domain], "--output", str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True)
    (folder / f"{domain}.yaml").write_text((EXAMPLES / domain / f"{domain}.yaml").read_text())
    run = genre.run(folder / f"{domain}.yaml", runs=folder / "runs")
    truth = json.loads((folder / "data" / "truth.json").read_text())
    return truth, {row["name"]: row["values"] for row in run.report["leaderboard"]}, run


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_the_shop_sells_again_what_is_needed_and_together_what_belongs_together(tmp_path: Path) -> None:
    truth, found, run = made("shop", tmp_path)
    recall = {name: values["recall@10"] for name, values in found.items()}
    assert 2 * recall["popularity"] < 0.9 * truth["recall@10_of_the_truth"] < recall["repeat"]
    assert recall["repeat"] < 1.05 * truth["recall@10_of_the_truth"]
    ids = run.dataset.item_ids
    rows = ids.rows([first for first, _ in truth["pairs"]])
    nearest = run.recommender("together").similar_items(rows, k=1)
    right = [nearest.ids(at) == [second] for at, (_, second) in enumerate(truth["pairs"])]
    assert np.mean(right) > 0.7, "the other one of the pair"
    assert run.dataset.titles()[0].isupper(), "found in the one table"


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_friends_like_what_friends_like_and_shuffled_ones_do_not(tmp_path: Path) -> None:
    _, found, _ = made("social", tmp_path)
    assert found["friends"]["recall@10"] > 2 * found["popularity"]["recall@10"]
    placebo = ["name=placebo", "data.users=data/shuffled.csv"]
    other = genre.run(tmp_path / "social.yaml", overrides=placebo, runs=tmp_path / "runs")
    [shuffled] = (row["values"] for row in other.report["leaderboard"] if row["name"] == "friends")
    assert shuffled["recall@10"] < 0.3 * found["friends"]["recall@10"]
    (tmp_path / "people.yaml").write_text((EXAMPLES / "social" / "people.yaml").read_text())
    people = genre.run(tmp_path / "people.yaml", runs=tmp_path / "runs")
    recall = {row["name"]: row["values"]["recall@10"] for row in people.report["leaderboard"]}
    assert 10 * recall["popularity"] < 0.6 < recall["follow"], "a circle's missing friendships"
    assert recall["follow"] < recall["follow-taste"], recall


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_the_news_are_told_by_their_words(tmp_path: Path) -> None:
    truth, found, run = made("news", tmp_path)
    assert 0.6 < found["content"]["auc"] < truth["auc_of_the_truth"]
    assert found["popularity"]["auc"] < 0.55
    assert run.report["primary"] == "auc"


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_music_is_played_again(tmp_path: Path) -> None:
    truth, found, _ = made("music", tmp_path)
    recall = {name: values["recall@10"] for name, values in found.items()}
    assert recall["popularity"] < 0.5 * recall["repeat"]
    assert recall["repeat"] > 0.8 * truth["recall@10_of_the_truth"]


@pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")
def test_ratings_of_films_are_predicted_between_the_mean_and_the_truth(tmp_path: Path) -> None:
    truth, found, _ = made("video", tmp_path)
    assert truth["rmse_of_the_truth"] < found["rating_factors"]["rmse"] < found["baseline"]["rmse"]
    assert found["blend"]["ndcg@10"] > 0
