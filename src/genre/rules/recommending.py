"""Lists of a recommender that keep rules, for batches of histories: in `genre recommend`, reports and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genre.arrays import Int32
from genre.data.history import History
from genre.data.ids import Ids
from genre.recommenders.base import Recommender
from genre.recommenders.listing import Among
from genre.recommenders.recommendations import Recommendations
from genre.rules.applying import Past, RuledList, apply_rules
from genre.rules.rule_set import RuleSet, Scores


class ScoredItems(NamedTuple):
    """Items with their scores, best first.

    Attributes:
        items: Rows of items. `[n]`
        scores: Their scores. `[n]`
    """

    items: Int32
    scores: Scores

    def joined(self, more: Sequence[tuple[Int32, Scores]]) -> ScoredItems:
        """Add candidates that other queries found.

        Args:
            more: Rows of their items, -1 behind the last, and their scores, of the same recommender.

        Returns:
            All of them, each once, best first.
        """
        known, items, scores = set(self.items.tolist()) if more else set(), [self.items], [self.scores]
        for rows, values in more:
            new = [at for at, row in enumerate(rows.tolist()) if row >= 0 and row not in known]
            if new:
                items.append(rows[new])
                scores.append(values[new])
                known.update(items[-1].tolist())
        if len(items) == 1:
            return self
        joined, known_scores = np.concatenate(items), np.concatenate(scores)
        order = np.argsort(-known_scores, kind="stable")
        return ScoredItems(joined[order], known_scores[order])


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
    first, *more = recommender.recommend_among(history, among, exclude_seen=exclude_seen)
    out = []
    for at in range(len(history)):
        items, scores = scored_items(first.item[at], first.score[at]).joined(
            [(found.item[at], found.score[at]) for found in more]
        )
        had = slice(history.indptr[at], history.indptr[at + 1])
        past = Past(history.item[had], None if history.timestamp is None else history.timestamp[had])
        out.append(apply_rules(rules, items, scores, k, now, past=past, exclude_seen=exclude_seen))
    return out


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
