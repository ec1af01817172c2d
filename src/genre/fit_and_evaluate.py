"""Steps 3 to 5 of a run, between the vectors and the report: fit recommenders, evaluate them, fit the best one again.

A step whose inputs have not changed is read back, not done again. Does not know how the data was made ready.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from genre import storage
from genre.config.experiment import EvaluationOptions, Experiment
from genre.config.writing import to_dict
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split, sample_users
from genre.evaluation.evaluator import evaluate
from genre.evaluation.leaderboard import primary, rank_key
from genre.evaluation.results import read_evaluation, write_evaluation
from genre.features.augmented_columns import read_augmented, synthetic_digest
from genre.kinds import declared
from genre.log import Log
from genre.output import RERANKING, Evaluated
from genre.recommenders.base import Recommender, within
from genre.recommenders.item_index import EXACT_UP_TO, RECALL_K, ItemIndex, can_index
from genre.recommenders.llm_reranker import record_reranking
from genre.recommenders.network_base import start_manifests
from genre.recommenders.reusing import HeldOut, Reusable, fit_key, fit_reusing, inside
from genre.workspace import (
    Fitted,
    Workspace,
    key_of,
)

CURVE = "curve.json"
"""The file with the points of a learning curve."""
INDEX_QUERIES = 200
"""Histories that an index is measured with."""
FEWEST_TO_HALVE = 1000
"""Users of a validation part that is halved: one half fits weights and epochs, the other chooses a recommender."""


def validation_halves(split: Split, log: Log) -> tuple[Split, Split]:
    """Give one half of the validation users to the fitting of weights and epochs, the other to the choice.

    A blend whose weights were fitted on the users that it is then chosen by looks better than it is.

    Args:
        split: The parts of the interactions.
        log: Where the numbers are shown.

    Returns:
        The parts with the first half, and with the second; both with all users where they are fewer than
        `FEWEST_TO_HALVE`, of which a half would decide little.
    """
    n_users = len(split.validation.users())
    if n_users < FEWEST_TO_HALVE:
        return split, split
    first, second = split.validation.halves()
    log.line(f"validation: {n_users // 2:,} users for weights and epochs, {n_users - n_users // 2:,} to choose by")
    return replace(split, validation=first), replace(split, validation=second)


def fit_recommenders(work: Workspace, experiment: Experiment, split: Split, log: Log) -> Fitted:
    """Steps 3 and 4: fit each recommender on the train part; one at a time is in memory.

    Args:
        work: The workspace of the run.
        experiment: The config.
        split: The parts of the interactions.
        log: Where progress is shown.

    Returns:
        The fitted recommenders by label, read from disk when they are needed.
    """
    fitted, options, held_out = Fitted(work), experiment.named(), HeldOut()
    train = sample_users(split.train, experiment.train_users, experiment.seed)
    if train is not split.train:
        every, kept = (len(np.unique(data.user)) for data in (split.train, train))
        log.line(f"training: from {kept:,} of {every:,} users, drawn at random; train_users=null takes all")
    for label, recommender in options.items():
        name, key = f"recommenders/{label}", _recommender_key(work, experiment, recommender, split)
        if not work.reuse(name, key):
            log.line(f"training: {label}")
            scratch = work.scratch(name)
            own = log.also(scratch / "log.jsonl")
            with own.measure("fitted", model=label):
                place = scratch / "checkpoint"
                wanted = {fit_key(one) for one in inside(recommender)}
                holds = (name for name in fitted if wanted & {fit_key(one) for one in inside(options[name])})
                known = [fitted[name] for name in holds]
                made = copy.copy(recommender)  # the config keeps none of what is learnt
                reusable = Reusable(train, known, held_out)
                fit_reusing(made, reusable, train, validation=split.validation, checkpoint=place, log=own)
            reranking = record_reranking(made, label, own)  # of members of a blend, whose weights are fitted
            key = work.key_with_failures(key, reranking.get("failed", 0))
            with log.measure("saved", model=label), work.publish(name, key) as folder:
                made.save(folder / "model")
                shutil.copy(scratch / "log.jsonl", folder)
            del made, known, reusable
        fitted.add(label, type(recommender))
    return fitted


def sampled(fold: Fold, options: EvaluationOptions, log: Log) -> Fold:
    """Draw the users that are evaluated, where a part has more than the config allows.

    Args:
        fold: A part of the split.
        options: How recommenders are evaluated.
        log: Where the number is shown.

    Returns:
        The part, with the targets of these users.
    """
    drawn = fold.sample(options.users, options.seed)
    if drawn is not fold:
        every, kept = len(fold.users()), len(drawn.users())
        log.line(f"evaluation: {kept:,} of {every:,} users, drawn at random; evaluation.users=null takes all")
    return drawn


def _recommender_key(work: Workspace, experiment: Experiment, recommender: Recommender, split: Split) -> str:
    """Compute the key of a fitted recommender from everything that it depends on."""
    features = [work.key_of(f"features/{side}") for side in ("items", "users")]
    texts = synthetic_digest(split.train.items), synthetic_digest(split.train.users)
    options = to_dict(recommender), declared(recommender)
    data = work.key_of("dataset"), to_dict(experiment.split)
    placebo = ["placebo"] * experiment.features.placebo
    drawn = [experiment.train_users, experiment.seed] if experiment.train_users else []
    return key_of(*data, features, texts, options, *start_manifests(recommender), *placebo, *drawn)


def evaluate_recommenders(
    work: Workspace, experiment: Experiment, split: Split, fitted: Fitted, log: Log
) -> dict[str, Evaluated]:
    """Step 5: evaluate each recommender; the validation part orders them, best first, and the test part reports.

    Args:
        work: The workspace of the run.
        experiment: The config.
        split: The parts of the interactions.
        fitted: The recommenders by label.
        log: Where progress is shown.

    Returns:
        The evaluations by label, best first.
    """
    evaluated: dict[str, Evaluated] = {}
    options = to_dict(experiment.evaluation)
    del options["refit"]  # which has no part in what is reported
    how = _how(experiment.evaluation)
    folds = {part: sampled(getattr(split, part), experiment.evaluation, log) for part in Evaluated._fields}
    for label in fitted:
        name = f"evaluations/{label}"
        key = key_of(name, work.key_of(f"recommenders/{label}"), options)
        if not work.reuse(name, key):
            log.line(f"evaluation: {label}")
            with log.measure("evaluated", model=label):
                recommender = fitted[label]
                results = {
                    part: evaluate(recommender, fold, **how, train=split.train, name=label, log=log)
                    for part, fold in folds.items()
                }
            reranking = record_reranking(recommender, label, log)
            with work.publish(name, work.key_with_failures(key, reranking.get("failed", 0))) as folder:
                storage.write_json(folder / RERANKING, reranking)
                for part, result in results.items():
                    (folder / part).mkdir()
                    write_evaluation(folder / part, result)
            del recommender
        evaluated[label] = Evaluated(*(read_evaluation(work.folder / name / part) for part in Evaluated._fields))
    by = primary([each.validation for each in evaluated.values()])
    return dict(sorted(evaluated.items(), key=lambda entry: rank_key(entry[1].validation.values[by], by)))


def _how(options: EvaluationOptions) -> dict[str, Any]:
    """Return the options of `evaluate`."""
    return {name: value for name, value in to_dict(options).items() if name not in ("users", "seed", "refit")}


def learning_curve(
    work: Workspace, experiment: Experiment, split: Split, choosing: Split, evaluated: Mapping[str, Evaluated], log: Log
) -> dict[str, Any]:
    """After step 5, where a sample of users was learnt from: how good is the best recommender with fewer of them?

    Args:
        work: The workspace of the run.
        experiment: The config.
        split: The parts that recommenders learn from.
        choosing: The parts by which they are ordered.
        evaluated: The evaluations by label, best first.
        log: Where progress is shown.

    Returns:
        `name`, `metric`, `every` (number of all users), and `points`: `users`, `value` and `interval` on the validation
        part, for a quarter, a half and all of the sample. Empty where all users were learnt from, and where a language
        model would have to be paid for it.
    """
    label, (best, _) = next(iter(evaluated.items()))
    model, most, every = experiment.named()[label], experiment.train_users, len(np.unique(split.train.user))
    if most is None or every <= most or any(getattr(one, "llm", None) is not None for one in within(model)):
        return {}
    name, metric = f"curves/{label}", primary([best])
    if not work.reuse(name, key := key_of("curve", work.key_of(f"evaluations/{label}"))):
        points, how = [], _how(experiment.evaluation)
        fold = sampled(choosing.validation, experiment.evaluation, log)
        for users in (most // 4, most // 2):
            if not users:
                continue
            with log.measure("curve", model=f"{label}, {users:,} users"):
                train, made = sample_users(split.train, users, experiment.seed), copy.copy(model)
                made.fit(train, validation=split.validation, log=log)
                points.append((users, evaluate(made, fold, **how, train=choosing.train, name=label, log=log)))
        points.append((most, best))
        plain = [
            {"users": users, "value": one.values[metric], "interval": one.intervals.get(metric)}
            for users, one in points
        ]
        with work.publish(name, key) as folder:
            storage.write_json(folder / CURVE, plain)
    return {"name": label, "metric": metric, "every": every, "points": storage.read_json(work.folder / name / CURVE)}


def refit_recommender(
    work: Workspace, dataset: Dataset, split: Split, label: str, evaluated: Recommender, log: Log
) -> dict[str, Recommender]:
    """Between steps 5 and 6: learn a recommender again from all interactions, with what validation chose.

    Args:
        work: The workspace of the run.
        dataset: All interactions.
        split: Their parts, with vectors.
        label: The recommender.
        evaluated: What was fitted on the train part.
        log: Where progress is shown.

    Returns:
        The recommender by its label.
    """
    name, key = f"refitted/{label}", key_of("refit", work.key_of(f"recommenders/{label}"))
    if not work.reuse(name, key):
        log.line(f"refit: {label}, from all interactions")
        with log.measure("refitted", model=label):
            if work.key_of("augmentation"):
                dataset = read_augmented(work.folder / "augmentation").apply(dataset)
            everything = dataset.with_features(items=split.train.item_features, users=split.train.user_features)
            checkpoint = work.scratch(name) / "checkpoint"
            recommender = evaluated.chosen().fit(everything, checkpoint=checkpoint, log=log)
            with work.publish(name, key) as folder:
                recommender.save(folder / "model")
    return {label: type(evaluated).load(work.folder / name / "model")}


def index_items(
    work: Workspace,
    search: Literal["auto", "exact", "approximate"],
    dataset: Dataset,
    fitted: Mapping[str, Recommender],
    refitted: Mapping[str, Recommender],
    log: Log,
) -> None:
    """Between steps 5 and 6: index the item factors of recommenders, so that large catalogues are answered quickly.

    Args:
        work: The workspace of the run.
        search: The option `output.search`.
        dataset: All interactions; histories to measure with are drawn from them.
        fitted: The recommenders by label.
        refitted: Those that answer in place of the fitted ones.
        log: Where the recall is shown.
    """
    if search == "exact" or (search == "auto" and dataset.n_items <= EXACT_UP_TO):
        return
    if search == "auto" and not can_index():
        log.line(f"index: none, so each list compares all {dataset.n_items:,} items; pip install 'genre-rec[index]'")
        return
    users = np.unique(dataset.user[dataset.weight > 0])
    drawn = np.random.default_rng(0).choice(users, min(INDEX_QUERIES, len(users)), replace=False)
    for label in fitted:
        of, name = f"{'refitted' if label in refitted else 'recommenders'}/{label}", f"indexes/{label}"
        if work.reuse(name, key := key_of("index", work.key_of(of))):
            continue
        with log.measure("indexed", model=label):
            recommender = refitted[label] if label in refitted else fitted[label]
            factors = recommender.as_factors(dataset.history(np.sort(drawn)))
            made = None if factors is None else ItemIndex.build(factors[1], factors[0])
        if made is None:
            continue
        if not made.answers:
            log.line(f"index: {label}: recall@{RECALL_K} is {made.recall:.3f} only; its lists compare all items")
            continue
        log.line(f"index: {label}: recall@{RECALL_K} against exact {made.recall:.3f}")
        with work.publish(name, key) as folder:
            made.save(folder)
