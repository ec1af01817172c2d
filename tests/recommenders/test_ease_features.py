"""EASE with features against the plain inverse of stacked rows, whole and in neighbourhoods, and with new items."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from genre.data.features import Features
from genre.data.history import History
from genre.errors import DataError, NotSupported
from genre.recommenders.ease import EASE
from genre.recommenders.ease_features import EASEFeatures
from genre.testing import toy_dataset
from plain_ease import plain_weights


def test_features_are_further_rows() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    vectors = data.item_features.values - data.item_features.values.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.vstack([data.matrix().toarray(), np.sqrt(3.0) * vectors.T])
    found = EASEFeatures(regularization=2.0, feature_weight=3.0).fit(data).item_weights_
    np.testing.assert_allclose(found, plain_weights(rows, 2.0), rtol=1e-3, atol=1e-4)


def test_features_must_be_there() -> None:
    with pytest.raises(DataError, match="needs item features"):
        EASEFeatures(feature_weight=1.0).fit(dataclasses.replace(toy_dataset(), item_features=None))


def test_a_new_item_is_placed_as_a_fit_with_it_unseen_places_it() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    values = data.item_features.values
    model = EASEFeatures(regularization=2.0, feature_weight=4.0).fit(data)
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
    dense = EASEFeatures(regularization=2.0, feature_weight=4.0).fit(data)
    sparse = EASEFeatures(regularization=2.0, feature_weight=4.0).fit(data)
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
    model = EASEFeatures(regularization=2.0, feature_weight=4.0, neighbours=neighbours).fit(data)
    grown = model.extend(["new", "newer"], data.item_features.values[[2, 3]] * 1.1)
    scores = grown.score(History.of([[0, 4], [1, 5]], data.n_items + 2))
    assert scores[0, 12] > scores[1, 12]
    assert scores[0, 13] < scores[1, 13]
    assert grown.score(History.of([[12]], data.n_items + 2))[0, 4] > grown.score(History.of([[13]], 14))[0, 4]


def test_new_items_need_features_in_the_fit() -> None:
    with pytest.raises(NotSupported, match="EASE cannot place an item without interactions"):
        EASE().fit(toy_dataset()).extend(["new"], np.ones((1, 8), np.float32))
    model = EASEFeatures(feature_weight=1.0).fit(toy_dataset())
    with pytest.raises(DataError, match="8 values, found 3"):
        model.extend(["new"], np.ones((1, 3), np.float32))


def test_unseen_items_find_their_neighbours_by_features() -> None:
    data = toy_dataset().where(toy_dataset().item != 6)
    model = EASEFeatures(regularization=2.0, feature_weight=4.0, neighbours=6).fit(data)
    scores = model.score(History.of([[0, 4], [1, 5]], data.n_items))[:, 6]
    assert scores[0] > scores[1]
    assert isinstance(data.item_features, Features)
