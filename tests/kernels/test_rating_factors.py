"""The kernels of `kernels/rating_factors.py` against the formulas for one row and one rating."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.kernels.rating_factors import mean_squared_error, posteriors

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
    got_mean, got_covariance = posteriors((indptr, other, value), prior, precision, (mean, covariance), noise, one)
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
    assert mean_squared_error(user, item, value, users, items) == pytest.approx(np.mean(expected), rel=1e-9)


def test_the_formula_of_the_expected_error_equals_samples() -> None:
    rng = np.random.default_rng(0)
    mean, covariance = gaussians(rng, 2, 3)
    expected = squared_error_plain(1.0, (mean[0], covariance[0]), (mean[1], covariance[1]))
    left, right = (rng.multivariate_normal(mean[side], covariance[side], 400_000) for side in (0, 1))
    assert np.isclose(expected, ((1 - (left * right).sum(axis=1)) ** 2).mean(), rtol=0.02)
