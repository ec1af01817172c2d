"""Baskets: what belongs to one visit."""

import dataclasses

import numpy as np

from genre.data.baskets import basket_matrix, number_baskets
from genre.data.history import History


def world() -> History:
    """Two baskets and a late line; nothing; one basket that begins when the first history ends."""
    history = History.of([[0, 1, 0, 2], [], [1, 1]], 3)
    return dataclasses.replace(history, timestamp=np.array([0, 0, 60, 600, 600, 600]))


def test_interactions_at_one_time_are_a_basket() -> None:
    assert number_baskets(world()).tolist() == [0, 0, 1, 2, 3, 3], "no basket holds interactions of two histories"
    assert number_baskets(world(), gap_minutes=1).tolist() == [0, 0, 0, 1, 2, 2]
    assert number_baskets(world(), gap_minutes=9).tolist() == [0, 0, 0, 0, 1, 1], "each counts from the one before"


def test_without_times_each_interaction_is_its_own() -> None:
    assert number_baskets(dataclasses.replace(world(), timestamp=None)).tolist() == [0, 1, 2, 3, 4, 5]
    assert number_baskets(History.of([], 3)).tolist() == []


def test_an_item_is_once_in_a_basket_and_not_if_it_was_not_liked() -> None:
    assert basket_matrix(world()).toarray().tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    unliked = dataclasses.replace(world(), weight=np.array([1, 0, 1, 1, 3, 3], np.float32))
    assert basket_matrix(unliked).toarray().tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert basket_matrix(History.of([[], []], 3)).shape == (0, 3)
