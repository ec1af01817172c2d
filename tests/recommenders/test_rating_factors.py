"""RatingFactors: a planted world, fold-in, new items."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.recommenders.baseline import Baseline
from genre.recommenders.rating_factors import ITEM_BIAS, RatingFactors, ridge
from genre.testing import toy_dataset


def test_ridge_equals_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    matrix, target = sp.random(30, 12, 0.3, rng=rng).tocsr(), rng.normal(size=(30, 4))
    dense = matrix.toarray()
    expected = np.linalg.solve(dense.T @ dense + 2 * np.eye(12), dense.T @ target)
    assert np.allclose(ridge(matrix, target, 2.0, np.zeros((12, 4)), steps=40), expected, atol=1e-6)


def planted(n_users: int = 150, n_items: int = 80) -> tuple[Dataset, Dataset, Float32]:
    """Ratings of rank two with biases and noise of half a star; item features know the factors."""
    rng = np.random.default_rng(1)
    users, items = rng.normal(0, 0.8, (n_users, 2)), rng.normal(0, 0.8, (n_items, 2))
    truth = 3 + users @ items.T + rng.normal(0, 0.4, (n_users, 1)) + rng.normal(0, 0.4, n_items)
    user, item = np.nonzero(rng.random(truth.shape) < 0.3)
    rating = truth[user, item] + rng.normal(0, 0.5, len(user))
    whole = Dataset.from_arrays(
        user=user,
        item=item,
        rating=rating,
        user_ids=Ids(range(n_users)),
        item_ids=Ids(range(n_items)),
        rating_scale=(-10.0, 15.0, 0.0),
    )
    test = rng.random(len(user)) < 0.2
    return whole.where(~test), whole.where(test), np.hstack([items, rng.normal(size=(n_items, 2))]).astype(np.float32)


def rmse(model: Baseline | RatingFactors, train: Dataset, test: Dataset) -> float:
    assert test.rating is not None
    return float(np.sqrt(np.mean((model.predict(train.history(), test.user, test.item) - test.rating) ** 2)))


def test_finds_the_planted_factors() -> None:
    train, test, _ = planted()
    assert rmse(RatingFactors(factors=4).fit(train), train, test) < 0.62  # the noise alone is 0.5
    assert rmse(Baseline().fit(train), train, test) > 0.8


def test_items_without_ratings_are_placed_by_features() -> None:
    train, test, features = planted()
    cold = np.arange(80) % 5 == 0
    seen = train.where(~cold[train.item])
    targets = test.where(cold[test.item])
    blind = rmse(RatingFactors(factors=4).fit(seen), seen, targets)
    sighted = RatingFactors(factors=4).fit(seen.with_features(items=Features(features, "planted")))
    assert rmse(sighted, seen, targets) < blind - 0.1


def test_extend_equals_an_item_without_ratings() -> None:
    train, _, features = planted()
    model = RatingFactors(factors=3).fit(train.with_features(items=Features(features, "planted")))
    grown = model.extend(["twin"], features[7:8])
    history = dataclasses.replace(train.history([0, 5]), n_items=81)
    scores = grown.score(history)
    assert np.allclose(scores[:, :80], model.score(train.history([0, 5])), atol=1e-5)
    assert np.isfinite(scores[:, 80]).all()
    with pytest.raises(DataError, match="learnt from 4 features"):
        model.extend(["twin"], np.ones((1, 3), np.float32))


def test_a_stranger_is_folded_in() -> None:
    train, _, _ = planted()
    model = RatingFactors(factors=3).fit(train)
    assert np.array_equal(model.score(train.history([4])), model.score(train.history([4]).anonymous()))


def test_contributions_and_the_items_own_height_make_the_score() -> None:
    data = toy_dataset()
    model = RatingFactors(factors=3).fit(data)
    for history in (data.history([2]), History.of([[0, 4, 5]], 12)):  # with and without stars
        items = np.array([1, 2, 6], np.int32)
        for found in model.explain(history, items):
            own = model.mean_ + model.item_mean_[found.item, ITEM_BIAS]
            assert np.isclose(own + sum(share for _, share in found.history), found.score, atol=1e-4)


def test_needs_ratings() -> None:
    with pytest.raises(DataError, match="ratings"):
        RatingFactors().fit(dataclasses.replace(toy_dataset(), rating=None))
