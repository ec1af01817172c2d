"""Lists of items: for users, histories and words; like an item; what everybody takes. Many requests at once.

Knows the world at one moment; changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Int32
from genre.data.dataset import History
from genre.data.words import words
from genre.errors import GenreError
from genre.recommenders.explanation import POPULAR
from genre.serving.breaker import Skipped
from genre.serving.diversify import pool_size, rescored
from genre.serving.fallback import Ranked, source_of
from genre.serving.loaded_run import Past, Shelf
from genre.serving.reasons import popular_reason, reasons, wish_reasons, word_reasons
from genre.serving.requests import DIGITS, Answer, Ask, Source
from genre.serving.search.catalogue import Mask
from genre.serving.search.query import Wish
from genre.serving.state import Recent, World

Scores = npt.NDArray[np.floating[Any]]


def recommend_many(world: World, asks: Sequence[Ask]) -> list[Answer | GenreError]:
    """Answers, or what is wrong with the request, in the order of the requests. Those alike are scored together."""
    answers: dict[int, Answer | GenreError] = {}
    groups: dict[Any, list[_Query]] = {}
    recent, trouble = world.recent({ask.user_id for ask in asks if ask.user_id is not None and ask.history is None})
    for place, ask in enumerate(asks):
        try:
            query = _understand(world, place, ask, recent, trouble)
        except GenreError as error:
            answers[place] = error
        else:
            groups.setdefault(query.alike, []).append(query)
    for group in groups.values():
        try:
            made: Sequence[Answer | GenreError] = _answer(world, group)
        except GenreError as error:  # a wish without a word in it
            made = [error] * len(group)
        answers.update(zip((query.place for query in group), made, strict=True))
    return [answers[place] for place in range(len(asks))]


@dataclass(slots=True)
class _Query:
    """A request with all its names looked up."""

    place: int
    ask: Ask
    shelf: Shelf
    name: str
    past: Past
    tells: bool
    mask: Mask | None
    trouble: str | None
    wish: Wish | None

    @property
    def turned(self) -> bool:
        return self.ask.novelty > 0 or self.ask.explore > 0

    @property
    def alike(self) -> Any:
        """Equal for requests that can be scored together."""
        if self.ask.words is not None:
            return self.place
        return self.shelf, self.name, id(self.mask), self.ask.exclude_seen, self.tells, self.turned


def _understand(world: World, place: int, ask: Ask, recent: Recent, trouble: str | None) -> _Query:
    shelf = world.shelf(ask.run, ask.user_id)
    name = shelf.model(ask.recommender)
    past = world.past(shelf, ask.user_id, ask.history, recent)
    mask = shelf.catalogue.mask(ask.include, ask.exclude, ask.filter)
    asks_store = ask.user_id is not None and ask.history is None
    wish = None if ask.words is None or shelf.wishes is None else shelf.wishes.understand(ask.words)
    return _Query(place, ask, shelf, name, past, past.tells, mask, trouble if asks_store else None, wish)


def _answer(world: World, group: Sequence[_Query]) -> list[Answer]:
    history = group[0].shelf.together([query.past for query in group])
    ranked = _rank(world, group, history)
    ranked = ranked._replace(score=_rounded(ranked.score))
    if len(group) == 1:
        return [_dress(group[0], history, ranked, 0)]
    return [_dress(query, history.select(slice(at, at + 1)), ranked, at) for at, query in enumerate(group)]


def _rank(world: World, group: Sequence[_Query], history: History) -> Ranked:
    first = group[0]
    shelf, ask = first.shelf, first.ask
    k = max(pool_size(query.ask.k) if query.turned else query.ask.k for query in group)
    seen, popularity = history if ask.exclude_seen else None, world.popularity(shelf)
    if ask.words is not None:
        return _by_words(world, first, history, k)
    if first.tells:
        rank = world.ladder.rank
        return rank(shelf, first.name, history, k, popularity, exclude_seen=ask.exclude_seen, mask=first.mask)
    return world.ladder.popular(shelf, popularity, k, len(group), seen, first.mask)


def _by_words(world: World, query: _Query, history: History, k: int) -> Ranked:
    """One request in words: by meaning where the run has a text encoder, else by the words in titles."""
    shelf, text = query.shelf, query.ask.words or ""
    seen = (history.indptr, history.item) if query.ask.exclude_seen else None
    trouble = "words_unavailable"
    if query.wish is not None:
        taste = history if query.tells else None
        try:
            return world.ladder.by_words(shelf, query.name, query.wish, taste, k, seen=seen, mask=query.mask)
        except Skipped as skipped:
            trouble = f"words_{skipped.outcome}"
    found = np.zeros(shelf.n_items, bool)
    for word in set(words(text, terms=True)):
        found[shelf.catalogue.search(word, shelf.n_items, shelf.popularity)] = True
    found = found if query.mask is None else found & query.mask
    mask = found if found.any() else query.mask
    shown = history if query.ask.exclude_seen else None
    ranked = world.ladder.popular(shelf, world.popularity(shelf), k, 1, shown, mask, trouble)
    return ranked._replace(rung="content") if found.any() else ranked


def _dress(query: _Query, history: History, ranked: Ranked, at: int) -> Answer:
    """A row of a ranking as people see it."""
    shelf, ask = query.shelf, query.ask
    items, scores = _filled(ranked.item[at], ranked.score[at])
    if query.turned:
        items, scores = rescored(
            items,
            scores,
            ask.k,
            novelty=ask.novelty,
            explore=ask.explore,
            popularity=shelf.popularity,
            vectors=None if shelf.content is None else shelf.content.item_vectors_,
        )
    items, scores = items[: ask.k], scores[: ask.k]
    why = _why(query, history, ranked, items)
    listed = _listed(shelf, items, scores, why, ask.fields)
    source = source_of(ranked.rung, query.past)
    return Answer(listed, source, shelf.name, query.name, ranked.fallback or query.trouble)


def _why(query: _Query, history: History, ranked: Ranked, items: Int32) -> list[str]:
    """A sentence for each item; what a wish and an item share goes before what the history says."""
    shelf, wish = query.shelf, query.wish
    if query.ask.words is not None and ranked.match is None and ranked.rung == "content":
        return word_reasons(shelf, set(words(query.ask.words, terms=True)), items.tolist())
    if wish is not None and ranked.match is not None and ranked.rung == "popular":
        return [popular_reason(wish)] * len(items)
    model, novel = shelf.models[query.name], query.ask.novelty > 0
    if wish is None or ranked.match is None or ranked.rung == "model":
        return reasons(shelf, model, history, items, ranked.rung, novel=novel)
    found = wish_reasons(shelf, wish, ranked.match.near, items.tolist())
    if not query.tells or all(found):
        return found
    taste = reasons(shelf, model, history, items, "model", novel=True)
    return [reason or other for reason, other in zip(found, taste, strict=True)]


def _rounded(scores: Scores) -> Scores:
    return np.round(scores.astype(np.float64), DIGITS)  # as float32 the digits behind would be noise


def _filled(items: Int32, scores: Scores) -> tuple[Int32, Scores]:
    """Without the places at the end that nothing is left for."""
    n = len(items) if len(items) and items[-1] >= 0 else int((items >= 0).sum())
    return items[:n], scores[:n]


def similar(
    world: World, item_id: str, *, k: int, run: str | None, recommender: str | None, fields: Sequence[str]
) -> Answer:
    shelf = world.shelf(run)
    name, row = shelf.model(recommender), shelf.catalogue.row.get(item_id)
    if row is None:
        return popular(world, k=k, trending=False, run=shelf.name, fields=fields)
    ranked = world.ladder.similar(shelf, name, row, k, world.popularity(shelf))
    items, scores = _filled(ranked.item[0], ranked.score[0])
    why = f"similar to {shelf.catalogue.titles[row]}" if ranked.rung != "popular" else POPULAR
    source: Source = "folded_in" if ranked.rung == "model" else ranked.rung
    listed = _listed(shelf, items, _rounded(scores), [why] * len(items), fields)
    return Answer(listed, source, shelf.name, name, ranked.fallback)


def popular(
    world: World,
    *,
    k: int,
    trending: bool,
    run: str | None,
    fields: Sequence[str],
) -> Answer:
    shelf = world.shelf(run)
    measure = world.trend.of(shelf.catalogue.row) if trending else world.popularity(shelf)
    ranked = world.ladder.popular(shelf, measure, k, mask=measure > 0 if trending else None)
    items, scores = _filled(ranked.item[0], ranked.score[0])
    why = ["taken a lot of late" if trending else POPULAR] * len(items)
    return Answer(_listed(shelf, items, _rounded(scores), why, fields), "popular", shelf.name, "popular")


def _listed(
    shelf: Shelf, items: Int32, scores: Scores, why: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    item_ids, titles, rows = shelf.catalogue.item_ids, shelf.catalogue.titles, items.tolist()
    listed: list[dict[str, Any]] = [
        {"item_id": item_ids[row], "title": titles[row], "score": score, "reason": reason}
        for row, score, reason in zip(rows, scores.tolist(), why, strict=True)
    ]
    if fields:
        for row, entry in zip(rows, listed, strict=True):
            entry["fields"] = shelf.catalogue.describe(row, fields)
    return listed
