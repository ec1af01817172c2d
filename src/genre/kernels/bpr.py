"""Stochastic gradient steps of matrix factorisation by ranking: BPR, and a sampled softmax over the same vectors.

A score is the product of a user's vector x_u and an item's vector y_i, both `[dim]`. The last entry of y_i is the
item's bias: the user's entry there is always 1.

- `pairwise_epoch` (BPR: Rendle et al., UAI 2009) takes a pair of an item i that the user has and a sampled item j
  that the user does not have, and goes uphill on log sigmoid(x_u'(y_i - y_j)), less decay / 2 times the squared
  lengths.
- `softmax_epoch` goes uphill on the log of the probability of i among i and the sampled items,
  exp(s_i) / (exp(s_i) + sum_r boost_r exp(s_r)) (sampled softmax with corrections: Bengio & Senecal, 2008; for BPR's
  vectors Rendle, "Item recommendation from implicit feedback", 2021), where s_r = x_u'y_r.

Compiled, because each step reads what the one before it wrote, which array operations cannot do. Users are taken one
after another, so that x_u stays in cache. `tests/kernels/test_bpr.py` compares both with gradients written out in
NumPy. Knows nothing about histories.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled, compiled_part

STEP = 8  # interactions of one user that share their sampled items in the softmax
LARGE = np.float32(60)  # a difference of scores beyond which exp would overflow


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
    """Take one step for each pair of an interaction and its sampled item.

    With ahead = x_u'(y_i - y_j), the gradient of log sigmoid(ahead) is 1 / (1 + exp(ahead)) =: g times

        y_i - y_j  for x_u,   x_u  for y_i,   -x_u  for y_j

    A pair whose sampled item the user has is passed over.

    Args:
        order: Rows of users, in the order to take them, `[n_users]`.
        indptr: User `u` has the items `item[indptr[u]:indptr[u + 1]]`, int64 `[n_users + 1]`.
        item: Int32 `[nnz]`.
        sampled: A sampled item for each interaction, int32 `[nnz]`.
        users: Vectors of users, float32 `[n_users, dim]`, changed in place.
        items: Vectors of items, float32 `[n_items, dim]`, changed in place.
        rate: Learning rate.
        decay: Learning rate times regularisation.
        mark: Scratch, int32 `[n_items]`; the last user known to have the item.

    Returns:
        The share of pairs that were in the right order before their step.
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
    """Take one step for each `STEP` interactions of a user against the same sampled items.

    With p_i the probability of item i among itself and the sampled items (see above) and p_r that of sampled item r,
    the gradient of log p_i is

        (1 - p_i) y_i - sum_r p_r y_r  for x_u,   (1 - p_i) x_u  for y_i,   -p_r x_u  for y_r

    Exponents are taken of differences to the highest score of a sampled item, so that none overflows. A sampled item
    that the user has counts for nothing.

    Args:
        order: Rows of users, in the order to take them, `[n_users]`.
        indptr: User `u` has the items `item[indptr[u]:indptr[u + 1]]`, int64 `[n_users + 1]`.
        item: Int32 `[nnz]`.
        sampled: Sampled items of each step, int32 `[n_steps, n]`.
        boost: How many items of the catalogue a sampled item represents: 1 / the expected number of times it is drawn,
            float32 `[n_items]`.
        users: Vectors of users, float32 `[n_users, dim]`, changed in place.
        items: Vectors of items, float32 `[n_items, dim]`, changed in place.
        rate: Learning rate.
        decay: Learning rate times regularisation.
        mark: Scratch, int32 `[n_items]`; the last user known to have the item.

    Returns:
        The mean probability of the items interacted with.
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
            highest, mass = _weigh_sampled(row, items, x, boost, mark, u, share)
            for i in range(dim):
                before[i] = x[i]
                push[i] = -decay * x[i] * np.float32(stop - start)
            others = np.float32(0)  # sum over the interactions of p_r / share[r], the same for all r
            for q in range(start, stop):
                y = items[item[q]]
                odds = np.exp(min(highest - _dot(y, before), LARGE))
                chance = one / (one + mass * odds)
                others += odds * chance
                for i in range(dim):
                    was = y[i]
                    push[i] += rate * (one - chance) * was
                    y[i] = was + rate * (one - chance) * before[i] - decay * was
                total += chance
            _move_sampled(row, items, share, rate * others, decay * np.float32((stop - start) / n), before, push)
            for i in range(dim - 1):
                x[i] = before[i] + push[i]
            count += stop - start
    return float(total) / max(count, 1)


@compiled_part
def _weigh_sampled(
    row: Int32, items: Float32, x: Float32, boost: Float32, mark: Int32, user: int, share: Float32
) -> tuple[Any, Any]:
    """Set share[r] = boost_r exp(s_r - highest), 0 for an item of the user; return the highest s_r and the sum."""
    highest, mass = -np.float32(np.inf), np.float32(0)
    for r in range(len(row)):
        share[r] = _dot(items[row[r]], x)
        highest = max(highest, share[r])
    for r in range(len(row)):
        share[r] = np.float32(0) if mark[row[r]] == user else boost[row[r]] * np.exp(share[r] - highest)
        mass += share[r]
    return highest, mass


@compiled_part
def _move_sampled(
    row: Int32, items: Float32, share: Float32, rate: Any, decay: Any, before: Float32, push: Float32
) -> None:
    """Move each sampled item away from the user's vector `before`, and add the user's own move to `push`."""
    for r in range(len(row)):
        if share[r] > 0:
            y, times = items[row[r]], rate * share[r]
            for i in range(len(push)):
                was = y[i]
                push[i] -= times * was
                y[i] = was - times * before[i] - decay * was


@compiled_part
def _dot(left: Float32, right: Float32) -> Any:
    total = np.float32(0)
    for i in range(len(left)):
        total += left[i] * right[i]
    return total
