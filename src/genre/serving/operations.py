"""How a service does, for its operator: what lists led to, over time, drift, language models, refreshes, experiments.

Knows no HTTP. Everything is read at the time of the call.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genre.config.serving_options import OnlineExperiment
from genre.data.durations import DAY, HOUR
from genre.llm.ledger_table import Spending, read_spending
from genre.llm.settings import LLMOptions
from genre.recommenders.llm_reranker import rerankers
from genre.runs import Run
from genre.serving.assignment import check_arms
from genre.serving.events.experiment_changes import ExperimentChange
from genre.serving.events.log_table import EventStore
from genre.serving.events.outcomes import clicks_on_unknown_lists
from genre.serving.experiment_log import (
    named,
    recorded_experiments,
    running_experiment,
    start_experiment,
    stop_experiment,
)
from genre.serving.experiment_verdicts import ExperimentResult, arm_to_promote, experiment_result
from genre.serving.input_drift import EventsOfKind, InputDrift, ItemBins, events_by_kind, input_drift, newest_events
from genre.serving.outcome_table import OutcomeRow, outcome_table
from genre.serving.refresh import promote
from genre.serving.refresh_record import RefreshRecord, RefreshSchedule, read_record
from genre.serving.shows import ShowLog
from genre.serving.state import State

HOURLY_DAYS, DAILY_DAYS = 2, 92  # up to so many days, a span of time is an hour, a day; above, a week


@dataclass(frozen=True)
class ModelSpending:
    """What the language models of the served runs used.

    Attributes:
        job: The name that a budget is counted by: the experiment, all its data together.
        spans: By span of time.
    """

    job: str
    spans: list[Spending]


@dataclass(frozen=True)
class RefreshState:
    """Refreshes of one run.

    Attributes:
        run: Name of the run.
        last: What became of the last one; None: the run was never refreshed.
        running_since: When the one that goes on now began, in seconds since 1970; None: none does.
        next: When the next one begins, in seconds since 1970; None: this server makes none.
    """

    run: str
    last: RefreshRecord | None
    running_since: int | None
    next: int | None


@dataclass(frozen=True)
class OperationsReport:
    """How a service does.

    Attributes:
        since: Begin of the report, in seconds since 1970.
        until: The present.
        span: Seconds of a span of time.
        over_time: What lists led to, by run and span of time.
        events: Events by kind and span of time.
        drift: How far catalogue and input are from what each run has learnt.
        language_models: What language models used, in training and in serving.
        refreshes: By run.
        missing: What this process cannot do at the moment; other steps answer in its place.
        lost_shows: Lists that this process sent but could not record.
        failed_swaps: Replaced runs that this process could not take over.
        unserved: Experiments that go on while this process does not serve all of their arms, which it leaves out.
    """

    since: int
    until: int
    span: int
    over_time: list[OutcomeRow]
    events: list[EventsOfKind]
    drift: list[InputDrift]
    language_models: list[ModelSpending]
    refreshes: list[RefreshState]
    missing: list[str]
    lost_shows: int
    failed_swaps: int
    unserved: list[str]


@dataclass(frozen=True)
class ExperimentsReport:
    """What experiments found and what lists led to.

    Attributes:
        since: Begin of what is said of lists, in seconds since 1970.
        until: The present.
        outcomes: Kinds of events that count as conversions.
        experiments: What experiments between the runs found so far.
        lists: What lists led to, by run, recommender and source.
        clicks_on_unknown_lists: Clicks that name a list which the log does not have; in no row.
    """

    since: int
    until: int
    outcomes: list[str]
    experiments: list[ExperimentResult]
    lists: list[OutcomeRow]
    clicks_on_unknown_lists: int


def span_of(days: float) -> int:
    """Return the seconds of a span of time in a report.

    Args:
        days: How far the report goes back.

    Returns:
        An hour, a day or a week.
    """
    return HOUR if days <= HOURLY_DAYS else DAY if days <= DAILY_DAYS else 7 * DAY


def window_of(days: float) -> tuple[int, int]:
    """Return begin and end of a report.

    Args:
        days: How far it goes back.

    Returns:
        Seconds since 1970: the begin of a span of time, and the present.
    """
    now = int(time.time())
    return int(now - days * DAY) // span_of(days) * span_of(days), now + 1


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
        `ExperimentsReport` as JSON values.
    """
    since, until = window_of(days)
    report = ExperimentsReport(
        since,
        until,
        list(outcomes),
        [experiment_result(store, one) for one in experiments],
        outcome_table(store, outcomes, since=since, until=until),
        clicks_on_unknown_lists(store, since=since, until=until),
    )
    return without_infinities(asdict(report))  # type: ignore[no-any-return]


