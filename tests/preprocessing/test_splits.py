"""Splits: nothing of the future in the past, nothing twice, nothing lost."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.folds import Fold, Split
from genre.data.ids import Ids
from genre.errors import DataError, OptionError
from genre.kinds import KINDS
from genre.preprocessing.entity_splits import ColdItems, ColdUsers, StrongSplit
from genre.preprocessing.splits import GivenSplit, LeaveOneOut, RandomSplit, Splitter, TimeSplit, split
from genre.testing import toy_dataset

Triple = tuple[int, int, int]


def dataset(rows: list[Triple], part: list[int] | None = None) -> Dataset:
    user, item, time = (list(column) for column in zip(*rows, strict=True))
    ids = Ids(map(str, range(8)))
    return Dataset.from_arrays(user=user, item=item, timestamp=time, user_ids=ids, item_ids=ids, part=part)


triples = st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 12))
datasets = st.lists(triples, min_size=30, max_size=60).map(dataset)
shares = st.sampled_from([0.05, 0.1, 0.3, 0.45])


def rows_of(data: Dataset) -> list[Triple]:
    assert data.timestamp is not None
    return sorted(zip(data.user.tolist(), data.item.tolist(), data.timestamp.tolist(), strict=True))


def made(splitter: Splitter, data: Dataset) -> Split:
    try:
        return splitter.split(data)
    except DataError:
        assume(False)
        raise


def check_all_accounted_for(parts: Split, data: Dataset) -> None:
    train, validation, test = parts
    assert isinstance(train, Dataset)
    targets = [rows_of(parts.validation.target), rows_of(parts.test.target)]
    assert sorted(rows_of(train) + targets[0] + targets[1]) == rows_of(data)
    assert rows_of(parts.validation.context) == rows_of(train)
    assert rows_of(parts.test.context) == sorted(rows_of(train) + targets[0])
    assert validation is parts.validation
    assert test is parts.test


@given(datasets, shares, shares)
def test_time_cuts_the_past_from_the_future(data: Dataset, validation: float, test: float) -> None:
    parts = made(TimeSplit(validation=validation, test=test), data)
    check_all_accounted_for(parts, data)
    latest = [part.timestamp.max() for part in (parts.train, parts.validation.target)]  # type: ignore[union-attr]
    earliest = [fold.target.timestamp.min() for fold in (parts.validation, parts.test)]  # type: ignore[union-attr]
    assert latest[0] < earliest[0] <= latest[1] < earliest[1]
    assert len(parts.test.target) >= round(len(data) * test)


@given(datasets, st.sampled_from(["first", "last"]))
def test_one_target_a_user_is_the_first_or_last_of_its_part(data: Dataset, which: str) -> None:
    every = made(TimeSplit(validation=0.2, test=0.3), data)
    one = TimeSplit(validation=0.2, test=0.3, target=which).split(data)  # type: ignore[arg-type]
    for whole, fold in zip((every.validation, every.test), (one.validation, one.test), strict=True):
        target = whole.target
        edge = {user: row for row, user in reversed(list(enumerate(target.user)))}
        if which == "last":
            edge = {user: row for row, user in enumerate(target.user)}
        mask = np.zeros(len(target), bool)
        mask[list(edge.values())] = True
        assert rows_of(fold.target) == rows_of(target.where(mask))
    assert rows_of(one.train) == rows_of(every.train)


def test_ties_at_a_cut_fall_after_it_and_are_noted() -> None:
    data = dataset([(n, n, 1) for n in range(5)] + [(0, 6, 2)] + [(n, n, 3) for n in range(2, 6)])
    parts = TimeSplit(validation=0.1, test=0.1).split(dataset([*rows_of(data), (1, 1, 9)]))
    assert len(parts.validation.target) == 4
    assert "validation: 4 interactions share the time of the cut; all are in the part after it" in parts.notes
    with pytest.raises(DataError, match="the validation part is empty"):
        TimeSplit(validation=0.1, test=0.1).split(data)


@pytest.mark.parametrize(
    "when", ["1970-01-01T00:00:09+00:00", 9, datetime.fromtimestamp(9, UTC), "1970-01-01 00:00:09"]
)
def test_a_cut_may_be_a_moment(when: object) -> None:
    data = dataset([(0, n % 8, n) for n in range(12)] * 2)
    parts = TimeSplit(validation_from=6, test_from=when).split(data)  # type: ignore[arg-type]
    assert [len(part) for part in (parts.train, parts.validation.target, parts.test.target)] == [12, 6, 6]  # type: ignore[arg-type]
    assert parts.notes[1] == "validation from 1970-01-01 00:00:06, test from 1970-01-01 00:00:09"


@pytest.mark.parametrize(
    ("test_from", "sizes"), [(30, (26, 4, 10)), (33, (29, 4, 7)), (39, (35, 4, 1)), (5, (1, 4, 35)), (6, (2, 4, 34))]
)
def test_the_validation_share_is_the_newest_before_a_test_from_a_date(test_from: int, sizes: tuple[int, ...]) -> None:
    day = 86_400
    start = int(datetime(2020, 9, 1, tzinfo=UTC).timestamp())
    data = dataset([(n % 8, n // 5, start + n * day) for n in range(40)])
    moment = start + test_from * day
    for when in (moment, datetime.fromtimestamp(moment, UTC).date(), datetime.fromtimestamp(moment, UTC).isoformat()):
        parts = split(data, "time", {"test_from": when})
        assert (len(parts.train), len(parts.validation.target), len(parts.test.target)) == sizes
        assert parts.validation.target.timestamp is not None
        assert parts.validation.target.timestamp.max() == moment - day
    larger = split(data, "time", {"test_from": moment, "validation": 0.02, "test": 0.9})
    assert len(larger.validation.target) == 1, "2 % of 40, and the share of the test counts for nothing beside its date"
    assert len(split(data, "time", {"test_from": moment, "validation": 0.0}).train) == 40 - sizes[2]


@pytest.mark.parametrize("test_from", [0, 4])
def test_a_test_that_leaves_nothing_to_train_on_is_an_error(test_from: int) -> None:
    data = dataset([(n % 8, n // 5, n) for n in range(40)])
    with pytest.raises(DataError, match=r"the train part is empty .* choose other dates"):
        split(data, "time", {"test_from": test_from})


def test_moments_that_make_no_sense_are_errors() -> None:
    data = toy_dataset()
    with pytest.raises(OptionError, match="exchange them"):
        TimeSplit(validation_from=date(2005, 1, 1), test_from="2001-01-01").split(data)
    with pytest.raises(OptionError, match="'tomorrow' is not a time"):
        TimeSplit(test_from="tomorrow").split(data)
    with pytest.raises(DataError, match="the test part is empty"):
        TimeSplit(test_from="2050-01-01").split(data)


@given(datasets)
def test_leave_one_out_takes_the_last_two_of_each_user_with_three(data: Dataset) -> None:
    parts = made(LeaveOneOut(), data)
    check_all_accounted_for(parts, data)
    for user in range(8):
        of_user = np.flatnonzero(data.user == user)
        times = of_user if data.timestamp is None else data.timestamp[of_user]  # without times none are at one time
        moments = [[*group] for _, group in itertools.groupby(zip(data.item[of_user].tolist(), times, strict=True))]
        target = parts.test.target.item[parts.test.target.user == user].tolist()
        assert target == ([item for item, _ in moments[-1]] if len(moments) >= 3 else [])


def test_leave_one_out_tears_no_moment_apart() -> None:
    """Two lines of one basket with the same item: the second is no target that the history has."""
    data = dataset([(0, 1, 1), (0, 2, 2), (0, 3, 3), (0, 3, 3), (0, 4, 4), (0, 4, 4), (1, 1, 1), (1, 2, 2), (1, 2, 2)])
    parts = LeaveOneOut().split(data)
    assert (parts.test.target.user.tolist(), parts.test.target.item.tolist()) == ([0, 0], [4, 4])
    assert parts.validation.target.item.tolist() == [3, 3]
    assert len(parts.train) == 2 + 3


def test_leave_one_out_counts_ties_and_short_histories() -> None:
    data = dataset([(0, 1, 1), (0, 2, 2), (0, 3, 2), (1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 1)])
    notes = LeaveOneOut().split(data).notes
    assert "1 user with fewer than 3 interactions, in train only" in notes
    assert "1 of 2 users: the test ties in time with the interaction before it" in notes


@given(datasets, shares, shares, st.integers(0, 3), st.integers(0, 1))
def test_random_parts_have_their_shares(
    data: Dataset, validation: float, test: float, seed: int, per_user: int
) -> None:
    splitter = RandomSplit(validation=validation, test=test, seed=seed, per_user=bool(per_user))
    parts = made(splitter, data)
    check_all_accounted_for(parts, data)
    assert rows_of(splitter.split(data).train) == rows_of(parts.train)
    sizes = np.bincount(data.user, minlength=8) if per_user else np.array([len(data)])
    found = np.bincount(parts.test.target.user, minlength=8) if per_user else np.array([len(parts.test.target)])
    assert (found == np.floor(np.round(sizes * test, 6))).all()


@given(datasets, shares, st.sampled_from(["time", "random"]), st.integers(0, 3))
def test_strong_generalisation_gives_held_out_users_a_history(
    data: Dataset, fold_in: float, order: str, seed: int
) -> None:
    parts = made(StrongSplit(validation=0.2, test=0.3, fold_in=fold_in, order=order, seed=seed), data)  # type: ignore[arg-type]
    everything = [rows_of(parts.train)]
    for fold in (parts.validation, parts.test):
        held_out = set(fold.target.user.tolist())
        assert not held_out & set(parts.train.user.tolist())
        history = fold.context.where(np.isin(fold.context.user, list(held_out)))
        assert set(history.user.tolist()) == held_out
        everything += [rows_of(history), rows_of(fold.target)]
        if order == "time":
            for user in held_out:
                last_seen = history.timestamp[history.user == user].max()  # type: ignore[index]
                assert last_seen <= fold.target.timestamp[fold.target.user == user].min()  # type: ignore[index]
    assert sorted(itertools.chain(*everything)) == rows_of(data)


@given(datasets, st.integers(0, 3))
def test_cold_items_and_users_are_unseen_in_training(data: Dataset, seed: int) -> None:
    for splitter, column in ((ColdItems(0.2, 0.3, seed), "item"), (ColdUsers(0.2, 0.3, seed), "user")):
        parts = made(splitter, data)
        check_all_accounted_for(parts, data)
        groups = [
            set(getattr(part, column).tolist()) for part in (parts.train, parts.validation.target, parts.test.target)
        ]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]
        assert any(f"of {len(groups[2])} {column}s are unseen in training" in note for note in parts.notes)


def test_a_given_split_is_followed() -> None:
    rows = [(0, 1, 1), (0, 2, 2), (1, 1, 1), (1, 3, 2)]
    parts = GivenSplit().split(dataset(rows, part=[0, 2, 0, 1]))
    check_all_accounted_for(parts, dataset(rows))
    assert rows_of(parts.test.target) == [(0, 2, 2)]
    assert len(GivenSplit().split(dataset(rows, part=[0, 2, 0, 2])).validation.target) == 0
    with pytest.raises(DataError, match="came without a split"):
        GivenSplit().split(dataset(rows))


@pytest.mark.parametrize("kind", KINDS["split"])
def test_every_kind_refuses_data_it_cannot_split(kind: str) -> None:
    with pytest.raises(DataError):
        split(dataset([(0, 0, 0)]), kind)


def test_kinds_by_name_and_their_options() -> None:
    data = toy_dataset()
    assert rows_of(split(data, "time", {"test": 0.3}).train) == rows_of(split(data, TimeSplit(test=0.3)).train)
    with pytest.raises(OptionError, match=r"no split is called 'tme' \(did you mean 'time'\?\)"):
        split(data, "tme")
    with pytest.raises(OptionError, match=r"TimeSplit has no option 'tests' \(did you mean 'test'\?\)"):
        split(data, "time", {"tests": 0.1})
    with pytest.raises(OptionError, match="test"):
        split(data, "time", {"test": 1.5})
    without_times = Dataset.from_arrays(user=data.user, item=data.item, user_ids=data.user_ids, item_ids=data.item_ids)
    with pytest.raises(DataError, match="needs timestamps"):
        split(without_times)


def test_features_reach_every_part() -> None:
    made_of = Features(np.ones((12, 2), np.float32), "x")
    parts = split(toy_dataset(), "random").with_features(items=made_of)
    folds = [*parts.validation, *parts.test]
    assert all(part.item_features is made_of for part in (parts.train, *folds))
    assert parts.notes


def test_a_context_is_made_once_and_only_when_read() -> None:
    data, made_of = toy_dataset(), []

    def context() -> Dataset:
        made_of.append(1)
        return data

    fold = Fold(context, data)
    other = fold.with_features(items=Features(np.ones((data.n_items, 2), np.float32), "x"))
    assert not made_of
    assert fold.context is data
    assert other.context.item_features is not None
    assert [*fold] == [data, data]
    assert len(made_of) == 1
