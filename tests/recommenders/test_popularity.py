"""Popularity: counts, decay, windows, categories."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.recommenders.blend import Blend
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from genre.testing import check_recommender

DAY = 86_400


def world(days: list[int] | None = None) -> Dataset:
    """Item 0 was taken four times long ago, item 1 three times lately, item 2 once, item 3 never."""
    times = days or [0, 0, 0, 0, 100, 100, 100, 99]
    genres = ["Crime|Drama", "Comedy", "Drama", None]
    return Dataset.from_arrays(
        user=[0, 1, 2, 3, 0, 1, 2, 3],
        item=[0, 0, 0, 0, 1, 1, 1, 2],
        timestamp=np.array(times) * DAY,
        user_ids=Ids("abcd"),
        item_ids=Ids("wxyz"),
        items=pa.table({"item_id": list("wxyz"), "genres": genres}),
    )


def test_scores_are_counts() -> None:
    data = world()
    scores = Popularity().fit(data).score(data.history())
    assert np.array_equal(scores, np.tile([4.0, 3.0, 1.0, 0.0], (4, 1)))


def test_what_was_not_liked_does_not_count() -> None:
    data = dataclasses.replace(world(), weight=np.zeros(8, np.float32))
    assert not Popularity().fit(data).score(data.history()).any()


def test_half_life() -> None:
    data = world()
    scores = Popularity(half_life_days=50).fit(data).score(data.history([0]))[0]
    assert np.allclose(scores, [4 * 0.25, 3, 0.5 ** (1 / 50), 0])


def test_window_keeps_its_edge() -> None:
    data = world([0, 0, 69, 70, 100, 100, 100, 99])
    assert Popularity(window_days=30).fit(data).score(data.history([0]))[0].tolist() == [1, 3, 1, 0]


def test_decay_needs_timestamps() -> None:
    with pytest.raises(DataError, match="timestamps"):
        Popularity(window_days=30).fit(dataclasses.replace(world(), timestamp=None))


def test_within_categories() -> None:
    model = Popularity(by="genres").fit(world())
    scores = model.score(History.of([[2], [1], [3], []], 4))
    assert scores[0].tolist() == [2, 0, 1, 0]  # a Drama history: item 0 is half a Drama
    assert scores[1].tolist() == [0, 3, 0, 0]
    assert scores[2].tolist() == scores[3].tolist() == [4, 3, 1, 0]  # no category known: plain popularity


def test_within_categories_explains_its_score() -> None:
    model = Popularity(by="genres").fit(world())
    history = History.of([[2, 1, 0]], 4)
    (found,) = model.explain(history, np.array([0], np.int32))
    assert np.isclose(sum(share for _, share in found.history), found.score)
    assert [cause for cause, _ in found.history] == [2, 0]
    assert np.isclose(found.popular, 0, atol=1e-5)
    (nothing_known,) = model.explain(History.of([[]], 4), np.array([0], np.int32))
    assert nothing_known.popular == nothing_known.score > 0


def test_within_categories_counts_once_in_a_blend() -> None:
    check_recommender(lambda: Popularity(by="genres"), toy_world=False)
    check_recommender(lambda: Blend((Popularity(by="genres"), EASE(10)), weights=(1, 1)), toy_world=False)


def test_unknown_field_names_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'genres'"):
        Popularity(by="genre").fit(world())
