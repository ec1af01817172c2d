"""Lists of items: for users, histories and words; like an item; what everybody takes. Many requests at once.

Knows the state at one moment; changes nothing in it.
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
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.reasons import popular_reason, query_reasons, reasons, word_reasons
from genre.serving.requests import DIGITS, ListRequest, ListSource, RankedList
from genre.serving.search.catalogue import Mask
from genre.serving.search.query import Query
from genre.serving.state import Recent, State

Scores = npt.NDArray[np.floating[Any]]


def recommend_many(state: State, asks: Sequence[ListRequest]) -> list[RankedList | GenreError]:
    """Answers, or what is wrong with the request, in the order of the requests. Those alike are scored together."""
    answers: dict[int, RankedList | GenreError] = {}
    groups: dict[Any, list[_Resolved]] = {}
    recent, trouble = state.recent({ask.user_id for ask in asks if ask.user_id is not None and ask.history is None})
    for place, ask in enumerate(asks):
        try:
            resolved = _understand(state, place, ask, recent, trouble)
        except GenreError as error:
            answers[place] = error
        else:
            groups.setdefault(resolved.alike, []).append(resolved)
    for group in groups.values():
        try:
            made: Sequence[RankedList | GenreError] = _answer(state, group)
        except GenreError as error:  # a query without a word in it
            made = [error] * len(group)
        answers.update(zip((resolved.place for resolved in group), made, strict=True))
    return [answers[place] for place in range(len(asks))]


@dataclass(slots=True)
class _Resolved:
    """A request with all its names looked up."""

    place: int
    ask: ListRequest
    loaded: LoadedRun
    name: str
    past: SingleHistory
    has_likes: bool
    mask: Mask | None
    trouble: str | None
    query: Query | None

    @property
    def turned(self) -> bool:
        return self.ask.novelty > 0 or self.ask.diversity > 0

    @property
    def alike(self) -> Any:
        """Equal for requests that can be scored together."""
        if self.ask.words is not None:
            return self.place
        return self.loaded, self.name, id(self.mask), self.ask.exclude_seen, self.has_likes, self.turned


def _understand(state: State, place: int, ask: ListRequest, recent: Recent, trouble: str | None) -> _Resolved:
    loaded = state.loaded_run(ask.run, ask.user_id)
    name = loaded.model(ask.recommender)
    past = state.history(loaded, ask.user_id, ask.history, recent)
    mask = loaded.catalogue.mask(ask.include, ask.exclude, ask.filter)
    asks_store = ask.user_id is not None and ask.history is None
    query = None if ask.words is None or loaded.matcher is None else loaded.matcher.parse(ask.words)
    return _Resolved(place, ask, loaded, name, past, past.has_likes, mask, trouble if asks_store else None, query)


def _answer(state: State, group: Sequence[_Resolved]) -> list[RankedList]:
    history = group[0].loaded.batch([resolved.past for resolved in group])
    ranked = _rank(state, group, history)
    ranked = ranked._replace(score=_rounded(ranked.score))
    if len(group) == 1:
        return [_dress(group[0], history, ranked, 0)]
    return [_dress(resolved, history.select(slice(at, at + 1)), ranked, at) for at, resolved in enumerate(group)]


def _rank(state: State, group: Sequence[_Resolved], history: History) -> Ranked:
    first = group[0]
    loaded, ask = first.loaded, first.ask
    k = max(pool_size(resolved.ask.k) if resolved.turned else resolved.ask.k for resolved in group)
    seen, popularity = history if ask.exclude_seen else None, state.popularity(loaded)
    if ask.words is not None:
        return _by_words(state, first, history, k)
    if first.has_likes:
        rank = state.fallback.rank
        return rank(loaded, first.name, history, k, popularity, exclude_seen=ask.exclude_seen, mask=first.mask)
    return state.fallback.popular(loaded, popularity, k, len(group), seen, first.mask)


def _by_words(state: State, resolved: _Resolved, history: History, k: int) -> Ranked:
    """One request in words: by meaning where the run has a text encoder, else by the words in titles."""
    loaded, text = resolved.loaded, resolved.ask.words or ""
    seen = (history.indptr, history.item) if resolved.ask.exclude_seen else None
    trouble = "words_unavailable"
    if resolved.query is not None:
        taste = history if resolved.has_likes else None
        try:
            return state.fallback.by_words(
                loaded, resolved.name, resolved.query, taste, k, seen=seen, mask=resolved.mask
            )
        except Skipped as skipped:
            trouble = f"words_{skipped.outcome}"
    found = np.zeros(loaded.n_items, bool)
    for word in set(words(text, terms=True)):
        found[loaded.catalogue.search(word, loaded.n_items, loaded.popularity)] = True
    found = found if resolved.mask is None else found & resolved.mask
    mask = found if found.any() else resolved.mask
    shown = history if resolved.ask.exclude_seen else None
    ranked = state.fallback.popular(loaded, state.popularity(loaded), k, 1, shown, mask, trouble)
    return ranked._replace(step="content") if found.any() else ranked


def _dress(resolved: _Resolved, history: History, ranked: Ranked, at: int) -> RankedList:
    """A row of a ranking as people see it."""
    loaded, ask = resolved.loaded, resolved.ask
    items, scores = _filled(ranked.item[at], ranked.score[at])
    if resolved.turned:
        items, scores = rescored(
            items,
            scores,
            ask.k,
            novelty=ask.novelty,
            diversity=ask.diversity,
            popularity=loaded.popularity,
            vectors=None if loaded.content is None else loaded.content.item_vectors_,
        )
    items, scores = items[: ask.k], scores[: ask.k]
    why = _why(resolved, history, ranked, items)
    listed = _listed(loaded, items, scores, why, ask.fields)
    source = source_of(ranked.step, resolved.past)
    return RankedList(listed, source, loaded.name, resolved.name, ranked.fallback or resolved.trouble)


def _why(resolved: _Resolved, history: History, ranked: Ranked, items: Int32) -> list[str]:
    """A sentence for each item; what a query and an item share goes before what the history says."""
    loaded, query = resolved.loaded, resolved.query
    if resolved.ask.words is not None and ranked.match is None and ranked.step == "content":
        return word_reasons(loaded, set(words(resolved.ask.words, terms=True)), items.tolist())
    if query is not None and ranked.match is not None and ranked.step == "popular":
        return [popular_reason(query)] * len(items)
    model, novel = loaded.models[resolved.name], resolved.ask.novelty > 0
    if query is None or ranked.match is None or ranked.step == "model":
        return reasons(loaded, model, history, items, ranked.step, novel=novel)
    found = query_reasons(loaded, query, ranked.match.near, items.tolist())
    if not resolved.has_likes or all(found):
        return found
    taste = reasons(loaded, model, history, items, "model", novel=True)
    return [reason or other for reason, other in zip(found, taste, strict=True)]


def _rounded(scores: Scores) -> Scores:
    return np.round(scores.astype(np.float64), DIGITS)  # as float32 the digits behind would be noise


def _filled(items: Int32, scores: Scores) -> tuple[Int32, Scores]:
    """Without the places at the end that nothing is left for."""
    n = len(items) if len(items) and items[-1] >= 0 else int((items >= 0).sum())
    return items[:n], scores[:n]


def similar(
    state: State, item_id: str, *, k: int, run: str | None, recommender: str | None, fields: Sequence[str]
) -> RankedList:
    loaded = state.loaded_run(run)
    name, row = loaded.model(recommender), loaded.catalogue.row.get(item_id)
    if row is None:
        return popular(state, k=k, trending=False, run=loaded.name, fields=fields)
    ranked = state.fallback.similar(loaded, name, row, k, state.popularity(loaded))
    items, scores = _filled(ranked.item[0], ranked.score[0])
    why = f"similar to {loaded.catalogue.titles[row]}" if ranked.step != "popular" else POPULAR
    source: ListSource = "folded_in" if ranked.step == "model" else ranked.step
    listed = _listed(loaded, items, _rounded(scores), [why] * len(items), fields)
    return RankedList(listed, source, loaded.name, name, ranked.fallback)


def popular(
    state: State,
    *,
    k: int,
    trending: bool,
    run: str | None,
    fields: Sequence[str],
) -> RankedList:
    loaded = state.loaded_run(run)
    measure = state.trending.of(loaded.catalogue.row) if trending else state.popularity(loaded)
    ranked = state.fallback.popular(loaded, measure, k, mask=measure > 0 if trending else None)
    items, scores = _filled(ranked.item[0], ranked.score[0])
    why = ["taken a lot of late" if trending else POPULAR] * len(items)
    return RankedList(_listed(loaded, items, _rounded(scores), why, fields), "popular", loaded.name, "popular")


def _listed(
    loaded: LoadedRun, items: Int32, scores: Scores, why: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    item_ids, titles, rows = loaded.catalogue.item_ids, loaded.catalogue.titles, items.tolist()
    listed: list[dict[str, Any]] = [
        {"item_id": item_ids[row], "title": titles[row], "score": score, "reason": reason}
        for row, score, reason in zip(rows, scores.tolist(), why, strict=True)
    ]
    if fields:
        for row, entry in zip(rows, listed, strict=True):
            entry["fields"] = loaded.catalogue.describe(row, fields)
    return listed
