"""Off-policy evaluation: what another recommender would have earned, estimated from the shows of the live one.

Each show is one item at one place of one list, with the probability that the live policy showed it (its propensity),
the probability that the policy to judge would have shown it, and the reward, such as 1 for a click. Only where the live
policy draws a part of its places at random, and records how likely each was, can another be judged so.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from genre.arrays import Float64, Int64
from genre.display import counted
from genre.errors import EvaluationError
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL

MIN_EFFECTIVE = 100.0
"""Effective shows below which nothing is estimated."""
FOLDS = 5


@dataclass(frozen=True)
class LoggedShows:
    """Shows of the live policy, as seen by the policy to judge.

    Attributes:
        reward: What each show earned. `[n]`
        propensity: Probability with which the live policy showed it, above 0. `[n]`
        target: Probability with which the policy to judge would have shown it. `[n]`
        predicted: Expected reward of the shown item, by a model that did not learn from this show. `[n]`
        predicted_target: Expected reward under the policy to judge, by the same model: the mean over all items, each
            weighted by that policy's probability. `[n]`
    """

    reward: Float64
    propensity: Float64
    target: Float64
    predicted: Float64 | None = None
    predicted_target: Float64 | None = None

    def __post_init__(self) -> None:
        n = len(self.reward)
        for name in ("reward", "propensity", "target", "predicted", "predicted_target"):
            values = getattr(self, name)
            if values is None:
                continue
            if np.shape(values) != (n,) or not np.isfinite(values).all():
                raise EvaluationError(f"{name} must hold {n} finite numbers, one a show, not {np.shape(values)}")
        for name, values, lowest in (("propensity", self.propensity, np.nextafter(0, 1)), ("target", self.target, 0)):
            wrong = np.flatnonzero((values < lowest) | (values > 1))
            if len(wrong):
                raise EvaluationError(
                    f"{name} of show {wrong[0] + 1} is {values[wrong[0]]}: it is a probability"
                    + (" above 0, because the item was shown" if name == "propensity" else "")
                )

    @property
    def weights(self) -> Float64:
        """Importance weights: target by propensity. [n]."""
        return np.asarray(self.target / self.propensity)

    @property
    def effective(self) -> float:
        """Effective number of shows, (sum w)^2 / sum w^2 (Kish 1965): how many shows of its own they are worth."""
        squares = float(np.square(self.weights).sum())
        return float(self.weights.sum()) ** 2 / squares if squares else 0.0


@dataclass(frozen=True)
class Estimate:
    """The estimated reward a show of the policy to judge.

    Attributes:
        name: The estimator.
        value: The estimate.
        low: Lower end of the interval.
        high: Upper end of it.
        effective: Effective number of shows.
        shows: Number of shows in the log.
        mean_weight: Mean importance weight: near 1 where the live policy could draw all that the other one would show;
            below, IPS takes the rest for shows that earn nothing, and SNIPS leaves it out.
    """

    name: str
    value: float
    low: float
    high: float
    effective: float
    shows: int
    mean_weight: float


def ips(shows: LoggedShows, *, level: float = SIGNIFICANCE_LEVEL) -> Estimate:
    """Estimate by inverse propensity scores: the mean of w r (Horvitz and Thompson 1952).

    Unbiased; wide where weights are large.

    Args:
        shows: The log.
        level: Chance that the interval leaves out the truth, in large samples.

    Returns:
        The estimate.

    Raises:
        EvaluationError: Below `MIN_EFFECTIVE` effective shows.
    """
    _require_effective(shows)
    return _estimate("IPS", shows, shows.weights * shows.reward, level)


def snips(shows: LoggedShows, *, level: float = SIGNIFICANCE_LEVEL) -> Estimate:
    """Estimate by self-normalised inverse propensity scores: sum w r / sum w (Swaminathan and Joachims 2015).

    Little bias, and narrower than `ips`. Its variance is that of the linearised ratio, w (r - value) / mean(w).

    Args:
        shows: The log.
        level: Chance that the interval leaves out the truth, in large samples.

    Returns:
        The estimate.

    Raises:
        EvaluationError: Below `MIN_EFFECTIVE` effective shows.
    """
    _require_effective(shows)
    weights = shows.weights
    value = float(weights @ shows.reward / weights.sum())
    return _estimate("SNIPS", shows, value + weights * (shows.reward - value) / weights.mean(), level)


def doubly_robust(shows: LoggedShows, *, level: float = SIGNIFICANCE_LEVEL) -> Estimate:
    """Estimate by a model of the reward, corrected where it errs: the mean of m + w (r - q) (Dudik et al. 2011).

    m is `predicted_target` and q is `predicted`. Unbiased whatever the model, and narrower the better the model.

    Args:
        shows: The log, with predictions.
        level: Chance that the interval leaves out the truth, in large samples.

    Returns:
        The estimate.

    Raises:
        EvaluationError: Below `MIN_EFFECTIVE` effective shows, or without predictions.
    """
    _require_effective(shows)
    if shows.predicted is None or shows.predicted_target is None:
        raise EvaluationError("doubly robust estimates need predicted and predicted_target; mean_rewards makes them")
    corrected = shows.predicted_target + shows.weights * (shows.reward - shows.predicted)
    return _estimate("DR", shows, corrected, level)


def on_policy(reward: Float64, *, level: float = SIGNIFICANCE_LEVEL) -> Estimate:
    """Return the mean reward in a policy's own log, with its interval: what estimates are compared with.

    Args:
        reward: What each show earned. `[n]`
        level: Chance that the interval leaves out the truth, in large samples.

    Returns:
        The mean, every show worth one of its own.
    """
    ones = np.ones(len(reward))
    return _estimate("own log", LoggedShows(reward, ones, ones), reward, level)


def mean_rewards(
    reward: Float64, item: Int64, n_items: int, *, folds: int = FOLDS, prior: float = 100.0, seed: int = 0
) -> tuple[Float64, Int64]:
    """Predict rewards by the mean of each item over the other folds of shows, drawn towards the mean of all.

    (sum of rewards + prior * mean) / (shows + prior), in the simplest model that `doubly_robust` can take.

    Args:
        reward: `[n]`
        item: Item of each show, or item and place as one number. `[n]`
        n_items: Number of items.
        folds: Number of folds.
        prior: Shows that the mean of all is worth.
        seed: Seed of the folds.

    Returns:
        Means by fold and item `[folds, n_items]`, and the fold of each show `[n]`. Row f knows no show of fold f.
    """
    fold = np.random.default_rng(seed).permutation(len(reward)) % folds
    at = fold * n_items + item
    sums, counts = (
        np.bincount(at, values, folds * n_items).reshape(folds, n_items) for values in (reward, np.ones(len(reward)))
    )
    others, shown = sums.sum(axis=0) - sums, counts.sum(axis=0) - counts  # of all folds but one
    mean = others.sum(axis=1, keepdims=True) / np.maximum(shown.sum(axis=1, keepdims=True), 1)
    return (others + prior * mean) / (shown + prior), fold


def _estimate(name: str, shows: LoggedShows, values: Float64, level: float) -> Estimate:
    """Return the mean of independent values, one a show, with its normal interval."""
    mean = float(values.mean())
    radius = NormalDist().inv_cdf(1 - level / 2) * float(values.std(ddof=1)) / len(values) ** 0.5
    return Estimate(name, mean, mean - radius, mean + radius, shows.effective, len(values), float(shows.weights.mean()))


def _require_effective(shows: LoggedShows) -> None:
    if shows.effective < MIN_EFFECTIVE:
        raise EvaluationError(
            f"{counted(len(shows.reward), 'show is', 'shows are')} worth {shows.effective:.0f} of the policy to judge, "
            f"and {MIN_EFFECTIVE:.0f} are needed: it would rarely have shown what was shown; record more shows, or "
            "draw a larger share of the places at random"
        )
