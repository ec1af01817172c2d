"""The six steps in order: the architecture tour. Each step is one short function of plain values.

    files -> preprocessing -> features -> recommenders (training) -> evaluation -> output

A step whose inputs have not changed is read back, not done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from genre.config.experiment import Experiment
from genre.config.reading import Config, read_config
from genre.config.writing import to_dict
from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.folds import Split, sample_users
from genre.estimates import describe_estimate, estimate_run, refuse_what_cannot_fit
from genre.evaluation.targets import check_evaluation_fields, check_overlap
from genre.features.augmentation import augment
from genre.features.augmented_columns import ENCODED, read_augmented, synthetic_digest, write_augmented
from genre.features.base import item_features
from genre.features.placebo import exchange_ids, exchange_texts
from genre.features.users import user_features
from genre.fit_and_evaluate import (
    evaluate_recommenders,
    fit_recommenders,
    index_items,
    learning_curve,
    refit_recommender,
    validation_halves,
)
from genre.kernels.compiled import announced
from genre.kinds import declared
from genre.log import SILENT, Log
from genre.output import check_output, describe_cost, describe_made, keep_pictures, write_output
from genre.preprocessing.loading import read_and_clean
from genre.recommenders.network_base import check_devices
from genre.run_folder import read_run
from genre.runs import Run
from genre.threads import limit_threads
from genre.version import __version__
from genre.workspace import (
    Workspace,
    dataset_key,
    keep_dataset,
    keep_features,
    key_of,
    locked,
    read_search,
    workspace_of,
)


def run(
    config: str | Path | Config,
    *,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    anyway: bool = False,
    log: Log = SILENT,
) -> Run:
    """Do every step of a config that is not done yet and read the run back.

    Killed at any moment, it leaves a folder that does not load and that the next call completes.

    Args:
        config: The path of a YAML file, or a checked config.
        overrides: `dotted.key=value` each, put over what the file says.
        runs: The folder of all runs.
        anyway: Run even where this machine is expected to have too little memory.
        log: Where progress is shown.

    Returns:
        The finished run.

    Raises:
        ConfigError: The config is not legal.
        DataError: The data cannot be used, or a step is expected to take more memory than this machine has.
        UnknownId: The config shows a user who is not in the data.

    Example:
        >>> import genre
        >>> run = genre.run("movies.yaml")
        >>> run.recommend("u0", k=3)["title"][0]
        'Story 0'
    """
    checked = config if isinstance(config, Config) else read_config(config, overrides)
    search = [] if isinstance(config, Config) else read_search(Path(config))
    work = workspace_of(checked, runs, search)
    with locked(work.folder), limit_threads(checked.experiment.threads), checked.experiment.engine:
        if work.finished():
            log.line(f"Nothing to do: {work.folder} is up to date.")
            return read_run(work.folder, lazy=True)
        for recommender in checked.experiment.recommenders:
            check_devices(recommender)
        for encoder in checked.experiment.features.encoders():
            encoder.check_machine()
        work.begin(checked, search)
        log = log.also(work.folder / "log.jsonl")
        with log.measure("preprocessed"):
            dataset = preprocess(work, checked.experiment, log)
        check_output(checked.experiment, dataset)
        estimate = estimate_run(checked.experiment, dataset)
        for line in describe_estimate(estimate, dataset):
            log.line(line)
        if not anyway:
            refuse_what_cannot_fit(estimate)
        with announced(log.line):
            learn(work, checked.experiment, dataset, log)
    if work.unanswered:
        left = f"{work.unanswered:,} questions to a language model have no answer"
        log.line(f"{left}; the same command sends them again, as far as the budget allows.")
    log.line(describe_cost(work.entries(".")))
    log.line(f"Made: {describe_made(work.made)}.{' The rest was read back.' if work.reused else ''}")
    return read_run(work.folder, lazy=True)


def learn(work: Workspace, experiment: Experiment, dataset: Dataset, log: Log) -> None:
    """Do steps 2 to 6: from the dataset to a finished run.

    Args:
        work: The workspace of the run, begun.
        experiment: The config.
        dataset: All interactions.
        log: Where progress is shown.
    """
    experiment = experiment.with_budgets_of(work.key_of("dataset"))
    with log.measure("split"):
        split = experiment.split.split(dataset)
    with log.measure("checked"):
        for line in check_overlap(split, exclude_seen=experiment.evaluation.leaves_out_seen):
            log.line(line)
    with log.measure("augmented"):
        split = augment_split(work, experiment, split, log)
    check_evaluation_fields(split.train, experiment.evaluation.category, experiment.evaluation.group)
    if experiment.features.placebo:
        log.line("features: placebo, every item has the fields of another one; a control, not for serving")
        split = exchange_texts(split)
    with log.measure("encoded"):
        split = extract_features(work, experiment, split, log)
    fitting, choosing = validation_halves(split, log)
    fitted = fit_recommenders(work, experiment, fitting, log)
    evaluated = evaluate_recommenders(work, experiment, choosing, fitted, log)
    best = next(iter(evaluated))
    curve = learning_curve(work, experiment, fitting, choosing, evaluated, log)
    refitted = {}
    if experiment.evaluation.refit:
        learnt = sample_users(dataset, experiment.train_users, experiment.seed)
        refitted = refit_recommender(work, learnt, split, best, fitted[best], log)
    index_items(work, experiment.output.search, split.train, fitted, refitted, log)
    if experiment.output.pictures is not None:
        with log.measure("pictures"):
            keep_pictures(work, experiment.output.pictures, dataset, log)
    with log.measure("reported"):
        write_output(work, experiment, dataset, split, fitted, evaluated, log, refitted=refitted, curve=curve)
    work.finish(best_first=list(evaluated), refitted=list(refitted))


def preprocess(work: Workspace, experiment: Experiment, log: Log) -> Dataset:
    """Step 1: read, clean and number the interactions.

    Args:
        work: The workspace of the run, begun.
        experiment: The config.
        log: Where progress is shown.

    Returns:
        All interactions.
    """

    def make() -> tuple[Dataset, dict[str, Any]]:
        log.line("preprocessing: reading and cleaning")
        dataset, report = read_and_clean(experiment.data, experiment.engine, experiment.cleaning, log=log)
        for line in report.lines():
            log.line(f"  {line}")
        return dataset, report.as_dict()

    return keep_dataset(work, dataset_key(experiment), make)


def augment_split(work: Workspace, experiment: Experiment, split: Split, log: Log) -> Split:
    """Step 2, first half: add the texts of a language model to the tables of users and items.

    Args:
        work: The workspace of the run.
        experiment: The config.
        split: The parts of the interactions.
        log: Where progress is shown.

    Returns:
        The parts with the texts; the parts as they are where the config has no augmentation.
    """
    options, llm = experiment.augmentation, experiment.llm
    if options is None or llm is None:
        return split
    sources = llm.provider.fingerprint, options.fingerprint()
    key = key_of("augmentation", __version__, work.key_of("dataset"), to_dict(experiment.split), sources)
    if not work.reuse("augmentation", key):
        augmented = augment(split.train, llm.open(), options, log=log)
        with work.publish("augmentation", work.key_with_failures(key, augmented.unanswered)) as folder:
            write_augmented(folder, augmented)
    return read_augmented(work.folder / "augmentation").apply_split(split)


def extract_features(work: Workspace, experiment: Experiment, split: Split, log: Log) -> Split:
    """Step 2, second half: encode texts as vectors; texts of users come from the train part only.

    An encoder that both sides name alike is fitted on the items only, so that their vectors are in one space.

    Args:
        work: The workspace of the run.
        experiment: The config.
        split: The parts of the interactions.
        log: Where progress is shown.

    Returns:
        The parts with the vectors of items and users.
    """
    items, users = experiment.features.items, experiment.features.users
    placebo = ["placebo"] * experiment.features.placebo
    sides: dict[str, Features] = {}
    if items is not None:
        sources = to_dict(items), declared(items), items.file_digests(), synthetic_digest(split.train.items, ENCODED)
        key = key_of("features/items", work.key_of("dataset"), *sources, *placebo)
        encode = partial(item_features, exchange_ids(split.train) if placebo else split.train, log=log)
        sides["items"] = keep_features(work, "items", key, items, encode, log)
    if users is not None:
        shared = items is not None and to_dict(users) == to_dict(items)
        sources = to_dict(users), declared(users), users.file_digests(), synthetic_digest(split.train.users, ENCODED)
        space = work.key_of("features/items") if shared else ""
        key = key_of("features/users", work.key_of("dataset"), to_dict(experiment.split), *sources, space, *placebo)
        encoder = type(users).load(work.folder / "features" / "items" / "encoder") if shared else users
        encode = partial(user_features, split.train, fit=not shared, log=log)
        sides["users"] = keep_features(work, "users", key, encoder, encode, log)
    return split.with_features(**sides)
