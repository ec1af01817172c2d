"""Histories as sequences: batches of them, and the causal transformer that reads them; needs torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32, Int64
from genre.data.dataset import History

GAPS = 32  # buckets of the time between two interactions, each twice as long as the one before
EXPANSION = 2  # width of a block's own layer, in dims
PADDED = 16_384  # positions read at once


class Block(nn.Module):
    """Causal self-attention, then a layer of each position's own; both added to what came in."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_layer = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.queries_keys_values, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, dim * EXPANSION), nn.Linear(dim * EXPANSION, dim)

    def forward(self, x: Tensor) -> Tensor:  # [n, length, dim]
        n, length, dim = x.shape
        split = self.queries_keys_values(self.before_attention(x)).view(n, length, 3, self.heads, dim // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self._drop(self.out(seen.transpose(1, 2).reshape(n, length, dim)))
        return x + self._drop(self.down(functional.gelu(self.up(self.before_layer(x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class Reader(nn.Module):
    """Reads a history, oldest first and after a start mark; at each position its output points at the next item."""

    def __init__(
        self, dim: int, *, blocks: int, heads: int, max_length: int, dropout: float, time: bool = False
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.start = nn.Parameter(torch.zeros(dim))
        self.position = nn.Embedding(max_length, dim)
        self.gap = nn.Embedding(GAPS, dim) if time else None
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(dim)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, 0, 0.02)

    def forward(self, items: Tensor, gaps: Tensor) -> Tensor:
        """Vectors before the first and after each item; `items` `[n, length, dim]` -> `[n, length + 1, dim]`."""
        x = items if self.gap is None else items + self.gap(gaps)
        x = torch.cat([self.start.expand(len(x), 1, -1), x], 1)
        x = x + self.position.weight[: x.shape[1]]
        x = functional.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


def read_last(reader: Reader, table: Float32, history: History) -> Float32:
    """The reader's output after the last item of each history, histories of like length together. [n, dim]"""
    reader.eval()
    out = np.empty((len(history), table.shape[1]), np.float32)
    order = np.argsort(history.lengths, kind="stable")
    items, gaps, vectors = torch.from_numpy(history.item).long(), gap_buckets(history), torch.from_numpy(table)
    with torch.inference_mode():
        for start, end in cut(history.lengths[order] + 1, PADDED):
            rows = order[start:end]
            length = torch.from_numpy(history.lengths[rows])
            step = torch.arange(int(length.max()))
            at = (torch.from_numpy(history.indptr[rows])[:, None] + step).clamp(max=max(len(items) - 1, 0))
            hidden = reader(functional.embedding(items[at], vectors), gaps[at])
            out[rows] = hidden[torch.arange(len(rows)), length].numpy()
    return out


def gap_buckets(history: History) -> Tensor:
    """The bucket of the time since the interaction before, 0 for the first of a history. [nnz]"""
    if history.timestamp is None:
        return torch.zeros(len(history.item), dtype=torch.int64)
    gap = np.diff(history.timestamp, prepend=history.timestamp[:1])
    bucket = np.minimum(1 + np.log2(1 + np.maximum(gap, 0)), GAPS - 1).astype(np.int64)
    bucket[history.indptr[:-1][history.lengths > 0]] = 0
    return torch.from_numpy(bucket)


class Sequences:
    """Batches of histories of like length, with as many interactions in each batch, cut to windows of `max_length`."""

    def __init__(self, history: History, *, max_length: int, batch_size: int) -> None:
        self.item, self.gap = torch.from_numpy(history.item).long(), gap_buckets(history)
        self.first, self.length = windows(history, max_length)
        self.budget = max(max_length, int(batch_size * self.length.mean()))
        self.n_batches = sum(1 for _ in cut(np.sort(self.length), self.budget))

    def __len__(self) -> int:
        return self.n_batches

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        shuffled = torch.randperm(len(self.length), generator=generator).numpy()
        order = shuffled[np.argsort(self.length[shuffled], kind="stable")]
        groups = list(cut(self.length[order], self.budget))
        for at in torch.randperm(len(groups), generator=generator).tolist():
            start, end = groups[at]
            yield self._batch(order[start:end])

    def _batch(self, rows: Int64) -> tuple[Tensor, Tensor, Tensor]:
        """Items, gaps and which of them are real; padded at the end, where causal attention does not look."""
        length = torch.from_numpy(self.length[rows])
        step = torch.arange(int(length.max()))
        at = (torch.from_numpy(self.first[rows])[:, None] + step).clamp(max=len(self.item) - 1)
        return self.item[at], self.gap[at], step < length[:, None]


def cut(length: Int64, budget: int) -> Iterator[tuple[int, int]]:
    """Consecutive rows, sorted by length, in groups of at most about `budget` padded positions."""
    start = 0
    for end in range(1, len(length) + 1):
        if end == len(length) or (end + 1 - start) * length[end] > budget:
            yield start, end
            start = end


def windows(history: History, size: int) -> tuple[Int64, Int64]:
    """Where stretches of at most `size` start that cover each history, cut from its end, and how long they are."""
    count = -(-history.lengths // size)
    row = np.repeat(np.arange(len(history)), count)
    back = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    last = history.indptr[1:][row] - back * size
    first = np.maximum(last - size, history.indptr[:-1][row])
    return first, last - first
