"""Experiments between arms: error rates under daily looks, and checks of the assignment."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.errors import EvaluationError
from genre.evaluation.online.experiments import (
    MIN_USERS,
    MISMATCH_LEVEL,
    ArmOutcome,
    always_valid_effect,
    check_assignment,
)


def bought(users: int, buyers: int) -> ArmOutcome:
    return ArmOutcome(users, buyers, buyers)


def test_an_arm_has_the_mean_and_variance_of_its_users() -> None:
    values = np.array([0.0, 2.0, 5.0, 5.0])
    arm = ArmOutcome(4, float(values.sum()), float((values**2).sum()))
    assert arm.mean == values.mean()
    assert arm.variance == pytest.approx(values.var(ddof=1))


def test_the_interval_is_the_mixture_test_turned_round() -> None:
    """Every effect at the end of the interval has the likelihood ratio 1 / level, by integration over the mixture."""
    a, b, planned = bought(4000, 400), bought(4100, 500), 5000
    effect = always_valid_effect(a, b, planned=planned)
    variance = a.variance / a.users + b.variance / b.users
    spread = math.sqrt(8.0 * (a.variance + b.variance) / planned)
    grid = np.linspace(-12 * spread, 12 * spread, 400_001)
    prior = np.exp(-((grid / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi))

    def ratio(truth: float) -> float:
        gap = effect.difference - truth
        return float((np.exp((gap**2 - (gap - grid) ** 2) / (2 * variance)) * prior).sum() * (grid[1] - grid[0]))

    assert ratio(effect.low) == pytest.approx(20, rel=1e-6)
    assert ratio(effect.high) == pytest.approx(20, rel=1e-6)
    assert ratio(0.0) == pytest.approx(1 / effect.p, rel=1e-6)


@given(
    st.integers(MIN_USERS, 10_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.integers(MIN_USERS, 10_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.integers(1, 100_000),
)
def test_an_interval_leaves_out_zero_exactly_when_p_is_below_the_level(
    first: tuple[int, int], second: tuple[int, int], planned: int
) -> None:
    effect = always_valid_effect(bought(*first), bought(*second), planned=planned, level=0.05)
    assert effect.low <= effect.difference <= effect.high
    if abs(effect.p - 0.05) > 1e-9:
        assert effect.decided == (effect.p < 0.05)
    mirrored = always_valid_effect(bought(*second), bought(*first), planned=planned)
    assert (mirrored.low, mirrored.high) == pytest.approx((-effect.high, -effect.low))


def test_too_few_users_and_an_outcome_without_spread_decide_nothing() -> None:
    for arms in ((bought(99, 0), bought(5000, 5000)), (bought(500, 0), bought(500, 0))):
        effect = always_valid_effect(*arms, planned=1000)
        assert (effect.low, effect.high, effect.p, effect.decided) == (-math.inf, math.inf, 1.0, False)


def test_looking_two_hundred_times_calls_few_equal_arms_different_and_finds_a_real_effect() -> None:
    """300 experiments of each kind; 10,000 in benchmarks/experiments.py."""
    rng = np.random.default_rng(3)
    planned = 14_749  # of a test at a fixed end, with a power of 0.8
    found = {}
    for other, length in ((0.1, 2.0), (0.11, 1.8)):
        step = int(planned * length / 200)
        buyers = rng.binomial(step, [[[0.1]], [[other]]], (2, 300, 200)).cumsum(axis=2)
        last = np.full(300, np.inf)
        for run in range(300):
            for look in range(200):
                arms = (bought((look + 1) * step, int(buyers[arm, run, look])) for arm in range(2))
                if always_valid_effect(*arms, planned=planned).decided:
                    last[run] = (look + 1) * step / planned
                    break
        found[other] = last
    assert 0 < np.isfinite(found[0.1]).mean() <= 0.05
    assert np.isfinite(found[0.11]).mean() >= 0.75
    assert np.median(found[0.11]) <= 1.2


def test_the_evidence_against_a_right_assignment_is_one_on_average() -> None:
    """A test martingale: summed over every outcome of 40 users, each by its chance, the Bayes factor is 1."""
    chance = [math.comb(40, k) * 0.3**k * 0.7 ** (40 - k) for k in range(41)]
    rows = [check_assignment({"a": k, "b": 40 - k}, {"a": 3, "b": 7}) for k in range(41)]
    assert all(row.expected == pytest.approx({"a": 12, "b": 28}) for row in rows)
    bound = sum(c * min(1 / row.p, 1e9) for c, row in zip(chance, rows, strict=True))  # p is at most 1: from above
    assert 1 <= bound < 1.2


def test_a_wrong_split_is_flagged_and_a_right_one_is_not() -> None:
    even = {"a": 0.5, "b": 0.5}
    assert not check_assignment({"a": 10_050, "b": 9_950}, even).flagged
    found = check_assignment({"a": 10_400, "b": 9_600}, even)
    assert found.flagged
    assert found.p < MISMATCH_LEVEL
    assert not check_assignment({"a": 9_000, "b": 1_000}, {"a": 0.9, "b": 0.1}).flagged
    assert check_assignment({"a": 9_000, "b": 1_000}, even).flagged
    assert not check_assignment({"a": 0, "b": 0}, even).flagged


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ArmOutcome(-1, 0, 0), "no outcome of an arm"),
        (lambda: ArmOutcome(5, math.nan, 1), "no outcome of an arm"),
        (lambda: always_valid_effect(bought(1, 0), bought(1, 0), planned=0), "planned is at least 1"),
        (lambda: check_assignment({"a": 1}, {"a": 1, "b": 1}), "arms with users are"),
        (lambda: check_assignment({"a": 1, "b": 1}, {"a": 1, "b": 0}), "shares must be positive"),
    ],
)
def test_what_makes_no_sense_is_refused(call: object, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        call()  # type: ignore[operator]
