"""Off-policy estimates: unbiased by enumeration, covered by simulation, refused where the log cannot tell."""

import numpy as np
import pytest

from genre.errors import EvaluationError
from genre.evaluation.online.offpolicy import LoggedShows, doubly_robust, ips, mean_rewards, snips

N_ITEMS = 5
RATE = np.array([0.1, 0.5, 0.2, 0.8, 0.3])
LIVE = np.array([0.4, 0.3, 0.1, 0.1, 0.1])
OTHER = np.array([0.1, 0.1, 0.2, 0.5, 0.1])


def logged(n: int, seed: int, model: np.ndarray | None = None) -> LoggedShows:
    rng = np.random.default_rng(seed)
    item = rng.choice(N_ITEMS, n, p=LIVE)
    reward = (rng.random(n) < RATE[item]).astype(float)
    predicted = (None, None) if model is None else (model[item], np.full(n, OTHER @ model))
    return LoggedShows(reward, LIVE[item], OTHER[item], *predicted)


def test_estimates_are_right_where_every_show_occurs_as_often_as_it_should() -> None:
    """1,000 shows that hold each item and reward in exactly its proportion: every estimator gives the truth itself."""
    item = np.repeat(np.arange(N_ITEMS), (LIVE * 1000).round().astype(int))
    reward = np.concatenate([np.arange(n) < round(n * rate) for n, rate in zip(LIVE * 1000, RATE, strict=True)])
    model = np.array([0.3, 0.3, 0.3, 0.3, 0.9])  # a wrong one
    shows = LoggedShows(reward.astype(float), LIVE[item], OTHER[item], model[item], np.full(1000, OTHER @ model))
    for estimator in (ips, snips, doubly_robust):
        assert estimator(shows).value == pytest.approx(OTHER @ RATE)
    weights = OTHER[item] / LIVE[item]
    assert ips(shows).effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """500 logs of 2,000 shows; 1,000 of 5,000 in benchmarks/experiments.py."""
    truth, held, widths = float(OTHER @ RATE), {}, {}
    for seed in range(500):
        shows = logged(2000, seed, RATE)
        for estimate in (ips(shows), snips(shows), doubly_robust(shows)):
            held.setdefault(estimate.name, []).append(estimate.low <= truth <= estimate.high)
            widths.setdefault(estimate.name, []).append(estimate.high - estimate.low)
    assert all(0.92 <= np.mean(one) <= 0.98 for one in held.values())
    assert np.mean(widths["DR"]) < np.mean(widths["SNIPS"]) < np.mean(widths["IPS"])


def test_judging_the_live_policy_gives_the_mean_of_its_log() -> None:
    shows = logged(500, 1)
    same = LoggedShows(shows.reward, shows.propensity, shows.propensity)
    assert same.effective == pytest.approx(500)
    assert ips(same).value == snips(same).value == pytest.approx(shows.reward.mean())


def test_predictions_of_a_show_do_not_know_its_reward() -> None:
    rng = np.random.default_rng(0)
    item, reward = rng.integers(0, 3, 60), rng.random(60)
    means, fold = mean_rewards(reward, item, 3, folds=4, prior=2.0)
    for f in range(4):
        for i in range(3):
            others = reward[(fold != f) & (item == i)]
            expected = (others.sum() + 2.0 * reward[fold != f].mean()) / (len(others) + 2.0)
            assert means[f, i] == pytest.approx(expected)


def test_few_effective_shows_are_refused() -> None:
    shows = LoggedShows(np.zeros(1000), np.full(1000, 0.5), np.r_[np.ones(50), np.zeros(950)])
    for estimator in (ips, snips, doubly_robust):
        with pytest.raises(EvaluationError, match="1,000 shows are worth 50 of the policy to judge, and 100"):
            estimator(shows)
    with pytest.raises(EvaluationError, match="worth 0 of"):
        ips(LoggedShows(np.zeros(10), np.ones(10), np.zeros(10)))


def test_what_is_no_log_is_refused() -> None:
    one = np.full(200, 0.5)
    with pytest.raises(EvaluationError, match=r"propensity of show 3 is 0.0: it is a probability above 0"):
        LoggedShows(one, np.r_[0.5, 0.5, 0.0, one[3:]], one)
    with pytest.raises(EvaluationError, match=r"target of show 1 is 1.5"):
        LoggedShows(one, one, one * 3)
    with pytest.raises(EvaluationError, match=r"reward must hold 200 finite numbers"):
        LoggedShows(np.full(200, np.nan), one, one)
    with pytest.raises(EvaluationError, match="need predicted and predicted_target"):
        doubly_robust(LoggedShows(one, one, one))