class Operations:
    """What an operator wants to know of a service, and experiments, which an operator starts, stops and promotes.

    Attributes:
        schedule: When this server refreshes its runs, or None.
        failed_swaps: How often a run that was replaced on disk could not be taken over.
    """

    def __init__(self, store: EventStore, state: State, shows: ShowLog) -> None:
        """Look at the parts of a service.

        Args:
            store: The event log.
            state: The loaded runs.
            shows: Records lists.
        """
        self._store, self._state, self._shows = store, state, shows
        self._bins: dict[str, tuple[Run, ItemBins]] = {}
        self.schedule: RefreshSchedule | None = None
        self.failed_swaps = 0

    def experiments(self, *, days: float = 30) -> dict[str, Any]:
        """Tell what experiments found and what lists led to.

        Args:
            days: How far the table of lists goes back.

        Returns:
            `ExperimentsReport` as JSON values.
        """
        self._shows.flush()
        return experiments_report(self._store, self._state.experiments, self._outcomes, days=days)

    @property
    def _outcomes(self) -> tuple[str, ...]:
        """Return the kinds of events that are outcomes, by the first run's table."""
        return tuple(self._state.loaded_run(None).run.event_kinds.outcomes)

    def report(self, *, days: float = 30) -> dict[str, Any]:
        """Tell how the service does.

        Args:
            days: How far the report goes back.

        Returns:
            `OperationsReport` as JSON values.
        """
        self._shows.flush()
        (since, until), span = window_of(days), span_of(days)
        runs = list(self._state.loaded_runs.values())
        events = newest_events(self._store, since, until)
        report = OperationsReport(
            since=since,
            until=until,
            span=span,
            over_time=outcome_table(self._store, self._outcomes, whole_runs=True, since=since, until=until, span=span),
            events=events_by_kind(self._store, since, until, span),
            drift=[input_drift(loaded, events, self._bins_of(loaded.name, loaded.run), until) for loaded in runs],
            language_models=spending_of([loaded.run for loaded in runs], since, span),
            refreshes=[self._refreshes_of(loaded.name, loaded.run.folder) for loaded in runs],
            missing=[name for name, breaker in list(self._state.fallback.breakers.items()) if breaker.open],
            lost_shows=self._shows.n_lost,
            failed_swaps=self.failed_swaps,
            unserved=[
                one.name
                for one in self._state.experiments
                if one.begins < until <= one.ends and not one.arms.keys() <= self._state.loaded_runs.keys()
            ],
        )
        return without_infinities(asdict(report))  # type: ignore[no-any-return]

    def start_experiment(self, experiment: OnlineExperiment, *, deadline: float | None = None) -> dict[str, Any]:
        """Start an experiment, now or at its own start, in every process that serves from the log.

        Args:
            experiment: The experiment.
            deadline: Moment of `time.monotonic()` after which nothing is written; None: the store's own.

        Returns:
            Its options as the log has them; of the very same experiment that was started before, as they were then.

        Raises:
            UnknownId: If an arm is not served.
            DataError: If there is no such kind of event as its outcome.
            ConflictError: If another experiment has the name or goes on at the same time, or this one has ended.
            OptionError: If its end has passed.
        """
        now = int(time.time())
        self._start(experiment, now, deadline)
        return asdict(running_experiment(self._store, experiment.name, now))

    def start_configured(self, experiments: Iterable[OnlineExperiment]) -> None:
        """Start the experiments of a config that the log does not have; those that have ended stay so.

        Args:
            experiments: The experiments.

        Raises:
            GenreError: As in `start_experiment`.
        """
        now = int(time.time())
        for experiment in experiments:
            if experiment.ends > now:
                self._start(experiment, now, None)

    def _start(self, experiment: OnlineExperiment, now: int, deadline: float | None) -> None:
        check_arms(experiment, list(self._state.loaded_runs))
        self._state.loaded_run(None).run.event_kinds.weight(experiment.outcome)
        self._apply(start_experiment(self._store, experiment, now, deadline=deadline))

    def stop_experiment(self, name: str, *, deadline: float | None = None) -> dict[str, Any]:
        """Stop an experiment now, in every process that serves from the log.

        Args:
            name: Its name.
            deadline: As in `start_experiment`.

        Returns:
            Its options as the log has them, with its end.

        Raises:
            UnknownId: If there is no such experiment.
        """
        known = named(recorded_experiments(self._store), name)
        self._apply(stop_experiment(self._store, name, int(time.time()), deadline=deadline))
        return asdict(next((one for one in recorded_experiments(self._store) if one.name == name), known))

    def promote_arm(self, name: str, arm: str | None = None) -> dict[str, Any]:
        """Stop an experiment and put a copy of an arm in the place of the first one, which is swapped in at once.

        Args:
            name: Its name.
            arm: Name of the arm's run; None: the arm that its verdict says is to be promoted.

        Returns:
            `experiment`, `promoted` and `over`, the names of both runs.

        Raises:
            UnknownId: If there is no such experiment or arm.
            ConflictError: If no arm is to be promoted and none is named.
            GenreError: If the run cannot be replaced, such as while it is refreshed; the experiment is stopped then.
        """
        experiment = named(recorded_experiments(self._store), name)
        self._shows.flush()
        winner, first = arm_to_promote(self._store, experiment, arm), next(iter(experiment.arms))
        folders = [self._state.loaded_run(run).run.folder for run in (winner, first)]
        self.stop_experiment(name)
        promote(*folders)
        return {"experiment": name, "promoted": winner, "over": first}

    def _apply(self, change: ExperimentChange | None) -> None:
        """Take in a change at once; that of other processes comes with the log."""
        if change is not None:
            self._state.apply(change)

    def _bins_of(self, name: str, run: Run) -> ItemBins:
        known = self._bins.get(name)
        if known is None or known[0] is not run:
            known = self._bins[name] = run, ItemBins(run.dataset)
        return known[1]

    def _refreshes_of(self, name: str, folder: Path) -> RefreshState:
        schedule = self.schedule
        running = None if schedule is None else schedule.running.get(name)
        return RefreshState(name, read_record(folder), running, None if schedule is None else schedule.next_round)


