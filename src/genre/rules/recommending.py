"""Lists of a recommender that keep rules, for batches of histories: in `genre recommend`, reports and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from genre.arrays import Int32
from genre.data.history import History
from genre.data.ids import Ids
from genre.recommenders.base import Recommender
from genre.recommenders.listing import Among
from genre.recommenders.recommendations import Recommendations
from genre.rules.applying import Past, Recipient, RuledList, apply_rules
from genre.rules.rule_set import RuleSet, Scores


class ScoredItems(NamedTuple):
    """Items with their scores, best first.

    Attributes:
        items: Rows of items. `[n]`
        scores: Their scores. `[n]`
    """

    items: Int32
    scores: Scores


def merged(found: Sequence[tuple[Int32, Scores]]) -> tuple[Int32, Scores]:
    """Put candidates that several queries found into one list for each history.

    Args:
        found: For each query rows of items, -1 behind the last, and their scores, by the same recommender. `[n, m]`

    Returns:
        Rows of items, each once, best first, -1 behind the last, and their scores, minus infinity there. `[n, m]`
    """
    if len(found) == 1:
        return found[0]
    items, scores = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    each = np.arange(len(items))[:, None]
    by_item = np.argsort(items, axis=1, kind="stable")  # equal ones side by side, that of the first query first
    ordered = items[each, by_item]
    row, at = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
    again = row, by_item[row, at + 1]
    items[again], scores[again] = -1, -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")
    return items[each, best], scores[each, best]


def recommend_by_rules(
    recommender: Recommender, history: History, rules: RuleSet, now: int, *, k: int, exclude_seen: bool = True
) -> list[RuledList]:
    """Recommend items to each of several histories by rules.

    Args:
        recommender: A fitted recommender.
        history: `n` histories.
        rules: The rules.
        now: The time, in seconds since 1970.
        k: Length of the lists.
        exclude_seen: Leave out the items of the history.

    Returns:
        A list for each history. `[n]`
    """
    lists = _recommend(recommender, history, rules, now, k, exclude_seen=exclude_seen, wide=False)
    short = [at for at, found in enumerate(lists) if len(found.items) < k]
    if short and not rules.only_hides and rules.pool(k, wide=False) < history.n_items:
        again = _recommend(recommender, history.select(short), rules, now, k, exclude_seen=exclude_seen, wide=True)
        for at, found in zip(short, again, strict=True):
            lists[at] = found
    return lists


def _recommend(
    recommender: Recommender, history: History, rules: RuleSet, now: int, k: int, *, exclude_seen: bool, wide: bool
) -> list[RuledList]:
    """Recommend items by rules, from few candidates or from many."""
    among = [Among(rules.pool(k, wide=wide), rules.allowed(now)), *rules.wanted(now, k, wide=wide)]
    found = recommender.recommend_among(history, among, exclude_seen=exclude_seen)
    items, scores = merged([(one.item, one.score) for one in found])
    had = [slice(start, end) for start, end in pairwise(history.indptr.tolist())]
    times = history.timestamp
    pasts = [Past(history.item[one], None if times is None else times[one]) for one in had]
    return apply_rules(rules, items, scores, [Recipient(k, past) for past in pasts], now, exclude_seen=exclude_seen)


def scored_items(items: Int32, scores: Scores) -> ScoredItems:
    """Cut off the places behind the last item of a row.

    Args:
        items: Rows of items, best first, -1 behind the last. `[n]`
        scores: Their scores. `[n]`

    Returns:
        The items that are there.
    """
    n = len(items) if len(items) and items[-1] >= 0 else int((items >= 0).sum())
    return ScoredItems(items[:n], scores[:n])


def as_recommendations(lists: Sequence[RuledList], k: int, item_ids: Ids) -> Recommendations:
    """Put lists into one table.

    Args:
        lists: `n` lists.
        k: The length of the longest.
        item_ids: The ids of all items.

    Returns:
        `[n, k]`; -1 and a score of minus infinity behind the last item of a list.
    """
    item, score = np.full((len(lists), k), -1, np.int32), np.full((len(lists), k), -np.inf, np.float32)
    for at, found in enumerate(lists):
        item[at, : len(found.items)], score[at, : len(found.items)] = found.items, found.scores
    return Recommendations(item, score, item_ids)
