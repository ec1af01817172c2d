"""Many small ridge regressions that share their inputs: one half of an iteration of alternating least squares.

Row `u` of a CSR matrix names the rows `y_q` of `factors` `[n, dim]` that it has seen, each with a weight beyond one,
`w_q`. Its solution x_u `[dim]` solves the normal equations (Hu, Koren & Volinsky, ICDM 2008, equation 4)

    A x = b,   A = diag(gram + ridge[u]) + sum_q w_q y_q y_q',   b = pull[u] + sum_q (1 + w_q) y_q

where `gram` is what all rows of `factors`, seen or not, add up to at weight one. It is a diagonal `[dim]`: the caller
turns the basis so that it is. Without `pull` (no rows) the ridge draws a solution to zero, with it to `pull[u] /
ridge[u]`.

- `solve_rows` is exact: it builds A `[dim, dim]` and factorises it (Cholesky). A row that has seen no more than `dim`
  vectors is solved in its own, smaller dimension by the Woodbury identity.
- `improve_rows` takes a few steps of conjugate gradients from where the row is, and needs A times a vector only
  (Takacs, Pilaszy & Tikk, RecSys 2011).

Compiled, because rows are of unequal length: a batched solve of an array library would pad them all to the longest. The
Gram matrix of long rows is added up by `simd.py`. `tests/kernels/test_ridge.py` compares both with one dense solve a
row in double precision. Knows nothing about users, items or confidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.kernels.compiled import compiled, compiled_part
from genre.kernels.simd import TILE_COLUMNS, TILE_ROWS, add_gram_tile

Equations = tuple[Int64, Int32, Float32, Float32, Float32, Float32, Float32]
"""The systems of `n_rows` rows, as above: `indptr`, `item`, `weight`, `factors`, `gram`, `ridge`, `pull`.

