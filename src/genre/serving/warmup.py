"""Warm-up: call everything of a run once, so that code is compiled, memory is touched and failures are known early.

Knows the circuit breakers of one loaded run; nothing about what follows from the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from genre.kernels.compiled import load_compiler
from genre.recommenders.base import Recommender
from genre.serving.breaker import CircuitBreaker, NoAnswer
from genre.serving.fallback import Fallback, recommender_steps
from genre.serving.lists import reasons
from genre.serving.loaded_run import LoadedRun


def warm_up(fallback: Fallback, loaded: LoadedRun) -> dict[str, str]:
    """Make, at the same time, every kind of call that has not succeeded yet or whose breaker is open.

    Args:
        fallback: Holds the breakers.
        loaded: The run.

    Returns:
        Why a call gave no answer, by name of the breaker; empty where all answered.
    """
    load_compiler()
    loaded.catalogue.search("a", 1, loaded.popularity)
    loaded.catalogue.shared_words(0, loaded.catalogue.words(0))
    calls = [(breaker, work) for breaker, work in _calls(fallback, loaded) if breaker.open or not breaker.answered]
    if not calls:
        return {}
    with ThreadPoolExecutor(len(calls)) as pool:
        outcomes = pool.map(partial(_failure, fallback.limits.warm_seconds), *zip(*calls, strict=True))
        return {breaker.name: why for (breaker, _), why in zip(calls, outcomes, strict=True) if why is not None}


def can_personalise(fallback: Fallback, loaded: LoadedRun) -> bool:
    """Tell whether a run answers with more than popular items.

    Args:
        fallback: Holds the breakers.
        loaded: The run.

    Returns:
        False while the breakers of all its steps are open.
    """
    return not all(
        fallback.model_breaker(loaded, name, label, "recommend").open
        for name in loaded.models
        for label, _ in recommender_steps(loaded, name)
    )


def _calls(fallback: Fallback, loaded: LoadedRun) -> Iterator[tuple[CircuitBreaker, Callable[[], object]]]:
    for name in loaded.models:
        for label, model in recommender_steps(loaded, name):
            similar = partial(model.similar_items, np.array([0], np.int32))
            yield fallback.model_breaker(loaded, name, label, "recommend"), partial(_recommend, loaded, model)
            yield fallback.model_breaker(loaded, name, label, "similar"), similar
    if loaded.matcher is not None:
        matcher = loaded.matcher
        yield fallback.words_breaker(loaded), lambda: matcher.match(matcher.parse("something new"))


def _recommend(loaded: LoadedRun, model: Recommender) -> None:
    first_user, first_item = loaded.dataset.user_ids[0], loaded.catalogue.item_ids[0]
    for one in (loaded.user_history(first_user), loaded.item_history([first_item])):
        history = loaded.batch([one])
        found = model.recommend(history, k=10)
        reasons(loaded, model, history, found.item[0][found.item[0] >= 0], "model")


def _failure(seconds: float, breaker: CircuitBreaker, work: Callable[[], object]) -> str | None:
    """Make a call, and return why it gives no answer; None where it does."""
    try:
        if breaker.open:
            breaker.call(work)
        else:
            breaker.first_call(work, seconds)
    except NoAnswer as error:
        return f"{error.outcome}: {error.__cause__}" if error.__cause__ else error.outcome
    return None
