"""The network of SemanticIds, which generates the code of the next item number by number, and its beam search.

Source: Rajput et al., "Recommender Systems with Generative Retrieval" (TIGER), NeurIPS 2023; here the encoder is the
causal transformer of SASRec and the decoder a recurrent cell. Shapes: B histories, L positions, D = dim, S numbers in
a code, C values of a number, R real positions of a batch, F codes followed by the beam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32, Int64
from genre.data.history import History
from genre.networks.sasrec import CausalTransformer, encode_histories
from genre.training.devices import move_to, one_thread

LEAST = -20.0  # log-probability of one number of a code, at least
BEAM_VALUES = 4_000_000  # probabilities held at once


class SemanticIdsNetwork(nn.Module):
    """An item is read as the sum of its numbers' embeddings; the next item is generated number after number."""

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
        """Initialise the weights.

        Args:
            codes: the code of each item. `[n_items, S]`
            sizes: how many values each number of a code has. `[S]`
            dim: width of all vectors, D.
            blocks: transformer blocks.
            heads: attention heads of a block; divides `dim`.
            max_length: positions, the start mark included.
            dropout: share of values set to zero in training.
        """
        super().__init__()
        self.sizes = sizes
        self.codes: Tensor
        self.register_buffer("codes", torch.from_numpy(codes), persistent=False)
        self.reader = CausalTransformer(dim, blocks=blocks, heads=heads, max_length=max_length, dropout=dropout)
        self.numbers = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)
        self.steps = nn.ModuleList(nn.GRUCell(dim, dim) for _ in sizes[1:])
        self.heads = nn.ModuleList(nn.Linear(dim, size) for size in sizes)
        for table in self.numbers.parameters():
            nn.init.normal_(table, 0, 0.1)

    def item_table(self) -> Tensor:
        """Return the vector that each item has in a history.

        Returns:
            `[n_items, D]`
        """
        parts = [table(self.codes[:, level]) for level, table in enumerate(self.numbers)]  # S of [n_items, D]
        return torch.stack(parts).sum(0)

    def forward(self, target: Tensor, gaps: Tensor, real: Tensor) -> Tensor:
        """Return the mean loss of generating the code of each item of a batch from the items before it.

        Args:
            target: item rows, oldest first. int64 `[B, L]`
            gaps: not used; batches of sequences carry them. int64 `[B, L]`
            real: false for padding, at the end. bool `[B, L]`

        Returns:
            The sum over a code's numbers of the mean cross-entropy, a scalar.
        """
        before = functional.embedding(target[:, :-1], self.item_table())  # [B, L - 1, D]
        state = self.reader(before, gaps[:, :-1])[real]  # [B, L, D] -> [R, D]
        code = self.codes[target[real]]  # [R, S]
        loss = functional.cross_entropy(self.heads[0](state), code[:, 0])
        for level, step in enumerate(self.steps, 1):
            state = step(self.numbers[level - 1](code[:, level - 1]), state)  # [R, D]
            loss = loss + functional.cross_entropy(self.heads[level](state), code[:, level])
        return loss


@dataclass(frozen=True)
class CodeTree:
    """The prefix tree of all codes: each node is a number that, after its parents' numbers, leads to an item.

    Attributes:
        number: for each level the number of each node. S of int64 `[n_nodes]`
        parent: for each level the position of each node's parent in the level above; 0 on the first level.
        leaf: the position of each item in the last level. int64 `[n_items]`
    """

    number: list[Tensor]
    parent: list[Tensor]
    leaf: Tensor

    @classmethod
    def from_codes(cls, codes: Int64) -> Self:
        """Return the tree of the items' codes.

        Args:
            codes: the code of each item. `[n_items, S]`

        Returns:
            The tree, on the CPU.
        """
        number, parent, above = [], [], np.zeros(len(codes), np.int64)
        for level in range(codes.shape[1]):
            nodes, node = np.unique(np.stack([above, codes[:, level]], 1), axis=0, return_inverse=True)
            parent.append(torch.from_numpy(nodes[:, 0]))
            number.append(torch.from_numpy(nodes[:, 1]))
            above = node.ravel()
        return cls(number, parent, torch.from_numpy(above))


def beam_scores(network: SemanticIdsNetwork, tree: CodeTree, history: History, beam: int) -> Float32:
    """Return the log-likelihood of each item's code where the beam followed it, and less for all other items.

    Args:
        network: the trained network.
        tree: the codes of all items.
        history: `n` histories, at most `max_length - 1` interactions each.
        beam: codes followed at each level.

    Returns:
        Scores float32 `[n, n_items]`.
    """
    table = network.item_table().detach().cpu().numpy()
    tree = CodeTree([*move_to(network, *tree.number)], [*move_to(network, *tree.parent)], *move_to(network, tree.leaf))
    (state,) = move_to(network, torch.from_numpy(encode_histories(network.reader, table, history)))  # [n, D]
    size = max(1, BEAM_VALUES // (beam * max(network.sizes)))
    out = np.empty((len(history), len(tree.leaf)), np.float32)
    with torch.inference_mode(), one_thread():
        for start in range(0, len(history), size):
            out[start : start + size] = _search(network, tree, state[start : start + size], beam).cpu().numpy()
    return out


def _search(network: SemanticIdsNetwork, tree: CodeTree, state: Tensor, beam: int) -> Tensor:
    """Return the score of each item from the encoded histories `[B, D]`, one level of the tree after another.

    The score of a node is its parent's score plus the log-probability of its own number. States are computed for the
    `beam` best nodes of a level alone, and so are the probabilities of their children; all other nodes fall by more
    than any followed code can lose. `[B, n_items]`
    """
    row = torch.arange(len(state), device=state.device)[:, None]
    score = state.new_zeros(len(state), 1)
    slot = torch.zeros_like(score, dtype=torch.int64)  # a node's position among `states`, -1 where it is not followed
    states = state[:, None]  # [B, F, D]
    not_followed = LEAST * (len(tree.number) + 1)
    for level, (number, parent) in enumerate(zip(tree.number, tree.parent, strict=True)):
        log_p = network.heads[level](states).log_softmax(2).clamp(min=LEAST)  # [B, F, C]
        above = slot[:, parent]  # [B, n_nodes]
        gained = log_p[row, above.clamp(min=0), number]
        score = score[:, parent] + torch.where(above >= 0, gained, not_followed)
        if level + 1 == len(tree.number):
            break
        best = score.topk(min(beam, score.shape[1]), dim=1).indices  # [B, F]
        from_slot = above.gather(1, best)  # [B, F]
        embedded = network.numbers[level](number[best])  # [B, F, D]
        before = states[row, from_slot.clamp(min=0)]
        states = network.steps[level](embedded.flatten(0, 1), before.flatten(0, 1)).view_as(embedded)
        new_slot = torch.arange(best.shape[1], device=state.device)
        slot = torch.full_like(above, -1).scatter_(1, best, torch.where(from_slot >= 0, new_slot, -1))
    return score[:, tree.leaf]
