"""Fold: parts of its users, each with all of their targets."""

from __future__ import annotations

import pytest

from genre.data.folds import Split
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
