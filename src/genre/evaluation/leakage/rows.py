"""Leaks in the rows of a split: pairs on both sides, times out of order, twins, ids that follow time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.evaluation.leakage.findings import Finding, Severity

TWIN_LENGTH = 5  # shorter histories are alike by chance
FOLLOWS = 0.95  # rank correlation from which on ids are said to follow time

Mask = npt.NDArray[np.bool_]


def check(split: Split, order: str) -> Iterator[Finding]:
    """All checks of rows."""
    for name, fold in (("validation", split.validation), ("test", split.test)):
        if len(fold.target):
            yield from _pairs(split.train, fold, name)
            yield from _times(split.train, fold, name, order)
    yield from _beyond_history(split)
    yield from _twins(split)
    yield from _ids_follow_time(split)


def _pairs(train: Dataset, fold: Fold, name: str) -> Iterator[Finding]:
    """Target interactions that training or the history holds already."""
    target = fold.target
    for place, known in (("train", train), ("the history", fold.context)):
        twice = np.isin(_keys(target), _keys(known))
        same_time = np.isin(_moments(target), _moments(known)) & twice
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
                "judge with exclude_seen=False if people take things again; else keep the first of each",
            )


def _times(train: Dataset, fold: Fold, name: str, order: str) -> Iterator[Finding]:
    """Training times after the first question; histories after the user's own question."""
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
            "split by time (kind: time); a model that has learnt from others' future looks better than it is",
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
    """Training rows of users who are asked, missing from what the test says it knows of them."""
    asked = np.isin(split.train.user, split.test.target.user)
    hidden = asked & ~np.isin(_moments(split.train), _moments(split.test.context))
    if hidden.any():
        yield Finding(
            "train-beyond-history",
            "warning",
            f"{int(hidden.sum()):,} training interactions of test users are not in their test histories",
            _pair(split.train, hidden),
            "the test's context should hold all that was learnt of its users",
        )


def _twins(split: Split) -> Iterator[Finding]:
    """Test users whose history and answers together are another user's training history."""
    context, target = split.test
    key = np.random.default_rng(0).integers(0, 2**63, context.n_items, np.uint64)  # the sum of a set names the set
    n = np.bincount(context.user, minlength=context.n_users) + np.bincount(target.user, minlength=context.n_users)
    whole = _sums(context, key) + _sums(target, key)
    trained = _sums(split.train, key)
    length = np.bincount(split.train.user, minlength=context.n_users)
    asked = np.unique(target.user)
    asked = asked[(n[asked] >= TWIN_LENGTH)]
    owner = {int(trained[user]): user for user in np.flatnonzero(length >= TWIN_LENGTH).tolist()}
    pairs = [(user, owner[int(whole[user])]) for user in asked.tolist() if int(whole[user]) in owner]
    pairs = [(user, twin) for user, twin in pairs if twin != user]
    if pairs:
        user, twin = pairs[0]
        yield Finding(
            "twin-users",
            "error",
            f"the history and answers of {len(pairs):,} test users are the training history of another user",
            f"users {context.user_ids[user]} and {context.user_ids[twin]}",
            "merge accounts that are the same person before splitting",
        )


def _ids_follow_time(split: Split) -> Iterator[Finding]:
    """Row numbers ordered by first appearance: a model that may look at them sees the future."""
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
        if abs(follows) >= FOLLOWS:
            yield Finding(
                f"{side}-ids-follow-time",
                "warning",
                f"row numbers of {side}s follow the time of their first interaction (rank correlation {follows:.3f})",
                f"{side} {getattr(context, f'{side}_ids')[0]} first",
                f"sort or shuffle the {side} ids before numbering them; never use them as a feature or to break ties",
            )


def _keys(data: Dataset) -> Int64:
    """One number a user-item pair. [n]"""
    return data.user.astype(np.int64) * data.n_items + data.item


def _moments(data: Dataset) -> Int64:
    """One number a user-item pair at a time, as good as distinct; the pair alone without times. [n]"""
    keys = _keys(data)
    return keys if data.timestamp is None else keys * np.int64(1_000_003) + data.timestamp * np.int64(7_919_993)


def _pair(data: Dataset, mask: Mask) -> str:
    """The first of the marked interactions, for people."""
    row = int(np.flatnonzero(mask)[0])
    return f"user {data.user_ids[data.user[row]]}, item {data.item_ids[data.item[row]]}"


def _sums(data: Dataset, key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The sum of the keys of each user's items, modulo 2^64. [n_users]"""
    out = np.zeros(data.n_users, np.uint64)
    np.add.at(out, data.user, key[data.item])
    return out


def _rank_correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr

    constant = one.min() == one.max() or other.min() == other.max()
    return 0.0 if constant else float(spearmanr(one, other).statistic)
