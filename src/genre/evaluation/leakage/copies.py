"""Leaks by copies: rows of the test part in train at other times, and second accounts. Does not know texts.

What happens in honest data too (people buy a thing again) is compared with how often it happens before the test.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.evaluation.leakage.findings import Finding, Severity
from genre.evaluation.leakage.ties import together

MOST_USERS = 2_000  # test users who are compared with all users of train
FEWEST_SHARED = 8  # interactions that two accounts share; fewer are shared by chance
FEWEST_EQUAL = 5  # interactions of two accounts that are equal
ALIKE = 0.7  # share of both histories together that is in both
FEWEST_COPIES = 5

Mask = npt.NDArray[np.bool_]


def check_copies(split: Split) -> Iterator[Finding]:
    """Find copies of test interactions and of test users in the train part.

    Args:
        split: The split.

    Yields:
        Findings.
    """
    yield from _copied_rows(split)
    yield from _second_accounts(split)


def is_excess(count: int, n: int, usual: int, n_usual: int) -> bool:
    """Tell whether something happens far oftener in the test part than it usually does.

    Args:
        count: How often it happens.
        n: Among how many.
        usual: How often it happens elsewhere.
        n_usual: Among how many there.

    Returns:
        True for at least five times, a hundredth, and twice the usual share, by more than chance.
    """
    share, elsewhere = count / max(n, 1), usual / max(n_usual, 1)
    error = np.sqrt(max(elsewhere, 1 / max(n_usual, 1)) / max(n, 1))
    return count >= FEWEST_COPIES and share >= 0.01 and share >= 2 * elsewhere and share - elsewhere >= 4 * error


def _copied_rows(split: Split) -> Iterator[Finding]:
    """Compare repeats of train in the test part with those in the validation part and within train."""
    repeats = _repeated(split.train, split.test.target)
    count, n = int(repeats.sum()), len(repeats)
    for usual in (_repeated(split.train, split.validation.target), _repeated_within(split.train)):
        if len(usual) and not is_excess(count, n, int(usual.sum()), len(usual)):
            return
    if not is_excess(count, n, 0, n):
        return
    target = split.test.target
    row = int(np.argmax(repeats))
    yield Finding(
        "copied-rows",
        "error",
        f"{count:,} of {n:,} test interactions ({count / n:.1%}) are in train at another time, "
        "far more than repeats are usual",
        f"user {target.user_ids[target.user[row]]}, item {target.item_ids[target.item[row]]}",
        "remove copies before splitting; keep one interaction of a user with an item",
    )


def _repeated(earlier: Dataset, later: Dataset) -> Mask:
    """Mark the later interactions whose pair the earlier ones have. [n]."""
    return np.isin(later.pairs(), earlier.pairs())


def _repeated_within(train: Dataset) -> Mask:
    """Mark of the newest fifth of the interactions those whose pair an earlier one has."""
    if train.timestamp is None or not len(train):
        return np.zeros(0, bool)
    late = train.timestamp >= np.quantile(train.timestamp, 0.8)
    return _repeated(train.where(~late), train.where(late))


def _second_accounts(split: Split) -> Iterator[Finding]:
    """Find test users whose history and targets are, all or mostly, the training history of another user."""
    wanted = _chosen(split.test.target)
    users = np.flatnonzero(np.diff(wanted.indptr))
    if len(users) > MOST_USERS:
        users = np.sort(np.random.default_rng(0).choice(users, MOST_USERS, replace=False))
    whole, trained = _chosen(together(split.test)[0]), _chosen(split.train)
    columns, trained_size = sp.csr_matrix(trained.T), np.diff(trained.indptr)
    found = []
    for user in users[np.diff(whole.indptr)[users] >= FEWEST_EQUAL].tolist():
        shared = np.asarray((whole[user] @ columns).todense()).ravel()
        shared[user] = 0
        alike = shared / (whole[user].nnz + trained_size - shared)
        other = int(np.argmax(alike))
        targets = wanted[user].multiply(trained[other]).nnz / wanted[user].nnz
        equal = alike[other] == 1
        if equal or (shared[other] >= FEWEST_SHARED and alike[other] >= ALIKE and targets >= 0.5):
            found.append((user, other, equal))
    if found:
        user, other, _ = found[0]
        n_equal, ids = sum(equal for *_, equal in found), split.train.user_ids
        yield Finding(
            "duplicate-users",
            _severity(len(found), n_equal, len(users)),
            f"history and targets of {len(found):,} of {len(users):,} test users are the training history of "
            f"another user, of {n_equal:,} in every interaction",
            f"users {ids[user]} and {ids[other]}",
            "merge accounts that are the same person before splitting",
        )


def _severity(n_found: int, n_equal: int, n_users: int) -> Severity:
    """Grade duplicate users: a few that are only alike may be chance."""
    if n_found >= 0.01 * n_users and (n_equal or n_found >= FEWEST_COPIES):
        return "error"
    return "warning" if n_equal else "note"


def _chosen(data: Dataset) -> sp.csr_matrix:
    """Mark which items each user rated or chose: many are shown the same that they did not. [n_users, n_items]."""
    chosen = np.flatnonzero(np.ones(len(data), bool) if data.rating is not None else data.weight > 0)
    pairs = data.user[chosen], data.item[chosen]
    matrix = sp.csr_matrix((np.ones(len(chosen), np.float32), pairs), shape=(data.n_users, data.n_items))
    matrix.data[:] = 1
    return matrix
