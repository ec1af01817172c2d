"""One catalogue's run on another: what carries over, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import genre
from genre.catalogue_transfer import transfer
from genre.cli.main import main
from genre.errors import ConfigError, NotSupported
from genre.runs import Run
from genre.testing import toy_dataset

ENCODER = '''
from dataclasses import dataclass
import numpy as np
from genre import Encoder

@dataclass(eq=False)
class Letters(Encoder):
    """Counts of letters: what a text is about, the same in every catalogue."""
    def encode_texts(self, texts, *, log=None):
        return np.array([[text.count(letter) for letter in "rdkq"] for text in texts], np.float32)
'''
CONFIG = """\
name: NAME
data: {kind: files, interactions: NAME.csv, items: NAME-items.csv}
split: {kind: leave-one-out}
features: {items: {kind: "letters_of_transfer:Letters"}}
recommenders:
  - {kind: popularity}
  - {kind: two_tower, dim: 8, ids: 8, hidden: 16, epochs: 12, id_dropout: 0.8, learning_rate: 0.01}
evaluation: {k: 3, metrics: [ndcg]}
"""
ABOUT = ("rrr robots", "ddd dragons", "kkk knights")


def write_catalogue(folder: Path, name: str, n_items: int) -> Path:
    """Users who like the items of one subject each, in a catalogue with ids of its own."""
    rng = np.random.default_rng(n_items)
    items = [f"{name}{at},{ABOUT[at % 3]} {at}" for at in range(n_items)]
    rows = []
    for user in range(30):
        liked = rng.permutation(np.arange(user % 3, n_items, 3))[:5]
        rows += [f"u{user},{name}{item},{1_600_000_000 + 60 * at + user}" for at, item in enumerate(liked)]
    (folder / f"{name}-items.csv").write_text("\n".join(["item_id,title", *items]) + "\n")
    (folder / f"{name}.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    path = folder / f"{name}.yaml"
    path.write_text(CONFIG.replace("NAME", name))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("transfer")
    (folder / "letters_of_transfer.py").write_text(ENCODER)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def films(place: Path) -> Run:
    return genre.run(write_catalogue(place, "films", 30), runs=place / "runs")


def test_what_was_learnt_elsewhere_is_right_here(films: Run, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The target has other items, other ids and the same three subjects."""
    books = write_catalogue(place, "books", 24)
    run = transfer(films.folder, books, runs=place / "runs")
    found = {row["name"]: row["values"]["ndcg@3"] for row in run.report["leaderboard"]}
    names = {"popularity", "content", "two_tower-zero-shot", "two_tower-fine-tuned", "two_tower-from-scratch"}
    assert found.keys() == names
    assert found["two_tower-zero-shot"] > found["popularity"] + 0.2, "no interaction of books was learnt from"
    liked = run.recommend(history=["books0", "books3"], k=3, using="two_tower-zero-shot")["item_id"]
    assert {int(item.removeprefix("books")) % 3 for item in liked} == {0}
    assert (
        main(["transfer", str(films.folder), "--to", str(books), "--runs", str(place / "runs"), "evaluation.k=2"]) == 0
    )
    out = capsys.readouterr().out
    assert "two_tower-zero-shot" in out
    assert "ndcg@2" in out


def test_what_cannot_be_transferred_is_refused(films: Run, place: Path) -> None:
    books = write_catalogue(place, "books", 24)
    with pytest.raises(ConfigError, match="popularity cannot be transferred: Popularity cannot place an item"):
        transfer(films.folder, books, using="popularity", runs=place / "runs")
    text = books.read_text()
    books.write_text(text.replace('"letters_of_transfer:Letters"', "tfidf"))
    with pytest.raises(ConfigError, match="needs one encoder for both"):
        transfer(films.folder, books, runs=place / "runs")


def test_a_network_starts_from_a_fitted_one() -> None:
    data = toy_dataset()
    options = {"dim": 8, "ids": 8, "hidden": 16, "epochs": 1, "learning_rate": 1e-6}
    first = genre.TwoTower(**{**options, "epochs": 10, "learning_rate": 0.01}).fit(data)  # type: ignore[arg-type]
    started = genre.TwoTower(**options).fit(data, start=first)  # type: ignore[arg-type]
    bare = genre.TwoTower(**options).fit(data)  # type: ignore[arg-type]
    near, far = (np.abs(one.score(data.history()) - first.score(data.history())).max() for one in (started, bare))
    assert near < 0.1 * far
    with pytest.raises(NotSupported, match="EASE cannot start from a fitted TwoTower"):
        genre.EASE().fit(data, start=first)
    with pytest.raises(NotSupported, match="SASRec cannot start from a fitted TwoTower"):
        genre.SASRec().fit(data, start=first)
