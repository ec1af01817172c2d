"""Other values for one or two options of a recommender, within their search ranges. Does not know what they are for."""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.evaluation.tuning import matters
from genre.options import Choices, Search, options_of, search_space
from genre.recommenders.base import Recommender

STEP = 0.25  # of the range of an option: the standard deviation of a change
NONE = 0.25  # chance that a change of an optional number takes it away


def changed_options(model: Recommender, rng: np.random.Generator) -> dict[str, Any]:
    """Draw other values for one or two of the options that have a search range and an effect.

    Args:
        model: The recommender.
        rng: The source of chance.

    Returns:
        Option -> new value; empty where no option can be searched.
    """
    cls, now = type(model), options_of(model)
    others = {name: {key: value for key, value in now.items() if key != name} for name in now}
    space = {name: one for name, one in search_space(cls).items() if matters(cls, name, one, others[name])}
    if not space:
        return {}
    count = min(len(space), int(rng.integers(1, 3)))
    picked = rng.choice(sorted(space), count, replace=False).tolist()
    return {name: _moved(now[name], space[name], rng) for name in picked}


def _moved(value: Any, range_: Search | Choices, rng: np.random.Generator) -> Any:
    """Return a value near another one; numbers have three digits, which read better in a YAML."""
    if isinstance(range_, Choices):
        others = [other for other in range_.values if other != value]
        return others[int(rng.integers(len(others)))] if others else value
    if range_.optional and value is not None and rng.random() < NONE:
        return None
    low, high = (np.log(end) if range_.log else end for end in (range_.low, range_.high))
    if value is None:
        moved = rng.uniform(low, high)
    else:
        moved = (np.log(max(value, 1e-12)) if range_.log else value) + STEP * (high - low) * rng.normal()
    number = np.clip(np.exp(moved) if range_.log else moved, range_.low, range_.high)
    return range_.whole_number(number) if range_.whole else min(max(float(f"{number:.3g}"), range_.low), range_.high)
