"""MLP: a rating network f(u, i) on text vectors, histories and learnt ids. Scores in NumPy, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError, NotSupported
from genre.log import Log
from genre.options import Doc, Ge, Gt, Lt, Search
from genre.recommenders.baseline import Baseline
from genre.recommenders.feed_forward import forward, forward_all_pairs, layers_of
from genre.recommenders.network_base import (
    HistoryCut,
    Standardised,
    UserDim,
    user_inputs,
    weights_of,
    without_each,
    zero_untrained,
)
from genre.recommenders.pair_network import PairNetwork
from genre.storage import Tensors
from genre.training.hyperparameters import require_torch

if TYPE_CHECKING:
    from genre.networks.mlp import MLPNetwork

OFFSET_DAMPING = 5.0  # ratings of usual height added to each user's own when its offset is computed
PAIR_BLOCK = 16_384  # pairs predicted at once


@dataclass(eq=False, kw_only=True)
class MLP(PairNetwork):
    """A rating is the mean, the user's offset, the item's bias, and an MLP over [u; i] with ReLU between its layers.

    u = E(u) and i = E(i) are the text vectors of the data set where it has them. The user half also gets its history,
    pooled with rating-centred weights and without the item in question, and both halves get learnt embeddings.
    Without ratings the same network ranks, by cross-entropy against sampled items.

    The network over two concatenated vectors is that of He et al., "Neural Collaborative Filtering", WWW 2017; the
    pooled history follows Koren, "Factorization Meets the Neighborhood", KDD 2008 (SVD++).

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.MLP(hidden=(16, 8), dim=4, epochs=60, batch_size=32, learning_rate=0.01).fit(toy_dataset())
        >>> model.recommend(["i0", "i2", "i4"], k=1).ids()[0] in ("i6", "i8", "i10")  # even items, as in the history
        True
    """

    hidden: Annotated[tuple[Annotated[int, Gt(0)], ...], Doc("Width of each hidden layer.")] = (128, 64)
    dim: Annotated[
        int, Ge(0), Search(8, 64, log=True), Doc("Width of the learnt embeddings of users and items; 0: text alone.")
    ] = 32
    dot: Annotated[int, Ge(0), Doc("Width of a dot product of the two halves, added to the output; 0: none.")] = 0
    pooling: Annotated[
        Literal["mean", "attention"],
        Doc("Items of a history weigh the same (mean), or by a learnt weight of each item (attention)."),
    ] = "mean"
    biases: Annotated[bool, Doc("Add the user's offset and the item's bias to the output.")] = True
    loss: Annotated[
        Literal["auto", "mse", "bce"],
        Doc("mse: squared error of ratings; bce: cross-entropy of likes; auto: mse where there are ratings."),
    ] = "auto"
    negatives: Annotated[
        int, Ge(1), Doc("Items sampled for each interaction (bce); those that the user has are dropped.")
    ] = 4
    dropout: Annotated[
        float, Ge(0), Lt(1), Search(0, 0.5), Doc("Share of each layer's inputs set to zero in training.")
    ] = 0.0
    id_dropout: Annotated[
        float,
        Ge(0),
        Lt(1),
        Search(0, 0.5),
        Doc("Share of embeddings set to zero in training, so that unknown users and new items are scored well too."),
    ] = 0.1
    user_dim: UserDim = 8
    history_cut: HistoryCut = 0.5
    epochs: Annotated[int, Ge(1), Doc("Passes over the interactions, at most.")] = 8
    weight_decay: Annotated[
        float, Ge(0), Search(1e-6, 1e-3, log=True), Doc("Pull of the weights, not of the biases, towards zero.")
    ] = 1e-5

    learns: ClassVar[tuple[str, ...]] = (
        "weights_",
        "item_mean_",
        "item_scale_",
        "item_half_",
        "item_bias_",
        "item_offset_",
        "pool_half_",
        "pool_weight_",
        "user_ids_",
        "known_half_",
        "on_ratings_",
        "assumed_",
        "mean_",
        "low_",
        "high_",
    )

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("MLP", self.device)
        from genre.networks.histories import PairBatches

        if dataset.item_features is None:
            log.line("mlp: the items have no vectors; learning from ids alone")
            if not self.dim:
                raise DataError("mlp: the items have no vectors and dim is 0; add features or learnt ids (dim > 0)")
        of_items = Standardised.of(dataset.item_features)
        self.item_mean_, self.item_scale_ = of_items.mean, of_items.scale
        items = of_items(dataset.item_features, dataset.n_items)
        users = user_inputs(dataset, self.user_dim)
        self.user_ids_ = dataset.user_ids
        self._centre(dataset)
        history, target = dataset.history(), self._targets(dataset)
        network = self._initialise(lambda: self._network(history, items, users), log)
        negatives = 0 if self.on_ratings_ else self.negatives
        options = self._in_steps(len(target), log)
        self._train(
            network,
            PairBatches(history, target, batch_size=options.batch_size, negatives=negatives),
            dataset,
            validation,
            read=lambda: self._tabulate(weights_of(network), items, users, history),
            metric="rmse" if self.on_ratings_ else "ndcg",
            options=options,
            log=log,
        )

    def _network(self, history: History, items: Float32, users: Float32) -> MLPNetwork:
        """Return an untrained network for these histories and inputs."""
        from genre.networks.histories import Histories
        from genre.networks.mlp import MLPNetwork

        return MLPNetwork(
            Histories(history, self._deviations(history), cut=self.history_cut),
            items,
            users,
            self.item_offset_,
            dim=self.dim,
            hidden=self.hidden,
            dot=self.dot,
            attention=self.pooling == "attention",
            biases=self.biases,
            ratings=self.on_ratings_,
            dropout=self.dropout,
            id_dropout=self.id_dropout,
            damping=OFFSET_DAMPING,
        )

    def _centre(self, dataset: Dataset) -> None:
        """Learn what each item gets on average, so that a history says how its user differs."""
        self.on_ratings_ = self.loss == "mse" or (self.loss == "auto" and dataset.rating is not None)
        self.mean_, self.low_, self.high_ = 0.0, 0.0, 0.0
        self.item_offset_ = np.zeros(dataset.n_items, np.float32)
        self.assumed_ = np.array([0, 1], np.float32)  # deviation of a disliked and a liked item without rating
        if not self.on_ratings_:
            return
        if dataset.rating is None:
            raise DataError("mlp: loss is mse, but the data has no ratings; use bce or auto")
        baseline = Baseline(user_damping=OFFSET_DAMPING).fit(dataset)
        self.mean_, self.low_, self.high_ = baseline.mean_, baseline.low_, baseline.high_
        self.item_offset_ = baseline.item_offset_
        deviation = self._deviations(dataset.history())
        liked = dataset.weight > 0
        self.assumed_ = np.array([deviation[part].mean() if part.any() else 0 for part in (~liked, liked)], np.float32)

    def _deviations(self, history: History) -> Float32:
        """Return how far each rating is above its item's mean, or the weights where nothing is rated, `[nnz]`."""
        if not self.on_ratings_:
            return history.weight
        if history.rating is None:
            return self.assumed_[(history.weight > 0).astype(np.int64)]
        return np.asarray(history.rating - self.mean_ - self.item_offset_[history.item], np.float32)

    def _targets(self, dataset: Dataset) -> Float32:
        """Return stars above the mean, or 1 for items that were liked, `[n_interactions]`."""
        if self.on_ratings_ and dataset.rating is not None:
            return dataset.rating - np.float32(self.mean_)
        return (dataset.weight > 0).astype(np.float32)

    def _tabulate(self, weights: Tensors, items: Float32, users: Float32, history: History) -> None:
        """Compute the first layer's halves of all items and of all users of the training part once."""
        self.weights_ = weights
        zero_untrained(weights, "item_id.weight", np.bincount(history.item, minlength=history.n_items))
        self.known_half_ = np.concatenate([users, weights["user_id.weight"]], 1) @ self._user_columns("known").T
        self.known_half_[history.lengths == 0] = 0  # a user without interactions is an unknown user
        inputs = np.concatenate([items, weights["item_id.weight"]], 1)
        self.item_half_, self.pool_half_, self.pool_weight_ = self._item_tables(inputs)
        self.item_bias_ = weights["item_bias"] if self.biases else np.zeros(len(items), np.float32)

    def _item_tables(self, inputs: Float32) -> tuple[Float32, Float32, Float32]:
        """Return what scoring needs of items with these inputs (text vector and embedding), `[n_items, width]`.

        Their halves of the first layer, what they add to a user's half as part of its history, and their weights there.
        """
        weights = self.weights_
        half = inputs @ weights["item_half.weight"].T + weights["item_half.bias"]  # [n_items, H + dot]
        attention = weights.get("attention.weight", np.zeros((1, inputs.shape[1]), np.float32))
        return half, inputs @ self._user_columns("pooled").T, np.exp((inputs @ attention[0]).clip(-4, 4))

    def _user_columns(self, part: str) -> Float32:
        """Return the columns of the first layer's user half for one part of its input, `[H + dot, width]`."""
        matrix = self.weights_["user_half.weight"]
        pooled = self.weights_["item_half.weight"].shape[1]
        known = matrix.shape[1] - pooled - 2
        return {"known": matrix[:, :known], "pooled": matrix[:, known:-2], "numbers": matrix[:, -2:]}[part]

    # --- scoring ----------------------------------------------------------------------------------

    def _user_half(self, history: History) -> tuple[Float32, Float32]:
        """Return the user half of the first layer `[n, H + dot]` and the offset `[n]` of each history.

        The formulas are those of `MLPNetwork.pool`, without a pair to leave out.
        """
        deviation, row, n = self._deviations(history), history.row_of(), len(history)
        total = np.bincount(row, deviation, n)
        offset = (total / (history.lengths + OFFSET_DAMPING) * self.on_ratings_).astype(np.float32)
        weight = self.pool_weight_[history.item]  # a_j
        centred = weight * (deviation - offset[row])  # a_j (d_j - offset)
        pool = sp.csr_matrix((centred, history.item, history.indptr), shape=(n, history.n_items)) @ self.pool_half_
        half = pool / (np.bincount(row, weight, n) + 1)[:, None].astype(np.float32)
        half += np.stack([offset, np.log1p(history.lengths)], 1).astype(np.float32) @ self._user_columns("numbers").T
        known = history.user >= 0
        half[known] += self.known_half_[history.user[known]]
        return half, offset

    def _score(self, history: History) -> Float32:
        half, offset = self._user_half(history)
        width = self.hidden[0]
        scores = forward_all_pairs(half[:, :width], self.item_half_[:, :width], layers_of(self.weights_, "layers"))
        scores += half[:, width:] @ self.item_half_[:, width:].T  # the dot product; of width zero without it
        scores += self.item_bias_ + self._constant(offset)[:, None]
        return scores

    def _pairs(self, half: Float32, offset: Float32, item: Int32) -> Float32:
        """Return f(u, i) of pairs: user halves `[n_pairs, H + dot]`, offsets and items `[n_pairs]`."""
        width = self.hidden[0]
        item_half = self.item_half_[item]
        dot: Float32 = np.einsum("nd,nd->n", half[:, width:], item_half[:, width:])
        rest = forward(half[:, :width] + item_half[:, :width], layers_of(self.weights_, "layers"))[:, 0]
        return dot + rest + self.item_bias_[item] + self._constant(offset)

    def _constant(self, offset: Float32) -> Float32:
        """Return what is added to all items' scores: the mean and the user's offset, `[n]`."""
        return np.float32(self.mean_) + offset * np.float32(self.biases)

    @override
    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        self._check(history)
        if not self.on_ratings_:
            raise NotSupported("this MLP was trained to rank (bce); fit it on ratings with loss mse to predict them")
        half, offset = self._user_half(history)
        stars = np.empty(len(row), np.float32)
        for start in range(0, len(row), PAIR_BLOCK):
            at = slice(start, start + PAIR_BLOCK)
            stars[at] = self._pairs(half[row[at]], offset[row[at]], item[at])
        return stars.clip(self.low_, self.high_)

    def _contributions(self, history: History, items: Int32) -> Float32:
        half, offset = self._user_half(without_each(history))
        whole = self._score(history)[0, items]
        left = [self._pairs(half, offset, np.full(len(half), item, np.int32)) for item in items]
        return np.asarray(whole[:, None] - np.stack(left), np.float32)

    def _extend(self, features: Float32) -> None:
        """Place new items by their text vectors; their embeddings are zero, as dropout made them in training."""
        new = Standardised(self.item_mean_, self.item_scale_)(features, len(features))
        tables = self._item_tables(np.concatenate([new, np.zeros((len(new), self.dim), np.float32)], 1))
        self.item_half_ = np.concatenate([self.item_half_, tables[0]])
        self.pool_half_ = np.concatenate([self.pool_half_, tables[1]])
        self.pool_weight_ = np.concatenate([self.pool_weight_, tables[2]])
        zeros = np.zeros(len(new), np.float32)
        self.item_bias_, self.item_offset_ = np.append(self.item_bias_, zeros), np.append(self.item_offset_, zeros)
