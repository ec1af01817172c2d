"""Many small ridge regressions that share their inputs: the inner half of every alternating least squares.

Row `u` of a CSR matrix names which `factors` `[n, dim]` it sees, each with a weight beyond one; it solves

    (diag(diagonal + ridge[u]) + sum_q weight[q] y_q y_q') x = right[u] + sum_q (1 + weight[q]) y_q

where the diagonal is what all factors, seen or not, add up to at weight one. `right` without rows is zero, and
the solutions are drawn to zero; otherwise they are drawn to `right[u] / ridge[u]`.

`solve_rows` does it exactly, `improve_rows` by a few steps of conjugate gradients. `solve_rows_plain` is the judge.
Knows nothing about users, items or confidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled
from genre.kernels.simd import SINGLE, WORD, add_product, load, spread, store, vector_of

LANES, TILE, STEP = 8, 16, 4  # floats a vector; columns and rows of a tile of a Gram matrix
CHUNK = 32  # rows added to a Gram matrix at once: they stay in the first-level cache
WIDE = 16  # floats a vector where rows are read from end to end


def solve_rows_plain(
    indptr: Int64,
    item: Int32,
    weight: Float32,
    factors: Float32,
    diagonal: Float32,
    ridge: Float32,
    right: Float32,
) -> Float32:
    """The obviously right way, in double precision: build each system and solve it. [n_rows, dim]"""
    out = np.zeros((len(indptr) - 1, factors.shape[1]), np.float32)
    for u in range(len(out)):
        part = slice(indptr[u], indptr[u + 1])
        seen = factors[item[part]].astype(np.float64)
        system = np.diag(diagonal.astype(np.float64) + ridge[u]) + (seen.T * weight[part]) @ seen
        beside = right[u].astype(np.float64) if len(right) else 0
        out[u] = np.linalg.solve(system, seen.T @ (1 + weight[part]) + beside)
    return out


@compiled
def solve_rows(
    indptr: Int64,
    item: Int32,
    weight: Float32,
    factors: Float32,
    diagonal: Float32,
    ridge: Float32,
    right: Float32,
    out: Float32,
) -> None:
    """Fill `out` `[n_rows, dim]` with the exact solutions; weights are above zero.

    A history shorter than `dim` is solved in its own length (Woodbury):
    x = D^-1 (right + Y' (W^-1 + Y D^-1 Y')^-1 (1 + 1 / weight - Y D^-1 right)).
    """
    dim = factors.shape[1]
    wide = _whole(dim, TILE)
    system, b = np.zeros(wide * wide, np.float32), np.zeros(wide, np.float32)
    rows, weighted = np.zeros((CHUNK, wide), np.float32), np.zeros((CHUNK, wide), np.float32)
    flipped, scale = np.zeros(dim * wide, np.float32), np.zeros(dim, np.float32)
    drawn = len(right) > 0
    for u in range(len(out)):
        begin, end = indptr[u], indptr[u + 1]
        length = end - begin
        if length <= dim:
            for i in range(dim):
                scale[i] = 1 / np.sqrt(diagonal[i] + ridge[u])
                out[u, i] = scale[i] * right[u, i] if drawn else 0
            n = _whole(length, TILE)
            a, z = system[: n * n].reshape((n, n)), b[:n]
            y = flipped[: dim * n].reshape((dim, n))
            _short_system(item[begin:end], weight[begin:end], factors, scale, y, a, z)
            if drawn:
                for i in range(dim):
                    for q in range(n):
                        z[q] -= out[u, i] * y[i, q]
            _factorise(a, weighted)
            _substitute(a, z)
            for i in range(dim):
                out[u, i] = scale[i] * (out[u, i] + _dot(y[i], z))
        else:
            a = system.reshape((wide, wide))
            a[:] = 0
            b[:] = 0
            for i in range(wide):
                a[i, i] = diagonal[i] + ridge[u] if i < dim else 1
                if drawn and i < dim:
                    b[i] = right[u, i]
            _long_system(item[begin:end], weight[begin:end], factors, rows, weighted, a, b)
            _factorise(a, weighted)
            _substitute(a, b)
            out[u] = b[:dim]


@compiled
def improve_rows(
    indptr: Int64,
    item: Int32,
    weight: Float32,
    factors: Float32,
    diagonal: Float32,
    ridge: Float32,
    right: Float32,
    out: Float32,
    steps: int,
) -> None:
    """Move `out` `[n_rows, dim]` towards the solutions by `steps` of conjugate gradients.

    They are preconditioned by the diagonal, so that only the history itself is left to be found.
    """
    dim = factors.shape[1]
    wide = _whole(dim, WIDE)
    if wide > dim:
        padded = np.zeros((len(factors), wide), np.float32)
        padded[:, :dim] = factors
        factors = padded
    x, precision, inverse = np.zeros(wide, np.float32), np.zeros(wide, np.float32), np.zeros(wide, np.float32)
    residual, direction, image = np.zeros(wide, np.float32), np.zeros(wide, np.float32), np.zeros(wide, np.float32)
    drawn = len(right) > 0
    for u in range(len(out)):
        begin, end = indptr[u], indptr[u + 1]
        seen, w = item[begin:end], weight[begin:end]
        for i in range(dim):
            precision[i] = diagonal[i] + ridge[u]
            inverse[i] = 1 / precision[i]
            beside = right[u, i] if drawn else np.float32(0)
            x[i] = out[u, i] if begin < end else inverse[i] * beside
            residual[i] = beside - precision[i] * x[i]
        _add_history(seen, w, np.float32(1), factors, x, residual)  # residual = b - A x
        now = np.float32(0)
        for i in range(wide):
            direction[i] = inverse[i] * residual[i]
            now += direction[i] * residual[i]
        for _ in range(steps):
            if now < 1e-20:
                break
            for i in range(wide):
                image[i] = -precision[i] * direction[i]
            _add_history(seen, w, np.float32(0), factors, direction, image)  # image = -A direction
            length = now / -_dot(direction, image)
            before, now = now, np.float32(0)
            for i in range(wide):
                x[i] += length * direction[i]
                residual[i] += length * image[i]
                now += inverse[i] * residual[i] * residual[i]
            for i in range(wide):
                direction[i] = inverse[i] * residual[i] + now / before * direction[i]
        out[u] = x[:dim]


@compiled
def _add_history(item: Int32, weight: Float32, times: Any, factors: Float32, x: Float32, out: Float32) -> None:
    """out += sum_q (times * (1 + weight[q]) - weight[q] y_q x) y_q, four rows at a time, read where they lie.

    To copy the rows together first costs more than it saves.
    """
    wide, whole = factors.shape[1], len(item) // 4 * 4
    start, row, w = factors.ctypes.data, 4 * wide, weight.ctypes.data
    for q in range(0, whole, 4):
        _add_four(  # type: ignore[call-arg]  # the typing context comes from the compiler
            start + row * item[q],
            start + row * item[q + 1],
            start + row * item[q + 2],
            start + row * item[q + 3],
            w + 4 * q,
            times,
            x.ctypes.data,
            out.ctypes.data,
            wide // WIDE,
        )
    for q in range(whole, len(item)):
        y = factors[item[q]]
        d = times * (1 + weight[q]) - weight[q] * _dot(y, x)
        for i in range(wide):
            out[i] += d * y[i]


@compiled
def _long_system(
    item: Int32,
    weight: Float32,
    factors: Float32,
    rows: Float32,
    weighted: Float32,
    a: Float32,
    b: Float32,
) -> None:
    """a += Y' W Y (upper triangle), b += Y' (1 + w), a chunk of rows at a time."""
    dim = factors.shape[1]
    for start in range(0, len(item), CHUNK):
        n = min(CHUNK, len(item) - start)
        for q in range(n):
            y, row, scaled = factors[item[start + q]], rows[q], weighted[q]
            w = weight[start + q]
            for i in range(dim):
                row[i] = y[i]
                scaled[i] = w * y[i]
                b[i] += (1 + w) * y[i]
        _add_gram(a, weighted, rows, n, 0)


@compiled
def _short_system(
    item: Int32, weight: Float32, factors: Float32, scale: Float32, y: Float32, a: Float32, z: Float32
) -> None:
    """y = scaled factors `[dim, n]`, a = W^-1 + y'y (upper triangle), z = 1 + 1 / weight; ones where n is padded."""
    a[:] = 0
    y[:] = 0
    z[:] = 0
    for q in range(len(z)):
        if q < len(item):
            source = factors[item[q]]
            for i in range(len(scale)):
                y[i, q] = source[i] * scale[i]
            a[q, q] = 1 / weight[q]
            z[q] = 1 + 1 / weight[q]
        else:
            a[q, q] = 1
    _add_gram(a, y, y, len(y), 0)


