"""The gate before a refreshed run goes live: it may not be worse than the live one on the newest interactions.

A test of non-inferiority over users, who are served by both runs. Knows nothing about where runs are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from genre.arrays import Float64, Int32
from genre.config.serving_options import Gate
from genre.data.folds import Fold
from genre.errors import EvaluationError, WorseRunError
from genre.evaluation.evaluator import evaluate_lists
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL
from genre.evaluation.targets import collect_targets
from genre.preprocessing.splits import LeaveOneOut, TimeSplit
from genre.recommenders.base import Recommender
from genre.runs import Run

GateState = Literal["not worse", "worse", "too few interactions to tell"]


@dataclass(frozen=True)
class GateResult:
    """What the gate found.

    Attributes:
        state: Whether the new run is worse by the margin, is not, or may be.
        old: Mean of the metric over users, of the live run.
        difference: Mean of the new run minus that.
        radius: Half the width of the paired 95 % interval of the difference.
        margin: The largest loss that is accepted, in units of the metric.
        users: Number of users.
        needed: Number of users at which `radius` would be half of the margin.
    """

    state: GateState
    old: float
    difference: float
    radius: float
    margin: float
    users: int
    needed: int

    def __str__(self) -> str:
        low, high = self.difference - self.radius, self.difference + self.radius
        return (
            f"{self.state}: {self.difference:+.4f} against {self.old:.4f} (95 % interval {low:+.4f} to {high:+.4f}), "
            f"margin {self.margin:.4f}; {self.users:,} users, {self.needed:,} are needed to tell"
        )


def judge_difference(old: Float64, new: Float64, margin: float) -> GateResult:
    """Judge whether the new values are not worse than the old ones by a margin.

    With h half the width of the paired 95 % interval of the mean difference: where h is above half of the margin there
    are too few users to tell; else the new run is worse where the lower end is below minus the margin. So a run that is
    as good is held in at most 2.5 of 100 refreshes, and one that loses twice the margin practically never passes. With
    too few users it is still worse where even the upper end is below minus the margin, and not worse where even the
    lower end is above 0.

    Args:
        old: The metric of each user under the live run. `[n]`
        new: The same under the new run. `[n]`
        margin: The largest loss that is accepted, as a part of the mean of `old`.

    Returns:
        What was found.
    """
    difference, n = new - old, len(old)
    mean, accepted = float(difference.mean()), margin * float(old.mean())
    deviation = float(difference.std(ddof=1)) if n > 1 else float("inf")
    quantile = NormalDist().inv_cdf(1 - SIGNIFICANCE_LEVEL / 2)
    radius = quantile * deviation / n**0.5
    state: GateState = "not worse"
    if radius > accepted / 2:
        unclear = mean - radius <= 0 and mean + radius >= -accepted
        state = "too few interactions to tell" if unclear else "worse" if mean < 0 else "not worse"
    elif mean - radius < -accepted:
        state = "worse"
    enough = accepted > 0 and np.isfinite(deviation)
    needed = int(np.ceil((2 * quantile * deviation / accepted) ** 2)) if enough else n + 1
    return GateResult(state, float(old.mean()), mean, radius, accepted, n, max(needed, 2))


def check_gate(old: Run, new: Run, gate: Gate, *, exclude_seen: bool = True) -> str:
    """Check that a refreshed run is not worse than the live one on the newest interactions, which neither has learnt.

    Compared are the best recommenders, without language models, as they were before a refit on all data.

    Args:
        old: The live run, read with `evaluated=True`.
        new: The new run, read likewise.
        gate: The margin and what happens where there are too few users.
        exclude_seen: Whether lists leave out the items of the history.

    Returns:
        What was found, in words.

    Raises:
        WorseRunError: If the new run is held back.
    """
    if new.splitter is None or not isinstance(new.splitter.scheme, (TimeSplit, LeaveOneOut)):
        return "not checked, since the split holds out no newest interactions"
    fold = new.splitter.split(new.dataset).test.sample(gate.users, gate.seed)
    try:
        users = collect_targets(fold, exclude_seen=exclude_seen).users
    except EvaluationError:
        return "not checked, since no user has a newest interaction to find"
    values, coverage = list[Float64](), list[int]()
    for run in (old, new):
        lists = _lists(
            next(iter(run.recommenders.values())).without_llm(), fold, users, gate.k, exclude_seen=exclude_seen
        )
        found = evaluate_lists(lists, fold, users=users, k=gate.k, metrics=["ndcg"], exclude_seen=exclude_seen)
        of_users = found.per_user[f"ndcg@{gate.k}"]
        values.append(of_users[np.isfinite(of_users)])  # the same users for both: others like nothing of what they got
        coverage.append(len(np.unique(lists[lists >= 0])))
    result = judge_difference(values[0], values[1], gate.margin)
    line = f"ndcg@{gate.k} on the newest interactions, {result}"
    if coverage[1] < gate.coverage * coverage[0]:
        raise _held(new, f"{coverage[1]:,} different items in the lists, {coverage[0]:,} before")
    if result.state == "worse" or (result.state != "not worse" and gate.unsure == "hold"):
        raise _held(new, line)
    return line


def _held(new: Run, finding: str) -> WorseRunError:
    text = (
        f"held back, the old run stays; gate: {finding}. The new run is in {new.folder}; to put it in place all the "
        "same, refresh with --no-gate"
    )
    return WorseRunError(text, finding)


def _lists(model: Recommender, fold: Fold, users: Int32, k: int, *, exclude_seen: bool) -> Int32:
    """Return the lists of users, of the items that the recommender knows; -1 behind the last. `[n, k]`."""
    n_items = len(model.item_ids_)
    history = fold.context.history(users).within(n_items).anonymous()
    found = model.recommend(history, k=min(k, n_items), exclude_seen=exclude_seen).item
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=-1)
