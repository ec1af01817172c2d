"""Lists of a recommender that keep rules, for batches of histories: in `genre recommend`, reports and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genre.arrays import Int32
from genre.data.history import History
from genre.data.ids import Ids
from genre.data.item_fields import Mask
from genre.recommenders.base import Recommender
from genre.recommenders.recommendations import Recommendations
from genre.rules.rule_set import Past, RuledList, RuleSet, Scores


class ScoredItems(NamedTuple):
    """ScoredItems of one list, best first.

    Attributes:
        items: Rows of items. `[n]`
        scores: Their scores. `[n]`
    """

    items: Int32
    scores: Scores

    def joined(self, more: ScoredItems) -> ScoredItems:
        """Add candidates that another query found.

        Args:
            more: The others, of the same recommender.

        Returns:
            All of them, each once, best first.
        """
        new = ~np.isin(more.items, self.items)
        items = np.concatenate([self.items, more.items[new]])
        scores = np.concatenate([self.scores, more.scores[new]])
        order = np.argsort(-scores, kind="stable")
        return ScoredItems(items[order], scores[order])


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

    def query(mask: Mask | None) -> Recommendations:
        n = min(rules.pool(k), history.n_items)
        return recommender.recommend(history, k=n, exclude_seen=exclude_seen, candidates=mask)

    queries = [query(rules.allowed(now)), *(query(mask) for mask in rules.wanted(now))]
    out = []
    for at in range(len(history)):
        first, *more = (scored_items(found.item[at], found.score[at]) for found in queries)
        for one in more:
            first = first.joined(one)
        had = slice(history.indptr[at], history.indptr[at + 1])
        past = Past(history.item[had], None if history.timestamp is None else history.timestamp[had])
        out.append(rules.arrange(first.items, first.scores, k, now, past=past, exclude_seen=exclude_seen))
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
