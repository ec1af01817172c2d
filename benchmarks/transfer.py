"""What one catalogue's run knows of another, by `genre transfer`: between two sets of films, and from films to a shop.

The rows are those of `domains.py`, which calls this file. Every catalogue becomes the same two files, interactions.csv
and items.csv with a title and genres, so that one encoder reads all of them.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import movietweetings

import genre
from genre.catalogue_transfer import transfer
from genre.data.dataset import Dataset
from genre.evaluation.comparison import compare
from genre.evaluation.evaluator import evaluate
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.splits import TimeSplit

CONFIG = """\
name: NAME
data: {kind: files, interactions: interactions.csv, items: items.csv, columns: {weight: weight}}
split: {kind: time}
features: {items: {kind: embedding, template: "{title}. {genres}"}}
recommenders:
  - {kind: two_tower, name: two_tower, id_dropout: 0.8, epochs: 12}
evaluation: {k: 10, metrics: [ndcg, recall]}
"""
NAMES = {
    "popularity": "popularity",
    "content": "content (no training)",
    "two_tower-zero-shot": "two_tower of the other catalogue, as it is",
    "two_tower-fine-tuned": "the same, trained further",
    "two_tower-from-scratch": "two_tower from nothing",
}


def films(data: Path) -> Dataset:
    folder = data / "ml-latest-small"
    return genre.load(folder / "ratings.csv", items=folder / "movies.csv")


def shop(data: Path) -> Dataset:
    cleaning = Cleaning(returns="cancel", weights="equal")
    file = data / "uci-online-retail" / "online_retail.parquet"
    return genre.load(file, columns={"item": "Description"}, cleaning=cleaning)


def write_catalogue(dataset: Dataset, folder: Path, name: str) -> Path:
    """Write a catalogue with its likes as weights, and its config; return the config."""
    folder.mkdir()
    liked, items = dataset.liked(), dataset.items
    genres = items["genres"].to_pylist() if "genres" in items.column_names else [""] * dataset.n_items
    titles = dataset.titles()
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        rows = ([dataset.item_ids[row], titles[row], genres[row] or ""] for row in range(dataset.n_items))
        csv.writer(file).writerows([["item_id", "title", "genres"], *rows])
    assert dataset.timestamp is not None
    columns = zip(dataset.user.tolist(), dataset.item.tolist(), dataset.timestamp.tolist(), liked.tolist(), strict=True)
    with (folder / "interactions.csv").open("w", newline="", encoding="utf-8") as file:
        rows = ([dataset.user_ids[user], dataset.item_ids[item], time, int(like)] for user, item, time, like in columns)
        csv.writer(file).writerows([["user_id", "item_id", "timestamp", "weight"], *rows])
    path = folder / f"{name}.yaml"
    path.write_text(CONFIG.replace("NAME", name))
    return path


def transferred(source: Callable[[Path], Dataset], target: Callable[[Path], Dataset]) -> Callable[[Path], list[Any]]:
    """The rows of a recommender of `source` on `target`."""

    def rows_of(data: Path) -> list[Any]:
        with tempfile.TemporaryDirectory() as aside:
            folder = Path(aside)
            first = genre.run(write_catalogue(source(data), folder / "source", "source"), runs=folder / "runs")
            config = write_catalogue(target(data), folder / "target", "target")
            run = transfer(first.folder, config, runs=folder / "runs")
            split = TimeSplit().split(run.dataset)
            rows: list[dict[str, Any]] = []
            for label, name in NAMES.items():
                found = evaluate(
                    run.recommender(label), split.test, metrics=["ndcg", "recall"], train=split.train, k=10
                )
                cost = next(row["cost"] for row in run.report["leaderboard"] if row["name"] == label)
                row = {"name": name, "options": "", "cpu": cost["fit_cpu_s"], "evaluation": found}
                row |= {"values": found.values, "intervals": found.intervals, "warm": found.warm}
                row["users"] = len(found.users)
                others = [*rows[:2], *rows[3:]]
                row["differences"] = []
                for other in others:
                    [difference] = compare(found, other["evaluation"], ["ndcg@10"])
                    bounds = {"low": difference.low, "high": difference.high}
                    row["differences"].append({**bounds, "against": other["name"].split(" (")[0]})
                rows.append(row)
                print(f"{name:45} ndcg@10 {found.values['ndcg@10']:.4f}", flush=True)
            return rows

    return rows_of


SETS = {
    "transfer-tweets": transferred(films, movietweetings),
    "transfer-films": transferred(movietweetings, films),
    "transfer-shop": transferred(films, shop),
}
