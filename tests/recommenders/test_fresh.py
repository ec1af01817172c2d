"""Fresh: age of items, worked out by hand."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.errors import DataError
from genre.recommenders.fresh import Fresh

DAY = 86_400


def news(published: list[object] | None = None) -> Dataset:
    """Item 0 was read on day 0 and three times on day 10, item 1 twice on day 8, item 2 once on day 10, 3 never."""
    items = {"item_id": list("wxyz")} | ({} if published is None else {"published": published})
    return Dataset.from_arrays(
        user=[0, 0, 1, 2, 0, 1, 2],
        item=[0, 0, 0, 0, 1, 1, 2],
        timestamp=np.array([0, 10, 10, 10, 8, 8, 10]) * DAY,
        user_ids=Ids("abc"),
        item_ids=Ids("wxyz"),
        items=pa.table(items),
    )


def test_age_counts_from_the_first_interaction() -> None:
    data = news()
    model = Fresh(half_life_days=2).fit(data)
    assert np.allclose(model.score(data.history([0]))[0], [5 / 2**5, 3 / 2, 2, 1 / 2**5]), "the last: as the oldest"
    assert model.recommend([], k=3).ids() == ["y", "x", "w"]


def test_age_counts_from_a_field() -> None:
    data = news(["1970-01-03", "1970-01-11T00:00", None, "1980-01-01"])
    assert np.allclose(Fresh(2, published="published").fit(data).freshness_, [5 / 2**4, 3, 2 / 2**4, 1])


def test_the_order_does_not_depend_on_now() -> None:
    data = news()
    later = dataclasses.replace(data, timestamp=np.append(data.timestamp[:-1], 20 * DAY))  # type: ignore[index]
    first, second = (Fresh(3).fit(some).freshness_[:2] for some in (data, later))
    assert np.isclose(first[0] / first[1], second[0] / second[1])


def test_new_items_are_new() -> None:
    larger = Fresh(2).fit(news()).extend(["new"], np.zeros((1, 3), np.float32))
    assert larger.freshness_[-1] == 1
    assert larger.recommend([], k=3).ids() == ["y", "x", "new"]


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match="needs timestamps"):
        Fresh().fit(dataclasses.replace(news(), timestamp=None))
    with pytest.raises(DataError, match=r"no field 'publishd' .did you mean 'published'"):
        Fresh(published="publishd").fit(news([1, 2, 3, 4]))
    with pytest.raises(DataError, match="no value of 'published' is a time; expected dates"):
        Fresh(published="published").fit(news(["soon", None, "today", "late"]))
