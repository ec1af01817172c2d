"""Search, filters and words of a catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from genre.data.item_fields import Between, OneOf
from genre.serving.new_items import with_items
from genre.serving.search.catalogue import Catalogue
from genre.testing import toy_dataset


@pytest.fixture
def catalogue() -> Catalogue:
    data = toy_dataset()
    changes = {
        "i0": {"title": "Das Boot (1981)", "genres": "Drama|War", "year": 1981},
        "i1": {"title": "Amélie", "genres": "Comedy, Romance", "year": 2001},
        "i2": {"title": "千と千尋の神隠し", "genres": "animation", "year": None},
        "i3": {"title": "Boots and all", "genres": "Documentary", "year": "1999"},
    }
    return Catalogue(with_items(data, changes))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("boot", [3, 0]),  # a title that begins with it
        ("das boot (1981)", [0]),
        ("AMELIE", [1]),
        ("千尋", [2]),
        ("boot all", [3]),
        ("no such title", []),
        ("(", [0]),
        ("(1981) [a-z]", []),
        (".*", []),
    ],
)
def test_search(catalogue: Catalogue, text: str, found: list[int]) -> None:
    assert catalogue.search(text, 5, np.zeros(len(catalogue))) == found


def test_search_without_words_finds_popular_items(catalogue: Catalogue) -> None:
    assert catalogue.search("  ", 2, np.arange(len(catalogue))) == [11, 10]


@pytest.mark.parametrize(
    ("name", "wanted", "rows"),
    [
        ("genres", OneOf(frozenset({"war", "romance"})), [0, 1]),
        ("genres", OneOf(frozenset({"drama|war"})), [0]),
        ("year", OneOf(frozenset({"1981"})), [0]),
        ("year", Between(1990, None), [1, 3]),
        ("year", Between(None, 1999), [0, 3]),
        ("title", Between(0, 1), []),
    ],
)
def test_filters(catalogue: Catalogue, name: str, wanted: OneOf | Between, rows: list[int]) -> None:
    mask = catalogue.mask(None, (), frozenset({(name, wanted)}))
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == rows
    assert catalogue.mask(None, (), frozenset({(name, wanted)})) is mask, "equal filters can be batched"
    assert catalogue.mask(None, ("i0",), frozenset({(name, wanted)})) is not mask


def test_shared_words_are_telling_words(catalogue: Catalogue) -> None:
    words = catalogue.words_of([0, 4])
    assert "story" in words
    assert catalogue.shared_words(0, {"boot", "story", "war", "absent"}) == ("boot", "war")
