"""The six steps in order: the architecture tour. Each step is one short function of plain values.

    files -> preprocessing -> features -> recommenders (training) -> evaluation -> output

A step whose inputs have not changed is read back, not redone.
"""

from __future__ import annotations

import dataclasses
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genre import storage
from genre.config.diagram import mermaid
from genre.config.experiment import Experiment
from genre.config.reading import Config, read_config
from genre.config.writing import to_dict
from genre.data.dataset import Dataset, Features
from genre.data.folds import Split
from genre.data.parquet import read_dataset, write_dataset
from genre.errors import UnknownId
from genre.evaluation.comparison import pairwise_p_values
from genre.evaluation.evaluator import evaluate
from genre.evaluation.leaderboard import leaderboard, primary, rank_key
from genre.evaluation.report import write_report
from genre.evaluation.results import Evaluation, read_evaluation, write_evaluation
from genre.evaluation.targets import check_evaluation_fields
from genre.features.augmentation import ENCODED, augment, read_augmented, synthetic_digest, write_augmented
from genre.features.base import Encoder, item_features, user_features
from genre.kinds import declared
from genre.log import SILENT, Log
from genre.preprocessing.prepare import prepare
from genre.recommenders.base import Recommender
from genre.recommenders.llm_reranker import describe_reranking, reranking_counts
from genre.recommenders.network_base import check_devices, start_manifests
from genre.recommenders.wording import Wording
from genre.runs import Run, read_run
from genre.version import __version__
from genre.workspace import Workspace, key_of, locked, read_features, write_features

SEARCH = "tuning.json"
"""What `tune` found, beside the config it wrote and in the run of that config; an empty list in other runs."""
ACCOUNT = "language_model.json"
"""What a language model did to the lists of an evaluation; empty where none was asked."""
Judged = dict[str, tuple[Evaluation, Evaluation]]  # recommender -> (validation, test), best on validation first


def run(
    config: str | Path | Config,
    *,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    log: Log = SILENT,
) -> Run:
    """Do every step of a config that is not done yet, write the run's folder and read it back.

    Raises ConfigError for a config that is not legal, DataError for data that is not, and what a step raises.
    Killed at any moment, it leaves a folder that does not load and that the next call completes.
    """
    checked = config if isinstance(config, Config) else read_config(config, overrides)
    search = _search_of(config)
    work = workspace(checked, runs, search)
    with locked(work.folder):
        if work.finished():
            log.line(f"Nothing to do: {work.folder} is up to date.")
            return read_run(work.folder)
        for recommender in checked.experiment.recommenders:
            check_devices(recommender)
        work.begin(checked)
        storage.write_json(work.folder / SEARCH, search)
        log = log.also(work.folder / "log.jsonl")
        started = time.perf_counter()
        dataset = preprocess(work, checked.experiment, log)
        try:
            [dataset.user_ids.row(user) for user in checked.experiment.output.users]
        except UnknownId as error:
            raise UnknownId(f"output.users: {error}") from None
        learn(work, checked.experiment, dataset, started, log)
    if work.unanswered:
        log.line(f"{work.unanswered:,} questions to a language model failed; the same command asks them again.")
    done = ", ".join(work.made) or "nothing"
    log.line(f"Made: {done}. The rest was read back." if work.reused else f"Made: {done}.")
    return read_run(work.folder)


def workspace(checked: Config, runs: str | Path, search: Sequence[dict[str, Any]] = ()) -> Workspace:
    """The folder that the run of a config has, finished or not."""
    experiment = checked.experiment
    asked = "" if experiment.augmentation is None else experiment.augmentation.fingerprint()
    begun = [start for recommender in experiment.recommenders for start in start_manifests(recommender)]
    told = to_dict(experiment), declared(experiment), experiment.data.fingerprint(), asked, *begun, *search
    key = key_of(__version__, *told)
    return Workspace(Path(runs) / f"{experiment.name}-{key[:8]}", key)


def _search_of(config: str | Path | Config) -> list[dict[str, Any]]:
    """What `tune` found when it wrote this config; nothing for any other."""
    beside = None if isinstance(config, Config) else Path(config).with_name(SEARCH)
    return storage.read_json(beside) if beside is not None and beside.is_file() else []


