"""Why one item, with all the evidence the recommender has. Knows the world at one moment; changes nothing in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genre.data.words import words
from genre.features.augmentation import told_of
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import POPULAR, REORDERING, Explanation, phrase, sentence
from genre.recommenders.llm_reranker import rerankers
from genre.serving.breaker import Skipped
from genre.serving.fallback import source_of
from genre.serving.loaded_run import Past, Shelf
from genre.serving.reasons import popular_reason, wish_reasons
from genre.serving.requests import DIGITS, Part, Why
from genre.serving.state import World

NEWEST = 100  # interactions that an explanation looks at
WORDS = 20


def explain(
    world: World,
    item_id: str,
    *,
    user_id: str | None,
    history: Sequence[str] | None,
    words: str | None,
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
        why = _by_evidence(world, shelf, name, past, row, trouble)
    else:
        count = round(float(world.popularity(shelf)[row]), DIGITS)
        title, reason = shelf.catalogue.titles[row], POPULAR
        why = Why(item_id, title, count, reason, "popularity", "popular", shelf.name, name, [], count, fallback=trouble)
    return why if words is None or shelf.wishes is None else _asked(world, shelf, why, past, row, words)


def _asked(world: World, shelf: Shelf, why: Why, past: Past, row: int, query: str) -> Why:
    """Of a list asked for in words: what the words and the recommender add, as `Ladder.by_words` does."""
    assert shelf.wishes is not None
    wish = shelf.wishes.understand(query)
    history = shelf.together([past]) if past.tells else None
    try:
        match, shares, late = world.ladder.parts(shelf, why.recommender, wish, history)
    except Skipped as skipped:
        return replace(why, fallback=why.fallback or f"words_{skipped.outcome}")
    asked = {name: round(float(share[row]), DIGITS) for name, share in shares.items()}
    matched = popular_reason(wish) if match.fit is None else wish_reasons(shelf, wish, match.near, [row])[0]
    by_taste = past.tells and "taste" in shares
    if match.fit is None and by_taste:
        return replace(why, asked=asked, fallback=why.fallback or late)
    causes = [cause["title"] for cause in why.because if cause["share"] > 0][:2] if asked.get("taste", 0) > 0 else []
    because = phrase(causes) if causes else ""
    shared = shelf.catalogue.shared_words(row, set(words(wish.wanted, terms=True)))
    return replace(
        why,
        reason="; ".join(part for part in (matched, because) if part),
        source="popular" if match.fit is None else "content",
        asked=asked,
        words=list(dict.fromkeys((*shared, *why.words)))[:WORDS],
        fallback=why.fallback or late,
    )


def _by_evidence(world: World, shelf: Shelf, name: str, past: Past, row: int, trouble: str | None) -> Why:
    """The recommender's own evidence; that of the texts when it is late."""
    catalogue = shelf.catalogue
    one = shelf.together([past]).last(NEWEST)

    def ask(model: Recommender) -> Explanation:
        return model.explain(one, np.array([row], np.int32))[0]

    found, rung, late = world.ladder.climb(shelf, name, "explain", ask)
    count = float(world.popularity(shelf)[row])
    found = found or Explanation(row, count, "popularity", popular=count)
    found = replace(found, words=catalogue.shared_words(row, catalogue.words_of(set(one.item.tolist()))))
    return Why(
        item_id=catalogue.item_ids[row],
        title=catalogue.titles[row],
        score=round(found.score, DIGITS),
        reason=sentence(found, catalogue.titles),
        method=found.method,
        source=source_of(rung, past),
        run=shelf.name,
        recommender=name,
        because=[
            {"item_id": catalogue.item_ids[item], "title": catalogue.titles[item], "share": round(share, DIGITS)}
            for item, share in found.history
        ],
        popular=round(found.popular, DIGITS),
        parts=[
            Part(part, round(share, DIGITS), *_origin(shelf, name, past.user, part))
            for part, share in found.parts.items()
        ],
        words=list(found.words[:WORDS]),
        fallback=late or trouble,
    )


def _origin(shelf: Shelf, name: str, user: int, part: str) -> tuple[str | None, str | None]:
    """The text behind a part of a score, and the language model behind it."""
    if part != REORDERING:
        return told_of(shelf.dataset.users, user, part)
    asked = [stage.llm.provider.fingerprint for stage in rerankers(shelf.models[name]) if stage.llm is not None]
    return None, ", ".join(dict.fromkeys(asked)) or None
