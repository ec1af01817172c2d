"""EASE in neighbourhoods against the plain inverse of each, and against the whole."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.history import History
from genre.recommenders import ease_neighbours
from genre.recommenders.ease import EASE, solve_ease
from genre.recommenders.ease_features import EASEFeatures
from genre.recommenders.ease_neighbours import EASENeighbours, solve_neighbourhoods
from plain_ease import plain_rows, plain_weights, random_data, unit_features, with_random_features


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 30), st.integers(2, 60), st.sampled_from([0.0, 3.0]))
def test_a_neighbourhood_of_everything_is_the_whole(
    seed: int, n_users: int, n_items: int, feature_weight: float
) -> None:
    """One user has interacted with every item, so that each is a neighbour of all others."""
    data = with_random_features(random_data(seed, n_users, n_items, 0.2, everything=True), seed)
    rows = unit_features(data) * np.float32(feature_weight**0.5) if feature_weight else None
    whole, whole_diagonal = solve_ease(data.matrix(), 5.0, rows)
    weights, diagonal = solve_neighbourhoods(data.matrix(), 5.0, n_items - 1, rows)
    np.testing.assert_allclose(weights.toarray(), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(diagonal, whole_diagonal, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(10, 40),
    st.integers(1, 8),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0, 5, 100]),
)
def test_every_neighbourhood_is_solved_exactly(
    seed: int, n_items: int, neighbours: int, feature_weight: float, popular: int
) -> None:
    """Each column is the plain solution of the items that it has weights from, itself among them, and nothing else."""
    data = with_random_features(random_data(seed, 150, n_items, 0.2), seed)
    features = unit_features(data) * np.float32(feature_weight**0.5) if feature_weight else None
    with patch.object(ease_neighbours, "POPULAR", popular):  # whose products are computed once: none, some, all
        weights, diagonal = solve_neighbourhoods(data.matrix(), 5.0, neighbours, features)
    rows, found = plain_rows(data, feature_weight), weights.tocsc()
    assert found.diagonal().sum() == 0
    for item in range(n_items):
        members = np.sort(np.append(found[:, item].indices, item))
        assert 1 + neighbours <= len(members) <= 1 + neighbours * (2 if feature_weight else 1)
        at = np.searchsorted(members, item)
        plain = plain_weights(rows[:, members], 5.0)[:, at]
        np.testing.assert_allclose(found[:, [item]].toarray()[members, 0], plain, rtol=1e-3, atol=1e-4)
        gram = rows[:, members].T @ rows[:, members] + 5.0 * np.eye(len(members))
        assert diagonal[item] == pytest.approx(np.linalg.inv(gram)[at, at], rel=1e-4)


def test_the_most_popular_item_is_solved_with_its_nearest() -> None:
    data = random_data(3, 200, 60, 0.15)
    dense = data.matrix().toarray()
    most_popular = int(np.argmax((dense > 0).sum(axis=0)))
    cosine = dense.T @ dense[:, most_popular] / np.linalg.norm(dense, axis=0)
    nearest = np.argsort(-cosine)[1:13]
    column = EASENeighbours(5.0, neighbours=12).fit(data).item_weights_.tocsc()[:, most_popular]
    assert sorted(column.indices.tolist()) == sorted(nearest.tolist())


def test_weights_are_sparse_whatever_the_catalogue() -> None:
    data = random_data(3, 200, 60, 0.15)
    weights = EASENeighbours(5.0, neighbours=12).fit(data).item_weights_
    assert sp.issparse(weights)
    assert np.diff(weights.tocsc().indptr).max() <= 12
    assert sp.issparse(EASENeighbours(5.0, neighbours=500).fit(data).item_weights_), "more than there are: all others"


@pytest.mark.parametrize("new", [0, 2])
def test_neighbourhoods_are_saved_to_the_last_bit(new: int, tmp_path: Path) -> None:
    data = with_random_features(random_data(3, 200, 60, 0.15), 3)
    model = EASEFeatures(5.0, feature_weight=2.0, neighbours=12).fit(data)
    if new:
        model = model.extend(["new", "newer"], np.eye(2, 4, dtype=np.float32))
    model.save(tmp_path / "ease")
    loaded, history = EASEFeatures.load(tmp_path / "ease"), History.of([[0, 3, 4], [], [59]], 60 + new)
    for part in ("data", "indices", "indptr"):
        one, other = getattr(model.item_weights_, part), getattr(loaded.item_weights_, part)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert np.array_equal(model.inverse_diagonal_, loaded.inverse_diagonal_)
    assert np.array_equal(model.score(history), loaded.score(history))


def test_neighbourhoods_explain_and_nearly_agree_with_the_whole() -> None:
    data = random_data(5, 300, 80, 0.1)
    whole, parts = EASE(regularization=20.0).fit(data), EASENeighbours(regularization=20.0, neighbours=74).fit(data)
    history = data.history([4])
    assert np.corrcoef(whole.score(history)[0], parts.score(history)[0])[0, 1] > 0.9
    shares = parts.contributions(history, np.array([2, 9], np.int32))
    np.testing.assert_allclose(shares.sum(axis=1), parts.score(history)[0, [2, 9]], atol=1e-5)
