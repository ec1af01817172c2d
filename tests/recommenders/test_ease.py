"""EASE against the plain inverse, with features stacked below, in neighbourhoods, and grown by items nobody touched."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset, Features, History
from genre.data.ids import Ids
from genre.errors import DataError, NotSupported
from genre.recommenders.ease import EASE
from genre.testing import toy_dataset
from lines import Lines


def plain_weights(rows: np.ndarray, regularization: float) -> np.ndarray:
    """The obviously right way, in double precision: B = I - P diag(P)^-1."""
    inverse = np.linalg.inv(rows.T.astype(np.float64) @ rows + regularization * np.eye(rows.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def random_data(seed: int, n_users: int, n_items: int, density: float, *, everything: bool = False) -> Dataset:
    """everything: one more user, who has touched every item."""
    rng = np.random.default_rng(seed)
    touched = rng.random((n_users, n_items)) < density
    if everything:
        touched, n_users = np.vstack([touched, np.ones((1, n_items), bool)]), n_users + 1
    user, item = np.nonzero(touched)
    weight = rng.uniform(0.5, 2, len(user)).astype(np.float32)
    ids = Ids(f"u{row}" for row in range(n_users)), Ids(f"i{row}" for row in range(n_items))
    return Dataset.from_arrays(user=user, item=item, weight=weight, user_ids=ids[0], item_ids=ids[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 150), st.floats(0.1, 0.6), st.floats(0.5, 50))
def test_weights_equal_the_plain_inverse(
    seed: int, n_users: int, n_items: int, density: float, regularization: float
) -> None:
    data = random_data(seed, n_users, n_items, density)
    if len(data) == 0:
        return
    found = EASE(regularization).fit(data).item_weights_
    np.testing.assert_allclose(found, plain_weights(data.matrix().toarray(), regularization), rtol=1e-3, atol=2e-4)


def test_features_are_further_rows() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    vectors = data.item_features.values - data.item_features.values.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.vstack([data.matrix().toarray(), np.sqrt(3.0) * vectors.T])
    found = EASE(regularization=2.0, feature_weight=3.0).fit(data).item_weights_
    np.testing.assert_allclose(found, plain_weights(rows, 2.0), rtol=1e-3, atol=1e-4)


def test_features_must_be_there() -> None:
    with pytest.raises(DataError, match="needs item features"):
        EASE(feature_weight=1.0).fit(dataclasses.replace(toy_dataset(), item_features=None))


def test_old_interactions_fade() -> None:
    data = toy_dataset()
    model = EASE(regularization=5.0, history_half_life=1.0).fit(data)
    history = History.of([[0, 3, 4]], data.n_items)
    expected = np.array([0.25, 0.5, 1.0]) @ model.item_weights_[[0, 3, 4]]
    np.testing.assert_allclose(model.score(history)[0], expected, rtol=1e-5)
    shares = model.contributions(history, np.array([7], np.int32))
    assert shares.sum() == pytest.approx(model.score(history)[0, 7], abs=1e-6)


def with_random_features(data: Dataset, seed: int) -> Dataset:
    vectors = np.random.default_rng(seed).normal(size=(data.n_items, 4)).astype(np.float32)
    return data.with_features(items=Features(vectors, "random"))


def plain_rows(data: Dataset, feature_weight: float) -> np.ndarray:
    """Users, and under them the features as further users."""
    assert data.item_features is not None
    vectors = data.item_features.values - data.item_features.values.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.vstack([data.matrix().toarray(), np.sqrt(feature_weight) * vectors.T])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 30), st.integers(2, 60), st.sampled_from([0.0, 3.0]))
def test_a_neighbourhood_of_everything_is_the_whole(
    seed: int, n_users: int, n_items: int, feature_weight: float
) -> None:
    """One user has touched every item, so that each is a neighbour of all others."""
    data = with_random_features(random_data(seed, n_users, n_items, 0.2, everything=True), seed)
    model = EASE(5.0, feature_weight=feature_weight).fit(data)
    assert not sp.issparse(model.item_weights_)
    weights, diagonal = model._by_neighbourhood(data.matrix(), n_items - 1)
    np.testing.assert_allclose(weights.toarray(), model.item_weights_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(diagonal, model.inverse_diagonal_, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 40), st.integers(1, 8), st.sampled_from([0.0, 3.0]))
def test_every_neighbourhood_is_solved_exactly(seed: int, n_items: int, neighbours: int, feature_weight: float) -> None:
    """Each column is the plain solution of the items that it has weights from, itself among them, and nothing else."""
    data = with_random_features(random_data(seed, 150, n_items, 0.2), seed)
    model = EASE(5.0, feature_weight=feature_weight, neighbours=neighbours).fit(data)
    rows, found = plain_rows(data, feature_weight), model.item_weights_.tocsc()
    assert found.diagonal().sum() == 0
    for item in range(n_items):
        members = np.sort(np.append(found[:, item].indices, item))
        assert 1 + neighbours <= len(members) <= 1 + neighbours * (2 if feature_weight else 1)
        at = np.searchsorted(members, item)
        plain = plain_weights(rows[:, members], 5.0)[:, at]
        np.testing.assert_allclose(found[:, [item]].toarray()[members, 0], plain, rtol=1e-3, atol=1e-4)
        gram = rows[:, members].T @ rows[:, members] + 5.0 * np.eye(len(members))
        assert model.inverse_diagonal_[item] == pytest.approx(np.linalg.inv(gram)[at, at], rel=1e-4)


def test_the_most_popular_item_is_solved_with_its_nearest() -> None:
    data = random_data(3, 200, 60, 0.15)
    dense = data.matrix().toarray()
    most_popular = int(np.argmax((dense > 0).sum(axis=0)))
    cosine = dense.T @ dense[:, most_popular] / np.linalg.norm(dense, axis=0)
    nearest = np.argsort(-cosine)[1:13]
    column = EASE(5.0, neighbours=12).fit(data).item_weights_.tocsc()[:, most_popular]
    assert sorted(column.indices.tolist()) == sorted(nearest.tolist())


def test_large_catalogues_are_solved_in_neighbourhoods(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_data(3, 200, 60, 0.15)
    monkeypatch.setattr("genre.recommenders.ease.MOST_NEIGHBOURS", 12)
    assert not sp.issparse(EASE(5.0).fit(data).item_weights_)
    monkeypatch.setattr("genre.recommenders.ease.DENSE_UP_TO", 60)
    assert not sp.issparse(EASE(5.0).fit(data).item_weights_)
    monkeypatch.setattr("genre.recommenders.ease.DENSE_UP_TO", 59)
    large, told = EASE(5.0).fit(data).item_weights_, EASE(5.0, neighbours=12).fit(data).item_weights_
    assert sp.issparse(large)
    assert (large != told).nnz == 0
    assert not sp.issparse(EASE(5.0, neighbours=59).fit(data).item_weights_), "all others: no neighbourhood is left"
    assert sp.issparse(EASE(5.0, neighbours=58).fit(data).item_weights_)


@pytest.mark.parametrize("new", [0, 2])
def test_neighbourhoods_are_saved_to_the_last_bit(new: int, tmp_path: Path) -> None:
    data = with_random_features(random_data(3, 200, 60, 0.15), 3)
    model = EASE(5.0, feature_weight=2.0, neighbours=12).fit(data)
    if new:
        model = model.extend(["new", "newer"], np.eye(2, 4, dtype=np.float32))
    model.save(tmp_path / "ease")
    loaded, history = EASE.load(tmp_path / "ease"), History.of([[0, 3, 4], [], [59]], 60 + new)
    for part in ("data", "indices", "indptr"):
        one, other = getattr(model.item_weights_, part), getattr(loaded.item_weights_, part)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert np.array_equal(model.inverse_diagonal_, loaded.inverse_diagonal_)
    assert np.array_equal(model.score(history), loaded.score(history))


def test_neighbourhoods_explain_and_nearly_agree_with_the_whole() -> None:
    data = random_data(5, 300, 80, 0.1)
    whole, parts = EASE(regularization=20.0).fit(data), EASE(regularization=20.0, neighbours=74).fit(data)
    history = data.history([4])
    assert np.corrcoef(whole.score(history)[0], parts.score(history)[0])[0, 1] > 0.9
    shares = parts.contributions(history, np.array([2, 9], np.int32))
    np.testing.assert_allclose(shares.sum(axis=1), parts.score(history)[0, [2, 9]], atol=1e-5)


def test_a_new_item_is_placed_as_a_fit_with_it_unseen_places_it() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    values = data.item_features.values
    model = EASE(regularization=2.0, feature_weight=4.0).fit(data)
    new = values[[2]] * 1.1
    grown = model.extend(["new"], new)
    unit = np.vstack([model.features_, model._unit(new)])
    rows = np.vstack([np.hstack([data.matrix().toarray(), np.zeros((data.n_users, 1))]), 2.0 * unit.T])
    plain = plain_weights(rows, 2.0)
    np.testing.assert_allclose(grown.item_weights_[:-1, -1], plain[:-1, -1], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(grown.item_weights_[-1, :-1], plain[-1, :-1], rtol=1e-2, atol=1e-3)
    assert model.item_weights_.shape == (12, 12)


def test_new_items_are_placed_alike_in_sparse_weights() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    dense = EASE(regularization=2.0, feature_weight=4.0).fit(data)
    sparse = EASE(regularization=2.0, feature_weight=4.0).fit(data)
    sparse.item_weights_ = sp.csr_matrix(dense.item_weights_)
    new = data.item_features.values[[2, 3]] * 1.1
    one, other = (model.extend(["new", "newer"], new) for model in (dense, sparse))
    assert sp.issparse(other.item_weights_)
    np.testing.assert_allclose(other.item_weights_.toarray(), one.item_weights_, atol=1e-6)
    np.testing.assert_allclose(other.inverse_diagonal_, one.inverse_diagonal_, rtol=1e-6)


@pytest.mark.parametrize("neighbours", [None, 9])
def test_a_new_item_goes_to_those_who_like_its_kind(neighbours: int | None) -> None:
    data = toy_dataset()
    assert data.item_features is not None
    model = EASE(regularization=2.0, feature_weight=4.0, neighbours=neighbours).fit(data)
    grown = model.extend(["new", "newer"], data.item_features.values[[2, 3]] * 1.1)
    scores = grown.score(History.of([[0, 4], [1, 5]], data.n_items + 2))
    assert scores[0, 12] > scores[1, 12]
    assert scores[0, 13] < scores[1, 13]
    assert grown.score(History.of([[12]], data.n_items + 2))[0, 4] > grown.score(History.of([[13]], 14))[0, 4]


def test_new_items_need_features_in_the_fit() -> None:
    with pytest.raises(NotSupported, match="feature_weight"):
        EASE().fit(toy_dataset()).extend(["new"], np.ones((1, 8), np.float32))
    model = EASE(feature_weight=1.0).fit(toy_dataset())
    with pytest.raises(DataError, match="8 values, found 3"):
        model.extend(["new"], np.ones((1, 3), np.float32))


def test_unseen_items_find_their_neighbours_by_features() -> None:
    data = toy_dataset().where(toy_dataset().item != 6)
    model = EASE(regularization=2.0, feature_weight=4.0, neighbours=6).fit(data)
    scores = model.score(History.of([[0, 4], [1, 5]], data.n_items))[:, 6]
    assert scores[0] > scores[1]
    assert isinstance(data.item_features, Features)


def test_a_large_solve_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.recommenders.ease.TOLD_FROM", 1)
    log, data = Lines(), toy_dataset()
    for neighbours in (None, 3):
        EASE(neighbours=neighbours).fit(data, log=log)
    start = f"  ease: solving {data.n_items} items, "
    assert log.lines == [f"{start}all at once in 0.0 GB", f"{start}each by its 3 nearest"]
