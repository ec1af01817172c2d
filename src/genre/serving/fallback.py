"""The fallback: what makes a list when the recommender is late, broken or has nothing to go by.

The steps, best first: the recommender; the same without a language model or second stage; the features of the items;
popular items. Each runs behind a circuit breaker, so that there is always an answer. Knows batches of histories on a
loaded run; nothing about users, the event log or what becomes of the list.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache, cachedmethod

from genre.arrays import Float32, Int32
from genre.data.history import History
from genre.data.item_fields import Mask
from genre.data.words import words
from genre.recommenders.base import Recommender
from genre.recommenders.listing import Among
from genre.recommenders.recommendations import Recommendations
from genre.recommenders.topk import top_k_scores
from genre.serving.breaker import CircuitBreaker, NoAnswer
from genre.serving.events.trending import Trending
from genre.serving.limits import Limits
from genre.serving.loaded_run import LoadedRun
from genre.serving.search.matching import Match, score_parts, standard, without_named
from genre.serving.search.query import clean_query

T = TypeVar("T")

KEPT_MATCHES_BYTES = 32_000_000  # of queries with all items
FRESH_SECONDS = 1.0  # for which popularity is not counted again
Step = Literal["model", "content", "popular"]
Label = Literal["rerank", "model", "content"]


class Ranked(NamedTuple):
    """The best items of a batch of histories.

    Attributes:
        item: Rows of items, best first, -1 behind the last. `[n, k]`
        score: Their scores. `[n, k]`
        step: The step that made it.
        fallback: Why a better step did not, such as `model_late`; None where no better step failed.
        match: How well all items match the query, for a query in words.
    """

    item: Int32
    score: npt.NDArray[np.floating[Any]]
    step: Step
    fallback: str | None
    match: Match | None = None


class Fallback:
    """The steps of all runs, with their circuit breakers.

    Attributes:
        limits: Time limits of the breakers.
        trending: Recent popularity.
        breakers: The breakers by name: `run/recommender/label/purpose`, `run/words`, `store`.
    """

    def __init__(self, limits: Limits, trending: Trending) -> None:
        self.limits, self.trending = limits, trending
        self.breakers: dict[str, CircuitBreaker] = {}
        self._matches: LRUCache[Any, Match] = LRUCache(KEPT_MATCHES_BYTES, getsizeof=lambda match: match.n_bytes)
        self._lock = threading.Lock()
        # A cache by weak keys, which cachetools has not: a replaced run must not stay in memory.
        self._popularity: WeakKeyDictionary[LoadedRun, tuple[float, Float32]] = WeakKeyDictionary()

    # --- circuit breakers -------------------------------------------------------------------------

    def breaker(self, name: str, seconds: float) -> CircuitBreaker:
        """Return the breaker of a name, made at the first use.

        Args:
            name: Its name.
            seconds: Its time limit.

        Returns:
            The breaker.
        """
        if name not in self.breakers:
            limits = self.limits
            made = CircuitBreaker(name, seconds, failures=limits.failures, pause=limits.pause_seconds)
            self.breakers.setdefault(name, made)
        return self.breakers[name]

    def model_breaker(self, loaded: LoadedRun, name: str, label: Label, purpose: str) -> CircuitBreaker:
        """Return the breaker of one step of a recommender; calls for other purposes do not wait for it.

        Args:
            loaded: The run.
            name: Name of the recommender.
            label: The step.
            purpose: `recommend`, `similar` or `explain`.

        Returns:
            The breaker.
        """
        return self.breaker(f"{loaded.name}/{name}/{label}/{purpose}", self.limits.model_seconds)

    def words_breaker(self, loaded: LoadedRun) -> CircuitBreaker:
        """Return the breaker of queries in words.

        Args:
            loaded: The run.

        Returns:
            The breaker.
        """
        return self.breaker(f"{loaded.name}/words", self.limits.words_seconds)

    def replace_run(self, run: str, breakers: Mapping[str, CircuitBreaker]) -> None:
        """Take over the breakers of a run that replaces another: a call that hangs in the old one delays nothing.

        Args:
            run: Name of the run.
            breakers: The new run's breakers by name.
        """
        for name in [name for name in self.breakers if name.startswith(f"{run}/")]:
            self.breakers.pop(name)
        self.breakers.update(breakers)
        self.clear_caches()

    def clear_caches(self) -> None:
        """Drop what was computed of queries and popularity, because items or events have changed."""
        with self._lock:
            self._matches.clear()
        self._popularity.clear()

    # --- lists ------------------------------------------------------------------------------------

    def first_answer(
        self, loaded: LoadedRun, name: str, purpose: str, work: Callable[[Recommender], T | None]
    ) -> tuple[T | None, Step, str | None]:
        """Call the steps of a recommender one after the other until one answers.

        Args:
            loaded: The run.
            name: Name of the recommender.
            purpose: `recommend`, `similar` or `explain`.
            work: What to do with the recommender of a step; None: it has no answer.

        Returns:
            The answer or None, the step that gave it, and why a better step did not.
        """
        fallback: str | None = None
        for label, model in recommender_steps(loaded, name):
            try:
                found = self.model_breaker(loaded, name, label, purpose).call(partial(work, model))
            except NoAnswer as error:
                fallback = fallback or f"{label}_{error.outcome}"
            else:
                if found is not None:
                    return found, "content" if label == "content" else "model", fallback
        return None, "popular", fallback

    def recommend(
        self, loaded: LoadedRun, name: str, history: History, among: Sequence[Among], *, seen: History | None
    ) -> list[Ranked]:
        """Return the best items of each history.

        Args:
            loaded: The run.
            name: Name of the recommender.
            history: A batch of histories.
            among: Length and mask of each list that is made of a history. `[m]`
            seen: The same batch where its items are left out, else None.

        Returns:
            A list a history, for each of `among`. `[m]`
        """

        def work(model: Recommender) -> list[Recommendations]:
            return model.recommend_among(history, among, exclude_seen=seen is not None)

        found, step, fallback = self.first_answer(loaded, name, "recommend", work)
        if found is None:
            return [self.popular(loaded, one, len(history), seen, fallback) for one in among]
        return [Ranked(lists.item, lists.score, step, fallback) for lists in found]

    def similar(self, loaded: LoadedRun, name: str, row: int, k: int, mask: Mask | None = None) -> Ranked:
        """Return the items most similar to one.

        Args:
            loaded: The run.
            name: Name of the recommender.
            row: Row of the item.
            k: Length of the list.
            mask: Items that may be recommended, None for all. `[n_items]`

        Returns:
            One list; popular items where no step knows a similar one.
        """
        n_queried = min(k if mask is None else k + int((~mask).sum()), loaded.n_items)

        def work(model: Recommender) -> Recommendations | None:
            found = model.similar_items(np.array([row], np.int32), k=n_queried)
            return found if (found.item >= 0).any() else None

        found, step, fallback = self.first_answer(loaded, name, "similar", work)
        if found is None:
            return self.popular(loaded, Among(k, mask), fallback=fallback)
        item, score = found.item, found.score
        if mask is not None:
            kept = mask[item[0]] & (item[0] >= 0)
            item, score = item[:, kept][:, :k], score[:, kept][:, :k]
        return Ranked(item, score, step, fallback)

    def popular(
        self,
        loaded: LoadedRun,
        among: Among,
        n: int = 1,
        seen: History | None = None,
        fallback: str | None = None,
        counts: Float32 | None = None,
    ) -> Ranked:
        """Return the most popular items, new interactions included.

        Args:
            loaded: The run.
            among: Length of the lists, and a mask of the items that may be recommended.
            n: Number of lists.
            seen: Histories whose items are left out, or None.
            fallback: Why no better step made the lists.
            counts: What is ranked, None for `popularity`. `[n_items]`

        Returns:
            The lists.
        """
        scores = self.popularity(loaded) if counts is None else counts
        return Ranked(*_top_k(loaded, scores, among, n, seen), "popular", fallback)

    def popularity(self, loaded: LoadedRun) -> Float32:
        """Return the interactions of each item, in the data and recently.

        Args:
            loaded: The run.

        Returns:
            Counts; recent ones decay. `[n_items]`
        """
        made, counts = self._popularity.get(loaded, (0.0, loaded.popularity))
        if time.monotonic() - made > FRESH_SECONDS:
            counts = loaded.popularity + self.trending.counts(loaded.catalogue.row)
            self._popularity[loaded] = time.monotonic(), counts
        return counts

    # --- queries in words -------------------------------------------------------------------------

    def by_words(
        self,
        loaded: LoadedRun,
        name: str,
        text: str,
        history: History,
        among: Sequence[Among],
        *,
        seen: History | None,
    ) -> list[Ranked]:
        """Return the items that match a query in words best, blended with one history.

        By meaning where the run has a text encoder that answers in time; else by the words in titles; popular items
        where no title has any.

        Args:
            loaded: The run.
            name: Name of the recommender that scores the history.
            text: The query.
            history: A batch of one history.
            among: Length and mask of each list. `[m]`
            seen: The same history where its items are left out, else None.

        Returns:
            One list for each of `among`. `[m]`

        Raises:
            DataError: If the query has no word.
        """
        fallback = "words_unavailable"
        if loaded.matcher is not None:
            has_likes = bool((history.weight > 0).any())
            try:
                match, shares, late = self.query_scores(loaded, name, text, history if has_likes else None)
            except NoAnswer as error:
                fallback = f"words_{error.outcome}"
            else:
                step: Step = "content" if match.fit is not None else "model" if "taste" in shares else "popular"
                scores = np.asarray(sum(shares.values()), np.float32)
                unnamed = [Among(k, without_named(match.query, loaded.n_items, mask)) for k, mask in among]
                return [Ranked(*_top_k(loaded, scores, one, 1, seen), step, late, match) for one in unnamed]
        titles = self.in_time(loaded, "titles", partial(loaded.catalogue.with_words, words(text, terms=True)))
        return [self._by_titles(loaded, titles, one, seen, fallback) for one in among]

    def _by_titles(
        self, loaded: LoadedRun, titles: Mask | None, among: Among, seen: History | None, fallback: str
    ) -> Ranked:
        """Return the most popular items among those whose titles fit, of all items where none does."""
        found = titles if titles is None or among.candidates is None else titles & among.candidates
        if found is None or not found.any():
            return self.popular(loaded, among, 1, seen, fallback)
        return self.popular(loaded, Among(among.k, found), 1, seen, fallback)._replace(step="content")

    def in_time(self, loaded: LoadedRun, purpose: str, work: Callable[[], T]) -> T | None:
        """Do what a query in words needs beside its match, within the same limit.

        Args:
            loaded: The run.
            purpose: `titles` or `reasons`.
            work: What to do.

        Returns:
            What `work` returns; None where it is late.
        """
        try:
            return self.breaker(f"{loaded.name}/{purpose}", self.limits.words_seconds).call(work)
        except NoAnswer:
            return None

    def query_scores(
        self, loaded: LoadedRun, name: str, text: str, history: History | None
    ) -> tuple[Match, dict[str, Float32], str | None]:
        """Score all items for a query in words: what the words, the recommender's taste and popularity add.

        The taste is the recommender's score of the history and of the items that the query names, each in standard
        deviations; where the words say what to look for, without the recommender's popularity.

        Args:
            loaded: The run.
            name: Name of the recommender.
            text: The query.
            history: A batch of one history, or None.

        Returns:
            How the query matches, the parts of the scores by name (`[n_items]` each), and why the taste is missing.

        Raises:
            NoAnswer: If the words could not be read and encoded in time.
            DataError: If the query is empty.
        """
        match = self._match(loaded, clean_query(text))
        assert loaded.matcher is not None
        query = match.query
        histories = [] if history is None else [history]
        if query.liked:
            histories.append(
                loaded.batch([loaded.item_history([loaded.catalogue.item_ids[row] for row in query.liked])])
            )
        taste, fallback = None, None
        if histories:

            def work() -> Float32:
                model = loaded.models[name].without_llm()  # a language model only reorders
                every = np.arange(loaded.n_items, dtype=np.int32)
                without_popularity = match.fit is not None
                scores = [
                    model.score(one)[0] - (model.popular(one, every) if without_popularity else 0) for one in histories
                ]
                return np.asarray(np.mean([standard(one) for one in scores], axis=0), np.float32)

            try:
                taste = self.model_breaker(loaded, name, "model", "recommend").call(work)
            except NoAnswer as error:
                fallback = f"model_{error.outcome}"
        return match, score_parts(match, taste, loaded.matcher.popularity), fallback

    @cachedmethod(attrgetter("_matches"), lock=attrgetter("_lock"))
    def _match(self, loaded: LoadedRun, text: str) -> Match:
        """Match all items with a query; the match is cached for the next request with the same words."""
        assert loaded.matcher is not None
        matcher = loaded.matcher
        return self.words_breaker(loaded).call(lambda: matcher.match(matcher.parse(text)))


def _top_k(loaded: LoadedRun, scores: Float32, among: Among, n: int, seen: History | None) -> tuple[Int32, Float32]:
    """Return the best items by one row of scores `[n_items]`, for `n` lists that leave out different items."""
    left_out = None if seen is None else (seen.indptr, seen.item)
    every = np.broadcast_to(scores, (n, len(scores)))
    return top_k_scores(every, min(among.k, loaded.n_items), seen=left_out, candidates=among.candidates)


def recommender_steps(loaded: LoadedRun, name: str) -> list[tuple[Label, Recommender]]:
    """Return the steps of a recommender, best first; popular items come behind the last.

    Args:
        loaded: The run.
        name: Name of the recommender.

    Returns:
        The recommender, the same without a language model or second stage, and the features of the items, as far as
        they differ.
    """
    model = loaded.models[name]
    plain = model.without_llm()
    first: Sequence[Recommender] = getattr(model, "first_", ()) if plain is model else (plain,)
    own: list[tuple[Label, Recommender]] = [("rerank", model), ("model", first[0])] if first else [("model", model)]
    return own if loaded.content is None or loaded.content is model else [*own, ("content", loaded.content)]
