"""The network of `MLP` and its batches; imported when one is trained, because it needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.preprocessing.dataset import Float32, Int32, Int64
from genre.recommenders.mlp import MLP, OFFSET_DAMPING
from genre.training.negatives import NegativeSampler

GROUP = 8  # pairs of one user that come together, so that its history is pooled once for all of them


@dataclass(frozen=True)
class Examples:
    """What the network learns from: the histories of all users, each interaction also a target.

    indptr, item: the histories, as in `History`. target: what to predict. deviation: how far the interaction lies
    above what its item usually gets: what it says about the user. item_offset: where the items' biases start.
    items `[n_items, ...]`, users `[n_users, ...]`: what is known before training, width 0 where nothing is.
    """

    indptr: Int64
    item: Int32
    target: Float32
    deviation: Float32
    item_offset: Float32
    items: Float32
    users: Float32


class MLPNetwork(nn.Module):
    """f(u, i): the first layer in two halves, so that an item's half is computed once for all users.

    Pairs are scored as if the target were not in the user's history: nothing leaks.
    """

    def __init__(self, examples: Examples, options: MLP) -> None:
        super().__init__()
        self.known, self.options, self.ratings = _Known(examples), options, options.on_ratings_
        dim, hidden = options.dim, options.hidden
        width_item = examples.items.shape[1] + dim
        width_user = examples.users.shape[1] + dim + width_item + 2
        self.item_half = nn.Linear(width_item, hidden[0] + options.dot)
        self.user_half = nn.Linear(width_user, hidden[0] + options.dot, bias=False)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, [*hidden[1:], 1], strict=True))
        self.item_id, self.user_id = nn.Embedding(len(examples.items), dim), nn.Embedding(len(examples.users), dim)
        self.item_bias = nn.Parameter(torch.from_numpy(examples.item_offset.copy()), requires_grad=options.biases)
        self.attention = nn.Linear(width_item, 1, bias=False) if options.pooling == "attention" else None
        for table in (self.item_id, self.user_id):
            nn.init.normal_(table.weight, 0, 0.1)
        if self.attention is not None:
            nn.init.zeros_(self.attention.weight)  # at first a plain mean

    def forward(self, user: Tensor, item: Tensor, target: Tensor, deviation: Tensor, seen: Tensor) -> Tensor:
        """The loss of a batch of pairs. [n_batch] each; `seen`: 1 where the pair stands in the user's history."""
        scores = self.pairs(user, item, deviation, seen)
        if self.ratings:
            return functional.mse_loss(scores, target)
        return functional.binary_cross_entropy_with_logits(scores, target)

    def pairs(self, user: Tensor, item: Tensor, deviation: Tensor, seen: Tensor) -> Tensor:
        """f(u, i) of each pair, in stars above the mean or as a logit. [n_batch]"""
        pooled, offset, length = self.pool(user, item, deviation, seen)
        item_input = torch.cat([self.known.items[item], self._drop_ids(self.item_id(item))], 1)
        ids = self._drop_ids(self.user_id(user))
        numbers = torch.stack([offset, length.log1p()], 1)
        user_input = torch.cat([self.known.users[user], ids, pooled, numbers], 1)
        a, b = self.item_half(self._drop(item_input)), self.user_half(self._drop(user_input))
        hidden = self.options.hidden[0]
        x = functional.relu(a[:, :hidden] + b[:, :hidden])
        for layer in self.layers[:-1]:
            x = functional.relu(layer(self._drop(x)))
        out: Tensor = self.layers[-1](self._drop(x))[:, 0]
        if self.options.dot:
            out = out + (a[:, hidden:] * b[:, hidden:]).sum(1)
        return out + offset + self.item_bias[item] if self.options.biases else out

    def pool(self, user: Tensor, item: Tensor, deviation: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each user's history without the pair itself: pooled item inputs, mean deviation, number of items.

        The pooled vector is the sum of a_j (d_j - offset) z_j over the sum of a_j plus one, where z_j is an item's
        input, d_j the deviation of its rating, and a_j one or learnt.
        """
        once, back = torch.unique(user, return_inverse=True)
        flat, start, d = self.known.histories(once)
        attention = self.attend()
        a, mine = (torch.ones_like(d), seen) if attention is None else (attention[flat], attention[item] * seen)
        length = self.known.lengths[user] - seen
        shrunk = (self.known.totals[user] - deviation) / (length + OFFSET_DAMPING)
        offset = shrunk if self.ratings else torch.zeros_like(shrunk)
        weight = functional.embedding_bag(torch.arange(len(a)), a[:, None], start, mode="sum")[:, 0][back] - mine
        parts = []
        for table in (self.known.items, self.item_id.weight):
            bag = [functional.embedding_bag(flat, table, start, mode="sum", per_sample_weights=w) for w in (a * d, a)]
            own = table[item] * mine[:, None]
            with_d, plain = bag[0][back] - deviation[:, None] * own, bag[1][back] - own
            parts.append((with_d - offset[:, None] * plain) / (weight + 1)[:, None])
        return torch.cat(parts, 1), offset, length

    def attend(self) -> Tensor | None:
        """The learnt weight of each item in a pooled history; None where all weigh the same. [n_items]"""
        if self.attention is None:
            return None
        known = self.known.items.shape[1]
        to_known, to_id = self.attention.weight[0, :known], self.attention.weight[0, known:]
        return (self.known.items @ to_known + self.item_id.weight @ to_id).clamp(-4, 4).exp()

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.options.dropout, self.training) if self.options.dropout else x

    def _drop_ids(self, rows: Tensor) -> Tensor:
        """Whole embeddings set to zero at random: what a stranger has."""
        if not (self.training and self.options.id_dropout):
            return rows
        return rows * (torch.rand(len(rows), 1) >= self.options.id_dropout)


class _Known:
    """The constants of training: vectors and histories as tensors. No parameters, so not part of the weights."""

    def __init__(self, examples: Examples) -> None:
        self.items, self.users = torch.from_numpy(examples.items), torch.from_numpy(examples.users)
        self.start, self.item = torch.from_numpy(examples.indptr), torch.from_numpy(examples.item).long()
        self.deviation = torch.from_numpy(examples.deviation)
        counts = np.diff(examples.indptr)
        self.lengths = torch.from_numpy(counts.astype(np.float32))
        row = np.repeat(np.arange(len(counts)), counts)
        self.totals = torch.from_numpy(np.bincount(row, examples.deviation, len(counts)).astype(np.float32))

    def histories(self, users: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Items of several histories one after another, where each starts, and the deviations."""
        start = self.start[users]
        count = self.start[users + 1] - start
        first = count.cumsum(0) - count
        at = torch.arange(int(count.sum())) + (start - first).repeat_interleave(count)
        return self.item[at], first, self.deviation[at]


class Pairs:
    """Batches of (user, item, target, deviation, seen); without ratings each brings items drawn at random.

    Pairs of a user come in small groups, in random order: the network pools its history once a group.
    """

    def __init__(self, examples: Examples, options: MLP) -> None:
        self.size, self.negatives = options.batch_size, options.negatives
        self.sampler = None if options.on_ratings_ else NegativeSampler(np.ones(len(examples.items)))
        self.user = torch.from_numpy(np.repeat(np.arange(len(examples.users)), np.diff(examples.indptr)))
        self.item = torch.from_numpy(examples.item).long()
        self.target = torch.from_numpy(examples.target)
        self.deviation = torch.from_numpy(examples.deviation)

    def __len__(self) -> int:
        return -(-len(self.item) // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        for at in torch.split(self._order(generator), self.size):
            user, item, target, deviation = self.user[at], self.item[at], self.target[at], self.deviation[at]
            seen = torch.ones_like(target)
            if self.sampler is not None:
                drawn = self.sampler.draw((len(at) * self.negatives,), generator)
                zeros = torch.zeros(len(drawn))
                user = torch.cat([user, user.repeat_interleave(self.negatives)])
                item, target = torch.cat([item, drawn]), torch.cat([target, zeros])
                deviation, seen = torch.cat([deviation, zeros]), torch.cat([seen, zeros])
            yield user, item, target, deviation, seen

    def _order(self, generator: torch.Generator) -> Tensor:
        """Shuffled within users, cut into groups, groups shuffled. [n]"""
        shuffled = torch.randperm(len(self.user), generator=generator)
        shuffled = shuffled[self.user[shuffled].argsort(stable=True)]
        groups = torch.randperm(-(-len(shuffled) // GROUP), generator=generator)
        at = (groups[:, None] * GROUP + torch.arange(GROUP)).flatten()
        return shuffled[at[at < len(shuffled)]]
