"""Non-negative weights that make the weighted sum of several scores rank best. Knows arrays, not recommenders.

Two ways find them, and the one whose weights rank better the histories that they were not fitted on is taken: climbing
ndcg@k itself, which wins with many histories, and the softmax cross-entropy, a smooth stand-in, which wins with few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Float64, Int32, Int64
from genre.data.ndcg import ndcg_of_lists
from genre.recommenders.topk import top_k_scores

Mask = npt.NDArray[np.bool_]

FACTORS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 4.0)  # a weight is multiplied by, in each step of the search
ROUNDS = 4  # over all weights
ENOUGH_TO_HALVE = 20  # histories from which on the two ways are compared
STEPS = 60  # of the descent of the cross-entropy, at most
PULL = 10.0  # of the squared weights towards zero, as much as the loss of so many histories


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates for one history, in the order of their rows, with the score that each member gives them.

    Attributes:
        scores: float32 `[n_members, n_candidates]`.
        relevant: whether a candidate is a target. bool `[n_candidates]`
        n_relevant: targets of the history, among the candidates or not.
        known: whether each member knows each candidate, shaped as `scores`, which are 0 where not; None: it does.
    """

    scores: Float32
    relevant: Mask
    n_relevant: int
    known: Mask | None = None


@dataclass(frozen=True, eq=False)
class CandidateLists:
    """The candidates of `n` histories, padded to one width, so that weights are evaluated by one matrix product.

    Attributes:
        scores: float32 `[n_members, n, width]`, 0 for padding.
        padding: bool `[n, width]`.
        relevant: bool `[n, width]`.
        n_relevant: int64 `[n]`.
        known: as `scores`, True for padding; None: every member knows every candidate.
    """

    scores: Float32
    padding: Mask
    relevant: Mask
    n_relevant: Int64
    known: Mask | None = None

    @classmethod
    def of(cls, candidates: list[Candidates]) -> CandidateLists:
        """Pad the candidates of several histories.

        Args:
            candidates: one entry a history, at least one.

        Returns:
            The padded arrays.
        """
        n_members, width = len(candidates[0].scores), max(len(one.relevant) for one in candidates)
        scores = np.zeros((n_members, len(candidates), width), np.float32)
        known = None if candidates[0].known is None else np.ones(scores.shape, bool)
        relevant, padding = np.zeros((len(candidates), width), bool), np.ones((len(candidates), width), bool)
        for at, one in enumerate(candidates):
            scores[:, at, : len(one.relevant)] = one.scores
            if known is not None and one.known is not None:
                known[:, at, : len(one.relevant)] = one.known
            relevant[at, : len(one.relevant)] = one.relevant
            padding[at, : len(one.relevant)] = False
        return cls(scores, padding, relevant, np.array([one.n_relevant for one in candidates]), known)

    def select(self, rows: slice | Int64) -> CandidateLists:
        """Pick histories.

        Args:
            rows: Which.

        Returns:
            Their candidates.
        """
        known = None if self.known is None else np.ascontiguousarray(self.known[:, rows])
        scores = np.ascontiguousarray(self.scores[:, rows])
        return CandidateLists(scores, self.padding[rows], self.relevant[rows], self.n_relevant[rows], known)

    def ndcg(self, weights: Float64, k: int) -> float:
        """Return the mean ndcg@k of the lists sorted by the weighted mean of scores; ties go to the lower row.

        Args:
            weights: one weight a member. `[n_members]`
            k: length of a list.

        Returns:
            A mean between 0 and 1.
        """
        return self._ndcg(*self._sums(weights), k)

    def ndcg_of_each(self, weights: Float64, member: int, sizes: Float64, k: int) -> Float64:
        """Return the mean ndcg@k for several weights of one member, the others as they are.

        Args:
            weights: one weight a member. `[n_members]`
            member: the one whose weight changes.
            sizes: its weights.
            k: length of a list.

        Returns:
            A mean for each size; -inf where no weight is left.
        """
        others = np.where(np.arange(len(weights)) == member, 0, weights)
        total, held = self._sums(others)
        found = np.full(len(sizes), -np.inf)
        for at, size in enumerate(sizes.astype(np.float32)):
            if size or others.any():
                more = held if held is None or self.known is None else held + size * self.known[member]
                found[at] = self._ndcg(total + size * self.scores[member], more, k)
        return found

    def _sums(self, weights: Float64) -> tuple[Float32, Float32 | None]:
        """Return the weighted sum of scores, and the weights of the members that know each candidate, `[n, width]`."""
        used = np.flatnonzero(weights)
        some = weights[used].astype(np.float32)
        total = np.tensordot(some, self.scores[used], axes=1)
        return total, None if self.known is None else np.tensordot(some, self.known[used].astype(np.float32), axes=1)

    def _ndcg(self, total: Float32, held: Float32 | None, k: int) -> float:
        """Return the mean ndcg@k of the lists sorted by sums, over what their members hold; `total` is spent."""
        if held is not None:
            total /= np.where(held > 0, held, 1)
        total[self.padding] = -np.inf
        best, _ = top_k_scores(total, min(k, total.shape[1]))  # [n, k], -1 where there is no candidate
        hits = np.take_along_axis(self.relevant, best.clip(0).astype(np.int64), axis=1) & (best >= 0)
        return float(np.mean(ndcg_of_lists(hits, self.n_relevant)))


