"""The last step of a run: the report, with example recommendations and their reasons.

Knows the finished steps of a run, not how they were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from genre import plain_yaml, storage
from genre.config.diagram import mermaid
from genre.config.experiment import Experiment
from genre.config.reading import FULL_CONFIG
from genre.config.secrets import without_folders
from genre.config.writing import to_yaml
from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.errors import UnknownId
from genre.evaluation.report import write_report
from genre.evaluation.report_values import assemble_report, example_users, with_fitting_cost
from genre.evaluation.results import Evaluation
from genre.features.augmented_columns import read_augmented
from genre.features.thumbnails import PictureOptions, make_thumbnails, read_digests
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.recommenders.popularity import Popularity
from genre.rules.rule_set import rules_for
from genre.runs import Run
from genre.version import __version__
from genre.workspace import PICTURES, Workspace, key_of

SHOWN_FROM = 0.05  # CPU seconds; cheaper steps are in the report alone
RERANKING = "language_model.json"
"""The file with what language models did to the lists of an evaluation; empty without a reranker."""


class Evaluated(NamedTuple):
    """The evaluations of one recommender."""

    validation: Evaluation
    test: Evaluation


def check_output(experiment: Experiment, dataset: Dataset) -> None:
    """Check that the data has what the config wants to show, before anything is learnt.

    Args:
        experiment: The config.
        dataset: All interactions.

    Raises:
        UnknownId: The config shows a user who is not in the data.
        DataError: A rule, or `output.pictures`, names a field that items do not have.
        NotAvailable: There is nothing here that makes small pictures.
    """
    try:
        [dataset.user_ids.row(user) for user in experiment.output.users]
    except UnknownId as error:
        raise UnknownId(f"output.users: {error}") from None
    rules_for(experiment.rules, dataset)
    if experiment.output.pictures is not None:
        experiment.output.pictures.names(dataset.items)


def keep_pictures(work: Workspace, options: PictureOptions, dataset: Dataset, log: Log) -> None:
    """Make the small pictures of items, unless they are there.

    Args:
        work: The workspace of the run.
        options: Where pictures are, and how large they become.
        dataset: The items.
        log: Where progress is shown.
    """
    names = options.names(dataset.items)
    digests = read_digests(options, names)
    key = key_of(PICTURES, work.key_of("dataset"), options.side, *map(repr, digests))
    if not work.reuse(PICTURES, key):
        with work.publish(PICTURES, key) as folder:
            make_thumbnails(options, names, digests, log).save(folder)


def steps_of(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what each measured step of a run cost.

    Args:
        entries: The log of the run.

    Returns:
        `step`, `model`, `cpu_seconds`, `seconds` and `peak_mib` (of the process so far) of each, in their order.
    """
    names = "cpu_seconds", "seconds", "peak_mib"
    return [
        {"step": entry["event"], "model": entry.get("model", ""), **{name: entry[name] for name in names}}
        for entry in entries
        if "cpu_seconds" in entry
    ]


def describe_cost(entries: Sequence[Mapping[str, Any]]) -> str:
    """Describe in one line what the steps of a run cost.

    Args:
        entries: The log of the run.

    Returns:
        CPU seconds by step and the peak memory.
    """
    steps, seconds = steps_of(entries), dict[str, float]()
    for step in steps:
        seconds[step["step"]] = seconds.get(step["step"], 0) + step["cpu_seconds"]
    parts = ", ".join(f"{step} {cpu:.1f}" for step, cpu in seconds.items() if cpu >= SHOWN_FROM)
    peak = max((step["peak_mib"] for step in steps), default=0)
    return f"CPU seconds: {parts or 'none'}; in all {sum(seconds.values()):.1f}. Peak memory: {peak:,} MiB."


def describe_made(made: Sequence[str]) -> str:
    """Name what a run has made; where there are more than three of a folder, only how many.

    Args:
        made: Paths in the run's folder, such as `recommenders/ease`.

    Returns:
        Such as `features/items, 17 recommenders, 17 evaluations`.
    """
    folders: dict[str, list[str]] = {}
    for path in made:
        folders.setdefault(path.partition("/")[0], []).append(path)
    said = [", ".join(paths) if len(paths) <= 3 else f"{len(paths)} {folder}" for folder, paths in folders.items()]
    return ", ".join(said) or "nothing"


def write_output(
    work: Workspace,
    experiment: Experiment,
    dataset: Dataset,
    split: Split,
    fitted: Mapping[str, Recommender],
    evaluated: dict[str, Evaluated],
    log: Log,
    *,
    refitted: dict[str, Recommender],
    curve: dict[str, Any],
) -> None:
    """Write the report for machines and for people.

    Args:
        work: The workspace of the run.
        experiment: The config.
        dataset: All interactions.
        split: Their parts.
        fitted: The recommenders by label.
        evaluated: Their evaluations by label, best first.
        log: Where progress is shown.
        refitted: Those that answer in place of the evaluated ones of their labels, learnt from all interactions.
        curve: Quality against the users learnt from; empty where they are all users.
    """
    training = {label: work.entries(f"recommenders/{label}") for label in evaluated}
    sizes = {label: work.size(f"recommenders/{label}/model") for label in evaluated}
    tests = {label: with_fitting_cost(each.test, training[label], sizes[label]) for label, each in evaluated.items()}
    best = next(iter(evaluated))
    answers = {best: refitted[best] if best in refitted else fitted[best]}
    rules, words = rules_for(experiment.rules, dataset), experiment.output.explanations
    shown = Run(work.folder, experiment.name, dataset, answers, wording=words, rules=rules)
    users = example_users(experiment.output.users, dataset, split)
    examples = [shown.example(user, k=experiment.output.k) for user in users]
    worded = shown.wording.counts if shown.wording else {}
    work.unanswered += worded.get("failed", 0) + worded.get("over_budget", 0)
    augmentation = read_augmented(work.folder / "augmentation").reports if work.key_of("augmentation") else {}
    report = assemble_report(
        name=experiment.name,
        version=__version__,
        seconds=work.seconds,
        dataset=dataset,
        split=split,
        cleaning=without_folders(storage.read_json(work.folder / "dataset" / "cleaning.json")),
        evaluations=tests,
        refitted=list(refitted),
        popularity=[label for label in evaluated if isinstance(experiment.named()[label], Popularity)],
        tuning=work.search,
        training=training,
        curve=curve,
        augmentation=augmentation,
        reranking={label: storage.read_json(work.folder / "evaluations" / label / RERANKING) for label in evaluated},
        explanations=worded,
        examples=examples,
        steps=steps_of(work.entries(".")),
    )
    storage.write_json(work.folder / "report.json", report)
    full = to_yaml(without_folders(plain_yaml.read_yaml((work.folder / FULL_CONFIG).read_text("utf-8"), "")[0]))
    write_report(work.folder / "report.html", report, tests, diagram=mermaid(experiment), config=full, log=log)
