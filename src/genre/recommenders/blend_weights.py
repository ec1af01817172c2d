"""Non-negative weights that make several score lists rank best together. Knows arrays, not recommenders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.recommenders.topk import top_k_scores

Float64 = npt.NDArray[np.float64]

STEPS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 4.0)
ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Question:
    """What one history was asked: its candidates with each member's score, and which of them are right.

    scores: float32 `[n_members, n_candidates]`, in the order of the items' rows. right: bool `[n_candidates]`.
    n_right: targets, found or not.
    """

    scores: Float32
    right: npt.NDArray[np.bool_]
    n_right: int


@dataclass(frozen=True, eq=False)
class Exam:
    """Many questions padded to one width, so that a set of weights is judged by one matrix product."""

    scores: Float32  # [n_members, n, width], -inf where there is no candidate
    right: npt.NDArray[np.bool_]  # [n, width]
    n_right: Int64  # [n]

    @classmethod
    def of(cls, questions: list[Question]) -> Exam:
        n_members, width = len(questions[0].scores), max(len(one.right) for one in questions)
        scores = np.full((n_members, len(questions), width), -np.inf, np.float32)
        right = np.zeros((len(questions), width), bool)
        for at, one in enumerate(questions):
            scores[:, at, : len(one.right)] = one.scores
            right[at, : len(one.right)] = one.right
        return cls(scores, right, np.array([one.n_right for one in questions]))

    def ndcg(self, weights: Float64, k: int) -> float:
        """Mean ndcg@k of the questions under `weights` `[n_members]`."""
        used = np.flatnonzero(weights)
        total = np.tensordot(weights[used].astype(np.float32), self.scores[used], axes=1)  # [n, width]
        k = min(k, total.shape[1])
        best, _ = top_k_scores(total, k)  # ties go to the lower row, as in a list; -1 where there is no candidate
        hit = np.take_along_axis(self.right, best.clip(0).astype(np.int64), axis=1) & (best >= 0)
        discount = 1 / np.log2(np.arange(2, k + 2))
        ideal = np.concatenate([[0], np.cumsum(discount)])[np.minimum(self.n_right, k)]
        return float(np.mean(hit @ discount / ideal))


def question(scores: Float32, seen: Int32, targets: Int32, depth: int) -> Question:
    """The `depth` best unseen items of each member `[n_members, n_items]` together, and the targets among them."""
    open_ = scores.copy()
    open_[:, seen] = -np.inf
    depth = min(depth, open_.shape[1])
    items = np.unique(np.argpartition(-open_, depth - 1, axis=1)[:, :depth])
    items = items[np.isfinite(open_[0, items])]
    return Question(scores[:, items], np.isin(items, targets), len(targets))


def fit_weights(exam: Exam, k: int, start: Float64) -> Float64:
    """Weights `[n_members]`, not negative, that sum to one and make ndcg@k high.

    start: where to begin. Every member alone is tried too, so that no blend is worse than its best member here.
    """
    if len(start) == 1:
        return start
    starts = [start, *np.eye(len(start))]
    best = starts[int(np.argmax([exam.ndcg(weights, k) for weights in starts]))]
    climbed = _climb(exam, k, 0.7 * best + 0.3 * start)
    found = climbed if exam.ndcg(climbed, k) > exam.ndcg(best, k) else best
    return np.asarray(found / found.sum())


def _climb(exam: Exam, k: int, weights: Float64) -> Float64:
    """Move one weight at a time while ndcg@k rises."""
    reached = exam.ndcg(weights, k)
    for _ in range(ROUNDS):
        before = reached
        for member in range(len(weights)):
            size = weights[member] or weights.mean() / 4  # a weight that fell to zero may come back
            for factor in STEPS:
                moved = weights.copy()
                moved[member] = factor * size
                value = exam.ndcg(moved, k) if moved.any() else -np.inf
                if value > reached:
                    reached, weights = value, moved
        if reached == before:
            break
    return weights
