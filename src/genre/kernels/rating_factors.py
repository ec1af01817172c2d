"""The compiled half of `rating_factors.py`: posteriors of one side given the other. Knows one row at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled

Float64 = npt.NDArray[np.float64]


@compiled
def posteriors(
    indptr: Int64,
    other: Int32,
    value: Float64,
    prior: Float64,
    precision: Float64,
    mean: Float64 | Float32,
    covariance: Float64 | Float32,
    noise: float,
    one: int,
) -> tuple[Float64, Float64]:
    """Mean `[n, dim]` and covariance `[n, dim, dim]` of each row, whose entry `one` is the constant 1.

    indptr, other, value: the ratings of each row, by rows of the other side. prior `[n, dim]`, precision `[dim]`: of
    the rows before any rating. mean, covariance: of the other side. noise: variance of a rating.
    """
    n, dim = prior.shape
    out_mean, out_covariance = np.empty((n, dim)), np.empty((n, dim, dim))
    moment, pull = np.empty((dim, dim)), np.empty(dim)
    for row in range(n):
        moment[:] = 0
        pull[:] = 0
        for at in range(indptr[row], indptr[row + 1]):
            near, spread = mean[other[at]], covariance[other[at]]
            for d in range(dim):
                pull[d] += value[at] * near[d]
                for e in range(d + 1):
                    moment[d, e] += near[d] * near[e] + spread[d, e]
        for d in range(dim):
            for e in range(d):
                moment[e, d] = moment[d, e]
        pull = (pull - moment[:, one]) / noise + prior[row] * precision
        moment /= noise
        for d in range(dim):
            moment[d, d] += precision[d]
        moment[one, :] = 0
        moment[:, one] = 0
        moment[one, one] = 1
        pull[one] = 0
        inverse = np.linalg.inv(moment)
        inverse[one, one] = 0
        out_mean[row] = inverse @ pull
        out_mean[row, one] = 1
        out_covariance[row] = inverse
    return out_mean, out_covariance


@compiled
def mean_squared_error(
    user: Int32,
    item: Int32,
    value: Float64,
    user_mean: Float64,
    user_covariance: Float64,
    item_mean: Float64,
    item_covariance: Float64,
) -> float:
    """What a rating is expected to miss its prediction by, squared, the doubt in both sides included."""
    total = 0.0
    for at in range(len(user)):
        left, left_spread = user_mean[user[at]], user_covariance[user[at]]
        right, right_spread = item_mean[item[at]], item_covariance[item[at]]
        predicted, doubt = 0.0, 0.0
        for d in range(len(left)):
            predicted += left[d] * right[d]
            for e in range(len(left)):
                doubt += (left[d] * left[e] + left_spread[d, e]) * right_spread[d, e]
                doubt += right[d] * right[e] * left_spread[d, e]
        total += (value[at] - predicted) ** 2 + doubt
    return total / len(user)
