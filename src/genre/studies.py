"""What is asked of configs and finished runs: tune, audit, compare, and what a language model costs and adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genre import storage
from genre.config.reading import read_config
from genre.config.writing import to_dict, to_yaml
from genre.data.parquet import read_dataset
from genre.errors import ArtifactError, ConfigError, EvaluationError, UnknownId
from genre.evaluation.comparison import Comparison, compare, correct_over_recommenders
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.metric_table import labels
from genre.evaluation.results import read_evaluation
from genre.evaluation.targets import check_evaluation_fields
from genre.features.augmentation import check_provenance, plan, read_augmented
from genre.log import SILENT, Log
from genre.options import nearest, search_space, type_hints
from genre.pipeline import SEARCH, augment_split, extract_features, preprocess, run, shown_users, workspace
from genre.recommenders.llm_reranker import rerankers
from genre.runs import facts_of, read_run
from genre.workspace import Workspace, locked

if TYPE_CHECKING:
    from genre.evaluation.tuning import TuningResult
    from genre.evaluation.uplift import Uplift
    from genre.llm.budget import Plan
    from genre.llm.ledger_table import Exchange


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

    Returns what was found and the path of a config with the best options; its run shows the search in the report. What
    the config says is tried first. A search that was stopped goes on where it was; options without a range stay.
    """
    from genre.evaluation.tuning import tune

    checked = read_config(config, overrides)
    experiment = checked.experiment
    work = Workspace(Path(runs) / f"{experiment.name}-tuning", "")
    with locked(work.folder):
        work.begin(checked)
        split = experiment.split.split(preprocess(work, experiment, log))
        split = augment_split(work, experiment.with_budgets_of(work.key_of("dataset")), split, log)
        check_evaluation_fields(split.train, experiment.evaluation.category, experiment.evaluation.group)
        split = extract_features(work, experiment, split, log)
        results = []
        for label, recommender in experiment.named().items():
            ranged = search_space(type(recommender))
            if not ranged:
                log.line(f"tuning: {label} has no option with a range")
                continue
            log.line(f"tuning: {label}")
            given = {o: v for o, v in vars(recommender).items() if o in type_hints(type(recommender))}
            metric = next(iter(labels(experiment.evaluation.metrics[:1], [experiment.evaluation.k])))
            results.append(
                tune(
                    type(recommender),
                    split,
                    fixed={o: v for o, v in given.items() if o not in ranged},
                    start={o: v for o, v in given.items() if o in ranged},
                    metric=metric,
                    trials=trials,
                    minutes=minutes,
                    storage=work.folder / "tuning.sqlite",
                    name=label,
                    exclude_seen=experiment.evaluation.exclude_seen,
                    category=experiment.evaluation.category,
                    group=experiment.evaluation.group,
                    seed=experiment.seed,
                    log=log,
                )
            )
    best = {found.name: found.options for found in results}
    full = dict(checked.full)
    full["recommenders"] = [
        entry | to_dict(best.get(label, {}))
        for entry, label in zip(full["recommenders"], experiment.labels, strict=True)
    ]
    storage.write_json(work.folder / SEARCH, [found.as_dict() for found in results])
    tuned = work.folder / "tuned.yaml"
    tuned.write_text(to_yaml(full), encoding="utf-8")
    return results, tuned


def audit_run(folder: str | Path) -> list[Finding]:
    """Look for leaks between the parts that a finished run was judged on; errors first."""
    from genre.evaluation.leakage.audit import audit, time_order_of

    done = read_run(folder)
    splitter = read_config(done.folder / "config.full.yaml").experiment.split
    split = splitter.split(done.dataset)
    knowing = [
        Finding("synthetic texts", "error", problem, "augmentation", "make the run again")
        for problem in check_provenance(done.dataset, split.train)
    ]
    return knowing + audit(split, order=time_order_of(splitter), recommenders=done.recommenders)


