"""Baseline: damped offsets, folded in for anybody."""

import dataclasses

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.errors import DataError
from genre.recommenders.baseline import Baseline, damped_means
from genre.testing import toy_dataset


def ridge(data: Dataset, item_damping: float, user_damping: float) -> tuple[np.ndarray, np.ndarray]:
    """The offsets as one ridge regression solved at once: what the alternating steps converge to."""
    assert data.rating is not None
    n, columns = len(data), data.n_users + data.n_items
    design = np.zeros((n, columns))
    design[np.arange(n), data.user] = 1
    design[np.arange(n), data.n_users + data.item] = 1
    damping = np.diag([user_damping] * data.n_users + [item_damping] * data.n_items)
    offsets = np.linalg.solve(design.T @ design + damping, design.T @ (data.rating - data.rating.mean()))
    return offsets[: data.n_users], offsets[data.n_users :]


def test_equals_the_ridge_regression() -> None:
    data = toy_dataset()
    model = Baseline(item_damping=3, user_damping=2, iterations=200).fit(data)
    users, items = ridge(data, 3, 2)
    assert np.allclose(model.item_offset_, items, atol=1e-5)
    assert np.allclose(model.offsets(data.history()), users, atol=1e-5)


def test_a_stranger_with_the_same_ratings_gets_the_same_prediction() -> None:
    data = toy_dataset()
    model = Baseline().fit(data)
    history = data.history([4])
    row, item = np.zeros(3, np.int32), np.array([0, 1, 2], np.int32)
    assert np.array_equal(model.predict(history, row, item), model.predict(history.anonymous(), row, item))
    assert np.allclose(model.score(history)[0, item], model.predict(history, row, item))


def test_without_ratings_a_history_is_average() -> None:
    model = Baseline().fit(toy_dataset())
    assert np.allclose(model.score(History.of([[0, 1]], 12))[0], model.mean_ + model.item_offset_)


def test_needs_ratings() -> None:
    with pytest.raises(DataError, match="ratings"):
        Baseline().fit(dataclasses.replace(toy_dataset(), rating=None))


def test_damped_means() -> None:
    means = damped_means(np.array([0, 0, 2]), [1.0, 3.0, 4.0], 3, 2.0)
    assert means.tolist() == [1.0, 0.0, 4 / 3]
