"""Several evaluations on one fold -> one table, best recommender first, with those not distinguishable from it marked.

Does not know how the evaluations were made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from genre.errors import EvaluationError
from genre.evaluation.comparison import p_against_best
from genre.evaluation.metric_table import metric_of
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL
from genre.evaluation.results import Evaluation


def leaderboard(evaluations: Sequence[Evaluation], by: str | None = None, *, seed: int = 0) -> list[dict[str, Any]]:
    """Build one row for each recommender, in plain JSON values, best first.

    The keys of a row are `name`, `values`, `intervals` (label -> [low, high]), `warm`, `by_history`, `cost`, `counts`,
    `p` and `tied_with_best`. `p` is the chance of a difference from the best this large if the two were equally good
    (sign-flip test over users, Holm correction over the table); None for the best itself and without per-user values.
    `tied_with_best` means that `p` is above 5 %, so this metric does not tell the two apart.

    Args:
        evaluations: One for each recommender, all on the same fold.
        by: The label that sorts the table, such as `ndcg@10`; None: the result of `primary`.
        seed: Seed of the random signs.

    Returns:
        The rows.

    Raises:
        EvaluationError: Without evaluations, or when a recommender lacks the metric `by`.
    """
    if not evaluations:
        raise EvaluationError("a leaderboard needs at least one evaluation")
    label = by or primary(evaluations)
    if any(label not in e.values for e in evaluations):
        raise EvaluationError(f"not every recommender has the metric {label}; sort by one that all of them have")
    ranked = sorted(evaluations, key=lambda found: rank_key(found.values[label], label))
    best, others = ranked[0], ranked[1:]
    p: list[float | None] = [None] * len(others)
    if label in best.per_user:
        p = [float(value) for value in p_against_best(best, others, label, seed=seed)]
    tied = [value is not None and value > SIGNIFICANCE_LEVEL for value in p]
    rows = [_row(found) for found in ranked]
    return [
        row | {"p": q, "tied_with_best": same} for row, q, same in zip(rows, [None, *p], [True, *tied], strict=True)
    ]


def primary(evaluations: Sequence[Evaluation]) -> str:
    """Return the label that sorts recommenders: the first metric that all of them have.

    Not all have the same metrics, since only some recommenders predict ratings.

    Args:
        evaluations: One for each recommender.

    Returns:
        The label, such as `ndcg@10`.

    Raises:
        EvaluationError: When no metric is shared.
    """
    for label in evaluations[0].values:
        if all(label in found.values for found in evaluations):
            return label
    raise EvaluationError("the recommenders share no metric; add one that needs no predicted ratings, such as ndcg")


def rank_key(value: float, label: str) -> float:
    """Turn the value of a metric into a sort key that puts the best value first and NaN last.

    Args:
        value: The value.
        label: Its metric, which says whether higher is better.

    Returns:
        The key.
    """
    if math.isnan(value):
        return math.inf
    return -value if metric_of(label).higher_is_better else value


def compared_by(rows: Sequence[dict[str, Any]], label: str, *, best: str) -> list[dict[str, Any]]:
    """Return the rows of a leaderboard that are compared by a metric.

    A recommender that is learnt to predict ratings also orders items, by predicted rating: what a user would like
    once seen, not what the user sees next. By metrics of ranks it is beaten by models of another purpose, so it is left
    out there, unless it is the one that answers or there are no others.

    Args:
        rows: What `leaderboard` returned.
        label: The metric.
        best: The recommender that answers.

    Returns:
        Rows with a value of the metric, best first.
    """
    present = [row for row in rows if row["values"].get(label) is not None]
    if not metric_of(label).of_ratings:
        rankers = [row for row in present if not _predicts_ratings(row)]
        present = [row for row in present if row in rankers or row["name"] == best] if rankers else present
    return sorted(present, key=lambda row: _row_key(row, label))


def describe_repeats(rows: Sequence[dict[str, Any]]) -> str:
    """Say whether the lists of a leaderboard hold items that their user had before, and how many targets are such.

    Args:
        rows: What `leaderboard` returned.

    Returns:
        One sentence; empty for ratings alone.
    """
    first = next((row for row in rows if "targets" in row["counts"]), None)
    if first is None:
        return ""
    if "impressions" in first["counts"]:
        n, without = (first["counts"][name] for name in ("impressions", "impressions_left_out"))
        return f"Ranked within {n:,} impressions; {without:,} of which all or no items were clicked are left out."
    if parts := first["by_history"]:
        new, again = (int(parts[name]["targets"]) for name in ("discovery", "repurchase"))
        return f"Lists may hold items of the history: {new:,} targets are discoveries, {again:,} repurchases."
    left_out = first["counts"]["targets_seen_before"]
    what = f"the {left_out:,} of them are no targets" if left_out else "none of them is a target"
    return f"Discovery: lists hold no items that the user had before, and {what} (evaluation.exclude_seen)."


def _predicts_ratings(row: dict[str, Any]) -> bool:
    return any(metric_of(label).of_ratings for label in row["values"])


def tables(rows: Sequence[dict[str, Any]], *, best: str) -> list[dict[str, Any]]:
    """Divide the rows of a leaderboard into a table of ranking metrics and a table of rating metrics.

    Args:
        rows: What `leaderboard` returned.
        best: The recommender that answers.

    Returns:
        A dict for each table: `title`, `labels`, `rows` (those compared by the first label, best first), `left_out`
        (names of recommenders that predict ratings, in the table of ranking metrics) and `best` (label -> best value).
        The kind of the first metric comes first; a kind without values is left out.
    """
    labels = dict.fromkeys(label for row in rows for label in row["values"])
    found = []
    for of_ratings in dict.fromkeys(metric_of(label).of_ratings for label in labels):
        shown = [label for label in labels if metric_of(label).of_ratings == of_ratings]
        present = [row for row in rows if any(row["values"].get(label) is not None for label in shown)]
        if present:
            known = next(label for label in shown if any(row["values"].get(label) is not None for row in present))
            kept = compared_by(present, known, best=best)
            tops = {
                label: sorted(kept, key=lambda row: _row_key(row, label))[0]["values"].get(label) for label in shown
            }
            names = {row["name"] for row in kept}
            left_out = [row["name"] for row in present if row["name"] not in names]
            title = "ratings" if of_ratings else "ranking"
            found.append({"title": title, "labels": shown, "rows": kept, "left_out": left_out, "best": tops})
    return found


def _row_key(row: dict[str, Any], label: str) -> float:
    value = row["values"].get(label)
    return rank_key(math.nan if value is None else value, label)


def _row(found: Evaluation) -> dict[str, Any]:
    return {
        "name": found.name,
        "values": _plain(found.values),
        "intervals": {label: [_finite(end) for end in ends] for label, ends in found.intervals.items()},
        "warm": _plain(found.warm),
        "by_history": {part: _plain(values) for part, values in found.by_history.items()},
        "cost": _plain(found.cost),
        "counts": found.counts,
    }


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {label: _finite(value) for label, value in values.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
