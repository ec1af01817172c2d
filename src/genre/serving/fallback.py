"""The fallback: the recommender, its first breaker, what the items are about, what everybody takes. Always an answer.

Knows a batch of histories on one loaded; nothing about where they came from or what becomes of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.data.dataset import History
from genre.recommenders.base import Recommendations, Recommender
from genre.recommenders.topk import Seen, top_k_scores
from genre.serving.breaker import CircuitBreaker, Skipped
from genre.serving.limits import Limits
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.requests import ListSource
from genre.serving.search.catalogue import Mask
from genre.serving.search.matching import Match, score_parts, standard, without_named
from genre.serving.search.query import Query

T = TypeVar("T")

KEPT_MATCHES = 64  # of matcher with all items
Step = Literal["model", "content", "popular"]
Label = Literal["rerank", "model", "content"]


class Ranked(NamedTuple):
    """Two arrays `[n, k]` as `Recommendations` holds them, the step they come from, and why it is not a higher one.

    match: how a query fits, where one was asked.
    """

    item: Int32
    score: npt.NDArray[np.floating[Any]]
    step: Step
    fallback: str | None
    match: Match | None = None


class Fallback:
    """The breakers of every recommender of every run, kept from one request to the next."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.breakers: dict[str, CircuitBreaker] = {}
        self._matches: dict[tuple[LoadedRun, Query], Match] = {}

    def breaker(self, name: str, seconds: float) -> CircuitBreaker:
        if name not in self.breakers:
            limits = self.limits
            made = CircuitBreaker(name, seconds, failures=limits.failures, pause=limits.pause_seconds)
            self.breakers.setdefault(name, made)
        return self.breakers[name]

    def breaker_of(self, loaded: LoadedRun, name: str, label: Label, purpose: str) -> CircuitBreaker:
        """A recommender's step; questions of another purpose do not wait for one another."""
        return self.breaker(f"{loaded.name}/{name}/{label}/{purpose}", self.limits.model_seconds)

    def words_breaker(self, loaded: LoadedRun) -> CircuitBreaker:
        return self.breaker(f"{loaded.name}/words", self.limits.words_seconds)

    def missing(self) -> list[str]:
        """Names of breakers that keep failing and are left alone until they answer again."""
        return [name for name, breaker in list(self.breakers.items()) if breaker.open]

    def replace_run(self, run: str, breakers: Mapping[str, CircuitBreaker]) -> None:
        """A run was replaced, and has these breakers: what hangs in the old one holds up nobody."""
        for name in [name for name in self.breakers if name.startswith(f"{run}/")]:
            self.breakers.pop(name)
        self.breakers.update(breakers)
        self.forget_matches()

    def forget_matches(self) -> None:
        """Items have changed."""
        self._matches.clear()

    def first_answer(
        self, loaded: LoadedRun, name: str, purpose: str, ask: Callable[[Recommender], T | None]
    ) -> tuple[T | None, Step, str | None]:
        """What the highest step says that has an answer in time, which it is, and what kept a higher one from it."""
        fallback: str | None = None
        for label, model in steps(loaded, name):
            breaker = self.breaker_of(loaded, name, label, purpose)
            try:
                found = breaker.call(partial(ask, model))
            except Skipped as skipped:
                fallback = fallback or f"{label}_{skipped.outcome}"
            else:
                if found is not None:
                    return found, "content" if label == "content" else "model", fallback
        return None, "popular", fallback

    def rank(
        self,
        loaded: LoadedRun,
        name: str,
        history: History,
        k: int,
        popularity: Float32,
        *,
        exclude_seen: bool = True,
        mask: Mask | None = None,
    ) -> Ranked:
        """The best `k` items of each history; where no recommender answers, what everybody takes."""

        def ask(model: Recommender) -> Recommendations:
            return model.recommend(history, k=min(k, loaded.n_items), exclude_seen=exclude_seen, candidates=mask)

        found, step, fallback = self.first_answer(loaded, name, "recommend", ask)
        if found is None:
            return self.popular(loaded, popularity, k, len(history), history if exclude_seen else None, mask, fallback)
        return Ranked(found.item, found.score, step, fallback)

    def similar(self, loaded: LoadedRun, name: str, row: int, k: int, popularity: Float32) -> Ranked:
        """Items like the one in `row`; where no recommender knows any, what everybody takes."""

        def ask(model: Recommender) -> Recommendations | None:
            found = model.similar_items(np.array([row], np.int32), k=min(k, loaded.n_items))
            return found if (found.item >= 0).any() else None

        found, step, fallback = self.first_answer(loaded, name, "similar", ask)
        if found is None:
            return self.popular(loaded, popularity, k, fallback=fallback)
        return Ranked(found.item, found.score, step, fallback)

    def query_scores(
        self, loaded: LoadedRun, name: str, query: Query, history: History | None
    ) -> tuple[Match, dict[str, Float32], str | None]:
        """How a query fits, what adds up to the score of each item `[n_items]`, and why the taste is missing from it.

        The taste is what the recommender says of the history and of the items named, each in standard deviations; where
        the words say what to look for, without its popularity. `Skipped` where the words got no vector.
        """
        match = self._match(loaded, query)
        assert loaded.matcher is not None
        told = [] if history is None else [history]
        if query.liked:
            told.append(loaded.batch([loaded.item_history([loaded.catalogue.item_ids[row] for row in query.liked])]))
        taste, fallback = None, None
        if told:

            def ask() -> Float32:
                model = loaded.models[name].without_llm()  # a reranker only reorders
                beyond = match.fit is not None
                every = np.arange(loaded.n_items, dtype=np.int32)
                scores = [model.score(one)[0] - (model.popular(one, every) if beyond else 0) for one in told]
                return np.asarray(np.mean([standard(one) for one in scores], axis=0), np.float32)

            try:
                taste = self.breaker_of(loaded, name, "model", "recommend").call(ask)
            except Skipped as skipped:
                fallback = f"model_{skipped.outcome}"
        return match, score_parts(match, taste, loaded.matcher.popularity), fallback

    def _match(self, loaded: LoadedRun, query: Query) -> Match:
        assert loaded.matcher is not None
        found = self._matches.get((loaded, query))
        if found is None:
            found = self.words_breaker(loaded).call(partial(loaded.matcher.match, query))
            if len(self._matches) >= KEPT_MATCHES:
                self._matches.clear()
            self._matches[loaded, query] = found
        return found

    def by_words(
        self,
        loaded: LoadedRun,
        name: str,
        query: Query,
        history: History | None,
        k: int,
        *,
        seen: Seen | None = None,
        mask: Mask | None = None,
    ) -> Ranked:
        """Items that fit a query, blended with one history if there is one; `Skipped` where the words got no vector.

        Where nothing says what to look for, they are the recommender's or popular, without what is unwanted.
        """
        match, shares, fallback = self.query_scores(loaded, name, query, history)
        scores = np.asarray(sum(shares.values()), np.float32)
        step: Step = "content" if match.fit is not None else "model" if "taste" in shares else "popular"
        allowed = without_named(query, loaded.n_items, mask)
        found = top_k_scores(scores[None, :], min(k, loaded.n_items), seen=seen, candidates=allowed)
        return Ranked(*found, step, fallback, match)

    @staticmethod
    def popular(
        loaded: LoadedRun,
        popularity: Float32,
        k: int,
        n: int = 1,
        history: History | None = None,
        mask: Mask | None = None,
        fallback: str | None = None,
    ) -> Ranked:
        """What everybody takes, for `n` histories; those in `history` are left out."""
        seen = None if history is None else (history.indptr, history.item)
        everybody = np.broadcast_to(popularity, (n, len(popularity)))
        return Ranked(*top_k_scores(everybody, min(k, loaded.n_items), seen=seen, candidates=mask), "popular", fallback)


def steps(loaded: LoadedRun, name: str) -> list[tuple[Label, Recommender]]:
    """The recommender, the same without a language model or a second breaker, what the items are about: best first."""
    model = loaded.models[name]
    plain = model.without_llm()
    first: Sequence[Recommender] = getattr(model, "first_", ()) if plain is model else (plain,)
    own: list[tuple[Label, Recommender]] = [("rerank", model), ("model", first[0])] if first else [("model", model)]
    return own if loaded.content is None or loaded.content is model else [*own, ("content", loaded.content)]


def source_of(step: Step, past: SingleHistory) -> ListSource:
    """How an answer from this step came about for this past."""
    if step != "model":
        return step
    return "personal" if past.user >= 0 else "folded_in"
