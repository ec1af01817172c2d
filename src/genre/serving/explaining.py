"""Why one item, with all the evidence the recommender has. Knows the state at one moment; changes nothing in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genre.data.words import words
from genre.features.augmentation import generated_text
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import POPULAR, REORDERING, Explanation, phrase, sentence
from genre.recommenders.llm_reranker import rerankers
from genre.serving.breaker import Skipped
from genre.serving.fallback import source_of
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.reasons import popular_reason, query_reasons
from genre.serving.requests import DIGITS, Evidence, ScorePart
from genre.serving.state import State

NEWEST = 100  # interactions that an explanation looks at
WORDS = 20


def explain_item(
    state: State,
    item_id: str,
    *,
    user_id: str | None,
    history: Sequence[str] | None,
    words: str | None,
    run: str | None,
    recommender: str | None,
) -> Evidence:
    loaded = state.loaded_run(run, user_id)
    name, row = loaded.model(recommender), loaded.catalogue.row.get(item_id)
    recent, trouble = state.recent({user_id} if user_id is not None and history is None else ())
    past = state.history(loaded, user_id, history, recent)
    if row is None:
        return Evidence(item_id, item_id, None, "not in the catalogue", "unknown", "popular", loaded.name, name)
    if past.has_likes:
        why = _by_evidence(state, loaded, name, past, row, trouble)
    else:
        count = round(float(state.popularity(loaded)[row]), DIGITS)
        title, reason = loaded.catalogue.titles[row], POPULAR
        why = Evidence(
            item_id, title, count, reason, "popularity", "popular", loaded.name, name, [], count, fallback=trouble
        )
    return why if words is None or loaded.matcher is None else _with_query(state, loaded, why, past, row, words)


def _with_query(state: State, loaded: LoadedRun, why: Evidence, past: SingleHistory, row: int, text: str) -> Evidence:
    """Of a list asked for in words: what the words and the recommender add, as `Fallback.by_words` does."""
    assert loaded.matcher is not None
    query = loaded.matcher.parse(text)
    history = loaded.batch([past]) if past.has_likes else None
    try:
        match, shares, late = state.fallback.query_scores(loaded, why.recommender, query, history)
    except Skipped as skipped:
        return replace(why, fallback=why.fallback or f"words_{skipped.outcome}")
    query_parts = {name: round(float(share[row]), DIGITS) for name, share in shares.items()}
    matched = popular_reason(query) if match.fit is None else query_reasons(loaded, query, match.near, [row])[0]
    by_taste = past.has_likes and "taste" in shares
    if match.fit is None and by_taste:
        return replace(why, query_parts=query_parts, fallback=why.fallback or late)
    causes = (
        [cause["title"] for cause in why.because if cause["share"] > 0][:2] if query_parts.get("taste", 0) > 0 else []
    )
    because = phrase(causes) if causes else ""
    shared = loaded.catalogue.shared_words(row, set(words(query.wanted, terms=True)))
    return replace(
        why,
        reason="; ".join(part for part in (matched, because) if part),
        source="popular" if match.fit is None else "content",
        query_parts=query_parts,
        words=list(dict.fromkeys((*shared, *why.words)))[:WORDS],
        fallback=why.fallback or late,
    )


def _by_evidence(
    state: State, loaded: LoadedRun, name: str, past: SingleHistory, row: int, trouble: str | None
) -> Evidence:
    """The recommender's own evidence; that of the texts when it is late."""
    catalogue = loaded.catalogue
    one = loaded.batch([past]).last(NEWEST)

    def ask(model: Recommender) -> Explanation:
        return model.explain(one, np.array([row], np.int32))[0]

    found, step, late = state.fallback.first_answer(loaded, name, "explain", ask)
    count = float(state.popularity(loaded)[row])
    found = found or Explanation(row, count, "popularity", popular=count)
    found = replace(found, words=catalogue.shared_words(row, catalogue.words_of(set(one.item.tolist()))))
    return Evidence(
        item_id=catalogue.item_ids[row],
        title=catalogue.titles[row],
        score=round(found.score, DIGITS),
        reason=sentence(found, catalogue.titles),
        method=found.method,
        source=source_of(step, past),
        run=loaded.name,
        recommender=name,
        because=[
            {"item_id": catalogue.item_ids[item], "title": catalogue.titles[item], "share": round(share, DIGITS)}
            for item, share in found.history
        ],
        popular=round(found.popular, DIGITS),
        parts=[
            ScorePart(part, round(share, DIGITS), *_origin(loaded, name, past.user, part))
            for part, share in found.parts.items()
        ],
        words=list(found.words[:WORDS]),
        fallback=late or trouble,
    )


def _origin(loaded: LoadedRun, name: str, user: int, part: str) -> tuple[str | None, str | None]:
    """The text behind a part of a score, and the language model behind it."""
    if part != REORDERING:
        return generated_text(loaded.dataset.users, user, part)
    asked = [
        reranker.llm.provider.fingerprint for reranker in rerankers(loaded.models[name]) if reranker.llm is not None
    ]
    return None, ", ".join(dict.fromkeys(asked)) or None
