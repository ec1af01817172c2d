"""Leaks through texts: a target that is in the history under another id, and user texts that name a target.

Does not know models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from genre.arrays import Int64
from genre.data.folds import Fold, Split
from genre.data.words import words
from genre.evaluation.leakage.copies import is_excess
from genre.evaluation.leakage.findings import Finding

NEAR_WORDS = 6  # from so many words on, texts that differ in one word are near-identical
MOST_WORDS = 60  # of a longer text only the first words count
CODE = re.compile(r"\S*[\d/]\S*")  # one word with a digit or a slash
PAIRS = 4_000_000  # compared at once
RARE = 0.01  # share of targets below which equal items, which no split makes more frequent, are a note
TITLE_LETTERS = 8  # shorter titles are in texts by chance


def check_texts(split: Split, user_texts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Check the texts of items and users on the test part.

    Args:
        split: The split.
        user_texts: Name -> one text for each user, besides the columns of the users table.

    Yields:
        Findings.
    """
    yield from _duplicate_items(split)
    yield from _targets_in_texts(split, user_texts)


def _duplicate_items(split: Split) -> Iterator[Finding]:
    """Find targets whose texts are those of another item in the same user's history.

    A catalogue may have variants that differ in a word, such as a colour: far more of them in the test part than in the
    validation part are an error, and else only items with equal words are a warning.
    """
    fields, equal = (list(_same_text(split.train.items, near=near)) for near in (True, False))
    target = split.test.target
    known = _known_under_another_id(split.test, fields)
    if not (known >= 0).any():
        return
    usual = _known_under_another_id(split.validation, fields) >= 0
    excess = is_excess(int((known >= 0).sum()), len(known), int(usual.sum()), max(len(usual), 1))
    exactly = _known_under_another_id(split.test, equal) >= 0
    at = int(np.argmax(exactly if exactly.any() else known >= 0))
    new, old = (target.item_ids[int(item)] for item in (target.item[at], known[at]))
    yield Finding(
        "duplicate-items",
        "error" if excess else "warning" if exactly.mean() >= RARE else "note",
        f"{int((known >= 0).sum()):,} of {len(target):,} test targets are near-identical to an item in the user's "
        f"history, {int(exactly.sum()):,} of them in every word; in validation {int(usual.sum()):,} of {len(usual):,}",
        f"user {target.user_ids[target.user[at]]}: item {new} in the target, item {old} in the history",
        "merge items that are the same thing before splitting",
    )


def _known_under_another_id(fold: Fold, fields: Sequence[Int64]) -> Int64:
    """Return for each target an item of the user's history with the same texts, -1 for none. [n]."""
    target = fold.target
    duplicate = np.full(len(target), -1)
    for group in fields if len(target) else ():
        for row, known in _pairs(fold, group):
            one, other = target.item[row], known
            same = one != other
            for field in fields:
                same &= (field[one] == field[other]) | (field[one] < 0) | (field[other] < 0)
            duplicate[row[same]] = known[same]
    return duplicate


def _pairs(fold: Fold, group: Int64) -> Iterator[tuple[Int64, Int64]]:
    """Yield target rows and items of the same user's history that are in the same group, in blocks."""
    context, target = fold
    several = (group >= 0) & (np.bincount(group + 1)[group + 1] > 1)
    in_history, in_target = (np.flatnonzero(several[part.item]) for part in fold)
    n = int(group.max()) + 1
    have = context.user[in_history].astype(np.int64) * n + group[context.item[in_history]]
    want = target.user[in_target].astype(np.int64) * n + group[target.item[in_target]]
    order = np.argsort(have, kind="stable")
    first, end = (np.searchsorted(have[order], want, side) for side in ("left", "right"))
    for at in np.array_split(np.arange(len(in_target)), 1 + int((end - first).sum()) // PAIRS):
        count = end[at] - first[at]
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        row = in_history[order[np.repeat(first[at], count) + step]]
        yield np.repeat(in_target[at], count), context.item[row].astype(np.int64)


def _targets_in_texts(split: Split, user_texts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Find texts of users that name a target of the same user."""
    context, target = split.test
    users = context.users
    columns = {
        name: users[name].to_pylist() for name in users.column_names if name != "user_id" and _is_text(users[name])
    }
    titles = [" ".join(words(title)) for title in target.titles()]
    known = set(zip(split.train.user.tolist(), split.train.item.tolist(), strict=True))
    for name, texts in {**columns, **user_texts}.items():
        folded = {user: f" {' '.join(words(texts[user] or ''))} " for user in np.unique(target.user).tolist()}
        named = [
            (user, item)
            for user, item in zip(target.user.tolist(), target.item.tolist(), strict=True)
            if (user, item) not in known and len(titles[item]) >= TITLE_LETTERS and f" {titles[item]} " in folded[user]
        ]
        if named:
            user, item = named[0]
            yield Finding(
                "targets-in-texts",
                "error",
                f"field {name!r} of users names {len(named):,} of their test targets",
                f"user {target.user_ids[user]}: {target.titles()[item]}",
                "write texts about users from the train part alone",
            )


def _same_text(items: pa.Table, *, near: bool) -> Iterator[Int64]:
    """Yield for each field that names or describes items the group of each item, -1 without words. [n_items].

    Items of a group have the same words, or with `near` all but one.
    """
    for name in items.column_names:
        if name == "item_id" or not _is_text(items[name]):
            continue
        raw = [text or "" for text in items[name].to_pylist()]
        texts = [" ".join(words(text)) for text in raw]
        if len({*texts} - {""}) <= 0.5 * len(texts):
            continue  # a category, not a name or a description
        if sum(bool(CODE.fullmatch(text)) for text in raw) > 0.5 * len(texts):
            continue  # addresses and numbers: duplicate items have different ones
        owner, key = np.array(
            [(at, hash(key)) for at, text in enumerate(texts) for key in _keys_of(text, near=near)], np.int64
        ).T
        distinct, place = np.unique(key, return_inverse=True)
        bridge = sp.csr_matrix((np.ones(len(owner), np.int8), (owner, place)), shape=(len(texts), len(distinct)))
        joined = sp.block_array([[None, bridge], [bridge.T, None]])
        group: npt.NDArray[np.int32] = connected_components(joined, directed=False)[1]
        yield np.where([not text for text in texts], -1, group[: len(texts)]).astype(np.int64)


def _keys_of(text: str, *, near: bool) -> Iterator[frozenset[str]]:
    """Yield the set of words; of a long text also each set without one word, but not a number: part 2 is not part 3."""
    found = frozenset(text.split()[:MOST_WORDS])
    if found:
        yield found
    if near and len(found) >= NEAR_WORDS:
        for word in found:
            if not any(letter.isdigit() for letter in word):
                yield found - {word}


def _is_text(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
