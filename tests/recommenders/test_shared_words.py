"""SharedWords, judged by scikit-learn; and what an item without its own followers borrows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from genre.data.features import Features
from genre.data.history import History
from genre.errors import DataError, OptionError
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.recommenders.shared_words import SharedWords, texts_of, tf_idf, word_matrix
from genre.recommenders.smoothed import Smoothed
from genre.recommenders.transitions import Transitions
from genre.testing import toy_dataset

TITLES = ["Opi red nail lacquer", "OPI blue Nail nail polish", "Red rose soap", "blue soap", "Shea butter", ""]


def test_the_same_weights_as_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    theirs = TfidfVectorizer(min_df=2, sublinear_tf=True).fit_transform(TITLES).toarray()
    ours = tf_idf(word_matrix(TITLES), 2).toarray()
    assert np.allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-6)
    assert not ours[4:].any(), "no word of theirs is in two texts"


def test_the_score_is_the_mean_of_cosines_newest_items_first() -> None:
    data = toy_dataset(n_users=4, n_items=6)
    data = dataclasses.replace(data, items=pa.table({"item_id": data.item_ids.values, "name": TITLES}))
    model = SharedWords(history_half_life=1.0).fit(data)
    vectors = tf_idf(word_matrix(TITLES), 2).toarray()
    expected = (vectors[0] + 2 * vectors[2]) / 3 @ vectors.T
    assert np.allclose(model.score(History.of([[0, 2]], 6))[0], expected, atol=1e-6)


def test_a_missing_column_is_named() -> None:
    items = pa.table({"item_id": ["a"], "plot": ["A robot"]})
    assert texts_of(items, ["plot"]) == ["A robot"]
    with pytest.raises(DataError, match="the items have no title; give fields, some of item_id, plot"):
        texts_of(items, [])
    with pytest.raises(DataError, match=r"no column 'plott'.*did you mean 'plot'"):
        texts_of(items, ["plott"])
    with pytest.raises(DataError, match="lower min_count"):
        SharedWords(fields=("title",), min_count=99).fit(toy_dataset())


def test_smoothed_weights_are_those_of_the_items_that_read_alike() -> None:
    data = toy_dataset()
    vectors = np.random.default_rng(0).normal(size=(data.n_items, 5)).astype(np.float32)
    data = data.with_features(items=Features(vectors, "test"))
    model = Smoothed(ItemKNN(), similar=3, power=2.0, whitening=0.0).fit(data)
    unit = vectors - vectors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -1)
    expected = np.zeros((data.n_items, data.n_items))
    weights = ItemKNN().fit(data).item_weights_.toarray()
    for item in range(data.n_items):
        near = np.argsort(-cosine[item])[:3]
        share = np.maximum(cosine[item, near], 0) ** 2
        expected[item] = share / share.sum() @ weights[near]
    np.fill_diagonal(expected, 0)
    assert np.allclose(model.item_weights_.toarray(), expected, atol=1e-5)


def test_an_item_without_followers_borrows_those_of_its_likes() -> None:
    """Nothing has ever followed item 5; its text is that of item 0, which item 1 follows."""
    from genre.data.dataset import Dataset
    from genre.data.ids import Ids

    ids = Ids(f"i{item}" for item in range(6))
    data = Dataset.from_arrays(
        user=np.repeat([0, 1, 2], 2), item=[0, 1, 0, 1, 2, 3], user_ids=Ids("abc"), item_ids=ids
    ).with_features(items=Features(np.eye(6, dtype=np.float32)[[0, 1, 2, 3, 4, 0]] + np.float32(0.01), "test"))
    history = History.of([[5]], 6)
    assert not Transitions(backward=0.0).fit(data).score(history).any()
    assert Smoothed(Transitions(backward=0.0), similar=1).fit(data).recommend(history, k=1).ids() == ["i1"]


def test_only_item_weights_can_be_smoothed() -> None:
    with pytest.raises(OptionError, match="learns no item weights"):
        Smoothed(Popularity())
    with pytest.raises(DataError, match="needs item features"):
        Smoothed(ItemKNN()).fit(dataclasses.replace(toy_dataset(), item_features=None))
    assert sp.issparse(Smoothed(ItemKNN(), neighbours=2).fit(toy_dataset()).item_weights_)
