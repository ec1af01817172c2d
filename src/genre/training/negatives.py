"""Sampling of negatives: rows of a table at random, and how likely each is. Knows rows and counts only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class NegativeSampler:
    """Samples rows with probability proportional to `count ** power`.

    Attributes:
        log_q: the log-probability of each row, for losses that correct for it. float32 `[n]`
    """

    def __init__(self, counts: npt.ArrayLike, *, power: float = 0.0) -> None:
        """Compute the probabilities.

        Args:
            counts: how often each row occurs; a row that never occurs counts as one that occurs once. `[n]`
            power: 0 samples uniformly, 1 by popularity.
        """
        weights = np.maximum(np.asarray(counts, np.float64), 1.0) ** power
        share = weights / weights.sum()
        self.log_q = torch.from_numpy(np.log(share).astype(np.float32))
        self._edges = torch.from_numpy(np.cumsum(share)[:-1])

    def draw(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        """Return sampled rows, with replacement.

        Args:
            shape: how many.
            generator: the source of randomness; None is torch's global generator.

        Returns:
            Row numbers int64 of that shape, on the CPU.
        """
        at = torch.rand(shape, generator=generator, dtype=torch.float64)
        return torch.searchsorted(self._edges, at, right=True)