@compiled
def _factorise(a: Float32, negative: Float32) -> None:
    """Cholesky in the upper triangle, a = U'U, eight rows at a time. negative: scratch, at least `[8, n]`."""
    n = len(a)
    least = np.empty(n, np.float32)  # rounding may leave nothing of a pivot
    for i in range(n):
        least[i] = np.float32(1e-6) * a[i, i]
    for k in range(0, n, LANES):
        for t in range(k, k + LANES):
            row = a[t, t:]
            pivot = 1 / np.sqrt(max(row[0], least[t]))
            for j in range(len(row)):
                row[j] *= pivot
            for i in range(t + 1, k + LANES):
                part, source, times = a[i, i:], a[t, i:], a[t, i]
                for j in range(len(part)):
                    part[j] -= times * source[j]
        if k + LANES < n:
            for t in range(LANES):
                for j in range(k + LANES, n):
                    negative[t, j] = -a[k + t, j]
            _add_gram(a, negative, a[k : k + LANES], LANES, k + LANES)


@compiled
def _substitute(a: Float32, b: Float32) -> None:
    """Solve U'U x = b in place."""
    n = len(b)
    for k in range(n):
        row, part = a[k, k:], b[k:]
        x = part[0] / row[0]
        for j in range(len(row)):
            part[j] -= x * row[j]
        part[0] = x
    for k in range(n - 1, -1, -1):
        b[k] = (b[k] - _dot(a[k, k + 1 :], b[k + 1 :])) / a[k, k]


