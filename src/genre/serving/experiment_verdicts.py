"""What experiments between runs found, and what to do with their arms. Knows no HTTP.

Everything is counted from the event log at the time of the call. Intervals hold at all times at once, so that looking
daily is allowed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Literal

from genre.config.serving_options import Guardrails, OnlineExperiment
from genre.data.durations import DAY
from genre.errors import ConflictError, UnknownId
from genre.evaluation.online.experiments import (
    ArmOutcome,
    Assignment,
    Effect,
    always_valid_effect,
    check_assignment,
)
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL
from genre.serving.events.log_table import EventStore
from genre.serving.events.outcomes import count_arms
from genre.serving.outcome_table import outcome_table

GUARDED_LISTS = 100  # of each arm, below which guardrails say nothing
Verdict = Literal["promote", "stop", "go on"]


@dataclass(frozen=True)
class ArmResult:
    """One arm of an experiment.

    Attributes:
        run: Name of the run.
        share: The share of the users that it should get.
        users: Users that it has.
        finished: How many of them have had their days.
        outcome: Share of these with the outcome.
        lists: Number of lists.
        fallbacks: Share of lists that a fallback made.
        empty: Share of lists without an item.
        seconds: Mean time that a list took.
        coverage: Different items in the newest lists.
        effect: Against the first arm, with its always-valid interval; None for the first arm.
        verdict: What to do with it; None for the first arm.
        reason: Why.
    """

    run: str
    share: float
    users: int
    finished: int
    outcome: float
    lists: int
    fallbacks: float
    empty: float
    seconds: float
    coverage: int
    effect: Effect | None = None
    verdict: Verdict | None = None
    reason: str = ""


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found so far.

    Attributes:
        name: Its name.
        outcome: The kind of event that counts.
        days: Days after a user's first list in which it counts.
        state: Whether it is planned, goes on or has ended.
        crossed: Users with lists of several arms, who are left out.
        assignment: Whether users were assigned as was meant; None without users.
        arms: The arms, the one compared with first.
    """

    name: str
    outcome: str
    days: float
    state: Literal["planned", "running", "ended"]
    crossed: int
    assignment: Assignment | None
    arms: list[ArmResult] = field(default_factory=list)


def experiment_result(store: EventStore, experiment: OnlineExperiment, now: int | None = None) -> ExperimentResult:
    """Tell what an experiment found so far.

    Args:
        store: The event log.
        experiment: The experiment.
        now: The present, in seconds since 1970; None: by the clock.

    Returns:
        The result.
    """
    now = int(time.time()) if now is None else now
    begins, ends = experiment.begins, experiment.ends
    window = int(experiment.days * DAY)
    found = count_arms(store, [*experiment.arms], experiment.outcome, since=begins, until=ends, window=window, now=now)
    table = outcome_table(store, [experiment.outcome], whole_runs=True, since=begins, until=ends)
    rows = {row.run: row for row in table}
    whole = sum(experiment.arms.values())
    arms = []
    for run, share in experiment.arms.items():
        row, counts = rows.get(run), found.by_arm[run]
        arms.append(
            ArmResult(
                run=run,
                share=share / whole,
                users=counts.users,
                finished=counts.finished,
                outcome=counts.outcomes / counts.finished if counts.finished else 0.0,
                lists=row.lists if row else 0,
                fallbacks=row.fallbacks.value if row else 0.0,
                empty=row.empty.value if row else 0.0,
                seconds=row.seconds.value if row else 0.0,
                coverage=row.coverage if row else 0,
            )
        )
    users = {arm.run: arm.users for arm in arms}
    assignment = check_assignment(users, experiment.arms) if sum(users.values()) else None
    state: Literal["planned", "running", "ended"] = (
        "planned" if now < begins else "running" if now < ends + window else "ended"
    )
    judged = [_judge(experiment, arms[0], arm, assignment, ended=state == "ended") for arm in arms[1:]]
    return ExperimentResult(
        experiment.name, experiment.outcome, experiment.days, state, found.crossed, assignment, [arms[0], *judged]
    )


