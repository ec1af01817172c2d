"""Batches of (user, item) pairs, and the histories they are taken out of; for networks, so it needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.preprocessing.dataset import Float32, History
from genre.training.negatives import NegativeSampler

GROUP = 8  # pairs of one user that come together, so that its history is pooled once for all of them


class Pairs:
    """Batches of (user, item, target, value, seen): one pair for each interaction, and `negatives` drawn at random.

    target: what to predict; 0 for a drawn item. value: what the interaction says in the user's history, and seen: 1
    where it is there, so that the network can leave it out; both 0 for a drawn item. Pairs of a user come in small
    groups, in random order.
    """

    def __init__(
        self, history: History, target: Float32, value: Float32, *, batch_size: int, negatives: int = 0
    ) -> None:
        self.size, self.negatives = batch_size, negatives
        self.sampler = NegativeSampler(np.ones(history.n_items))
        self.user = torch.from_numpy(history.row_of())
        self.item = torch.from_numpy(history.item).long()
        self.target, self.value = torch.from_numpy(target), torch.from_numpy(value)

    def __len__(self) -> int:
        return -(-len(self.item) // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        for at in torch.split(self._order(generator), self.size):
            user, item, target, value = self.user[at], self.item[at], self.target[at], self.value[at]
            drawn = self.sampler.draw((len(at) * self.negatives,), generator)
            zeros, seen = torch.zeros(len(drawn)), torch.ones_like(target)
            yield (
                torch.cat([user, user.repeat_interleave(self.negatives)]),
                torch.cat([item, drawn]),
                torch.cat([target, zeros]),
                torch.cat([value, zeros]),
                torch.cat([seen, zeros]),
            )

    def _order(self, generator: torch.Generator) -> Tensor:
        """Shuffled within users, cut into groups, groups shuffled. [n]"""
        shuffled = torch.randperm(len(self.user), generator=generator)
        shuffled = shuffled[self.user[shuffled].argsort(stable=True)]
        groups = torch.randperm(-(-len(shuffled) // GROUP), generator=generator)
        at = (groups[:, None] * GROUP + torch.arange(GROUP)).flatten()
        return shuffled[at[at < len(shuffled)]]


class Histories(nn.Module):
    """The histories of all users as tensors; buffers that move with the network and are no part of its weights."""

    def __init__(self, history: History, value: Float32) -> None:
        super().__init__()
        total = np.bincount(history.row_of(), value, len(history)).astype(np.float32)
        for name, array in {
            "start": history.indptr,
            "item": history.item.astype(np.int64),
            "value": value,
            "length": history.lengths.astype(np.float32),
            "total": total,
        }.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)
        self.start: Tensor
        self.item: Tensor
        self.value: Tensor
        self.length: Tensor
        self.total: Tensor

    @property
    def n_users(self) -> int:
        return len(self.length)

    def bag(self, user: Tensor) -> Bag:
        """The histories of a batch's users, each once."""
        once, back = torch.unique(user, return_inverse=True)
        start = self.start[once]
        count = self.start[once + 1] - start
        first = count.cumsum(0) - count
        row = torch.arange(len(once), device=user.device).repeat_interleave(count)
        at = torch.arange(len(row), device=user.device) + (start - first)[row]
        return Bag(self.item[at], self.value[at], row, first, back)


@dataclass(frozen=True)
class Bag:
    """item, value: several histories one after another. row: which one each interaction is of. first: where each
    starts. back: which one each pair of the batch has."""

    item: Tensor
    value: Tensor
    row: Tensor
    first: Tensor
    back: Tensor

    def sum(self, rows: Tensor, weight: Tensor) -> Tensor:
        """For each pair the weighted sum of `rows` `[n_items, dim]` over its history. [n_batch, dim]"""
        return functional.embedding_bag(self.item, rows, self.first, mode="sum", per_sample_weights=weight)[self.back]

    def total(self, weight: Tensor) -> Tensor:
        """For each pair the sum of the weights of its history. [n_batch]"""
        position = torch.arange(len(weight), device=weight.device)
        return functional.embedding_bag(position, weight[:, None], self.first, mode="sum")[self.back, 0]


def drop_rows(rows: Tensor, share: float, *, training: bool) -> Tensor:
    """Whole rows set to zero at random: what the network sees of a stranger."""
    if not (training and share):
        return rows
    return rows * (torch.rand(len(rows), 1, device=rows.device) >= share)
