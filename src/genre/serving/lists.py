"""Lists as people see them: from a batch of requests to titles, scores and a reason for each item.

A reason is exact where the score is a sum over the history; elsewhere it names the most similar item of the history.
The full evidence of one item is made in evidence.py. Knows nothing about what changes while the service runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.data.history import History
from genre.data.item_fields import Mask
from genre.data.words import words
from genre.recommenders.base import Recommender
from genre.recommenders.listing import Among
from genre.recommenders.phrasebook import ENGLISH, PHRASEBOOKS, Phrasebook, with_note
from genre.recommenders.reasons import phrase
from genre.rules.applying import Past, Recipient, RuledList, apply_rules
from genre.rules.recommending import ScoredItems, merged, scored_items
from genre.rules.rule_set import RuleSet, pool_size
from genre.serving.diversify import diversify
from genre.serving.exploration import Explorer
from genre.serving.fallback import Fallback, Ranked, Step
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.requests import DIGITS, ListRequest, ListSource, RankedList
from genre.serving.search.matching import FAINT
from genre.serving.search.query import Query

Scores = npt.NDArray[np.floating[Any]]

TELLING = 0.4  # of the nearest category: one that is less near is not a reason


@dataclass(slots=True)
class ResolvedRequest:
    """A request with all its names looked up.

    Attributes:
        index: Its place among the requests that came together.
        request: The request.
        loaded: The run that answers it.
        name: Name of the recommender.
        history: The history to score.
        mask: Items that may be recommended, None for all. `[n_items]`
        events_missing: Why the history lacks recent events, or None.
        rules: What the list must keep, or None.
        now: The time that ages in rules count from, in seconds since 1970.
        explorer: Draws places at random; None: none are drawn.
        wide: Whether many candidates are needed, because few did not suffice for a list that keeps the rules.
    """

    index: int
    request: ListRequest
    loaded: LoadedRun
    name: str
    history: SingleHistory
    mask: Mask | None
    events_missing: str | None
    rules: RuleSet | None = None
    now: int = 0
    wide: bool = False
    explorer: Explorer | None = None

    @property
    def reranked(self) -> bool:
        """Whether the list is chosen from a pool by novelty or diversity."""
        return self.request.novelty > 0 or self.request.diversity > 0

    @property
    def n_scored(self) -> int:
        """How many items are scored: the length of the list, or of the pool it is chosen from."""
        k = self.request.k
        return max(
            pool_size(k) if self.reranked else self.n_candidates,
            k if self.rules is None else self.rules.pool(k, wide=self.wide),
        )

    @property
    def n_candidates(self) -> int:
        """How many items the list is made of: its length, or as many as places are drawn from."""
        k = self.request.k
        return k if self.explorer is None else max(k, self.explorer.options.candidates)

    @property
    def batch_key(self) -> Hashable:
        """Equal for requests that can be scored as one batch."""
        if self.request.words is not None:
            return self.index
        exclude_seen, has_likes = self.request.exclude_seen, self.history.has_likes
        return self.loaded, self.name, id(self.mask), exclude_seen, has_likes, self.reranked, id(self.rules)


def answer_batch(fallback: Fallback, batch: Sequence[ResolvedRequest]) -> list[RankedList]:
    """Answer requests that are scored as one batch.

    Args:
        fallback: The steps that score.
        batch: Requests with the same `batch_key`. `[n]`

    Returns:
        The lists. `[n]`

    Raises:
        DataError: If a query in words has no word.
    """
    first = batch[0]
    loaded, request = first.loaded, first.request
    contexts = [dict(resolved.request.context) for resolved in batch]
    history = loaded.in_context(loaded.batch([resolved.history for resolved in batch]), first.now, contexts)
    k, seen = max(resolved.n_scored for resolved in batch), history if request.exclude_seen else None
    among = [Among(k, first.mask)]
    if first.rules is not None:
        longest, wide = max(resolved.n_candidates for resolved in batch), first.wide or first.reranked
        among += first.rules.wanted(first.now, longest, wide=wide, within=first.mask)
    if request.words is not None:
        ranked, *rest = fallback.by_words(loaded, first.name, request.words, history, among, seen=seen)
    elif first.history.has_likes:
        ranked, *rest = fallback.recommend(loaded, first.name, history, among, seen=seen)
    else:
        ranked, *rest = (fallback.popular(loaded, one, len(batch), seen) for one in among)
    found = [(one.item, _rounded(one.score)) for one in (ranked, *rest) if one.step == ranked.step]
    chosen = _choose(batch, *merged(found))  # all of them, then all reasons: processor caches are used again
    narrow = first.rules is not None and not first.rules.only_hides and not first.wide and k < loaded.n_items
    lists = []
    for at, (resolved, ruled) in enumerate(zip(batch, chosen, strict=True)):
        if narrow and len(ruled.items) < resolved.request.k:
            lists += answer_batch(fallback, [replace(resolved, wide=True)])
        else:
            own = history if len(batch) == 1 else history.select(slice(at, at + 1))
            lists.append(_ranked_list(fallback, resolved, own, ranked, ruled))
    return lists


def _choose(batch: Sequence[ResolvedRequest], items: Int32, scores: Scores) -> list[RuledList]:
    """Choose the items of lists from candidates, best first: by novelty and diversity, and by rules."""
    first = batch[0]
    if first.reranked:
        items, scores = items.copy(), scores.copy()
        for at, resolved in enumerate(batch):
            found = _diversified(resolved, scored_items(items[at], scores[at]))
            items[at], scores[at] = -1, -np.inf
            items[at, : len(found.items)], scores[at, : len(found.items)] = found
    if first.rules is not None:
        recipients = [
            Recipient(one.n_candidates, Past(one.history.item, one.history.timestamp), one.request.language)
            for one in batch
        ]
        return apply_rules(first.rules, items, scores, recipients, first.now, exclude_seen=first.request.exclude_seen)
    lists = []
    for at, resolved in enumerate(batch):
        found, k = scored_items(items[at], scores[at]), resolved.n_candidates
        lists.append(RuledList(found.items[:k], found.scores[:k], [], []))
    return lists


def _diversified(resolved: ResolvedRequest, pool: ScoredItems) -> ScoredItems:
    """Order candidates by novelty and diversity; without rules, those that the list needs."""
    request, loaded = resolved.request, resolved.loaded
    return ScoredItems(
        *diversify(
            pool.items,
            pool.scores,
            request.k if resolved.rules is None else len(pool.items),
            novelty=request.novelty,
            diversity=request.diversity,
            popularity=loaded.popularity,
            vectors=None if loaded.content is None else loaded.content.item_vectors_,
        )
    )


def _ranked_list(
    fallback: Fallback, resolved: ResolvedRequest, history: History, ranked: Ranked, chosen: RuledList
) -> RankedList:
    """Make the list of chosen items; `history`: the history of that list alone."""
    loaded, request = resolved.loaded, resolved.request
    items, values, notes, unkept = chosen
    propensities: tuple[float, ...] = ()
    if resolved.explorer is not None:
        drawn = resolved.explorer.draw([loaded.catalogue.item_ids[item] for item in items.tolist()], request.k)
        items, values, propensities = items[drawn.places], values[drawn.places], tuple(drawn.propensities.tolist())
        notes = [PHRASEBOOKS[request.language].at_random if at_random else "" for at_random in drawn.at_random]
    why = _request_reasons(fallback, resolved, history, ranked, items)
    if any(notes):
        why = [with_note(reason, note, request.language) for reason, note in zip(why, notes, strict=True)]
    entries = _entries(loaded, items, values, why, request.fields)
    source = list_source(ranked.step, resolved.history)
    return RankedList(
        items=entries,
        source=source,
        run=loaded.name,
        recommender=resolved.name,
        fallback=ranked.fallback or resolved.events_missing,
        unkept=unkept,
        propensities=propensities,
    )


def entries_with_reason(loaded: LoadedRun, ranked: Ranked, why: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries of a ranking of one row, with the same reason for all.

    Args:
        loaded: The run.
        ranked: The ranking.
        why: The reason.
        fields: Names of item fields to add.

    Returns:
        `item_id`, `title`, `score`, `reason`, and perhaps `picture` and `fields` of each, best first.
    """
    items, scores = scored_items(ranked.item[0], _rounded(ranked.score[0]))
    return _entries(loaded, items, scores, [why] * len(items), fields)


