"""Interactions at the same time on both sides of a cut: how many, and how far a metric moves when they are shuffled.

Does not know how the split was made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.evaluation.evaluator import evaluate
from genre.evaluation.leakage.findings import Finding
from genre.options import DEFAULT_K
from genre.recommenders.base import Recommender

SHUFFLES = 5
LABEL = f"ndcg@{DEFAULT_K}"

Mask = npt.NDArray[np.bool_]


def check_tied_times(split: Split, probe: Callable[[], Recommender] | None, *, seed: int = 0) -> Iterator[Finding]:
    """Find users whose history and target have interactions at the same time, so that chance chose the target.

    Args:
        split: The split.
        probe: Makes a recommender that is cheap to fit; None: do not measure the effect.
        seed: Seed of the shuffles.

    Yields:
        At most one finding.
    """
    fold = split.test
    at_cut, target_tied = _ties_at_cut(fold)
    if not target_tied.any():
        return
    users, total = len(np.unique(fold.target.user[target_tied])), len(np.unique(fold.target.user))
    moved = "" if probe is None else f"; {_tie_effect(fold, at_cut, target_tied, probe, seed)}"
    yield Finding(
        "tied-times",
        "warning" if users >= 0.01 * total else "note",
        f"{users:,} of {total:,} test users ({users / total:.1%}) have interactions at the same time in history and "
        f"target{moved}",
        f"user {fold.target.user_ids[fold.target.user[np.argmax(target_tied)]]}",
        "record times with a finer resolution, or report the metric over shuffled ties",
    )


def _tie_effect(fold: Fold, at_cut: Mask, target_tied: Mask, probe: Callable[[], Recommender], seed: int) -> str:
    """Describe how the ndcg of a probe moves when interactions at the same time change places at random."""

    def value(fold: Fold) -> float:
        return evaluate(probe().fit(fold.context), fold, metrics=[LABEL]).values[LABEL]

    rng = np.random.default_rng(seed)
    given = value(fold)
    shuffled = [value(_shuffle_ties(fold, at_cut, target_tied, rng)) for _ in range(SHUFFLES)]
    name = type(probe()).__name__
    return (
        f"{LABEL} of {name} is {given:.4f} as given and {np.mean(shuffled):.4f} ({min(shuffled):.4f} to "
        f"{max(shuffled):.4f}) when they are shuffled"
    )


def _ties_at_cut(fold: Fold) -> tuple[Mask, Mask]:
    """Mark the interactions of history and target at the time of the user's cut, where both have one."""
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
    """Return the fold with tied interactions exchanged at random; each user has as many targets as before."""
    whole, order = together(fold)
    is_target = (order >= len(fold.context)).copy()
    rows = np.flatnonzero(np.concatenate([at_cut, target_tied])[order])
    rows = rows[np.lexsort((rng.random(len(rows)), whole.user[rows]))]  # each user's ties in a random order
    in_order = rows[np.lexsort((rows, whole.user[rows]))]
    is_target[rows] = is_target[in_order]
    return Fold(whole.where(~is_target), whole.where(is_target))


def together(fold: Fold) -> tuple[Dataset, Int64]:
    """Join history and target into one dataset.

    Args:
        fold: The fold.

    Returns:
        The dataset, and for each of its rows the row it came from: context rows first, then target rows.
    """
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
