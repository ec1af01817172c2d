"""The network of NCF: a matrix factorisation and an MLP over embeddings, added (NeuMF).

Source: He et al., "Neural Collaborative Filtering", WWW 2017. Shapes: P pairs of a batch, D = dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.networks.histories import Histories, drop, drop_rows
from genre.training.row_updates import LookedUp


class NCFNetwork(nn.Module):
    """logit(u, i) = w . (p * q) + MLP([p'; q']) + bias_i; an embedding table holds p and p' side by side, `[n, 2 D]`.

    A pair is scored without its own interaction in the user's history: nothing leaks.
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
        """Initialise the weights.

        Args:
            histories: of all users.
            n_items: size of the catalogue.
            dim: width of each embedding, D.
            hidden: width of each hidden layer of the MLP.
            dropout: share of the inputs of each layer set to zero in training.
            id_dropout: share of user embeddings set to zero in training.
        """
        super().__init__()
        self.histories, self.dim, self.dropout, self.id_dropout = histories, dim, dropout, id_dropout
        self.user_id, self.item_id = LookedUp(histories.n_users, 2 * dim), LookedUp(n_items, 2 * dim)
        self.item_pool = nn.Embedding(n_items, 2 * dim)
        self.item_bias = nn.Parameter(torch.zeros(n_items))
        self.first = nn.Linear(2 * dim, hidden[0])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, [*hidden[1:], 1], strict=True))
        self.out = nn.Linear(dim, 1, bias=False)
        for table in (self.user_id, self.item_id, self.item_pool):
            nn.init.normal_(table.weight, 0, 0.1)
        nn.init.ones_(self.out.weight)

    def forward(self, user: Tensor, item: Tensor, target: Tensor, interaction: Tensor) -> Tensor:
        """Return the loss of a batch of pairs.

        Args:
            user: user rows. `[P]`
            item: item rows. `[P]`
            target: 1 for an interaction, 0 for a negative. `[P]`
            interaction: position of the pair in the histories, -1 for a negative. `[P]`

        Returns:
            The mean binary cross-entropy, a scalar.
        """
        return functional.binary_cross_entropy_with_logits(self.pairs(user, item, interaction), target)

    def pairs(self, user: Tensor, item: Tensor, interaction: Tensor) -> Tensor:
        """Return the logit of each pair.

        Args:
            user: user rows. `[P]`
            item: item rows. `[P]`
            interaction: position of the pair in the histories, -1 to leave nothing out. `[P]`

        Returns:
            `[P]`
        """
        dim, batch = self.dim, self.histories.of_batch(user, interaction)
        whole = batch.weighted_sum(self.item_pool.weight, batch.value)  # [P, 2 D]
        pooled = whole - batch.own_value[:, None] * self.item_pool(item)
        ids = drop_rows(self.user_id(user), self.id_dropout, training=self.training)  # [P, 2 D]
        p, q = ids + pooled / (batch.length + 1).sqrt()[:, None], self.item_id(item)  # [P, 2 D] each
        x = self.first(self._drop(torch.cat([p[:, dim:], q[:, dim:]], 1)))  # [P, hidden[0]]
        for layer in self.layers:
            x = layer(self._drop(functional.relu(x)))  # in the end [P, 1]
        logit: Tensor = (self.out(p[:, :dim] * q[:, :dim]) + x)[:, 0] + self.item_bias[item]
        return logit

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout, training=self.training)
