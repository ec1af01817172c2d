"""The network of `TwoTower`; imported when one is trained, because it needs torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.networks.histories import Bag, Histories, drop_rows
from genre.training.losses import sampled_softmax


class TwoTowerNetwork(nn.Module):
    """Two towers of one hidden layer each; both read what the items are: text vector and embedding side by side.

    items `[n_items, ...]`, users `[n_users, ...]`: text vectors, width 0 where there are none. counts `[n_items]`: how
    often each item is a target, and so how often it stands in a batch.
    """

    def __init__(
        self,
        histories: Histories,
        items: Float32,
        users: Float32,
        counts: npt.NDArray[np.int64],
        *,
        dim: int,
        ids: int,
        hidden: int,
        id_dropout: float,
        negatives: int,
        temperature: float,
        batch_size: int,
    ) -> None:
        super().__init__()
        self.histories, self.id_dropout = histories, id_dropout
        self.negatives, self.temperature = negatives, temperature
        width_item, width_user = items.shape[1] + ids, users.shape[1] + ids
        self.item_id, self.user_id = nn.Embedding(len(items), ids), nn.Embedding(len(users), ids)
        self.item_first = nn.Linear(width_item, hidden)
        self.user_first = nn.Linear(width_user + width_item + 1, hidden)
        self.item_rest = nn.ModuleList([nn.Linear(hidden, dim)])
        self.user_rest = nn.ModuleList([nn.Linear(hidden, dim)])
        for table in (self.item_id, self.user_id):
            nn.init.normal_(table.weight, 0, 0.1)
        often = batch_size * counts / counts.sum() + negatives / len(items)
        log_q = np.log(-np.expm1(-np.maximum(often, 1e-12)))  # of being among the candidates of a batch at all
        for name, array in {"items": items, "users": users, "log_q": log_q.astype(np.float32)}.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)
        self.items: Tensor
        self.users: Tensor
        self.log_q: Tensor

    def forward(self, user: Tensor, item: Tensor, target: Tensor, own: Tensor) -> Tensor:
        """The loss of a batch of pairs: each user should find its item among all of the batch's and those drawn."""
        drawn = torch.randint(len(self.items), (self.negatives,), device=item.device)
        candidates, back = torch.unique(torch.cat([item, drawn]), return_inverse=True)
        bag = self.histories.bag(user, own)
        queries = self.queries(user, item, bag) / self.temperature
        rows, right = self.place(candidates), back[: len(item)]
        every = torch.arange(len(candidates), device=item.device)
        known = self.histories.hold(user, candidates, len(self.items))  # those are no wrong answers
        return sampled_softmax(queries, rows, right, every, self.log_q[candidates], hide=known)

    def place(self, item: Tensor) -> Tensor:
        """The vectors of items, of length one. [n, dim]"""
        ids = drop_rows(self.item_id(item), self.id_dropout, training=self.training)
        x = self.item_first(torch.cat([self.items[item], ids], 1))
        return functional.normalize(self.item_rest[0](functional.relu(x)))

    def queries(self, user: Tensor, item: Tensor, bag: Bag) -> Tensor:
        """The vectors of users as if they had not yet met `item`, of length one. [n_batch, dim]"""
        share = (bag.total(bag.value) - bag.mine + 1)[:, None]
        pooled = [
            (bag.sum(table, bag.value) - bag.mine[:, None] * table[item]) / share
            for table in (self.items, self.item_id.weight)
        ]
        ids = drop_rows(self.user_id(user), self.id_dropout, training=self.training)
        x = self.user_first(torch.cat([self.users[user], ids, *pooled, bag.length.log1p()[:, None]], 1))
        return functional.normalize(self.user_rest[0](functional.relu(x)))
