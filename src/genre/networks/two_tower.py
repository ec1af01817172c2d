"""The network of TwoTower: a user tower and an item tower that map to vectors of one space.

Source: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.
Shapes: P pairs of a batch, D = dim, E = ids, I and U the widths of the text vectors of items and users.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.networks.histories import BatchHistories, Histories, drop_rows
from genre.training.losses import sampled_softmax
from genre.training.row_updates import LookedUp


class TwoTowerNetwork(nn.Module):
    """Towers of one hidden layer each; both read item inputs: text vector and embedding side by side, `[I + E]`."""

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
        """Initialise the weights.

        Args:
            histories: of all users.
            items: text vectors of the items, width 0 without any. `[n_items, I]`
            users: text vectors of the users, width 0 without any. `[n_users, U]`
            counts: how often each item is a target, and so is among the items of a batch. `[n_items]`
            dim: width of the common space.
            ids: width of the learnt embeddings.
            hidden: width of each tower's hidden layer.
            id_dropout: share of embeddings set to zero in training.
            negatives: items sampled uniformly for each batch.
            temperature: divisor of the cosine.
            batch_size: pairs in a batch.
        """
        super().__init__()
        self.histories, self.id_dropout = histories, id_dropout
        self.negatives, self.temperature = negatives, temperature
        width_item, width_user = items.shape[1] + ids, users.shape[1] + ids
        self.item_id, self.user_id = nn.Embedding(len(items), ids), LookedUp(len(users), ids)
        self.item_first = nn.Linear(width_item, hidden)
        self.user_first = nn.Linear(width_user + width_item + 1, hidden)
        self.item_rest = nn.ModuleList([nn.Linear(hidden, dim)])
        self.user_rest = nn.ModuleList([nn.Linear(hidden, dim)])
        for table in (self.item_id, self.user_id):
            nn.init.normal_(table.weight, 0, 0.1)
        expected = batch_size * counts / counts.sum() + negatives / len(items)  # occurrences in a batch, [n_items]
        log_q = np.log(-np.expm1(-np.maximum(expected, 1e-12)))  # log(1 - e^-expected): that it occurs at all
        for name, array in {"items": items, "users": users, "log_q": log_q.astype(np.float32)}.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)
        self.items: Tensor
        self.users: Tensor
        self.log_q: Tensor

    def forward(self, user: Tensor, item: Tensor, target: Tensor, interaction: Tensor) -> Tensor:
        """Return the loss of a batch: each user's item against all items of the batch and those sampled.

        Args:
            user: user rows. `[P]`
            item: item rows. `[P]`
            target: not used; batches of pairs carry it. `[P]`
            interaction: position of the pair in the histories. `[P]`

        Returns:
            The mean sampled softmax loss, a scalar.
        """
        drawn = torch.randint(len(self.items), (self.negatives,), device=item.device)
        candidates, which = torch.unique(torch.cat([item, drawn]), return_inverse=True)  # [n_candidates]
        batch = self.histories.of_batch(user, interaction)
        queries = self.user_vectors(user, item, batch) / self.temperature  # [P, D]
        rows, right = self.item_vectors(candidates), which[: len(item)]  # [n_candidates, D], [P]
        every = torch.arange(len(candidates), device=item.device)
        known = self.histories.contain(user, candidates, len(self.items))  # [P, n_candidates]: not wrong answers
        return sampled_softmax(queries, rows, right, every, self.log_q[candidates], hide=known)

    def item_vectors(self, item: Tensor) -> Tensor:
        """Return the vectors of items.

        Args:
            item: item rows. `[n]`

        Returns:
            Vectors of length one. `[n, D]`
        """
        ids = drop_rows(self.item_id(item), self.id_dropout, training=self.training)  # [n, E]
        x = self.item_first(torch.cat([self.items[item], ids], 1))  # [n, hidden]
        return functional.normalize(self.item_rest[0](functional.relu(x)))

    def user_vectors(self, user: Tensor, item: Tensor, batch: BatchHistories) -> Tensor:
        """Return the vectors of users, computed without the pair's own item in the history.

        Args:
            user: user rows. `[P]`
            item: item rows. `[P]`
            batch: the histories of the batch.

        Returns:
            Vectors of length one. `[P, D]`
        """
        weight = (batch.total(batch.value) - batch.own_value + 1)[:, None]  # [P, 1]
        pooled = [  # [P, I] and [P, E]
            (batch.weighted_sum(table, batch.value) - batch.own_value[:, None] * table[item]) / weight
            for table in (self.items, self.item_id.weight)
        ]
        ids = drop_rows(self.user_id(user), self.id_dropout, training=self.training)  # [P, E]
        inputs = torch.cat([self.users[user], ids, *pooled, batch.length.log1p()[:, None]], 1)
        x = self.user_first(inputs)  # [P, hidden]
        return functional.normalize(self.user_rest[0](functional.relu(x)))
