"""NCF: a matrix factorisation and a network over learnt ids, side by side. Scores in NumPy, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.log import Log
from genre.options import Ge, Gt, Le, Lt, Search
from genre.recommenders.network_base import (
    NetworkRecommender,
    fit_network,
    forget,
    layers_of,
    left_out,
    liked,
    take_from,
    through,
    through_all,
    weights_of,
)
from genre.storage import Tensors
from genre.training.hyperparameters import require_torch

if TYPE_CHECKING:
    from genre.networks.ncf import NCFNetwork


@dataclass(eq=False, kw_only=True)
class NCF(NetworkRecommender):
    """A dot product and a network over learnt embeddings, added, trained against drawn items (He et al., WWW 2017).

    score = w.(p * q) + f([p'; q']) + the item's bias: NeuMF. A user is its learnt embedding plus its history: an
    embedding that each liked item has for this purpose, summed over the square root of their number (as in SVD++). A
    stranger is its history alone. The first layer of f is split into a user and an item half, so that scoring a whole
    catalogue costs the item half once.

    dim: width of each embedding. hidden: width of each hidden layer of f.
    negatives: items drawn at random for each interaction, none that its user has.
    dropout: share of the inputs of each layer of f set to zero in training.
    id_dropout: share of user embeddings set to zero in training, so that histories learn to do without them.
    history_cut: share of the histories cut to a random part in training, so that short ones are answered well.
    """

    dim: Annotated[int, Ge(1), Search(8, 64, log=True)] = 32
    hidden: tuple[Annotated[int, Gt(0)], ...] = (64, 32, 16)
    negatives: Annotated[int, Ge(1), Search(1, 16, log=True)] = 4
    dropout: Annotated[float, Ge(0), Lt(1), Search(0, 0.5)] = 0.2
    id_dropout: Annotated[float, Ge(0), Lt(1), Search(0, 0.9)] = 0.5
    history_cut: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.5
    batch_size: Annotated[int, Ge(1)] = 512
    weight_decay: Annotated[float, Ge(0), Search(1e-7, 1e-3, log=True)] = 1e-6

    learns: ClassVar[tuple[str, ...]] = ("weights_", "item_half_", "item_factors_", "user_ids_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("ncf")
        from genre.networks.histories import Pairs
        from genre.training.loop import seeded

        self.user_ids_ = dataset.user_ids
        history = liked(dataset.history())
        with seeded(self.seed):
            network = self._network(history)
        if self.init_from is not None:
            log.line(f"ncf: {take_from(self.init_from, self, network)}")
        target = np.ones(len(history.item), np.float32)
        batches = Pairs(history, target, batch_size=self.batch_size, negatives=self.negatives)

        def read() -> None:
            weights = weights_of(network)
            forget(weights, "user_id.weight", history.lengths)
            self._tabulate(weights)

        fit_network(self, network, batches, dataset, validation, read=read, log=log)

    def _network(self, history: History) -> NCFNetwork:
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
        """Each item's and each known user's share of the score, as far as it does not depend on the other."""
        self.weights_ = weights
        first = weights["first.weight"]  # [hidden, dim of the user | dim of the item]
        item = weights["item_id.weight"]  # [n_items, factorisation | network]
        self.item_half_ = item[:, self.dim :] @ first[:, self.dim :].T + weights["first.bias"]
        self.item_factors_ = item[:, : self.dim] * weights["out.weight"]

    def _users(self, history: History) -> Float32:
        """What is known of each history: the factorisation's and the network's embedding. [n, 2 dim]"""
        known_items = liked(history)
        length = known_items.lengths
        share = known_items.weight / np.sqrt(length + 1)[known_items.row_of()]
        pool = sp.csr_matrix((share, known_items.item, known_items.indptr), shape=(len(history), history.n_items))
        users = np.asarray(pool @ self.weights_["item_pool.weight"], np.float32)
        known = history.user >= 0
        users[known] += self.weights_["user_id.weight"][history.user[known]]
        return users

    def _score(self, history: History) -> Float32:
        users = self._users(history)
        scores = through_all(self._half(users), self.item_half_, layers_of(self.weights_, "layers"))
        scores += users[:, : self.dim] @ self.item_factors_.T
        return scores + self.weights_["item_bias"]

    def _half(self, users: Float32) -> Float32:
        """The user half of the network's first layer. [n, hidden]"""
        return users[:, self.dim :] @ self.weights_["first.weight"][:, : self.dim].T

    def _contributions(self, history: History, items: Int32) -> Float32:
        users = self._users(left_out(history))
        half, layers = self._half(users), layers_of(self.weights_, "layers")
        left = [
            through(half + self.item_half_[item], layers)[:, 0] + users[:, : self.dim] @ self.item_factors_[item]
            for item in items
        ]
        whole = self._score(history)[0, items] - self.weights_["item_bias"][items]
        return np.asarray(whole[:, None] - np.stack(left), np.float32)
