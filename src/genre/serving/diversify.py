"""The two knobs a person may turn on a finished list: less popular, more varied. Knows a pool of scored items only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32

Scores = npt.NDArray[np.floating[Any]]
POOL = 200  # items that are looked at again, at least; `20 * k` for long lists


def pool_size(k: int) -> int:
    return max(POOL, 20 * k)


def rescored(
    items: Int32,
    scores: Scores,
    k: int,
    *,
    novelty: float,
    diversity: float,
    popularity: Float32,
    vectors: Float32 | None,
) -> tuple[Int32, Scores]:
    """The best `k` of a pool, best first, after both knobs; 0 and 0 leave it as it is.

    novelty: 0 (the score alone) to 1 (the rarity alone): how much rarity counts beside the score.
    diversity: 0 to 1: how much an item loses for being like those already in the list (maximal marginal relevance,
    Carbonell and Goldstein, SIGIR 1998). popularity `[n_items]`; vectors `[n_items, dim]` of unit length, or None.
    """
    value = (1 - novelty) * _unit(scores) + novelty * _unit(-np.log1p(popularity[items]))
    if diversity == 0 or vectors is None:
        order = np.argsort(-value, kind="stable")[:k]
        return items[order], np.round(value[order], 6)
    likeness = vectors[items] @ vectors[items].T  # [n, n]
    return _varied(items, value, likeness, k, diversity)


def _varied(items: Int32, value: Scores, likeness: Float32, k: int, diversity: float) -> tuple[Int32, Scores]:
    left = np.ones(len(items), bool)
    nearest = np.zeros(len(items), np.float32)  # likeness to the list so far
    order, worth = [], []
    for _ in range(min(k, len(items))):
        marginal = np.where(left, (1 - diversity) * value - diversity * nearest, -np.inf)
        best = int(np.argmax(marginal))
        order.append(best)
        worth.append(marginal[best])
        left[best] = False
        nearest = np.maximum(nearest, likeness[best])
    return items[order], np.round(np.array(worth), 6)


def _unit(values: Scores) -> Scores:
    """To 0..1 over the pool; all 0 where all are equal."""
    span = float(values.max() - values.min()) if len(values) else 0.0
    return np.asarray((values - values.min()) / span if span > 0 else np.zeros(len(values)))
