"""The solvers of `kernels/ridge.py` against one dense system a row, solved in double precision."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.arrays import Float32, Int32, Int64
from genre.kernels.ridge import improve_rows, solve_rows


def solve_rows_plain(
    indptr: Int64,
    item: Int32,
    weight: Float32,
    factors: Float32,
    gram: Float32,
    ridge: Float32,
    pull: Float32,
) -> Float32:
    """Build the system of each row and solve it. [n_rows, dim]"""
    out = np.zeros((len(indptr) - 1, factors.shape[1]), np.float32)
    for u in range(len(out)):
        part = slice(indptr[u], indptr[u + 1])
        seen = factors[item[part]].astype(np.float64)
        system = np.diag(gram.astype(np.float64) + ridge[u]) + (seen.T * weight[part]) @ seen
        right = pull[u].astype(np.float64) if len(pull) else 0
        out[u] = np.linalg.solve(system, seen.T @ (1 + weight[part]) + right)
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 30), st.sampled_from(["pull", "no pull"]))
def test_both_solvers_find_the_solution_of_the_dense_systems(seed: int, dim: int, n_rows: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    n_items = 80
    lengths = rng.integers(0, 60, n_rows)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    item = np.concatenate([rng.choice(n_items, n, replace=False) for n in lengths] or [[]]).astype(np.int32)
    weight = rng.uniform(0.1, 10, len(item)).astype(np.float32)
    factors = rng.normal(0, 1, (n_items, dim)).astype(np.float32)
    gram, ridge = rng.uniform(1, 3, dim).astype(np.float32), rng.uniform(0.5, 2, n_rows).astype(np.float32)
    pull = rng.normal(0, 3, (n_rows if kind == "pull" else 0, dim)).astype(np.float32)
    system = (indptr, item, weight, factors, gram, ridge, pull)
    expected = solve_rows_plain(*system)
    exact = np.zeros_like(expected)
    solve_rows(system, exact)
    np.testing.assert_allclose(exact, expected, rtol=2e-3, atol=2e-4)
    steps = np.zeros_like(expected)
    improve_rows(system, steps, 4 * dim)
    np.testing.assert_allclose(steps, expected, rtol=2e-3, atol=2e-3)
