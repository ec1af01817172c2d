"""The obviously right ways of what compiled loops do for recommenders: slow, short, and the judges of the fast ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.history import History
from genre.recommenders.overlap import Norms, value_order
from genre.recommenders.topk import Mask, Seen

Float64 = npt.NDArray[np.float64]


def top_k_plain(
    scores: Float32, k: int, *, seen: Seen | None = None, candidates: Mask | None = None
) -> tuple[Int32, Float32]:
    """Mask and sort whole rows of `scores` `[n, n_items]`: items and scores, each `[n, k]`."""
    masked = np.array(scores, np.float32)
    if candidates is not None:
        masked[:, ~candidates] = -np.inf
    if seen is not None:
        indptr, item = seen
        masked[np.repeat(np.arange(len(masked)), np.diff(indptr)), item] = -np.inf
    order = np.argsort(-masked, axis=1, kind="stable")[:, :k].astype(np.int32)
    best = np.take_along_axis(masked, order, axis=1)
    order[np.isneginf(best)] = -1
    missing = ((0, 0), (0, max(0, k - order.shape[1])))
    return np.pad(order, missing, constant_values=-1), np.pad(best, missing, constant_values=-np.inf)


def nearest_neighbours_plain(
    matrix: sp.csr_matrix, source: Norms, target: Norms, k: int, shrinkage: float = 0.0
) -> sp.csr_matrix:
    """Compare all pairs at once: see `nearest_neighbours`."""
    overlap = (matrix.T @ matrix).toarray().astype(np.float64)
    np.fill_diagonal(overlap, 0)
    similarity = overlap / np.maximum(np.outer(source, target) + shrinkage, 1e-30)
    place = np.argsort(value_order(matrix))
    order = np.array([np.lexsort((place, -row)) for row in similarity.astype(np.float32)])[:, :k]
    kept = np.zeros_like(similarity)
    np.put_along_axis(kept, order, np.take_along_axis(similarity, order, axis=1), axis=1)
    return sp.csr_matrix(kept.astype(np.float32))


def follower_counts_plain(
    history: History, forward: Float64, backward: Float64, source: Float64, target: Float64, k: int
) -> sp.csr_matrix:
    """Count one distance at a time: see `follower_counts`."""
    n_items, row = history.n_items, history.row_of()
    counts = np.zeros((n_items, n_items))
    for step in range(1, len(forward) + 1):
        at = np.flatnonzero(row[step:] == row[:-step])
        early, late = history.item[at], history.item[at + step]
        weight = history.weight[at] * history.weight[at + step]
        np.add.at(counts, (early, late), weight * forward[step - 1])
        np.add.at(counts, (late, early), weight * backward[step - 1])
    np.fill_diagonal(counts, 0)
    counts *= np.outer(source, target)
    place = np.argsort(value_order(history.matrix()))
    order = np.array([np.lexsort((place, -row)) for row in counts.astype(np.float32)])[:, :k]
    kept = np.zeros_like(counts)
    np.put_along_axis(kept, order, np.take_along_axis(counts, order, axis=1), axis=1)
    return sp.csr_matrix(kept.astype(np.float32))


def basket_vector_plain(
    baskets: list[set[int]], n_items: int, groups: int, basket_decay: float, group_decay: float
) -> Float64:
    """Average groups of baskets, the newest weighing most, one basket at a time: see `Repeat`."""
    m = min(groups, len(baskets))
    sizes = [len(baskets) // m + (at >= m - len(baskets) % m) for at in range(m)]
    vector, start = np.zeros(n_items), 0
    for group, size in enumerate(sizes):
        own = np.zeros(n_items)
        for place, basket in enumerate(baskets[start : start + size]):
            own[sorted(basket)] += basket_decay ** (size - 1 - place)
        vector += group_decay ** (m - 1 - group) * own / size
        start += size
    return vector / m


def friends_plain(
    user: int, own: Float64, friends: list[list[int]], matrix: Float64, similarity_weight: float, second_weight: float
) -> Float64:
    """Add up the tastes of friends and their friends, one at a time: see `Friends`."""
    unit = [row / max(np.linalg.norm(row), 1e-12) for row in (own, *matrix)]
    weight = np.zeros(len(matrix))
    for friend in friends[user]:
        weight[friend] += 1
        for second in friends[friend]:
            weight[second] += second_weight * (second != user)
    scores = np.zeros(matrix.shape[1])
    for other, times in enumerate(weight):
        likeness = unit[0] @ unit[1 + other]
        scores += times * (1 - similarity_weight + similarity_weight * likeness) * unit[1 + other]
    return np.asarray(scores / max(weight.sum(), 1), np.float64)


def follow_plain(
    user: int, follows: list[set[int]], likes: list[set[int]], measure: str, taste_weight: float
) -> list[float]:
    """Count the paths from a user to everybody, one at a time, and compare the tastes: see `Follow`."""
    divisors: dict[str, Callable[[int], float]] = {
        "common": lambda degree: 1,
        "resource_allocation": lambda degree: degree,
        "adamic_adar": lambda degree: math.log(1 + degree),
    }
    divisor = divisors[measure]
    holders = Counter(thing for some in likes for thing in some)
    taste = [{thing: math.log(len(likes) / holders[thing]) for thing in some} for some in likes]

    def cosine(one: dict[int, float], other: dict[int, float]) -> float:
        product = sum(one[thing] * other[thing] for thing in one.keys() & other.keys())
        return product / max(math.hypot(*one.values()) * math.hypot(*other.values()), 1e-12)

    scores = []
    for other in range(len(follows)):
        paths = (follows[middle] for middle in follows[user] if other in follows[middle] and middle != other)
        score = sum(1 / divisor(len(some)) for some in paths) + taste_weight * cosine(taste[user], taste[other])
        scores.append(-1.0 if other == user else score)
    return scores
