"""Bootstrap intervals, sign-flip tests and the Holm correction over users. Does not know what was measured.

Everything is seeded and computed in blocks, so that memory stays bounded.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float64
from genre.data.linear_algebra import ratio

SIGNIFICANCE_LEVEL = 0.05
"""A difference with a p value up to this counts as real."""
RESAMPLES = 1000
FLIPS = 2000
BLOCK = 4_000_000  # random numbers held at once


def power_mean(values: Float64, weights: Float64, power: int = 1) -> float:
    """Compute the weighted power mean over users, (sum w v^p / sum w)^(1/p).

    With p = 1 it is the mean; with p = 2 it turns the RMSE of each user into the RMSE over all ratings.

    Args:
        values: `[n_users]`; users whose value is NaN are left out.
        weights: `[n_users]`.
        power: p.

    Returns:
        The mean; NaN when no user has a value.
    """
    known = np.isfinite(values)
    total = float(weights[known].sum())
    return float(weights[known] @ values[known] ** power / total) ** (1 / power) if total else float("nan")


def bootstrap(
    values: Float64, weights: Float64, powers: Float64, *, seed: int = 0, resamples: int = RESAMPLES
) -> Float64:
    """Compute power means over resamples of the users, drawn with replacement (Efron 1979).

    Every column meets the same resamples, so that columns can be compared pair by pair.

    Args:
        values: `[n_users, n]`; NaN values are left out.
        weights: `[n_users, n]`.
        powers: `[n]`, see `power_mean`.
        seed: Seed of the draws.
        resamples: How many.

    Returns:
        float64 `[resamples, n]`.
    """
    known = np.isfinite(values)
    weight = np.where(known, weights, 0)
    columns = np.concatenate([np.where(known, values, 0) ** powers * weight, weight], axis=1)  # [n_users, 2 n]
    n_users, n = values.shape
    rng = np.random.default_rng(seed)
    sums = []
    for rows in _blocks(resamples, n_users):
        drawn = rng.integers(0, n_users, (rows, n_users), np.int32) + np.arange(rows)[:, None] * n_users
        times = np.bincount(drawn.ravel(), minlength=rows * n_users).reshape(rows, n_users)
        sums.append(times.astype(np.float64) @ columns)
    total = np.concatenate(sums)
    return np.asarray(ratio(total[:, :n], total[:, n:]) ** (1 / powers))


def sign_flip(differences: Float64, *, seed: int = 0, flips: int = FLIPS) -> Float64:
    """Test whether the mean of each column differs from zero by random sign flips (Fisher's randomisation test).

    Flipping the sign of a user's difference exchanges the two models for that user. p = (1 + flips whose sum is at
    least as far from zero) / (1 + flips), two-sided. Every column meets the same signs.

    Where no flip is as far from zero, that is only the least p that so many flips can show, and a correction over many
    pairs would call every difference chance. The bound of Hoeffding (1963) for sums of random signs,
    p <= 2 exp(-s^2 / (2 sum of d^2)) with the sum s of the differences d, is taken there where it is lower.

    Args:
        differences: `[n_users, n]`; NaN for a user without a pair of values.
        seed: Seed of the signs.
        flips: How many random sign vectors.

    Returns:
        p values, float64 `[n]`.
    """
    known = np.nan_to_num(differences)
    n_users = len(known)
    size = np.abs(known.sum(axis=0))
    slack = 1e-12 * np.abs(known).sum(axis=0)  # a sum in another order is not a smaller one
    rng = np.random.default_rng(seed)
    extreme = np.zeros(known.shape[1])
    for rows in _blocks(flips, n_users):
        coins = np.unpackbits(np.frombuffer(rng.bytes(rows * (-(-n_users // 8))), np.uint8).reshape(rows, -1), axis=1)
        signed = 2 * (coins[:, :n_users].astype(np.float64) @ known) - known.sum(axis=0)  # [rows, n]
        extreme += (np.abs(signed) >= size - slack).sum(axis=0)
    p = (1 + extreme) / (1 + flips)
    bound = 2 * np.exp(-(ratio(size, np.sqrt((known**2).sum(axis=0))) ** 2) / 2)
    return np.asarray(np.where(extreme == 0, np.minimum(p, bound), p))


def holm(p: Float64) -> Float64:
    """Correct p values for multiple comparisons (Holm 1979).

    In ascending order each is multiplied by how many are left, and none is smaller than the one before it.

    Args:
        p: `[n]`.

    Returns:
        Corrected p values `[n]`, at most 1.
    """
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return out


def _blocks(n: int, width: int) -> list[int]:
    """Divide `n` rows of `width` random numbers into blocks that fit into memory; return the size of each."""
    size = max(1, BLOCK // max(width, 1))
    return [min(size, n - start) for start in range(0, n, size)]
