"""What lists led to, by run, recommender and source, and what experiments between runs found. Knows no HTTP.

Everything is counted from the event log at the time of the call. Intervals hold at all times at once, so that looking
daily is allowed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from genre.config.serving_options import DAY, Guardrails, OnlineExperiment
from genre.evaluation.online.experiments import (
    ArmOutcome,
    Assignment,
    Effect,
    Rate,
    RateSums,
    always_valid_effect,
    always_valid_rate,
    check_assignment,
)
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL
from genre.serving.events.outcomes import (
    FOREVER,
    OutcomeCounts,
    clicks_on_unknown_lists,
    count_arms,
    count_outcomes,
    items_of_newest_lists,
)
from genre.serving.events.store import EventStore

PLANNED = 10_000  # users at which the intervals of the table are narrowest
GUARDED_LISTS = 100  # of each arm, below which guardrails say nothing
Verdict = Literal["promote", "stop", "go on"]


@dataclass(frozen=True)
class OutcomeRow:
    """What lists of one run, recommender and source led to.

    Attributes:
        run: Name of the run.
        recommender: Name of the recommender.
        source: How the lists were made.
        users: Users, and lists without a user.
        lists: Number of lists.
        shows: Number of items shown.
        clicks: Number of items clicked.
        conversions: Number of items that led to an outcome.
        value: What outcomes were worth.
        click_rate: Clicks a show, with its interval.
        conversion_rate: Conversions a show, with its interval.
        fallbacks: Share of lists that a fallback made.
        empty: Share of lists without an item.
        seconds: Mean time that a list took.
        since: Begin of the span of time, in seconds since 1970.
    """

    run: str
    recommender: str
    source: str
    users: int
    lists: int
    shows: int
    clicks: int
    conversions: int
    value: float
    click_rate: Rate
    conversion_rate: Rate
    fallbacks: float
    empty: float
    seconds: float
    since: int


def outcome_table(
    store: EventStore, outcomes: Sequence[str], *, since: int = 0, until: int = FOREVER, span: int = FOREVER
) -> list[OutcomeRow]:
    """Tell what lists led to.

    Args:
        store: The event log.
        outcomes: Kinds of events that are outcomes.
        since: Time of the first list that counts, in seconds since 1970.
        until: Time after the last one.
        span: Seconds of a span of time.

    Returns:
        A row for each run, recommender, source and span. A user with lists by a fallback, too, counts twice in it.
    """
    groups: dict[tuple[int, str, str, str], list[OutcomeCounts]] = {}
    for one in count_outcomes(store, outcomes, since=since, until=until, span=span):
        groups.setdefault((one.since, one.origin.run, one.origin.recommender, one.origin.source), []).append(one)
    return [_row(key, counts) for key, counts in sorted(groups.items())]


def _row(key: tuple[int, str, str, str], counts: Sequence[OutcomeCounts]) -> OutcomeRow:
    def total(name: str) -> Any:
        return sum(getattr(one, name) for one in counts)

    def rate(parts: str) -> Rate:
        names = "units", parts, "shows", f"{parts}_squared", "shows_squared", f"shows_{parts}"
        return always_valid_rate(RateSums(*map(total, names)), planned=PLANNED)

    since, run, recommender, source = key
    lists = total("lists")
    fallbacks = sum(one.lists for one in counts if one.origin.fallback is not None)
    return OutcomeRow(
        run=run,
        recommender=recommender,
        source=source,
        users=total("units"),
        lists=lists,
        shows=total("shows"),
        clicks=total("clicks"),
        conversions=total("conversions"),
        value=total("value"),
        click_rate=rate("clicks"),
        conversion_rate=rate("conversions"),
        fallbacks=fallbacks / lists,
        empty=total("empty") / lists,
        seconds=total("seconds") / lists,
        since=since,
    )


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
    table = outcome_table(store, [experiment.outcome], since=begins, until=ends)
    whole = sum(experiment.arms.values())
    arms = []
    for run, share in experiment.arms.items():
        rows, counts = [row for row in table if row.run == run], found.by_arm[run]
        lists = sum(row.lists for row in rows)
        coverage = len(set[str]().union(*items_of_newest_lists(store, run, since=begins, until=ends)))
        arms.append(
            ArmResult(
                run=run,
                share=share / whole,
                users=counts.users,
                finished=counts.finished,
                outcome=counts.outcomes / counts.finished if counts.finished else 0.0,
                lists=lists,
                fallbacks=_mean(rows, "fallbacks"),
                empty=_mean(rows, "empty"),
                seconds=_mean(rows, "seconds"),
                coverage=coverage,
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


def _mean(rows: Sequence[OutcomeRow], name: str) -> float:
    """Return the mean of a column over lists."""
    lists = sum(row.lists for row in rows)
    return sum(getattr(row, name) * row.lists for row in rows) / lists if lists else 0.0


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


def experiments_report(
    store: EventStore, experiments: Sequence[OnlineExperiment], outcomes: Sequence[str], *, days: float
) -> dict[str, Any]:
    """Collect what experiments found and what lists led to.

    Args:
        store: The event log.
        experiments: The experiments.
        outcomes: Kinds of events that are outcomes.
        days: How far the table of lists goes back.

    Returns:
        JSON values: `experiments`, `lists` (a row for each run, recommender and source) and `clicks_on_unknown_lists`.
    """
    since = int(time.time() - days * DAY)
    found = [asdict(experiment_result(store, one)) for one in experiments]
    rows = [asdict(row) for row in outcome_table(store, outcomes, since=since)]
    unknown = clicks_on_unknown_lists(store, since=since)
    report = {"experiments": found, "lists": rows, "clicks_on_unknown_lists": unknown}
    return _finite(report)  # type: ignore[no-any-return]


def _finite(value: Any) -> Any:
    """Put None in place of numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
