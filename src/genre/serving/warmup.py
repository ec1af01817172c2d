"""Everything a run may be asked, asked once: code gets compiled, memory touched, and what does not answer is known.

Knows the stages of one shelf; nothing about what becomes of the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from genre.recommenders.base import Recommender
from genre.serving.breaker import Skipped, Stage
from genre.serving.fallback import Ladder, rungs
from genre.serving.loaded_run import Shelf
from genre.serving.reasons import reasons


def try_out(ladder: Ladder, shelf: Shelf) -> dict[str, str]:
    """Ask every stage that has not answered yet, or is out, all at the same time; by stage, why it does not answer."""
    shelf.catalogue.search("a", 1, shelf.popularity)
    shelf.catalogue.shared_words(0, shelf.catalogue.words(0))
    asked = [(stage, work) for stage, work in _questions(ladder, shelf) if stage.out or not stage.answered]
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked)) as pool:
        outcomes = pool.map(partial(_outcome, ladder.limits.warm_seconds), *zip(*asked, strict=True))
        return {stage.name: why for (stage, _), why in zip(asked, outcomes, strict=True) if why is not None}


def answers(ladder: Ladder, shelf: Shelf) -> bool:
    """Whether the run has more to say than what everybody takes."""
    own = (ladder.stage_of(shelf, name, label, "recommend") for name in shelf.models for label, _ in rungs(shelf, name))
    return not all(stage.out for stage in own)


def _questions(ladder: Ladder, shelf: Shelf) -> Iterator[tuple[Stage, Callable[[], object]]]:
    for name in shelf.models:
        for label, model in rungs(shelf, name):
            yield ladder.stage_of(shelf, name, label, "recommend"), partial(_recommend, shelf, model)
            yield ladder.stage_of(shelf, name, label, "similar"), partial(model.similar_items, np.array([0], np.int32))
    if shelf.wishes is not None:
        wishes = shelf.wishes
        yield ladder.words_of(shelf), lambda: wishes.match(wishes.understand("something new"))


def _recommend(shelf: Shelf, model: Recommender) -> None:
    for past in (shelf.past_of(shelf.dataset.user_ids[0]), shelf.basket([shelf.catalogue.item_ids[0]])):
        history = shelf.together([past])
        found = model.recommend(history, k=10)
        reasons(shelf, model, history, found.item[0][found.item[0] >= 0], "model")


def _outcome(seconds: float, stage: Stage, work: Callable[[], object]) -> str | None:
    try:
        if stage.out:
            stage.call(work)
        else:
            stage.prove(work, seconds)
    except Skipped as skipped:
        return f"{skipped.outcome}: {skipped.__cause__}" if skipped.__cause__ else skipped.outcome
    return None
