"""Search, filters and words of a catalogue."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.data.function_words import function_words_of
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


@given(
    st.lists(st.text("ab (\n", max_size=8), min_size=12, max_size=12), st.text("ab (", max_size=5), st.integers(1, 12)
)
def test_search_finds_what_a_plain_search_finds(titles: list[str], text: str, k: int) -> None:
    """Words begin at the start of a title and behind what is no letter."""
    data = toy_dataset()
    assert data.items is not None
    catalogue = Catalogue(with_items(data, {f"i{row}": {"title": title} for row, title in enumerate(titles)}))
    popularity, wanted = np.arange(12) % 5, text.split()
    titles = [title.replace("\n", " ") for title in catalogue.titles]
    found = [row for row, title in enumerate(titles) if wanted and all(word in title.lower() for word in wanted)]

    def order(row: int) -> tuple[bool, bool, bool, int, int]:
        title, whole = titles[row].lower(), " ".join(wanted)
        starts = all(re.search(rf"\b{re.escape(word)}", title) for word in wanted)
        return title != whole, not title.startswith(whole), not starts, -int(popularity[row]), row

    if wanted:
        assert catalogue.search(text, k, popularity) == sorted(found, key=order)[:k]


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


@pytest.mark.parametrize(
    ("first", "other", "shared"),
    [
        ("Set for tea and cake", "Mug for tea and milk", ("tea",)),
        ("Dose für Tee und Gebäck", "Becher für Tee und Milch", ("tee",)),
        ("Blik voor thee met deksel", "Beker voor thee met oor", ("thee",)),
        ("Boîte pour café avec couvercle", "Tasse pour café avec anse", ("cafe",)),
        ("Barattolo della nonna per caffè", "Tazza della nonna", ("nonna",)),
        ("Caixa para chá com tampa", "Copo para chá com asa", ("cha",)),
        ("Lata para café con tapa", "Taza para café con asa", ("cafe",)),
        ("Burk för kaffe och kaka", "Mugg för kaffe och mjölk", ("kaffe",)),
        ("茶的杯子", "茶的罐", ("茶",)),
        ("お茶のカップ", "お茶の缶", ("茶",)),
    ],
)
def test_function_words_are_no_reason(first: str, other: str, shared: tuple[str, ...]) -> None:
    data = toy_dataset()
    changes = {item: {"title": f"thing{at}", "text": ""} for at, item in enumerate(data.item_ids.values.to_pylist())}
    catalogue = Catalogue(
        with_items(data, {**changes, "i0": {"title": first, "text": ""}, "i1": {"title": other, "text": ""}})
    )
    found = catalogue.shared_words(0, catalogue.words(1))
    assert found == shared


def test_a_function_word_of_another_language_stays_a_word() -> None:
    words = function_words_of({"the": 50, "for": 40, "with": 20, "door": 9, "son": 4, "das": 1})
    assert {"the", "for", "with"} <= words
    assert not {"door", "son"} & words
    assert {"door", "voor"} <= function_words_of({"voor": 50, "met": 40, "door": 9, "the": 3})
    assert not function_words_of({}) & {"for", "die"}
