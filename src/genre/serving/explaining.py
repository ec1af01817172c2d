"""Why one item, with all the evidence the recommender has. Knows the world at one moment; changes nothing in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genre.recommenders.base import Recommender
from genre.recommenders.explanation import POPULAR, Explanation, sentence
from genre.serving.answers import Why
from genre.serving.ranking import source_of
from genre.serving.shelf import Past, Shelf
from genre.serving.world import World

NEWEST = 100  # interactions that an explanation looks at
WORDS = 20


def explain(
    world: World,
    item_id: str,
    *,
    user_id: str | None,
    history: Sequence[str] | None,
    run: str | None,
    recommender: str | None,
) -> Why:
    shelf = world.shelf(run, user_id)
    name, row = shelf.model(recommender), shelf.catalogue.row.get(item_id)
    recent, trouble = world.recent({user_id} if user_id is not None and history is None else ())
    past = world.past(shelf, user_id, history, recent)
    if row is None:
        return Why(item_id, item_id, None, "not in the catalogue", "unknown", "popular", shelf.name, name)
    if past.tells:
        return _by_evidence(world, shelf, name, past, row, trouble)
    count = float(world.popularity(shelf)[row])
    title, reason = shelf.catalogue.titles[row], POPULAR
    return Why(item_id, title, count, reason, "popularity", "popular", shelf.name, name, fallback=trouble)


def _by_evidence(world: World, shelf: Shelf, name: str, past: Past, row: int, trouble: str | None) -> Why:
    """The recommender's own evidence; that of the texts when it is late."""
    catalogue = shelf.catalogue
    one = shelf.together([past]).last(NEWEST)

    def ask(model: Recommender) -> Explanation:
        return model.explain(one, np.array([row], np.int32))[0]

    found, rung, late = world.ladder.climb(shelf, name, "explain", ask)
    found = found or Explanation(row, float(world.popularity(shelf)[row]), "popularity")
    found = replace(found, words=catalogue.shared_words(row, catalogue.words_of(set(one.item.tolist()))))
    return Why(
        item_id=catalogue.item_ids[row],
        title=catalogue.titles[row],
        score=round(found.score, 6),
        reason=sentence(found, catalogue.titles),
        method=found.method,
        source=source_of(rung, past),
        run=shelf.name,
        recommender=name,
        because=[
            {"item_id": catalogue.item_ids[item], "title": catalogue.titles[item], "share": round(share, 6)}
            for item, share in found.history
        ],
        words=list(found.words[:WORDS]),
        fallback=late or trouble,
    )
