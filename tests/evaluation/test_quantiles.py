"""Intervals of quantiles: their ranks are those of the binomial distribution, and they hold the truth often enough."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from genre.evaluation.online.quantiles import quantile


@pytest.mark.parametrize(("n", "share"), [(72, 0.95), (100, 0.95), (1000, 0.95), (7, 0.5), (40, 0.1)])
def test_ranks_are_the_narrowest_that_miss_each_side_seldom_enough(n: int, share: float) -> None:
    found = quantile([float(rank) for rank in range(1, n + 1)], share)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    below = binom.cdf(np.arange(-1, n + 1), n, share)  # below[r] is P(fewer than r)
    assert below[int(found.low)] <= 0.025 < below[int(found.low) + 1]
    assert below[int(found.high)] >= 0.975 > below[int(found.high) - 1]


def test_too_few_values_have_no_interval() -> None:
    assert quantile([], 0.95) == quantile((), 0.5)
    assert (quantile([3.0] * 71, 0.95).value, quantile([3.0] * 71, 0.95).high) == (3.0, None)
    assert quantile([3.0] * 72, 0.95).high == 3.0


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    times = np.sort(np.random.default_rng(0).lognormal(size=(1000, 200)), axis=1)
    truth, held = np.exp(1.6448536), 0
    for row in times.tolist():
        found = quantile(row, 0.95)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.945 <= held / 1000 <= 0.99
