"""Two towers: users and items become vectors of one space, from text and learnt ids. Scores in NumPy, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.linear import unit_rows
from genre.log import Log
from genre.options import DEFAULT_K, Ge, Gt, Le, Lt, Search
from genre.recommenders.base import Recommendations
from genre.recommenders.network_base import (
    NetworkRecommender,
    Standardised,
    fit_network,
    forget,
    layers_of,
    liked,
    take_from,
    through,
    user_inputs,
    weights_of,
)
from genre.recommenders.topk import top_k_factors
from genre.storage import Tensors
from genre.training.hyperparameters import require_torch

if TYPE_CHECKING:
    from genre.networks.two_tower import TwoTowerNetwork


@dataclass(eq=False, kw_only=True)
class TwoTower(NetworkRecommender):
    """A user tower and an item tower meet in a dot product (Yi et al., RecSys 2019; Yang et al., WWW 2020).

    The item tower reads the item's text vector and its learnt embedding; the user tower reads the user's text vector
    and embedding, and its history, pooled from what the item tower reads, without the item in question. Each is told
    from the other items of its batch and from items drawn evenly, corrected for how likely each was to be there.

    dim: width of the common space. ids: width of the learnt embeddings. hidden: width of each tower's hidden layer.
    id_dropout: share of embeddings set to zero in training, so that new items and strangers get a place by text and
    history alone.
    negatives: items drawn evenly for a batch, in addition to those of the batch.
    temperature: what the cosine of the two vectors is divided by.
    user_dim: main directions of E(u) that are read; all of it would tell which items a user's text names.
    history_cut: share of the histories cut to a random part in training, so that short ones are answered well.
    """

    dim: Annotated[int, Ge(1), Search(32, 256, log=True)] = 64
    ids: Annotated[int, Ge(1), Search(16, 128, log=True)] = 64
    hidden: Annotated[int, Ge(1), Search(64, 512, log=True)] = 128
    id_dropout: Annotated[float, Ge(0), Lt(1), Search(0, 0.8)] = 0.3
    negatives: Annotated[int, Ge(0)] = 512
    temperature: Annotated[float, Gt(0), Le(1), Search(0.03, 0.3, log=True)] = 0.1
    user_dim: Annotated[int, Ge(0)] = 8
    history_cut: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.5
    batch_size: Annotated[int, Ge(2)] = 512
    weight_decay: Annotated[float, Ge(0), Search(1e-7, 1e-3, log=True)] = 1e-6

    learns: ClassVar[tuple[str, ...]] = (
        "weights_",
        "item_mean_",
        "item_scale_",
        "item_table_",
        "pool_half_",
        "known_half_",
        "user_ids_",
    )

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("two_tower")
        from genre.networks.histories import Pairs
        from genre.training.loop import seeded

        if dataset.item_features is None:
            log.line("two_tower: the items have no vectors; learning from ids alone, so new items have no place")
        of_items = Standardised.of(dataset.item_features)
        self.item_mean_, self.item_scale_ = of_items.mean, of_items.scale
        items = of_items(dataset.item_features, dataset.n_items)
        users = user_inputs(dataset, self.user_dim)
        self.user_ids_ = dataset.user_ids
        history = liked(dataset.history())
        counts = np.bincount(history.item, minlength=dataset.n_items)
        with seeded(self.seed):
            network = self._network(history, items, users)
        if self.init_from is not None:
            log.line(f"two_tower: {take_from(self.init_from, self, network)}")
        ones = np.ones(len(history.item), np.float32)
        batches = Pairs(history, ones, batch_size=self.batch_size)

        def read() -> None:
            weights = weights_of(network)
            forget(weights, "item_id.weight", counts)
            self._tabulate(weights, items, users)
            self.known_half_[history.lengths == 0] = 0  # a user without a history is a stranger

        fit_network(self, network, batches, dataset, validation, read=read, log=log)

    def _network(self, history: History, items: Float32, users: Float32) -> TwoTowerNetwork:
        from genre.networks.histories import Histories
        from genre.networks.two_tower import TwoTowerNetwork

        return TwoTowerNetwork(
            Histories(history, history.weight, cut=self.history_cut),
            items,
            users,
            np.bincount(history.item, minlength=history.n_items),
            dim=self.dim,
            ids=self.ids,
            hidden=self.hidden,
            id_dropout=self.id_dropout,
            negatives=self.negatives,
            temperature=self.temperature,
            batch_size=self.batch_size,
        )

    def _tabulate(self, weights: Tensors, items: Float32, users: Float32) -> None:
        """Vectors of all items, and each item's and each known user's share in the user tower's first layer."""
        self.weights_ = weights
        inputs = np.concatenate([items, weights["item_id.weight"]], 1)  # [n_items, text + ids]
        self.item_table_, self.pool_half_ = self._place(inputs)
        known = np.concatenate([users, weights["user_id.weight"]], 1)
        self.known_half_ = known @ weights["user_first.weight"][:, : known.shape[1]].T

    def _place(self, inputs: Float32) -> tuple[Float32, Float32]:
        """What items read as `inputs` are worth: their vectors, and their share in the user tower's first layer."""
        weights = self.weights_
        first = inputs @ weights["item_first.weight"].T + weights["item_first.bias"]
        share = weights["user_first.weight"][:, -1 - inputs.shape[1] : -1]
        return unit_rows(through(first, layers_of(weights, "item_rest"))), inputs @ share.T

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        read = liked(history)
        share = read.weight / (np.bincount(read.row_of(), read.weight, len(read)) + 1)[read.row_of()]
        pool = sp.csr_matrix((share, read.item, read.indptr), shape=(len(read), read.n_items))
        first = np.asarray(pool @ self.pool_half_, np.float32)
        first += np.log1p(read.lengths)[:, None].astype(np.float32) * self.weights_["user_first.weight"][:, -1]
        known = history.user >= 0
        first[known] += self.known_half_[history.user[known]]
        queries = unit_rows(through(first + self.weights_["user_first.bias"], layers_of(self.weights_, "user_rest")))
        return queries / np.float32(self.temperature), self.item_table_

    def _score(self, history: History) -> Float32:
        queries, items = self._factors(history)
        return np.asarray(queries @ items.T, np.float32)

    def similar_items(self, items: Int32, *, k: int = DEFAULT_K) -> Recommendations:
        """The `k` items whose vectors lie nearest, by cosine."""
        self._fitted()
        seen = (np.arange(len(items) + 1), np.asarray(items, np.int32))
        found, score = top_k_factors(
            self.item_table_[items], self.item_table_, min(k, len(self.item_table_)), seen=seen
        )
        return Recommendations(found, score, self.item_ids_)

    def _extend(self, features: Float32) -> None:
        """New items are placed by their vectors; their learnt embedding is zero, as it was at times in training."""
        new = Standardised(self.item_mean_, self.item_scale_)(features, len(features))
        table, share = self._place(np.concatenate([new, np.zeros((len(new), self.ids), np.float32)], 1))
        self.item_table_ = np.concatenate([self.item_table_, table])
        self.pool_half_ = np.concatenate([self.pool_half_, share])
