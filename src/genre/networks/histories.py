"""Batches of (user, item) pairs, and the histories of their users without the pair itself.

Networks that read a user's pooled history (MLP, NCF, TwoTower) train on these. Knows nothing about the networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.data.history import History
from genre.training.negatives import NegativeSampler

GROUP = 8  # pairs of one user that come together, so that its history is pooled once for all of them


class PairBatches:
    """Training batches of (user, item, target, interaction): one pair for each interaction, and sampled negatives.

    The target of a negative is 0; it is an item that its user has not interacted with. `interaction` is the position
    of the pair in `Histories`, so that the network can leave it out of its user's history; -1 for a negative. Pairs of
    a user come in groups of up to 8, in random order.
    """

    def __init__(self, history: History, target: Float32, *, batch_size: int, negatives: int = 0) -> None:
        """Prepare the batches.

        Args:
            history: the interactions, by user.
            target: what to predict for each interaction. `[n_interactions]`
            batch_size: interactions in a batch, negatives not counted.
            negatives: negatives sampled uniformly for each interaction, at most: those that the user has are dropped.
        """
        self.size, self.negatives = batch_size, negatives
        self.sampler = NegativeSampler(np.ones(history.n_items))
        self.user = torch.from_numpy(history.row_of()).long()
        self.item = torch.from_numpy(history.item).long()
        self.target = torch.from_numpy(target)
        self.n_items = history.n_items
        self.known = (self.user * self.n_items + self.item).sort().values

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.item) // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of one epoch.

        Args:
            generator: the source of all randomness.

        Yields:
            Users, items, targets and interactions, `[n_batch]` each: the interactions, then the negatives.
        """
        for own in torch.split(self._order(generator), self.size):
            user, item = self._negatives(self.user[own], generator)
            yield (
                torch.cat([self.user[own], user]),
                torch.cat([self.item[own], item]),
                torch.cat([self.target[own], torch.zeros(len(item))]),
                torch.cat([own, torch.full_like(item, -1)]),
            )

    def _negatives(self, user: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Sample items for each of `user`, without those that the user has; their users and the items."""
        user = user.repeat_interleave(self.negatives)
        item = self.sampler.draw((len(user),), generator)
        pair = user * self.n_items + item
        new = self.known[torch.searchsorted(self.known, pair).clamp(max=len(self.known) - 1)] != pair
        return user[new], item[new]

    def _order(self, generator: torch.Generator) -> Tensor:
        """Return the interactions shuffled within users, cut into groups, the groups shuffled, `[n_interactions]`."""
        shuffled = torch.randperm(len(self.user), generator=generator)
        shuffled = shuffled[self.user[shuffled].argsort(stable=True)]
        groups = torch.randperm(-(-len(shuffled) // GROUP), generator=generator)
        at = (groups[:, None] * GROUP + torch.arange(GROUP)).flatten()
        return shuffled[at[at < len(shuffled)]]


class Histories(nn.Module):
    """The histories of all users as tensors that move with the network and are not among its saved weights."""

    def __init__(self, history: History, value: Float32, *, cut: float) -> None:
        """Hold the histories.

        Args:
            history: one history a user.
            value: the value of each interaction, 1 or how much the item was liked. `[n_interactions]`
            cut: share of histories reduced in training to a random part of random size, so that the network learns
                to score short histories as well as long ones.
        """
        super().__init__()
        self.cut, self.n_users = cut, len(history)
        self.start: Tensor
        self.item: Tensor
        self.value: Tensor
        self.register_buffer("start", torch.from_numpy(history.indptr), persistent=False)
        self.register_buffer("item", torch.from_numpy(history.item.astype(np.int64)), persistent=False)
        self.register_buffer("value", torch.from_numpy(value), persistent=False)

    def of_batch(self, user: Tensor, interaction: Tensor) -> BatchHistories:
        """Return the histories of a batch's users, each once.

        Args:
            user: the user of each pair. `[n_batch]`
            interaction: the interaction that each pair leaves out, -1 for none. `[n_batch]`

        Returns:
            The histories; in training some are cut.
        """
        once, which = torch.unique(user, return_inverse=True)
        at, row, first = self._concatenated(once)
        kept = self._kept(row, len(once))
        real = interaction >= 0
        holds = real & kept[(first[which] + interaction - self.start[user]) * real]
        at, row = at[kept], row[kept]
        count = torch.bincount(row, minlength=len(once))
        return BatchHistories(
            item=self.item[at],
            value=self.value[at],
            row=row,
            first=count.cumsum(0) - count,
            which=which,
            holds=holds.float(),
            own_value=self.value[interaction * real] * holds,
            length=(count[which] - holds.long()).float(),
        )

    def contain(self, user: Tensor, items: Tensor, n_items: int) -> Tensor:
        """Return whether the whole history of each user contains each item.

        Args:
            user: the users. `[n_batch]`
            items: distinct items. `[m]`
            n_items: size of the catalogue.

        Returns:
            bool `[n_batch, m]`
        """
        once, which = torch.unique(user, return_inverse=True)
        at, row, _ = self._concatenated(once)
        column_of = torch.full((n_items,), -1, device=items.device)
        column_of[items] = torch.arange(len(items), device=items.device)
        column = column_of[self.item[at]]
        held = torch.zeros(len(once), len(items), dtype=torch.bool, device=items.device)
        held[row[column >= 0], column[column >= 0]] = True
        return held[which]

    def _concatenated(self, users: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the histories of users one after another: interactions, the history of each, where each starts."""
        start = self.start[users]
        count = self.start[users + 1] - start
        first = count.cumsum(0) - count
        row = torch.arange(len(users), device=users.device).repeat_interleave(count)
        return torch.arange(len(row), device=users.device) + (start - first)[row], row, first

    def _kept(self, row: Tensor, n: int) -> Tensor:
        """Return which interactions of `n` histories are kept; in training some are cut, bool `[nnz]`."""
        if not (self.training and self.cut):
            return torch.ones_like(row, dtype=torch.bool)
        chance = torch.rand(2, n, device=row.device)
        share = torch.where(chance[0] < self.cut, chance[1], 1.0)
        return torch.rand(len(row), device=row.device) < share[row]


@dataclass(frozen=True)
class BatchHistories:
    """The histories of a batch of `n_batch` pairs: each user's once, and what to subtract to leave out the pair.

    Attributes:
        item: the items of all histories, one history after another. `[nnz]`
        value: the value of each interaction. `[nnz]`
        row: the history of each interaction. `[nnz]`
        first: where each history starts. `[n_histories]`
        which: the history of each pair. `[n_batch]`
        holds: 1 where that history holds the pair itself, else 0. `[n_batch]`
        own_value: the value of the pair's interaction where the history holds it, else 0. `[n_batch]`
        length: interactions in the history without the pair. `[n_batch]`
    """

    item: Tensor
    value: Tensor
    row: Tensor
    first: Tensor
    which: Tensor
    holds: Tensor
    own_value: Tensor
    length: Tensor

    def weighted_sum(self, table: Tensor, weight: Tensor) -> Tensor:
        """Return for each pair the weighted sum of item vectors over its whole history, the pair included.

        Args:
            table: item vectors. `[n_items, dim]`
            weight: the weight of each interaction. `[nnz]`

        Returns:
            `[n_batch, dim]`
        """
        sums = functional.embedding_bag(self.item, table, self.first, mode="sum", per_sample_weights=weight)
        return sums[self.which]

    def total(self, weight: Tensor) -> Tensor:
        """Return for each pair the sum of the weights of its whole history, the pair included.

        Args:
            weight: the weight of each interaction. `[nnz]`

        Returns:
            `[n_batch]`
        """
        return weight.new_zeros(len(self.first)).index_add(0, self.row, weight)[self.which]


def drop(x: Tensor, share: float, *, training: bool) -> Tensor:
    """Return `x` with values set to zero at random and the others scaled up to make up for them.

    Args:
        x: any values.
        share: the chance of each value to be dropped; at 0 no random number is drawn.
        training: whether to drop anything.

    Returns:
        Values of the same shape.
    """
    return functional.dropout(x, share, training) if share else x


def drop_rows(rows: Tensor, share: float, *, training: bool) -> Tensor:
    """Return embeddings with whole rows set to zero at random: what the network gets for an unknown user or item.

    Args:
        rows: embeddings. `[n, dim]`
        share: the chance of each row to be dropped.
        training: whether to drop anything.

    Returns:
        Rows of the same shape; those that are kept are not scaled.
    """
    if not (training and share):
        return rows
    return rows * (torch.rand(len(rows), 1, device=rows.device) >= share)
