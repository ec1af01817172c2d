"""The values of `report.json`: everything that the report of a run shows, as plain JSON values.

Takes finished evaluations and logs; does not know how a run is made or where its files are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.evaluation.comparison import pairwise_p_values
from genre.evaluation.enough import check_enough
from genre.evaluation.leaderboard import compared_by, leaderboard, primary
from genre.evaluation.results import Evaluation
from genre.evaluation.shortcuts import find_shortcuts
from genre.llm.typed_answers import AnswerReport

EXAMPLES = 3  # users whose lists a report shows where the config names none

Entries = Sequence[Mapping[str, Any]]


def assemble_report(
    *,
    name: str,
    version: str,
    seconds: float,
    dataset: Dataset,
    split: Split,
    cleaning: Mapping[str, Any],
    evaluations: Mapping[str, Evaluation],
    refitted: Sequence[str],
    popularity: Sequence[str],
    tuning: Entries,
    training: Mapping[str, Entries],
    curve: Mapping[str, Any],
    augmentation: Mapping[str, AnswerReport],
    reranking: Mapping[str, Mapping[str, Any]],
    explanations: Mapping[str, int],
    examples: Entries,
    steps: Entries,
) -> dict[str, Any]:
    """Put together the values of a report.

    Args:
        name: The name of the experiment.
        version: The version of GENRE.
        seconds: Wall time of the run.
        dataset: All interactions.
        split: Their three parts.
        cleaning: The report of the cleaning, as JSON values.
        evaluations: Recommender -> its evaluation on the test part; the best on the validation part first.
        refitted: Recommenders that were learnt again from all interactions before they answer.
        popularity: Recommenders of popular items, which others are compared with.
        tuning: What `genre tune` found, one entry for each recommender.
        training: Recommender -> the log of its fitting.
        curve: Quality of the best one against the users that it learnt from; empty where they are all users.
        augmentation: Step of the augmentation -> report of the language model's answers.
        reranking: Recommender -> counts of the lists that a language model reordered; empty without a reranker.
        explanations: Counts of the explanations that a language model worded; empty without one.
        examples: Users with their recommendations.
        steps: What each step cost.

    Returns:
        JSON values.
    """
    tests = list(evaluations.values())
    label, best = primary(tests), next(iter(evaluations))
    rows = leaderboard(tests, label)
    shown = {row["name"] for row in compared_by(rows, label, best=best)}
    return {
        "name": name,
        "genre": version,
        "seconds": round(seconds, 1),
        "data": {
            "name": dataset.name,
            "users": dataset.n_users,
            "items": dataset.n_items,
            "interactions": len(dataset),
            "train": len(split.train),
            "validation": len(split.validation.target),
            "test": len(split.test.target),
            "cleaning": cleaning,
            "solvable": find_shortcuts(split.test).as_dict(),
            "too_little": [f"{one.what}; {one.remedy}" for one in check_enough(split)],
        },
        "best": best,
        "refitted": list(refitted),
        "popularity": list(popularity),
        "primary": label,
        "leaderboard": rows,
        "significance": _significance([test for test in tests if test.name in shown], label),
        "tuning": tuning,
        "training": training,
        "learning_curve": curve,
        "language_model": {
            "augmentation": {step: dataclasses.asdict(report) for step, report in augmentation.items()},
            "reranking": {label: counts for label, counts in reranking.items() if counts},
            "explanations": dict(explanations),
        },
        "examples": examples,
        "steps": steps,
    }


def _significance(tests: Sequence[Evaluation], label: str) -> dict[str, Any]:
    """Compute the p-value of each pair of recommenders that have the metric for each user."""
    per_user = [test for test in tests if label in test.per_user]
    names = [test.name for test in per_user]
    return {"label": label, "names": names, "p": pairwise_p_values(per_user, label).tolist()}


def with_fitting_cost(evaluation: Evaluation, entries: Entries, bytes_on_disk: int) -> Evaluation:
    """Add to an evaluation what fitting its recommender cost.

    Args:
        evaluation: The evaluation.
        entries: The log of the fitting, with an entry `fitted`.
        bytes_on_disk: Size of the saved recommender.

    Returns:
        A copy with CPU seconds, peak memory in MiB and bytes on disk.
    """
    fitted = next(entry for entry in entries if entry["event"] == "fitted")
    return evaluation.with_cost(
        fit_cpu_s=fitted["cpu_seconds"], peak_mib=fitted["peak_mib"], bytes_on_disk=bytes_on_disk
    )


def example_users(user_ids: Sequence[str], dataset: Dataset, split: Split) -> list[int]:
    """Choose the users whose recommendations a report shows.

    Args:
        user_ids: The users that the config names. Users who were erased from the data since are left out.
        dataset: All interactions.
        split: Its parts.

    Returns:
        Row numbers of the named users; without any, of users of the test part with a short, a medium and a long
        history.
    """
    named = [dataset.user_ids.row(user) for user in user_ids if user in dataset.user_ids]
    if named:
        return named
    users = np.unique(split.test.target.user)
    lengths = np.bincount(dataset.user, minlength=dataset.n_users)[users]
    by_length = users[np.argsort(lengths, kind="stable")]
    places = np.linspace(0, len(by_length) - 1, 2 * EXAMPLES + 1).astype(int)[1::2]  # the middles of equal groups
    return [int(user) for user in by_length[places]]
