"""Fields that tell the test part by being there or missing, whatever their values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from genre.data.folds import Split
from genre.evaluation.leakage.fields import check_table_fields
from genre.evaluation.leakage.presence import check_presence
from genre.preprocessing.splits import LeaveOneOut, TimeSplit
from planted_leaks import counts, with_field, with_tables, world

DATA = world(3)
BARE = with_tables(TimeSplit().split(DATA), items=DATA.items.select(["item_id"]), users=DATA.users.select(["user_id"]))
BY_TIME, BY_USER = BARE, LeaveOneOut().split(dataclasses.replace(DATA, items=BARE.train.items, users=BARE.train.users))


def valued(marked: object) -> list[float | None]:
    """A random value where marked, none elsewhere."""
    rng = np.random.default_rng(0)
    return [float(rng.integers(9)) if mark else None for mark in np.asarray(marked)]


def severities(split: Split, side: str, marked: object) -> set[str]:
    planted = with_field(split, side, "planted", valued(marked))
    fields = check_table_fields(planted, user_texts={}, item_vectors={}, user_vectors={})
    return {finding.severity for finding in (*check_presence(planted), *fields)}


@pytest.mark.parametrize("what", ["has it", "lacks it"])
@pytest.mark.parametrize(("split", "side"), [(BY_TIME, "item"), (BY_TIME, "user"), (BY_USER, "item")])
def test_a_field_of_the_test_part_alone_is_an_error(split: Split, side: str, what: str) -> None:
    assert "error" in severities(split, side, (counts(split.test.target, side) > 0) == (what == "has it"))


def test_a_field_of_some_rows_of_the_test_part_alone_is_named() -> None:
    some = np.random.default_rng(1).random(DATA.n_items) < 0.5
    assert severities(BY_USER, "item", some & (counts(BY_USER.test.target) > 0))


def test_a_field_of_most_rows_of_the_test_part_and_few_others_is_named() -> None:
    flipped = np.random.default_rng(1).random(DATA.n_items) < 0.08
    assert severities(BY_USER, "item", (counts(BY_USER.test.target) > 0) != flipped)


@pytest.mark.parametrize("split", [BY_TIME, BY_USER], ids=["by time", "by user"])
def test_a_field_of_what_was_known_before_is_no_leak(split: Split) -> None:
    """Of popular items, of items that are known, of items that are new since: each is oftener in the test part."""
    trained = counts(split.train)
    new = (counts(split.test.context) == 0) & (counts(split.test.target) > 0)
    for marked in (trained >= np.quantile(trained, 0.7), trained > 0, new):
        for has in (marked, ~marked):
            assert severities(split, "item", has) == set()