def plan_augmentation(
    config: str | Path, *, overrides: Sequence[str] = (), runs: str | Path = "runs", log: Log = SILENT
) -> dict[str, Plan]:
    """What a language model would be asked by the run of a config, or by a run made again; asks nobody.

    Step by step of the augmentation, recommender by recommender that it reorders, and its sentences. What is read of
    the data on the way stays where the run goes on from. Raises ConfigError where nothing is asked.
    """
    from genre.llm.budget import Plan

    folder = Path(config)
    of_run = (folder / "config.full.yaml").is_file()
    checked = read_config(folder / "config.full.yaml" if of_run else config, overrides)
    stages = [stage for one in checked.experiment.recommenders for stage in rerankers(one)]
    speaks = checked.experiment.output.explanations is not None
    if checked.experiment.augmentation is None and not stages and not speaks:
        raise ConfigError(f"{config}: asks no language model; add the sections llm and augmentation")
    work = Workspace(folder, storage.read_manifest(folder)["key"]) if of_run else workspace(checked, runs)
    with locked(work.folder):
        if work.finished() and not (of_run and overrides):
            return _asked_before(work.folder)
        if of_run:
            dataset, data_key = (
                read_dataset(folder / "dataset" / "tables"),
                storage.read_manifest(folder / "dataset")["key"],
            )
        else:
            work.begin(checked)
            dataset = preprocess(work, checked.experiment, log)
            data_key = work.key_of("dataset")
    experiment = checked.experiment.with_budgets_of(data_key)
    split = experiment.split.split(dataset)
    plans: dict[str, Plan] = {}
    if experiment.augmentation is not None and experiment.llm is not None:
        plans = plan(split.train, experiment.llm.open(), experiment.augmentation)
    shown = shown_users(experiment, dataset, split)
    histories = [fold.context.history(np.unique(fold.target.user)) for fold in (split.validation, split.test)]
    for label, recommender in experiment.named().items():
        if own := rerankers(recommender):
            costs = (stage.plan(dataset.items, [*histories, dataset.history(shown)]) for stage in own)
            plans[f"reranking by {label}"] = sum(costs, Plan())
    if (speaker := experiment.output.explanations) is not None:
        plans["explanations"] = speaker.plan(dataset.items, len(shown) * experiment.output.k)
    return plans


def _asked_before(folder: Path) -> dict[str, Plan]:
    """The plan of a finished run: nothing is left to ask."""
    from genre.llm.budget import Plan
    from genre.llm.typed_answers import AnswerReport

    said = storage.read_json(folder / "report.json")["language_model"]
    counts = {step: AnswerReport.from_json(report).questions for step, report in said["augmentation"].items()}
    counts |= {f"reranking by {label}": account.get("reordered", 0) for label, account in said["reranking"].items()}
    if tally := said["explanations"]:
        counts["explanations"] = sum(tally.get(name, 0) for name in ("model", "rejected", "unreadable"))
    return {name: Plan(questions=count, cached=count) for name, count in counts.items()}


def exchanges_of(
    source: str | Path | None, *, last: int = 20, outcome: str | None = None, number: int | None = None
) -> list[Exchange]:
    """The newest exchanges of a run, a config or a ledger file; None: of the ledger shared by all runs.

    outcome: only those that ended so or were judged so, such as failed or quarantined. number: the one with this id
    alone; UnknownId where there is none.
    """
    from genre.llm.ledger_table import default_path, read_log

    path = default_path() if source is None else Path(source)
    full, job = path / "config.full.yaml", None
    if full.is_file() or path.suffix in (".yaml", ".yml"):
        experiment = read_config(full if full.is_file() else path).experiment
        if experiment.llm is None:
            raise ConfigError(f"{path}: asks no language model; it has no section llm")
        path, job = experiment.llm.ledger_path(), experiment.llm.job
    elif source is not None and not path.is_file():
        raise ArtifactError(f"{path}: no such run, config or ledger file")
    found = read_log(path, last=last, job=job, outcome=outcome, number=number)
    if number is not None and not found:
        raise UnknownId(f"no exchange {number} in {path}; `genre llm log` lists them")
    return found


