"""The evidence for one item: what its score is made of. Knows one loaded run and its fallback steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from genre.data.words import words
from genre.features.augmented_columns import generated_text
from genre.recommenders.base import Recommender
from genre.recommenders.llm_reranker import rerankers
from genre.recommenders.phrasebook import Phrasebook
from genre.recommenders.reasons import REORDERING, Explanation, phrase, sentence
from genre.serving.breaker import NoAnswer
from genre.serving.fallback import Fallback
from genre.serving.lists import list_source, popular_reason, query_reasons
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.requests import DIGITS, Evidence, ScorePart

NEWEST = 100  # interactions of a history that are explained
MOST_WORDS = 20


def explain_item(
    fallback: Fallback,
    loaded: LoadedRun,
    name: str,
    history: SingleHistory,
    row: int,
    text: str | None,
    failure: str | None,
    language: Phrasebook,
    context: Mapping[str, str],
) -> Evidence:
    """Return the evidence for one item.

    Args:
        fallback: The steps that make lists.
        loaded: The run.
        name: Name of the recommender.
        history: The history that the item is recommended for; without likes the evidence is the item's popularity.
        row: Row of the item.
        text: The query in words that the list answered, or None.
        failure: Why the history lacks recent events, or None.
        language: The words of the reason.
        context: The circumstances of the request.

    Returns:
        The evidence.

    Raises:
        DataError: If the query has no word.
    """
    if history.has_likes:
        evidence = _by_recommender(fallback, loaded, name, history, row, language, context)
    else:
        evidence = _by_popularity(fallback, loaded, name, row, language)
    evidence.fallback = evidence.fallback or failure
    return evidence if text is None else _with_query(fallback, loaded, evidence, history, row, text, language)


def _by_recommender(
    fallback: Fallback,
    loaded: LoadedRun,
    name: str,
    history: SingleHistory,
    row: int,
    language: Phrasebook,
    context: Mapping[str, str],
) -> Evidence:
    """Return the recommender's own evidence, or that of the first step that answers."""
    catalogue = loaded.catalogue
    newest = loaded.in_context(loaded.batch([history]).last(NEWEST), int(time.time()), [context])

    def work(model: Recommender) -> Explanation:
        return model.explain(newest, np.array([row], np.int32))[0]

    found, step, late = fallback.first_answer(loaded, name, "explain", work)
    if found is None:
        count = float(fallback.popularity(loaded)[row])
        found = Explanation(row, count, "popularity", popular=count)
    found = replace(found, words=catalogue.shared_words(row, catalogue.words_of(set(newest.item.tolist()))))
    return Evidence(
        item_id=catalogue.item_ids[row],
        title=catalogue.titles[row],
        score=round(found.score, DIGITS),
        reason=sentence(found, catalogue.titles, language=language),
        method=found.method,
        source=list_source(step, history),
        run=loaded.name,
        recommender=name,
        because=[
            {"item_id": catalogue.item_ids[item], "title": catalogue.titles[item], "share": round(share, DIGITS)}
            for item, share in found.history
        ],
        popular=round(found.popular, DIGITS),
        parts=[
            ScorePart(part, round(share, DIGITS), *_origin(loaded, name, history.user, part))
            for part, share in found.parts.items()
        ],
        words=list(found.words[:MOST_WORDS]),
        fallback=late,
    )


def _by_popularity(fallback: Fallback, loaded: LoadedRun, name: str, row: int, language: Phrasebook) -> Evidence:
    """Return the evidence for a popular item: its score is its popularity."""
    count = round(float(fallback.popularity(loaded)[row]), DIGITS)
    item_id, title = loaded.catalogue.item_ids[row], loaded.catalogue.titles[row]
    return Evidence(
        item_id=item_id,
        title=title,
        score=count,
        reason=language.popular,
        method="popularity",
        source="popular",
        run=loaded.name,
        recommender=name,
        popular=count,
    )


def _with_query(
    fallback: Fallback,
    loaded: LoadedRun,
    evidence: Evidence,
    history: SingleHistory,
    row: int,
    text: str,
    language: Phrasebook,
) -> Evidence:
    """Add what a query in words adds to the item's score in `Fallback.by_words`."""
    if loaded.matcher is None:
        return evidence
    try:
        match, shares, late = fallback.query_scores(
            loaded, evidence.recommender, text, loaded.batch([history]) if history.has_likes else None
        )
    except NoAnswer as error:
        return replace(evidence, fallback=evidence.fallback or f"words_{error.outcome}")
    query = match.query
    query_parts = {name: round(float(share[row]), DIGITS) for name, share in shares.items()}
    evidence = replace(evidence, query_parts=query_parts, fallback=evidence.fallback or late)
    if match.fit is None and history.has_likes and "taste" in shares:  # the list is the recommender's own
        return evidence
    if match.fit is None:
        matched = popular_reason(query, language)
    else:
        matched = query_reasons(loaded, query, match.near, [row], language)[0]
    causes = [cause["title"] for cause in evidence.because if cause["share"] > 0][:2]
    because = phrase(causes, language=language) if causes and query_parts.get("taste", 0) > 0 else ""
    shared = loaded.catalogue.shared_words(row, set(words(query.wanted, terms=True)))
    return replace(
        evidence,
        reason=language.semicolon.join(part for part in (matched, because) if part),
        source="popular" if match.fit is None else "content",
        words=list(dict.fromkeys((*shared, *evidence.words)))[:MOST_WORDS],
    )


def _origin(loaded: LoadedRun, name: str, user: int, part: str) -> tuple[str | None, str | None]:
    """Return the text behind a part of a score, and the language model that wrote it."""
    if part != REORDERING:
        return generated_text(loaded.dataset.users, user, part)
    models = [one.llm.provider.fingerprint for one in rerankers(loaded.models[name]) if one.llm is not None]
    return None, ", ".join(dict.fromkeys(models)) or None
