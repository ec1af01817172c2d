"""The scores of a small network for every pair of a user and an item.

The network's first layer takes the embeddings of user and item side by side, so its sums are a user's part plus an
item's part, each computed once (NeuMF: He et al., WWW 2017). Behind it, for user u and item i,

    x_0 = relu(users[u] + items[i]),   x_{l+1} = relu(W_l x_l + b_l),   score = W_last x + b_last

Compiled, because between two matrix products every hidden value would be written to memory, read, compared and written
again: 2.4 to 3 times the CPU time. Here a tile of `LANES` items goes through all layers of one user before it leaves
the cache. The items of a tile lie side by side, `x` `[width * LANES]`, so that each weight multiplies `LANES` numbers
at once. `tests/kernels/test_layers.py` compares it with matrix products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.arrays import Float32, Int64
from genre.kernels.compiled import compiled, compiled_part
from genre.kernels.simd import sums_in_registers

LANES = 64  # items of a tile: the values of a layer of 128 units take 32 KB and stay in the cache
UNROLL = 4  # rows of `weights` must be a multiple of it


@compiled
def score_pairs(users: Float32, items: Float32, weights: Float32, biases: Float32, widths: Int64, out: Float32) -> None:
    """Fill `out` `[n_users, n_items]` with the network's score of each user with each item.

    Args:
        users: The users' part of the first layer's sums, its bias included, float32 `[n_users, widths[0]]`.
        items: The items' part, float32 `[n_items, widths[0]]`.
        weights: Layer `l` has the weights `[l, :widths[l + 1], :widths[l]]`; the rows behind are zeros, up to a
            multiple of `UNROLL`. float32 `[n_layers, rows, columns]`.
        biases: Float32 `[n_layers, rows]`, zeros behind `widths[l + 1]`.
        widths: How many inputs each layer has, then 1 for the score. int64 `[n_layers + 1]`.
        out: Float32.
    """
    n_layers, rows, _ = weights.shape
    x, y = np.empty(rows * LANES, np.float32), np.empty(rows * LANES, np.float32)
    tile = np.empty(widths[0] * LANES, np.float32)  # a function to make it is compiled for `x` already
    for at in range(len(tile)):
        tile[at] = 0
    for start in range(0, len(items), LANES):
        block = items[start : start + LANES]
        for lane in range(len(block)):
            for d in range(widths[0]):
                tile[d * LANES + lane] = block[lane, d]
        for u in range(len(users)):
            for d in range(widths[0]):
                theirs, own, into = tile[d * LANES : (d + 1) * LANES], users[u, d], x[d * LANES : (d + 1) * LANES]
                for lane in range(LANES):
                    value = theirs[lane] + own
                    into[lane] = np.float32(0) if value < 0 else value  # NaN stays NaN
            for layer in range(n_layers):
                _layer(weights[layer], biases[layer], x, widths[layer], widths[layer + 1], layer < n_layers - 1, y)
                x, y = y, x
            target, score = out[u, start : start + LANES], x[:LANES]
            for lane in range(len(target)):
                target[lane] = score[lane]


@compiled_part
def _layer(weight: Float32, bias: Float32, x: Float32, width: int, n_out: int, relu: Any, y: Float32) -> None:
    """Set y[:n_out] = weight[:n_out, :width] x[:width] + bias[:n_out, None], and a few rows behind to anything.

    Four sums by four inputs at a time: each number that is read takes part in four products. `x` and `y` hold rows of
    `LANES` numbers one after the other; distances that the compiler knows spare it questions whether rows overlap.

    relu: whether negative sums become zero.
    """
    sums_in_registers()  # type: ignore[call-arg]  # the typing context comes from the compiler
    zero, whole = np.float32(0), width // UNROLL * UNROLL
    for r in range(0, n_out, UNROLL):
        w0, w1, w2, w3 = weight[r], weight[r + 1], weight[r + 2], weight[r + 3]
        z0, z1, z2, z3 = bias[r], bias[r + 1], bias[r + 2], bias[r + 3]
        sums = y[r * LANES : (r + UNROLL) * LANES]
        for lane in range(LANES):
            sums[lane] = z0
            sums[LANES + lane] = z1
            sums[2 * LANES + lane] = z2
            sums[3 * LANES + lane] = z3
        for d in range(0, whole, UNROLL):
            inputs = x[d * LANES : (d + UNROLL) * LANES]
            a0, a1, a2, a3 = w0[d], w0[d + 1], w0[d + 2], w0[d + 3]
            b0, b1, b2, b3 = w1[d], w1[d + 1], w1[d + 2], w1[d + 3]
            c0, c1, c2, c3 = w2[d], w2[d + 1], w2[d + 2], w2[d + 3]
            e0, e1, e2, e3 = w3[d], w3[d + 1], w3[d + 2], w3[d + 3]
            for lane in range(LANES):
                t0, t1 = inputs[lane], inputs[LANES + lane]
                t2, t3 = inputs[2 * LANES + lane], inputs[3 * LANES + lane]
                sums[lane] += a0 * t0 + a1 * t1 + a2 * t2 + a3 * t3
                sums[LANES + lane] += b0 * t0 + b1 * t1 + b2 * t2 + b3 * t3
                sums[2 * LANES + lane] += c0 * t0 + c1 * t1 + c2 * t2 + c3 * t3
                sums[3 * LANES + lane] += e0 * t0 + e1 * t1 + e2 * t2 + e3 * t3
        for d in range(whole, width):
            inputs = x[d * LANES : (d + 1) * LANES]
            a0, b0, c0, e0 = w0[d], w1[d], w2[d], w3[d]
            for lane in range(LANES):
                sums[lane] += a0 * inputs[lane]
                sums[LANES + lane] += b0 * inputs[lane]
                sums[2 * LANES + lane] += c0 * inputs[lane]
                sums[3 * LANES + lane] += e0 * inputs[lane]
        if relu:
            for lane in range(len(sums)):
                sums[lane] = zero if sums[lane] < 0 else sums[lane]