def arm_to_promote(store: EventStore, experiment: OnlineExperiment, arm: str | None = None) -> str:
    """Return the arm that takes the place of the first one.

    Args:
        store: The event log.
        experiment: The experiment.
        arm: The arm, whatever its verdict; None: the one of the largest effect among those that are to be promoted.

    Returns:
        Name of its run.

    Raises:
        UnknownId: If the experiment has no such arm, or it is the first.
        ConflictError: If no arm is named and none is to be promoted.
    """
    first, *others = experiment.arms
    if arm is not None:
        if arm not in others:
            raise UnknownId(f"experiment {experiment.name!r} compares {', '.join(others)} with {first}, not {arm!r}")
        return arm
    arms = experiment_result(store, experiment).arms[1:]
    better = [one for one in arms if one.verdict == "promote" and one.effect is not None]
    if not better:
        reasons = "; ".join(f"{one.run}: {one.verdict}, {one.reason}" for one in arms)
        raise ConflictError(f"no arm is to be promoted ({reasons}); name an arm to promote it all the same")
    return max(better, key=lambda one: one.effect.difference if one.effect else 0.0).run


def _judge(
    experiment: OnlineExperiment, first: ArmResult, arm: ArmResult, assignment: Assignment | None, *, ended: bool
) -> ArmResult:
    """Compare an arm with the first one; with several arms each at its part of the level (Bonferroni)."""
    level = SIGNIFICANCE_LEVEL / (len(experiment.arms) - 1)
    effect = always_valid_effect(_outcome(first), _outcome(arm), planned=experiment.planned, level=level)
    verdict: Verdict
    broken = broken_guardrail(experiment.guardrails, first, arm)
    if assignment is not None and assignment.flagged:
        verdict, reason = "stop", "users were not assigned as was meant (sample-ratio mismatch): believe no number here"
    elif broken:
        verdict, reason = "stop", broken
    elif effect.low > 0:
        verdict, reason = "promote", f"{experiment.outcome} is more frequent than in {first.run}"
    elif effect.high < 0:
        verdict, reason = "stop", f"{experiment.outcome} is less frequent than in {first.run}"
    elif ended:
        verdict, reason = "stop", "it has ended without a difference that chance would not explain"
    else:
        verdict, reason = "go on", "no difference yet that is more than chance"
    return replace(arm, effect=effect, verdict=verdict, reason=reason)


def _outcome(arm: ArmResult) -> ArmOutcome:
    total = round(arm.outcome * arm.finished)
    return ArmOutcome(arm.finished, total, total)  # 0 or 1 a user: its square is itself


def broken_guardrail(limits: Guardrails, first: ArmResult, arm: ArmResult) -> str:
    """Tell which guardrail an arm breaks.

    Args:
        limits: The guardrails.
        first: The arm compared with.
        arm: The arm.

    Returns:
        What is wrong; empty where nothing is, or there are too few lists to say.
    """
    if min(first.lists, arm.lists) < GUARDED_LISTS:
        return ""
    if arm.fallbacks > first.fallbacks + limits.fallbacks:
        return f"guardrail: {arm.fallbacks:.1%} of lists by a fallback, {first.fallbacks:.1%} in {first.run}"
    if arm.empty > first.empty + limits.empty:
        return f"guardrail: {arm.empty:.1%} of lists are empty, {first.empty:.1%} in {first.run}"
    if arm.seconds > first.seconds * limits.seconds:
        return f"guardrail: a list takes {arm.seconds * 1000:.1f} ms, {first.seconds * 1000:.1f} in {first.run}"
    if arm.coverage < first.coverage * limits.coverage:
        return f"guardrail: {arm.coverage:,} different items in the newest lists, {first.coverage:,} in {first.run}"
    return ""
