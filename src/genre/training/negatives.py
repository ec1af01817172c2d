"""Drawing rows that were not chosen, and how likely each draw was. Knows rows and counts only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class NegativeSampler:
    """Draws rows with probability proportional to `count ** power`: 0 is uniform, 1 is by popularity.

    log_q: float32 `[n]`, the log-probability of each row, for losses that correct for it.
    """

    def __init__(self, counts: npt.ArrayLike, *, power: float = 0.0) -> None:
        weights = np.maximum(np.asarray(counts, np.float64), 1.0) ** power  # a row never chosen can still be drawn
        share = weights / weights.sum()
        self.log_q = torch.from_numpy(np.log(share).astype(np.float32))
        self._edges = torch.from_numpy(np.cumsum(share)[:-1])

    def draw(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        """int64 rows of the given shape, with replacement; without a generator from torch's own."""
        at = torch.rand(shape, generator=generator, dtype=torch.float64)
        return torch.searchsorted(self._edges, at, right=True)
