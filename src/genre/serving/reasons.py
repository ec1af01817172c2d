"""One line for each item of a list: why it is there. Cheap enough to be in every answer.

Exact where the score is a sum over the history; elsewhere the item of the history that is most like it. The full
evidence of one item is `Service.explain`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genre.preprocessing.dataset import Float32, History, Int32
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import phrase
from genre.serving.ranking import Rung
from genre.serving.shelf import Shelf

NO_CAUSE = "a guess: nothing you chose speaks for it"


def reasons(shelf: Shelf, model: Recommender, history: History, items: Int32, rung: Rung) -> list[str]:
    """A sentence for each of `items` `[m]`, recommended to the one history."""
    if rung == "popular" or model.evidence == "popularity" or len(history.item) == 0:
        return [phrase(())] * len(items)
    titles = shelf.catalogue.titles
    if rung == "model" and model.evidence == "exact":
        shares, popular = model.contributions(history, items), model.popular(history)[items]
        led = popular > np.maximum(shares, 0).sum(axis=1)
        causes = strongest(shares, history.item)
        return [
            phrase([titles[item] for item in cause], popular=lead) if cause or lead else NO_CAUSE
            for cause, lead in zip(causes, led, strict=True)
        ]
    if shelf.content is None:
        return [NO_CAUSE] * len(items)
    vectors, liked = shelf.content.item_vectors_, history.item[history.weight > 0]
    alike = strongest(vectors[items] @ vectors[liked].T, liked)
    return [f"similar to {titles[cause[0]]}" if cause else NO_CAUSE for cause in alike]


def strongest(shares: Float32, causes: Int32) -> list[list[int]]:
    """For each row of `shares` `[m, length]` the items of `causes` that speak most for it, at most two."""
    from genre.serving.strongest import two_strongest

    found = two_strongest(np.ascontiguousarray(shares), np.ascontiguousarray(causes)).tolist()
    return [[item for item in pair if item >= 0] for pair in found]


def word_reasons(shelf: Shelf, words: set[str], items: Sequence[int]) -> list[str]:
    """A sentence for each item found by words."""
    shared = [shelf.catalogue.shared_words(item, words) for item in items]
    return [phrase((), found) if found else "close to your words in meaning" for found in shared]
