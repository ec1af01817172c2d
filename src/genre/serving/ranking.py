"""The ladder: the recommender, its first stage, what the items are about, what everybody takes. Always an answer.

Knows a batch of histories on one shelf; nothing about where they came from or what becomes of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from genre.preprocessing.dataset import Float32, History, Int32
from genre.recommenders.base import Recommendations, Recommender
from genre.recommenders.topk import top_k_scores
from genre.serving.answers import Source
from genre.serving.catalogue import Mask
from genre.serving.ladder import Skipped, Stage
from genre.serving.shelf import Past, Shelf

T = TypeVar("T")

WORDS_SHARE = 0.7
"""How much the words count beside the history, when there are both."""

KEPT_WORDS = 1000
Rung = Literal["model", "content", "popular"]


@dataclass(frozen=True)
class Budget:
    """How long each stage may take, in seconds, and when a failing one is left alone.

    model: a recommender's answer to a batch. words: turning words into a vector. store: reading recent events.
    patience: failures in a row before a stage is paused. pause: for how long.
    """

    model: float = 1.0
    words: float = 1.0
    store: float = 0.5
    patience: int = 3
    pause: float = 10.0

    def stage(self, name: str, seconds: float) -> Stage:
        return Stage(name, seconds, patience=self.patience, pause=self.pause)


class Ranked(NamedTuple):
    """Two arrays `[n, k]` as `Recommendations` holds them, the rung they come from, and why it is not a higher one."""

    item: Int32
    score: npt.NDArray[np.floating[Any]]
    rung: Rung
    fallback: str | None


class Ladder:
    """The stages of every recommender of every run, kept from one request to the next."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.stages: dict[str, Stage] = {}
        self._words: dict[tuple[str, str], Float32] = {}

    def stage(self, name: str, seconds: float) -> Stage:
        if name not in self.stages:
            self.stages.setdefault(name, self.budget.stage(name, seconds))
        return self.stages[name]

    def forget(self, run: str) -> None:
        """A run was replaced: what hangs in the old one holds up nobody."""
        for name in [name for name in self.stages if name.startswith(f"{run}/")]:
            self.stages.pop(name)
        self._words.clear()

    def climb(
        self, shelf: Shelf, name: str, purpose: str, ask: Callable[[Recommender], T]
    ) -> tuple[T | None, Rung, str | None]:
        """What the highest rung says that answers in time, which it is, and why it is not a higher one.

        purpose: questions of another purpose do not wait for one another.
        """
        fallback: str | None = None
        for label, model in _rungs(shelf, name):
            stage = self.stage(f"{shelf.name}/{name}/{label}/{purpose}", self.budget.model)
            try:
                return stage.call(partial(ask, model)), "content" if label == "content" else "model", fallback
            except Skipped as skipped:
                fallback = fallback or f"{label}_{skipped.outcome}"
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
        """Items like the one in `row`; where no recommender answers, what everybody takes."""

        def ask(model: Recommender) -> Recommendations:
            return model.similar_items(np.array([row], np.int32), k=min(k, shelf.n_items))

        found, rung, fallback = self.climb(shelf, name, "similar", ask)
        if found is None:
            return self.popular(shelf, popularity, k, fallback=fallback)
        return Ranked(found.item, found.score, rung, fallback)

    def place_words(self, shelf: Shelf, words: str) -> Float32:
        """Words as a place among the items' vectors `[1, dim]`; `Skipped` when the run has no way to or is late."""
        content, encoder = shelf.content, shelf.run.item_encoder
        if content is None or encoder is None:
            raise Skipped("words", "unavailable")
        place = self._words.get((shelf.name, words))
        if place is None:
            stage = self.stage(f"{shelf.name}/words", self.budget.words)
            place = content.place(stage.call(partial(encoder.encode_texts, [words])))
            if len(self._words) >= KEPT_WORDS:
                self._words.clear()
            self._words[shelf.name, words] = place
        return place

    def by_words(
        self,
        shelf: Shelf,
        name: str,
        words: Float32,
        history: History | None,
        k: int,
        *,
        exclude_seen: bool = True,
        mask: Mask | None = None,
    ) -> Ranked:
        """Items near to the words `[n, dim]` (see `place_words`), blended with histories if there are any."""
        assert shelf.content is not None
        scores = words @ shelf.content.item_vectors_.T
        fallback = None
        if history is not None:
            model = dict(_rungs(shelf, name))["model"]  # a reranker only reorders
            stage = self.stage(f"{shelf.name}/{name}/model/recommend", self.budget.model)
            try:
                taste = stage.call(partial(model.score, history))
                scores = WORDS_SHARE * _standard(scores) + (1 - WORDS_SHARE) * _standard(taste)
            except Skipped as skipped:
                fallback = f"model_{skipped.outcome}"
        seen = None if history is None or not exclude_seen else (history.indptr, history.item)
        return Ranked(*top_k_scores(scores, min(k, shelf.n_items), seen=seen, candidates=mask), "content", fallback)

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


def _rungs(shelf: Shelf, name: str) -> list[tuple[str, Recommender]]:
    """The recommender, what it reorders if it is a second stage, and what the items are about: best first."""
    model = shelf.models[name]
    first: Sequence[Recommender] = getattr(model, "first_", ())  # a second stage has learnt a first one
    rungs = [("rerank", model), ("model", first[0])] if first else [("model", model)]
    return rungs if shelf.content is None or shelf.content is model else [*rungs, ("content", shelf.content)]


def source_of(rung: Rung, past: Past) -> Source:
    """How an answer from this rung came about for this past."""
    if rung != "model":
        return rung
    return "personal" if past.user >= 0 else "folded_in"


def _standard(scores: Float32) -> Float32:
    """Mean 0 and deviation 1 in each row, so that two kinds of score can be added."""
    spread = np.maximum(scores.std(axis=1, keepdims=True), 1e-12)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / spread, np.float32)
