"""Fold: parts of its users, each with all of their targets."""

from __future__ import annotations

import numpy as np
import pytest

from genre.data.folds import Fold, Split
from genre.preprocessing.splits import LeaveOneOut
from genre.testing import toy_dataset


@pytest.fixture(scope="module")
def parts() -> Split:
    return LeaveOneOut().split(toy_dataset(n_users=60))


def test_halves_part_the_users(parts: Split) -> None:
    one, other = (set(half.users().tolist()) for half in parts.validation.halves())
    assert not one & other
    assert one | other == set(parts.validation.users().tolist())
    assert abs(len(one) - len(other)) <= 1


def test_a_sample_has_the_targets_of_some_users(parts: Split) -> None:
    fold = parts.validation.sample(10, 0)
    assert len(fold.users()) == 10
    assert fold.context is parts.validation.context
    assert parts.validation.sample(1000, 0) is parts.validation
    assert parts.validation.sample(None, 0) is parts.validation


def test_repeats_are_the_targets_that_a_history_holds(parts: Split) -> None:
    whole = toy_dataset(n_users=60)
    some = np.random.default_rng(0).random(len(whole)) < 0.6
    fold = Fold(whole.where(some), whole)
    assert np.array_equal(fold.repeats(), np.isin(whole.pairs(), whole.where(some).pairs()))
    assert fold.repeats().any()
    assert not fold.repeats().all()
    assert not parts.test.repeats().any()
    assert len(Fold(whole, whole.where(np.zeros(len(whole), bool))).repeats()) == 0
    assert not Fold(whole.where(np.zeros(len(whole), bool)), whole).repeats().any()