def best_candidates(scores: Float32, seen: Int32, targets: Int32, depth: int, known: Mask | None = None) -> Candidates:
    """Return the best unseen items of each member together.

    Args:
        scores: of one history. `[n_members, n_items]`
        seen: items that must not be recommended.
        targets: the relevant items.
        depth: items taken from each member's list.
        known: whether each member knows each item; None: it does. `[n_members, n_items]`

    Returns:
        At most `n_members * depth` candidates.
    """
    unseen = scores.copy()
    unseen[:, seen] = -np.inf
    depth = min(depth, unseen.shape[1])
    items = np.unique(np.argpartition(-unseen, depth - 1, axis=1)[:, :depth])
    items = items[np.isfinite(unseen[0, items])]
    return Candidates(
        scores[:, items], np.isin(items, targets), len(targets), None if known is None else known[:, items]
    )


def fit_weights(lists: CandidateLists, k: int, start: Float64) -> Float64:
    """Return weights that make ndcg@k high on histories like these.

    Each way of finding weights is tried on every other history and judged on the rest, and the reverse. The better one
    finds them on all; the start stays where neither beats it. No blend is worse than its best member on these lists.

    Args:
        lists: candidates and targets of some histories.
        k: length of a list.
        start: weights to begin with. `[n_members]`

    Returns:
        Weights that are not negative and sum to one. `[n_members]`
    """
    if len(start) == 1:
        return start
    ways: tuple[Callable[[CandidateLists], Float64], ...] = (
        lambda some: climb_ndcg(some, k, start),
        lambda some: descend_cross_entropy(some, start),
        lambda some: start,
    )
    if len(lists.n_relevant) < ENOUGH_TO_HALVE:
        return ways[0](lists)
    halves = lists.select(slice(0, None, 2)), lists.select(slice(1, None, 2))
    held_out = [sum(judged.ndcg(way(fitted), k) for fitted, judged in (halves, halves[::-1])) for way in ways]
    found = ways[int(np.argmax(held_out))](lists)
    worse = lists.ndcg(found, k) < max(lists.ndcg(weights, k) for weights in (start, *np.eye(len(start))))
    return ways[0](lists) if worse else found


def climb_ndcg(lists: CandidateLists, k: int, start: Float64) -> Float64:
    """Return weights by coordinate ascent of ndcg@k from the best of `start` and each member alone.

    Args:
        lists: candidates and targets of some histories.
        k: length of a list.
        start: weights to begin with. `[n_members]`

    Returns:
        Weights that are not negative and sum to one. `[n_members]`
    """
    starts = [start, *np.eye(len(start))]
    best = starts[int(np.argmax([lists.ndcg(weights, k) for weights in starts]))]
    climbed = _climb(lists, k, 0.7 * best + 0.3 * start)
    found = climbed if lists.ndcg(climbed, k) > lists.ndcg(best, k) else best
    return np.asarray(found / found.sum())


