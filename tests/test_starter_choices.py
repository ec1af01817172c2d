"""Facts of the data and what follows from them, each by a table."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from genre.config.starter_choices import choose_evaluated_users, choose_recommenders, choose_split
from genre.config.starter_facts import Facts, describe, measure
from genre.data.dataset import Dataset
from genre.data.ids import Ids

FACTS = Facts(
    users=1000,
    items=500,
    interactions=9000,
    order="time",
    calendar=True,
    tied=0.0,
    step_repeats=2.0,
    branching=9.0,
    repeats=0.0,
    length=9.0,
    judged_by_time=400,
    judged_by_last=900,
    rated=False,
    liked_from=None,
    largest_weight=1.0,
    has_test=False,
    texts=(),
)


@pytest.mark.parametrize(
    ("change", "kind", "why"),
    [
        ({}, "time", "newest tenth is the test"),
        ({"judged_by_time": 60}, "leave-one-out", "would judge 60 of them"),
        ({"order": "positions", "judged_by_time": 0}, "leave-one-out", "positions in a history"),
        ({"order": "lines", "judged_by_time": 0}, "leave-one-out", "lines of a user are in order"),
        ({"order": "none", "judged_by_time": 0}, "random", "neither times nor an order"),
        ({"has_test": True}, "given", "names its parts"),
    ],
)
def test_the_split_follows_from_the_facts(change: dict[str, Any], kind: str, why: str) -> None:
    choice = choose_split(dataclasses.replace(FACTS, **change))
    assert choice.values["kind"] == kind
    assert why in choice.why


def test_a_second_ranker_reads_the_clock_where_times_are_those_of_requests() -> None:
    def contexts(**change: Any) -> list[list[str] | None]:
        choices = choose_recommenders(dataclasses.replace(FACTS, **change))
        return [choice.values.get("context") for choice in choices if choice.values["kind"] == "ranker"]

    assert contexts() == [None]
    assert contexts(clock=True) == [None, ["recent"]]
    assert contexts(clock=True, context=("device",)) == [["device"], ["recent", "device"]]
    assert contexts(clock=True, length=3.0) == []


@pytest.mark.parametrize(
    ("change", "there"),
    [({}, True), ({"texts": ("title",)}, False), ({"texts": ("title",), "length": 40.0}, True)],
)
def test_a_ranker_reads_factors_where_histories_are_long_or_texts_are_missing(
    change: dict[str, Any],
    there: bool,  # noqa: FBT001
) -> None:
    [ranker] = (
        choice.values
        for choice in choose_recommenders(dataclasses.replace(FACTS, **change))
        if choice.values["kind"] == "ranker"
    )
    assert ("als" in [member["kind"] for member in ranker["first"]["recommenders"]]) == there


@pytest.mark.parametrize(
    ("change", "half_life"),
    [({"step_repeats": 1.5}, 20), ({"step_repeats": 2.0}, 1.5), ({"step_repeats": 2.0, "length": 30.0}, 5.0)],
)
def test_older_items_count_more_where_steps_tell_little(change: dict[str, Any], half_life: float) -> None:
    choices = choose_recommenders(dataclasses.replace(FACTS, **change))
    alike, newest = (choice.values for choice in choices if choice.values["kind"] == "item_knn")
    assert "history_half_life" not in alike, "lines in order need not be an order of time: validation weighs both"
    assert newest == {**alike, "history_half_life": half_life}


@pytest.mark.parametrize(
    ("times", "clock"), [((1_700_000_000, 1_700_000_100, 1_700_090_000), True), ((5, 7, 40), False)]
)
def test_a_clock_is_late_enough_to_be_one(times: tuple[int, ...], clock: bool) -> None:  # noqa: FBT001
    ids = Ids(["u"]), Ids(["a", "b", "c"])
    data = Dataset.from_arrays(user=[0, 0, 0], item=[0, 1, 2], timestamp=[*times], user_ids=ids[0], item_ids=ids[1])
    assert measure(data, calendar=True, in_order=False).clock == clock
    assert not measure(data, calendar=False, in_order=False).clock


@pytest.mark.parametrize(
    ("change", "there", "absent"),
    [
        ({}, {"popularity", "transitions", "ease", "item_knn", "als", "blend"}, {"content", "rating_factors"}),
        ({"order": "none"}, {"ease", "als", "blend"}, {"transitions", "sasrec", "ranker"}),
        ({"items": 30_000}, {"ease_neighbours"}, {"ease"}),
        ({"texts": ("title",), "shared_words": 0.9}, {"content", "shared_words", "smoothed", "ranker"}, set()),
        ({"texts": ("title",), "shared_words": 0.2}, {"content", "smoothed", "ranker"}, {"shared_words"}),
        ({"texts": ("title",), "order": "none"}, {"content"}, {"smoothed"}),
        ({"length": 3.0}, {"blend"}, {"ranker"}),
        ({"interactions": 600_000}, {"blend"}, {"ranker", "bpr"}),
        ({"interactions": 90_000, "length": 40.0}, set(), {"sasrec"}),
        ({"interactions": 90_000, "length": 40.0, "judged_by_time": 9}, {"sasrec"}, set()),
        ({"interactions": 90_000, "length": 40.0, "judged_by_time": 9, "torch": False}, set(), {"sasrec"}),
        ({"rated": True, "liked_from": 4.0}, {"rating_factors"}, {"mlp"}),
    ],
)
def test_the_recommenders_follow_from_the_facts(change: dict[str, Any], there: set[str], absent: set[str]) -> None:
    choices = choose_recommenders(dataclasses.replace(FACTS, **change))
    kinds = {choice.values["kind"] for choice in choices}
    assert there <= kinds
    assert not absent & kinds
    assert all(choice.why for choice in choices)
    [blend] = (choice.values for choice in choices if choice.values["kind"] == "blend")
    members = {member["kind"] for member in blend["recommenders"]}
    assert members <= kinds
    assert "rating_factors" not in members
    assert ("content" in members) == ("content" in kinds)


def test_a_large_catalogue_is_ranked_for_fewer_users_and_without_neighbourhoods() -> None:
    def kinds(items: int) -> set[str]:
        choices = choose_recommenders(dataclasses.replace(FACTS, items=items))
        return {choice.values["kind"] for choice in choices}

    assert "ease_neighbours" in kinds(100_000)
    assert not {"ease", "ease_neighbours"} & kinds(100_001)
    many = dataclasses.replace(FACTS, judged_by_time=60_000, judged_by_last=70_000)
    for items, users in ((500, None), (40_000, None), (80_000, 25_000), (200_000, 10_000), (5_000_000, 10_000)):
        assert choose_evaluated_users(dataclasses.replace(many, items=items)) == users
    few = dataclasses.replace(many, items=200_000, judged_by_time=9_000, judged_by_last=9_500)
    assert choose_evaluated_users(few) is None


@pytest.mark.parametrize(("judged", "buckets"), [(900, None), (2000, 3)])
def test_a_blend_has_weights_by_length_where_enough_users_are_judged(judged: int, buckets: int | None) -> None:
    facts = dataclasses.replace(FACTS, order="lines", judged_by_last=judged)
    [blend] = (one.values for one in choose_recommenders(facts) if one.values["kind"] == "blend")
    assert blend.get("length_buckets") == buckets


def test_history_is_weighed_with_and_without_decay_where_it_has_an_order() -> None:
    def decays(order: str) -> list[Any]:
        choices = choose_recommenders(dataclasses.replace(FACTS, order=order))  # type: ignore[arg-type]
        return [one.values.get("history_half_life") for one in choices if one.values["kind"] == "ease"]

    assert len(decays("lines")) == 2
    assert None in decays("lines")
    assert decays("none") == [None]


def histories(rows: list[list[int]], times: list[list[int]] | None = None, **columns: Any) -> Dataset:
    n_items = 1 + max(max(row) for row in rows)
    return Dataset.from_arrays(
        user=np.repeat(np.arange(len(rows)), [len(row) for row in rows]),
        item=np.concatenate(rows),
        timestamp=None if times is None else np.concatenate(times),
        user_ids=Ids(f"u{at}" for at in range(len(rows))),
        item_ids=Ids(f"i{at}" for at in range(n_items)),
        **columns,
    )


def walks(n: int = 60, length: int = 8, items: int = 40, seed: int = 0) -> list[list[int]]:
    """Histories in which the item after i is i + 7, but for a random start and some noise."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(items, size=n)
    return [[int((start + 7 * step) % items) for step in range(length)] for start in starts]


