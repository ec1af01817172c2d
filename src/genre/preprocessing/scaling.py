"""Min-max and z-score scaling of ratings and its inverse, over all ratings or per user. Does not know recommenders.

A scaler is fitted on the train part only; it is frozen, so that it can be kept with a model fitted on scaled ratings.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Float64, Int32, Int64
from genre.data.dataset import Dataset
from genre.errors import DataError, OptionError
from genre.options import nearest


@dataclass(frozen=True, eq=False)
class Scaler:
    """A linear scaling of ratings, `(rating - shift) / scale`, and its inverse; made by `Scaler.fit(train)`.

    Attributes:
        shift: float64 `[n_users + 1]`, in ratings; the last entry is for users without training ratings. All equal
            unless fitted per user.
        scale: float64 `[n_users + 1]`, as `shift`.
    """

    shift: Float64
    scale: Float64

    @classmethod
    def fit(
        cls, train: Dataset, method: Literal["min-max", "z-score"] = "min-max", *, per_user: bool = False
    ) -> Scaler:
        """Fit a scaler on the ratings of a dataset.

        Ratings that are all equal become 0.

        Args:
            train: The train part.
            method: `min-max` maps the lowest rating to 0 and the highest to 1; `z-score` makes the mean 0 and the
                standard deviation 1.
            per_user: Scale each user by the user's own ratings.

        Returns:
            The scaler.

        Raises:
            DataError: Without ratings.
            OptionError: For an unknown method.
        """
        if method not in METHODS:
            raise OptionError(f"no scaling is called {method!r}{nearest(str(method), METHODS)}; {', '.join(METHODS)}")
        if train.rating is None or len(train) == 0:
            raise DataError(f"{train.name}: no ratings to scale; name the rating column, or leave scaling out")
        shift, scale = METHODS[method](np.zeros(len(train), np.int32), train.rating, 1)
        whole = float(shift[0]), float(scale[0]) or 1.0
        if per_user:
            return cls.of_groups(train.user, train.rating, train.n_users, method, whole)
        return cls(*(np.full(train.n_users + 1, part) for part in whole))

    @classmethod
    def of_groups(
        cls,
        group: Int32 | Int64,
        rating: Float32,
        n: int,
        method: Literal["min-max", "z-score"],
        otherwise: tuple[float, float],
    ) -> Scaler:
        """Make a scaler of several groups of ratings, such as users or histories.

        Args:
            group: Group of each rating, `[nnz]`.
            rating: `[nnz]`.
            n: Number of groups.
            method: As in `fit`.
            otherwise: Shift and scale of groups without ratings.

        Returns:
            The scaler; its users are the groups.
        """
        shift, scale = (np.full(n + 1, part) for part in otherwise)
        seen = np.flatnonzero(np.bincount(group, minlength=n))
        own = METHODS[method](group, rating, n)
        shift[seen], scale[seen] = own[0][seen], own[1][seen]
        scale[scale == 0] = 1.0
        return cls(shift, scale)

    def values(self, rating: npt.ArrayLike, user: npt.ArrayLike | None = None) -> Float64:
        """Scale ratings.

        Args:
            rating: `[n]`.
            user: `[n]`, user row numbers, -1 for a user without training ratings; None: no user is known.

        Returns:
            float64 `[n]`, so that `inverse` returns exactly the same ratings.
        """
        row = self._row(user)
        return (np.asarray(rating, np.float64) - self.shift[row]) / self.scale[row]

    def inverse(self, values: npt.ArrayLike, user: npt.ArrayLike | None = None) -> Float32:
        """Turn scaled values back into ratings.

        Args:
            values: `[n]`, scaled ratings.
            user: `[n]`, as in `values`.

        Returns:
            float32 `[n]`, rounded to nine decimals, so that 0 comes back as 0 and not as 2e-16.
        """
        row = self._row(user)
        return np.round(np.asarray(values, np.float64) * self.scale[row] + self.shift[row], 9).astype(np.float32)

    def transform(self, dataset: Dataset) -> Dataset:
        """Scale the ratings of a dataset; the liked interactions stay the same.

        Scaled per user, one threshold cannot separate likes, so the weights of interactions that are no likes become 0.

        Args:
            dataset: A dataset with ratings.

        Returns:
            The same interactions with scaled ratings.

        Raises:
            DataError: Without ratings.
        """
        if dataset.rating is None:
            raise DataError(f"{dataset.name}: no ratings to scale")
        rating = self.values(dataset.rating, dataset.user).astype(np.float32)
        if self._is_global() and dataset.rating_scale is not None:
            low, high, step = dataset.rating_scale
            positive = dataset.positive_rating
            return dataclasses.replace(
                dataset,
                rating=rating,
                rating_scale=(self._one(low), self._one(high), step / float(self.scale[-1])),
                positive_rating=None if positive is None else self._one(positive),
            )
        bounds = (float(rating.min()), float(rating.max()), 0.0) if len(rating) else None
        weight = np.where(dataset.liked(), dataset.weight, np.float32(0))
        return dataclasses.replace(dataset, rating=rating, weight=weight, rating_scale=bounds, positive_rating=None)

    def _is_global(self) -> bool:
        return bool((self.shift == self.shift[-1]).all() and (self.scale == self.scale[-1]).all())

    def _one(self, rating: float) -> float:
        """Scale one rating and round it as `transform` does, so that comparisons with it hold."""
        return float(np.float32(self.values(rating)))

    def _row(self, user: npt.ArrayLike | None) -> npt.NDArray[np.int64] | int:
        if user is None:
            return len(self.shift) - 1
        rows = np.asarray(user, np.int64)
        return np.where((rows >= 0) & (rows < len(self.shift) - 1), rows, len(self.shift) - 1)


def _bounds(group: Int32 | Int64, rating: Float32, n: int) -> tuple[Float64, Float64]:
    """Compute the lowest rating and the range of each group. [n] each."""
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, group, rating)
    np.maximum.at(high, group, rating)
    empty = np.isinf(low)
    low[empty] = high[empty] = 0.0
    return low, high - low


def _moments(group: Int32 | Int64, rating: Float32, n: int) -> tuple[Float64, Float64]:
    """Compute mean and standard deviation of each group, in two passes against cancellation. [n] each."""
    count = np.maximum(np.bincount(group, minlength=n), 1)
    mean = np.bincount(group, rating, n) / count
    deviation = rating - mean[group]
    return mean, np.sqrt(np.bincount(group, deviation * deviation, n) / count)


METHODS = {"min-max": _bounds, "z-score": _moments}
"""Name -> shift and scale of each group of ratings."""
