"""What can be done with whole configs and finished runs: tune, make again, audit, compare, measure the uplift of texts.

Does not know how a step is done; `pipeline.py` does.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from genre import storage
from genre.arrays import Float32
from genre.config.experiment import Experiment
from genre.config.reading import FULL_CONFIG, Config, read_config
from genre.config.writing import to_dict, to_yaml
from genre.data.dataset import Dataset
from genre.data.folds import Split, sample_users
from genre.data.parquet import read_dataset
from genre.errors import ConfigError, EvaluationError
from genre.evaluation.comparison import Comparison, compare, correct_over_recommenders
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.leakage.fitted import Derived
from genre.evaluation.metric_table import labels
from genre.evaluation.results import Evaluation, read_evaluation
from genre.evaluation.targets import check_evaluation_fields
from genre.features.augmented_columns import check_provenance, read_augmented
from genre.features.base import Encoder
from genre.features.concat import Concat
from genre.features.embedding import OTHER_MODEL
from genre.features.users import with_history
from genre.log import SILENT, Log
from genre.options import nearest, search_space, type_hints
from genre.pipeline import augment_split, extract_features, learn, preprocess, run
from genre.recommenders.base import Recommender
from genre.run_folder import manifest_of, read_run
from genre.threads import limit_threads
from genre.version import __version__
from genre.workspace import SEARCH, Workspace, keep_dataset, key_of, locked, read_search

if TYPE_CHECKING:
    from genre.evaluation.rules_cost import RulesCost
    from genre.evaluation.shortcuts import Solvable
    from genre.evaluation.tuning import TuningResult
    from genre.evaluation.uplift import Uplift


def tune_config(
    config: str | Path,
    *,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    trials: int = 30,
    minutes: float | None = None,
    log: Log = SILENT,
) -> tuple[list[TuningResult], Path]:
    """Search the options of every recommender of a config, each with the same budget, on the validation part.

    The options of the config are tried first. A search that was stopped continues where it was; options without a
    search range stay as they are.

    Args:
        config: The path of a YAML file.
        overrides: `dotted.key=value` each.
        runs: The folder of all runs.
        trials: Number of option sets to try for each recommender.
        minutes: Time for each recommender; None: no limit.
        log: Where progress is shown.

    Returns:
        The result of each recommender, and the path of a config with the best options, whose run shows the search in
        its report.
    """
    checked = read_config(config, overrides)
    experiment = checked.experiment
    work = Workspace(Path(runs) / f"{experiment.name}-tuning", "")
    with locked(work.folder), experiment.engine:
        work.begin(checked)
        split = prepare_split(work, experiment, log)
        results = []
        for label, recommender in experiment.named().items():
            if search_space(type(recommender)):
                log.line(f"tuning: {label}")
                results.append(_tune(work, experiment, split, label, recommender, trials, minutes, log))
            else:
                log.line(f"tuning: {label} has no option with a range")
    storage.write_json(work.folder / SEARCH, [result.as_dict() for result in results])
    tuned = work.folder / "tuned.yaml"
    tuned.write_text(_with_best_options(checked, results), encoding="utf-8")
    return results, tuned


def prepare_split(work: Workspace, experiment: Experiment, log: Log) -> Split:
    """Do steps 1 and 2 of a config: read, clean, split, encode.

    Args:
        work: The workspace of the study, begun.
        experiment: The config.
        log: Where progress is shown.

    Returns:
        The parts, with the vectors of items and users, and of the train part what recommenders learn from.
    """
    split = experiment.split.split(preprocess(work, experiment, log))
    split = augment_split(work, experiment.with_budgets_of(work.key_of("dataset")), split, log)
    check_evaluation_fields(split.train, experiment.evaluation.category, experiment.evaluation.group)
    split = extract_features(work, experiment, split, log)
    drawn = sample_users(split.train, experiment.train_users, experiment.seed)
    return dataclasses.replace(split, train=drawn)


def _tune(
    work: Workspace,
    experiment: Experiment,
    split: Split,
    label: str,
    recommender: Recommender,
    trials: int,
    minutes: float | None,
    log: Log,
) -> TuningResult:
    """Search the options of one recommender."""
    from genre.evaluation.tuning import tune

    ranged = search_space(type(recommender))
    given = {name: value for name, value in vars(recommender).items() if name in type_hints(type(recommender))}
    evaluation = experiment.evaluation
    return tune(
        type(recommender),
        split,
        fixed={name: value for name, value in given.items() if name not in ranged},
        start={name: value for name, value in given.items() if name in ranged},
        metric=next(iter(labels(evaluation.metrics[:1], evaluation.k))),
        trials=trials,
        minutes=minutes,
        storage=work.folder / "tuning.sqlite",
        name=label,
        exclude_seen=evaluation.exclude_seen,
        kind=evaluation.kind,
        category=evaluation.category,
        group=evaluation.group,
        seed=experiment.seed,
        log=log,
    )


def _with_best_options(config: Config, results: Sequence[TuningResult]) -> str:
    """Return the YAML of a config with the best options that were found."""
    best = {result.name: to_dict(result.options) for result in results}
    entries = zip(config.full["recommenders"], config.experiment.labels, strict=True)
    return to_yaml({**config.full, "recommenders": [entry | best.get(label, {}) for entry, label in entries]})


def remake(folder: Path, dataset: Dataset, place: Path, *, news: str, trust: bool = False, log: Log = SILENT) -> None:
    """Make a run again on other data, as a whole run in another folder.

    Killed at any moment, it continues from the last finished step when it is called again.

    Args:
        folder: The run to make again; it stays as it is.
        dataset: The data.
        place: The folder of the new run.
        news: A line about what is new in the data, for the report.
        trust: Run code of the folder, as in `read_run`.
        log: Where progress is shown.
    """
    checked = read_config(folder / FULL_CONFIG, trust=trust)
    checked = dataclasses.replace(checked, text=(folder / "config.yaml").read_text("utf-8"))
    cleaning = storage.read_json(folder / "dataset" / "cleaning.json")
    cleaning["facts"] = [*cleaning["facts"], news]
    work = Workspace(place, storage.read_manifest(folder)["key"])
    work.begin(checked, read_search(folder / "config.yaml"))
    key = key_of("dataset", __version__, dataset.fingerprint())
    kept = keep_dataset(work, key, lambda: (dataset, cleaning))
    with limit_threads(checked.experiment.threads), checked.experiment.engine:
        learn(work, checked.experiment, kept, log.also(place / "log.jsonl"))


class Audit(NamedTuple):
    """What an audit found.

    Attributes:
        findings: Leaks and remarks, errors first.
        solvable: What the test can be solved by without a model.
    """

    findings: list[Finding]
    solvable: Solvable


def audit_run(folder: str | Path, *, trust: bool = False) -> Audit:
    """Look for leaks between the parts on which a finished run was evaluated, and for shortcuts of its test.

    Args:
        folder: The folder of the run.
        trust: Run code of the folder, as in `read_run`.

    Returns:
        The findings and the shortcuts.
    """
    from genre.evaluation.enough import check_enough
    from genre.evaluation.leakage.audit import audit, time_order_of
    from genre.evaluation.shortcuts import find_shortcuts, shortcut_findings

    done = read_run(folder, trust=trust, evaluated=True)
    experiment = read_config(done.folder / FULL_CONFIG, trust=trust).experiment
    splitter, exclude_seen = experiment.split, experiment.evaluation.leaves_out_seen
    split = splitter.split(done.unsplit or done.dataset)
    leaking_texts = [
        Finding("synthetic texts", "error", problem, "augmentation", "make the run again")
        for problem in check_provenance(done.dataset, split.train)
    ]
    solvable = find_shortcuts(split.test)
    items, users = (_part_vectors(done.folder, side, split.train) for side in ("items", "users"))
    leaks = audit(
        split,
        order=time_order_of(splitter),
        recommenders=done.recommenders,
        derived=_user_vectors(done.folder, split.train),
        item_vectors=items,
        user_vectors=users,
    )
    unread = _unread_texts(done.folder, split.train)
    leaks = [one for one in leaks if exclude_seen or one.check not in ("validation-repeats", "test-repeats")]
    shortcuts = shortcut_findings(solvable, exclude_seen=exclude_seen)
    return Audit([*leaking_texts, *leaks, *unread, *check_enough(split), *shortcuts], solvable)


def _unread_texts(folder: Path, train: Dataset) -> list[Finding]:
    """Find texts of items that their encoder cannot read."""
    path = folder / "features" / "items" / "encoder"
    encoder = Encoder.load(path) if path.is_dir() else None
    problem = encoder.unread(encoder.texts(train.items)) if encoder is not None else ""
    return [Finding("unread-texts", "warning", problem, "items", OTHER_MODEL)] if problem else []


def audit_rules(folder: str | Path, *, trust: bool = False) -> list[RulesCost]:
    """Measure what the rules of a finished run cost its best recommender on the test part.

    Lists have the first length at which the run was evaluated.

    Args:
        folder: The folder of the run.
        trust: Run code of the folder, as in `read_run`.

    Returns:
        A row without rules, one for each rule, and one for all.

    Raises:
        ConfigError: The run has no rules.
    """
    from genre.evaluation.rules_cost import rules_cost

    done = read_run(folder, trust=trust)
    experiment = read_config(done.folder / FULL_CONFIG, trust=trust).experiment
    if done.rules is None:
        raise ConfigError(f"{folder}: has no rules; add `rules:` to its config and make the run again")
    test, options = experiment.split.split(done.unsplit or done.dataset).test, experiment.evaluation
    return rules_cost(
        done.recommender(),
        test,
        done.rules,
        int(time.time()),
        k=options.first_k,
        exclude_seen=options.exclude_seen,
        seed=experiment.seed,
    )


def _part_vectors(folder: Path, side: str, train: Dataset) -> dict[str, Float32]:
    """Encode one side by each part of an encoder that joins several, so that none hides behind the others."""
    path = folder / "features" / side / "encoder"
    encoder = Encoder.load(path) if path.is_dir() else None
    parts = encoder.parts if isinstance(encoder, Concat) else ()
    table = train.items if side == "items" else with_history(train)
    return {
        f"{side} encoder, part {at}: {type(part).__name__}": part.encode(table).values
        for at, part in enumerate(parts, 1)
    }


def _user_vectors(folder: Path, train: Dataset) -> list[Derived]:
    """Describe the vectors of users, which are computed again from the train part."""
    path = folder / "features" / "users" / "encoder"
    if train.user_features is None or not path.is_dir():
        return []
    encoder = Encoder.load(path)
    return [
        Derived("user features", train.user_features.values, lambda data: encoder.encode(with_history(data)).values)
    ]


class ComparedRuns(NamedTuple):
    """Two runs, compared by the recommenders that both have.

    Attributes:
        names: The names of the runs.
        found: Recommender -> paired differences of its metrics: first run minus second.
        alone: The recommenders of each run that the other does not have.
    """

    names: tuple[str, str]
    found: dict[str, list[Comparison]]
    alone: tuple[list[str], list[str]]


def compare_runs(folder: str | Path, other: str | Path) -> ComparedRuns:
    """Compare two runs on the test part, recommender by recommender.

    Args:
        folder: The first run.
        other: The second run.

    Returns:
        Paired differences, with p-values corrected by Holm over the recommenders.

    Raises:
        EvaluationError: The runs share no recommender.
    """
    paths = Path(folder), Path(other)
    first, second = (test_evaluations(path) for path in paths)
    shared = [name for name in first if name in second]
    if not shared:
        raise EvaluationError(f"the runs share no recommender: {', '.join(first)} and {', '.join(second)}")
    names = paths[0].resolve().name, paths[1].resolve().name
    return ComparedRuns(
        names=names if names[0] != names[1] else (str(folder), str(other)),
        found=correct_over_recommenders({name: compare(first[name], second[name]) for name in shared}),
        alone=([name for name in first if name not in shared], [name for name in second if name not in shared]),
    )


def test_evaluations(folder: Path) -> dict[str, Evaluation]:
    """Read the evaluations of a run on the test part, named after the run too.

    Args:
        folder: The folder of a finished run.

    Returns:
        The evaluations by label, best on the validation part first.
    """
    evaluations = {
        label: read_evaluation(folder / "evaluations" / label / "test") for label in manifest_of(folder)["best_first"]
    }
    return {label: dataclasses.replace(each, name=f"{label} of {folder}") for label, each in evaluations.items()}


def measure_uplift(
    config: str | Path,
    *,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    using: str | None = None,
    log: Log = SILENT,
) -> Uplift:
    """Measure whether the texts of a language model improve a run: arm by arm beside placebos, on the test part.

    Args:
        config: A finished run, or a config, whose run is made first where it is not there.
        overrides: `dotted.key=value` each; of a config only.
        runs: The folder of all runs.
        using: The recommender that every arm fits; None: the first of the config.
        log: Where progress is shown.

    Returns:
        The gain of each arm over the arm without texts.

    Raises:
        ConfigError: The config has no augmentation, or no such recommender.
        EvaluationError: No text of the language model was usable.
    """
    from genre.evaluation.arms import ARM_STEPS, build_arms, stage_weights, without_second_stages
    from genre.evaluation.uplift import arm_costs, evaluate_arms, uplift

    given = Path(config)
    checked = read_config(given / FULL_CONFIG if given.is_dir() else config, () if given.is_dir() else overrides)
    experiment, evaluation = checked.experiment, checked.experiment.evaluation
    options, encoder = experiment.augmentation, experiment.features.items
    if options is None or encoder is None:
        raise ConfigError(f"{config}: uplift needs the sections llm, augmentation and features.items")
    recommender = _named_recommender(experiment, using)
    folder = given if given.is_dir() else run(config, overrides=overrides, runs=runs, log=log).folder
    storage.read_manifest(folder)
    augmented = read_augmented(folder / "augmentation")
    split = experiment.split.split(read_dataset(folder / "dataset" / "tables"))
    weights = stage_weights(experiment.recommenders)
    arms = build_arms(
        split, without_second_stages(recommender), encoder, augmented, seed=experiment.seed, log=log, **weights
    )
    if list(arms) == ["without"]:
        reports = "; ".join(f"{step}: {report}" for step, report in augmented.reports.items())
        raise EvaluationError(f"{folder}: no text of the language model was usable, so no arm has any ({reports})")
    for name, step in ARM_STEPS.items():
        if step in augmented.reports and name not in arms:
            log.line(f"uplift: no arm {name}: {augmented.reports[step]}, and none can be used")
    evaluations = evaluate_arms(
        arms,
        k=evaluation.first_k,
        metric=evaluation.metrics[0],
        kind=evaluation.kind,
        exclude_seen=evaluation.exclude_seen,
        category=evaluation.category,
        group=evaluation.group,
        log=log,
    )
    label = next(iter(labels(evaluation.metrics[:1], evaluation.k)))
    costs = arm_costs(augmented.reports)
    return uplift(evaluations, label=label, short=options.short_history, seed=experiment.seed, **costs)


def _named_recommender(experiment: Experiment, name: str | None) -> Recommender:
    """Return the recommender with this label; without a label, the first."""
    named = experiment.named()
    if name is None:
        return experiment.recommenders[0]
    if name not in named:
        raise ConfigError(f"no recommender {name!r}{nearest(name, named)}; the config has {', '.join(named)}")
    return named[name]
