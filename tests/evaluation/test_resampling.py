"""Bootstrap, sign flips and Holm against SciPy, enumeration and what must be true."""

import itertools

import numpy as np
import pytest
import scipy.stats

from genre.evaluation.resampling import bootstrap, holm, power_mean, sign_flip


def test_the_bootstrap_is_a_resampled_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(1, 1, (200, 2))
    values[:50, 1] = np.nan
    drawn = bootstrap(values, np.ones_like(values), np.ones(2), resamples=4000)
    for column in (0, 1):
        known = values[:, column][np.isfinite(values[:, column])]
        assert drawn[:, column].mean() == pytest.approx(known.mean(), abs=0.01)
        assert drawn[:, column].std() == pytest.approx(known.std() / np.sqrt(len(known)), rel=0.1)
    low, high = np.percentile(drawn[:, 0], [2.5, 97.5])
    theirs = scipy.stats.bootstrap((values[:, 0],), np.mean, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    again = bootstrap(values, np.ones_like(values), np.ones(2), resamples=4000)
    assert np.array_equal(drawn, again)


def test_the_same_column_gets_the_same_draws_in_any_company() -> None:
    values = np.random.default_rng(1).random((30, 3))
    together = bootstrap(values, np.ones_like(values), np.ones(3))
    alone = bootstrap(values[:, 2:], np.ones((30, 1)), np.ones(1))
    assert together[:, 2] == pytest.approx(alone[:, 0])


def test_power_means_weigh_by_ratings() -> None:
    errors = [np.array([1.0, 2.0]), np.array([3.0])]
    roots = np.array([np.sqrt((e**2).mean()) for e in errors])
    assert power_mean(roots, np.array([2, 1]), 2) == pytest.approx(np.sqrt((1 + 4 + 9) / 3))
    assert np.isnan(power_mean(np.array([np.nan]), np.ones(1)))


def test_sign_flips_agree_with_enumeration_and_scipy() -> None:
    differences = np.array([0.3, 0.1, -0.2, 0.5, 0.4, 0.0, 0.25, -0.05, 0.3, 0.2])
    signs = np.array(list(itertools.product([-1, 1], repeat=10)))
    exact = (np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12).mean()
    scipys = scipy.stats.permutation_test(
        (differences, np.zeros(10)), lambda a, b: (a - b).sum(), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert exact == pytest.approx(scipys)
    assert sign_flip(differences[:, None], flips=20_000)[0] == pytest.approx(exact, abs=0.005)


def test_sign_flips_are_level_without_a_difference() -> None:
    nothing = np.random.default_rng(2).normal(size=(60, 400))
    p = sign_flip(nothing, flips=500)
    assert 0.02 < (p <= 0.05).mean() < 0.09
    assert sign_flip(np.zeros((9, 1)))[0] == 1.0
    real = np.random.default_rng(3).normal(0.5, 1, size=(300, 1))
    assert sign_flip(real)[0] < 0.001


def test_a_p_value_that_flips_cannot_show_is_bounded_from_above() -> None:
    differences = np.random.default_rng(4).uniform(0.1, 1, size=(18, 1))  # all of one sign: 2 of 2^18 signs are as far
    (p,) = sign_flip(differences, flips=100)
    assert 2 / 2**18 <= p < 1 / 101, "never below the exact p, and below what a hundred flips can show"
    many = np.random.default_rng(5).normal(0.5, 1, size=(120, 136))
    assert (holm(sign_flip(many)) <= 0.05).mean() > 0.9, "every pair of 17 recommenders, apart by half a deviation"


def test_holm() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
