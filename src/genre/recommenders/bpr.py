"""BPR: matrix factorisation that learns to rank. `kernels/bpr.py` makes the stochastic steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import TrainingError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Search
from genre.recommenders.factors import EVERY, Factors

POWER = 0.75  # a history is the sum of its items divided by its weight to this power: between a sum and a mean
RIDGE = 0.01  # of the map from histories to users, in units of the histories' mean variance
TINY = 1e-9


@dataclass(eq=False)
class BPR(Factors):
    """For each user, an item of the history should score above a random item; learnt by stochastic gradient steps.

    Steffen Rendle, Christoph Freudenthaler, Zeno Gantner and Lars Schmidt-Thieme, "BPR: Bayesian personalized ranking
    from implicit feedback", UAI 2009. With the score s_ui = x_u . y_i + offset_i it maximises, over users u, items i of
    their history and random items j that are not,

        sum of log sigmoid(s_ui - s_uj)  -  regularization / 2 * (|x_u|^2 + |y_i|^2 + |y_j|^2).

    After training, a linear map is fitted from the sum of a history's item vectors to the learnt user vector, and every
    history is scored through it: users unknown in training at once, and known users better than by their own vector.
    Each interaction with a weight above zero counts alike in training.

    Example:
        Users of the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.BPR(factors=4, learning_rate=0.2, epochs=60).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    factors: Annotated[int, Ge(1), Search(16, 256, log=True), Doc("Length of the vectors.")] = 64
    epochs: Annotated[int, Ge(1), Search(10, 100, log=True), Doc("Passes over all interactions.")] = 30
    learning_rate: Annotated[
        float,
        Gt(0),
        Search(0.005, 0.2, log=True),
        Doc("Step size in the first epoch; it falls to zero in a straight line."),
    ] = 0.05
    regularization: Annotated[
        float,
        Ge(0),
        Search(0.001, 0.2, log=True),
        Doc("Pull of each vector to zero at each step; `softmax` needs about ten times as much."),
    ] = 0.01
    loss: Annotated[
        Literal["bpr", "softmax"],
        Doc(
            "bpr: one random item for each interaction. softmax: the interaction among `negatives` random items, which "
            "eight interactions of a user share, each weighted by the inverse of its probability."
        ),
    ] = "bpr"
    negatives: Annotated[int, Ge(1), Doc("Random items of a step of the softmax.")] = 64
    sampling: Annotated[
        Literal["uniform", "popularity"], Doc("How random items are drawn: all alike, or by their popularity.")
    ] = "uniform"
    seed: Annotated[int, Doc("Seed of the first vectors, of the order of users and of the random items.")] = 0

    learns: ClassVar[tuple[str, ...]] = ("item_offset_", "history_map_")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._joined: tuple[Float32, Float32] | None = None  # the embeddings, and they with the offsets behind them

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        matrix = dataset.matrix()
        indptr, item = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
        rng = np.random.default_rng(self.seed)
        users = rng.normal(0, 0.1, (dataset.n_users, self.factors + 1)).astype(np.float32)
        items = rng.normal(0, 0.1, (dataset.n_items, self.factors + 1)).astype(np.float32)
        users[:, -1], items[:, -1] = 1, 0  # the last column holds the offsets of items; users keep a one there
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
        self.history_map_ = self._map_to(users[:, :-1], dataset.history())

    def _epoch(
        self, indptr: Int64, item: Int32, users: Float32, items: Float32, rate: float, rng: np.random.Generator
    ) -> float:
        """Make one pass over all interactions; return the share of pairs ranked rightly, or the mean probability."""
        from genre.kernels.bpr import STEP, pairwise_epoch, softmax_epoch

        n_items, lengths = len(items), np.diff(indptr)
        order, mark = rng.permutation(len(users)), np.full(n_items, -1, np.int32)
        steps = np.float32(rate), np.float32(rate * self.regularization), mark
        if self.loss == "bpr":
            negatives = self._draw(item, n_items, (len(item),), rng)
            return float(pairwise_epoch(order, indptr, item, negatives, users, items, *steps))
        sampled = self._draw(item, n_items, (int(np.sum(-(-lengths // STEP))), self.negatives), rng)
        chance = np.bincount(item, minlength=n_items) / len(item) if self.sampling == "popularity" else 1 / n_items
        boost = np.broadcast_to(1 / (self.negatives * np.maximum(chance, 1e-12)), n_items).astype(np.float32)
        return float(softmax_epoch(order, indptr, item, sampled, boost, users, items, *steps))

    def _draw(self, item: Int32, n_items: int, shape: tuple[int, ...], rng: np.random.Generator) -> Int32:
        """Return random item rows; the items of random interactions are items drawn by popularity."""
        if self.sampling == "popularity":
            return item[rng.integers(0, len(item), shape)]
        return rng.integers(0, n_items, shape, np.int32)

    def _map_to(self, users: Float32, history: History) -> Float32:
        """Return the ridge regression of user vectors on the sums of their histories, `[factors, factors]`."""
        sums = self._sums(history).astype(np.float64)  # [n_users, factors]
        gram = sums.T @ sums
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + TINY
        return np.linalg.solve(gram, sums.T @ users).astype(np.float32)

    def _sums(self, history: History) -> Float32:
        """Return the sum of weight * y over each history, divided by a power of its total weight, `[n, factors]`."""
        matrix = history.matrix()
        weight = np.asarray(matrix.sum(axis=1), np.float32)
        return np.asarray((matrix @ self.item_embeddings_) / np.maximum(weight, TINY) ** POWER, np.float32)

    def _queries(self, history: History) -> Float32:
        users = self._sums(history) @ self.history_map_
        return np.hstack([users, np.ones((len(users), 1), np.float32)])  # [n, factors + 1]

    def _item_factors(self, items: Int32 | slice = EVERY) -> Float32:
        if self._joined is None or self._joined[0] is not self.item_embeddings_:
            table = np.hstack([self.item_embeddings_, self.item_offset_[:, None]])  # [n_items, factors + 1]
            self._joined = self.item_embeddings_, table
        return self._joined[1][items]

    def _popular(self, history: History, items: Int32) -> Float32:
        return self.item_offset_[items]

    def _query_terms(self, history: History) -> Float32:
        """Return the mapped terms of the sum, `[length, factors + 1]`; the constant of the query is in none."""
        weighted = self.item_embeddings_[history.item] * history.weight[:, None]
        terms = weighted / max(float(history.weight.sum()), TINY) ** POWER @ self.history_map_
        return np.asarray(np.hstack([terms, np.zeros((len(terms), 1), np.float32)]), np.float32)
