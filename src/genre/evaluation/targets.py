"""A Fold -> who is asked, what is known of them, and what counts as a right answer. Knows no recommender."""

from __future__ import annotations

import dataclasses
import zlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Int32, Int64
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.words import split_categories
from genre.errors import EvaluationError
from genre.evaluation.ranked import Catalogue
from genre.options import nearest


@dataclass(frozen=True, eq=False)
class Questions:
    """The users of a fold who have a relevant item, and those items.

    users: int32 `[n]` rows of the dataset. history: what is known of each.
    indptr: int64 `[n + 1]`, item: int32: the relevant items of each, each once, in the target's order.
    catalogue, groups: see `Judged`. counts: what was left out of what, by name.
    """

    users: Int32
    history: History
    indptr: Int64
    item: Int32
    catalogue: Catalogue
    groups: Int64 | None
    counts: dict[str, int]


def ask(
    fold: Fold,
    train: Dataset | None = None,
    *,
    exclude_seen: bool = True,
    category: str | None = None,
    group: str | None = None,
) -> Questions:
    """What the fold asks. With `exclude_seen` a liked item that the history holds is no question, and is counted.

    train: what counts as known (popularity, cold users and items); None: the fold's context.
    category: a field of items, group: a field of users. EvaluationError when nobody likes anything in the target.
    """
    from genre.kernels.ranks import distinct

    known = fold.context if train is None else train
    target, n_users, n_items = fold.target, fold.target.n_users, fold.target.n_items
    liked = target.liked()
    seen = fold.context.history()
    held = seen.indptr if exclude_seen else np.zeros_like(seen.indptr)
    user, wanted = (target.user, target.item) if liked.all() else (target.user[liked], target.item[liked])
    indptr, item, seen_before = distinct(_indptr(user, n_users), wanted, held, seen.item, n_items)
    users = np.flatnonzero(np.diff(indptr)).astype(np.int32)
    if not len(users):
        raise EvaluationError(
            f"nobody has a relevant item to find: {len(target):,} target interactions, {int(liked.sum()):,} of them "
            f"likes, {seen_before:,} of those already seen; use a larger test part, lower positive_rating, or "
            "exclude_seen=False where people take an item again"
        )
    indptr = np.append(indptr[users], indptr[-1])
    history = fold.context.history(users)
    trained = np.bincount(known.user, minlength=n_users) > 0
    history = dataclasses.replace(history, user=np.where(trained[users], users, -1).astype(np.int32))
    catalogue = _catalogue(known, category)
    cold_item = catalogue.popularity[item] == 0
    return Questions(
        users=users,
        history=history,
        indptr=indptr,
        item=item,
        catalogue=catalogue,
        groups=None if group is None else _codes(target.users, group)[users],
        counts={
            "users": len(users),
            "users_without_targets": len(present(target.user)) - len(users),
            "targets": len(item),
            "targets_seen_before": seen_before,
            "cold_users": int((history.lengths == 0).sum()),
            "cold_items": int((np.bincount(item[cold_item]) > 0).sum()),
            "cold_targets": int(cold_item.sum()),
        },
    )


def check_fields(data: Dataset, category: str | None, group: str | None) -> None:
    """EvaluationError where items have no such field, or users."""
    for table, field, side in ((data.items, category, "items"), (data.users, group, "users")):
        if field is not None:
            _check_field(table, field, side)


def _catalogue(known: Dataset, category: str | None) -> Catalogue:
    """How many users know each item, and what it is."""
    from genre.kernels.ranks import distinct

    history = known.history()
    nothing = np.zeros(known.n_users + 1, np.int64)
    _, once, _ = distinct(history.indptr, history.item, nothing, history.item[:0], known.n_items)
    return Catalogue(
        popularity=np.bincount(once, minlength=known.n_items),
        n_users=int((history.lengths > 0).sum()),
        vectors=None if known.item_features is None else known.item_features.values,
        categories=None if category is None else _categories(known.items, category),
    )


def _categories(items: pa.Table, field: str) -> sp.csr_matrix:
    """1 where an item is of a category. [n_items, n_categories]"""
    _check_field(items, field, "items")
    names = [split_categories(value) for value in items[field].to_pylist()]
    column = {name: at for at, name in enumerate(sorted({name for entry in names for name in entry}))}
    indptr = np.concatenate([[0], np.cumsum([len(entry) for entry in names])])
    index = np.array([column[name] for entry in names for name in entry], np.int64)
    return sp.csr_matrix((np.ones(len(index)), index, indptr), shape=(len(names), max(len(column), 1)))


def _codes(users: pa.Table, field: str) -> Int64:
    """The group of each user as a number, -1 for none. [n_users]"""
    _check_field(users, field, "users")
    found = users[field].combine_chunks().dictionary_encode()
    return np.asarray(found.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _check_field(table: pa.Table, field: str, side: str) -> None:
    if field not in table.column_names:
        known = ", ".join(table.column_names)
        raise EvaluationError(f"no field {field!r} of {side}{nearest(field, table.column_names)}; fields: {known}")


def _indptr(sorted_rows: Int32, n: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(sorted_rows, minlength=n))]).astype(np.int64)


def digest(fold: Fold, *, exclude_seen: bool = True) -> str:
    """Equal for equal questions: what two recommenders were found to do can be paired user by user.

    A checksum, quick and good against mistakes; nothing is kept safe by it.
    """
    context, target = fold
    sums = [zlib.crc32(np.ascontiguousarray(column).data) for column in (target.user, target.item)]
    kind = "new" if exclude_seen else "any"
    return "-".join(str(part) for part in (kind, context.n_users, context.n_items, len(context), len(target), *sums))


def present(rows: Int32) -> Int64:
    """The distinct row numbers, ascending; quicker than sorting."""
    return np.flatnonzero(np.bincount(rows))
