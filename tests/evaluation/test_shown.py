"""Impressions: ranks of clicks among what was shown together, by brute force and by hand."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import genre
from genre.arrays import Float32
from genre.auto import find_config
from genre.config.reading import read_config
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import EvaluationError
from genre.evaluation.arms import Arm
from genre.evaluation.evaluator import evaluate
from genre.evaluation.search_budget import Allowance
from genre.evaluation.uplift import evaluate_arms, uplift
from genre.log import Log
from genre.preprocessing.splits import TimeSplit
from genre.recommenders.base import Recommender
from genre.studies import tune_config

N_ITEMS = 12


@dataclasses.dataclass(eq=False)
class Known(Recommender):
    """Scores that depend on the item alone, some of them equal."""

    answers_empty: ClassVar[bool] = True

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        self.known_ = np.round(np.random.default_rng(4).random(dataset.n_items) * 4).astype(np.float32)

    def _score(self, history: History) -> Float32:
        return np.tile(self.known_, (len(history), 1))


def fold(rows: list[tuple[int, int, int, int]]) -> Fold:
    """Rows of user, time, item and click; every user had item 0 before."""
    ids = {"user_ids": Ids(range(5)), "item_ids": Ids(range(N_ITEMS))}
    user, time, item, click = zip(*rows, strict=True)
    context = Dataset.from_arrays(user=range(4), item=[0] * 4, timestamp=[0] * 4, **ids)
    return Fold(context, Dataset.from_arrays(user=user, item=item, weight=click, timestamp=time, **ids))


def brute(scores: Float32, rows: list[tuple[int, int, int, int]]) -> dict[str, float]:
    """Each metric as the mean over all orders of tied items, then over impressions of a user, then over users."""
    by_user: dict[int, list[dict[str, float]]] = {}
    for user, time in dict.fromkeys((user, time) for user, time, _, _ in rows):
        shown = [(scores[item], click) for u, t, item, click in rows if (u, t) == (user, time)]
        if len({click for _, click in shown}) < 2:
            continue
        found = []
        for order in itertools.permutations(shown):
            if all(a[0] >= b[0] for a, b in itertools.pairwise(order)):
                clicks = [click for _, click in order]
                pairs = [a for (at, a), (then, b) in itertools.combinations(enumerate(clicks), 2) if a != b]
                gain = sum(click / np.log2(at + 2) for at, click in enumerate(clicks[:2]))
                best = sum(1 / np.log2(at + 2) for at in range(min(2, sum(clicks))))
                first = clicks.index(1) + 1
                found.append({"auc": np.mean(pairs), "ndcg@2": gain / best, "mrr@2": (first <= 2) / first})
        by_user.setdefault(user, []).append({name: float(np.mean([one[name] for one in found])) for name in found[0]})
    return {
        name: float(np.mean([np.mean([one[name] for one in each]) for each in by_user.values()]))
        for name in ("auc", "ndcg@2", "mrr@2")
    }


def test_metrics_equal_brute_force() -> None:
    rng = np.random.default_rng(7)
    rows = []
    for user, time in itertools.product(range(5), range(3)):
        items = rng.choice(N_ITEMS, 5, replace=False)
        rows += [(user, time, int(item), int(rng.random() < 0.35)) for item in items]
    given = fold(rows)
    model = Known().fit(given.context)
    found = evaluate(model, given, k=2, metrics=["auc", "ndcg", "mrr"], kind="impressions")
    assert found.values == pytest.approx(brute(model.known_, rows))
    low, high = found.intervals["auc"]
    assert low < found.values["auc"] < high
    assert found.counts["impressions"] + found.counts["impressions_left_out"] == 15
    assert found.counts["cold_users"] == 1, "user 4 had nothing before"


def test_what_was_seen_before_is_ranked_as_all_that_was_shown() -> None:
    given = fold([(0, 5, 0, 1), (0, 5, 1, 0), (1, 5, 2, 0), (1, 5, 3, 1), (2, 5, 3, 1)])
    popular = genre.Popularity().fit(given.context)
    found = evaluate(popular, given, metrics=["auc"], kind="impressions")
    assert np.array_equal(found.per_user["auc"], [1.0, 0.5, np.nan], equal_nan=True), "user 2 was shown one item"
    assert found.warm == {"auc": 1.0}, "without articles that train does not know"
    catalogue = evaluate(popular, given, metrics=["auc"], exclude_seen=False)
    assert found.fold_digest != catalogue.fold_digest, "no paired test between the two"


def test_what_cannot_be_ranked_is_named() -> None:
    given = fold([(0, 5, 0, 1), (0, 6, 1, 0)])
    model = genre.Popularity().fit(given.context)
    with pytest.raises(EvaluationError, match="of 2 impressions none shows both"):
        evaluate(model, given, metrics=["auc"], kind="impressions")
    for name in ("coverage", "rmse"):
        with pytest.raises(EvaluationError, match=rf"metric {name}.* is none of what was shown together; kind impr"):
            evaluate(model, given, metrics=[name], kind="impressions")
    without = Fold(given.context, dataclasses.replace(given.target, timestamp=None))
    with pytest.raises(EvaluationError, match="the data has no times"):
        evaluate(model, without, metrics=["auc"], kind="impressions")


def test_a_run_ranks_impressions(tmp_path: Path) -> None:
    """Readers click what is even or odd, as their number is; half of the log has times, the other none."""
    lines = []
    for line in range(160):
        user = line % 16
        marks = " ".join(
            f"n{item}-{int(item % 2 == user % 2)}" for item in (line % 10, (line + 3) % 10, (line + 6) % 10)
        )
        lines.append(f"{line}\tu{user}\tn{user % 2}\t{marks}")
    (tmp_path / "behaviors.tsv").write_text("\n".join(lines) + "\n")
    config = """\
name: shown
data: {kind: impressions, path: behaviors.tsv}
cleaning: {repeats: all}
recommenders: [{kind: popularity}, {kind: item_knn}]
evaluation: {kind: impressions, k: [1, 2], metrics: [auc, ndcg]}
"""
    (tmp_path / "shown.yaml").write_text(config)
    run = genre.run(tmp_path / "shown.yaml", runs=tmp_path / "runs")
    found = {row["name"]: row["values"] for row in run.report["leaderboard"]}
    assert run.report["best"] == "item_knn"
    assert found["item_knn"]["auc"] == 1.0
    assert found["popularity"]["auc"] < 0.8
    assert [*found["item_knn"]] == ["auc", "ndcg@1", "ndcg@2"]
    (results, tuned) = tune_config(tmp_path / "shown.yaml", runs=tmp_path / "runs", trials=2)
    assert {result.name: result.metric for result in results} == {"popularity": "auc", "item_knn": "auc"}
    [knn] = (result for result in results if result.name == "item_knn")
    assert knn.first == knn.value == 1.0, "within what was shown, as in the run"
    assert read_config(tuned).experiment.evaluation.kind == "impressions"
    found = find_config(
        tmp_path / "behaviors.tsv", output=tmp_path / "auto.yaml", runs=tmp_path / "runs", allowance=Allowance(trials=4)
    )
    assert found.winner.value == 1.0, "auc within what was shown"
    assert "kind: impressions             # ranks what was shown together" in found.text
    split = TimeSplit().split(run.dataset)
    arms = {"without": Arm(split, genre.Popularity()), "summaries": Arm(split, genre.ItemKNN())}
    [gain, *_] = uplift(evaluate_arms(arms, metric="auc", kind="impressions"), label="auc").gains
    assert gain.value == 1.0
    assert gain.without == pytest.approx(run.report["leaderboard"][1]["values"]["auc"])
