"""Scaling and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.errors import DataError, OptionError
from genre.preprocessing.scaling import Scaler
from genre.testing import toy_dataset

ratings = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(-50_000, 50_000).map(lambda n: n / 1000) | st.sampled_from([1.0, 2.0, 5.0])
    ),
    min_size=1,
    max_size=40,
)


def dataset(rows: list[tuple[int, float]]) -> Dataset:
    user, rating = (list(column) for column in zip(*rows, strict=True))
    ids = Ids(map(str, range(6)))
    return Dataset.from_arrays(user=user, item=[0] * len(user), rating=rating, user_ids=ids, item_ids=Ids(["i"]))


@given(ratings, st.sampled_from(["min-max", "z-score"]), st.integers(0, 1))
def test_the_inverse_is_exact(rows: list[tuple[int, float]], method: str, per_user: int) -> None:
    data = dataset(rows)
    scaler = Scaler.fit(data, method, per_user=bool(per_user))  # type: ignore[arg-type]
    assert data.rating is not None
    np.testing.assert_array_equal(scaler.inverse(scaler.values(data.rating, data.user), data.user), data.rating)
    unknown = np.array([-1, 5, 99])
    np.testing.assert_array_equal(scaler.inverse(scaler.values([1, 2, 3], unknown), unknown), [1, 2, 3])
    np.testing.assert_array_equal(scaler.values([1, 2, 3], unknown), scaler.values([1, 2, 3]))
    scaled = scaler.transform(data)
    assert scaled.rating is not None
    assert np.isfinite(scaled.rating).all()
    np.testing.assert_allclose(scaler.inverse(scaled.rating, scaled.user), data.rating, rtol=1e-5, atol=1e-4)


@given(ratings, st.integers(0, 1))
def test_scaled_ratings_have_the_moments_promised(rows: list[tuple[int, float]], per_user: int) -> None:
    data = dataset(rows)
    assert data.rating is not None
    bounded = Scaler.fit(data, "min-max", per_user=bool(per_user)).values(data.rating, data.user)
    standard = Scaler.fit(data, "z-score", per_user=bool(per_user)).values(data.rating, data.user)
    for user in range(5) if per_user else [None]:  # type: ignore[list-item]
        mine = slice(None) if user is None else data.user == user
        rating = data.rating[mine].astype(float)
        if len(rating) and rating.std() > 1e-3:
            assert (bounded[mine].min(), bounded[mine].max()) == (0, 1)
            np.testing.assert_allclose([standard[mine].mean(), standard[mine].std()], [0, 1], atol=1e-6)
        elif len(set(rating.tolist())) == 1:
            np.testing.assert_array_equal(bounded[mine], 0)
            np.testing.assert_allclose(standard[mine], 0, atol=1e-6)


def test_likes_and_the_scale_travel_along() -> None:
    data = toy_dataset()
    scaled = Scaler.fit(data, "z-score").transform(data)
    np.testing.assert_array_equal(scaled.liked(), data.liked())
    assert scaled.rating_scale is not None
    assert scaled.rating is not None
    assert scaled.rating.min() == np.float32(scaled.rating_scale[0])
    np.testing.assert_array_equal(Scaler.fit(data, per_user=True).transform(data).liked(), data.liked())


def test_the_test_part_is_scaled_by_what_train_says() -> None:
    scaler = Scaler.fit(dataset([(0, 1.0), (0, 3.0), (1, 5.0)]), per_user=True)
    np.testing.assert_array_equal(scaler.values([3, 5, 3], [0, 1, 2]), [1, 0, 0.5])


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(OptionError, match=r"no scaling is called 'zscore' .did you mean 'z-score'"):
        Scaler.fit(dataset([(0, 1.0)]), "zscore")  # type: ignore[arg-type]


def test_without_ratings_there_is_nothing_to_scale() -> None:
    data = Dataset.from_arrays(user=[0], item=[0], user_ids=Ids(["u"]), item_ids=Ids(["i"]))
    with pytest.raises(DataError, match="no ratings to scale"):
        Scaler.fit(data)
