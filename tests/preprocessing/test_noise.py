"""Noise goes and is named; the test part of a split decides nothing about the train part; nothing is silent."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genre
from genre.data.after_split import apply_part_rules
from genre.errors import DataError, DataWarning
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.files import Files

Write = Callable[..., Path]
START, DAY = 1_600_000_000, 86_400


def stars(*odd: object, n: int = 200) -> str:
    """Ratings from 1 to 5, and after them some others."""
    rows = [f"u{place % 20},i{place % 37},{place % 5 + 1}" for place in range(n)]
    rows += [f"w{place},i{place},{rating}" for place, rating in enumerate(odd)]
    return "user,item,rating\n" + "\n".join(rows) + "\n"


def test_outliers_and_a_bad_cell_go_and_are_named(write: Write) -> None:
    path = write("stars.csv", stars(99, -7, "abc"))
    with pytest.warns(DataWarning) as caught:
        data = genre.load(path)
    assert len(caught) == 1, "one warning, whatever was lost"
    said = str(caught[0].message)
    assert "rating outside 1 to 5: 2" in said
    assert "row 201" in said
    assert "column 'rating': 'abc' is not a number" in said
    assert data.rating is not None
    assert (data.rating.min(), data.rating.max()) == (1, 5)
    assert data.report.before == 203
    assert data.report.after == data.report.before - sum(step.dropped for step in data.report.steps)
    assert apply_part_rules(data).rating_scale == (1, 5, 1)
    assert apply_part_rules(data).positive_rating == 4
    assert not {"w0", "w1", "w2"} & set(data.user_ids.values.to_pylist())


def test_outliers_stay_where_they_are_kept(write: Write) -> None:
    data = genre.load(write("stars.csv", stars(99, -7)), cleaning=Cleaning(outliers="keep"))
    assert data.rating is not None
    assert (data.rating.min(), data.rating.max()) == (-7, 99)


def test_what_many_say_or_lies_near_is_no_outlier(write: Write) -> None:
    for odd in ([0.5], [10] * 30, [0], [6]):
        data = genre.load(write("stars.csv", stars(*odd)))
        assert data.rating is not None
        assert np.isin(odd[0], data.rating)
    data = genre.load(write("few.csv", "user,item,rating\nu,a,1\nu,b,5\nv,a,100\n"))
    assert data.rating is not None
    assert data.rating.tolist() == [1, 5, 100], "three ratings tell no scale"


def test_a_stated_scale_decides_what_is_outside(write: Write) -> None:
    path = write("stars.csv", stars(6, 0))
    with pytest.warns(DataWarning, match="rating outside 1 to 5: 2"):
        genre.load(path, cleaning=Cleaning(rating_scale=(1, 5, 1)))


@pytest.mark.parametrize(
    ("n", "share", "fits"), [(19, 0.05, "kept"), (18, 0.05, "refused"), (18, 0.1, "kept"), (99, 0.0, "refused")]
)
@pytest.mark.parametrize("bad", ["u,i,abc", "u,i", "u,i,3,4"])
def test_a_share_of_bad_rows_is_an_error(write: Write, n: int, share: float, fits: str, bad: str) -> None:
    path = write("stars.csv", stars(n=n) + bad + "\n")
    if fits == "kept":
        with pytest.warns(DataWarning, match=f"row {n + 1}"):
            data = genre.load(path, cleaning=Cleaning(bad_rows=share))
        assert (len(data), data.report.before) == (n, n + 1)
    else:
        with pytest.raises(DataError, match=f"row {n + 1}.*bad_rows"):
            genre.load(path, cleaning=Cleaning(bad_rows=share))


def test_what_is_clean_is_read_without_a_word(write: Write) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = genre.load(write("stars.csv", stars()))
    assert (data.report.before, data.report.after, data.report.steps, data.report.guesses) == (200, 200, [], [])
    json.dumps(data.report.as_dict(), allow_nan=False)


LOSSES = {
    "a missing id": (stars() + ",i1,3\n", "no user_id: 1"),
    "an equal row": (stars() + "u0,i0,1\n", "duplicates: 1 of 201"),
    "a missing rating": (stars("NA"), "no rating: 1"),
    "an infinite rating": (stars("inf"), "rating not finite: 1"),
    "a short row": (stars() + "u1,i1\n", "2 fields, expected 3"),
    "a time of 1970": (
        "user,item,time\n" + "".join(f"u,i{n},{START + n}\n" for n in range(30)) + "v,i1,0\n",
        "time outside 1980 to 2100: 1",
    ),
    "a guess": ("user,item,date\nu,a,03/02/2020\nv,b,05/04/2020\nw,c,01/09/2020\n", "a guess"),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_is_one_warning_and_in_the_report(write: Write, kind: str) -> None:
    text, said = LOSSES[kind]
    with pytest.warns(DataWarning) as caught:
        data = genre.load(write("data.csv", text))
    assert len(caught) == 1
    assert said in str(caught[0].message)
    assert said in str(data.report)
    assert caught[0].filename == __file__, "the warning points at the call"
    assert data.report.before - data.report.after == sum(step.dropped for step in data.report.steps)


def test_frames_warn_as_files_do() -> None:
    with pytest.warns(DataWarning, match="no item_id: 1"):
        data = genre.load({"user": ["u", "v", "w"], "item": ["a", None, "b"]})
    assert data.report.before == 3


# --- what the test part must not decide ----------------------------------------------------------------


def rated(late: int) -> dict[str, list[Any]]:
    """Thirty ratings from 2 to 5, then ten of the test part, one of them `late`."""
    rating = [n % 4 + 2 for n in range(39)] + [late]
    return {
        "user": [f"u{n % 5}" for n in range(40)],
        "item": [f"i{n % 13}" for n in range(40)],
        "rating": rating,
        "time": [START + n * DAY for n in range(40)],
    }


@pytest.mark.parametrize("late", [1, 4, 5])
def test_a_rating_of_the_test_part_changes_nothing_in_train(late: int) -> None:
    one, other = (genre.split(genre.load(rated(last)), "time") for last in (3, late))
    assert one.train.fingerprint() == other.train.fingerprint()
    assert other.train.rating_scale == (2, 5, 1)
    assert other.train.positive_rating == one.train.positive_rating == 5
    assert other.test.target.positive_rating == other.train.positive_rating
    assert other.test.context.rating_scale == other.train.rating_scale
    assert other.train.weight.tolist() == [float(stars >= 5) for stars in other.train.rating]  # type: ignore[union-attr]


def shop() -> dict[str, list[Any]]:
    """Eight users who buy six items on days 0 to 5, one on day 20, and the first of them again on day 40."""
    rows = [(f"u{user}", f"i{(user + day) % 9}", day) for user in range(8) for day in range(6)]
    rows += [(f"u{user}", f"i{(user + 7) % 9}", 20) for user in range(8)]
    rows += [(f"u{user}", f"i{user % 9}", 40) for user in range(8)]
    user, item, day = zip(*rows, strict=True)
    return {"user": [*user], "item": [*item], "time": [START + DAY * one for one in day]}


@pytest.mark.parametrize("repeats", ["first", "last", "max", "sum", "all"])
def test_a_purchase_made_again_leaves_the_first_one_in_train(repeats: Any) -> None:
    data = genre.load(shop(), cleaning=Cleaning(repeats=repeats))
    assert len(data) == 64
    parts = genre.split(data, "time", {"validation_from": START + 19 * DAY, "test_from": START + 30 * DAY})
    assert [len(part) for part in (parts.train, parts.validation.target, parts.test.target)] == [48, 8, 8]
    note = "test: 8 of 8 interactions repeat an item of the user's history"
    assert any(line.startswith(note) for line in parts.notes)
    assert not any(line.startswith("validation:") and "repeat" in line for line in parts.notes)
    whole = apply_part_rules(data)
    assert len(whole) == (64 if repeats == "all" else 56)
    if repeats == "last":
        assert whole.timestamp is not None
        assert (whole.timestamp == START + 40 * DAY).sum() == 8
    if repeats == "sum":
        assert whole.weight.sum() == 64


def test_repeats_inside_a_part_are_decided_there() -> None:
    columns = shop()
    for name, values in columns.items():
        columns[name] = [*values, *(value + 60 if name == "time" else value for value in values[:48])]
    parts = genre.split(
        genre.load(columns), "time", {"validation_from": START + 19 * DAY, "test_from": START + 30 * DAY}
    )
    assert len(parts.train) == 48
    assert parts.train.timestamp is not None
    assert set(parts.train.timestamp % DAY) == {(START + 60) % DAY}, "the last of each pair"


def test_parts_of_files_are_decided_apart(write: Write) -> None:
    train = write("tr.csv", "user,item,rating\nu,a,2\nu,b,3\nu,a,4\nv,a,5\nv,b,2\n")
    test = write("te.csv", "user,item,rating\nu,a,1\nv,b,1\n")
    data = genre.load(Files(train, test=test))
    parts = genre.split(data, "given")
    assert parts.train.rating_scale == (2, 5, 1)
    assert parts.train.rating is not None
    assert parts.train.rating.tolist() == [3, 4, 5, 2]
    assert any("test: 2 of 2 interactions repeat" in line for line in parts.notes)


def test_a_recommender_fitted_on_unsplit_data_applies_the_rules() -> None:
    data = genre.load({"user": [*"uuuvw"], "item": [*"aaabb"], "time": [START + n for n in range(5)]})
    assert len(data) == 5
    fitted = genre.Popularity().fit(data)
    whole = fitted.fit(apply_part_rules(data)).recommend(["a"], k=2)
    assert whole.ids() == genre.Popularity().fit(data).recommend(["a"], k=2).ids()
    assert fitted.popularity_.tolist() == [1, 2]
