"""EASE the obviously right way, and random data to hold the fast ways to it."""

from __future__ import annotations

import numpy as np

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.ids import Ids


def plain_weights(rows: np.ndarray, regularization: float) -> np.ndarray:
    """B = I - P diag(P)^-1 in double precision."""
    inverse = np.linalg.inv(rows.T.astype(np.float64) @ rows + regularization * np.eye(rows.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def random_data(seed: int, n_users: int, n_items: int, density: float, *, everything: bool = False) -> Dataset:
    """everything: one more user, who has interacted with every item."""
    rng = np.random.default_rng(seed)
    known = rng.random((n_users, n_items)) < density
    if everything:
        known, n_users = np.vstack([known, np.ones((1, n_items), bool)]), n_users + 1
    user, item = np.nonzero(known)
    weight = rng.uniform(0.5, 2, len(user)).astype(np.float32)
    ids = Ids(f"u{row}" for row in range(n_users)), Ids(f"i{row}" for row in range(n_items))
    return Dataset.from_arrays(user=user, item=item, weight=weight, user_ids=ids[0], item_ids=ids[1])


def with_random_features(data: Dataset, seed: int) -> Dataset:
    vectors = np.random.default_rng(seed).normal(size=(data.n_items, 4)).astype(np.float32)
    return data.with_features(items=Features(vectors, "random"))


def unit_features(data: Dataset) -> np.ndarray:
    assert data.item_features is not None
    vectors = data.item_features.values - data.item_features.values.mean(axis=0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plain_rows(data: Dataset, feature_weight: float) -> np.ndarray:
    """Users, and under them the features as further users."""
    return np.vstack([data.matrix().toarray(), np.sqrt(feature_weight) * unit_features(data).T])
