"""The network of `MLP`; imported when one is trained, because it needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.networks.histories import Bag, Histories, drop, drop_rows


class MLPNetwork(nn.Module):
    """f(u, i): the first layer in two halves, so that an item's half is computed once for all users.

    items `[n_items, ...]`, users `[n_users, ...]`: what is known before training, width 0 where nothing is. histories
    hold how far each interaction lies above what its item usually gets. item_offset `[n_items]`: where the items'
    biases start. Pairs are scored as if the target were not in the user's history: nothing leaks.
    """

    def __init__(
        self,
        histories: Histories,
        items: Float32,
        users: Float32,
        item_offset: Float32,
        *,
        dim: int,
        hidden: Sequence[int],
        dot: int,
        attention: bool,
        biases: bool,
        ratings: bool,
        dropout: float,
        id_dropout: float,
        damping: float,
    ) -> None:
        super().__init__()
        self.histories, self.ratings, self.biases, self.damping = histories, ratings, biases, damping
        self.width, self.dot, self.dropout, self.id_dropout = hidden[0], dot, dropout, id_dropout
        width_item = items.shape[1] + dim
        width_user = users.shape[1] + dim + width_item + 2
        self.item_half = nn.Linear(width_item, hidden[0] + dot)
        self.user_half = nn.Linear(width_user, hidden[0] + dot, bias=False)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, [*hidden[1:], 1], strict=True))
        self.item_id, self.user_id = nn.Embedding(len(items), dim), nn.Embedding(len(users), dim)
        self.item_bias = nn.Parameter(torch.from_numpy(item_offset.copy()), requires_grad=biases)
        self.attention = nn.Linear(width_item, 1, bias=False) if attention else None
        for table in (self.item_id, self.user_id):
            nn.init.normal_(table.weight, 0, 0.1)
        if self.attention is not None:
            nn.init.zeros_(self.attention.weight)  # at first a plain mean
        self.items: Tensor
        self.users: Tensor
        self.register_buffer("items", torch.from_numpy(items), persistent=False)
        self.register_buffer("users", torch.from_numpy(users), persistent=False)

    def forward(self, user: Tensor, item: Tensor, target: Tensor, own: Tensor) -> Tensor:
        """The loss of a batch of pairs. [n_batch] each; `own`: where the pair stands in the histories, or -1."""
        scores = self.pairs(user, item, own)
        if self.ratings:
            return functional.mse_loss(scores, target)
        return functional.binary_cross_entropy_with_logits(scores, target)

    def pairs(self, user: Tensor, item: Tensor, own: Tensor) -> Tensor:
        """f(u, i) of each pair, in stars above the mean or as a logit. [n_batch]"""
        pooled, offset, length = self.pool(self.histories.bag(user, own), item)
        item_input = torch.cat([self.items[item], self._drop_ids(self.item_id(item))], 1)
        ids = self._drop_ids(self.user_id(user))
        numbers = torch.stack([offset, length.log1p()], 1)
        user_input = torch.cat([self.users[user], ids, pooled, numbers], 1)
        a, b = self.item_half(self._drop(item_input)), self.user_half(self._drop(user_input))
        hidden = self.width
        x = functional.relu(a[:, :hidden] + b[:, :hidden])
        for layer in self.layers[:-1]:
            x = functional.relu(layer(self._drop(x)))
        out: Tensor = self.layers[-1](self._drop(x))[:, 0]
        if self.dot:
            out = out + (a[:, hidden:] * b[:, hidden:]).sum(1)
        return out + offset + self.item_bias[item] if self.biases else out

    def pool(self, bag: Bag, item: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each user's history without the pair itself: pooled item inputs, mean deviation, number of items.

        The pooled vector is the sum of a_j (d_j - offset) z_j over the sum of a_j plus one, where z_j is an item's
        input, d_j the deviation of its rating, and a_j one or learnt.
        """
        attention = self.attend()
        if attention is None:
            a, mine = torch.ones_like(bag.value), bag.seen
        else:
            a, mine = attention[bag.item], attention[item] * bag.seen
        shrunk = (bag.total(bag.value) - bag.mine) / (bag.length + self.damping)
        offset = shrunk if self.ratings else torch.zeros_like(shrunk)
        weight = bag.total(a) - mine
        parts = []
        for table in (table for table in (self.items, self.item_id.weight) if table.shape[1]):
            own = table[item] * mine[:, None]
            with_d, plain = bag.sum(table, a * bag.value) - bag.mine[:, None] * own, bag.sum(table, a) - own
            parts.append((with_d - offset[:, None] * plain) / (weight + 1)[:, None])
        return torch.cat(parts, 1), offset, bag.length

    def attend(self) -> Tensor | None:
        """The learnt weight of each item in a pooled history; None where all weigh the same. [n_items]"""
        if self.attention is None:
            return None
        known = self.items.shape[1]
        to_known, to_id = self.attention.weight[0, :known], self.attention.weight[0, known:]
        return (self.items @ to_known + self.item_id.weight @ to_id).clamp(-4, 4).exp()

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout, training=self.training)

    def _drop_ids(self, rows: Tensor) -> Tensor:
        return drop_rows(rows, self.id_dropout, training=self.training)
