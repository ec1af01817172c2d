"""One line for each item of a list: why it is there; empty where nothing speaks for it. Cheap enough for every answer.

Exact where the score is a sum over the history; elsewhere the item of the history that is most like it. The full
evidence of one item is `Service.explain`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genre.arrays import Float32, Int32
from genre.data.dataset import History
from genre.data.words import words
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import POPULAR, phrase
from genre.serving.fallback import Step
from genre.serving.loaded_run import LoadedRun
from genre.serving.search.matching import FAINT
from genre.serving.search.query import Query

RARE = "rarer than most"
TELLING = 0.4  # of the nearest category: one no nearer than this is not why


def reasons(
    loaded: LoadedRun, model: Recommender, history: History, items: Int32, step: Step, *, novel: bool = False
) -> list[str]:
    """A sentence for each of `items` `[m]`, recommended to the one history.

    novel: the list was turned towards what few know, so that to be popular is no reason.
    """
    if not novel:
        return _reasons(loaded, model, history, items, step, popular=POPULAR)
    rare = loaded.popularity[items] < np.median(loaded.popularity)
    found = _reasons(loaded, model, history, items, step, popular="")
    return [reason or (RARE if few else "") for reason, few in zip(found, rare, strict=True)]


def _reasons(
    loaded: LoadedRun, model: Recommender, history: History, items: Int32, step: Step, *, popular: str
) -> list[str]:
    """popular: what to say of an item that is there because it is popular; empty: do not say so."""
    if step == "popular" or model.evidence == "popularity" or len(history.item) == 0:
        return [popular] * len(items)
    titles = loaded.catalogue.titles
    if step == "model" and model.evidence == "exact":
        terms = model.terms(history, items)
        beside = {"popular": terms.popular, **terms.parts}
        strength = np.stack([np.maximum(terms.history, 0).sum(axis=1), *beside.values()])  # [2 + n_parts, m]
        leads = [("", *beside)[at] for at in strength.argmax(axis=0).tolist()]
        return [
            _line([titles[item] for item in cause], lead, popular)
            for cause, lead in zip(strongest(terms.history * (history.weight > 0), history.item), leads, strict=True)
        ]
    if loaded.content is None:
        return [""] * len(items)
    vectors, liked = loaded.content.item_vectors_, history.item[history.weight > 0]
    alike = strongest(vectors[items] @ vectors[liked].T, liked)
    return [f"similar to {titles[cause[0]]}" if cause else "" for cause in alike]


def _line(causes: Sequence[str], lead: str, popular: str) -> str:
    """A sentence for one item; empty where nothing may be said."""
    if lead == "popular" and not (causes and popular):
        return phrase(causes) if causes else popular
    return phrase(causes, lead=lead) if causes or lead else ""


def strongest(shares: Float32, causes: Int32) -> list[list[int]]:
    """For each row of `shares` `[m, length]` the items of `causes` that speak most for it, at most two."""
    from genre.kernels.strongest import two_strongest

    found = two_strongest(np.ascontiguousarray(shares), np.ascontiguousarray(causes)).tolist()
    return [[item for item in pair if item >= 0] for pair in found]


def query_reasons(loaded: LoadedRun, query: Query, near: Float32, items: Sequence[int]) -> list[str]:
    """A sentence for each item that fits a query: the item it is like, the categories and words they share.

    near: how near each category is to the query `[n_categories]`. Empty where an item is near in meaning alone.
    """
    assert loaded.matcher is not None
    categories, wanted = loaded.matcher.categories, set(words(query.wanted, terms=True))
    telling = max(near.max(initial=0) * TELLING, FAINT)
    likes = [f"like {' and '.join(loaded.catalogue.titles[row] for row in query.liked[:2])}"] if query.liked else []
    found = []
    for item in items:
        held = sorted((at for at in categories.held(item) if near[at] >= telling), key=lambda at: -near[at])
        names = [categories.names[at] for at in held]
        shared = [word for word in loaded.catalogue.shared_words(item, wanted) if word not in map(str.casefold, names)]
        found.append("; ".join(likes + ([phrase((), names + shared)] if names or shared else [])))
    return found


def popular_reason(query: Query) -> str:
    """Of what everybody takes, in answer to a query that does not say what to look for."""
    without = f"popular, without: {', '.join(query.unwanted)}" if query.unwanted else POPULAR
    return f"{without}; nothing fits your words" if query.wanted else without


def word_reasons(loaded: LoadedRun, words: set[str], items: Sequence[int]) -> list[str]:
    """A sentence for each item found by its words."""
    shared = [loaded.catalogue.shared_words(item, words) for item in items]
    return [phrase((), found) if found else "" for found in shared]
