"""A Fold -> the users to evaluate, their histories and their relevant items. Does not know recommenders."""

from __future__ import annotations

import dataclasses
import zlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.data.history import History
from genre.data.words import split_categories
from genre.errors import EvaluationError
from genre.evaluation.item_statistics import ItemStatistics
from genre.options import nearest


@dataclass(frozen=True, eq=False)
class Targets:
    """The users of a fold who have a relevant item, and those items.

    Attributes:
        users: int32 `[n]`, row numbers of the dataset.
        history: The interactions of each before.
        indptr: int64 `[n + 1]`; the relevant items of user `u` are `item[indptr[u]:indptr[u + 1]]`.
        item: int32, the relevant items, each once per user, in the order of the fold's target.
        items: What metrics beyond accuracy know about the items.
        user_groups: int64 `[n]`, the group of each user, -1 for none; or None.
        counts: How many users and targets there are, and how many were left out or are cold, by name.
    """

    users: Int32
    history: History
    indptr: Int64
    item: Int32
    items: ItemStatistics
    user_groups: Int64 | None
    counts: dict[str, int]


def collect_targets(
    fold: Fold,
    train: Dataset | None = None,
    *,
    exclude_seen: bool = True,
    category: str | None = None,
    group: str | None = None,
) -> Targets:
    """Collect the relevant items of a fold: those that its target part likes (`Dataset.liked`).

    Args:
        fold: Histories and what the users did next.
        train: The training data, which decides popularity and who is cold; None: the fold's context.
        exclude_seen: Leave out and count liked items that the history already holds.
        category: A field of the items, for `calibration`.
        group: A field of the users, for `group_gap`.

    Returns:
        The users with at least one relevant item.

    Raises:
        EvaluationError: When no user has a relevant item, or there is no such field.
    """
    from genre.kernels.ranks import distinct

    trained = fold.context if train is None else train
    target, n_users, n_items = fold.target, fold.target.n_users, fold.target.n_items
    liked = target.liked()
    seen = fold.context.history()
    hidden = seen.indptr if exclude_seen else np.zeros_like(seen.indptr)
    user, relevant = (target.user, target.item) if liked.all() else (target.user[liked], target.item[liked])
    indptr, item, seen_before = distinct(_indptr(user, n_users), relevant, hidden, seen.item, n_items)
    users = np.flatnonzero(np.diff(indptr)).astype(np.int32)
    if not len(users):
        raise EvaluationError(
            f"no user has a relevant item to find: {len(target):,} target interactions, {int(liked.sum()):,} of them "
            f"likes, {seen_before:,} of those already seen; use a larger test part, lower positive_rating, or set "
            "exclude_seen=False where users interact with the same item again"
        )
    indptr = np.append(indptr[users], indptr[-1])
    history = fold.histories(users)
    has_training = np.bincount(trained.user, minlength=n_users) > 0
    history = dataclasses.replace(history, user=np.where(has_training[users], users, -1).astype(np.int32))
    items = _item_statistics(trained, category)
    cold = items.popularity[item] == 0
    return Targets(
        users=users,
        history=history,
        indptr=indptr,
        item=item,
        items=items,
        user_groups=None if group is None else _group_codes(target.users, group)[users],
        counts={
            "users": len(users),
            "users_without_targets": len(distinct_rows(target.user)) - len(users),
            "targets": len(item),
            "targets_seen_before": seen_before,
            "cold_users": int((history.lengths == 0).sum()),
            "cold_items": int((np.bincount(item[cold]) > 0).sum()),
            "cold_targets": int(cold.sum()),
        },
    )


