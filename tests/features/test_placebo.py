"""The placebo of all that reads texts: one option, after which texts tell nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import genre
from genre.errors import ConfigError
from genre.features.placebo import exchange_ids, exchange_texts
from genre.features.vectors import Vectors
from genre.preprocessing.splits import LeaveOneOut, split
from genre.testing import toy_dataset
from lines import Lines
from small_world import write_interactions

CONFIG = """\
name: small
data: {kind: files, interactions: interactions.csv, items: items.csv}
split: {kind: leave-one-out}
features: {items: {kind: tfidf, dim: 4}}
recommenders: [{kind: content}, {kind: shared_words}, {kind: ease, regularization: 5}]
evaluation: {k: 3, metrics: [ndcg]}
"""


def test_fields_move_together_and_interactions_stay() -> None:
    parts = split(toy_dataset(), LeaveOneOut())
    other = exchange_texts(parts)
    before, after = parts.train.items.to_pylist(), other.train.items.to_pylist()
    assert [row["item_id"] for row in after] == [row["item_id"] for row in before]
    texts = [tuple(row[name] for name in ("title", "genres", "text")) for row in after]
    assert sorted(texts) == sorted(tuple(row[name] for name in ("title", "genres", "text")) for row in before)
    assert [row["title"] for row in after] != [row["title"] for row in before]
    assert other.test.context.items.equals(other.train.items)
    assert other.train.item.tolist() == parts.train.item.tolist()


def test_vectors_by_id_move_with_the_fields(tmp_path: Path) -> None:
    parts = split(toy_dataset(), LeaveOneOut())
    path = tmp_path / "v.csv"
    path.write_text("item_id,value\n" + "\n".join(f"i{row},{row + 1}" for row in range(12)))
    other = exchange_texts(parts).train
    titles = parts.train.items["title"].to_pylist()
    whose = [titles.index(title) for title in other.items["title"].to_pylist()]  # whose fields each item got
    table = exchange_ids(other).items
    assert Vectors(path).fit(table).encode(table).values.ravel().tolist() == [row + 1 for row in whose]


def test_one_option_takes_away_what_texts_tell_and_nothing_else(tmp_path: Path) -> None:
    write_interactions(tmp_path / "interactions.csv", 20)
    items = [f"i{item},{'robots in space' if item % 2 else 'old dragons'}" for item in range(16)]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title", *items]))
    (tmp_path / "small.yaml").write_text(CONFIG)
    values = []
    log = Lines()
    for placebo in ("false", "true"):
        overrides = [f"features.placebo={placebo}"]
        run = genre.run(tmp_path / "small.yaml", overrides=overrides, runs=tmp_path / "runs", log=log)
        values.append({row["name"]: row["values"]["ndcg@3"] for row in run.report["leaderboard"]})
    true, placebo_values = values
    for reads_text in ("content", "shared_words"):
        assert placebo_values[reads_text] < 0.7 * true[reads_text]
    assert placebo_values["ease"] == true["ease"]
    assert any("placebo" in line for line in log.lines)
    with pytest.raises(ConfigError, match="not for serving"):
        genre.run(tmp_path / "small.yaml", overrides=["features.placebo=true", "evaluation.refit=true"], log=log)
