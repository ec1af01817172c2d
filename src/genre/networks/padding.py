"""Batches of padded item sequences, cut from histories. Knows nothing about the network that reads them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from genre.arrays import Int64
from genre.data.history import History

GAPS = 32  # buckets of the time between two interactions; each covers twice the time of the one before


class SequenceBatches:
    """Training batches of histories of similar length, each cut into windows of at most `max_length` interactions.

    A batch is (items, gaps, real), each `[n_batch, length]`. Batches hold about equally many interactions.
    """

    def __init__(self, history: History, *, max_length: int, batch_size: int) -> None:
        """Cut the histories into windows.

        Args:
            history: the histories to learn from, oldest interaction first.
            max_length: interactions in a window, at most.
            batch_size: windows of average length in a batch.
        """
        self.item, self.gap = torch.from_numpy(history.item).long(), gap_buckets(history)
        self.first, self.length = windows(history, max_length)
        self.budget = max(max_length, int(batch_size * self.length.mean()))
        self.n_batches = sum(1 for _ in group_by_length(np.sort(self.length), self.budget))

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self.n_batches

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of one epoch in random order, windows of equal length in random order too.

        Args:
            generator: the source of all randomness.

        Yields:
            Item rows, gap buckets, and whether each position is real (not padding). `[n_batch, length]` each
        """
        shuffled = torch.randperm(len(self.length), generator=generator).numpy()
        order = shuffled[np.argsort(self.length[shuffled], kind="stable")]
        groups = list(group_by_length(self.length[order], self.budget))
        for at in torch.randperm(len(groups), generator=generator).tolist():
            start, end = groups[at]
            rows = order[start:end]
            position, real = padded_positions(self.first[rows], self.length[rows], len(self.item))
            yield self.item[position], self.gap[position], real


def padded_positions(first: Int64, length: Int64, n: int) -> tuple[Tensor, Tensor]:
    """Return the positions of stretches of one long array, padded at the end to the longest stretch.

    Padding stands at the end because causal attention at a real position never looks there.

    Args:
        first: where each stretch starts. `[n_stretches]`
        length: its length. `[n_stretches]`
        n: length of the array; padded positions are clamped into it.

    Returns:
        Positions int64 and whether each is real bool, both `[n_stretches, longest]`.
    """
    step = torch.arange(int(length.max()))
    position = (torch.from_numpy(first)[:, None] + step).clamp(max=max(n - 1, 0))
    return position, step < torch.from_numpy(length)[:, None]


def gap_buckets(history: History) -> Tensor:
    """Return the bucket of the time between each interaction and the one before it.

    The bucket of a gap of t seconds is 1 + floor(log2(1 + t)), at most `GAPS - 1`.

    Args:
        history: the histories; without timestamps every bucket is 0.

    Returns:
        Buckets int64 `[n_interactions]`, 0 for the first interaction of a history.
    """
    if history.timestamp is None:
        return torch.zeros(len(history.item), dtype=torch.int64)
    gap = np.diff(history.timestamp, prepend=history.timestamp[:1])
    bucket = np.minimum(1 + np.log2(1 + np.maximum(gap, 0)), GAPS - 1).astype(np.int64)
    bucket[history.indptr[:-1][history.lengths > 0]] = 0
    return torch.from_numpy(bucket)


def group_by_length(length: Int64, budget: int) -> Iterator[tuple[int, int]]:
    """Yield groups of consecutive rows with at most about `budget` padded positions in each.

    Args:
        length: the lengths of the rows, ascending. `[n]`
        budget: positions of a group: its number of rows times its longest row.

    Yields:
        The first row of a group and the row after its last.
    """
    start = 0
    for end in range(1, len(length) + 1):
        if end == len(length) or (end + 1 - start) * length[end] > budget:
            yield start, end
            start = end


def windows(history: History, size: int) -> tuple[Int64, Int64]:
    """Return the windows that cover each history once, cut from its end: only the oldest window may be shorter.

    Args:
        history: the histories.
        size: interactions in a window, at most.

    Returns:
        The position of each window's first interaction and each window's length, both `[n_windows]`.
    """
    count = -(-history.lengths // size)
    row = np.repeat(np.arange(len(history)), count)
    back = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)  # windows after this one
    end = history.indptr[1:][row] - back * size
    first = np.maximum(end - size, history.indptr[:-1][row])
    return first, end - first
