"""What metrics beyond accuracy know about the items: popularity, vectors, categories. Does not know rankings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Float64, Int64


@dataclass(frozen=True, eq=False)
class ItemStatistics:
    """What metrics beyond accuracy know about the items.

    Attributes:
        popularity: int64 `[n_items]`, how many training users interacted with each item.
        n_users: How many training users there are.
        vectors: float32 `[n_items, dim]`, item features, or None.
        categories: CSR `[n_items, n_categories]`, 1 where the item is in the category, or None.
    """

    popularity: Int64
    n_users: int
    vectors: Float32 | None = None
    categories: sp.csr_matrix | None = None

    @cached_property
    def percentile(self) -> Float64:
        """Popularity percentile: 0 the rarest item, 1 the most popular, equal items share the middle. [n_items]."""
        counts = np.sort(self.popularity)
        below = np.searchsorted(counts, self.popularity, "left")
        not_above = np.searchsorted(counts, self.popularity, "right")
        return np.asarray((below + not_above) / (2 * max(len(counts), 1)))

    @cached_property
    def tail(self) -> npt.NDArray[np.bool_]:
        """The long tail: the rarest items that together hold at most a fifth of all interactions. [n_items]."""
        counts = np.sort(self.popularity)
        held = np.cumsum(counts)[np.searchsorted(counts, self.popularity, "right") - 1]  # by all items as rare as it
        return np.asarray(held <= 0.2 * counts.sum())