def spending_of(runs: Iterable[Run], since: int, span: int) -> list[ModelSpending]:
    """Add up what the language models of runs used, whatever data their experiments had meanwhile.

    Args:
        runs: The runs.
        since: Time of the first call that counts, in seconds since 1970.
        span: Seconds of a span of time.

    Returns:
        By job, of the jobs that made any call.
    """
    jobs = dict.fromkeys((str(llm.ledger_path()), _experiment_of(llm)) for run in runs for llm in _models_of(run))
    within = {(path, job) for path, job in jobs if (path, job.partition("/")[0]) in jobs and "/" in job}
    found = [ModelSpending(job, read_spending(path, job=job, since=since, span=span)) for path, job in jobs
             if (path, job) not in within]  # fmt: skip
    return [one for one in found if one.spans]


def _models_of(run: Run) -> Sequence[LLMOptions]:
    """Return the language models of a config and of second stages."""
    stages = [stage.llm for recommender in run.recommenders.values() for stage in rerankers(recommender)]
    return [llm for llm in (run.llm, *stages) if llm is not None]


def _experiment_of(llm: LLMOptions) -> str:
    """Return the name that a budget is counted by, without the key of the data."""
    return llm.job.partition("@")[0]


def without_infinities(value: Any) -> Any:
    """Put None in place of numbers that JSON does not have.

    Args:
        value: JSON values, infinities among them.

    Returns:
        The same without them.
    """
    if isinstance(value, dict):
        return {key: without_infinities(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_infinities(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
