"""The network of `SemanticIds` and its beam search; imported when one is trained or run, because it needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32, Int64
from genre.data.dataset import History
from genre.networks.padding import Reader, read_last

LEAST = -20.0  # log-probability of one number of a code, at least
BEAM_VALUES = 4_000_000  # probabilities held at once


class SemanticIdsNetwork(nn.Module):
    """Reads the sum of an item's number embeddings; names the next item's numbers one after another."""

    def __init__(
        self,
        codes: Int64,
        sizes: Sequence[int],
        *,
        dim: int,
        blocks: int,
        heads: int,
        max_length: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.sizes = sizes
        self.codes: Tensor
        self.register_buffer("codes", torch.from_numpy(codes), persistent=False)
        self.reader = Reader(dim, blocks=blocks, heads=heads, max_length=max_length, dropout=dropout)
        self.numbers = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)
        self.steps = nn.ModuleList(nn.GRUCell(dim, dim) for _ in sizes[1:])
        self.heads = nn.ModuleList(nn.Linear(dim, size) for size in sizes)
        for table in self.numbers.parameters():
            nn.init.normal_(table, 0, 0.1)

    def item_table(self) -> Tensor:
        """How an item of a history is read. [n_items, dim]"""
        parts = [table(self.codes[:, level]) for level, table in enumerate(self.numbers)]
        return torch.stack(parts).sum(0)

    def forward(self, target: Tensor, gaps: Tensor, real: Tensor) -> Tensor:
        """The mean loss of naming the code of each `target` `[n, length]` that is `real` from those before it."""
        before = functional.embedding(target[:, :-1], self.item_table())
        state = self.reader(before, gaps[:, :-1])[real]
        code = self.codes[target[real]]
        loss = functional.cross_entropy(self.heads[0](state), code[:, 0])
        for level, step in enumerate(self.steps, 1):
            state = step(self.numbers[level - 1](code[:, level - 1]), state)
            loss = loss + functional.cross_entropy(self.heads[level](state), code[:, level])
        return loss


@dataclass(frozen=True)
class Tree:
    """The numbers that lead to an item. Per level and node: its number, and its parent's place in the level above.

    leaf: for each item its place in the last level.
    """

    number: list[Tensor]
    parent: list[Tensor]
    leaf: Tensor

    @classmethod
    def of(cls, codes: Int64) -> Self:
        number, parent, above = [], [], np.zeros(len(codes), np.int64)
        for level in range(codes.shape[1]):
            nodes, node = np.unique(np.stack([above, codes[:, level]], 1), axis=0, return_inverse=True)
            parent.append(torch.from_numpy(nodes[:, 0]))
            number.append(torch.from_numpy(nodes[:, 1]))
            above = node.ravel()
        return cls(number, parent, torch.from_numpy(above))


def beam_scores(network: SemanticIdsNetwork, tree: Tree, history: History, beam: int) -> Float32:
    """A score for every item: its log-likelihood where the beam reached it, below that elsewhere. [n, n_items]"""
    table = network.item_table().detach().cpu().numpy()
    read = torch.from_numpy(read_last(network.reader, table, history))
    size = max(1, BEAM_VALUES // (beam * max(network.sizes)))
    out = np.empty((len(history), len(tree.leaf)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(history), size):
            out[start : start + size] = _search(network, tree, read[start : start + size], beam).numpy()
    return out


def _search(network: SemanticIdsNetwork, tree: Tree, read: Tensor, beam: int) -> Tensor:
    """Every node of the tree, level by level: its parent's score plus the log-probability of its own number.

    States are worked out for the `beam` best nodes of a level alone, and so are their children's probabilities; the
    other nodes fall by more than any followed code can lose. [n, n_items]
    """
    row = torch.arange(len(read))[:, None]
    score = torch.zeros(len(read), 1)
    slot = torch.zeros(len(read), 1, dtype=torch.int64)  # a node's place among `states`, -1 where it was not followed
    states = read[:, None]  # [n, followed, dim]
    not_followed = LEAST * (len(tree.number) + 1)
    for level, (number, parent) in enumerate(zip(tree.number, tree.parent, strict=True)):
        named = network.heads[level](states).log_softmax(2).clamp(min=LEAST)  # [n, followed, size]
        place = slot[:, parent]  # [n, nodes]
        gained = named[row, place.clamp(min=0), number]
        score = score[:, parent] + torch.where(place >= 0, gained, not_followed)
        if level + 1 == len(tree.number):
            break
        best = score.topk(min(beam, score.shape[1]), dim=1).indices  # [n, followed]
        above = states[row, place.gather(1, best).clamp(min=0)]
        said = network.numbers[level](number[best])
        states = network.steps[level](said.flatten(0, 1), above.flatten(0, 1)).view_as(said)
        followed = torch.where(place.gather(1, best) >= 0, torch.arange(best.shape[1]), -1)
        slot = torch.full_like(place, -1).scatter_(1, best, followed)
    return score[:, tree.leaf]
