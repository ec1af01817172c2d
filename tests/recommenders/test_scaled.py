"""Scaled: learning on scaled ratings, predictions in stars."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import genre
from genre.cli.main import main
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError, OptionError
from genre.evaluation.results import read_evaluation
from genre.recommenders.base import Recommender
from genre.testing import toy_dataset


def generous_and_strict(n_items: int = 40) -> Dataset:
    """Users who rate the same items alike, on a wide (even users) or a narrow (odd ones) part of 0 to 100."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=n_items)
    user, item = np.nonzero(rng.random((60, n_items)) < 0.4)
    middle, width = rng.uniform(40, 60, 60), np.where(np.arange(60) % 2, 2.0, 15.0)
    rating = middle[user] + width[user] * taste[item] + rng.normal(0, 0.1, len(user))
    ids = Ids(f"{n:02}" for n in range(60)), Ids(f"{n:02}" for n in range(n_items))
    return Dataset.from_arrays(
        user=user, item=item, rating=rating, user_ids=ids[0], item_ids=ids[1], rating_scale=(-20.0, 120.0, 0.0)
    )


def rmse(model: Recommender, train: Dataset, test: Dataset) -> float:
    assert test.rating is not None
    return float(np.sqrt(np.mean((model.predict(train.history(), test.user, test.item) - test.rating) ** 2)))


@pytest.mark.parametrize("method", ["min-max", "z-score"])
def test_a_linear_model_predicts_the_same_on_scaled_ratings(method: Literal["min-max", "z-score"]) -> None:
    """The offsets of the baseline scale with the ratings, so scaling there and back changes nothing."""
    data = generous_and_strict()
    plain, scaled = genre.Baseline().fit(data), genre.Scaled(genre.Baseline(), method=method).fit(data)
    rows, items = np.array([0, 3, 5], np.int32), np.array([1, 2, 30], np.int32)
    assert np.allclose(
        scaled.predict(data.history(), rows, items), plain.predict(data.history(), rows, items), atol=1e-3
    )
    (inner,) = scaled.first_
    assert isinstance(inner, genre.Baseline)
    assert inner.mean_ == pytest.approx((plain.mean_ - scaled.shift_) / scaled.scale_, abs=1e-4), (
        "the member saw scaled ratings"
    )


@pytest.mark.parametrize("method", ["min-max", "z-score"])
def test_users_of_different_width_are_predicted_better_on_scaled_ratings(method: Literal["min-max", "z-score"]) -> None:
    data = generous_and_strict()
    held_out = np.random.default_rng(1).random(len(data)) < 0.2
    train, test = data.where(~held_out), data.where(held_out)
    plain = rmse(genre.Baseline(item_damping=0, user_damping=0).fit(train), train, test)
    model = genre.Scaled(genre.Baseline(item_damping=0, user_damping=0), method=method, per_user=True).fit(train)
    assert rmse(model, train, test) < plain / 2


def test_a_user_without_ratings_gets_stars_of_all() -> None:
    data = generous_and_strict()
    model = genre.Scaled(genre.Baseline(), method="z-score", per_user=True).fit(data)
    unknown = History.of([[], [3, 4]], data.n_items)
    stars = model.predict(unknown, np.array([0, 1], np.int32), np.array([5, 5], np.int32))
    (inner,) = model.first_
    assert isinstance(inner, genre.Baseline)
    expected = inner.item_offset_[5] * model.scale_ + model.shift_
    assert stars == pytest.approx(expected, abs=0.1)
    known = data.history([2])
    rows, items = np.zeros(3, np.int32), np.arange(3, dtype=np.int32)
    assert np.array_equal(model.predict(known, rows, items), model.predict(known.anonymous(), rows, items))


def test_networks_see_a_scaled_validation_part() -> None:
    split = genre.split(toy_dataset(), "random", {"test": 0.1, "validation": 0.2})
    network = genre.MLP(hidden=(8,), dim=4, epochs=3, batch_size=32)
    model = genre.Scaled(network, method="z-score", per_user=True).fit(split.train, validation=split.validation)
    stars = model.predict(split.train.history(), split.test.target.user, split.test.target.item)
    assert ((stars >= 1) & (stars <= 5)).all()


def test_what_ignores_ratings_is_refused() -> None:
    with pytest.raises(OptionError, match=r"first is EASE.* baseline, rating_factors or mlp"):
        genre.Scaled(genre.EASE())
    with pytest.raises(DataError, match="needs ratings"):
        genre.Scaled(genre.Baseline()).fit(dataclasses.replace(toy_dataset(), rating=None, rating_scale=None))


def test_a_config_reaches_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = generous_and_strict()
    assert data.rating is not None
    lines = (f"{u},{i},{r:.2f}" for u, i, r in zip(data.user, data.item, data.rating, strict=True))
    (tmp_path / "ratings.csv").write_text("\n".join(["user_id,item_id,rating", *lines]))
    config = tmp_path / "scaled.yaml"
    config.write_text("""
name: scaled
data: {kind: files, interactions: ratings.csv}
split: {kind: random, validation: 0.1, test: 0.1}
recommenders:
  - {kind: baseline}
  - {kind: scaled, first: {kind: baseline}, method: z-score, per_user: true}
evaluation: {metrics: [ndcg, rmse, mae]}
""")
    assert main(["check", str(config)]) == 0
    assert "per_user: true" in capsys.readouterr().out
    run = genre.run(config, runs=tmp_path / "runs")
    errors = {
        label: read_evaluation(run.folder / "evaluations" / label / "test").values["rmse"] for label in run.recommenders
    }
    assert errors["scaled"] < errors["baseline"]
