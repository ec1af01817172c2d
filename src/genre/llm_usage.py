"""What a language model is sent by a run: the plan before it, and the exchanges after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genre import storage
from genre.config.experiment import Experiment
from genre.config.reading import FULL_CONFIG, Config, read_config
from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.data.parquet import read_dataset
from genre.errors import ArtifactError, ConfigError, UnknownId
from genre.evaluation.report_values import example_users
from genre.features.augmentation import plan
from genre.llm.budget import Plan
from genre.llm.ledger_table import Exchange, default_path, read_log
from genre.llm.typed_answers import AnswerReport
from genre.log import SILENT, Log
from genre.pipeline import preprocess
from genre.recommenders.llm_reranker import rerankers
from genre.workspace import Workspace, locked, workspace_of


def plan_llm(
    config: str | Path, *, overrides: Sequence[str] = (), runs: str | Path = "runs", log: Log = SILENT
) -> dict[str, Plan]:
    """Count the questions that the run of a config would send to a language model; nothing is sent.

    Args:
        config: The path of a YAML file, or a run that is to be made again.
        overrides: `dotted.key=value` each.
        runs: The folder of all runs, where the data that is read on the way is kept for the run.
        log: Where progress is shown.

    Returns:
        The plan of each step of the augmentation, of each recommender with a reranker, and of the explanations.

    Raises:
        ConfigError: The config uses no language model.
    """
    given = Path(config)
    is_run = (given / FULL_CONFIG).is_file()
    checked = read_config(given / FULL_CONFIG if is_run else config, overrides)
    if not _uses_llm(checked.experiment):
        raise ConfigError(f"{config}: uses no language model; add the sections llm and augmentation")
    work = Workspace(given, storage.read_manifest(given)["key"]) if is_run else workspace_of(checked, runs)
    with locked(work.folder):
        if work.finished() and not (is_run and overrides):
            return _plan_of_finished(work.folder)
        dataset, key = _dataset_of_run(given) if is_run else _dataset_of_config(work, checked, log)
    experiment = checked.experiment.with_budgets_of(key)
    return _plan_steps(experiment, dataset, experiment.split.split(dataset))


def _uses_llm(experiment: Experiment) -> bool:
    """Tell whether any part of a config sends questions to a language model."""
    reranks = any(rerankers(recommender) for recommender in experiment.recommenders)
    return experiment.augmentation is not None or reranks or experiment.output.explanations is not None


def _dataset_of_run(folder: Path) -> tuple[Dataset, str]:
    """Read the dataset of a run and its key."""
    return read_dataset(folder / "dataset" / "tables"), storage.read_manifest(folder / "dataset")["key"]


def _dataset_of_config(work: Workspace, config: Config, log: Log) -> tuple[Dataset, str]:
    """Read the data of a config into its workspace; return the dataset and its key."""
    work.begin(config)
    dataset = preprocess(work, config.experiment, log)
    return dataset, work.key_of("dataset")


def _plan_steps(experiment: Experiment, dataset: Dataset, split: Split) -> dict[str, Plan]:
    """Plan the augmentation, the reranking of each recommender and the explanations."""
    plans: dict[str, Plan] = {}
    if experiment.augmentation is not None and experiment.llm is not None:
        plans = plan(split.train, experiment.llm.open(), experiment.augmentation)
    shown = example_users(experiment.output.users, dataset, split)
    histories = [fold.context.history(np.unique(fold.target.user)) for fold in (split.validation, split.test)]
    histories.append(dataset.history(shown))
    for label, recommender in experiment.named().items():
        if stages := rerankers(recommender):
            plans[f"reranking by {label}"] = sum((stage.plan(dataset.items, histories) for stage in stages), Plan())
    if (wording := experiment.output.explanations) is not None:
        plans["explanations"] = wording.plan(dataset.items, len(shown) * experiment.output.k)
    return plans


def _plan_of_finished(folder: Path) -> dict[str, Plan]:
    """Plan a finished run: every answer is there already."""
    sent = storage.read_json(folder / "report.json")["language_model"]
    counts = {step: AnswerReport.from_json(report).questions for step, report in sent["augmentation"].items()}
    counts |= {f"reranking by {label}": found.get("reordered", 0) for label, found in sent["reranking"].items()}
    if worded := sent["explanations"]:
        counts["explanations"] = sum(worded.get(name, 0) for name in ("model", "rejected", "unreadable"))
    return {name: Plan(questions=count, cached=count) for name, count in counts.items()}


def exchanges_of(
    source: str | Path | None, *, last: int = 20, outcome: str | None = None, number: int | None = None
) -> list[Exchange]:
    """Read the newest exchanges with a language model.

    Args:
        source: A run, a config or a ledger file; None: the ledger that all runs share.
        last: How many.
        outcome: Only exchanges with this outcome or verdict, such as `failed` or `quarantined`; None: all.
        number: Only the exchange with this id; None: all.

    Returns:
        The exchanges, newest first.

    Raises:
        ConfigError: The config uses no language model.
        ArtifactError: There is no such run, config or file.
        UnknownId: There is no exchange with this id.
    """
    path = default_path() if source is None else Path(source)
    full, job = path / FULL_CONFIG, None
    if full.is_file() or path.suffix in (".yaml", ".yml"):
        experiment = read_config(full if full.is_file() else path).experiment
        if experiment.llm is None:
            raise ConfigError(f"{path}: uses no language model; it has no section llm")
        path, job = experiment.llm.ledger_path(), experiment.llm.job
    elif source is not None and not path.is_file():
        raise ArtifactError(f"{path}: no such run, config or ledger file")
    found = read_log(path, last=last, job=job, outcome=outcome, number=number)
    if number is not None and not found:
        raise UnknownId(f"no exchange {number} in {path}; `genre llm log` lists them")
    return found
