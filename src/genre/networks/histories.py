"""Batches of (user, item) pairs, and the histories they are taken out of; for networks, so it needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.data.dataset import History
from genre.training.negatives import NegativeSampler

GROUP = 8  # pairs of one user that come together, so that its history is pooled once for all of them


class Pairs:
    """Batches of (user, item, target, own): one pair for each interaction, and `negatives` drawn at random.

    target: what to predict; 0 for a drawn item, which is none that its user has. own: where the pair stands in
    `Histories`, so that the network can leave it out of its user's history; -1 for a drawn item. Pairs of a user come
    in small groups, in random order.
    """

    def __init__(self, history: History, target: Float32, *, batch_size: int, negatives: int = 0) -> None:
        self.size, self.negatives = batch_size, negatives
        self.sampler = NegativeSampler(np.ones(history.n_items))
        self.user = torch.from_numpy(history.row_of()).long()
        self.item = torch.from_numpy(history.item).long()
        self.target = torch.from_numpy(target)
        self.n_items = history.n_items
        self.known = (self.user * self.n_items + self.item).sort().values

    def __len__(self) -> int:
        return -(-len(self.item) // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        for own in torch.split(self._order(generator), self.size):
            user, asked = self._drawn(self.user[own], generator)
            yield (
                torch.cat([self.user[own], user]),
                torch.cat([self.item[own], asked]),
                torch.cat([self.target[own], torch.zeros(len(asked))]),
                torch.cat([own, torch.full_like(asked, -1)]),
            )

    def _drawn(self, user: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`negatives` items for each of `user`, without those that the user has: they would be taught as wrong."""
        user = user.repeat_interleave(self.negatives)
        item = self.sampler.draw((len(user),), generator)
        pair = user * self.n_items + item
        new = self.known[torch.searchsorted(self.known, pair).clamp(max=len(self.known) - 1)] != pair
        return user[new], item[new]

    def _order(self, generator: torch.Generator) -> Tensor:
        """Shuffled within users, cut into groups, groups shuffled. [n]"""
        shuffled = torch.randperm(len(self.user), generator=generator)
        shuffled = shuffled[self.user[shuffled].argsort(stable=True)]
        groups = torch.randperm(-(-len(shuffled) // GROUP), generator=generator)
        at = (groups[:, None] * GROUP + torch.arange(GROUP)).flatten()
        return shuffled[at[at < len(shuffled)]]


class Histories(nn.Module):
    """The histories of all users as tensors; buffers that move with the network and are no part of its weights.

    value: what each interaction says, 1 or how much it was liked. cut: share of the histories that are cut, in
    training, to a random part of random size, so that short histories are answered as well as long ones.
    """

    def __init__(self, history: History, value: Float32, *, cut: float) -> None:
        super().__init__()
        self.cut, self.n_users = cut, len(history)
        self.start: Tensor
        self.item: Tensor
        self.value: Tensor
        self.register_buffer("start", torch.from_numpy(history.indptr), persistent=False)
        self.register_buffer("item", torch.from_numpy(history.item.astype(np.int64)), persistent=False)
        self.register_buffer("value", torch.from_numpy(value), persistent=False)

    def bag(self, user: Tensor, own: Tensor) -> Bag:
        """The histories of a batch's users, each once; `own` `[n_batch]` is what each pair leaves out, -1: nothing."""
        once, back = torch.unique(user, return_inverse=True)
        at, row, first = self._flat(once)
        kept = self._kept(row, len(once))
        there = own >= 0
        seen = there & kept[(first[back] + own - self.start[user]) * there]
        at, row = at[kept], row[kept]
        count = torch.bincount(row, minlength=len(once))
        return Bag(
            item=self.item[at],
            value=self.value[at],
            row=row,
            first=count.cumsum(0) - count,
            back=back,
            seen=seen.float(),
            mine=self.value[own * there] * seen,
            length=(count[back] - seen.long()).float(),
        )

    def hold(self, user: Tensor, items: Tensor, n_items: int) -> Tensor:
        """Whether each user's whole history holds each of `items`, which are distinct. bool `[n_batch, m]`"""
        once, back = torch.unique(user, return_inverse=True)
        at, row, _ = self._flat(once)
        column_of = torch.full((n_items,), -1, device=items.device)
        column_of[items] = torch.arange(len(items), device=items.device)
        column = column_of[self.item[at]]
        held = torch.zeros(len(once), len(items), dtype=torch.bool, device=items.device)
        held[row[column >= 0], column[column >= 0]] = True
        return held[back]

    def _flat(self, users: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Several histories one after another: positions of their interactions, whose each is, where each starts."""
        start = self.start[users]
        count = self.start[users + 1] - start
        first = count.cumsum(0) - count
        row = torch.arange(len(users), device=users.device).repeat_interleave(count)
        return torch.arange(len(row), device=users.device) + (start - first)[row], row, first

    def _kept(self, row: Tensor, n: int) -> Tensor:
        """Which interactions of `n` histories are kept; in training some histories are cut. bool `[nnz]`"""
        if not (self.training and self.cut):
            return torch.ones_like(row, dtype=torch.bool)
        chance = torch.rand(2, n, device=row.device)
        share = torch.where(chance[0] < self.cut, chance[1], 1.0)
        return torch.rand(len(row), device=row.device) < share[row]


@dataclass(frozen=True)
class Bag:
    """The histories of a batch, for each of its `n_batch` pairs without the pair itself.

    item, value, row: interactions one after another, and which history each is of. first: where each starts.
    back: which history each pair has. seen: 1 where that holds the pair itself, mine: its value there, else 0.
    length: interactions in it without the pair.
    """

    item: Tensor
    value: Tensor
    row: Tensor
    first: Tensor
    back: Tensor
    seen: Tensor
    mine: Tensor
    length: Tensor

    def sum(self, rows: Tensor, weight: Tensor) -> Tensor:
        """For each pair the weighted sum of `rows` `[n_items, dim]` over its history, pair and all. [n_batch, dim]"""
        return functional.embedding_bag(self.item, rows, self.first, mode="sum", per_sample_weights=weight)[self.back]

    def total(self, weight: Tensor) -> Tensor:
        """For each pair the sum of the weights of its history, pair and all. [n_batch]"""
        return weight.new_zeros(len(self.first)).index_add(0, self.row, weight)[self.back]


def drop(x: Tensor, share: float, *, training: bool) -> Tensor:
    """Values set to zero at random, the others enlarged to make up for them; nothing is drawn where none is dropped."""
    return functional.dropout(x, share, training) if share else x


def drop_rows(rows: Tensor, share: float, *, training: bool) -> Tensor:
    """Whole rows set to zero at random: what the network sees of a stranger."""
    if not (training and share):
        return rows
    return rows * (torch.rand(len(rows), 1, device=rows.device) >= share)
