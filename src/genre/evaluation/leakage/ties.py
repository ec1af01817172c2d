"""Interactions of one moment on both sides of the cut: how many, and how far a metric moves when they are shuffled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.evaluation.leakage.findings import Finding
from genre.recommenders.base import Recommender

SHUFFLES = 5

Mask = npt.NDArray[np.bool_]


def tied_times(split: Split, probe: Callable[[], Recommender] | None, *, seed: int = 0) -> Iterator[Finding]:
    """Cuts between interactions of the same moment: what was called the target was chance, or a hidden order."""
    fold = split.test
    at_cut, target_tied = _ties_at_cut(fold)
    if not target_tied.any():
        return
    users, asked = len(np.unique(fold.target.user[target_tied])), len(np.unique(fold.target.user))
    moved = "" if probe is None else f"; {_tie_effect(fold, at_cut, target_tied, probe, seed)}"
    yield Finding(
        "tied-times",
        "warning" if users >= 0.01 * asked else "note",
        f"for {users:,} of {asked:,} test users ({users / asked:.1%}) the cut falls between interactions of one moment"
        + moved,
        f"user {fold.target.user_ids[fold.target.user[np.argmax(target_tied)]]}",
        "use a finer clock, or report the metric over shuffled ties",
    )


def _tie_effect(fold: Fold, at_cut: Mask, target_tied: Mask, probe: Callable[[], Recommender], seed: int) -> str:
    """How ndcg@10 of a probe moves when the interactions of one moment change places at random."""
    from genre.evaluation.evaluator import evaluate

    def value(asked: Fold) -> float:
        return evaluate(probe().fit(asked.context), asked, metrics=["ndcg"]).values["ndcg@10"]

    rng = np.random.default_rng(seed)
    given = value(fold)
    shuffled = [value(_shuffle_ties(fold, at_cut, target_tied, rng)) for _ in range(SHUFFLES)]
    name = type(probe()).__name__
    return (
        f"ndcg@10 of {name} is {given:.4f} as given and {np.mean(shuffled):.4f} ({min(shuffled):.4f} to "
        f"{max(shuffled):.4f}) when they are shuffled"
    )


def _ties_at_cut(fold: Fold) -> tuple[Mask, Mask]:
    """Interactions of history and target at the moment of the user's cut, where both have one."""
    context, target = fold
    if context.timestamp is None or target.timestamp is None or not len(target):
        return np.zeros(len(context), bool), np.zeros(len(target), bool)
    first = np.full(target.n_users, np.iinfo(np.int64).max)
    np.minimum.at(first, target.user, target.timestamp)
    at_cut = context.timestamp == first[context.user]
    both = np.zeros(target.n_users, bool)
    both[context.user[at_cut]] = True
    return at_cut, both[target.user] & (target.timestamp == first[target.user])


def _shuffle_ties(fold: Fold, at_cut: Mask, target_tied: Mask, rng: np.random.Generator) -> Fold:
    """The same fold with tied interactions dealt anew, each user as many targets as before."""
    whole, order = together(fold)
    asked = (order >= len(fold.context)).copy()
    rows = np.flatnonzero(np.concatenate([at_cut, target_tied])[order])
    rows = rows[np.lexsort((rng.random(len(rows)), whole.user[rows]))]  # each user's ties in a random order
    seats = rows[np.lexsort((rows, whole.user[rows]))]
    asked[rows] = asked[seats]
    return Fold(whole.where(~asked), whole.where(asked))


def together(fold: Fold) -> tuple[Dataset, Int64]:
    """History and target as one dataset, and where each row came from: context rows first, then target rows."""
    context, target = fold
    columns: dict[str, Any] = {}
    for name in ("user", "item", "weight", "rating", "timestamp"):
        one, other = getattr(context, name), getattr(target, name)
        columns[name] = None if one is None or other is None else np.concatenate([one, other])
    times = columns["timestamp"]
    keys = (columns["user"],) if times is None else (times, columns["user"])
    order = np.lexsort(keys)
    moved: dict[str, Any] = {name: None if column is None else column[order] for name, column in columns.items()}
    return dataclasses.replace(context, **moved), order