def learn(work: Workspace, experiment: Experiment, dataset: Dataset, started: float, log: Log) -> None:
    """Steps 2 to 6: from the data to a finished run."""
    experiment = experiment.with_budgets_of(work.key_of("dataset"))
    split = augment_split(work, experiment, experiment.split.split(dataset), log)
    check_evaluation_fields(split.train, experiment.evaluation.category, experiment.evaluation.group)
    split = extract_features(work, experiment, split, log)
    fitted = fit(work, experiment, split, log)
    judged = judge(work, experiment, split, fitted, log)
    write_output(work, experiment, dataset, split, judged, fitted, time.perf_counter() - started, log)
    work.finish(best_first=list(judged))


def remake(folder: Path, dataset: Dataset, place: Path, *, news: str, log: Log = SILENT) -> None:
    """Make the run in `folder` again on other data, as a whole run in `place`; what stands in `folder` stays.

    news: a line about what is new in the data. Killed at any moment, it goes on from the last finished step when it is
    called again.
    """
    checked = read_config(folder / "config.full.yaml")
    checked = dataclasses.replace(checked, text=(folder / "config.yaml").read_text("utf-8"))
    cleaning = storage.read_json(folder / "dataset" / "cleaning.json")
    cleaning["facts"] = [*cleaning["facts"], news]
    work, started = Workspace(place, storage.read_manifest(folder)["key"]), time.perf_counter()
    work.begin(checked)
    storage.write_json(place / SEARCH, storage.read_json(folder / SEARCH))
    log = log.also(place / "log.jsonl")
    key = key_of("dataset", __version__, dataset.fingerprint())
    learn(work, checked.experiment, keep_dataset(work, key, lambda: (dataset, cleaning)), started, log)


def preprocess(work: Workspace, experiment: Experiment, log: Log) -> Dataset:
    """Step 1: read, clean, convert."""
    key = key_of("dataset", __version__, experiment.data.fingerprint(), to_dict(experiment.cleaning))

    def make() -> tuple[Dataset, dict[str, Any]]:
        log.line("preprocessing: reading and cleaning")
        dataset, report = prepare(experiment.data.load(log=log), experiment.cleaning)
        for line in report.lines():
            log.line(f"  {line}")
        return dataset, report.as_dict()

    return keep_dataset(work, key, make)


def keep_dataset(work: Workspace, key: str, make: Callable[[], tuple[Dataset, dict[str, Any]]]) -> Dataset:
    """The run's dataset and the report of its cleaning, made where they are not there yet; read back."""
    if not work.reuse("dataset", key):
        with work.publish("dataset", key) as folder:
            dataset, cleaning = make()
            write_dataset(dataset, folder / "tables")
            storage.write_json(folder / "cleaning.json", cleaning)
    return read_dataset(work.folder / "dataset" / "tables")


def augment_split(work: Workspace, experiment: Experiment, split: Split, log: Log) -> Split:
    """Step 2, first half: texts of a language model join the tables, where the config asks for them."""
    options, llm = experiment.augmentation, experiment.llm
    if options is None or llm is None:
        return split
    asked = llm.provider.fingerprint, options.fingerprint()
    key = key_of("augmentation", __version__, work.key_of("dataset"), to_dict(experiment.split), asked)
    if not work.reuse("augmentation", key):
        made = augment(split.train, llm.open(), options, log=log)
        with work.publish("augmentation", work.key_with_failures(key, made.failed)) as folder:
            write_augmented(folder, made)
    return read_augmented(work.folder / "augmentation").apply_split(split)


def extract_features(work: Workspace, experiment: Experiment, split: Split, log: Log) -> Split:
    """Step 2: text becomes vectors; what is said of users comes from the train part only.

    The same encoder on both sides is fitted on the items alone: its vectors of users and items are of one space.
    """
    items, users = experiment.features.items, experiment.features.users
    sides: dict[str, Features] = {}
    if items is not None:
        key = key_of("features/items", work.key_of("dataset"), to_dict(items), declared(items), _texts(split, "items"))
        encode = partial(item_features, split.train, log=log)
        sides["items"] = _keep_features(work, "items", key, items, encode, log)
    if users is not None:
        shared = items is not None and to_dict(users) == to_dict(items)
        made_of = (
            to_dict(users),
            declared(users),
            _texts(split, "users"),
            work.key_of("features/items") if shared else "",
        )
        key = key_of("features/users", work.key_of("dataset"), to_dict(experiment.split), *made_of)
        encoder = type(users).load(work.folder / "features" / "items" / "encoder") if shared else users
        encode = partial(user_features, split.train, fit=not shared, log=log)
        sides["users"] = _keep_features(work, "users", key, encoder, encode, log)
    return split.with_features(**sides)


