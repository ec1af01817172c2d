"""What is fitted already is not fitted again, and the scores stay the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.folds import Fold, hold_out_last
from genre.recommenders.base import Recommender
from genre.recommenders.baseline import Baseline
from genre.recommenders.blend import Blend
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from genre.recommenders.ranker import Ranker
from genre.recommenders.reusing import HeldOut, Reusable, fit_reusing
from genre.recommenders.scaled import Scaled
from genre.testing import toy_dataset

FIRST = Blend((Popularity(), EASE(regularization=20)))
RANKER = Ranker(FIRST, candidates=5, epochs=1, networks=1)
SINGLE = EASE(regularization=20, history_half_life=2)  # scoring alone reads the half-life


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the training parts that EASE was fitted on."""
    found: list[int] = []
    learn = EASE._fit

    def counted(self: EASE, dataset: Dataset, *others: Any) -> None:
        found.append(len(dataset))
        learn(self, dataset, *others)

    monkeypatch.setattr(EASE, "_fit", counted)
    return found


def parts() -> tuple[Dataset, Fold]:
    held = hold_out_last(toy_dataset(), remedy="")
    return held.context, held


def same_scores(one: Recommender, other: Recommender, train: Dataset) -> bool:
    return np.array_equal(one.score(train.history()), other.score(train.history()))


def test_a_ranker_takes_fitted_members_and_scores_as_if_it_had_fitted_them(fits: list[int]) -> None:
    train, validation = parts()
    alone = dataclasses.replace(RANKER).fit(train, validation=validation)
    fits.clear()
    single = dataclasses.replace(SINGLE).fit(train, validation=validation)
    beside = dataclasses.replace(RANKER)
    fit_reusing(beside, Reusable(train, [single]), train, validation=validation)
    assert fits == [len(train), len(hold_out_last(train, remedy="").context)], "once each, not twice on all"
    assert same_scores(beside, alone, train)


def test_two_rankers_share_what_is_fitted_without_the_last_items(fits: list[int]) -> None:
    train, validation = parts()
    linear = dataclasses.replace(RANKER, hidden=0)
    alone = dataclasses.replace(linear).fit(train, validation=validation)
    fits.clear()
    held_out = HeldOut()
    one, other = dataclasses.replace(RANKER), dataclasses.replace(linear)
    fit_reusing(one, Reusable(train, (), held_out), train, validation=validation)
    fit_reusing(other, Reusable(train, [one], held_out), train, validation=validation)
    assert len(fits) == 2
    assert same_scores(other, alone, train)
    assert not same_scores(other, one, train)


def test_without_a_validation_part_weights_and_networks_learn_with_the_same_members(fits: list[int]) -> None:
    train, _ = parts()
    dataclasses.replace(RANKER).fit(train)
    assert len(fits) == 2, "without the last items, and on all"


def test_what_was_fitted_with_other_options_or_data_is_fitted_again(fits: list[int]) -> None:
    train, validation = parts()
    other = EASE(regularization=21).fit(train, validation=validation)
    held_out = HeldOut()
    fit_reusing(dataclasses.replace(RANKER), Reusable(train, [other], held_out), train, validation=validation)
    assert len(fits) == 3
    shorter = train.where(train.user % 2 == 0)
    fit_reusing(dataclasses.replace(RANKER), Reusable(shorter, (), held_out), shorter)
    assert len(fits) == 5


def test_options_that_scoring_alone_reads_stay_those_of_the_recommender(fits: list[int]) -> None:
    train, validation = parts()
    known = EASE(regularization=20).fit(train)
    made = dataclasses.replace(SINGLE)
    assert fit_reusing(made, Reusable(train, [known]), train, validation=validation) is made
    assert len(fits) == 1
    assert same_scores(made, dataclasses.replace(SINGLE).fit(train), train)
    assert known.history_half_life is None


def test_a_first_stage_that_learns_from_other_data_is_no_fitted_recommender_and_takes_none() -> None:
    train, validation = parts()
    single, scaled = Baseline().fit(train), Scaled(Baseline(), method="z-score").fit(train, validation=validation)
    beside = Scaled(Baseline(), method="z-score")
    fit_reusing(beside, Reusable(train, [single]), train, validation=validation)
    assert beside.first_[0].mean_ == scaled.first_[0].mean_ != single.mean_
    after = fit_reusing(Baseline(), Reusable(train, [scaled]), train, validation=validation)
    assert same_scores(after, single, train)