def judge_uplift(
    config: str | Path,
    *,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    using: str | None = None,
    log: Log = SILENT,
) -> Uplift:
    """Whether what a language model added to a run helped: arm by arm beside placebos, on the test part.

    config: a finished run, or a config, whose run is made first where it is not there. using: the recommender that
    every arm fits; None: the first of the config. Raises ConfigError where the config asks for no texts,
    EvaluationError where none was usable.
    """
    from genre.evaluation.arms import build_arms, stage_weights, without_second_stages
    from genre.evaluation.uplift import arm_costs, evaluate_arms, uplift

    given = Path(config)
    checked = read_config(given / "config.full.yaml" if given.is_dir() else config, () if given.is_dir() else overrides)
    experiment = checked.experiment
    options, encoder = experiment.augmentation, experiment.features.items
    if options is None or encoder is None:
        raise ConfigError(f"{config}: uplift needs the sections llm, augmentation and features.items")
    named = experiment.named()
    name = next(iter(named)) if using is None else using
    if name not in named:
        raise ConfigError(f"no recommender {name!r}{nearest(name, named)}; the config has {', '.join(named)}")
    folder = given if given.is_dir() else run(config, overrides=overrides, runs=runs, log=log).folder
    storage.read_manifest(folder)
    made = read_augmented(folder / "augmentation")
    conditions = build_arms(
        experiment.split.split(read_dataset(folder / "dataset" / "tables")),
        without_second_stages(named[name]),
        encoder,
        made,
        seed=experiment.seed,
        log=log,
        **stage_weights(experiment.recommenders),
    )
    if list(conditions) == ["without"]:
        said = "; ".join(f"{step}: {report}" for step, report in made.reports.items())
        raise EvaluationError(
            f"{folder}: no text of the language model was usable, so there is nothing to judge ({said})"
        )
    evaluation = experiment.evaluation
    metric = evaluation.metrics[0]
    judged = evaluate_arms(
        conditions,
        k=evaluation.k,
        metric=metric,
        exclude_seen=evaluation.exclude_seen,
        category=evaluation.category,
        group=evaluation.group,
        log=log,
    )
    return uplift(
        judged,
        label=next(iter(labels([metric], [evaluation.k]))),
        short=options.short_history,
        seed=experiment.seed,
        **arm_costs(made.reports),
    )


class ComparedRuns(NamedTuple):
    """Two runs by the recommenders that both have. alone: the recommenders of each that the other has not."""

    names: tuple[str, str]
    found: dict[str, list[Comparison]]
    alone: tuple[list[str], list[str]]


def compare_runs(folder: str | Path, other: str | Path) -> ComparedRuns:
    """Paired differences on the test part of each recommender that both runs have: first minus second.

    p is corrected by Holm over the recommenders.
    """
    one, two = Path(folder), Path(other)
    both = []
    for path in (one, two):
        found = {name: read_evaluation(path / "evaluations" / name / "test") for name in facts_of(path)["best_first"]}
        both.append({name: replace(one, name=f"{name} of {path}") for name, one in found.items()})
    shared = [name for name in both[0] if name in both[1]]
    if not shared:
        raise EvaluationError(f"the runs share no recommender: {', '.join(both[0])} and {', '.join(both[1])}")
    apart = one.resolve().name != two.resolve().name
    return ComparedRuns(
        names=(one.resolve().name, two.resolve().name) if apart else (str(one), str(two)),
        found=correct_over_recommenders({name: compare(both[0][name], both[1][name]) for name in shared}),
        alone=([name for name in both[0] if name not in shared], [name for name in both[1] if name not in shared]),
    )
