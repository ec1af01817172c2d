"""Non-negative weights that make the weighted sum of several scores rank best. Knows arrays, not recommenders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Float64, Int32, Int64
from genre.data.ndcg import ndcg_of_lists
from genre.recommenders.topk import top_k_scores

Mask = npt.NDArray[np.bool_]

FACTORS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 4.0)  # a weight is multiplied by, in each step of the search
ROUNDS = 4  # over all weights


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
        scores: float32 `[n_members, n, width]`, -inf for padding.
        relevant: bool `[n, width]`.
        n_relevant: int64 `[n]`.
        known: as `scores`, True for padding; None: every member knows every candidate.
    """

    scores: Float32
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
        scores = np.full((n_members, len(candidates), width), -np.inf, np.float32)
        known = None if candidates[0].known is None else np.ones(scores.shape, bool)
        relevant = np.zeros((len(candidates), width), bool)
        for at, one in enumerate(candidates):
            scores[:, at, : len(one.relevant)] = one.scores
            if known is not None and one.known is not None:
                known[:, at, : len(one.relevant)] = one.known
            relevant[at, : len(one.relevant)] = one.relevant
        return cls(scores, relevant, np.array([one.n_relevant for one in candidates]), known)

    def ndcg(self, weights: Float64, k: int) -> float:
        """Return the mean ndcg@k of the lists sorted by the weighted mean of scores; ties go to the lower row.

        Args:
            weights: one weight a member. `[n_members]`
            k: length of a list.

        Returns:
            A mean between 0 and 1.
        """
        used = np.flatnonzero(weights)
        total = np.tensordot(weights[used].astype(np.float32), self.scores[used], axes=1)  # [n, width]
        if self.known is not None:
            held = np.tensordot(weights[used].astype(np.float32), self.known[used].astype(np.float32), axes=1)
            total /= np.where(held > 0, held, 1)
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
    """Return weights that make ndcg@k high, by coordinate ascent from the best of `start` and each member alone.

    So no blend is worse than its best member on these lists.

    Args:
        lists: candidates and targets of some histories.
        k: length of a list.
        start: weights to begin with. `[n_members]`

    Returns:
        Weights that are not negative and sum to one. `[n_members]`
    """
    if len(start) == 1:
        return start
    starts = [start, *np.eye(len(start))]
    best = starts[int(np.argmax([lists.ndcg(weights, k) for weights in starts]))]
    climbed = _climb(lists, k, 0.7 * best + 0.3 * start)
    found = climbed if lists.ndcg(climbed, k) > lists.ndcg(best, k) else best
    return np.asarray(found / found.sum())


def _climb(lists: CandidateLists, k: int, weights: Float64) -> Float64:
    """Change one weight at a time while ndcg@k rises."""
    reached = lists.ndcg(weights, k)
    for _ in range(ROUNDS):
        before = reached
        for member in range(len(weights)):
            size = weights[member] or weights.mean() / 4  # a weight that fell to zero may come back
            for factor in FACTORS:
                moved = weights.copy()
                moved[member] = factor * size
                value = lists.ndcg(moved, k) if moved.any() else -np.inf
                if value > reached:
                    reached, weights = value, moved
        if reached == before:
            break
    return weights