def _texts(split: Split, side: str) -> str:
    """What encoders read of what a language model wrote."""
    return synthetic_digest(getattr(split.train, side), ENCODED)


def _keep_features(
    work: Workspace, side: str, key: str, encoder: Encoder, encode: Callable[[Encoder], Features], log: Log
) -> Features:
    """The vectors of one side and their encoder, made where they are not there yet; read back."""
    name = f"features/{side}"
    if not work.reuse(name, key):
        log.line(f"features: vectors of {side}")
        with work.publish(name, key) as folder:
            write_features(folder, encode(encoder))
            encoder.save(folder / "encoder")
    return read_features(work.folder / name)


def fit(work: Workspace, experiment: Experiment, split: Split, log: Log) -> dict[str, Recommender]:
    """Steps 3 and 4: each recommender learns from the train part."""
    fitted: dict[str, Recommender] = {}
    for label, recommender in experiment.named().items():
        name = f"recommenders/{label}"
        key = recommender_key(work, experiment, recommender, split)
        if not work.reuse(name, key):
            log.line(f"training: {label}")
            place = work.scratch(name)
            own = log.also(place / "log.jsonl")
            cpu, wall = time.process_time(), time.perf_counter()
            recommender.fit(split.train, validation=split.validation, checkpoint=place / "checkpoint", log=own)
            own.record(
                "fitted",
                model=label,
                cpu_seconds=round(time.process_time() - cpu, 3),
                seconds=round(time.perf_counter() - wall, 3),
                peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            )
            account = _reordered(recommender, label, own)  # of members whose weights were fitted
            with work.publish(name, work.key_with_failures(key, account.get("failed", 0))) as folder:
                recommender.save(folder / "model")
                shutil.copy(place / "log.jsonl", folder)
        fitted[label] = type(recommender).load(work.folder / name / "model")
    return fitted


def _reordered(recommender: Recommender, label: str, log: Log) -> dict[str, Any]:
    """What language models have done to its lists since it was made or loaded; empty where none could."""
    account = reranking_counts(recommender)
    if any(count for name, count in account.items() if name != "trouble"):
        log.line(f"  language model: {describe_reranking(account)}")
        log.record("reranked", recommender=label, **account)
    return account


def recommender_key(work: Workspace, experiment: Experiment, recommender: Recommender, split: Split) -> str:
    """All that a fitted recommender depends on."""
    features = [work.key_of(f"features/{side}") for side in ("items", "users")]
    texts = synthetic_digest(split.train.items), synthetic_digest(split.train.users)
    made = to_dict(recommender), declared(recommender)
    return key_of(
        work.key_of("dataset"), to_dict(experiment.split), features, texts, made, *start_manifests(recommender)
    )


def judge(work: Workspace, experiment: Experiment, split: Split, fitted: dict[str, Recommender], log: Log) -> Judged:
    """Step 5: the same questions to everybody. The validation part ranks them, the test part reports."""
    options = experiment.evaluation
    judged: Judged = {}
    for label, recommender in fitted.items():
        name = f"evaluations/{label}"
        key = key_of(name, work.key_of(f"recommenders/{label}"), to_dict(options))
        if not work.reuse(name, key):
            log.line(f"evaluation: {label}")
            results = {
                part: evaluate(
                    recommender,
                    getattr(split, part),
                    k=options.k,
                    metrics=options.metrics,
                    exclude_seen=options.exclude_seen,
                    category=options.category,
                    group=options.group,
                    train=split.train,
                    name=label,
                    log=log,
                )
                for part in ("validation", "test")
            }
            account = _reordered(recommender, label, log)
            with work.publish(name, work.key_with_failures(key, account.get("failed", 0))) as folder:
                storage.write_json(folder / ACCOUNT, account)
                for part, result in results.items():
                    (folder / part).mkdir()
                    write_evaluation(folder / part, result)
        folder = work.folder / name
        judged[label] = (read_evaluation(folder / "validation"), read_evaluation(folder / "test"))
    by = primary([validation for validation, _ in judged.values()])
    return dict(sorted(judged.items(), key=lambda entry: rank_key(entry[1][0].values[by], by)))


