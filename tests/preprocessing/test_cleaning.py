"""Cleaning: each rule against a slow one anybody trusts, and every row accounted for."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from genre.data.after_split import apply_part_rules
from genre.data.dataset import Dataset
from genre.engines.base import plain_rows
from genre.errors import DataError, OptionError
from genre.preprocessing.cleaning import Cleaning, drop_k_core
from reading import prepared_tables, shared_engine
from sizes import sized

Row = tuple[str | None, str | None, float | None, int | None]
rows = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", "", None]),
        st.sampled_from(["i1", "i2", "i3", None]),
        st.sampled_from([1.0, 2.0, 5.0, 9.0, math.inf, None]),
        st.sampled_from([10, 20, 20, 30, None]),
    ),
    max_size=30,
)


def prepare(given: tuple[dict[str, Any], dict[str, Any]], cleaning: Cleaning | None = None) -> Any:
    """The Dataset, with the rules of parts applied to the whole, and the report."""
    columns, known = given
    dataset, report = prepared_tables(columns, cleaning, **known)
    assert dataset.report is report
    assert report.after == len(dataset)
    return apply_part_rules(dataset), report


def tables(given_rows: list[Row], **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    user, item, rating, timestamp = zip(*given_rows, strict=True) if given_rows else ((), (), (), ())
    columns = {
        "user_id": pa.array(user, pa.string()),
        "item_id": pa.array(item, pa.string()),
        "rating": pa.array(rating, pa.float32()),
        "timestamp": pa.array(timestamp, pa.int64()),
    }
    return columns, more


def contents(dataset: Dataset) -> list[tuple[str, str, float, int]]:
    assert dataset.rating is not None
    assert dataset.timestamp is not None
    ids = zip(dataset.user_ids.take(dataset.user), dataset.item_ids.take(dataset.item), strict=True)
    values = zip(dataset.rating.tolist(), dataset.timestamp.tolist(), strict=True)
    return [(*pair, *value) for pair, value in zip(ids, values, strict=True)]


def slowly(given_rows: list[Row], keep: str) -> list[Row]:
    """What should be left, by the words of the options alone."""
    left = [row for row in given_rows if row[0] and row[1] and None not in row and not math.isinf(row[2] or 0)]
    left = [row for row in left if 1 <= (row[2] or 0) <= 5]
    left = sorted(set(left), key=lambda row: (row[0], row[3], row[2]))  # at one time the lower rating comes first
    if keep != "all":
        chosen: dict[Any, Row] = {}
        for row in left:
            pair = row[:2]
            better = keep in ("last", "sum") or (keep == "max" and pair in chosen and row[2] >= chosen[pair][2])  # type: ignore[operator]
            if pair not in chosen or better:
                chosen[pair] = row
        left = [row for row in left if row in chosen.values()]
    return left


@pytest.mark.parametrize("keep", ["first", "last", "max", "sum", "all"])
@settings(max_examples=sized(8, 500))
@given(given_rows=rows)
def test_what_is_left_is_what_the_words_say(keep: Any, given_rows: list[Row]) -> None:
    for column in (2, 3):  # one of which most rows have no value is taken as not being there, with a warning
        assume(2 * sum(row[column] is not None for row in given_rows) >= len(given_rows))
    expected = slowly(given_rows, keep)
    cleaning = Cleaning(repeats=keep, rating_scale=(1, 5, 1))
    if not expected:
        with pytest.raises(DataError, match="no interaction is left"):
            prepare(tables(given_rows), cleaning)
        return
    dataset, report = prepare(tables(given_rows), cleaning)
    assert sorted(contents(dataset)) == sorted(expected)  # type: ignore[type-var]
    assert report.before == len(given_rows)
    assert report.after == report.before - sum(step.dropped for step in report.steps)
    edges = [report.before, *(step.after for step in report.steps)]
    assert [step.before for step in report.steps] == edges[:-1]
    for step in report.steps:
        assert step.examples
        assert [example["row"] for example in step.examples] == sorted(example["row"] for example in step.examples)
        for example in step.examples:
            user, item, _, time = given_rows[example["row"] - 1]
            if step.name != "duplicates":  # numbered by then
                assert (example["user_id"] or "", example["item_id"], example["timestamp"]) == (user or "", item, time)
    json.dumps(report.as_dict(), allow_nan=False)
    assert str(report).splitlines()[-1] == f"{report.after} of {len(given_rows)} interactions kept"


@settings(max_examples=sized(15, 1000))
@given(rows, st.integers(0, 3), st.integers(0, 3))
def test_the_core_holds_in_what_is_left(given_rows: list[Row], min_user: int, min_item: int) -> None:
    cleaning = Cleaning(repeats="all", min_user_interactions=min_user, min_item_interactions=min_item)
    try:
        dataset, _ = prepare(tables(given_rows), cleaning)
    except DataError:
        return
    assert np.bincount(dataset.user, minlength=dataset.n_users).min() >= max(min_user, 1)
    assert np.bincount(dataset.item, minlength=dataset.n_items).min() >= max(min_item, 1)


def test_each_step_says_what_it_dropped_and_why() -> None:
    given_rows: list[Row] = [("u", "a", 5.0, 1), ("u", "a", 5.0, 1), ("u", "a", 3.0, 2), (None, "a", 5.0, 1)]
    given_rows += [("u", "b", math.inf, 4), ("u", "c", 7.0, 5), ("u", "d", None, 6), ("u", "e", 1.0, 7)]
    _, report = prepare(tables(given_rows, rating_scale=(1.0, 5.0, 1.0)), Cleaning(min_rating=2))
    assert [str(step) for step in report.steps] == [
        "missing values: 2 of 8 rows dropped, no user_id: 1, no rating: 1 (for example row 4, row 7)",
        "noise: 2 of 6 rows dropped, rating not finite: 1, rating outside 1 to 5: 1 (for example row 5, row 6)",
        "low ratings: 1 of 4 rows dropped, rated below 2: 1 (for example row 8)",
        "duplicates: 1 of 3 rows dropped, equal to another row in every column that is read (for example row 1)",
    ]
    repeats = "1 interaction repeats an item of the same user; decided in each part of the split (the last kept)"
    assert repeats in report.facts
    assert report.steps[1].examples[0] == {"row": 5, "user_id": "u", "item_id": "b", "rating": "inf", "timestamp": 4}


def test_busy_users_go_with_all_they_did() -> None:
    given_rows: list[Row] = [("robot", f"i{n}", 3.0, n) for n in range(9)] + [("human", "i1", 4.0, 1)]
    dataset, report = prepare(tables(given_rows), Cleaning(max_user_interactions=8))
    assert dataset.user_ids.values.to_pylist() == ["human"]
    assert dataset.item_ids.values.to_pylist() == ["i1"]
    assert "1 user with more than 8 interactions" in str(report)


def test_weights_are_summed_over_repeats_and_must_be_sane() -> None:
    weight = pa.array([1.0, 2.0, -1.0, math.inf, None], pa.float32())
    interactions = pa.table({"user_id": ["u"] * 5, "item_id": ["a", "a", "b", "b", "c"], "weight": weight})
    dataset, report = prepare(
        ({name: interactions[name] for name in interactions.column_names}, {}), Cleaning(repeats="sum")
    )
    assert dataset.weight.tolist() == [3.0]
    assert "weight not finite: 1" in str(report)
    assert "weight below zero: 1" in str(report)


def test_equal_weights_forget_how_often_and_not_whether() -> None:
    columns = {"user_id": ["a", "a", "a", "b", "b"], "item_id": ["x", "y", "z", "x", "x"]}
    table = pa.table({**columns, "weight": pa.array([9000, 0.5, 0, -2, 3], pa.float32())})
    dataset, report = prepare(({name: table[name] for name in table.column_names}, {}), Cleaning(weights="equal"))
    assert dataset.weight.tolist() == [1, 1, 0, 1]
    assert "weight below zero: 1" in str(report)


def test_scale_and_likes_are_found_stated_or_asked_for() -> None:
    given_rows: list[Row] = [("u", "a", 0.5, 1), ("u", "b", 3.5, 2), ("v", "a", 5.0, 3)]
    found, report = prepare(tables(given_rows))
    assert (found.rating_scale, found.positive_rating) == ((0.5, 5.0, 1.5), 5.0)
    assert "ratings go from 0.5 to 5 in steps of 1.5, as found" in report.facts
    stated, _ = prepare(tables(given_rows, rating_scale=(0.5, 5.0, 0.5)))
    assert (stated.rating_scale, stated.positive_rating) == ((0.5, 5.0, 0.5), 4.0)
    asked, _ = prepare(tables(given_rows), Cleaning(positive_rating=3, low_rating_weight=0.25))
    assert asked.weight.tolist() == [0.25, 1.0, 1.0]
    assert asked.liked().tolist() == [False, True, True]
    continuous, _ = prepare(tables([("u", f"i{n}", n / 7 + 1e-3 * n * n, n) for n in range(300)]))
    assert continuous.rating_scale is not None
    assert continuous.rating_scale[2] == 0


def test_tables_of_items_are_lined_up_and_cold_items_stay() -> None:
    items = pa.table({"item_id": ["c", "b", "cold", "b", None], "title": ["C", "B", "Cold", "again", "none"]})
    given_rows: list[Row] = [("u", "a", 5.0, 1), ("u", "b", 4.0, 2), ("v", "c", None, 3)]
    dataset, report = prepare(tables(given_rows, items=items))
    assert dataset.items.to_pydict() == {"item_id": ["a", "b", "cold"], "title": [None, "B", "Cold"]}
    assert dataset.titles() == ["a", "B", "Cold"]
    assert dataset.items["item_id"].combine_chunks() == dataset.item_ids.values
    facts = "\n".join(report.facts)
    assert "1 item without interactions" in facts
    assert "1 of 4 items have no interactions left and are left out" in facts
    assert "1 item not in the items table" in facts
    assert "1 row without an id left out" in facts
    assert "1 row with the id of a row before left out, such as 'b'" in facts
    core, _ = prepare(tables(given_rows, items=items), Cleaning(min_item_interactions=1))
    assert core.item_ids.values.to_pylist() == ["a", "b"]
    assert "2 of 4 items have no interactions left and are left out" in core.report.facts


def test_a_table_of_other_ids_is_an_error() -> None:
    items = pa.table({"item_id": ["x", "y"]})
    with pytest.raises(DataError, match="none of the 1 items of the interactions is in the items table"):
        prepare(tables([("u", "a", 5.0, 1)], items=items))


@pytest.mark.parametrize(
    "options",
    [{"repeats": "some"}, {"min_user_interactions": -1}, {"max_user_interactions": 0}, {"min_rating": math.nan}],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        Cleaning(**options)


pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=60)


@settings(max_examples=sized(15, 1000))
@given(pairs, st.integers(0, 4), st.integers(0, 4))
def test_the_k_core_is_what_is_left_of_dropping_one_by_one(
    given_pairs: list[tuple[int, int]], min_user: int, min_item: int
) -> None:
    user, item = np.array(given_pairs).T
    kept = np.ones(len(user), bool)
    while True:
        poor = [
            row
            for row in np.flatnonzero(kept)
            if (user[kept] == user[row]).sum() < min_user or (item[kept] == item[row]).sum() < min_item
        ]
        if not poor:
            break
        kept[poor[0]] = False
    engine = shared_engine()
    frame = engine.read(pa.table({"user": user, "item": item}))
    left, steps = drop_k_core(frame, engine, min_user, min_item, pairs=False)
    rows = sorted(row["row"] for row in plain_rows(left.select("row")))
    assert rows == (np.flatnonzero(kept) + 1).tolist()
    assert sum(step.dropped for step in steps) == (~kept).sum()
