"""Posteriors of the vectors of a probabilistic factorisation of ratings, one side given the other.

A rating of user u and item i is normal around x_u'y_i with variance `noise`. With the posteriors of one side given,
mean m_q and covariance C_q of each vector, and a normal prior of the other side's vector x (mean `prior`, precision
`precision`), the best factorised posterior of x (variational Bayes: Lim & Teh, KDD Cup workshop 2007) is normal with

    covariance S = (diag(precision) + sum_q (m_q m_q' + C_q) / noise)^-1
    mean         = S (precision * prior + sum_q rating_q m_q / noise)

One entry of each vector, `one`, is held at the constant 1, so that the other side's entry there is a bias: its part
of the ratings is taken off, and its row and column of S are zeros.

Compiled, because the moments m_q m_q' + C_q of all ratings side by side would be `[n_ratings, dim, dim]`.
`tests/kernels/test_rating_factors.py` compares both functions with the formulas written out for one row and one rating.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float32, Float64, Int32, Int64
from genre.kernels.compiled import compiled

Ratings = tuple[Int64, Int32, Float64]
"""Row `r` has the ratings `indptr[r]` to `indptr[r + 1]`, int64 `[n + 1]`, each with its row of the other side, int32
`[nnz]`, and its value, less the mean, float64 `[nnz]`."""
Posteriors = tuple[Float64 | Float32, Float64 | Float32]
"""Means `[n, dim]` and covariances `[n, dim, dim]` of the vectors of one side."""


@compiled
def posteriors(
    ratings: Ratings, prior: Float64, precision: Float64, others: Posteriors, noise: float, one: int
) -> tuple[Float64, Float64]:
    """Compute the posterior of each row.

    Args:
        ratings: Those of each row.
        prior: Mean of each row before any rating, float64 `[n, dim]`.
        precision: Its precision (1 / variance), float64 `[dim]`.
        others: Posteriors of the other side.
        noise: Variance of a rating.
        one: The entry that is the constant 1.

    Returns:
        Means `[n, dim]` and covariances `[n, dim, dim]`, float64.
    """
    indptr, other, value = ratings
    mean, covariance = others
    n, dim = prior.shape
    out_mean, out_covariance = np.empty((n, dim)), np.empty((n, dim, dim))
    moment, pull = np.empty((dim, dim)), np.empty(dim)
    for row in range(n):
        moment[:] = 0
        pull[:] = 0
        for at in range(indptr[row], indptr[row + 1]):
            m, c = mean[other[at]], covariance[other[at]]
            for d in range(dim):
                pull[d] += value[at] * m[d]
                for e in range(d + 1):
                    moment[d, e] += m[d] * m[e] + c[d, e]
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
        solved = inverse @ pull
        for d in range(dim):
            out_mean[row, d] = solved[d]
            for e in range(dim):
                out_covariance[row, d, e] = inverse[d, e]
        out_mean[row, one] = 1
    return out_mean, out_covariance


@compiled
def mean_squared_error(user: Int32, item: Int32, value: Float64, users: Posteriors, items: Posteriors) -> float:
    """Compute the expected squared difference of ratings and predictions, which is the new variance of a rating.

    For a rating r of vectors with means m, n and covariances C, D,

        E (r - x'y)^2 = (r - m'n)^2 + tr(C D) + m'D m + n'C n

    Args:
        user: User of each rating, int32 `[nnz]`.
        item: Item of each rating, int32 `[nnz]`.
        value: Each rating, less its mean, float64 `[nnz]`.
        users: Posteriors of users.
        items: Posteriors of items.

    Returns:
        The mean over all ratings.
    """
    user_mean, user_covariance = users
    item_mean, item_covariance = items
    total = 0.0
    for at in range(len(user)):
        m, c = user_mean[user[at]], user_covariance[user[at]]
        n, d = item_mean[item[at]], item_covariance[item[at]]
        predicted, variance = 0.0, 0.0
        for i in range(len(m)):
            predicted += m[i] * n[i]
            for j in range(len(m)):
                variance += (m[i] * m[j] + c[i, j]) * d[i, j] + n[i] * n[j] * c[i, j]
        total += (value[at] - predicted) ** 2 + variance
    return total / len(user)
