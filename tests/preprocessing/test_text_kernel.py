"""Texts are numbered as Arrow's `dictionary_encode` numbers them, in however many pieces they come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.preprocessing import text_kernel
from genre.preprocessing.text_kernel import Texts


def add(known: Texts, values: list[str]) -> None:
    """Texts with a byte between two of them, as fields stand in a file."""
    ends = np.cumsum([len(value.encode()) + 1 for value in values])
    begins = ends - [len(value.encode()) + 1 for value in values]
    content = np.frombuffer("".join(f"{value}," for value in values).encode(), np.uint8)
    known.add(content, np.stack([begins, ends - 1], axis=1).astype(np.int32).reshape(-1, 2))


alike = st.text("ab", max_size=20) | st.text(max_size=9) | st.integers(0, 99).map(lambda n: f"item-{n:09d}")


@given(st.lists(alike, max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_texts_get_the_numbers_that_arrow_gives(values: list[str], cuts: list[int]) -> None:
    column = pa.array(values, pa.string())
    bounds = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    known = Texts()
    for start, stop in pairwise(bounds):
        add(known, values[start:stop])
    assert known.column().equals(column.dictionary_encode())


def test_there_is_room_for_more_texts_and_longer_ones_than_at_first() -> None:
    values = [f"{n}" * (1 + n % 30) for n in range(20_000)]
    known = Texts()
    for _ in range(5):
        add(known, values)
    assert known.column().equals(pa.array(5 * values).dictionary_encode())


def test_more_text_than_arrow_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_kernel, "MOST_BYTES", 5)
    known = Texts()
    add(known, ["abc", "def"])
    with pytest.raises(pa.ArrowInvalid, match="two gigabytes"):
        known.column()
