"""RatingFactors: matrix factorisation of ratings in which each vector has an uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from genre.arrays import Float32, Float64, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Search
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method

LEAST_NOISE = 1e-9
"""Least variance of a rating, in squared stars: where all ratings are equal or explained, it would be 0, a divisor."""
ITEM_BIAS, USER_BIAS = 0, 1  # the entry that is 1 in every user vector, in every item vector


@dataclass(eq=False)
class RatingFactors(Recommender):
    """A rating is the product of a user and an item vector, both Gaussian, so that few ratings move a vector little.

    Yew Jin Lim and Yee Whye Teh, "Variational Bayesian approach to movie rating prediction", KDD Cup 2007:

        rating_ui = mean + user_u . item_i + noise,   user_u ~ N(prior_u, variance),   item_i ~ N(prior_i, variance)

    In turn, the Gaussians of users are solved given those of items, and the reverse. One entry of each user vector is
    fixed to 1 and meets the offset of the item, one of each item vector meets the offset of the user. Prior means are
    linear in what is known without the ratings: which items a user rated (Yehuda Koren, "Factorization meets the
    neighborhood", KDD 2008), which users rated an item, and the features of the item, which also place an item without
    ratings.
    """

    factors: Annotated[int, Ge(1), Search(4, 32), Doc("Length of the vectors, without the two offsets.")] = 16
    iterations: Annotated[int, Ge(1), Search(10, 60), Doc("Rounds over users and items.")] = 30
    regularization: Annotated[
        float, Gt(0), Search(0.5, 20, log=True), Doc("Ridge on the linear maps to the prior means.")
    ] = 2.0
    seed: Annotated[int, Doc("Seed of the first vectors.")] = 0

    explains: ClassVar[Method] = "exact"
    answers_empty: ClassVar[bool] = True
    learns: ClassVar[tuple[str, ...]] = (
        "mean_",
        "low_",
        "high_",
        "noise_",
        "user_variance_",
        "item_variance_",
        "item_mean_",
        "item_covariance_",
        "by_rated_",
        "by_features_",
    )

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.rating is None or dataset.rating_scale is None:
            raise DataError("rating_factors: needs ratings and their scale; the data has none")
        self.low_, self.high_ = (float(star) for star in dataset.rating_scale[:2])
        self.mean_ = float(dataset.rating.mean(dtype=np.float64))
        value = dataset.rating.astype(np.float64) - self.mean_
        users = _Side.of(dataset.user, dataset.item, value, dataset.n_users, dataset.n_items)
        items = _Side.of(dataset.item, dataset.user, value, dataset.n_items, dataset.n_users)
        features = _with_one(None if dataset.item_features is None else dataset.item_features.values, dataset.n_items)
        self._learn(dataset, value, users, items, features, log)

    def _learn(self, dataset: Dataset, value: Float64, users: _Side, items: _Side, features: Float64, log: Log) -> None:
        """Solve users and items in turn, and after each the map to their prior means."""
        from genre.kernels.rating_factors import mean_squared_error

        dim = self.factors + 2
        rng = np.random.default_rng(self.seed)
        user, item = (_Gaussians.start(n, dim, rng) for n in (dataset.n_users, dataset.n_items))
        item.mean[:, USER_BIAS] = 1
        by_rated, by_raters = np.zeros((dataset.n_items, dim)), np.zeros((dataset.n_users, dim))
        by_features = np.zeros((features.shape[1], dim))
        noise = max(float(value.var()), LEAST_NOISE)
        with log.bar("rating_factors", self.iterations) as bar:
            for _ in range(self.iterations):
                user = user.given(users, item, noise, ITEM_BIAS)
                by_rated = ridge(users.known, user.mean, self.regularization, by_rated)
                user = user.with_prior(users.known @ by_rated, users, ITEM_BIAS)
                item = item.given(items, user, noise, USER_BIAS)
                by_raters = ridge(items.known, item.mean - features @ by_features, self.regularization, by_raters)
                by_features = ridge(features, item.mean - items.known @ by_raters, self.regularization, by_features)
                item = item.with_prior(items.known @ by_raters + features @ by_features, items, USER_BIAS)
                left = mean_squared_error(dataset.user, dataset.item, value, user[:2], item[:2])
                noise = max(left, LEAST_NOISE)
                bar.advance(1, note=f"noise {noise**0.5:.3f} stars")
        self.noise_ = noise
        self.user_variance_, self.item_variance_ = user.variance, item.variance  # [dim]
        self.item_mean_ = item.mean.astype(np.float32)  # [n_items, dim]
        self.item_covariance_ = item.covariance.astype(np.float32)  # [n_items, dim, dim]
        self.by_rated_ = by_rated.astype(np.float32)  # [n_items, dim]
        self.by_features_ = by_features.astype(np.float32)  # [n_features + 1, dim]

    def _users(self, history: History) -> tuple[Float64, Float64]:
        """Return the Gaussian of each history: mean `[n, dim]` and covariance `[n, dim, dim]`."""
        from genre.kernels.rating_factors import posteriors

        known = sp.csr_matrix(
            (np.ones(len(history.item)), history.item, history.indptr), (len(history), history.n_items)
        )
        rated = history if history.rating is not None else history.keep(np.zeros(len(history.item), bool))
        value = np.zeros(0) if rated.rating is None else rated.rating.astype(np.float64) - self.mean_
        prior = _by_root(known) @ self.by_rated_.astype(np.float64)
        items = self.item_mean_, self.item_covariance_
        return posteriors(
            (rated.indptr, rated.item, value), prior, 1 / self.user_variance_, items, self.noise_, ITEM_BIAS
        )

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        items = self.item_mean_.copy()
        items[:, ITEM_BIAS] += self.mean_  # meets the 1 of every user
        return self._users(history)[0].astype(np.float32), items

    @override
    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        """Return the expected ratings, cut to the rating scale."""
        self._check(history)
        queries, items = self._factors(history)
        return np.asarray(np.clip(np.einsum("nd,nd->n", queries[row], items[item]), self.low_, self.high_), np.float32)

    def _popular(self, history: History, items: Int32) -> Float32:
        return np.asarray(self.item_mean_[items, ITEM_BIAS], np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        """Return the term of each interaction: the mean of the user is a sum over them, `[m, length]`.

        With V the covariance of the user, v the mean vectors of the rated items and C their covariances,

            mean = V (prior / variance + sum of (rating - mean rating) v / noise - sum of E[v v']_bias / noise),

        where E[v v'] = C + v v' and its column of the item offset comes from the entry of the user fixed to 1.
        """
        covariance = self._users(history)[1][0]  # V [dim, dim]
        near = self.item_mean_[history.item].astype(np.float64)  # [length, dim]
        pull = self.by_rated_[history.item] / self.user_variance_ / max(len(near), 1) ** 0.5  # the share in the prior
        if history.rating is not None:
            spread = self.item_covariance_[history.item][:, :, ITEM_BIAS] + near * near[:, [ITEM_BIAS]]
            pull = pull + (near * (history.rating - self.mean_)[:, None] - spread) / self.noise_
        pull[:, ITEM_BIAS] = 0
        return np.asarray(self.item_mean_[items] @ (pull @ covariance).T, np.float32)

    def _extend(self, features: Float32) -> None:
        if features.shape[1] + 1 != len(self.by_features_):
            raise DataError(
                f"rating_factors: learnt from {len(self.by_features_) - 1} features, found {features.shape[1]}"
            )
        mean = (_with_one(features, len(features)) @ self.by_features_).astype(np.float32)
        mean[:, USER_BIAS] = 1
        spread = np.diag(np.where(np.arange(len(self.item_variance_)) == USER_BIAS, 0, self.item_variance_))
        self.item_mean_ = np.concatenate([self.item_mean_, mean])
        self.item_covariance_ = np.concatenate(
            [self.item_covariance_, np.tile(spread, (len(mean), 1, 1))], dtype=np.float32
        )
        self.by_rated_ = np.concatenate([self.by_rated_, np.zeros_like(mean)])


class _Side(NamedTuple):
    """The ratings of users or of items: by row, and as a CSR matrix of what was rated, for the prior means."""

    indptr: Int64
    other: Int32
    value: Float64
    known: sp.csr_matrix

    @classmethod
    def of(cls, row: Int32, other: Int32, value: Float64, n: int, n_other: int) -> _Side:
        """Sort ratings by row."""
        order = np.argsort(row, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
        known = sp.csr_matrix((np.ones(len(row)), other[order], indptr), shape=(n, n_other))
        return cls(indptr, other[order], value[order], _by_root(known))


class _Gaussians(NamedTuple):
    """The Gaussian vector of each user or item."""

    mean: Float64  # [n, dim]
    covariance: Float64  # [n, dim, dim]
    prior: Float64  # the mean before any rating [n, dim]
    variance: Float64  # before any rating [dim]

    @classmethod
    def start(cls, n: int, dim: int, rng: np.random.Generator) -> _Gaussians:
        """Return random means with zero offsets."""
        mean = rng.normal(0, 0.3, (n, dim))
        mean[:, [ITEM_BIAS, USER_BIAS]] = 0
        covariance = np.zeros((n, dim, dim))
        covariance[:, range(2, dim), range(2, dim)] = 0.1
        return cls(mean, covariance, np.zeros((n, dim)), np.full(dim, 0.5))

    def given(self, side: _Side, other: _Gaussians, noise: float, one: int) -> _Gaussians:
        """Return the Gaussians after the ratings, with the other side given; entry `one` is fixed to 1."""
        from genre.kernels.rating_factors import posteriors

        ratings = side.indptr, side.other, side.value
        mean, covariance = posteriors(ratings, self.prior, 1 / self.variance, other[:2], noise, one)
        return self._replace(mean=mean, covariance=covariance)

    def with_prior(self, prior: Float64, side: _Side, one: int) -> _Gaussians:
        """Return the same with other prior means, and with the mean square around them as variance."""
        prior[:, one] = 0
        rated = np.diff(side.indptr) > 0
        left = (self.mean[rated] - prior[rated]) ** 2 + np.einsum("ndd->nd", self.covariance[rated])
        variance = np.maximum(left.mean(axis=0), 1e-6)
        variance[one] = 1
        return self._replace(prior=prior, variance=variance)


def ridge(
    matrix: sp.csr_matrix | Float64, target: Float64, strength: float, start: Float64, steps: int = 10
) -> Float64:
    """Return the ridge regression of a target on a matrix, by conjugate gradients.

    Minimises |target - matrix weights|^2 + strength |weights|^2 (Hestenes and Stiefel, 1952).

    Args:
        matrix: `[n, n_columns]`.
        target: `[n, dim]`.
        strength: The ridge.
        start: Weights to begin with `[n_columns, dim]`: the last solution, where the target moves little.
        steps: Steps of the solver.

    Returns:
        Weights `[n_columns, dim]`.
    """
    weights = start.copy()
    rest = matrix.T @ (target - matrix @ weights) - strength * weights
    step = rest.copy()
    size = (rest**2).sum(axis=0)
    for _ in range(steps):
        moved = matrix.T @ (matrix @ step) + strength * step
        along = size / np.maximum((step * moved).sum(axis=0), 1e-300)
        weights += along * step
        rest -= along * moved
        size, before = (rest**2).sum(axis=0), size
        step = rest + size / np.maximum(before, 1e-300) * step
    return weights


def _by_root(known: sp.csr_matrix) -> sp.csr_matrix:
    """Return rows divided by the root of their length, so that long rows do not outweigh short ones."""
    length = np.maximum(np.diff(known.indptr), 1)
    return sp.csr_matrix((np.repeat(length**-0.5, np.diff(known.indptr)), known.indices, known.indptr), known.shape)


def _with_one(features: Float32 | None, n: int) -> Float64:
    """Return unit rows and a constant column, in float64, `[n, n_features + 1]`."""
    if features is None:
        return np.ones((n, 1))
    length = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return np.concatenate([features / length, np.ones((n, 1))], axis=1, dtype=np.float64)
