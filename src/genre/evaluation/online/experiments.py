"""Experiments between arms of users: intervals that stay valid however often one looks, and checks of the assignment.

The unit is the user: an arm is the number of its users and the sums of one outcome over them, so that nothing about a
user is kept. An outcome is what a user did in a fixed time after the first list, such as "bought: 0 or 1".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from genre.errors import EvaluationError
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL

MIN_USERS = 100
"""Users of an arm below which nothing is said: the intervals rest on the central limit theorem."""
TIGHTEST = 8.0
"""Variance of the effects that are thought of, by the variance of their estimate at the planned number of users.

By theory 7.9 makes the interval at the planned number of users as narrow as it can be (Waudby-Smith et al., section 2).
"""
MISMATCH_LEVEL = 0.003
"""Chance of calling a right assignment wrong, over the whole of an experiment."""
MISMATCH_PRIOR = 1500.0
"""Users that the prior of a wrong assignment is worth: most sensitive to a share that is wrong by a few percent."""


@dataclass(frozen=True)
class ArmOutcome:
    """One outcome over the users of an arm.

    Attributes:
        users: How many users the arm has.
        total: The sum of the outcome over them.
        squares: The sum of its squares.
    """

    users: int
    total: float
    squares: float

    def __post_init__(self) -> None:
        if self.users < 0 or self.squares < 0 or not math.isfinite(self.total + self.squares):
            raise EvaluationError(f"no outcome of an arm: {self.users} users, sum {self.total}, squares {self.squares}")

    @property
    def mean(self) -> float:
        """The mean over users; 0 without any."""
        return self.total / self.users if self.users else 0.0

    @property
    def variance(self) -> float:
        """The variance over users, with n - 1; 0 below two users."""
        spread = self.squares - self.total * self.mean
        return max(spread, 0.0) / (self.users - 1) if self.users > 1 else 0.0


@dataclass(frozen=True)
class Effect:
    """How much more the second arm got than the first, a user.

    Attributes:
        difference: Mean of the second arm minus mean of the first.
        low: Lower end of the interval; minus infinity while there are too few users.
        high: Upper end of it.
        p: Always-valid p value: the smallest level at which the interval, as it stands now, leaves out 0.
        users: Users of both arms.
    """

    difference: float
    low: float
    high: float
    p: float
    users: int

    @property
    def decided(self) -> bool:
        """Whether 0 is outside the interval: one arm is better."""
        return self.low > 0 or self.high < 0


def always_valid_effect(
    first: ArmOutcome, second: ArmOutcome, *, planned: int, level: float = SIGNIFICANCE_LEVEL
) -> Effect:
    """Estimate the effect with an interval that holds at all times at once, so that looking daily is allowed.

    With d the difference of the means, V its estimated variance and t^2 the variance of a normal mixture over effects,
    the interval is d +- sqrt(V (V + t^2) / t^2 * (2 log(1 / level) + log((V + t^2) / V))): the mixture sequential
    probability ratio test of Robbins (1970) and Johari et al. (2017) turned into an interval, valid in large samples by
    Waudby-Smith et al. (2024, "Time-uniform central limit theory and asymptotic confidence sequences").

    Args:
        first: Outcome of the arm compared with.
        second: Outcome of the arm that is tried.
        planned: Users an arm at which the interval should be narrowest, such as a test at a fixed end needs. To be
            set before the experiment begins; the level holds whatever it is.
        level: Chance that the interval ever leaves out the truth.

    Returns:
        The effect; an endless interval and p = 1 while an arm has fewer than `MIN_USERS` users or all have one outcome.

    Raises:
        EvaluationError: When `planned` is not positive or `level` is not between 0 and 1.
    """
    if planned < 1 or not 0 < level < 1:
        raise EvaluationError(f"planned is at least 1 and level between 0 and 1, not {planned} and {level}")
    users, difference = first.users + second.users, second.mean - first.mean
    if min(first.users, second.users) < MIN_USERS or first.variance + second.variance == 0:
        return Effect(difference, -math.inf, math.inf, 1.0, users)
    variance = first.variance / first.users + second.variance / second.users
    mixture = TIGHTEST * (first.variance + second.variance) / planned
    growth = math.log((variance + mixture) / variance)
    radius = _radius(variance, mixture, level)
    evidence = difference**2 * mixture / (2 * variance * (variance + mixture)) - growth / 2  # log likelihood ratio
    return Effect(difference, difference - radius, difference + radius, min(1.0, math.exp(-evidence)), users)


def _radius(variance: float, mixture: float, level: float) -> float:
    """Return half the width of an interval that holds at all times; `variance` is that of the estimate."""
    growth = math.log((variance + mixture) / variance)
    return math.sqrt(variance * (variance + mixture) / mixture * (2 * math.log(1 / level) + growth))


@dataclass(frozen=True)
class RateSums:
    """Sums over users from which a rate, such as clicks a show, and its interval follow.

    Attributes:
        users: Number of users.
        parts: Sum of the numerator, such as clicks.
        wholes: Sum of the denominator, such as shows.
        parts_squared: Sum of squares of the numerator.
        wholes_squared: Sum of squares of the denominator.
        products: Sum of products of both.
    """

    users: int
    parts: float
    wholes: float
    parts_squared: float
    wholes_squared: float
    products: float


@dataclass(frozen=True)
class Rate:
    """A rate with its interval.

    Attributes:
        value: The rate; 0 without a show.
        low: Lower end of the interval; None while there are too few users.
        high: Upper end of it.
    """

    value: float
    low: float | None
    high: float | None


def always_valid_rate(sums: RateSums, *, planned: int, level: float = SIGNIFICANCE_LEVEL) -> Rate:
    """Estimate a rate over users, with an interval that holds at all times at once, as `always_valid_effect` has.

    The rate is a ratio of sums; its variance is that of the linearised ratio, sum (part - rate * whole)^2 / wholes^2
    (delta method), so that many shows of one user count as one user.

    Args:
        sums: Sums over users.
        planned: Users at which the interval should be narrowest.
        level: Chance that the interval ever leaves out the truth.

    Returns:
        The rate; without an interval below `MIN_USERS` users.
    """
    if not sums.wholes:
        return Rate(0.0, None, None)
    rate = sums.parts / sums.wholes
    spread = sums.parts_squared - 2 * rate * sums.products + rate**2 * sums.wholes_squared
    variance = max(spread, 0.0) / sums.wholes**2
    if sums.users < MIN_USERS or variance <= 0:
        return Rate(rate, None, None)
    radius = _radius(variance, TIGHTEST * variance * sums.users / planned, level)
    return Rate(rate, rate - radius, rate + radius)


@dataclass(frozen=True)
class Assignment:
    """Whether users were assigned to arms as was meant.

    Attributes:
        p: Always-valid p value of "as was meant".
        flagged: Whether p is at most `MISMATCH_LEVEL`: no effect of this experiment is to be believed.
        users: Users by arm.
        expected: Users by arm that the shares ask for.
    """

    p: float
    flagged: bool
    users: dict[str, int]
    expected: dict[str, float]


def check_assignment(users: Mapping[str, int], shares: Mapping[str, float]) -> Assignment:
    """Test whether the arms have the users that their shares ask for (sample-ratio mismatch), at any time and often.

    The Bayes factor of shares drawn from a Dirichlet distribution around those that were meant, against exactly those
    (Lindon and Malek 2022, "Anytime-valid inference for multinomial count data"), is at most 1 on average when the
    assignment is right; so it ever exceeds 1 / p with probability at most p.

    Args:
        users: Users by arm.
        shares: Share of the users that each arm should get; they are scaled to a sum of 1.

    Returns:
        The finding.

    Raises:
        EvaluationError: When the arms differ, a share is not positive or a count is negative.
    """
    if set(users) != set(shares) or not shares:
        raise EvaluationError(f"arms with users are {sorted(users)}, arms with a share {sorted(shares)}")
    if min(shares.values()) <= 0 or min(users.values()) < 0:
        raise EvaluationError(f"shares must be positive and users not negative: {dict(shares)}, {dict(users)}")
    total, whole = sum(users.values()), sum(shares.values())
    evidence = math.lgamma(MISMATCH_PRIOR) - math.lgamma(MISMATCH_PRIOR + total)
    for arm, share in shares.items():
        prior = MISMATCH_PRIOR * share / whole
        evidence += math.lgamma(prior + users[arm]) - math.lgamma(prior) - users[arm] * math.log(share / whole)
    p = math.exp(-max(evidence, 0.0))
    return Assignment(p, p <= MISMATCH_LEVEL, dict(users), {arm: total * s / whole for arm, s in shares.items()})
