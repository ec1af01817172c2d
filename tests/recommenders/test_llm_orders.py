"""Orders read from text, fused, and expressed as scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.recommenders.llm_orders import fuse_orders, mean_ranks, parse_order, strictly_falling


@pytest.mark.parametrize(
    ("text", "named", "unknown", "repeated"),
    [
        ('{"order": [3, 1, 2]}', (2, 0, 1), 0, 0),
        ('{"order": [3, 99, -1, 3, 1]}', (2, 0), 2, 1),
        ('{"order": [2, "x", null, true, 1.5]}', (1,), 4, 0),
    ],
)
def test_entries_of_a_written_order_are_counted(text: str, named: tuple[int, ...], unknown: int, repeated: int) -> None:
    parsed = parse_order(text, 3)
    assert parsed is not None
    assert (parsed.named, parsed.unknown, parsed.repeated) == (named, unknown, repeated)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"order": 3}', '{"order": [7]}', "Sure! 1, 2, 3", '{"order": null}'])
def test_a_text_without_an_order_is_none(text: str) -> None:
    assert parse_order(text, 3) is None


@given(st.lists(st.one_of(st.integers(), st.floats(), st.text(), st.none())), st.integers(2, 26))
def test_any_answer_names_only_candidates(values: list[object], n: int) -> None:
    parsed = parse_order(json.dumps({"order": values}), n)
    if parsed is not None:
        assert len(set(parsed.named)) == len(parsed.named)
        assert set(parsed.named) <= set(range(n))
        assert len(parsed.named) + parsed.unknown + parsed.repeated == len(values)


@given(st.lists(st.integers(-(2**20), 2**20).map(lambda n: n / 64), min_size=1, max_size=30))
def test_scores_fall_strictly_and_never_below_what_they_were(values: list[float]) -> None:
    scores = np.sort(np.array(values, np.float32))[::-1]
    falling = strictly_falling(scores)
    assert (np.diff(falling) < 0).all()
    assert (falling >= scores).all()
    assert np.allclose(falling, scores, rtol=1e-4, atol=1e-30)


def test_fusion_goes_from_one_order_to_the_other() -> None:
    rank = mean_ranks(np.array([1.0, 3.0, 2.0]))
    assert rank.tolist() == [2, 0, 1]
    assert fuse_orders(rank, 0).tolist() == [0, 1, 2]
    assert fuse_orders(rank, 1).tolist() == [1, 2, 0]
    assert mean_ranks(np.array([1.0, 1.0])).tolist() == [0.5, 0.5]
    assert np.isnan(mean_ranks(np.array([1.0, np.nan]))).all()
