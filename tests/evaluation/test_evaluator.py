"""The evaluator: every user, every candidate, ties, cold users and items, and errors for bad input."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import ArtifactError, EvaluationError, NotFitted, UnknownId
from genre.evaluation import evaluator, ranking
from genre.evaluation.evaluator import evaluate, evaluate_lists
from genre.evaluation.leaderboard import describe_repeats, leaderboard
from genre.evaluation.metric_table import METRICS
from genre.evaluation.results import read_evaluation, write_evaluation
from genre.evaluation.tied_ranks import Ranks
from genre.log import Log
from genre.preprocessing.splits import split
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.testing import toy_dataset

AT_K = ("precision", "recall", "f1", "ndcg", "map", "mrr", "hit_rate")
N_ITEMS = 12
Make = Callable[..., Recommender]
MakeFold = Callable[..., Fold]


@dataclass(eq=False)
class Stars(Recommender):
    """Predicts the ratings in `stars_`."""

    answers_empty: ClassVar[bool] = True

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None: ...

    def _score(self, history: History) -> Float32:
        return np.zeros((len(history), history.n_items), np.float32)

    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        return self.stars_[history.user[row], item].astype(np.float32)


@dataclass(eq=False)
class Factors(Recommender):
    """The dot product of given vectors."""

    answers_empty: ClassVar[bool] = True

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None: ...

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        return self.users_[history.user], self.items_

    def _score(self, history: History) -> Float32:
        return self.users_[history.user] @ self.items_.T


def random_case(seed: int, n_users: int = 7) -> tuple[list[list[int]], list[list[int]], np.ndarray]:
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(N_ITEMS).tolist() for _ in range(n_users)]
    cuts = [sorted(rng.integers(1, N_ITEMS, 2).tolist()) for _ in range(n_users)]
    seen = [order[:low] for order, (low, _) in zip(orders, cuts, strict=True)]
    wanted = [order[low:high] for order, (low, high) in zip(orders, cuts, strict=True)]
    wanted[0] = wanted[0] or [orders[0][-1]]
    return seen, wanted, rng.integers(0, 5, (n_users, N_ITEMS)).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_equals_evaluating_user_by_user(
    seed: int, table: Make, fold: MakeFold, ranks_of: Callable[..., Ranks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "BLOCK", 3 * N_ITEMS)  # blocks of three users
    seen, wanted, scores = random_case(seed)
    given = fold(seen, wanted, N_ITEMS)
    found = evaluate(table(scores, given.context), given, k=[1, 3, 40], metrics=[*AT_K, "auc"])
    assert found.users.tolist() == [user for user, items in enumerate(wanted) if items]
    for row, user in enumerate(found.users.tolist()):
        masked = scores[user].astype(float)
        masked[seen[user]] = -np.inf
        left = np.delete(masked, seen[user])
        place = {item: at for at, item in enumerate(np.delete(np.arange(N_ITEMS), seen[user]).tolist())}
        for k in (1, 3, 40):
            alone = ranks_of(left, [place[item] for item in wanted[user]], k)
            for name in AT_K:
                assert found.per_user[f"{name}@{k}"][row] == pytest.approx(METRICS[name].compute(alone)[0])
        np.testing.assert_allclose(found.per_user["auc"][row], METRICS["auc"].compute(alone)[0])
    assert found.values["ndcg@3"] == pytest.approx(found.per_user["ndcg@3"].mean())


@pytest.mark.parametrize("seed", range(5))
def test_permuting_users_or_items_or_bending_scores_changes_nothing(seed: int, table: Make, fold: MakeFold) -> None:
    seen, wanted, scores = random_case(seed)
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(len(seen)), rng.permutation(N_ITEMS)  # new row -> old row
    new_item = np.argsort(items)
    names = [*AT_K, "auc", "serendipity", "tail_recall"]

    def values(seen: list[list[int]], wanted: list[list[int]], scores: np.ndarray) -> dict[str, float]:
        given = fold(seen, wanted, N_ITEMS)
        return evaluate(table(scores, given.context), given, k=4, metrics=names).values

    before = values(seen, wanted, scores)
    moved = values(
        [new_item[seen[u]].tolist() if seen[u] else [] for u in users],
        [new_item[wanted[u]].tolist() if wanted[u] else [] for u in users],
        scores[users][:, items],
    )
    assert moved == pytest.approx(before, nan_ok=True)
    assert values(seen, wanted, np.exp(scores) - 50) == pytest.approx(before, nan_ok=True)


def test_factors_and_scores_give_the_same_values(fold: MakeFold, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    model = Factors()
    seen, wanted, _ = random_case(3, n_users=23)
    given = fold(seen, wanted, N_ITEMS)
    model.users_, model.items_ = (rng.integers(-3, 4, (n, 4)).astype(np.float32) for n in (23, N_ITEMS))
    model.item_ids_ = given.context.item_ids
    monkeypatch.setattr(ranking, "BLOCK", 2 * N_ITEMS)
    monkeypatch.setattr(ranking, "BATCH", 5)
    fast = evaluate(model, given, metrics=[*evaluator.RANKING_METRICS, "gini"])
    monkeypatch.setattr(Factors, "_factors", Recommender._factors)
    assert evaluate(model, given, metrics=[*evaluator.RANKING_METRICS, "gini"]).values == pytest.approx(fast.values)


def test_lists_get_the_values_of_the_recommender_that_made_them(table: Make, fold: MakeFold) -> None:
    rng = np.random.default_rng(1)
    seen, wanted, _ = random_case(4, n_users=30)
    given = fold(seen, wanted, N_ITEMS)
    model = table(np.argsort(rng.random((30, N_ITEMS)), axis=1), given.context)  # no ties
    names = [*evaluator.LIST_METRICS, "gini", "popularity", "tail_recall", "serendipity", "calibration", "group_gap"]
    extra = {"category": "genres", "group": "sex"}
    made = evaluate(model, given, k=[2, 5], metrics=names, **extra)
    lists = model.recommend(given.context.history(), k=5)
    assert evaluate_lists(lists, given, k=[2, 5], metrics=names, **extra).values == pytest.approx(
        made.values, nan_ok=True
    )
    users = rng.permutation(30)
    again = evaluate_lists(lists.item[users], given, users=users, k=[2, 5], metrics=names, **extra)
    assert again.values == pytest.approx(made.values, nan_ok=True)


def test_a_target_seen_before_is_not_relevant_unless_repeats_count(table: Make, fold: MakeFold) -> None:
    given = fold([[0, 1], [2]], [[0, 3, 3], [2]], 4)
    model = table(np.array([[9, 1, 1, 0], [0, 0, 5, 0]]), given.context)
    found = evaluate(model, given, k=2, metrics=["recall"])
    assert (found.counts["targets"], found.counts["targets_seen_before"]) == (1, 2)
    assert (found.counts["users"], found.counts["users_without_targets"]) == (1, 1)
    assert found.per_user["recall@2"].tolist() == pytest.approx([1.0, np.nan], nan_ok=True)
    again = evaluate(model, given, k=1, metrics=["recall"], exclude_seen=False)
    assert again.per_user["recall@1"].tolist() == [0.5, 1.0]


def test_cold_users_and_items_are_counted_and_reported_twice(table: Make, fold: MakeFold) -> None:
    given = fold([[0, 1], [1], []], [[2], [0, 3], [1]], 4)  # items 2, 3 and user 2 are new
    model = table(np.array([[0, 0, 1, 0], [3, 0, 0, 2], [1, 0, 0, 0]]), given.context)
    found = evaluate(model, given, k=1, metrics=["recall", "coverage"])
    assert {name: found.counts[name] for name in ("users", "cold_users", "cold_items", "cold_targets")} == {
        "users": 3,
        "cold_users": 1,
        "cold_items": 2,
        "cold_targets": 2,
    }
    assert found.values["recall@1"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.warm["recall@1"] == 1.0  # user 1 by item 0 alone
    allowed = np.array([True, True, False, True])
    kept = evaluate(model, given, k=1, metrics=["recall"], candidates=allowed)
    assert kept.values["recall@1"] == pytest.approx((0 + 0.5 + 0) / 3)
    trained = evaluate(model, given, k=1, metrics=["recall"], train=given.context.where(given.context.item == 1))
    assert trained.counts["cold_targets"] == 3
    everything = fold([[0], []], [[1], [1]], 3)
    cold = evaluate(table(np.zeros((2, 3)), everything.context), everything, metrics=["ndcg"])
    assert np.isnan(cold.warm["ndcg@10"])


def test_recall_by_popularity_band(table: Make, fold: MakeFold, tmp_path: Path) -> None:
    given = fold([[0, 1], [0, 2], [0]], [[3], [1], [1]], 4)
    found = evaluate(table(np.array([[0, 0, 0, 9], [0, 9, 0, 0], [0, 0, 9, 0]]), given.context), given, k=1)
    bands = {band: (int(row["targets"]), row["recall"]) for band, row in found.by_popularity.items() if row["targets"]}
    assert bands == {"0% to 50%": (1, 1.0), "50% to 80%": (2, 0.5)}
    write_evaluation(tmp_path, found)
    assert read_evaluation(tmp_path).by_popularity["0% to 50%"] == found.by_popularity["0% to 50%"]


def test_users_without_training_interactions_have_no_row(fold: MakeFold) -> None:
    given = fold([[0], []], [[1], [2]], 3)
    users: list[int] = []

    class Spy(Stars):
        def _score(self, history: History) -> Float32:
            users.extend(history.user.tolist())
            return super()._score(history)

    model = Spy()
    model.item_ids_ = given.context.item_ids
    evaluate(model, given, metrics=["ndcg"])
    assert users == [0, -1]


def test_ratings_count_the_same_each(fold: MakeFold, tmp_path: Path) -> None:
    given = fold([[0], [1], [0]], [[1, 2], [0], [2]], 3, ratings=[[5, 2], [4], [1]])
    model = Stars()
    model.item_ids_ = given.context.item_ids
    model.stars_ = np.array([[0, 4.5, 4.0], [4.0, 0, 0], [0, 0, 2.0]])
    found = evaluate(model, given, metrics=["ndcg", "rmse", "mse", "mae", "accuracy", "like_accuracy"])
    errors = np.array([0.5, 2.0, 0.0, 1.0])
    assert found.values["mse"] == pytest.approx((errors**2).mean())
    assert found.values["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert found.values["mae"] == pytest.approx(errors.mean())
    assert found.values["accuracy"] == 0.5
    assert found.values["like_accuracy"] == 0.75
    assert found.counts["ratings"] == 4
    assert found.users.tolist() == [0, 1, 2]
    assert np.isnan(found.per_user["ndcg@10"][2])  # likes nothing: a rating to guess, nothing to find
    assert found.warm["mse"] == pytest.approx(np.mean([0.25, 0.0]))  # item 2 is in no context
    low, high = found.intervals["rmse"]
    assert low <= found.values["rmse"] <= high
    write_evaluation(tmp_path, found)
    read = read_evaluation(tmp_path)
    assert (read.values, read.warm, read.counts) == (found.values, found.warm, found.counts)
    assert read.intervals == found.intervals
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(ArtifactError, match="evaluate again"):
        read_evaluation(tmp_path)


def test_rating_metrics_are_left_out_where_there_are_none(table: Make, fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    found = evaluate(table(np.zeros((2, 3)), given.context), given)
    assert "rmse" not in found.values
    assert "ndcg@10" in found.values


def test_accuracy_is_left_out_where_a_scale_has_no_steps(fold: MakeFold, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was 0.0: no prediction is within half a step of 0."""
    given = fold([[0], [1]], [[1, 2], [0]], 3, ratings=[[4.3, 2.1], [4.0]])
    given = Fold(given.context, dataclasses.replace(given.target, rating_scale=(1.0, 5.0, 0.0)))
    model = Stars()
    model.item_ids_ = given.context.item_ids
    model.stars_ = np.full((2, 3), 4.0)
    lines = list[str]()
    monkeypatch.setattr(Log, "line", lambda _, text: lines.append(text))
    found = evaluate(model, given, metrics=["ndcg", "mae", "accuracy"], log=Log())
    assert list(found.values) == ["ndcg@10", "mae"]
    assert [text.partition(" that")[0] for text in lines] == ["accuracy left out: ratings from 1 to 5 have no steps"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_have_no_rank_are_errors(value: float, table: Make, fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    scores = np.zeros((2, 3))
    scores[1, 2] = value
    with pytest.raises(EvaluationError, match=r"Table scores item row 2 for user row 1 with .*no rank"):
        evaluate(table(scores, given.context), given)


def test_predictions_that_are_not_finite_are_errors(fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3, ratings=[[5], [4]])
    model = Stars()
    model.item_ids_, model.stars_ = given.context.item_ids, np.array([[1, np.nan, 1], [1, 1, 1]])
    with pytest.raises(EvaluationError, match="predicts nan stars for user row 0 and item row 1"):
        evaluate(model, given, metrics=["rmse"])


def test_bad_input_is_named(table: Make, fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    model = table(np.zeros((2, 3)), given.context)
    for options, message in [
        ({"k": 0}, "k is 0"),
        ({"metrics": ["ndgc"]}, "did you mean 'ndcg'"),
        ({"metrics": ["rmse"]}, "predicts no ratings here, and no metric of ranks"),
        ({"metrics": ["diversity"]}, "needs item features"),
        ({"metrics": ["calibration"]}, "needs a category"),
        ({"metrics": ["group_gap"]}, "needs a group"),
        ({"metrics": ["calibration"], "category": "genre"}, "did you mean 'genres'"),
        ({"metrics": ["group_gap"], "group": "gender"}, "fields: user_id, sex"),
    ]:
        with pytest.raises(EvaluationError, match=message):
            evaluate(model, given, **options)
    with pytest.raises(EvaluationError, match="candidates has 2 values for 3 items"):
        evaluate(model, given, candidates=np.ones(2, bool))
    with pytest.raises(EvaluationError, match="was fitted on 3 items, the fold has 4, and they are not the same"):
        evaluate(model, fold([[0], [1]], [[1], [0]], 4))
    with pytest.raises(NotFitted, match="is not fitted"):
        evaluate(Stars(), given)
    for seen, wanted in [([[0], [1]], [[], []]), ([[0, 1, 2], [0, 1, 2]], [[0], [1]])]:
        empty = fold(seen, wanted, 3)
        with pytest.raises(EvaluationError, match="no user has a relevant item"):
            evaluate(table(np.zeros((2, 3)), empty.context), empty)


def test_candidates_may_be_zeros_and_ones_or_ids_but_not_row_numbers() -> None:
    data = toy_dataset()
    train, _, test = split(data)
    model = EASE().fit(train)
    mask = np.arange(data.n_items) < data.n_items // 2
    values = evaluate(model, test, candidates=mask).values
    for same in (mask.astype(int), mask.astype(np.uint8), mask.tolist(), mask.astype(float), mask.astype(int).tolist()):
        assert evaluate(model, test, candidates=same).values == pytest.approx(values, nan_ok=True)
    everything = evaluate(model, test).values
    assert values["ndcg@10"] < everything["ndcg@10"]
    for ones in (np.ones(data.n_items, int), [1] * data.n_items, np.ones(data.n_items)):
        assert evaluate(model, test, candidates=ones).values == pytest.approx(everything, nan_ok=True)
    assert evaluate(model, test, candidates=data.item_ids.take(np.flatnonzero(mask))).values == pytest.approx(
        values, nan_ok=True
    )
    with pytest.raises(UnknownId, match="unknown id '1'"):
        evaluate(model, test, candidates=["1"] * 12)
    for wrong in (np.arange(data.n_items), np.full(data.n_items, np.nan), np.full(data.n_items, 0.5)):
        with pytest.raises(EvaluationError, match="not the row numbers"):
            evaluate(model, test, candidates=wrong)
    for shape in ([1, 2, 3], np.ones((1, data.n_items), bool), True, []):
        with pytest.raises(EvaluationError, match=f"for {data.n_items} items; give ids, or True or False"):
            evaluate(model, test, candidates=shape)


@pytest.mark.parametrize("k", [np.int64(5), np.array([5]), np.array([5], np.int8), (5,), range(5, 6)])
def test_k_may_be_any_whole_number(k: Any, table: Make, fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    assert list(evaluate(table(np.zeros((2, 3)), given.context), given, k=k, metrics=["ndcg"]).values) == ["ndcg@5"]


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (True, "k is True; give a whole number"),
        (np.True_, "give a whole number"),
        (2.5, "k is 2.5; give a whole number"),
        (5.0, "k is 5.0; give a whole number"),
        ("10", "k is '10'; give a whole number"),
        (None, "k is None; give a whole number"),
        ([5, True], "k is True; give a whole number"),
        ([], "k is empty; give at least one length"),
        ([5, 0], "k is 0; give lists of at least one item"),
        (-1, "k is -1; give lists of at least one item"),
    ],
)
def test_k_that_is_no_length_of_a_list_is_an_error(k: Any, message: str, table: Make, fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    with pytest.raises(EvaluationError, match=message):
        evaluate(table(np.zeros((2, 3)), given.context), given, k=k)


def test_what_is_no_fold_or_no_recommender_is_an_error(table: Make, fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    model = table(np.zeros((2, 3)), given.context)
    for wrong in (given.context, split(toy_dataset()), None):
        with pytest.raises(EvaluationError, match=f"the fold is a {type(wrong).__name__}; give .*split"):
            evaluate(model, wrong)
        with pytest.raises(EvaluationError, match=f"the fold is a {type(wrong).__name__}; give .*split"):
            evaluate_lists(np.zeros((2, 1), int), wrong)
    with pytest.raises(EvaluationError, match="the recommender is a Dataset; give a fitted Recommender"):
        evaluate(given.context, given)
    with pytest.raises(EvaluationError, match=r"metrics is 'ndcg'; give a list, such as \['ndcg'\]"):
        evaluate(model, given, metrics="ndcg")


def test_discovery_and_repurchase_are_measured_apart(table: Make, fold: MakeFold) -> None:
    given = fold([[0, 1], [2]], [[1, 2], [2]], 4)  # 1 and 2 are repeats of user 0 and 1, 2 is new to user 0
    model = table(np.array([[0, 3, 2, 1], [3, 2, 1, 0]]), given.context)
    found = evaluate(model, given, k=1, metrics=["recall", "hit_rate"], exclude_seen=False)
    assert found.values["hit_rate@1"] == 0.5
    assert found.by_history["discovery"] == {"users": 1, "targets": 1, "recall@1": 0, "hit_rate@1": 0}
    assert found.by_history["repurchase"] == {"users": 2, "targets": 2, "recall@1": 0.5, "hit_rate@1": 0.5}
    rows = leaderboard([found])
    assert describe_repeats(rows).endswith("1 targets are discoveries, 2 repurchases.")
    without = evaluate(model, given, k=1, metrics=["recall"])
    assert without.by_history == {}
    assert "and the 2 of them are no targets" in describe_repeats(leaderboard([without]))
    new = evaluate(model, fold([[0], [2]], [[1], [3]], 4), k=1, metrics=["recall"], exclude_seen=False)
    assert np.isnan(new.by_history["repurchase"]["recall@1"])


def test_bad_lists_are_named(fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    for lists, options, message in [
        (np.array([[1, 1], [0, 2]]), {"k": 2}, "list 0 holds an item twice"),
        (np.array([[1, 2], [0, 3]]), {"k": 2}, "list 1 holds"),
        (np.array([[1, 2]]), {"k": 2, "users": [0]}, "1 user with a target but no list"),
        (np.array([[1, 2]]), {"k": 2, "users": [0, 1]}, "1 list for 2 users"),
        (np.array([[1, 2], [0, 2]]), {"k": 3}, "ndcg@3 cannot be computed from lists of 2"),
        (np.array([[1], [0]]), {"k": 2}, "ndcg@2 cannot be computed from lists of 1"),
        (np.array([[1, 2], [0, 2]]), {"k": 2, "metrics": ["auc"]}, "auc cannot be computed"),
    ]:
        with pytest.raises(EvaluationError, match=message):
            evaluate_lists(lists, given, **options)


def test_lists_and_users_that_are_no_row_numbers_are_errors(fold: MakeFold) -> None:
    given = fold([[0], [1]], [[1], [0]], 3)
    lists = np.array([[1, 2], [0, 2]])
    values = evaluate_lists(lists, given, k=2).values
    assert evaluate_lists(lists.tolist(), given, users=[0, 1], k=2).values == pytest.approx(values)
    for wrong in (lists + 0.5, lists > 0, [1, 2], lists[None]):
        with pytest.raises(EvaluationError, match=r"lists are .* give row numbers \[n_lists, m\]"):
            evaluate_lists(wrong, given, k=2)
    for users in ([True, True], [0.0, 1.0], [[0, 1]], 0):
        with pytest.raises(EvaluationError, match=r"users are .* give row numbers \[n_lists\]"):
            evaluate_lists(lists, given, users=users, k=2)
    with pytest.raises(EvaluationError, match="train is a Fold; give the Dataset"):
        evaluate_lists(lists, given, k=2, train=given)  # type: ignore[arg-type]


def test_a_user_with_everything_seen_and_nothing_to_rank(table: Make, fold: MakeFold) -> None:
    given = fold([[0, 1, 2], [0]], [[1], [2]], 3)
    found = evaluate(table(np.zeros((2, 3)), given.context), given, k=1, metrics=["hit_rate", "auc", "coverage"])
    assert found.counts["users_without_targets"] == 1
    assert found.values["hit_rate@1"] == 0.5  # user 1 alone: two candidates, all scores equal
    assert found.values["auc"] == 0.5
