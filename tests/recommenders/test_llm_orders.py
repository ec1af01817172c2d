"""Orders read from text, fused and dealt as scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.recommenders.llm_orders import deal, fuse, places, read_order


@pytest.mark.parametrize(
    ("text", "named", "unknown", "repeated"),
    [
        ('{"order": [3, 1, 2]}', (2, 0, 1), 0, 0),
        ('{"order": [3, 99, -1, 3, 1]}', (2, 0), 2, 1),
        ('{"order": [2, "x", null, true, 1.5]}', (1,), 4, 0),
    ],
)
def test_what_is_written_is_counted(text: str, named: tuple[int, ...], unknown: int, repeated: int) -> None:
    read = read_order(text, 3)
    assert read is not None
    assert (read.named, read.unknown, read.repeated) == (named, unknown, repeated)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"order": 3}', '{"order": [7]}', "Sure! 1, 2, 3", '{"order": null}'])
def test_what_is_no_order_is_none(text: str) -> None:
    assert read_order(text, 3) is None


@given(st.lists(st.one_of(st.integers(), st.floats(), st.text(), st.none())), st.integers(2, 26))
def test_whatever_is_written_names_only_candidates(values: list[object], n: int) -> None:
    read = read_order(json.dumps({"order": values}), n)
    if read is not None:
        assert len(set(read.named)) == len(read.named)
        assert set(read.named) <= set(range(n))
        assert len(read.named) + read.unknown + read.repeated == len(values)


@given(st.lists(st.integers(-(2**20), 2**20).map(lambda n: n / 64), min_size=1, max_size=30))
def test_dealt_scores_fall_strictly_and_never_below_what_they_were(values: list[float]) -> None:
    scores = np.sort(np.array(values, np.float32))[::-1]
    dealt = deal(scores)
    assert (np.diff(dealt) < 0).all()
    assert (dealt >= scores).all()
    assert np.allclose(dealt, scores, rtol=1e-4, atol=1e-30)


def test_fusion_goes_from_one_order_to_the_other() -> None:
    place = places(np.array([1.0, 3.0, 2.0]))
    assert place.tolist() == [2, 0, 1]
    assert fuse(place, 0).tolist() == [0, 1, 2]
    assert fuse(place, 1).tolist() == [1, 2, 0]
    assert places(np.array([1.0, 1.0])).tolist() == [0.5, 0.5]
    assert np.isnan(places(np.array([1.0, np.nan]))).all()
