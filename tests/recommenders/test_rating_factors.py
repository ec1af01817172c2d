"""RatingFactors: its kernels against plain twins, a planted world, fold-in, new items."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.arrays import Float32
from genre.data.dataset import Dataset, Features, History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.kernels.rating_factors import mean_squared_error, posteriors
from genre.recommenders.baseline import Baseline
from genre.recommenders.rating_factors import ITEM_BIAS, RatingFactors, ridge
from genre.testing import toy_dataset

Gaussian = tuple[np.ndarray, np.ndarray]  # mean, covariance


def posterior_plain(
    mean: np.ndarray,
    covariance: np.ndarray,
    value: np.ndarray,
    prior: np.ndarray,
    precision: np.ndarray,
    noise: float,
    one: int,
) -> tuple[np.ndarray, np.ndarray]:
    """One row by the textbook: a Gaussian regression on the entries that are not constant."""
    free = np.arange(len(prior)) != one
    moment = mean.T @ mean + covariance.sum(axis=0)
    inverse = np.linalg.inv(moment[np.ix_(free, free)] / noise + np.diag(precision[free]))
    pull = (mean.T @ value - moment[:, one])[free] / noise + (prior * precision)[free]
    out_mean, out_covariance = np.ones(len(prior)), np.zeros((len(prior), len(prior)))
    out_mean[free] = inverse @ pull
    out_covariance[np.ix_(free, free)] = inverse
    return out_mean, out_covariance


def squared_error_plain(value: float, left: Gaussian, right: Gaussian) -> float:
    """E (value - x'y)^2 of independent x ~ N(m, S), y ~ N(n, T): (value - m'n)^2 + m'Tm + n'Sn + tr(ST)."""
    (m, s), (n, t) = left, right
    return float((value - m @ n) ** 2 + m @ t @ m + n @ s @ n + np.trace(s @ t))


def gaussians(rng: np.random.Generator, n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    root = rng.normal(size=(n, dim, dim)) * 0.4
    return rng.normal(size=(n, dim)), root @ root.transpose(0, 2, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=6),
    st.integers(1, 9),
    st.integers(2, 7),
    st.floats(0.1, 5),
    st.integers(0, 2**32 - 1),
)
def test_posteriors_equal_the_textbook(lengths: list[int], n_other: int, dim: int, noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean, covariance = gaussians(rng, n_other, dim)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    other, value = rng.integers(0, n_other, indptr[-1], np.int32), rng.normal(size=indptr[-1])
    prior, precision = rng.normal(size=(len(lengths), dim)), rng.random(dim) + 0.5
    one = int(rng.integers(dim))
    got_mean, got_covariance = posteriors(indptr, other, value, prior, precision, mean, covariance, noise, one)
    for row in range(len(lengths)):
        here = slice(indptr[row], indptr[row + 1])
        at = other[here]
        expected = posterior_plain(mean[at], covariance[at], value[here], prior[row], precision, noise, one)
        np.testing.assert_allclose(got_mean[row], expected[0], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(got_covariance[row], expected[1], rtol=1e-7, atol=1e-9)
        if len(at) == 0:  # nothing rated: the prior
            np.testing.assert_allclose(np.delete(got_mean[row], one), np.delete(prior[row], one), rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_the_expected_error_equals_its_formula(n: int, n_users: int, n_items: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = gaussians(rng, n_users, dim), gaussians(rng, n_items, dim)
    user, item = rng.integers(0, n_users, n, np.int32), rng.integers(0, n_items, n, np.int32)
    value = rng.normal(size=n)
    expected = [
        squared_error_plain(v, (users[0][u], users[1][u]), (items[0][i], items[1][i]))
        for v, u, i in zip(value, user, item, strict=True)
    ]
    assert mean_squared_error(user, item, value, *users, *items) == pytest.approx(np.mean(expected), rel=1e-9)


def test_the_formula_of_the_expected_error_equals_samples() -> None:
    rng = np.random.default_rng(0)
    mean, covariance = gaussians(rng, 2, 3)
    expected = squared_error_plain(1.0, (mean[0], covariance[0]), (mean[1], covariance[1]))
    left, right = (rng.multivariate_normal(mean[side], covariance[side], 400_000) for side in (0, 1))
    assert np.isclose(expected, ((1 - (left * right).sum(axis=1)) ** 2).mean(), rtol=0.02)


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
