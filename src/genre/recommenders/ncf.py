"""NCF: a matrix factorisation and an MLP over learnt ids, added. Scores in NumPy, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.log import Log
from genre.options import Doc, Ge, Gt, Lt, Search
from genre.recommenders.feed_forward import forward, forward_all_pairs, layers_of
from genre.recommenders.network_base import (
    HistoryCut,
    liked,
    liked_histories,
    weights_of,
    without_each,
    zero_untrained,
)
from genre.recommenders.pair_network import PairNetwork
from genre.storage import Tensors
from genre.training.hyperparameters import require_torch

if TYPE_CHECKING:
    from genre.networks.ncf import NCFNetwork


@dataclass(eq=False, kw_only=True)
class NCF(PairNetwork):
    """A weighted dot product and an MLP over learnt embeddings, added: NeuMF.

    score = w . (p * q) + MLP([p'; q']) + the item's bias. A user is its learnt embedding plus its history: a second
    embedding of each liked item, summed over the square root of their number. An unknown user is its history alone.
    The first layer of the MLP is split into a user and an item half, so that scoring a whole catalogue computes the
    item half once.

    Sources: He et al., "Neural Collaborative Filtering", WWW 2017; the history term is that of Koren, "Factorization
    Meets the Neighborhood", KDD 2008 (SVD++).

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.NCF(dim=8, hidden=(16, 8), epochs=60, batch_size=32, learning_rate=0.01).fit(toy_dataset())
        >>> model.recommend(["i0", "i2", "i4"], k=1).ids()[0] in ("i6", "i8", "i10")  # even items, as in the history
        True
    """

    dim: Annotated[int, Ge(1), Search(8, 64, log=True), Doc("Width of each embedding.")] = 32
    hidden: Annotated[tuple[Annotated[int, Gt(0)], ...], Doc("Width of each hidden layer of the MLP.")] = (64, 32, 16)
    negatives: Annotated[
        int,
        Ge(1),
        Search(1, 16, log=True),
        Doc("Items sampled for each interaction; those that the user has are dropped."),
    ] = 4
    dropout: Annotated[
        float,
        Ge(0),
        Lt(1),
        Search(0, 0.5),
        Doc("Share of the inputs of each layer of the MLP set to zero in training."),
    ] = 0.2
    id_dropout: Annotated[
        float,
        Ge(0),
        Lt(1),
        Search(0, 0.9),
        Doc("Share of user embeddings set to zero in training, so that histories learn to do without them."),
    ] = 0.5
    history_cut: HistoryCut = 0.5
    batch_size: Annotated[int, Ge(1), Doc("Interactions in a training step.")] = 512
    weight_decay: Annotated[
        float, Ge(0), Search(1e-7, 1e-3, log=True), Doc("Pull of the weights, not of the biases, towards zero.")
    ] = 1e-6

    learns: ClassVar[tuple[str, ...]] = ("weights_", "item_half_", "item_factors_", "user_ids_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("NCF", self.device)
        from genre.networks.histories import PairBatches

        self.user_ids_ = dataset.user_ids
        history = liked_histories(dataset)
        network = self._initialise(lambda: self._network(history), log)
        ones = np.ones(len(history.item), np.float32)
        options = self._in_steps(len(ones), log)
        batches = PairBatches(history, ones, batch_size=options.batch_size, negatives=self.negatives)

        def read() -> None:
            weights = weights_of(network)
            zero_untrained(weights, "user_id.weight", history.lengths)
            self._tabulate(weights)

        self._train(network, batches, dataset, validation, read=read, options=options, log=log)

    def _network(self, history: History) -> NCFNetwork:
        """Return an untrained network for these histories."""
        from genre.networks.histories import Histories
        from genre.networks.ncf import NCFNetwork

        histories = Histories(history, history.weight, cut=self.history_cut)
        return NCFNetwork(
            histories,
            history.n_items,
            dim=self.dim,
            hidden=self.hidden,
            dropout=self.dropout,
            id_dropout=self.id_dropout,
        )

    def _tabulate(self, weights: Tensors) -> None:
        """Compute what the score needs of each item, once for all users."""
        self.weights_ = weights
        first = weights["first.weight"]  # [hidden, dim of the user | dim of the item]
        item = weights["item_id.weight"]  # [n_items, factorisation | network]
        self.item_half_ = item[:, self.dim :] @ first[:, self.dim :].T + weights["first.bias"]
        self.item_factors_ = item[:, : self.dim] * weights["out.weight"]

    def _users(self, history: History) -> Float32:
        """Return p and p' of each history side by side, user embedding and pooled items added, `[n, 2 dim]`."""
        read = liked(history)
        share = read.weight / np.sqrt(read.lengths + 1, dtype=np.float32)[read.row_of()]  # of 32 bits, as the table is
        pool = sp.csr_matrix((share, read.item, read.indptr), shape=(len(history), history.n_items))
        users = np.asarray(pool @ self.weights_["item_pool.weight"], np.float32)
        known = history.user >= 0
        users[known] += self.weights_["user_id.weight"][history.user[known]]
        return users

    def _score(self, history: History) -> Float32:
        users = self._users(history)
        scores = forward_all_pairs(self._half(users), self.item_half_, layers_of(self.weights_, "layers"))
        scores += users[:, : self.dim] @ self.item_factors_.T
        return scores + self.weights_["item_bias"]

    def _half(self, users: Float32) -> Float32:
        """Return the user half of the MLP's first layer, `[n, hidden[0]]`."""
        return users[:, self.dim :] @ self.weights_["first.weight"][:, : self.dim].T

    def _contributions(self, history: History, items: Int32) -> Float32:
        users = self._users(without_each(history))
        half, layers = self._half(users), layers_of(self.weights_, "layers")
        left = [
            forward(half + self.item_half_[item], layers)[:, 0] + users[:, : self.dim] @ self.item_factors_[item]
            for item in items
        ]
        whole = self._score(history)[0, items] - self.weights_["item_bias"][items]
        return np.asarray(whole[:, None] - np.stack(left), np.float32)
