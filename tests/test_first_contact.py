"""What people try first and get wrong in Python: an error of GENRE that says what to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import genre
from genre.errors import ConfigError, DataError, OptionError, UnknownId
from genre.testing import toy_dataset

DATA = toy_dataset()
MODEL = genre.EASE().fit(DATA)
FRAME = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]})
Attempt = Callable[[], Any]
ATTEMPTS: dict[str, tuple[Attempt, type[Exception], str]] = {
    "fit a frame": (lambda: genre.EASE().fit(FRAME), DataError, r"found a DataFrame.*genre\.load\(table\)"),  # type: ignore[arg-type]
    "fit a split": (lambda: genre.EASE().fit(genre.split(DATA)), DataError, r"found a Split.*\.train"),  # type: ignore[arg-type]
    "score a frame": (lambda: MODEL.score(FRAME), DataError, "found a DataFrame; expected a History"),  # type: ignore[arg-type]
    "score no item": (lambda: MODEL.score(["x1"]), UnknownId, "unknown id 'x1'"),
    "history of no user": (lambda: DATA.history(["u99"]), UnknownId, "did you mean 'u9'"),
    "history of a text": (lambda: DATA.history("u1"), DataError, r"\['u1'\]"),
    "similar to no item": (lambda: MODEL.similar_items(["x1"]), UnknownId, "unknown id 'x1'"),
    "candidates by number": (lambda: MODEL.recommend(["i1"], candidates=[0, 1]), DataError, "give item ids, or True"),
    "row of an id": (lambda: DATA.user_ids["u1"], DataError, "found the id 'u1'"),  # type: ignore[call-overload]
    "recommend for a text": (lambda: MODEL.recommend("i1"), DataError, r"found the text 'i1'.*\['i1'\]"),
    "recommend for bytes": (lambda: MODEL.recommend(b"i1"), DataError, r"found the text b'i1'"),  # type: ignore[arg-type]
    "items like bytes": (lambda: MODEL.similar_items(b"i1"), DataError, r"found the text b'i1'"),
    "recommend for rows": (lambda: MODEL.recommend([0]), UnknownId, "unknown id '0'"),  # type: ignore[list-item]
    "half an item": (lambda: MODEL.recommend(["i1"], k=2.5), DataError, "k is 2.5; expected a whole number"),  # type: ignore[arg-type]
    "similar to one row": (lambda: MODEL.similar_items(1), DataError, r"put one row into a list"),  # type: ignore[arg-type]
    "similar to no row": (lambda: MODEL.similar_items(np.array([99])), DataError, "found item row 99"),
    "run a dict": (lambda: genre.run({"name": "x"}), ConfigError, "found a dict; expected the path"),  # type: ignore[arg-type]
    "British spelling": (lambda: genre.EASE(regularisation=3), OptionError, "did you mean 'regularization'"),  # type: ignore[call-arg]
    "an option of yore": (lambda: genre.EASE(neighbours=3), OptionError, "ease_neighbours"),  # type: ignore[call-arg]
    "a role that is none": (lambda: genre.load(FRAME, columns={"usr": "user_id"}), OptionError, "did you mean 'user'"),
    "cleaning as a dict": (lambda: genre.load(FRAME, cleaning={}), OptionError, "expected Cleaning"),  # type: ignore[arg-type]
    "split a frame": (lambda: genre.split(FRAME), DataError, "found a DataFrame; expected a Dataset"),  # type: ignore[arg-type]
    "an option of a split": (lambda: genre.split(DATA, "time", {"tets": 0.1}), OptionError, "did you mean 'test'"),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_error_says_what_to_write(name: str) -> None:
    attempt, error, message = ATTEMPTS[name]
    with pytest.raises(error, match=message):
        attempt()


def test_ids_can_be_sliced() -> None:
    assert DATA.user_ids[:2] == ["u0", "u1"]
    assert DATA.user_ids[-1] == "u19"


def test_sizes_of_numpy_are_sizes() -> None:
    assert MODEL.recommend(["i1"], k=np.int64(2)).item.shape == (1, 2)  # type: ignore[arg-type]


def test_a_class_of_ones_own_keeps_its_constructor() -> None:
    class Shy(genre.EASE):
        def __init__(self, shyness: float) -> None:
            super().__init__(regularization=shyness)

    assert Shy(shyness=3.0).regularization == 3.0
