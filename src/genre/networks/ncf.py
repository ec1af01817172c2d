"""The network of `NCF`; imported when one is trained, because it needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.networks.histories import Histories, drop, drop_rows


class NCFNetwork(nn.Module):
    """Embeddings hold the factorisation's part and the network's part side by side. `[n, 2 dim]`

    Pairs are scored as if the target were not in the user's history: nothing leaks.
    """

    def __init__(
        self,
        histories: Histories,
        n_items: int,
        *,
        dim: int,
        hidden: Sequence[int],
        dropout: float,
        id_dropout: float,
    ) -> None:
        super().__init__()
        self.histories, self.dim, self.dropout, self.id_dropout = histories, dim, dropout, id_dropout
        self.user_id, self.item_id = nn.Embedding(histories.n_users, 2 * dim), nn.Embedding(n_items, 2 * dim)
        self.item_pool = nn.Embedding(n_items, 2 * dim)
        self.item_bias = nn.Parameter(torch.zeros(n_items))
        self.first = nn.Linear(2 * dim, hidden[0])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, [*hidden[1:], 1], strict=True))
        self.out = nn.Linear(dim, 1, bias=False)
        for table in (self.user_id, self.item_id, self.item_pool):
            nn.init.normal_(table.weight, 0, 0.1)
        nn.init.ones_(self.out.weight)

    def forward(self, user: Tensor, item: Tensor, target: Tensor, own: Tensor) -> Tensor:
        """The loss of a batch of pairs. [n_batch] each; `own`: where the pair stands in the histories, or -1."""
        return functional.binary_cross_entropy_with_logits(self.pairs(user, item, own), target)

    def pairs(self, user: Tensor, item: Tensor, own: Tensor) -> Tensor:
        """The logit of each pair. [n_batch]"""
        dim, bag = self.dim, self.histories.bag(user, own)
        pooled = bag.sum(self.item_pool.weight, bag.value) - bag.mine[:, None] * self.item_pool(item)
        ids = drop_rows(self.user_id(user), self.id_dropout, training=self.training)
        p, q = ids + pooled / (bag.length + 1).sqrt()[:, None], self.item_id(item)
        x = self.first(self._drop(torch.cat([p[:, dim:], q[:, dim:]], 1)))
        for layer in self.layers:
            x = layer(self._drop(functional.relu(x)))
        logit: Tensor = (self.out(p[:, :dim] * q[:, :dim]) + x)[:, 0] + self.item_bias[item]
        return logit

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout, training=self.training)
