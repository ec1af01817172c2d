"""`genre auto`: from files to the best config that a search within a budget of CPU time finds.

The search itself is in `evaluation/halving.py`; the config that it starts from is that of `genre init`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genre.config.experiment import Experiment
from genre.config.reading import parse_config
from genre.config.starter import config_text, first_config
from genre.config.starter_choices import Choice
from genre.config.writing import to_dict
from genre.display import counted
from genre.estimates import fit_seconds
from genre.evaluation.halving import Winner, search
from genre.evaluation.metric_table import labels
from genre.evaluation.search_budget import Allowance
from genre.log import SILENT, Log
from genre.preprocessing.sources.columns import Columns
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.popularity import Popularity
from genre.studies import prepare_split
from genre.workspace import Workspace, leave_dataset, locked


class FoundConfig(NamedTuple):
    """What `genre auto` found.

    Attributes:
        text: YAML, whose run gives the value that was found.
        winner: The result of the search.
    """

    text: str
    winner: Winner


def find_config(
    interactions: Path,
    items: Path | None = None,
    users: Path | None = None,
    *,
    output: Path,
    columns: Columns | None = None,
    domain: str | None = None,
    exclude_seen: bool | None = None,
    allowance: Allowance | None = None,
    seed: int = 0,
    runs: str | Path = "runs",
    log: Log = SILENT,
) -> FoundConfig:
    """Find a config for a user's files: measure the data as `genre init` does, then search on the validation part.

    Args:
        interactions: The table of interactions.
        items: The table of items; None: there is none.
        users: The table of users; None: there is none.
        output: Where the config will be written; its paths are relative to that folder.
        columns: The columns of the interactions, where their names do not say what they are.
        domain: What the data is about, as in `first_config`.
        exclude_seen: Whether lists leave out items of the history; None: what trade and data tell.
        allowance: CPU time and trials, reading included; None: ten minutes.
        seed: Of the sequence of trials.
        runs: The folder of all runs, where cleaned data and vectors are kept for the run of the config.
        log: A line for each improvement.

    Returns:
        The config and what was tried.

    Raises:
        DataError: The files cannot be read.
        EvaluationError: No trial succeeded.
    """
    allowance = allowance or Allowance(seconds=600)
    first = first_config(
        interactions,
        items,
        users,
        output,
        columns=columns,
        domain=domain,
        exclude_seen=exclude_seen,
        keep=lambda *made: leave_dataset(runs, *made),
    )
    experiment = first.config.experiment
    work = Workspace(Path(runs) / f"{experiment.name}-auto", "")
    with locked(work.folder), experiment.engine:
        work.begin(first.config)
        split = prepare_split(work, experiment, log)
        evaluation = experiment.evaluation
        winner = search(
            split,
            contenders(experiment),
            allowance,
            metric=next(iter(labels(evaluation.metrics[:1], evaluation.k))),
            kind=evaluation.kind,
            exclude_seen=evaluation.leaves_out_seen,
            second_stage=first.facts.ordered,
            expected=fit_seconds(split.train),
            seed=seed,
            log=log,
        )
    text = config_text(first.source, first.facts, first.report, output, list(_entries(experiment, winner)), verb="auto")
    parse_config(text, str(output), folder=output.resolve().parent)
    return FoundConfig(text, winner)


def contenders(experiment: Experiment) -> dict[str, Recommender]:
    """Return the recommenders of a config that a search starts from.

    Args:
        experiment: The config.

    Returns:
        Label -> recommender, but for blends, which the search makes itself, and what predicts ratings.
    """
    return {label: one for label, one in experiment.named().items() if not isinstance(one, Blend) and not _rates(one)}


def _rates(recommender: Recommender) -> bool:
    return bool(recommender.capabilities()["ratings"])


def _entries(experiment: Experiment, winner: Winner) -> Iterator[Choice]:
    """Yield the recommenders of the config: the best one, the most popular items beside it, and those of ratings."""
    tried = f"{winner.value:.4f} on validation, the best after {counted(len(winner.attempts), 'trial')}"
    yield Choice(short_form(winner.recommender), tried)
    if not isinstance(winner.recommender, Popularity):
        yield Choice({"kind": "popularity"}, "what it has to beat")
    yield from (Choice(short_form(one), "predicts ratings") for one in experiment.recommenders if _rates(one))


def short_form(recommender: Recommender) -> Mapping[str, Any]:
    """Return a recommender as it is written in a config, without options at their defaults.

    Args:
        recommender: The recommender.

    Returns:
        Plain values.
    """
    fields = {field.name: field for field in dataclasses.fields(recommender)}  # type: ignore[arg-type]
    plain: dict[str, Any] = to_dict(recommender)
    for name in fields.keys() & plain.keys():
        value = getattr(recommender, name)
        if isinstance(value, Recommender):
            plain[name] = short_form(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Recommender):
            plain[name] = [short_form(member) for member in value]
    return {name: value for name, value in plain.items() if name not in fields or value != _default(fields[name])}


def _default(field: dataclasses.Field[Any]) -> Any:
    return to_dict(field.default_factory() if callable(field.default_factory) else field.default)
