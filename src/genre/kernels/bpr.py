"""The compiled half of `bpr.py`: one pass over all interactions, user by user, so that a user's vector stays in cache.

The last entry of an item's vector is its offset: the user's entry there is always 1. Knows nothing about histories.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled

STEP = 8  # interactions of one user that share their sampled items in the softmax
FAR = np.float32(60)  # a difference of scores beyond which exp would overflow


@compiled
def pairwise_epoch(
    order: Int64,
    indptr: Int64,
    item: Int32,
    sampled: Int32,
    users: Float32,
    items: Float32,
    rate: Any,
    decay: Any,
    mark: Int32,
) -> float:
    """One stochastic step a pair (interaction, `sampled` item); returns the share of pairs ranked rightly before it.

    Users come in `order`; `mark` `[n_items]` is scratch. A sampled item that the user has is passed over.
    """
    dim = users.shape[1]
    one, right, pairs = np.float32(1), 0, 0
    for u in order:
        x, begin, end = users[u], indptr[u], indptr[u + 1]
        for q in range(begin, end):
            mark[item[q]] = u
        for q in range(begin, end):
            if mark[sampled[q]] == u:
                continue
            good, bad = items[item[q]], items[sampled[q]]
            ahead = np.float32(0)
            for i in range(dim):
                ahead += x[i] * (good[i] - bad[i])
            push = rate / (one + np.exp(ahead))
            for i in range(dim):
                was, up, down = x[i], good[i], bad[i]
                x[i] = was + push * (up - down) - decay * was
                good[i] = up + push * was - decay * up
                bad[i] = down - push * was - decay * down
            x[dim - 1] = one
            right += 1 if ahead > 0 else 0
            pairs += 1
    return right / max(pairs, 1)


@compiled
def softmax_epoch(
    order: Int64,
    indptr: Int64,
    item: Int32,
    sampled: Int32,
    boost: Float32,
    users: Float32,
    items: Float32,
    rate: Any,
    decay: Any,
    mark: Int32,
) -> float:
    """One step for each `STEP` interactions of a user against a row of `sampled` `[n_steps, n]` items.

    boost: how many items of the catalogue each sampled one stands for. Returns the mean probability given to what
    was interacted with.
    """
    dim, n, at = users.shape[1], sampled.shape[1], 0
    one, total, count = np.float32(1), np.float32(0), 0
    share, before, push = np.empty(n, np.float32), np.empty(dim, np.float32), np.empty(dim, np.float32)
    for u in order:
        x, begin, end = users[u], indptr[u], indptr[u + 1]
        for q in range(begin, end):
            mark[item[q]] = u
        for start in range(begin, end, STEP):
            stop, row = min(start + STEP, end), sampled[at]
            at += 1
            highest, mass = -np.float32(np.inf), np.float32(0)
            for r in range(n):
                share[r] = _dot(items[row[r]], x)
                highest = max(highest, share[r])
            for r in range(n):
                share[r] = np.float32(0) if mark[row[r]] == u else boost[row[r]] * np.exp(share[r] - highest)
                mass += share[r]
            for i in range(dim):
                before[i] = x[i]
                push[i] = -decay * x[i] * np.float32(stop - start)
            others = np.float32(0)  # what the sampled items get, for each unit of their share
            for q in range(start, stop):
                y = items[item[q]]
                odds = np.exp(min(highest - _dot(y, before), FAR))
                chance = one / (one + mass * odds)
                others += odds * chance
                for i in range(dim):
                    was = y[i]
                    push[i] += rate * (one - chance) * was
                    y[i] = was + rate * (one - chance) * before[i] - decay * was
                total += chance
            part = decay * np.float32((stop - start) / n)
            for r in range(n):
                if share[r] > 0:
                    y, times = items[row[r]], rate * share[r] * others
                    for i in range(dim):
                        was = y[i]
                        push[i] -= times * was
                        y[i] = was - times * before[i] - part * was
            for i in range(dim - 1):
                x[i] = before[i] + push[i]
            count += stop - start
    return float(total) / max(count, 1)


@compiled
def _dot(one: Float32, other: Float32) -> Any:
    total = np.float32(0)
    for i in range(len(one)):
        total += one[i] * other[i]
    return total
