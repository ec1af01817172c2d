"""Leaks in the interactions of a split: pairs in both parts, times out of order, ids in time order.

Does not know texts or models.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.evaluation.leakage.findings import Finding, Severity

TIME_CORRELATION = 0.95  # rank correlation from which on ids count as ordered by time

Mask = npt.NDArray[np.bool_]


def check_interactions(split: Split, order: str) -> Iterator[Finding]:
    """Run the checks of interactions.

    Args:
        split: The split.
        order: What the split promises about time, see `audit.time_order_of`.

    Yields:
        Findings.
    """
    for name, fold in (("validation", split.validation), ("test", split.test)):
        if len(fold.target):
            yield from _pairs(split.train, fold, name, order)
            yield from _times(split.train, fold, name, order)
    yield from _beyond_history(split)
    yield from _ids_follow_time(split)


def _pairs(train: Dataset, fold: Fold, name: str, order: str) -> Iterator[Finding]:
    """Find target interactions that training or the history already has."""
    target = fold.target
    for place, known in (("train", train), ("the history", fold.context)):
        twice = np.isin(target.pairs(), known.pairs())
        same_time = np.isin(_moments(target), _moments(known)) & twice
        if target.timestamp is None and order == "user":  # the order of rows tells them apart
            same_time[:] = False
        if same_time.any():
            yield Finding(
                f"{name}-pair-in-{place.split()[-1]}",
                "error",
                f"{int(same_time.sum()):,} of {len(target):,} {name} interactions are in {place} too",
                _pair(target, same_time),
                "remove duplicates before splitting, and split once",
            )
        elif twice.any() and place == "train":
            yield Finding(
                f"{name}-repeats",
                "note",
                f"{int(twice.sum()):,} of {len(target):,} {name} interactions repeat an earlier one at another time",
                _pair(target, twice),
                "evaluate with exclude_seen=False if users repeat interactions; else keep the first of each",
            )


def _times(train: Dataset, fold: Fold, name: str, order: str) -> Iterator[Finding]:
    """Find training interactions after the first target, and histories later than the user's own target."""
    target, context = fold.target, fold.context
    if target.timestamp is None or train.timestamp is None or context.timestamp is None:
        return
    late = train.timestamp >= target.timestamp.min()
    if late.any():
        severity: Severity = "error" if order == "global" else "note"
        yield Finding(
            f"train-after-{name}",
            severity,
            f"{int(late.sum()):,} of {len(train):,} training interactions are not before the first {name} target",
            f"{_pair(train, late)} at {int(train.timestamp[late].max())}, {name} from {int(target.timestamp.min())}",
            "split by time (kind: time); a model fitted on the future of other users looks better than it is",
        )
    first = np.full(target.n_users, np.iinfo(np.int64).max)
    np.minimum.at(first, target.user, target.timestamp)
    future = context.timestamp > first[context.user]
    if future.any():
        yield Finding(
            f"history-after-{name}",
            "error" if order != "none" else "note",
            f"{int(future.sum()):,} interactions of {name} histories are later than the same user's target",
            _pair(context, future),
            "let the target be the end of each history (kind: leave-one-out or time)",
        )


def _beyond_history(split: Split) -> Iterator[Finding]:
    """Find training interactions of test users that are missing in their histories."""
    of_test_users = np.isin(split.train.user, split.test.target.user)
    hidden = of_test_users & ~np.isin(split.train.pairs(), split.test.context.pairs())  # a newer repeat stands for both
    if hidden.any():
        yield Finding(
            "train-beyond-history",
            "warning",
            f"{int(hidden.sum()):,} training interactions of test users are not in their test histories",
            _pair(split.train, hidden),
            "the test's context should hold all that was learnt of its users",
        )


def _ids_follow_time(split: Split) -> Iterator[Finding]:
    """Find row numbers ordered by first appearance: a model that reads them sees the future."""
    context, target = split.test
    if context.timestamp is None or target.timestamp is None:
        return
    time = np.concatenate([context.timestamp, target.timestamp])
    for side in ("item", "user"):
        rows = np.concatenate([getattr(context, side), getattr(target, side)])
        first = np.full(int(rows.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, rows, time)
        present = np.flatnonzero(first < np.iinfo(np.int64).max)
        if len(present) < 20:
            continue
        follows = _rank_correlation(present.astype(np.float64), first[present].astype(np.float64))
        if abs(follows) >= TIME_CORRELATION:
            yield Finding(
                f"{side}-ids-follow-time",
                "warning",
                f"row numbers of {side}s follow the time of their first interaction (rank correlation {follows:.3f})",
                f"{side} {getattr(context, f'{side}_ids')[0]} first",
                f"sort or shuffle the {side} ids before numbering them; never use them as a feature or to break ties",
            )


def _moments(data: Dataset) -> Int64:
    """Encode each user-item pair at its time as one number, almost surely distinct; without times the pair. [n]."""
    keys = data.pairs()
    return keys if data.timestamp is None else keys * np.int64(1_000_003) + data.timestamp * np.int64(7_919_993)


def _pair(data: Dataset, mask: Mask) -> str:
    """Name the first of the marked interactions."""
    row = int(np.flatnonzero(mask)[0])
    return f"user {data.user_ids[data.user[row]]}, item {data.item_ids[data.item[row]]}"


def _rank_correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr

    constant = one.min() == one.max() or other.min() == other.max()
    return 0.0 if constant else float(spearmanr(one, other).statistic)