def check_overlap(split: Split, *, exclude_seen: bool) -> list[str]:
    """Check before anything is learnt that the later parts have something to find.

    Args:
        split: The split.
        exclude_seen: As in `collect_targets`.

    Returns:
        A line for each part of which most liked interactions are in the history already.

    Raises:
        EvaluationError: All liked interactions of a part are: the parts overlap.
    """
    lines = []
    for name, fold in (("validation", split.validation), ("test", split.test)):
        liked = fold.target.liked()
        n_liked, seen = int(liked.sum()), int(fold.repeats()[liked].sum()) if exclude_seen else 0
        found = f"{name}: {seen:,} of {n_liked:,} liked interactions are in the history of the same user already"
        remedy = (
            "remove rows that are in two parts, split the data once, or set evaluation.exclude_seen: false where users "
            "interact with the same item again"
        )
        if seen and seen == n_liked:
            raise EvaluationError(f"{found}: the parts of the split overlap, so nothing is left to find; {remedy}")
        if 2 * seen > n_liked:
            lines.append(f"{found}, and are no targets; {remedy}")
    return lines


def check_evaluation_fields(data: Dataset, category: str | None, group: str | None) -> None:
    """Check that the fields which the metrics read exist.

    Args:
        data: The dataset.
        category: A field of its items; None: not needed.
        group: A field of its users; None: not needed.

    Raises:
        EvaluationError: When there is no such field.
    """
    for table, field, side in ((data.items, category, "items"), (data.users, group, "users")):
        if field is not None:
            _check_field(table, field, side)


def _item_statistics(trained: Dataset, category: str | None) -> ItemStatistics:
    """Count how many training users interacted with each item; attach its vector and categories."""
    from genre.kernels.ranks import distinct

    history = trained.history()
    no_seen = np.zeros(trained.n_users + 1, np.int64)
    _, once, _ = distinct(history.indptr, history.item, no_seen, history.item[:0], trained.n_items)
    return ItemStatistics(
        popularity=np.bincount(once, minlength=trained.n_items),
        n_users=int((history.lengths > 0).sum()),
        vectors=None if trained.item_features is None else trained.item_features.values,
        categories=None if category is None else _categories(trained.items, category),
    )


def _categories(items: pa.Table, field: str) -> sp.csr_matrix:
    """Return the categories of each item as ones in a sparse matrix. [n_items, n_categories]."""
    _check_field(items, field, "items")
    names = [split_categories(value) for value in items[field].to_pylist()]
    column = {name: at for at, name in enumerate(sorted({name for entry in names for name in entry}))}
    indptr = np.concatenate([[0], np.cumsum([len(entry) for entry in names])])
    index = np.array([column[name] for entry in names for name in entry], np.int64)
    return sp.csr_matrix((np.ones(len(index)), index, indptr), shape=(len(names), max(len(column), 1)))


def _group_codes(users: pa.Table, field: str) -> Int64:
    """Return the group of each user as a number, -1 for none. [n_users]."""
    _check_field(users, field, "users")
    found = users[field].combine_chunks().dictionary_encode()
    return np.asarray(found.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _check_field(table: pa.Table, field: str, side: str) -> None:
    if field not in table.column_names:
        known = ", ".join(table.column_names)
        raise EvaluationError(f"no field {field!r} of {side}{nearest(field, table.column_names)}; fields: {known}")


def _indptr(sorted_rows: Int32, n: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(sorted_rows, minlength=n))]).astype(np.int64)


def fold_digest(fold: Fold, *, exclude_seen: bool = True) -> str:
    """Compute a checksum of a fold; evaluations with equal ones can be compared user by user.

    Quick and good against mistakes, not against attacks.

    Args:
        fold: The fold.
        exclude_seen: Whether seen items are left out, which changes the targets.

    Returns:
        The checksum.
    """
    context, target = fold
    sums = [zlib.crc32(np.ascontiguousarray(column).data) for column in (target.user, target.item)]
    kind = "new" if exclude_seen else "any"
    return "-".join(str(part) for part in (kind, context.n_users, context.n_items, len(context), len(target), *sums))


def distinct_rows(rows: Int32) -> Int64:
    """Return the distinct row numbers in ascending order; quicker than sorting.

    Args:
        rows: Row numbers.

    Returns:
        int64, each row number once.
    """
    return np.flatnonzero(np.bincount(rows))
