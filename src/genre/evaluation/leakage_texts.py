"""Leaks through words: an answer that stands in the history under another id, and texts that tell the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from genre.evaluation.findings import Finding
from genre.preprocessing.dataset import Int64
from genre.preprocessing.splits import Fold, Split

NEAR_WORDS = 6  # from so many words on, texts that differ in one word are near-identical
MOST_WORDS = 60  # a longer text is known by its first words
TITLE_LETTERS = 8  # shorter titles stand in texts by chance


def check(split: Split, user_texts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Both checks, on the test part."""
    yield from _doubles(split.test)
    yield from _told(split, user_texts)


def _doubles(fold: Fold) -> Iterator[Finding]:
    """Targets whose text is that of another item in the same user's history."""
    group = _same_text(fold.context.items)
    if group is None:
        return
    context, target = fold
    size = np.bincount(group)
    known = np.unique(context.user.astype(np.int64) * len(size) + group[context.item])
    double = (size[group[target.item]] > 1) & np.isin(
        target.user.astype(np.int64) * len(size) + group[target.item], known
    )
    if double.any():
        row = int(np.argmax(double))
        own = group[target.item[row]]
        names = [context.item_ids[item] for item in np.flatnonzero(group == own).tolist()]
        yield Finding(
            "double-items",
            "error" if double.mean() >= 0.01 else "warning",
            f"{int(double.sum()):,} of {len(target):,} test targets are near-identical to an item of the same history",
            f"items {', '.join(names[:3])} of user {target.user_ids[target.user[row]]}",
            "merge items that are the same thing before splitting",
        )


def _told(split: Split, user_texts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Texts of users that name what the user is asked for."""
    context, target = split.test
    users = context.users
    columns = {
        name: users[name].to_pylist() for name in users.column_names if name != "user_id" and _is_text(users[name])
    }
    titles = [_words(title) for title in target.titles()]
    known = set(zip(split.train.user.tolist(), split.train.item.tolist(), strict=True))
    for name, texts in {**columns, **user_texts}.items():
        folded = {user: f" {_words(texts[user] or '')} " for user in np.unique(target.user).tolist()}
        told = [
            (user, item)
            for user, item in zip(target.user.tolist(), target.item.tolist(), strict=True)
            if (user, item) not in known and len(titles[item]) >= TITLE_LETTERS and f" {titles[item]} " in folded[user]
        ]
        if told:
            user, item = told[0]
            yield Finding(
                "told-answers",
                "error",
                f"field {name!r} of users names {len(told):,} of their test targets",
                f"user {target.user_ids[user]}: {target.titles()[item]}",
                "write texts about users from the train part alone",
            )


def _same_text(items: pa.Table) -> Int64 | None:
    """A group for each item; items of a group have the same words in some telling field, or all but one. [n_items]"""
    keys: list[tuple[int, int]] = []  # (item, hash of words)
    for name in items.column_names:
        if name == "item_id" or not _is_text(items[name]):
            continue
        texts = [_words(text or "") for text in items[name].to_pylist()]
        filled = [text for text in texts if text]
        if len(set(filled)) <= 0.5 * len(texts):
            continue  # a category, not a name or a description
        for item, text in enumerate(texts):
            keys += [(item, hash((name, words))) for words in _keys_of(text)]
    if not keys:
        return None
    owner, key = (np.array(column, np.int64) for column in zip(*keys, strict=True))
    distinct, place = np.unique(key, return_inverse=True)
    bridge = sp.csr_matrix((np.ones(len(owner), np.int8), (owner, place)), shape=(items.num_rows, len(distinct)))
    groups: npt.NDArray[np.int32] = connected_components(
        sp.block_array([[None, bridge], [bridge.T, None]]), directed=False
    )[1]
    return np.unique(groups[: items.num_rows], return_inverse=True)[1].astype(np.int64)


def _keys_of(text: str) -> Iterator[frozenset[str]]:
    """The set of words; of a long text also each set without one word, but never a number: part 2 is not part 3."""
    words = frozenset(text.split()[:MOST_WORDS])
    if words:
        yield words
    if len(words) >= NEAR_WORDS:
        for word in words:
            if not any(letter.isdigit() for letter in word):
                yield words - {word}


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _is_text(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
