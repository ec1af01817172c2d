"""What a config would cost: the plan of `genre plan`. Reads and keeps the data, as the first step of the run does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genre.config.reading import read_config
from genre.data.dataset import Dataset
from genre.errors import ConfigError
from genre.estimates import StepCost, estimate_run
from genre.llm_usage import plan_llm
from genre.log import SILENT, Log
from genre.pipeline import preprocess
from genre.workspace import locked, workspace_of

if TYPE_CHECKING:
    from genre.llm.budget import Plan


@dataclass(frozen=True)
class RunPlan:
    """What a run would cost.

    Attributes:
        dataset: Its data.
        steps: The expected cost of each step behind the data.
        llm: Calls, tokens and money of each step that sends questions to a language model; empty without one.
    """

    dataset: Dataset
    steps: list[StepCost]
    llm: dict[str, Plan]


def plan_run(
    config: str | Path, *, overrides: Sequence[str] = (), runs: str | Path = "runs", log: Log = SILENT
) -> RunPlan:
    """Estimate what the run of a config costs; nothing is learnt, and nothing is sent.

    Args:
        config: The path of a YAML file.
        overrides: `dotted.key=value` each.
        runs: The folder of all runs, where the data that is read on the way is kept for the run.
        log: Where progress is shown.

    Returns:
        The plan.

    Raises:
        ConfigError: The config is not legal.
        DataError: The data cannot be used.
    """
    checked = read_config(config, overrides)
    work = workspace_of(checked, runs)
    with locked(work.folder):
        if not work.finished():
            work.begin(checked)
        dataset = preprocess(work, checked.experiment, log)
    try:
        questions = plan_llm(config, overrides=overrides, runs=runs, log=log)
    except ConfigError:  # it uses no language model
        questions = {}
    return RunPlan(dataset, estimate_run(checked.experiment, dataset), questions)
