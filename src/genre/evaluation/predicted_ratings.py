"""Predicted beside given ratings, which the metrics of ratings read. Does not know recommenders or files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from genre.arrays import Float64, Int32, Int64
from genre.data.linear_algebra import ratio


@dataclass(frozen=True, eq=False)
class PredictedRatings:
    """Predicted and given ratings of `n_users` users.

    Attributes:
        n_users: How many users.
        user: int64 `[n_pairs]`, position of the user, below `n_users`.
        item: int32 `[n_pairs]`, row number of the item.
        predicted: float64 `[n_pairs]`.
        actual: float64 `[n_pairs]`.
        step: Distance between two neighbouring ratings of the scale.
        like_threshold: The lowest rating that counts as a like.
    """

    n_users: int
    user: Int64
    item: Int32
    predicted: Float64
    actual: Float64
    step: float
    like_threshold: float

    def __len__(self) -> int:
        return self.n_users

    @cached_property
    def pairs(self) -> Float64:
        """How many ratings each user gave. [n_users]."""
        return np.bincount(self.user, minlength=self.n_users).astype(np.float64)

    def mean(self, value: npt.NDArray[np.float64 | np.bool_]) -> Float64:
        """Average a value over the pairs of each user.

        Args:
            value: `[n_pairs]`.

        Returns:
            float64 `[n_users]`, NaN for a user without pairs.
        """
        total = np.bincount(self.user, weights=value, minlength=self.n_users)
        return ratio(total, self.pairs)

    def keep(self, pairs: npt.NDArray[np.bool_]) -> PredictedRatings:
        """Return the same users with some of the pairs.

        Args:
            pairs: `[n_pairs]`, True for the pairs to keep.

        Returns:
            The same `n_users` users.
        """
        columns = {name: getattr(self, name)[pairs] for name in ("user", "item", "predicted", "actual")}
        return replace(self, **columns)