DAY = 86_400


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (lambda user, row: [1_600_000_000 + DAY * (user + 3 * at * at) for at in range(len(row))], "time"),
        (lambda user, row: list(range(len(row))), "positions"),
        (lambda user, row: [1_600_000_000 + DAY * at for at in range(len(row))], "positions"),
        (lambda user, row: [5 * at for at in range(1, 1 + len(row))], "positions"),
        (lambda user, row: [0, *(at * at + user for at in range(1, len(row)))], "positions"),
    ],
)
def test_positions_are_told_from_times(times: Any, order: str) -> None:
    rows = walks()
    made = histories(rows, [times(user, row) for user, row in enumerate(rows)])
    assert measure(made, calendar=True, in_order=False).order == order


def test_the_order_of_lines_counts_where_it_tells_of_the_next_item() -> None:
    rows = walks()
    found = measure(histories(rows), calendar=False, in_order=False)
    assert found.order == "lines"
    assert found.step_repeats > 2
    assert found.branching == pytest.approx(1)
    shuffled = [list(np.random.default_rng(at).permutation(row)) for at, row in enumerate(rows)]
    assert measure(histories(shuffled), calendar=False, in_order=False).order == "none"
    assert measure(histories(shuffled), calendar=False, in_order=True).order == "lines", "the form of the file says so"
    assert measure(histories([sorted(row) for row in rows]), calendar=False, in_order=False).order == "none"


def test_words_count_as_shared_where_two_titles_have_them() -> None:
    titles = ["Blue cup", "blue Pan", "lamp", "", "cup"]
    made = histories(walks(items=5), items=pa.table({"item_id": [f"i{at}" for at in range(5)], "title": titles}))
    assert measure(made, calendar=False, in_order=True, texts=("title",)).shared_words == pytest.approx(3 / 5)
    assert measure(made, calendar=False, in_order=True).shared_words == 0


def test_facts_are_those_that_a_count_by_hand_gives() -> None:
    rows = [[0, 1, 2, 0], [1, 2], [2, 0, 1]]
    times = [[10, 10, 20, 30], [5, 40], [1, 2, 3]]
    found = measure(histories(rows, times), calendar=True, in_order=False)
    assert (found.users, found.items, found.interactions, found.length) == (3, 3, 9, 3)
    assert found.repeats == pytest.approx(1 / 9)
    assert found.tied == pytest.approx(1 / 6)
    assert (found.judged_by_time, found.judged_by_last) == (1, 2)
    # next items: 0 -> 1, 1; 1 -> 2, 2; 2 -> 0, 0
    assert found.branching == pytest.approx(1)
    assert "11.1% of the interactions repeat an item of the same user" in list(describe(found))
