"""BPR: matrix factorisation that learns to rank what was chosen above what was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.errors import TrainingError
from genre.log import Log
from genre.options import DEFAULT_K, Ge, Gt, Search
from genre.recommenders.base import Recommendations, Recommender
from genre.recommenders.explanation import Method
from genre.recommenders.topk import top_k_cosine

POWER = 0.75  # a history is the sum of its items divided by its weight to this power: between a sum and a mean
RIDGE = 0.01  # of the map from histories to users, in units of the histories' mean variance


@dataclass(eq=False)
class BPR(Recommender):
    """An item somebody chose should score above a random one (Rendle et al., UAI 2009), by stochastic steps.

    After training, a linear map is fitted from the sum of a history's items to the user learnt from it, and every
    history is scored through that map: strangers at once, and known users better than by their own learnt vector.
    Any weight above zero counts as one choice in training.

    factors: length of the vectors. epochs: passes over all interactions.
    learning_rate: of the first pass; it falls to zero in a straight line. regularization: pull to zero at each step;
    softmax wants about ten times as much.
    loss: bpr, one random item for each chosen one; softmax, `negatives` of them shared by eight choices of a user,
    each standing for as much of the catalogue as its probability says.
    negatives: random items of a softmax step. sampling: how random items are drawn, all alike or by popularity.
    seed: of the first vectors, of the order of users and of the random items.
    """

    factors: Annotated[int, Ge(1), Search(16, 256, log=True)] = 64
    epochs: Annotated[int, Ge(1), Search(10, 100, log=True)] = 30
    learning_rate: Annotated[float, Gt(0), Search(0.005, 0.2, log=True)] = 0.05
    regularization: Annotated[float, Ge(0), Search(0.001, 0.2, log=True)] = 0.01
    loss: Literal["bpr", "softmax"] = "bpr"
    negatives: Annotated[int, Ge(1)] = 64
    sampling: Literal["uniform", "popularity"] = "uniform"
    seed: int = 0

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("item_embeddings_", "item_offset_", "history_map_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        matrix = dataset.matrix()
        indptr, item = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
        rng = np.random.default_rng(self.seed)
        users = rng.normal(0, 0.1, (dataset.n_users, self.factors + 1)).astype(np.float32)
        items = rng.normal(0, 0.1, (dataset.n_items, self.factors + 1)).astype(np.float32)
        users[:, -1], items[:, -1] = 1, 0
        with log.bar("bpr", self.epochs) as bar:
            for epoch in range(self.epochs):
                rate = self.learning_rate * (1 - epoch / self.epochs)
                right = self._epoch(indptr, item, users, items, rate, rng)
                if not (np.isfinite(items).all() and np.isfinite(users).all()):
                    raise TrainingError(
                        f"bpr: the vectors grew without bounds in epoch {epoch + 1}; lower learning_rate "
                        f"(now {self.learning_rate:g}) or raise regularization (now {self.regularization:g})"
                    )
                bar.advance(1, note=f"{'pairs right' if self.loss == 'bpr' else 'probability'} {right:.3f}")
        self.item_embeddings_, self.item_offset_ = np.ascontiguousarray(items[:, :-1]), items[:, -1].copy()
        told = self._sums(dataset.history()).astype(np.float64)  # [n_users, factors]
        gram = told.T @ told
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + 1e-9
        self.history_map_ = np.linalg.solve(gram, told.T @ users[:, :-1]).astype(np.float32)  # [factors, factors]

    def _epoch(
        self, indptr: Int64, item: Int32, users: Float32, items: Float32, rate: float, rng: np.random.Generator
    ) -> float:
        from genre.kernels.bpr import STEP, pairwise_epoch, softmax_epoch

        n_items, lengths = len(items), np.diff(indptr)
        order, mark = rng.permutation(len(users)), np.full(n_items, -1, np.int32)
        steps = np.float32(rate), np.float32(rate * self.regularization), mark
        if self.loss == "bpr":
            return float(
                pairwise_epoch(order, indptr, item, self._draw(item, n_items, (len(item),), rng), users, items, *steps)
            )
        sampled = self._draw(item, n_items, (int(np.sum(-(-lengths // STEP))), self.negatives), rng)
        chance = np.bincount(item, minlength=n_items) / len(item) if self.sampling == "popularity" else 1 / n_items
        boost = np.broadcast_to(1 / (self.negatives * np.maximum(chance, 1e-12)), n_items).astype(np.float32)
        return float(softmax_epoch(order, indptr, item, sampled, boost, users, items, *steps))

    def _draw(self, item: Int32, n_items: int, shape: tuple[int, ...], rng: np.random.Generator) -> Int32:
        if self.sampling == "popularity":
            return item[rng.integers(0, len(item), shape)]
        return rng.integers(0, n_items, shape, np.int32)

    def _sums(self, history: History) -> Float32:
        """The sum of the vectors of each history, divided by a power of its weight. float32 `[n, factors]`"""
        matrix = history.matrix()
        weight = np.asarray(matrix.sum(axis=1), np.float32)
        return np.asarray((matrix @ self.item_embeddings_) / np.maximum(weight, 1e-9) ** POWER, np.float32)

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        users = self._sums(history) @ self.history_map_
        one = np.ones((len(users), 1), np.float32)
        return np.hstack([users, one]), np.hstack([self.item_embeddings_, self.item_offset_[:, None]])

    def _score(self, history: History) -> Float32:
        users, items = self._factors(history)
        return np.asarray(users @ items.T, np.float32)

    def _popular(self, history: History, items: Int32) -> Float32:
        return self.item_offset_[items]

    def _query_terms(self, history: History) -> Float32:
        """Without the constant, which meets the items' offsets: the score is an offset plus one term an interaction."""
        told = self.item_embeddings_[history.item] * history.weight[:, None]
        terms = told / max(float(history.weight.sum()), 1e-9) ** POWER @ self.history_map_
        return np.asarray(np.hstack([terms, np.zeros((len(terms), 1), np.float32)]), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        return np.asarray(self.item_embeddings_[items] @ self._query_terms(history)[:, :-1].T, np.float32)

    def similar_items(self, items: Int32, *, k: int = DEFAULT_K) -> Recommendations:
        """The `k` items whose vectors have the highest cosine with each item's."""
        self._fitted()
        return Recommendations(*top_k_cosine(self.item_embeddings_, items, k), self.item_ids_)
