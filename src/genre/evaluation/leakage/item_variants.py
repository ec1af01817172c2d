"""Leaks through variants of an item: a target whose title is that of an item in the history and a few words more.

A sequel is another item, and a catalogue may have editions: what counts is how much oftener it happens in the test part
than in the validation part. Does not know models.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from genre.data.dataset import TITLE_COLUMNS, Dataset
from genre.data.folds import Fold, Split
from genre.data.words import words
from genre.evaluation.leakage.copies import is_excess
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.leakage.readings import column_as_texts

MOST_ADDED = 3  # words that a variant has more than its base
FEWEST_TITLES = 3  # with the same words added
COUNTS = re.compile(r"\d{1,2}|[ivx]+|part|vol|volume|season|episode|no")  # of sequels

Mask = npt.NDArray[np.bool_]


def check_variants(split: Split) -> Iterator[Finding]:
    """Find targets that are a variant of an item in the same user's history.

    Args:
        split: The split.

    Yields:
        At most one finding.
    """
    base = _bases(split.test.target)
    if not base:
        return
    known = [_in_history(fold, base) for fold in (split.validation, split.test)]
    usual, test = (int(mask.sum()) for mask in known)
    if not is_excess(test, len(known[1]), usual, max(len(known[0]), 1)):
        return
    target = split.test.target
    item = int(target.item[np.argmax(known[1])])
    titles = target.titles()
    yield Finding(
        "item-variants",
        "error",
        f"{test:,} of {len(target):,} test targets have the title of an item in the user's history and a few words "
        f"more, in validation {usual:,} of {len(known[0]):,}",
        f"user {target.user_ids[target.user[np.argmax(known[1])]]}: {titles[item]!r} after {titles[base[item]]!r}",
        "merge items that are the same thing before splitting",
    )


def _in_history(fold: Fold, base: Mapping[int, int]) -> Mask:
    """Mark the targets whose base, or whose variant, is in the same user's history. [n]."""
    context, target = fold
    near = np.full((target.n_items, 2), -1, np.int64)
    for item, other in base.items():
        near[item, 0], near[other, 1] = other, item
    pairs = target.user.astype(np.int64)[:, None] * target.n_items + near[target.item]
    return np.asarray((np.isin(pairs, context.pairs()) & (near[target.item] >= 0)).any(axis=1))


def _bases(data: Dataset) -> dict[int, int]:
    """Find variant -> base: the same words are added to several titles, or all other fields are the same."""
    titles = [" ".join(words(title)) for title in data.titles()]
    first = {title: row for row, title in reversed(list(enumerate(titles)))}
    added: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    uses: Counter[tuple[str, str]] = Counter()
    for row, title in enumerate(titles):
        for key, rest in _parts(title.split()):
            uses[key] += 1
            if rest in first and first[rest] != row:
                added[key].append((row, first[rest]))
    same = _same_fields(data)
    found: dict[int, int] = {}
    for key, pairs in added.items():
        often = len(pairs) >= FEWEST_TITLES and 2 * len(pairs) > uses[key]
        often &= not any(COUNTS.fullmatch(word) for word in key[1].split())
        found |= {row: base for row, base in pairs if often or same(row, base)}
    return found


def _parts(title: Sequence[str]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the last or first few words of a title, and the rest."""
    for size in range(1, min(MOST_ADDED + 1, len(title))):
        yield ("end", " ".join(title[-size:])), " ".join(title[:-size])
        yield ("start", " ".join(title[:size])), " ".join(title[size:])


def _same_fields(data: Dataset) -> Callable[[int, int], bool]:
    """Return whether two items agree in all fields that tell items apart, of which there have to be two."""
    columns = []
    for name in data.items.column_names:
        if name != "item_id" and name not in TITLE_COLUMNS:
            values = column_as_texts(data.items, name) or data.items[name].to_pylist()
            if len(set(map(str, values))) >= 0.1 * len(values):
                columns.append(values)
    return lambda one, other: len(columns) >= 2 and all(values[one] == values[other] for values in columns)
