"""Everything a run may be asked, asked once: code gets compiled, memory touched, and what does not answer is known.

Knows the breakers of one loaded; nothing about what becomes of the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from genre.recommenders.base import Recommender
from genre.serving.breaker import CircuitBreaker, Skipped
from genre.serving.fallback import Fallback, steps
from genre.serving.loaded_run import LoadedRun
from genre.serving.reasons import reasons


def warm_up(fallback: Fallback, loaded: LoadedRun) -> dict[str, str]:
    """Call everything that has not answered yet, at the same time; by breaker, why it does not answer."""
    loaded.catalogue.search("a", 1, loaded.popularity)
    loaded.catalogue.shared_words(0, loaded.catalogue.words(0))
    asked = [(breaker, work) for breaker, work in _questions(fallback, loaded) if breaker.open or not breaker.answered]
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked)) as pool:
        outcomes = pool.map(partial(_outcome, fallback.limits.warm_seconds), *zip(*asked, strict=True))
        return {breaker.name: why for (breaker, _), why in zip(asked, outcomes, strict=True) if why is not None}


def can_answer(fallback: Fallback, loaded: LoadedRun) -> bool:
    """Whether the run has more to say than what everybody takes."""
    own = (
        fallback.breaker_of(loaded, name, label, "recommend")
        for name in loaded.models
        for label, _ in steps(loaded, name)
    )
    return not all(breaker.open for breaker in own)


def _questions(fallback: Fallback, loaded: LoadedRun) -> Iterator[tuple[CircuitBreaker, Callable[[], object]]]:
    for name in loaded.models:
        for label, model in steps(loaded, name):
            yield fallback.breaker_of(loaded, name, label, "recommend"), partial(_recommend, loaded, model)
            yield (
                fallback.breaker_of(loaded, name, label, "similar"),
                partial(model.similar_items, np.array([0], np.int32)),
            )
    if loaded.matcher is not None:
        matcher = loaded.matcher
        yield fallback.words_breaker(loaded), lambda: matcher.match(matcher.parse("something new"))


def _recommend(loaded: LoadedRun, model: Recommender) -> None:
    for past in (loaded.user_history(loaded.dataset.user_ids[0]), loaded.item_history([loaded.catalogue.item_ids[0]])):
        history = loaded.batch([past])
        found = model.recommend(history, k=10)
        reasons(loaded, model, history, found.item[0][found.item[0] >= 0], "model")


def _outcome(seconds: float, breaker: CircuitBreaker, work: Callable[[], object]) -> str | None:
    try:
        if breaker.open:
            breaker.call(work)
        else:
            breaker.first_call(work, seconds)
    except Skipped as skipped:
        return f"{skipped.outcome}: {skipped.__cause__}" if skipped.__cause__ else skipped.outcome
    return None
