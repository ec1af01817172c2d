"""Novelty and diversity of a list: rerank a pool of scored items. Knows nothing else about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32

Scores = npt.NDArray[np.floating[Any]]


def diversify(
    items: Int32,
    scores: Scores,
    k: int,
    *,
    novelty: float,
    diversity: float,
    popularity: Float32,
    vectors: Float32 | None,
) -> tuple[Int32, Scores]:
    """Choose the best `k` items of a pool by score, rarity and unlikeness to one another.

    An item's value is `(1 - novelty) * score + novelty * rarity`, both scaled to 0..1 over the pool, where rarity is
    `-log(1 + popularity)`. With diversity the list is built greedily by maximal marginal relevance (Carbonell and
    Goldstein, SIGIR 1998): next comes the item with the largest
    `(1 - diversity) * value - diversity * (cosine to the nearest item of the list so far)`.

    Args:
        items: Rows of the pool, best first. `[n]`
        scores: Their scores. `[n]`
        k: Length of the list.
        novelty: Weight of rarity, 0 to 1.
        diversity: Weight of unlikeness, 0 to 1.
        popularity: Interactions of all items. `[n_items]`
        vectors: Unit vectors of all items `[n_items, dim]`, or None: diversity has no effect.

    Returns:
        Rows and values of the chosen items, best first. `[k]` each
    """
    value = (1 - novelty) * unit(scores) + novelty * unit(-np.log1p(popularity[items]))
    if diversity == 0 or vectors is None:
        order = np.argsort(-value, kind="stable")[:k]
        return items[order], np.round(value[order], 6)
    similarity = vectors[items] @ vectors[items].T  # [n, n]
    return _by_marginal_relevance(items, value, similarity, k, diversity)


def _by_marginal_relevance(
    items: Int32, value: Scores, similarity: Float32, k: int, diversity: float
) -> tuple[Int32, Scores]:
    left = np.ones(len(items), bool)
    nearest = np.zeros(len(items), np.float32)  # similarity to the nearest item of the list so far
    order, worth = [], []
    for _ in range(min(k, len(items))):
        marginal = np.where(left, (1 - diversity) * value - diversity * nearest, -np.inf)
        best = int(np.argmax(marginal))
        order.append(best)
        worth.append(marginal[best])
        left[best] = False
        nearest = np.maximum(nearest, similarity[best])
    return items[order], np.round(np.array(worth), 6)


def unit(values: Scores) -> Scores:
    """Scale to 0..1; all 0 where all are equal.

    Args:
        values: Scores. `[n]`

    Returns:
        The scaled scores. `[n]`
    """
    least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    return np.asarray((values - least) / (most - least)) if most > least else np.zeros(len(values))
