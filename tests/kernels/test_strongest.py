"""`kernels/strongest.py` against a sort."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.kernels.strongest import two_strongest
from genre.serving.lists import strongest


def two_strongest_plain(shares: list[int], causes: list[int]) -> list[int]:
    """The two causes with the largest share above 0; of equal ones the first to have it."""
    best: dict[int, int] = {}
    for share, cause in zip(shares, causes, strict=True):
        if share > best.get(cause, 0):
            best.pop(cause, None)
            best[cause] = share
    return sorted(best, key=lambda cause: -best[cause])[:2]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 5), max_size=9).flatmap(
        lambda causes: st.tuples(
            st.just(causes),
            st.lists(st.lists(st.integers(-2, 4), min_size=len(causes), max_size=len(causes)), min_size=1, max_size=4),
        )
    )
)
def test_the_two_strongest_causes_equal_the_plain_ones(given_: tuple[list[int], list[list[int]]]) -> None:
    """Few values and few causes, so that there are ties, repeated causes and rows with nothing above 0."""
    causes, rows = given_
    shares = np.array(rows, np.float32).reshape(len(rows), len(causes))
    expected = [two_strongest_plain(row, causes) for row in rows]
    padded = [[*found, -1, -1][:2] for found in expected]
    assert two_strongest(shares, np.array(causes, np.int32)).tolist() == padded
    assert strongest(np.asfortranarray(shares), np.array(causes, np.int32)) == expected
