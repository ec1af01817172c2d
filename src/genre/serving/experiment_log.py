"""Experiments as the event log has them: which there are, and how one is started and stopped. Knows no arm's run.

Each change is decided in one transaction with all changes before it, so that two processes that start an experiment at
once end with one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any

from genre.config.serving_options import Guardrails, OnlineExperiment
from genre.errors import ConflictError, GenreError, OptionError, UnknownId
from genre.options import nearest
from genre.serving.events.experiment_changes import ExperimentChange
from genre.serving.events.log_table import EventStore


def experiments_of(changes: Iterable[ExperimentChange]) -> tuple[OnlineExperiment, ...]:
    """Return the experiments that changes lead to.

    Args:
        changes: All changes, in order. A change that is repeated changes nothing.

    Returns:
        The experiments, in the order in which they were recorded; one that was stopped before it began is left out.
    """
    found: dict[str, OnlineExperiment | None] = {}
    for change in changes:
        if change.definition is not None:
            if change.name not in found and (made := _experiment_of(change.definition)) is not None:
                found[change.name] = made
        elif (known := found.get(change.name)) is not None and change.timestamp < known.ends:
            start = _text_of(min(known.begins, change.timestamp - 1))  # times have no parts of a second
            begun = change.timestamp >= known.begins
            found[change.name] = replace(known, start=start, end=_text_of(change.timestamp)) if begun else None
    return tuple(one for one in found.values() if one is not None)


def _experiment_of(definition: dict[str, Any]) -> OnlineExperiment | None:
    """Make an experiment from its options; None for one that another version of this program wrote."""
    try:
        return OnlineExperiment(**{**definition, "guardrails": Guardrails(**definition["guardrails"])})
    except (TypeError, KeyError, GenreError):
        return None


def _text_of(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def start_experiment(
    store: EventStore, experiment: OnlineExperiment, now: int, *, deadline: float | None = None
) -> ExperimentChange | None:
    """Record an experiment. It begins now, or at its own start where that is later.

    Args:
        store: The event log.
        experiment: The experiment.
        now: The present, in seconds since 1970.
        deadline: As in `EventStore.record`.

    Returns:
        The change; None where the log has this very experiment already.

    Raises:
        ConflictError: If another experiment has the name, or goes on at the same time.
        OptionError: If its end has passed.
    """
    if experiment.ends <= now:
        raise OptionError(f"experiment {experiment.name!r}: its end {experiment.end} has passed; give a later one")
    begins = max(experiment.begins, now)
    definition = asdict(experiment)
    definition["start"] = _text_of(begins)
    definition["end"] = None if experiment.end is None else _text_of(experiment.ends)

    def decide(changes: Sequence[ExperimentChange]) -> ExperimentChange | None:
        known = next((one for one in changes if one.name == experiment.name and one.definition is not None), None)
        if known is not None and known.definition is not None:
            if _but_start(known.definition) == _but_start(definition):
                return None
            raise ConflictError(
                f"the log has an experiment {experiment.name!r} already, with other options; give this one another name"
            )
        for one in experiments_of(changes):
            if one.begins < experiment.ends and begins < one.ends:
                raise ConflictError(
                    f"experiment {one.name!r} goes on at that time, and one decides at a time; stop it first, or give "
                    "this one a start after its end"
                )
        return ExperimentChange(experiment.name, now, definition)

    return store.change_experiments(decide, deadline=deadline)


def running_experiment(store: EventStore, name: str, now: int) -> OnlineExperiment:
    """Return an experiment that goes on, or will.

    Args:
        store: The event log.
        name: Its name.
        now: The present, in seconds since 1970.

    Returns:
        The experiment.

    Raises:
        ConflictError: If it has ended, or was taken back.
    """
    found = next((one for one in recorded_experiments(store) if one.name == name), None)
    if found is None or found.ends <= now:
        raise ConflictError(f"experiment {name!r} has ended; a new one needs a new name")
    return found


def _but_start(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the options that make an experiment another one; in JSON, as the log has them."""
    names = {field.name for field in fields(OnlineExperiment)} - {"start"}
    return {name: value for name, value in definition.items() if name in names}


def stop_experiment(
    store: EventStore, name: str, now: int, *, deadline: float | None = None
) -> ExperimentChange | None:
    """End an experiment now; one that has not begun is taken back.

    Args:
        store: The event log.
        name: Its name.
        now: The present, in seconds since 1970.
        deadline: As in `EventStore.record`.

    Returns:
        The change; None where it had ended already.

    Raises:
        UnknownId: If the log has no such experiment.
    """

    def decide(changes: Sequence[ExperimentChange]) -> ExperimentChange | None:
        known = named(experiments_of(changes), name)
        return ExperimentChange(name, now) if now < known.ends else None

    return store.change_experiments(decide, deadline=deadline)


def named(experiments: Sequence[OnlineExperiment], name: str) -> OnlineExperiment:
    """Return an experiment by name.

    Args:
        experiments: The experiments.
        name: A name.

    Returns:
        The experiment.

    Raises:
        UnknownId: If there is none of that name.
    """
    found = {one.name: one for one in experiments}
    if name not in found:
        there = f"there are {', '.join(found)}" if found else "there are none; start one"
        raise UnknownId(f"no experiment {name!r}{nearest(name, found)}; {there}")
    return found[name]


def recorded_experiments(store: EventStore) -> tuple[OnlineExperiment, ...]:
    """Read the experiments of a log.

    Args:
        store: The event log.

    Returns:
        The experiments.
    """
    changes = store.entries(kinds=("experiment",))
    return experiments_of(change for change in changes if isinstance(change, ExperimentChange))
