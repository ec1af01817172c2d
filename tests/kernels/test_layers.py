"""The kernel of `kernels/layers.py` against matrix products, one user at a time."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.arrays import Float32
from genre.kernels.layers import LANES, UNROLL, score_pairs


def score_pairs_plain(users: Float32, items: Float32, layers: list[tuple[Float32, Float32]]) -> Float32:
    """Take all items of a user through the network in double precision. [n_users, n_items]"""
    out = np.zeros((len(users), len(items)), np.float32)
    for u in range(len(users)):
        x = items.astype(np.float64) + users[u]
        for weight, bias in layers:
            x = np.maximum(x, 0) @ weight.T + bias
        out[u] = x[:, 0]
    return out


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 11), min_size=1, max_size=4), st.integers(0, 2 * LANES + 3), st.integers(0, 2**32))
def test_scores_are_those_of_matrix_products(hidden: list[int], n_items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = rng.normal(size=(3, hidden[0])).astype(np.float32)
    items = rng.normal(size=(n_items, hidden[0])).astype(np.float32)
    sizes = [*hidden, 1]
    rows = -(-max(sizes) // UNROLL) * UNROLL
    weights, biases = np.zeros((len(hidden), rows, rows), np.float32), np.zeros((len(hidden), rows), np.float32)
    layers = []
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        layers.append((rng.normal(size=(n_out, n_in)).astype(np.float32), rng.normal(size=n_out).astype(np.float32)))
        weights[layer, :n_out, :n_in], biases[layer, :n_out] = layers[-1]
    out = np.full((3, n_items), np.nan, np.float32)
    score_pairs(users, items, weights, biases, np.array(sizes, np.int64), out)
    np.testing.assert_allclose(out, score_pairs_plain(users, items, layers), rtol=1e-3, atol=1e-3)


def test_nan_of_an_item_stays_with_the_item() -> None:
    items = np.ones((LANES + 1, 2), np.float32)
    items[1, 0] = np.nan
    weights, out = np.ones((1, UNROLL, UNROLL), np.float32), np.zeros((1, LANES + 1), np.float32)
    score_pairs(np.ones((1, 2), np.float32), items, weights, np.zeros((1, UNROLL), np.float32), np.array([2, 1]), out)
    assert np.flatnonzero(np.isnan(out[0])).tolist() == [1]
    assert np.unique(out[0][~np.isnan(out[0])]).tolist() == [4.0]
