"""Metrics against brute force over all orders of ties, against scikit-learn, and against what must be true."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.evaluation import metrics
from genre.evaluation.metric_table import METRICS
from genre.evaluation.predicted_ratings import PredictedRatings
from genre.evaluation.tied_ranks import Ranks

AT_K = ("precision", "recall", "f1", "ndcg", "map", "mrr", "hit_rate")


def textbook(name: str, order: list[int], relevant: set[int], k: int) -> float:
    """Each metric of one list without ties, as the book has it."""
    hits = [item in relevant for item in order[:k]]
    if name == "precision":
        return sum(hits) / k
    if name == "recall":
        return sum(hits) / len(relevant)
    if name == "f1":
        p, r = sum(hits) / k, sum(hits) / len(relevant)
        return 2 * p * r / (p + r) if p + r else 0.0
    if name == "ndcg":
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
        return sum(1 / math.log2(rank + 1) for rank, hit in enumerate(hits, 1) if hit) / ideal
    if name == "map":
        return sum(sum(hits[:rank]) / rank for rank, hit in enumerate(hits, 1) if hit) / len(relevant)
    if name == "mrr":
        return next((1 / rank for rank, hit in enumerate(hits, 1) if hit), 0.0)
    if name == "hit_rate":
        return float(any(hits))
    assert name == "auc"
    others = [item for item in order if item not in relevant]
    pairs = [order.index(good) < order.index(bad) for good in relevant for bad in others]
    return sum(pairs) / len(pairs) if pairs else math.nan


def orders_of(scores: list[int]) -> list[list[int]]:
    """All orders that respect the scores."""
    levels = [[item for item, score in enumerate(scores) if score == level] for level in sorted(set(scores))[::-1]]
    within = [list(itertools.permutations(level)) for level in levels]
    return [[item for part in parts for item in part] for parts in itertools.product(*within)]


@st.composite
def cases(draw: st.DrawFn, most: int = 6, levels: int = 3) -> tuple[list[int], list[int], int]:
    scores = draw(st.lists(st.integers(0, levels), min_size=1, max_size=most))
    relevant = draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    return scores, sorted(relevant), draw(st.integers(1, most + 2))


@given(cases(most=5, levels=2))
@settings(max_examples=100, deadline=None)
def test_ties_get_the_mean_over_all_orders(case: tuple[list[int], list[int], int]) -> None:
    scores, relevant, k = case
    orders = orders_of(scores)
    for name in (*AT_K, "auc"):
        expected = np.mean([textbook(name, order, set(relevant), k) for order in orders])
        assert one(name, ranks_of_scores(scores, relevant, k)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_ties_get_the_mean_over_all_orders_of_a_longer_list() -> None:
    scores, relevant = [2, 1, 1, 1, 1, 1, 0, 0], [1, 2, 4, 6]
    orders = orders_of(scores)
    for name, k in itertools.product((*AT_K, "auc"), range(1, 10)):
        expected = np.mean([textbook(name, order, set(relevant), k) for order in orders])
        assert one(name, ranks_of_scores(scores, relevant, k)) == pytest.approx(expected, abs=1e-12)


@given(case=cases(most=40, levels=8))
@settings(max_examples=150, deadline=None)
def test_scikit_learn_agrees_on_ndcg_and_auc_with_ties(case: tuple[list[int], list[int], int]) -> None:
    scores, relevant, k = case
    truth = np.isin(np.arange(len(scores)), relevant).astype(int)
    ranks = ranks_of_scores(scores, relevant, k)
    if len(scores) > 1:
        theirs = sklearn.metrics.ndcg_score([truth], [scores], k=k)
        assert one("ndcg", ranks) == pytest.approx(theirs, abs=1e-9)
    if 0 < truth.sum() < len(truth):
        assert one("auc", ranks) == pytest.approx(sklearn.metrics.roc_auc_score(truth, scores), abs=1e-9)


@given(st.permutations(range(30)), st.sets(st.integers(0, 29), min_size=1), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_scikit_learn_agrees_without_ties(scores: list[int], relevant: set[int], k: int) -> None:
    truth = np.isin(np.arange(30), sorted(relevant))
    listed = np.argsort(np.argsort(-np.array(scores))) < k
    ranks = ranks_of_scores(scores, sorted(relevant), k)
    for name in ("precision", "recall", "f1"):
        theirs = getattr(sklearn.metrics, f"{name}_score")(truth, listed, zero_division=0)
        assert one(name, ranks) == pytest.approx(theirs, abs=1e-9)
    whole = ranks_of_scores(scores, sorted(relevant), 30)
    assert one("map", whole) == pytest.approx(sklearn.metrics.average_precision_score(truth, scores), abs=1e-9)
    if len(relevant) == 1:
        theirs = sklearn.metrics.label_ranking_average_precision_score([truth], [scores])
        assert one("mrr", whole) == pytest.approx(theirs, abs=1e-9)


@given(cases(most=30, levels=30))
@settings(max_examples=60, deadline=None)
def test_an_oracle_gets_one(case: tuple[list[int], list[int], int]) -> None:
    scores, relevant, _ = case
    best = [100 + item if item in relevant else score for item, score in enumerate(scores)]
    enough = ranks_of_scores(best, relevant, len(relevant))
    assert [one(name, enough) for name in AT_K] == pytest.approx([1.0] * len(AT_K))
    for k in range(1, len(scores) + 3):  # ndcg, mrr and hit rate at every length
        ranks = ranks_of_scores(best, relevant, k)
        assert [one(name, ranks) for name in ("ndcg", "mrr", "hit_rate")] == pytest.approx([1.0] * 3)
        assert one("recall", ranks) == pytest.approx(min(k, len(relevant)) / len(relevant))
        assert one("precision", ranks) == pytest.approx(min(k, len(relevant)) / k)
    if len(relevant) < len(scores):
        assert one("auc", enough) == 1.0


@pytest.mark.parametrize(("n", "m", "k"), [(50, 7, 10), (1000, 3, 10), (12, 12, 5), (9, 2, 20)])
def test_a_constant_scorer_gets_what_chance_gives(n: int, m: int, k: int) -> None:
    ranks = ranks_of_scores([0] * n, list(range(m)), k)
    within = min(k, n)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, m) + 1))
    assert one("precision", ranks) == pytest.approx(m / n * within / k)
    assert one("recall", ranks) == pytest.approx(within / n)
    gains = sum(1 / math.log2(rank + 1) for rank in range(1, within + 1))
    assert one("ndcg", ranks) == pytest.approx(m / n * gains / ideal)
    assert one("hit_rate", ranks) == pytest.approx(1 - math.comb(n - m, within) / math.comb(n, within))
    first = [math.comb(n - rank, m - 1) / math.comb(n, m) for rank in range(1, within + 1) if n - rank >= m - 1]
    assert one("mrr", ranks) == pytest.approx(sum(chance / rank for rank, chance in enumerate(first, 1)))
    assert np.isnan(one("auc", ranks)) if m == n else one("auc", ranks) == pytest.approx(0.5)


@given(cases(most=20, levels=5), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_a_never_relevant_item_cannot_raise_a_metric(case: tuple[list[int], list[int], int], score: int) -> None:
    scores, relevant, k = case
    before, after = ranks_of_scores(scores, relevant, k), ranks_of_scores([*scores, score], relevant, k)
    for name in AT_K:
        assert one(name, after) <= one(name, before) + 1e-12


@given(cases(most=12, levels=4))
@settings(max_examples=60, deadline=None)
def test_only_the_order_of_scores_counts(case: tuple[list[int], list[int], int]) -> None:
    scores, relevant, k = case
    bent = [float(score) ** 3 - 7 for score in scores]
    for name in (*AT_K, "auc"):
        np.testing.assert_equal(
            one(name, ranks_of_scores(bent, relevant, k)), one(name, ranks_of_scores(scores, relevant, k))
        )


def test_a_relevant_item_that_cannot_be_recommended_is_a_miss(ranks_of: Callable[..., Ranks]) -> None:
    whole, half = ranks_of([3, 2, 1], [0], 1), ranks_of([3, 2, 1], [0], 1, missing=1)
    assert (one("recall", whole), one("recall", half)) == (1.0, 0.5)
    assert (one("auc", whole), one("auc", half)) == (1.0, 0.5)
    assert one("ndcg", ranks_of([3, 2, 1], [0], 2, missing=1)) == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert one("map", half) == 0.5
    nothing = ranks_of([3, 2, 1], [], 2, missing=2)
    assert [one(name, nothing) for name in (*AT_K, "auc")] == [0.0] * (len(AT_K) + 1)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(1, 5), st.integers(1, 5)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_scikit_learn_agrees_on_ratings(pairs: list[tuple[int, float, int]]) -> None:
    user, predicted, actual = (np.array(column) for column in zip(*pairs, strict=True))
    ratings = PredictedRatings(5, user, user.astype(np.int32), predicted.astype(float), actual.astype(float), 1.0, 4.0)
    mean = lambda values: np.average(values[ratings.pairs > 0], weights=ratings.pairs[ratings.pairs > 0])  # noqa: E731
    assert mean(metrics.mse(ratings)) == pytest.approx(sklearn.metrics.mean_squared_error(actual, predicted), abs=1e-9)
    assert mean(metrics.mae(ratings)) == pytest.approx(sklearn.metrics.mean_absolute_error(actual, predicted), abs=1e-9)
    right = sklearn.metrics.accuracy_score(actual >= 4, predicted >= 4)
    assert mean(metrics.like_accuracy(ratings)) == pytest.approx(right, abs=1e-9)
    assert mean(metrics.accuracy(ratings)) == pytest.approx(np.mean(np.abs(actual - predicted) <= 0.5), abs=1e-9)


def one(name: str, ranks: Ranks) -> float:
    return float(METRICS[name].compute(ranks)[0])


def ranks_of_scores(scores: list[float] | list[int], relevant: list[int], k: int) -> Ranks:
    values = np.asarray(scores)
    items = sorted(relevant, key=lambda item: -values[item])
    return Ranks(
        k=k,
        indptr=np.array([0, len(items)]),
        item=np.array(items, np.int32),
        n_higher=np.array([(values > values[item]).sum() for item in items]),
        ties=np.array([(values == values[item]).sum() for item in items]),
        candidates=np.array([len(values)]),
    )
