"""Templates and what a history says."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.errors import DataError
from genre.features.text import render
from genre.features.users import TITLES, with_history
from genre.testing import toy_dataset

FILMS = pa.table(
    {
        "item_id": ["1", "2", "3"],
        "genres": [["Drama", "War"], None, []],
        "title": ["Who?", "  ", "Heat\n (1995)"],
        "year": [1990.0, float("nan"), 2.5],
        "poster_url": ["http://x", "y", "z"],
    }
)


def test_every_column_that_holds_words_title_first() -> None:
    assert render(FILMS) == ["Who? Drama, War", "", "Heat (1995)"]


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("{title}. {genres}", ["Who? Drama, War", "", "Heat (1995)"]),
        ("A film called {title} of {year}, about {genres}!", [
            "A film called Who? of 1990, about Drama, War!", "", "A film called Heat (1995) of 2.5!"]),
        ("{{{title}}}", ["{Who?}", "", "{Heat (1995)}"]),
        ("no field at all", ["", "", ""]),
    ],
)  # fmt: skip
def test_templates_leave_out_what_a_row_lacks(template: str, texts: list[str]) -> None:
    assert render(FILMS, template) == texts


@pytest.mark.parametrize(
    "template", ["{titel}", "{title", "{title.__class__}", "{title!r}", "{title:>10}", "{}", "{0}"]
)
def test_mistakes_in_a_template_are_named(template: str) -> None:
    with pytest.raises(DataError, match="template"):
        render(FILMS, template)


def test_the_nearest_column_is_suggested() -> None:
    with pytest.raises(DataError, match="did you mean 'title'"):
        render(FILMS, "{titel}")


def test_values_of_every_type_become_words() -> None:
    table = pa.table(
        {
            "a": [1],
            "b": [True],
            "c": [datetime.date(1999, 1, 2)],
            "d": [{"x": "in", "y": None}],
            "e": ["Action|War"],
            "f": [b"raw"],
            "g": pa.array(["cat"]).dictionary_encode(),
            "h": pa.array([None], pa.null()),
            "i": [12345678.0],
        }
    )
    assert render(table, "{a} {b} {c} {d} {e} {f} {g} {h} {i}") == ["1 True 1999-01-02 in Action, War cat 12345678"]
    assert render(table) == ["Action, War. cat"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=5))
def test_any_text_survives_in_order(values: list[str]) -> None:
    texts = render(pa.table({"title": values}), "<{title}>")
    assert len(texts) == len(values)
    for value, text in zip(values, texts, strict=True):
        assert text in ("", f"<{' '.join(value.replace('|', ', ').split())}>")


def test_an_empty_table_and_one_without_words() -> None:
    assert render(FILMS.slice(0, 0)) == []
    assert render(pa.table({"item_id": ["1"], "price": [2.0]})) == [""]


def test_a_history_says_the_best_liked_then_the_newest() -> None:
    items = pa.table({"item_id": list("abcd"), "title": ["A", "B", "C", "D"]})
    data = Dataset.from_arrays(
        user=[0, 0, 0, 0, 1],
        item=[0, 1, 2, 3, 0],
        rating=[5, 5, 4, 1, 2],
        timestamp=[1, 2, 3, 4, 5],
        user_ids=Ids(["u", "v", "w"]),
        item_ids=Ids(list("abcd")),
        users=pa.table(
            {"user_id": list("uvw"), "age": [24, None, 30], "zip_code": list("xyz"), "job": ["cook", "", "-"]}
        ),
        items=items,
        rating_scale=(1, 5, 1),
        positive_rating=4,
    )
    assert render(with_history(data)) == ["24. cook. likes B; A; C", "", "30"]
    assert render(with_history(data), "A {job} who {history}") == ["A cook who likes B; A; C", "", "A -"]


def test_only_the_given_interactions_are_in_the_text() -> None:
    data = toy_dataset()
    train = data.where(np.arange(len(data)) % 2 == 0)
    assert render(with_history(train)) != render(with_history(data))
    assert render(with_history(train)) == render(with_history(train))
    assert with_history(train).column_names == [*data.users.column_names, "history"]


def test_a_long_history_is_cut() -> None:
    n = 3 * TITLES
    data = Dataset.from_arrays(
        user=[0] * n,
        item=np.arange(n),
        timestamp=np.arange(n),
        user_ids=Ids(["u"]),
        item_ids=Ids(range(n)),
        items=pa.table({"item_id": [str(at) for at in range(n)], "title": [f"T{at}" for at in range(n)]}),
    )
    assert render(with_history(data)) == ["likes " + "; ".join(f"T{n - 1 - at}" for at in range(TITLES))]
