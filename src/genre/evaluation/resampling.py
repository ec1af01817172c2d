"""Bootstrap intervals, sign-flip tests and the Holm correction over users. Does not know what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genre.evaluation.ranked import Float64, ratio

if TYPE_CHECKING:
    pass


RESAMPLES = 1000


FLIPS = 2000


BLOCK = 4_000_000  # random numbers held at once


def power_mean(values: Float64, weights: Float64, power: int = 1) -> float:
    """(sum w v^p / sum w)^(1/p) over the users with a value; NaN without any."""
    known = np.isfinite(values)
    total = float(weights[known].sum())
    return float(weights[known] @ values[known] ** power / total) ** (1 / power) if total else float("nan")


def bootstrap(
    values: Float64, weights: Float64, powers: Float64, *, seed: int = 0, resamples: int = RESAMPLES
) -> Float64:
    """Power means over `resamples` draws of users with replacement, the same draws for every column.

    values, weights: `[n_users, n]`, NaN values left out. powers: `[n]`. Returns `[resamples, n]`.
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
    """Two-sided p of the mean of each column under random signs, the same signs for every column.

    differences: `[n_users, n]`, NaN = no pair. A sign flips as if the two models had changed places for that user.
    """
    known = np.nan_to_num(differences)
    n_users = len(known)
    size = np.abs(known.sum(axis=0))
    slack = 1e-12 * np.abs(known).sum(axis=0)  # a sum in another order is not a smaller one
    rng = np.random.default_rng(seed)
    extreme = np.zeros(known.shape[1])
    for rows in _blocks(flips, n_users):
        coins = np.unpackbits(np.frombuffer(rng.bytes(rows * (-(-n_users // 8))), np.uint8).reshape(rows, -1), axis=1)
        signed = 2 * (coins[:, :n_users].astype(np.float64) @ known) - known.sum(axis=0)
        extreme += (np.abs(signed) >= size - slack).sum(axis=0)
    return np.asarray((1 + extreme) / (1 + flips))


def holm(p: Float64) -> Float64:
    """p values corrected for how many there are (Holm 1979): in order, each times the number left, never falling."""
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return out


def _blocks(n: int, width: int) -> list[int]:
    """`n` rows of `width` random numbers in blocks that fit into memory: the size of each."""
    size = max(1, BLOCK // max(width, 1))
    return [min(size, n - start) for start in range(0, n, size)]
