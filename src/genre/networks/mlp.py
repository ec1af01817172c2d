"""The network of MLP: two halves of a first layer, one of the item and one of the user with its history, and a tower.

Shapes: P pairs of a batch, D = dim, H = hidden[0], I and U the widths of the text vectors of items and users.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.networks.histories import BatchHistories, Histories, drop, drop_rows
from genre.training.row_updates import LookedUp


class MLPNetwork(nn.Module):
    """f(u, i) as an MLP over the concatenation [u; i]; the first layer W [u; i] + b is kept as W_u u + (W_i i + b).

    So an item's half is computed once for all users. A pair is scored without its own interaction in the user's
    history: nothing leaks.
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
        damping: float,
        dropout: float,
        id_dropout: float,
    ) -> None:
        """Initialise the weights.

        Args:
            histories: of all users; a value is the deviation of a rating from its item's mean, or a weight.
            items: text vectors of the items, width 0 without any. `[n_items, I]`
            users: text vectors of the users, width 0 without any. `[n_users, U]`
            item_offset: where the items' biases start. `[n_items]`
            dim: width of the learnt embeddings.
            hidden: width of each hidden layer.
            dot: width of the dot-product term of the two halves, 0 for none.
            attention: learn the weight that each item has in a pooled history.
            biases: add the user's offset and the item's bias to the output.
            ratings: outputs are ratings (squared error), else logits (cross-entropy).
            damping: ratings of usual height added to each user's own when its offset is computed.
            dropout: share of inputs set to zero in training.
            id_dropout: share of embeddings set to zero in training.
        """
        super().__init__()
        self.histories, self.ratings, self.biases, self.damping = histories, ratings, biases, damping
        self.width, self.dot, self.dropout, self.id_dropout = hidden[0], dot, dropout, id_dropout
        width_item = items.shape[1] + dim
        width_user = users.shape[1] + dim + width_item + 2
        self.item_half = nn.Linear(width_item, hidden[0] + dot)
        self.user_half = nn.Linear(width_user, hidden[0] + dot, bias=False)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, [*hidden[1:], 1], strict=True))
        self.item_id, self.user_id = nn.Embedding(len(items), dim), LookedUp(len(users), dim)
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

    def forward(self, user: Tensor, item: Tensor, target: Tensor, interaction: Tensor) -> Tensor:
        """Return the loss of a batch of pairs.

        Args:
            user: user rows. `[P]`
            item: item rows. `[P]`
            target: stars above the mean, or 1 for an item that was liked and 0 for another. `[P]`
            interaction: position of the pair in the histories, -1 for a negative. `[P]`

        Returns:
            The mean loss, a scalar.
        """
        scores = self.pairs(user, item, interaction)
        if self.ratings:
            return functional.mse_loss(scores, target)
        return functional.binary_cross_entropy_with_logits(scores, target)

    def pairs(self, user: Tensor, item: Tensor, interaction: Tensor) -> Tensor:
        """Return f(u, i) of each pair.

        Args:
            user: user rows. `[P]`
            item: item rows. `[P]`
            interaction: position of the pair in the histories, -1 to leave nothing out. `[P]`

        Returns:
            Stars above the mean, or logits. `[P]`
        """
        pooled, offset, length = self.pool(self.histories.of_batch(user, interaction), item)
        item_input = torch.cat([self.items[item], self._drop_ids(self.item_id(item))], 1)  # [P, I + D]
        ids = self._drop_ids(self.user_id(user))  # [P, D]
        numbers = torch.stack([offset, length.log1p()], 1)  # [P, 2]
        user_input = torch.cat([self.users[user], ids, pooled, numbers], 1)  # [P, U + D + (I + D) + 2]
        a, b = self.item_half(self._drop(item_input)), self.user_half(self._drop(user_input))  # [P, H + dot] each
        hidden = self.width
        x = functional.relu(a[:, :hidden] + b[:, :hidden])  # [P, H]
        for layer in self.layers[:-1]:
            x = functional.relu(layer(self._drop(x)))
        out: Tensor = self.layers[-1](self._drop(x))[:, 0]  # [P]
        if self.dot:
            out = out + (a[:, hidden:] * b[:, hidden:]).sum(1)
        return out + offset + self.item_bias[item] if self.biases else out

    def pool(self, batch: BatchHistories, item: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what each user's history says, without the pair itself.

        With z_j the input of item j (text vector and embedding), d_j the deviation of its rating, and a_j its weight
        (1, or learnt), a history J becomes

            offset = sum_J d_j / (|J| + damping)
            pooled = sum_J a_j (d_j - offset) z_j / (sum_J a_j + 1)

        Args:
            batch: the histories of the batch.
            item: item rows. `[P]`

        Returns:
            The pooled vector `[P, I + D]`, the offset (0 without ratings) `[P]` and the number of interactions `[P]`.
        """
        attention = self.attend()
        if attention is None:
            a, own = torch.ones_like(batch.value), batch.holds  # [nnz], [P]
        else:
            a, own = attention[batch.item], attention[item] * batch.holds
        shrunk = (batch.total(batch.value) - batch.own_value) / (batch.length + self.damping)
        offset = shrunk if self.ratings else torch.zeros_like(shrunk)  # [P]
        weight = batch.total(a) - own  # [P]
        parts = []
        for table in (table for table in (self.items, self.item_id.weight) if table.shape[1]):
            own_row = table[item] * own[:, None]  # [P, width]
            with_d = batch.weighted_sum(table, a * batch.value) - batch.own_value[:, None] * own_row
            plain = batch.weighted_sum(table, a) - own_row
            parts.append((with_d - offset[:, None] * plain) / (weight + 1)[:, None])
        return torch.cat(parts, 1), offset, batch.length

    def attend(self) -> Tensor | None:
        """Return the learnt weight of each item in a pooled history.

        Returns:
            exp(w . z_j), the exponent kept within -4 and 4, `[n_items]`; None where all items weigh the same.
        """
        if self.attention is None:
            return None
        known = self.items.shape[1]
        to_known, to_id = self.attention.weight[0, :known], self.attention.weight[0, known:]
        return (self.items @ to_known + self.item_id.weight @ to_id).clamp(-4, 4).exp()

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout, training=self.training)

    def _drop_ids(self, rows: Tensor) -> Tensor:
        return drop_rows(rows, self.id_dropout, training=self.training)
