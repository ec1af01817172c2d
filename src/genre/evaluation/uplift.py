"""The uplift of each arm over the arm without texts, by segment of users: paired, corrected, with its cost per point.

A placebo that wins shows that gains of this size come from the experiment itself. Does not know language models.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from genre.arrays import Float64, Int64
from genre.errors import EvaluationError
from genre.evaluation.arms import PLACEBO, Arm
from genre.evaluation.evaluator import evaluate
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL, bootstrap, holm, sign_flip
from genre.evaluation.results import Evaluation
from genre.llm.typed_answers import AnswerReport
from genre.log import SILENT, Log
from genre.options import DEFAULT_K

FEWEST_USERS = 20  # with fewer, even a difference of most users is not significant after the correction
POINT = 0.01  # of a metric between 0 and 1


@dataclass(frozen=True)
class Gain:
    """The gain of one arm in one segment of users.

    Attributes:
        arm: The arm.
        segment: The segment of users.
        users: How many users it has.
        without: The metric of the arm `without`.
        value: The metric of this arm.
        difference: value - without.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        changed: Users for whom the two arms differ at all.
        p: Two-sided sign-flip test over users, corrected by Holm over all arms and segments.
        cost: Cost of the whole arm.
        cost_per_point: Cost for each .01 gained; None without a gain.
    """

    arm: str
    segment: str
    users: int
    without: float
    value: float
    difference: float
    low: float
    high: float
    changed: int
    p: float
    cost: float
    cost_per_point: float | None

    @property
    def wins(self) -> bool:
        """Whether the gain is positive and significant."""
        return self.difference > 0 and self.p < SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class Uplift:
    """All gains of one metric.

    Attributes:
        label: The metric, such as `ndcg@10`.
        unit: Unit of the costs: `money` or `seconds`.
        gains: One for each arm and segment.
    """

    label: str
    unit: str
    gains: tuple[Gain, ...]

    def winners(self) -> list[str]:
        """List the significant gains.

        Returns:
            `arm in segment` of each.
        """
        return [f"{gain.arm} in {gain.segment}" for gain in self.gains if gain.wins]

    def warnings(self) -> list[str]:
        """List the placebos with a significant gain, which are reasons to doubt the other gains.

        Returns:
            One line for each.
        """
        return [
            f"the {gain.arm} gained in {gain.segment} (p {gain.p:.3f}): do not trust gains of this size"
            for gain in self.gains
            if gain.wins and gain.arm.startswith(PLACEBO)
        ]

    def by_arm(self) -> dict[str, list[Gain]]:
        """Group the gains by arm.

        Returns:
            Arm -> its gains, one for each segment.
        """
        return {
            arm: [gain for gain in self.gains if gain.arm == arm] for arm in dict.fromkeys(g.arm for g in self.gains)
        }

    def blind_spots(self) -> list[str]:
        """List the segments with too few users for a significant difference, and the arms that equal their placebo.

        Returns:
            One line for each.
        """
        arms = self.by_arm()
        equal = [
            f"{arm} and its placebo gain the same in every segment: what the texts say makes no difference"
            for arm, gains in arms.items()
            if any(gain.changed for gain in gains)
            and [gain.value for gain in gains] == [gain.value for gain in arms.get(f"{PLACEBO} {arm}", [])]
        ]
        sizes = {gain.segment: gain.users for gain in self.gains if gain.users < FEWEST_USERS}
        few = [f"{segment}: {users} users are too few for a significant difference" for segment, users in sizes.items()]
        return equal + few

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns:
            `label`, `unit` and `gains`.
        """
        return {"label": self.label, "unit": self.unit, "gains": [asdict(gain) for gain in self.gains]}

    def table(self) -> str:
        """Write the gains as a Markdown table.

        Returns:
            The table; significant gains are bold.
        """
        head = f"| arm | users | n | without | {self.label} | difference | 95 % | p (Holm) | {self.unit} a point |"
        lines = [head, "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
        for gain in self.gains:
            cost = "-" if gain.cost_per_point is None else f"{gain.cost_per_point:.3g}"
            mark = "**" if gain.wins else ""
            change = (
                f"{gain.difference:+.4f} | {gain.low:+.4f} to {gain.high:+.4f}"
                if gain.changed
                else "no user differs | "
            )
            lines.append(
                f"| {mark}{gain.arm}{mark} | {gain.segment} | {gain.users:,} | {gain.without:.4f} | {gain.value:.4f} "
                f"| {change} | {gain.p:.3f} | {cost} |"
            )
        return "\n".join(lines)


def evaluate_arms(
    conditions: Mapping[str, Arm],
    *,
    k: int = DEFAULT_K,
    metric: str = "ndcg",
    kind: Literal["catalogue", "impressions"] = "catalogue",
    exclude_seen: bool = True,
    category: str | None = None,
    group: str | None = None,
    log: Log = SILENT,
) -> dict[str, Evaluation]:
    """Fit every arm and evaluate it on the test part of its split.

    Args:
        conditions: Name -> arm.
        k: Length of the evaluated lists.
        metric: The metric.
        kind: See `evaluate`.
        exclude_seen: See `evaluate`.
        category: See `evaluate`.
        group: See `evaluate`.
        log: Where progress is shown.

    Returns:
        Name -> evaluation.
    """
    found = {}
    for name, arm in conditions.items():
        log.line(f"uplift: {name}")
        fitted = copy.copy(arm.recommender).fit(arm.split.train, validation=arm.split.validation, log=log)
        found[name] = evaluate(
            fitted,
            arm.split.test,
            k=k,
            metrics=(metric,),
            kind=kind,
            exclude_seen=exclude_seen,
            train=arm.split.train,
            category=category,
            group=group,
            name=name,
            log=log,
        )
    return found


def uplift(
    evaluations: Mapping[str, Evaluation],
    *,
    label: str = f"ndcg@{DEFAULT_K}",
    short: int = 10,
    cost: Mapping[str, float] | None = None,
    unit: str = "money",
    seed: int = 0,
) -> Uplift:
    """Compare every arm with the arm `without`, over all users and by length of history.

    Args:
        evaluations: Name -> evaluation, all on the same fold.
        label: The metric.
        short: The longest history of the segment of short histories.
        cost: Name -> cost of the arm.
        unit: Unit of the costs.
        seed: Seed of the resamples and of the random signs.

    Returns:
        The gains.

    Raises:
        EvaluationError: Without an arm `without` or without another one, when arms come from different folds, or have
            no per-user values.
    """
    others = [name for name in evaluations if name != "without"]
    if "without" not in evaluations or not others:
        raise EvaluationError(f"uplift needs an arm 'without' and others; found {', '.join(evaluations) or 'none'}")
    base = evaluations["without"]
    for name in others:
        if evaluations[name].fold_digest != base.fold_digest:
            raise EvaluationError(
                f"arm {name} was evaluated on other targets than 'without'; evaluate all arms on the same split"
            )
    segments = user_segments(base.history_length, short)
    pairs = [(arm, segment) for arm in others for segment in segments]
    differences = np.stack([_difference(evaluations[arm], base, label, segments[segment]) for arm, segment in pairs], 1)
    p = holm(sign_flip(differences, seed=seed))
    drawn = bootstrap(differences, np.ones_like(differences), np.ones(len(pairs)), seed=seed)
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    gains = []
    for at, (arm, segment) in enumerate(pairs):
        known = np.isfinite(differences[:, at])
        changes, paid = differences[known, at], float((cost or {}).get(arm, 0.0))
        difference, without = float(changes.mean()), float(base.per_user[label][known].mean())
        gains.append(
            Gain(
                arm=arm,
                segment=segment,
                users=len(changes),
                without=without,
                value=without + difference,
                difference=difference,
                low=float(low[at]),
                high=float(high[at]),
                changed=int((changes != 0).sum()),
                p=float(p[at]),
                cost=paid,
                cost_per_point=paid / (difference / POINT) if difference > 0 else None,
            )
        )
    return Uplift(label, unit, tuple(gains))


def arm_costs(reports: Mapping[str, AnswerReport]) -> dict[str, Any]:
    """Add up what the texts of each arm cost, with the steps before it.

    Args:
        reports: Step of the augmentation -> counts and cost of its answers.

    Returns:
        `cost` and `unit` of `uplift`: money where the provider has a price, else seconds of the model.
    """
    unit = "money" if any(report.money for report in reports.values()) else "seconds"
    paid = {name: float(getattr(report, unit)) for name, report in reports.items()}
    before = {
        "summaries": ("summaries",),
        "profiles": ("summaries", "profiles"),
        "synthetic": ("summaries", "next items"),
        "chain": ("summaries", "profiles", "chained items"),
    }
    whole = {arm: sum(paid.get(step, 0.0) for step in steps) for arm, steps in before.items()}
    return {"cost": whole | {f"{PLACEBO} {name}": value for name, value in whole.items()}, "unit": unit}


def user_segments(history_length: Int64, short: int) -> dict[str, Int64]:
    """Divide users by length of history: all, cold, short and warm.

    Args:
        history_length: `[n]`, interactions in each history.
        short: The longest history of the short segment.

    Returns:
        Segment -> positions of its users; empty segments are left out.
    """
    masks = {
        "all": history_length >= 0,
        "cold": history_length == 0,
        f"short (1-{short})": (history_length > 0) & (history_length <= short),
        f"warm (>{short})": history_length > short,
    }
    return {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}


def _difference(arm: Evaluation, base: Evaluation, label: str, rows: Int64) -> Float64:
    """Return arm - base for the users in `rows`, NaN for the others. [n_users]."""
    for found in (arm, base):
        if label not in found.per_user:
            raise EvaluationError(f"{found.name} has no {label} per user; it has {', '.join(found.per_user)}")
    out = np.full(len(base.users), np.nan)
    out[rows] = arm.per_user[label][rows] - base.per_user[label][rows]
    return out
