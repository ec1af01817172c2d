"""Names, labels and lines of the metrics."""

from pathlib import Path

import pytest

from genre.errors import EvaluationError
from genre.evaluation.metric_table import METRICS, labels, metric_of


def test_names_and_labels() -> None:
    assert labels(["ndcg", "recall@20", "auc"], [5, 10]) == {"ndcg@5": 5, "ndcg@10": 10, "recall@20": 20, "auc": 0}
    with pytest.raises(EvaluationError, match="unknown metric 'ndgc' \\(did you mean 'ndcg'\\?\\)"):
        metric_of("ndgc@10")
    with pytest.raises(EvaluationError, match="k is 0"):
        labels(["ndcg"], [0])
    for wrong in ("ndcg@", "ndcg@ten", "auc@5", "ndcg@-1"):
        with pytest.raises(EvaluationError):
            labels([wrong], [10])


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_line_about_it(name: str) -> None:
    assert METRICS[name].compute.__name__ == name
    assert 20 < len(METRICS[name].about) < 130
    assert METRICS[name].about.endswith(".")


def test_the_manual_names_every_metric() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")
    rows = [line.split("|")[1:4] for line in manual.splitlines() if line.startswith("| `")]
    stated = {name.strip(" `"): better.strip() for names, _, better in rows for name in names.split(",")}
    assert stated == {name: "higher" if metric.higher_is_better else "lower" for name, metric in METRICS.items()}
