"""A wish in words: what is wanted counts for an item, what is negated against it, what is named stands for its item."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.errors import DataError
from genre.features.base import Encoder
from genre.features.encode import item_features
from genre.llm.grounding import words
from genre.log import SILENT, Log
from genre.preprocessing.dataset import Dataset, Float32
from genre.recommenders.ease import EASE
from genre.serving.ask import Wish, ask, understand
from genre.testing import toy_dataset

FILMS = [
    ("Solaris (1972)", "slow science fiction about memory on a space station"),
    ("Alien (1979)", "science fiction horror on a space ship"),
    ("Silence of the Lambs, The (1991)", "violent thriller about a killer"),
    ("Seven (Se7en) (1995)", "dark thriller about a killer"),
    ("Babe (1995)", "comedy about a pig on a farm"),
    ("Stalker (1979)", "slow science fiction about wishes"),
    ("Robocop (1987)", "violence and science fiction"),
    ("Love Actually (2003)", "comedy about love"),
]


@dataclass(eq=False)
class Words(Encoder):
    """Counts words: enough to know what is near."""

    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        out = np.zeros((len(texts), 4096), np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                out[row, zlib.crc32(word.encode()) % 4096] += 1
        return out


@pytest.fixture(scope="module")
def films() -> Dataset:
    data = toy_dataset(n_items=len(FILMS))
    table = pa.table(
        {"item_id": data.item_ids.values, "title": [t for t, _ in FILMS], "text": [text for _, text in FILMS]}
    )
    data = dataclasses.replace(data, items=table)
    return data.with_features(items=item_features(data, Words()))


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("slow science fiction like Solaris, nothing violent", Wish("slow science fiction", ("violent",), (0,))),
        ("comedies but no weddings", Wish("comedies", ("weddings",))),
        ("dark thrillers like seven, not like the silence of the lambs", Wish("dark thrillers", (), (3,), (2,))),
        ("not only comedies", Wish("not only comedies")),
        ("anything but horror", Wish("", ("horror",))),
        ("a story without too much violence; funny", Wish("a story ; funny", ("violence",))),
        ("something like “Babe”", Wish("", (), (4,))),
        ("a babe in the woods", Wish("a babe in the woods")),
        ("慢的科幻片，不要暴力", Wish("慢的科幻片", ("暴力",))),
    ],
)
def test_a_wish_is_taken_apart(text: str, wish: Wish) -> None:
    assert understand(text, [title for title, _ in FILMS]) == wish


def test_the_example_of_the_manual(films: Dataset) -> None:
    found = ask("slow science fiction like Solaris, nothing violent", Words(), films, k=8)
    ids = found.item[0].tolist()
    assert ids[0] == 5, "Stalker"
    assert 0 not in ids, "what is named is known already"
    assert ids.index(6) > ids.index(1), "violence is violent"


def test_what_is_negated_goes_to_the_end(films: Dataset) -> None:
    with_killer = ask("thriller", Words(), films, k=8).item[0].tolist()
    without = ask("thriller, no violence", Words(), films, k=8).item[0].tolist()
    assert with_killer.index(2) < 2
    assert without.index(2) > 3


def test_a_history_is_blended_in_and_left_out(films: Dataset) -> None:
    model = EASE(regularization=10.0).fit(films)
    history = films.history([0])
    found = ask("science fiction", Words(), films, model, history, k=8)
    assert not set(found.item[0].tolist()) & set(history.item.tolist())
    alone = ask("science fiction", Words(), films, model, history, k=8, history_weight=1.0)
    assert np.array_equal(alone.item, model.recommend(history, k=8).item)
    only = np.zeros(films.n_items, bool)
    only[[1, 4]] = True
    assert set(ask("science fiction", Words(), films, k=8, candidates=only).item[0].tolist()) == {1, 4, -1}


def test_a_wish_that_only_says_what_not_gives_what_is_popular(films: Dataset) -> None:
    found = ask("nothing violent", Words(), films, k=3).item[0].tolist()
    assert not {2, 6} & set(found)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=200))
def test_any_text_is_an_answer_or_an_error_of_ours(films: Dataset, text: str) -> None:
    if not text.split():
        with pytest.raises(DataError, match="empty"):
            ask(text, Words(), films, k=3)
        return
    found = ask(text, Words(), films, k=3)
    assert np.isfinite(found.score[found.item >= 0]).all()


def test_without_features_the_remedy_is_named(films: Dataset) -> None:
    with pytest.raises(DataError, match="features"):
        ask("comedy", Words(), dataclasses.replace(films, item_features=None))
    with pytest.raises(DataError, match="one wish"):
        ask("comedy", Words(), films, EASE().fit(films), films.history([0, 1]))