def list_source(step: Step, history: SingleHistory) -> ListSource:
    """Return how a list was made.

    Args:
        step: The step of the fallback that made it.
        history: The history it was made for.

    Returns:
        The source.
    """
    if step != "model":
        return step
    return "personal" if history.user >= 0 else "folded_in"


def _entries(
    loaded: LoadedRun, items: Int32, scores: Scores, why: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    item_ids, titles, rows = loaded.catalogue.item_ids, loaded.catalogue.titles, items.tolist()
    entries: list[dict[str, Any]] = [
        {"item_id": item_ids[row], "title": titles[row], "score": _known(score), "reason": reason}
        for row, score, reason in zip(rows, scores.tolist(), why, strict=True)
    ]
    if loaded.catalogue.pictures is not None:
        for row, entry in zip(rows, entries, strict=True):
            entry |= loaded.catalogue.picture(row)
    if fields:
        for row, entry in zip(rows, entries, strict=True):
            entry["fields"] = loaded.catalogue.describe(row, fields)
    return entries


def _known(score: float) -> float | None:
    return None if score != score else score  # of a pinned item that the step which made the list did not score


def _rounded(scores: Scores) -> Scores:
    return np.round(scores.astype(np.float64), DIGITS)  # as float32, the digits behind would be noise


# --- reasons ------------------------------------------------------------------------------------------


def _request_reasons(
    fallback: Fallback, resolved: ResolvedRequest, history: History, ranked: Ranked, items: Int32
) -> list[str]:
    """Return a sentence for each item; words in common with the query go before the history."""
    loaded, request, match = resolved.loaded, resolved.request, ranked.match
    model, novel, language = loaded.models[resolved.name], request.novelty > 0, PHRASEBOOKS[request.language]
    if request.words is None or (match is None and ranked.step != "content") or ranked.step == "model":
        return reasons(loaded, model, history, items, ranked.step, novel=novel, language=language)
    if match is not None and ranked.step == "popular":
        return [popular_reason(match.query, language)] * len(items)
    if match is None:
        by_words = partial(word_reasons, loaded, set(words(request.words, terms=True)), items.tolist(), language)
    else:
        by_words = partial(query_reasons, loaded, match.query, match.near, items.tolist(), language)
    found = fallback.in_time(loaded, "reasons", by_words) or [""] * len(items)
    if match is None:
        return found
    if not resolved.history.has_likes or all(found):
        return found
    taste = reasons(loaded, model, history, items, "model", novel=True, language=language)
    return [reason or other for reason, other in zip(found, taste, strict=True)]


def reasons(
    loaded: LoadedRun,
    model: Recommender,
    history: History,
    items: Int32,
    step: Step,
    *,
    novel: bool = False,
    language: Phrasebook = ENGLISH,
) -> list[str]:
    """Return a sentence for each item of a list, empty where nothing speaks for it.

    Args:
        loaded: The run.
        model: The recommender.
        history: A batch of one history.
        items: Rows of the items. `[m]`
        step: The step of the fallback that made the list.
        novel: The list favours rare items, so popularity is no reason.
        language: The words of the sentences.

    Returns:
        The sentences. `[m]`
    """
    if not novel:
        return _reasons(loaded, model, history, items, step, language, popular=language.popular)
    rare = loaded.popularity[items] < np.median(loaded.popularity)
    found = _reasons(loaded, model, history, items, step, language, popular="")
    return [reason or (language.rare if few else "") for reason, few in zip(found, rare, strict=True)]


def _reasons(
    loaded: LoadedRun,
    model: Recommender,
    history: History,
    items: Int32,
    step: Step,
    language: Phrasebook,
    *,
    popular: str,
) -> list[str]:
    """Return a sentence for each item; `popular`: the one for items that are there because they are popular."""
    if step == "popular" or model.evidence == "popularity" or len(history.item) == 0:
        return [popular] * len(items)
    titles = loaded.catalogue.titles
    if step == "model" and model.evidence == "exact":
        terms = model.terms(history, items)
        beside = {"popular": terms.popular, **terms.parts}
        strength = np.stack([np.maximum(terms.history, 0).sum(axis=1), *beside.values()])  # [2 + n_parts, m]
        leads = [("", *beside)[at] for at in strength.argmax(axis=0).tolist()]
        return [
            _sentence([titles[item] for item in cause], lead, popular, language)
            for cause, lead in zip(strongest(terms.history * (history.weight > 0), history.item), leads, strict=True)
        ]
    if loaded.content is None:
        return [""] * len(items)
    vectors, liked = loaded.content.item_vectors_, history.item[history.weight > 0]
    similar = strongest(vectors[items] @ vectors[liked].T, liked)
    return [language.titles(language.similar, [titles[cause[0]]]) if cause else "" for cause in similar]


def _sentence(causes: Sequence[str], lead: str, popular: str, language: Phrasebook) -> str:
    """Return a sentence for one item; `lead`: the largest part of its score, empty for the history."""
    if lead == "popular" and not (causes and popular):
        return phrase(causes, language=language) if causes else popular
    return phrase(causes, lead=lead, language=language) if causes or lead else ""


def strongest(shares: Float32, causes: Int32) -> list[list[int]]:
    """Return the causes that add most to each score, at most two.

    Args:
        shares: What each cause adds to each score. `[m, length]`
        causes: Rows of items. `[length]`

    Returns:
        For each score rows of items, the largest share first.
    """
    from genre.kernels.strongest import two_strongest

    found = two_strongest(np.ascontiguousarray(shares), np.ascontiguousarray(causes)).tolist()
    return [[item for item in pair if item >= 0] for pair in found]


def query_reasons(
    loaded: LoadedRun, query: Query, near: Float32, items: Sequence[int], language: Phrasebook = ENGLISH
) -> list[str]:
    """Return a sentence for each item that matches a query: named items, and categories and words in common.

    Args:
        loaded: The run.
        query: The parsed query.
        near: How near each category is to the query. `[n_categories]`
        items: Rows of the items. `[m]`
        language: The words of the sentences.

    Returns:
        The sentences, empty where an item is near in meaning alone. `[m]`
    """
    assert loaded.matcher is not None
    categories, wanted = loaded.matcher.categories, set(words(query.wanted, terms=True))
    telling = max(near.max(initial=0) * TELLING, FAINT)
    liked = [loaded.catalogue.titles[row] for row in query.liked[:2]]
    likes = [language.titles(language.like, liked)] if liked else []
    found = []
    for item in items:
        held = sorted((at for at in categories.held(item) if near[at] >= telling), key=lambda at: -near[at])
        names = [categories.names[at] for at in held]
        shared = [word for word in loaded.catalogue.shared_words(item, wanted) if word not in map(str.casefold, names)]
        common = [phrase((), names + shared, language=language)] if names or shared else []
        found.append(language.semicolon.join(likes + common))
    return found


def popular_reason(query: Query, language: Phrasebook = ENGLISH) -> str:
    """Return the sentence for popular items, in answer to a query that does not say what to look for.

    Args:
        query: The parsed query.
        language: The words of the sentence.

    Returns:
        The sentence.
    """
    without = language.words(language.without, query.unwanted) if query.unwanted else language.popular
    return f"{without}{language.semicolon}{language.nothing_fits}" if query.wanted else without


def word_reasons(
    loaded: LoadedRun, wanted: set[str], items: Sequence[int], language: Phrasebook = ENGLISH
) -> list[str]:
    """Return a sentence for each item that was found by the words in its title.

    Args:
        loaded: The run.
        wanted: The words of the query.
        items: Rows of the items. `[m]`
        language: The words of the sentences.

    Returns:
        The sentences. `[m]`
    """
    shared = [loaded.catalogue.shared_words(item, wanted) for item in items]
    return [phrase((), found, language=language) if found else "" for found in shared]
