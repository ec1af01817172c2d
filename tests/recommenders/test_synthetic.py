"""Invented items enter histories when scoring and nowhere else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.errors import DataError
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from genre.recommenders.synthetic import SyntheticHistory
from genre.testing import toy_dataset


def invent(data: Dataset, items: list[str | None]) -> Dataset:
    users = pa.table({"user_id": data.user_ids.values, "synthetic_item": pa.array(items, pa.string())})
    return dataclasses.replace(data, users=users)


def test_they_are_weak_history_and_nothing_else() -> None:
    data = invent(toy_dataset(), ["i3", None] * 10)
    plain = EASE(regularization=10.0).fit(data)
    model = SyntheticHistory(EASE(regularization=10.0), weight=0.25).fit(data)
    inner = model.first_[0]
    assert np.array_equal(inner.item_weights_, plain.item_weights_), "nothing is fitted on them"
    assert np.array_equal(model.popularity_, plain.popularity_), "they are not counted"
    history = data.history([0, 1])
    expected = history.matrix().toarray()
    expected[0, 3] += 0.25
    assert np.allclose(model.score(history), expected @ plain.item_weights_, atol=1e-5)
    assert (model.recommend(history, k=12).item[0] == 3).any() or 3 in history.item, "they stay candidates"
    assert np.array_equal(model.score(history.anonymous()), plain.score(history.anonymous())), "unknown users have none"


def test_a_counting_recommender_does_not_see_them() -> None:
    data = invent(toy_dataset(), ["i3"] * 20)
    found = SyntheticHistory(Popularity()).fit(data).score(data.history())
    assert np.array_equal(found, Popularity().fit(data).score(data.history()))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.none(), st.integers(0, 11)), min_size=20, max_size=20), st.data())
def test_enriched_is_what_the_plain_way_gives(items: list[int | None], data: st.DataObject) -> None:
    toy = invent(toy_dataset(), [None if item is None else f"i{item}" for item in items])
    model = SyntheticHistory(EASE(regularization=10.0), weight=0.5).fit(toy)
    rows = data.draw(st.lists(st.integers(0, 19), max_size=6))
    history = toy.history(rows)
    history = history.keep(
        np.array(data.draw(st.lists(st.booleans(), min_size=len(history.item), max_size=len(history.item))), bool)
    )
    found = model.enriched(history)
    for at, user in enumerate(rows):
        own = history.item[history.indptr[at] : history.indptr[at + 1]].tolist()
        extra = [] if items[user] is None else [items[user]]
        assert found.item[found.indptr[at] : found.indptr[at + 1]].tolist() == extra + own
        weights = found.weight[found.indptr[at] : found.indptr[at + 1]]
        assert (weights[: len(extra)] == 0.5).all()
    assert found.timestamp is not None
    assert found.rating is not None
    assert len(found.timestamp) == len(found.rating) == len(found.item)


def test_without_invented_items_the_remedy_is_named() -> None:
    data = toy_dataset()
    with pytest.raises(DataError, match="augmentation"):
        SyntheticHistory(EASE()).fit(dataclasses.replace(data, users=data.users.select(["user_id"])))
    assert SyntheticHistory(EASE()).fit(data).score(History.of([[]], data.n_items)).shape == (1, data.n_items)