indptr: row `u` has the entries `indptr[u]` to `indptr[u + 1]`, int64 `[n_rows + 1]`.
item: the rows of `factors` that were seen, int32 `[nnz]`.
weight: their weights beyond one, float32 `[nnz]`.
factors: the other side's vectors, float32 `[n, dim]`.
gram: float32 `[dim]`.
ridge: float32 `[n_rows]`.
pull: float32 `[n_rows, dim]`, or no rows.
"""
BLOCK = 8  # rows of a matrix that are factorised together
CHUNK = 32  # rows added to a Gram matrix at once: they stay in the first-level cache
TINY_PIVOT = np.float32(1e-6)  # of the diagonal: rounding may leave nothing, or less, of a pivot
CONVERGED = 1e-20  # squared length of the residual at which there is nothing left to improve


def solve_rows(equations: Equations, out: Float32) -> None:
    """Fill `out` `[n_rows, dim]` with the exact solutions.

    A row of length n <= dim is solved through a system of size n (Woodbury): with D = diag(gram + ridge),
    Y `[n, dim]` the vectors it has seen and W = diag(weight),

        x = D^-1 (pull + Y' z),   (W^-1 + Y D^-1 Y') z = 1 + 1 / weight - Y D^-1 pull

    Args:
        equations: The systems; weights above zero.
        out: Float32 `[n_rows, dim]`.
    """
    dim = out.shape[1]
    wide = -(-dim // TILE_COLUMNS) * TILE_COLUMNS
    sizes = wide * wide, dim * wide, wide, wide, dim
    system, flipped, b, least, scale = (np.zeros(size, np.float32) for size in sizes)
    rows, weighted = np.zeros((CHUNK, wide), np.float32), np.zeros((CHUNK, wide), np.float32)
    _solve_rows(equations, out, system, flipped, b, least, scale, rows, weighted)


@compiled
def _solve_rows(
    equations: Equations,
    out: Float32,
    system: Float32,
    flipped: Float32,
    b: Float32,
    least: Float32,
    scale: Float32,
    rows: Float32,
    weighted: Float32,
) -> None:
    """Solve with scratch space; each function is called in one place, where the optimiser copies it to.

    system: `[wide * wide]`, wide the dimension rounded up.
    flipped: `[dim * wide]`.
    b, least: `[wide]`.
    scale: `[dim]`.
    rows, weighted: `[CHUNK, wide]`, zeros.
    """
    indptr, item, weight, factors, gram, ridge, pull = equations
    dim = factors.shape[1]
    for u in range(len(out)):
        begin, end = indptr[u], indptr[u + 1]
        seen, w, own, target = item[begin:end], weight[begin:end], pull[u : u + 1], out[u]  # own: no or one row
        short = len(seen) <= dim
        n = ((len(seen) if short else dim) + TILE_COLUMNS - 1) // TILE_COLUMNS * TILE_COLUMNS
        a, y, z = system[: n * n].reshape((n, n)), flipped[: dim * n].reshape((dim, n)), b[:n]
        a[:] = 0
        z[:] = 0
        if short:
            _short_system(seen, w, factors, gram, ridge[u], own, target, scale, y, a, z)
        else:
            _long_system(seen, w, factors, gram, ridge[u], own, rows, weighted, a, z)
        _factorise(a, weighted, least)
        _substitute(a, z)
        for i in range(dim):
            if short:
                total, row = np.float32(0), y[i]
                for q in range(n):
                    total += row[q] * z[q]
                target[i] = scale[i] * (target[i] + total)
            else:
                target[i] = z[i]


@compiled
def improve_rows(equations: Equations, out: Float32, steps: int) -> None:
    """Move `out` `[n_rows, dim]` towards the solutions by some steps of conjugate gradients.

    The steps are preconditioned by diag(gram + ridge), so that only the row's own entries are left to solve for. A row
    without entries gets its solution at once.

    Args:
        equations: The systems.
        out: Where to start from, and the result, float32 `[n_rows, dim]`.
        steps: How many; two are enough in ALS, which comes back to each row in the next iteration.
    """
    indptr, item, weight, factors, gram, ridge, pull = equations
    dim = factors.shape[1]
    x, diagonal, inverse = np.zeros(dim, np.float32), np.zeros(dim, np.float32), np.zeros(dim, np.float32)
    residual, direction, image = np.zeros(dim, np.float32), np.zeros(dim, np.float32), np.zeros(dim, np.float32)
    has_pull = len(pull) > 0
    for u in range(len(out)):
        begin, end = indptr[u], indptr[u + 1]
        seen, w = item[begin:end], weight[begin:end]
        for i in range(dim):
            diagonal[i] = gram[i] + ridge[u]
            inverse[i] = 1 / diagonal[i]
            right = pull[u, i] if has_pull else np.float32(0)
            x[i] = out[u, i] if begin < end else inverse[i] * right
            residual[i] = right - diagonal[i] * x[i]
        _add_entries(seen, w, np.float32(1), factors, x, residual)  # residual = b - A x
        now = np.float32(0)  # residual' M^-1 residual, M the preconditioner
        for i in range(dim):
            direction[i] = inverse[i] * residual[i]
            now += direction[i] * residual[i]
        for _ in range(steps):
            if now < CONVERGED:
                break
            for i in range(dim):
                image[i] = -diagonal[i] * direction[i]
            _add_entries(seen, w, np.float32(0), factors, direction, image)  # image = -A direction
            length = now / -_dot(direction, image)
            before, now = now, np.float32(0)
            for i in range(dim):
                x[i] += length * direction[i]
                residual[i] += length * image[i]
                now += inverse[i] * residual[i] * residual[i]
            for i in range(dim):
                direction[i] = inverse[i] * residual[i] + now / before * direction[i]
        target = out[u]
        for i in range(
            dim
        ):  # `target[:] = x` compiles a check of both lengths with its error message: slower to compile
            target[i] = x[i]


@compiled_part
def _add_entries(item: Int32, weight: Float32, times: Any, factors: Float32, x: Float32, out: Float32) -> None:
    """Add sum_q (times * (1 + weight[q]) - weight[q] y_q'x) y_q to `out` `[dim]`, without the matrix sum_q y_q y_q'.

    Four vectors at a time, so that each number of `x` and `out` that is read serves four of them.
    """
    one, whole = np.float32(1), len(item) // 4 * 4
    for q in range(0, whole, 4):
        y0, y1, y2, y3 = factors[item[q]], factors[item[q + 1]], factors[item[q + 2]], factors[item[q + 3]]
        w0, w1, w2, w3 = weight[q], weight[q + 1], weight[q + 2], weight[q + 3]
        d0 = d1 = d2 = d3 = np.float32(0)
        for i in range(len(x)):
            d0 += y0[i] * x[i]
            d1 += y1[i] * x[i]
            d2 += y2[i] * x[i]
            d3 += y3[i] * x[i]
        d0, d1 = times * (one + w0) - w0 * d0, times * (one + w1) - w1 * d1
        d2, d3 = times * (one + w2) - w2 * d2, times * (one + w3) - w3 * d3
        for i in range(len(out)):
            out[i] += d0 * y0[i] + d1 * y1[i] + d2 * y2[i] + d3 * y3[i]
    for q in range(whole, len(item)):
        y = factors[item[q]]
        d = times * (one + weight[q]) - weight[q] * _dot(y, x)
        for i in range(len(out)):
            out[i] += d * y[i]


@compiled_part
def _long_system(
    item: Int32,
    weight: Float32,
    factors: Float32,
    gram: Float32,
    ridge: float,
    pull: Float32,
    rows: Float32,
    weighted: Float32,
    a: Float32,
    b: Float32,
) -> None:
    """Set `a`, zeros, to diag(gram + ridge) + Y' W Y (its upper triangle) and `b`, zeros, to pull + Y' (1 + w).

    `CHUNK` rows of Y `[n, dim]` at a time; `a` has ones on its diagonal behind `dim`.

    pull: no row, or one.
    rows, weighted: scratch `[CHUNK, wide]`, zeros behind `dim`.
    """
    dim = factors.shape[1]
    for i in range(len(b)):
        a[i, i] = gram[i] + ridge if i < dim else 1
        if len(pull) > 0 and i < dim:
            b[i] = pull[0, i]
    for start in range(0, len(item), CHUNK):
        n = min(CHUNK, len(item) - start)
        for q in range(n):
            y, row, scaled = factors[item[start + q]], rows[q], weighted[q]
            w = weight[start + q]
            for i in range(dim):
                row[i] = y[i]
                scaled[i] = w * y[i]
                b[i] += (1 + w) * y[i]
        _add_gram(a, weighted, rows, n, start - start)


@compiled_part
def _short_system(
    item: Int32,
    weight: Float32,
    factors: Float32,
    gram: Float32,
    ridge: float,
    pull: Float32,
    start: Float32,
    scale: Float32,
    y: Float32,
    a: Float32,
    z: Float32,
) -> None:
    """Set y = (Y D^-1/2)' `[dim, n]`, and `a` and `z`, zeros, to W^-1 + y'y (upper triangle) and what it is to solve.

    n is the length of the row rounded up; what is added has ones on the diagonal of `a` and zeros elsewhere.

    pull: no row, or one.
    start: filled with D^-1/2 pull `[dim]`.
    scale: filled with the diagonal of D^-1/2 `[dim]`.
    """
    y[:] = 0
    for i in range(len(scale)):
        scale[i] = 1 / np.sqrt(gram[i] + ridge)
        start[i] = scale[i] * pull[0, i] if len(pull) > 0 else 0
    for q in range(len(z)):
        if q < len(item):
            source = factors[item[q]]
            for i in range(len(scale)):
                y[i, q] = source[i] * scale[i]
            a[q, q] = 1 / weight[q]
            z[q] = 1 + 1 / weight[q]
        else:
            a[q, q] = 1
    _add_gram(a, y, y, len(y), len(a) - len(z))
    if len(pull) > 0:
        for i in range(len(scale)):
            for q in range(len(z)):
                z[q] -= start[i] * y[i, q]


@compiled_part
def _factorise(a: Float32, negative: Float32, least: Float32) -> None:
    """Replace the upper triangle of `a` `[n, n]` by U of a = U'U (Cholesky), `BLOCK` rows at a time.

    The rows of a block are finished one by one, then their product is taken off everything below at once.

    negative, least: scratch, at least `[BLOCK, n]` and `[n]`.
    """
    n = len(a)
    for i in range(n):
        least[i] = TINY_PIVOT * a[i, i]
    for k in range(0, n, BLOCK):
        for t in range(k, k + BLOCK):
            row = a[t, t:]
            pivot = 1 / np.sqrt(max(row[0], least[t]))
            for j in range(len(row)):
                row[j] *= pivot
            for i in range(t + 1, k + BLOCK):
                part, source, times = a[i, i:], a[t, i:], a[t, i]
                for j in range(len(part)):
                    part[j] -= times * source[j]
        if k + BLOCK < n:
            for t in range(BLOCK):
                for j in range(k + BLOCK, n):
                    negative[t, j] = -a[k + t, j]
            below = a[k : k + BLOCK]
            _add_gram(a, negative, below, len(below), k + len(below))


@compiled_part
def _substitute(a: Float32, b: Float32) -> None:
    """Solve U'U x = b in place: U'y = b forwards, then U x = y backwards."""
    n = len(b)
    for k in range(n):
        row, part = a[k, k:], b[k:]
        y = part[0] / row[0]
        for j in range(len(row)):
            part[j] -= y * row[j]
        part[0] = y
    for k in range(n - 1, -1, -1):
        row, part, total = a[k], b, np.float32(0)
        for j in range(k + 1, n):
            total += row[j] * part[j]
        b[k] = (b[k] - total) / row[k]


@compiled_part
def _dot(left: Float32, right: Float32) -> Any:
    total = np.float32(0)
    for i in range(len(left)):
        total += left[i] * right[i]
    return total


@compiled_part
def _add_gram(a: Float32, left: Float32, right: Float32, n: int, first: int) -> None:
    """Add left[:n, first:]' right[:n, first:] to a[first:, first:]: the upper triangle, and a little below it."""
    wide = a.shape[1]
    for j in range(first // TILE_COLUMNS * TILE_COLUMNS, wide, TILE_COLUMNS):
        for i in range(first, j + TILE_COLUMNS, TILE_ROWS):
            add_gram_tile(  # type: ignore[call-arg]  # the typing context comes from the compiler
                a.ctypes.data + 4 * (i * wide + j),
                left.ctypes.data + 4 * i,
                right.ctypes.data + 4 * j,
                wide,
                left.shape[1],
                right.shape[1],
                n,
            )
