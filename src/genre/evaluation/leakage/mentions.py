"""Leaks by name: a field of items that names users or other items which come together only after the train part.

"Liked by u12 and u55", "also bought: ..." made from all rows: nearly every pair that is not in the train part is in a
later one. A list made from the train part has no other pairs, and one made from content has few. Does not know models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.data.titles import rows_by_title, title_key
from genre.data.words import fold
from genre.evaluation.leakage.findings import Finding

Rows = npt.NDArray[np.integer[Any]]
SEPARATORS = re.compile(r"[;|\n•]")  # between titles of a list
TOKEN = re.compile(r"[\w-]+")
FEWEST, ERROR_SHARE, WARNING_SHARE = 10, 0.2, 0.05  # pairs of later parts, and their share of those not in train
CHANCE_FACTOR = 5  # times as many as where the lists belong to other items


def check_mentions(split: Split, *, seed: int = 0) -> Iterator[Finding]:
    """Check which pairs of names in fields of items are known from later parts alone.

    Args:
        split: The split.
        seed: Of the shuffle that shows how many are there by chance.

    Yields:
        Findings.
    """
    train, rng = split.train, np.random.default_rng(seed)
    folds = [part for part in (split.validation, split.test) if len(part.target)]
    users = {fold(id_): row for row, id_ in enumerate(train.user_ids.values.to_pylist()) if TOKEN.fullmatch(fold(id_))}
    items = {fold(id_): row for row, id_ in enumerate(train.item_ids.values.to_pylist()) if TOKEN.fullmatch(fold(id_))}
    titles = rows_by_title(train.titles())
    taken = (
        _pairs(train.item, train.user, train.n_users),
        [_pairs(f.target.item, f.target.user, train.n_users) for f in folds],
    )
    steps = _pairs(*_train_steps(train), train.n_items), [_pairs(*_last_steps(f), train.n_items) for f in folds]
    for name in train.items.column_names:
        column = train.items[name]
        if name == "item_id" or not (
            pa.types.is_list(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        ):
            continue
        texts = [" ; ".join(map(str, one)) if isinstance(one, list) else one or "" for one in column.to_pylist()]
        tokens = [TOKEN.findall(fold(text)) for text in texts]
        lists = [[title_key(part) for part in SEPARATORS.split(text)] for text in texts]
        named_users = _named(tokens, users)
        named_items = np.concatenate([_named(tokens, items), _named(lists, titles)], axis=1)
        named_items = named_items[:, named_items[0] != named_items[1]]
        for what, named, (known, later), size in (
            ("users who have the item", named_users, taken, train.n_users),
            ("items that follow it", named_items, steps, train.n_items),
        ):
            yield from _judge(name, what, named, known, np.concatenate([*later, []]).astype(np.int64), size, rng)


def _judge(
    name: str, what: str, named: Int64, known: Int64, later: Int64, size: int, rng: np.random.Generator
) -> Iterator[Finding]:
    """Compare the share of named pairs that are in later parts alone with that of the same lists at other items."""
    new = np.setdiff1d(_pairs(named[0], named[1], size), known, assume_unique=True)
    hits = np.intersect1d(new, later)
    owners, places = np.unique(named[0], return_inverse=True)
    moved = np.setdiff1d(_pairs(rng.permutation(owners)[places], named[1], size), known, assume_unique=True)
    chance = len(np.intersect1d(moved, later)) / max(len(moved), 1)
    share = len(hits) / max(len(new), 1)
    if len(hits) < FEWEST or share < WARNING_SHARE or share < CHANCE_FACTOR * chance:
        return
    yield Finding(
        "later-pairs-in-texts",
        "error" if share >= ERROR_SHARE else "warning",
        f"field {name!r} of items names {what}: of {len(new):,} that the train part does not have, {len(hits):,} "
        f"({share:.0%}) are in the validation or test part, {chance:.1%} by chance",
        f"item row {hits[0] // size:,}",
        "make the field from the train part alone, or leave it out",
    )


def _pairs(first: Rows, second: Rows, size: int) -> Int64:
    """Return the codes of pairs of rows, each once, sorted."""
    return np.unique(np.asarray(first, np.int64) * size + np.asarray(second, np.int64))


def _named(lists: list[list[str]], rows: dict[str, int]) -> Int64:
    """Return owners and rows of all names in lists that are known. [2, n]."""
    found = [(at, rows[name]) for at, names in enumerate(lists) for name in names if name in rows]
    return np.array(found, np.int64).reshape(-1, 2).T


def _train_steps(train: Dataset) -> tuple[Int64, Int64]:
    """Return items and their followers in the histories of the train part, in both directions."""
    same = train.user[1:] == train.user[:-1]
    before, after = train.item[:-1][same].astype(np.int64), train.item[1:][same].astype(np.int64)
    return np.concatenate([before, after]), np.concatenate([after, before])


def _last_steps(part: Fold) -> tuple[Int64, Int64]:
    """Return the last item of the history of each target, and the target."""
    context, target = part
    last = np.full(context.n_users, -1)
    last[context.user] = context.item  # sorted by user and time: the last one stays
    before = last[target.user]
    return before[before >= 0].astype(np.int64), target.item[before >= 0].astype(np.int64)
