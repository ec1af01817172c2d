"""The ladder: the recommender, its first stage, what the items are about, what everybody takes. Always an answer.

Knows a batch of histories on one shelf; nothing about where they came from or what becomes of the list.
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
from genre.serving.breaker import Skipped, Stage
from genre.serving.limits import Limits
from genre.serving.loaded_run import Past, Shelf
from genre.serving.requests import Source
from genre.serving.search.catalogue import Mask
from genre.serving.search.matching import Match, parts, standard, without_named
from genre.serving.search.query import Wish

T = TypeVar("T")

KEPT_MATCHES = 64  # of wishes with all items
Rung = Literal["model", "content", "popular"]
Label = Literal["rerank", "model", "content"]


class Ranked(NamedTuple):
    """Two arrays `[n, k]` as `Recommendations` holds them, the rung they come from, and why it is not a higher one.

    match: how a wish fits, where one was asked.
    """

    item: Int32
    score: npt.NDArray[np.floating[Any]]
    rung: Rung
    fallback: str | None
    match: Match | None = None


class Ladder:
    """The stages of every recommender of every run, kept from one request to the next."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stages: dict[str, Stage] = {}
        self._matches: dict[tuple[Shelf, Wish], Match] = {}

    def stage(self, name: str, seconds: float) -> Stage:
        if name not in self.stages:
            limits = self.limits
            made = Stage(name, seconds, patience=limits.patience, pause=limits.pause_seconds)
            self.stages.setdefault(name, made)
        return self.stages[name]

    def stage_of(self, shelf: Shelf, name: str, label: Label, purpose: str) -> Stage:
        """A recommender's rung; questions of another purpose do not wait for one another."""
        return self.stage(f"{shelf.name}/{name}/{label}/{purpose}", self.limits.model_seconds)

    def words_of(self, shelf: Shelf) -> Stage:
        return self.stage(f"{shelf.name}/words", self.limits.words_seconds)

    def missing(self) -> list[str]:
        """Names of stages that keep failing and are left alone until they answer again."""
        return [name for name, stage in list(self.stages.items()) if stage.out]

    def replace_run(self, run: str, stages: Mapping[str, Stage]) -> None:
        """A run was replaced, and has these stages: what hangs in the old one holds up nobody."""
        for name in [name for name in self.stages if name.startswith(f"{run}/")]:
            self.stages.pop(name)
        self.stages.update(stages)
        self.forget_matches()

    def forget_matches(self) -> None:
        """Items have changed."""
        self._matches.clear()

    def climb(
        self, shelf: Shelf, name: str, purpose: str, ask: Callable[[Recommender], T | None]
    ) -> tuple[T | None, Rung, str | None]:
        """What the highest rung says that has an answer in time, which it is, and what kept a higher one from it."""
        fallback: str | None = None
        for label, model in rungs(shelf, name):
            stage = self.stage_of(shelf, name, label, purpose)
            try:
                found = stage.call(partial(ask, model))
            except Skipped as skipped:
                fallback = fallback or f"{label}_{skipped.outcome}"
            else:
                if found is not None:
                    return found, "content" if label == "content" else "model", fallback
        return None, "popular", fallback

    def rank(
        self,
        shelf: Shelf,
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
            return model.recommend(history, k=min(k, shelf.n_items), exclude_seen=exclude_seen, candidates=mask)

        found, rung, fallback = self.climb(shelf, name, "recommend", ask)
        if found is None:
            return self.popular(shelf, popularity, k, len(history), history if exclude_seen else None, mask, fallback)
        return Ranked(found.item, found.score, rung, fallback)

    def similar(self, shelf: Shelf, name: str, row: int, k: int, popularity: Float32) -> Ranked:
        """Items like the one in `row`; where no recommender knows any, what everybody takes."""

        def ask(model: Recommender) -> Recommendations | None:
            found = model.similar_items(np.array([row], np.int32), k=min(k, shelf.n_items))
            return found if (found.item >= 0).any() else None

        found, rung, fallback = self.climb(shelf, name, "similar", ask)
        if found is None:
            return self.popular(shelf, popularity, k, fallback=fallback)
        return Ranked(found.item, found.score, rung, fallback)

    def parts(
        self, shelf: Shelf, name: str, wish: Wish, history: History | None
    ) -> tuple[Match, dict[str, Float32], str | None]:
        """How a wish fits, what adds up to the score of each item `[n_items]`, and why the taste is missing from it.

        The taste is what the recommender says of the history and of the items named, each in standard deviations; where
        the words say what to look for, without its popularity. `Skipped` where the words got no vector.
        """
        match = self._match(shelf, wish)
        assert shelf.wishes is not None
        told = [] if history is None else [history]
        if wish.liked:
            told.append(shelf.together([shelf.basket([shelf.catalogue.item_ids[row] for row in wish.liked])]))
        taste, fallback = None, None
        if told:

            def ask() -> Float32:
                model = shelf.models[name].without_llm()  # a reranker only reorders
                beyond = match.fit is not None
                every = np.arange(shelf.n_items, dtype=np.int32)
                scores = [model.score(one)[0] - (model.popular(one, every) if beyond else 0) for one in told]
                return np.asarray(np.mean([standard(one) for one in scores], axis=0), np.float32)

            try:
                taste = self.stage_of(shelf, name, "model", "recommend").call(ask)
            except Skipped as skipped:
                fallback = f"model_{skipped.outcome}"
        return match, parts(match, taste, shelf.wishes.popularity), fallback

    def _match(self, shelf: Shelf, wish: Wish) -> Match:
        assert shelf.wishes is not None
        found = self._matches.get((shelf, wish))
        if found is None:
            found = self.words_of(shelf).call(partial(shelf.wishes.match, wish))
            if len(self._matches) >= KEPT_MATCHES:
                self._matches.clear()
            self._matches[shelf, wish] = found
        return found

    def by_words(
        self,
        shelf: Shelf,
        name: str,
        wish: Wish,
        history: History | None,
        k: int,
        *,
        seen: Seen | None = None,
        mask: Mask | None = None,
    ) -> Ranked:
        """Items that fit a wish, blended with one history if there is one; `Skipped` where the words got no vector.

        Where nothing says what to look for, they are the recommender's or popular, without what is unwanted.
        """
        match, shares, fallback = self.parts(shelf, name, wish, history)
        scores = np.asarray(sum(shares.values()), np.float32)
        rung: Rung = "content" if match.fit is not None else "model" if "taste" in shares else "popular"
        allowed = without_named(wish, shelf.n_items, mask)
        found = top_k_scores(scores[None, :], min(k, shelf.n_items), seen=seen, candidates=allowed)
        return Ranked(*found, rung, fallback, match)

    @staticmethod
    def popular(
        shelf: Shelf,
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
        return Ranked(*top_k_scores(everybody, min(k, shelf.n_items), seen=seen, candidates=mask), "popular", fallback)


def rungs(shelf: Shelf, name: str) -> list[tuple[Label, Recommender]]:
    """The recommender, the same without a language model or a second stage, what the items are about: best first."""
    model = shelf.models[name]
    plain = model.without_llm()
    first: Sequence[Recommender] = getattr(model, "first_", ()) if plain is model else (plain,)
    own: list[tuple[Label, Recommender]] = [("rerank", model), ("model", first[0])] if first else [("model", model)]
    return own if shelf.content is None or shelf.content is model else [*own, ("content", shelf.content)]


def source_of(rung: Rung, past: Past) -> Source:
    """How an answer from this rung came about for this past."""
    if rung != "model":
        return rung
    return "personal" if past.user >= 0 else "folded_in"