def descend_cross_entropy(lists: CandidateLists, start: Float64) -> Float64:
    """Return the weights of the least cross-entropy, by L-BFGS-B (Byrd et al. 1995), which keeps them from below zero.

    Args:
        lists: candidates and targets of some histories.
        start: weights to begin with. `[n_members]`

    Returns:
        Weights that are not negative and sum to one; `start` where no target is among the candidates. `[n_members]`
    """
    from scipy.optimize import minimize  # importing it takes a quarter of a second, which a list need not wait for

    lists = lists.select(np.flatnonzero(lists.relevant.any(axis=1)))
    if not len(lists.n_relevant):
        return start
    pull = PULL / len(lists.n_relevant)

    def loss(weights: Float64) -> tuple[float, Float64]:
        value, gradient = cross_entropy(lists, weights)
        return value + pull * float(weights @ weights), gradient + 2 * pull * weights

    bounds = [(0, None)] * len(start)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x
    return np.asarray(found / found.sum()) if found.sum() > 0 else start


def cross_entropy(lists: CandidateLists, weights: Float64) -> tuple[float, Float64]:
    """Return the mean loss of the targets, -log softmax(z)_j, and its gradient.

    Candidate j scores z_j = sum_m v_m s_mj = N_j with the weights v, and where some members do not know it z_j =
    N_j V / D_j: divided by the share D_j / V of weights whose members do, D_j = sum_m v_m k_mj and V = sum_m v_m. So

        dz_j / dv_m = s_mj V / D_j  -  k_mj N_j V / D_j^2  +  N_j / D_j,    or s_mj where all are known.

    The size of v is the inverse temperature. Targets of one history share its weight. Source: ListNet (Cao et al.,
    "Learning to rank: from pairwise approach to listwise approach", ICML 2007).

    Args:
        lists: histories with a target among their candidates.
        weights: v, one weight a member. `[n_members]`

    Returns:
        The loss, and its gradient `[n_members]`.
    """
    n, v = len(lists.n_relevant), weights.astype(np.float32)
    wanted = (lists.relevant / lists.relevant.sum(axis=1, keepdims=True)).astype(np.float32)  # [n, width]
    z = np.tensordot(v, lists.scores, axes=1)  # [n, width]
    known = None if lists.known is None else lists.known.astype(np.float32)
    if known is not None:
        held = np.tensordot(v, known, axes=1)
        mean = z / np.where(held > 0, held, 1)  # N / D
        gained = np.where(held > 0, v.sum() / np.where(held > 0, held, 1), np.float32(0))  # V / D
        z *= gained
    z[lists.padding] = -np.inf
    z -= z.max(axis=1, keepdims=True)
    chance = np.exp(z)
    total = chance.sum(axis=1, keepdims=True)
    loss = -float(np.sum(wanted * np.where(lists.padding, 0, z - np.log(total)), dtype=np.float64)) / n
    error = chance / total - wanted  # of z, [n, width]
    if known is None:
        return loss, np.tensordot(lists.scores, error, axes=2).astype(np.float64) / n
    gradient = np.tensordot(lists.scores, error * gained, axes=2) + np.sum(error * mean)
    gradient -= np.tensordot(known, error * mean * gained, axes=2)
    return loss, gradient.astype(np.float64) / n


def _climb(lists: CandidateLists, k: int, weights: Float64) -> Float64:
    """Change one weight at a time while ndcg@k rises."""
    reached = lists.ndcg(weights, k)
    for _ in range(ROUNDS):
        before = reached
        for member in range(len(weights)):
            size = weights[member] or weights.mean() / 4  # a weight that fell to zero may come back
            sizes = np.array(FACTORS) * size
            values = lists.ndcg_of_each(weights, member, sizes, k)
            best = int(np.argmax(values))
            if values[best] > reached:
                reached, weights = float(values[best]), weights.copy()
                weights[member] = sizes[best]
        if reached == before:
            break
    return weights
