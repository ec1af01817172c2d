"""The layers of a small network for every pair of a user and an item: a tile of items side by side in vector registers
goes through all of them before it leaves the innermost cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from genre.arrays import Float32, Int64
from genre.kernels.compiled import compiled
from genre.kernels.simd import LANES, STEP, WORD, load, spread, store, sums_of_products, vector_of

VECTOR = vector_of(LANES)


@compiled
def score_pairs(users: Float32, items: Float32, weights: Float32, biases: Float32, widths: Int64, out: Float32) -> None:
    """out `[n, n_items]` = the last layer's only sum for each user `[n, width]` with each item `[n_items, width]`.

    Users and items are the two halves of the first layer's sums. Behind it layer `l` has the sums
    weights `[l, :, :widths[l]]` x + biases `[l]`, of which `widths[l + 1]` count; behind them are zeros up to whole
    steps. Before each layer stands a ReLU.
    """
    n_layers, most, columns = weights.shape
    x, y = np.empty((most, LANES), np.float32), np.empty((most, LANES), np.float32)
    side_by_side = np.zeros((widths[0], LANES), np.float32)
    for start in range(0, len(items), LANES):
        block = items[start : start + LANES]
        for lane in range(len(block)):
            for d in range(widths[0]):
                side_by_side[d, lane] = block[lane, d]
        for u in range(len(users)):
            _begin(  # type: ignore[call-arg]  # the typing context comes from the compiler
                side_by_side.ctypes.data,
                users.ctypes.data + 4 * u * widths[0],
                x.ctypes.data,
                widths[0],
            )
            for layer in range(n_layers):
                weight, bias = weights[layer].ctypes.data, biases[layer].ctypes.data
                if layer == n_layers - 1:
                    _last_layer(weight, columns, bias, x.ctypes.data, y.ctypes.data, widths[layer])
                else:
                    for first in range(0, widths[layer + 1], STEP):
                        _layer(
                            weight + 4 * first * columns,
                            columns,
                            bias + 4 * first,
                            x.ctypes.data,
                            y.ctypes.data + 4 * first * LANES,
                            widths[layer],
                        )
                x, y = y, x
            for lane in range(len(block)):
                out[u, start + lane] = x[0, lane]


@intrinsic
def _begin(typing: Any, items: Any, user: Any, x: Any, width: Any) -> Any:
    """x[:width] = relu(items[:width] + user[:width]); all but the width are addresses."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        items, user, x, width = args
        with cgutils.for_range(builder, width) as loop:
            theirs = load(builder, items, loop.index, VECTOR)
            own = spread(builder, load(builder, user, loop.index), LANES)
            store(builder, _relu(builder, builder.fadd(theirs, own)), x, loop.index)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), make


def _layer_of(rows: int, *, relu: bool) -> Any:
    """The intrinsic y[:rows] = weight[:rows, :width] x[:width] + bias[:rows].

    Its arguments are addresses, but for the columns of the array that the weight is in, and the width.
    """

    def layer_of(typing: Any, weight: Any, columns: Any, bias: Any, x: Any, y: Any, width: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            weight, columns, bias, x, y, width = args
            starts = [spread(builder, load(builder, bias, at), LANES) for at in range(rows)]
            lines = [builder.add(weight, builder.mul(columns, WORD(4 * at))) for at in range(rows)]
            for at, total in enumerate(sums_of_products(builder, starts, lines, x, width)):
                store(builder, _relu(builder, total) if relu else total, y, at)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), make

    return intrinsic(layer_of)


_layer, _last_layer = _layer_of(STEP, relu=True), _layer_of(1, relu=False)


def _relu(builder: Any, x: Any) -> Any:
    """What is below zero is zero; NaN stays."""
    zero = ir.Constant(VECTOR, [0.0] * LANES)
    return builder.select(builder.fcmp_ordered("<", x, zero), zero, x)