def write_output(
    work: Workspace,
    experiment: Experiment,
    dataset: Dataset,
    split: Split,
    judged: Judged,
    fitted: dict[str, Recommender],
    seconds: float,
    log: Log,
) -> None:
    """Step 6: the report, for machines and for people, with recommendations and their reasons."""
    tests = {name: _with_cost(test, work, name) for name, (_, test) in judged.items()}
    label = primary(list(tests.values()))
    ranked = {name: fitted[name] for name in judged}
    shown = Run(work.folder, experiment.name, dataset, ranked, wording=experiment.output.explanations)
    examples = [shown.example(user, k=experiment.output.k) for user in shown_users(experiment, dataset, split)]
    work.unanswered += shown.wording.counts["failed"] if shown.wording else 0
    report: dict[str, Any] = {
        "name": experiment.name,
        "genre": __version__,
        "seconds": round(seconds, 1),
        "data": {
            "name": dataset.name,
            "users": dataset.n_users,
            "items": dataset.n_items,
            "interactions": len(dataset),
            "train": len(split.train),
            "validation": len(split.validation.target),
            "test": len(split.test.target),
            "cleaning": storage.read_json(work.folder / "dataset" / "cleaning.json"),
        },
        "best": next(iter(judged)),
        "primary": label,
        "leaderboard": leaderboard(list(tests.values()), label),
        "significance": _significance(tests, label),
        "tuning": storage.read_json(work.folder / SEARCH),
        "training": {name: work.entries(f"recommenders/{name}") for name in judged},
        "language_model": _language_model(work, judged, shown.wording),
        "examples": examples,
    }
    storage.write_json(work.folder / "report.json", report)
    full = (work.folder / "config.full.yaml").read_text("utf-8")
    write_report(work.folder / "report.html", report, tests, diagram=mermaid(experiment), config=full, log=log)


def _language_model(work: Workspace, judged: Judged, wording: Wording | None) -> dict[str, Any]:
    """How its answers turned out: by step of the augmentation, by recommender that it reorders, and in reasons."""
    place = work.folder / "augmentation"
    made = read_augmented(place).reports if work.key_of("augmentation") else {}
    accounts = {name: storage.read_json(work.folder / "evaluations" / name / ACCOUNT) for name in judged}
    return {
        "augmentation": {step: dataclasses.asdict(report) for step, report in made.items()},
        "reranking": {name: account for name, account in accounts.items() if account},
        "explanations": dict(wording.counts) if wording else {},
    }


def _significance(tests: dict[str, Evaluation], label: str) -> dict[str, Any]:
    """p of every pair by the metric that ranks, of those that have it for each user."""
    having = {name: found for name, found in tests.items() if label in found.per_user}
    return {"label": label, "names": list(having), "p": pairwise_p_values(list(having.values()), label).tolist()}


def _with_cost(evaluation: Evaluation, work: Workspace, label: str) -> Evaluation:
    """What the evaluation measured, and what learning cost."""
    entries = work.entries(f"recommenders/{label}")
    learning = next(entry for entry in entries if entry["event"] == "fitted")
    folder = work.folder / "recommenders" / label / "model"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return evaluation.with_cost(fit_cpu_s=learning["cpu_seconds"], peak_mib=learning["peak_mib"], bytes_on_disk=size)


def shown_users(experiment: Experiment, dataset: Dataset, split: Split) -> list[int]:
    """Row numbers of the users whose recommendations a run shows: those asked for that have not been erased since."""
    asked = [dataset.user_ids.row(user) for user in experiment.output.users if user in dataset.user_ids]
    return asked or _typical_users(dataset, split)


def _typical_users(dataset: Dataset, split: Split, n: int = 3) -> list[int]:
    """Users of the test part with a short, a middling and a long history, counted over all the data."""
    users = np.unique(split.test.target.user)
    lengths = np.bincount(dataset.user, minlength=dataset.n_users)[users]
    by_length = users[np.argsort(lengths, kind="stable")]
    places = np.linspace(0, len(by_length) - 1, 2 * n + 1).astype(int)[1::2]
    return [int(user) for user in by_length[places]]