@compiled
def _dot(one: Float32, other: Float32) -> Any:
    total = np.float32(0)
    for i in range(len(one)):
        total += one[i] * other[i]
    return total


@compiled
def _whole(n: int, size: int) -> int:
    return (n + size - 1) // size * size


@compiled
def _add_gram(a: Float32, left: Float32, right: Float32, n: int, first: int) -> None:
    """a[first:, first:] += left[:n, first:]' right[:n, first:], the upper triangle and a little below it."""
    wide = a.shape[1]
    for j in range(first // TILE * TILE, wide, TILE):
        for i in range(first, j + TILE, STEP):
            _add_tile(  # type: ignore[call-arg]  # the typing context comes from the compiler
                a.ctypes.data + 4 * (i * wide + j),
                left.ctypes.data + 4 * i,
                right.ctypes.data + 4 * j,
                wide,
                left.shape[1],
                right.shape[1],
                n,
            )


@intrinsic
def _add_four(
    typing: Any, y0: Any, y1: Any, y2: Any, y3: Any, weight: Any, times: Any, x: Any, out: Any, n: Any
) -> Any:
    """out += sum_r (times * (1 + weight[r]) - weight[r] y_r x) y_r for four rows; addresses of float32, n vectors long.

    The compiler makes vectors half as wide of the loops, and half the speed.
    """
    vector = vector_of(WIDE)

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        *rows, weight, times, x, out, n = args
        dots = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * WIDE)) for _ in rows]  # type: ignore[no-untyped-call]
        with cgutils.for_range(builder, n) as loop:
            part = load(builder, x, loop.index, vector)
            for row, dot in zip(rows, dots, strict=True):
                builder.store(
                    add_product(builder, builder.load(dot), load(builder, row, loop.index, vector), part), dot
                )
        kind = ir.FunctionType(SINGLE, [SINGLE, vector])
        reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{WIDE}f32")  # type: ignore[no-untyped-call]
        times_rows = []
        for r, dot in enumerate(dots):
            whole = builder.call(reduce, [SINGLE(0.0), builder.load(dot)], fastmath=("reassoc",))
            held = load(builder, weight, r)
            wanted = builder.fmul(times, builder.fadd(held, SINGLE(1.0)))
            times_row = builder.fsub(wanted, builder.fmul(held, whole))
            times_rows.append(spread(builder, times_row, WIDE))
        with cgutils.for_range(builder, n) as loop:
            total = load(builder, out, loop.index, vector)
            for row, times_row in zip(rows, times_rows, strict=True):
                total = add_product(builder, total, load(builder, row, loop.index, vector), times_row)
            store(builder, total, out, loop.index)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5, types.float32, *[types.intp] * 3), make


@intrinsic
def _add_tile(
    typing: Any, out: Any, left: Any, right: Any, out_stride: Any, left_stride: Any, right_stride: Any, n: Any
) -> Any:
    """out[:4, :16] += left[:n, :4]' right[:n, :16] with the tile held in registers; addresses and strides of float32.

    The compiler does not find this by itself from loops: it cannot know that `out` overlaps nothing.
    """
    vector = vector_of(LANES)
    parts = range(TILE // LANES)

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, left, right, out_stride, left_stride, right_stride, n = args

        def row_of(base: Any, stride: Any, row: Any) -> Any:
            return builder.add(base, builder.mul(builder.mul(row, stride), WORD(4)))

        targets = [row_of(out, out_stride, WORD(i)) for i in range(STEP)]
        tile = {}
        for i, target in enumerate(targets):
            for part in parts:
                held = cgutils.alloca_once(builder, vector)  # type: ignore[no-untyped-call]
                tile[i, part] = held
                builder.store(load(builder, target, part, vector), held)
        with cgutils.for_range(builder, n) as loop:
            ours, theirs = row_of(left, left_stride, loop.index), row_of(right, right_stride, loop.index)
            row = [load(builder, theirs, part, vector) for part in parts]
            for i in range(STEP):
                filled = spread(builder, load(builder, ours, i), LANES)
                for part in parts:
                    held = tile[i, part]
                    builder.store(add_product(builder, builder.load(held), filled, row[part]), held)
        for (i, part), held in tile.items():
            store(builder, builder.load(held), targets[i], part)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), make
