"""Comparisons of recommenders, and the leaderboard that marks ties with the best."""

import numpy as np
import pytest

from genre.errors import EvaluationError
from genre.evaluation.comparison import compare, pairwise_p_values
from genre.evaluation.leaderboard import leaderboard, tables
from genre.evaluation.resampling import power_mean
from genre.evaluation.results import Evaluation


def found(name: str, fold_digest: str = "q", ratings: np.ndarray | None = None, **per_user: np.ndarray) -> Evaluation:
    n = len(next(iter(per_user.values())))
    columns = {label.replace("_at_", "@"): values for label, values in per_user.items()}
    stars = np.ones(n, np.int64) if ratings is None else ratings
    values = {
        label: power_mean(column, stars if label == "rmse" else np.ones(n), 2 if label == "rmse" else 1)
        for label, column in columns.items()
    }
    users = np.arange(n, dtype=np.int32)
    return Evaluation(name, values, values, users, columns, stars, stars, {"users": n}, fold_digest=fold_digest)


def test_compare() -> None:
    rng = np.random.default_rng(4)
    base = rng.random(500)
    a, b = found("a", ndcg_at_10=base + 0.05), found("b", ndcg_at_10=base + rng.normal(0, 0.1, 500))
    result = compare(a, b)[0]
    assert (result.label, result.users) == ("ndcg@10", 500)
    assert result.difference == pytest.approx(result.a - result.b)
    assert result.low < result.difference < result.high
    assert result.low > 0
    assert result.p < 0.001
    mirrored = compare(b, a, ["ndcg@10"])[0]
    assert (mirrored.low, mirrored.high) == pytest.approx((-result.high, -result.low))
    assert compare(a, a)[0].p == 1.0
    with pytest.raises(EvaluationError, match="different targets"):
        compare(a, found("c", "other", ndcg_at_10=base))
    with pytest.raises(EvaluationError, match=r"no per-user values of mrr@10 in both; there are ndcg@10"):
        compare(a, b, ["mrr@10"])
    with pytest.raises(
        EvaluationError, match="share no metric with per-user values: ndcg@10 against ndcg@20; evaluate both"
    ):
        compare(a, found("d", ndcg_at_20=base))


def test_compare_leaves_out_users_without_a_pair_and_weighs_ratings() -> None:
    stars = np.array([1, 9, 5])
    a = found("a", ratings=stars, rmse=np.array([1.0, 2.0, np.nan]))
    b = found("b", ratings=stars, rmse=np.array([2.0, 2.0, 1.0]))
    result = compare(a, b)[0]
    assert result.users == 2
    assert (result.a, result.b) == pytest.approx((np.sqrt(37 / 10), 2.0))


def test_leaderboard_marks_what_is_tied_with_the_best() -> None:
    rng = np.random.default_rng(5)
    base = rng.random(400)
    near, far = base - rng.normal(0.001, 0.1, 400), base - 0.2
    rows = leaderboard([found("far", mrr_at_10=far), found("best", mrr_at_10=base), found("near", mrr_at_10=near)])
    assert [row["name"] for row in rows] == ["best", "near", "far"]
    assert [row["tied_with_best"] for row in rows] == [True, True, False]
    assert rows[0]["p"] is None
    assert rows[2]["p"] < 0.01 < 0.05 < rows[1]["p"]
    low, high = rows[0]["intervals"]["mrr@10"]
    assert low < rows[0]["values"]["mrr@10"] < high
    errors = leaderboard([found("a", rmse=np.array([2.0, 2.0])), found("b", rmse=np.array([1.0, 1.0]))])
    assert [row["name"] for row in errors] == ["b", "a"]  # less is better
    with pytest.raises(EvaluationError, match="no metric"):
        leaderboard([found("a", rmse=np.ones(2)), found("b", mae=np.ones(2))])
    with pytest.raises(EvaluationError, match="at least one"):
        leaderboard([])


def test_what_predicts_ratings_is_not_beaten_in_the_table_of_ranks() -> None:
    values = np.linspace(0.1, 0.9, 5)
    ranker = found("ranker", ndcg_at_10=values)
    rater = found("rater", ndcg_at_10=values / 9, rmse=values)
    ranking, ratings = tables(leaderboard([ranker, rater], "ndcg@10"), best="ranker")
    assert [row["name"] for row in ranking["rows"]] == ["ranker"]
    assert ranking["left_out"] == ["rater"]
    assert [row["name"] for row in ratings["rows"]] == ["rater"]
    assert ratings["left_out"] == []
    answers = tables(leaderboard([ranker, rater], "ndcg@10"), best="rater")[0]
    assert [row["name"] for row in answers["rows"]] == ["ranker", "rater"], "what answers is shown where it stands"
    alone = tables(leaderboard([rater]), best="rater")[0]
    assert [row["name"] for row in alone["rows"]] == ["rater"]


def test_pairwise_p_values_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    from genre.evaluation import resampling

    rng = np.random.default_rng(6)
    base = rng.random(200)
    models = [
        found("a", map_at_5=base),
        found("b", map_at_5=base + 0.1),
        found("c", map_at_5=base + rng.normal(0, 1, 200)),
    ]
    p = pairwise_p_values(models, "map@5")
    assert np.array_equal(p, p.T)
    assert np.diag(p).tolist() == [1, 1, 1]
    assert p[0, 1] < 0.01 < p[0, 2]
    monkeypatch.setattr(resampling, "BLOCK", 1000)  # blocks change nothing
    assert pairwise_p_values(models, "map@5").shape == (3, 3)
