"""TwoTower: users and items as vectors of one space, from text and learnt ids. Scores in NumPy, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from typing_extensions import override

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.linear_algebra import unit_rows
from genre.log import Log
from genre.options import DEFAULT_K, Doc, Ge, Gt, Le, Lt, Search
from genre.recommenders.feed_forward import forward, layers_of
from genre.recommenders.network_base import (
    HistoryCut,
    Standardised,
    UserDim,
    liked,
    liked_histories,
    user_inputs,
    weights_of,
    zero_untrained,
)
from genre.recommenders.pair_network import PairNetwork
from genre.recommenders.recommendations import Recommendations
from genre.recommenders.topk import top_k_factors
from genre.storage import Tensors
from genre.training.hyperparameters import require_torch

if TYPE_CHECKING:
    from genre.networks.two_tower import TwoTowerNetwork


@dataclass(eq=False, kw_only=True)
class TwoTower(PairNetwork):
    """A user tower and an item tower meet in a dot product.

    The item tower reads the item's text vector and its learnt embedding. The user tower reads the user's text vector
    and embedding, and its history, pooled from the inputs of the item tower without the item in question. Each pair
    competes with the other items of its batch and with uniformly sampled items, corrected for how likely each was to
    be there.

    Sources: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019;
    Yang et al., "Mixed Negative Sampling for Learning Two-tower Neural Networks in Recommendations", WWW 2020.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.TwoTower(dim=8, ids=8, hidden=16, epochs=20, learning_rate=0.01).fit(toy_dataset())
        >>> model.recommend(["i0", "i2", "i4"], k=1).ids()[0] in ("i6", "i8", "i10")  # even items, as in the history
        True
    """

    dim: Annotated[int, Ge(1), Search(32, 256, log=True), Doc("Width of the common space.")] = 64
    ids: Annotated[int, Ge(1), Search(16, 128, log=True), Doc("Width of the learnt embeddings.")] = 64
    hidden: Annotated[int, Ge(1), Search(64, 512, log=True), Doc("Width of each tower's hidden layer.")] = 128
    id_dropout: Annotated[
        float,
        Ge(0),
        Lt(1),
        Search(0, 0.8),
        Doc("Share of embeddings set to zero in training, so that new items are placed by text alone."),
    ] = 0.3
    negatives: Annotated[int, Ge(0), Doc("Items sampled uniformly for a batch, in addition to those of the batch.")] = (
        512
    )
    temperature: Annotated[
        float, Gt(0), Le(1), Search(0.03, 0.3, log=True), Doc("Divisor of the cosine of the two vectors.")
    ] = 0.1
    user_dim: UserDim = 8
    history_cut: HistoryCut = 0.5
    batch_size: Annotated[int, Ge(2), Doc("Interactions in a training step.")] = 512
    weight_decay: Annotated[
        float, Ge(0), Search(1e-7, 1e-3, log=True), Doc("Pull of the weights, not of the biases, towards zero.")
    ] = 1e-6

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
        require_torch("TwoTower", self.device)
        from genre.networks.histories import PairBatches

        if dataset.item_features is None:
            log.line("two_tower: the items have no vectors; learning from ids alone, so new items cannot be placed")
        of_items = Standardised.of(dataset.item_features)
        self.item_mean_, self.item_scale_ = of_items.mean, of_items.scale
        items = of_items(dataset.item_features, dataset.n_items)
        users = user_inputs(dataset, self.user_dim)
        self.user_ids_ = dataset.user_ids
        history = liked_histories(dataset)
        options = self._in_steps(len(history.item), log)
        network = self._initialise(lambda: self._network(history, items, users, options.batch_size), log)
        counts = np.bincount(history.item, minlength=dataset.n_items)

        def read() -> None:
            weights = weights_of(network)
            zero_untrained(weights, "item_id.weight", counts)
            self._tabulate(weights, items, users)
            self.known_half_[history.lengths == 0] = 0  # a user without interactions is an unknown user

        batches = PairBatches(history, np.ones(len(history.item), np.float32), batch_size=options.batch_size)
        self._train(network, batches, dataset, validation, read=read, options=options, log=log)

    def _network(self, history: History, items: Float32, users: Float32, batch_size: int) -> TwoTowerNetwork:
        """Return an untrained network for these histories, inputs and pairs in a batch."""
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
            batch_size=batch_size,
        )

    def _tabulate(self, weights: Tensors, items: Float32, users: Float32) -> None:
        """Compute the vectors of all items, and what items and known users add to the user tower's first layer."""
        self.weights_ = weights
        inputs = np.concatenate([items, weights["item_id.weight"]], 1)  # [n_items, text + ids]
        self.item_table_, self.pool_half_ = self._place(inputs)
        known = np.concatenate([users, weights["user_id.weight"]], 1)
        self.known_half_ = known @ weights["user_first.weight"][:, : known.shape[1]].T

    def _place(self, inputs: Float32) -> tuple[Float32, Float32]:
        """Return the vectors of items with these inputs, and what they add to the user tower's first layer."""
        weights = self.weights_
        first = inputs @ weights["item_first.weight"].T + weights["item_first.bias"]
        share = weights["user_first.weight"][:, -1 - inputs.shape[1] : -1]
        return unit_rows(forward(first, layers_of(weights, "item_rest"))), inputs @ share.T

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        read = liked(history)
        row = read.row_of()
        total = np.bincount(row, read.weight, len(read)).astype(np.float32)
        share = read.weight / (total + 1)[row]  # of 32 bits, or SciPy would copy the whole table to 64
        pool = sp.csr_matrix((share, read.item, read.indptr), shape=(len(read), read.n_items))
        first = np.asarray(pool @ self.pool_half_, np.float32)  # [n, hidden]
        first += np.log1p(read.lengths)[:, None].astype(np.float32) * self.weights_["user_first.weight"][:, -1]
        known = history.user >= 0
        first[known] += self.known_half_[history.user[known]]
        queries = unit_rows(forward(first + self.weights_["user_first.bias"], layers_of(self.weights_, "user_rest")))
        return queries / np.float32(self.temperature), self.item_table_  # [n, dim], [n_items, dim]

    @override
    def similar_items(self, items: npt.ArrayLike, *, k: int = DEFAULT_K) -> Recommendations:
        """Return the items whose vectors have the highest cosine with each of `items`."""
        rows = self._item_rows(items)
        seen = (np.arange(len(rows) + 1), rows)
        found, score = top_k_factors(self.item_table_[rows], self.item_table_, min(k, len(self.item_table_)), seen=seen)
        return self._lists(found, score)

    def _extend(self, features: Float32) -> None:
        """Place new items by their text vectors; their embeddings are zero, as dropout made them in training."""
        new = Standardised(self.item_mean_, self.item_scale_)(features, len(features))
        table, share = self._place(np.concatenate([new, np.zeros((len(new), self.ids), np.float32)], 1))
        self.item_table_ = np.concatenate([self.item_table_, table])
        self.pool_half_ = np.concatenate([self.pool_half_, share])
