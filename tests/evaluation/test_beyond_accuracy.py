"""Metrics beyond accuracy against values computed by hand and by SciPy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from genre.data.history import History
from genre.evaluation import beyond_accuracy
from genre.evaluation.item_statistics import ItemStatistics
from genre.evaluation.tied_ranks import Ranks


def test_lists_beyond_accuracy() -> None:
    top = np.array([[0, 1], [0, 2], [0, -1]], np.int32)
    popularity = np.array([4, 2, 1, 1])
    vectors = np.array([[1, 0], [0, 2], [3, 3], [1, 1]], np.float32)
    ranks = lists(top, ItemStatistics(popularity, n_users=4, vectors=vectors))
    assert beyond_accuracy.coverage(ranks) == 3 / 4
    counts = np.array([3, 1, 1, 0])
    spread = np.abs(counts[:, None] - counts[None]).sum() / (2 * 4 * counts.sum())  # mean absolute difference
    assert beyond_accuracy.gini(ranks) == pytest.approx(spread)
    assert beyond_accuracy.novelty(ranks) == pytest.approx([0.5, 1.0, 0.0])
    assert beyond_accuracy.popularity(ranks) == pytest.approx([(7 / 8 + 5 / 8) / 2, (7 / 8 + 2 / 8) / 2, 7 / 8])
    assert beyond_accuracy.diversity(ranks) == pytest.approx([1.0, 1 - math.sqrt(0.5), math.nan], nan_ok=True)


def test_calibration_is_one_minus_jensen_shannon() -> None:
    import scipy.sparse as sp

    categories = sp.csr_matrix(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], float))
    items = ItemStatistics(np.ones(4, np.int64), 2, categories=categories)
    ranks = lists(np.array([[0, 1], [2, 0], [3, -1]], np.int32), items, History.of([[2, 0], [2, 0], [0]], 4))
    found = beyond_accuracy.calibration(ranks)
    listed, known = [0.75, 0.25, 0], [0.5, 0, 0.5]
    assert found[:2] == pytest.approx([1 - jensenshannon(listed, known, base=2), 1.0])
    assert np.isnan(found[2])  # the listed item has no category


def test_tail_recall_serendipity_and_group_gap(ranks_of: Callable[..., Ranks]) -> None:
    import dataclasses

    items = ItemStatistics(np.array([80, 12, 5, 3]), 100)  # items 1..3 hold a fifth: the tail
    assert items.tail.tolist() == [False, True, True, True]
    ranks = dataclasses.replace(ranks_of([4, 3, 2, 1], [0, 1, 3], 2), items=items)
    assert beyond_accuracy.tail_recall(ranks) == pytest.approx([0.5])
    assert beyond_accuracy.serendipity(ranks) == pytest.approx([(1 - 7 / 8 + 1 - 5 / 8) / 2])
    assert np.isnan(beyond_accuracy.tail_recall(dataclasses.replace(ranks_of([4, 3, 2, 1], [0], 2), items=items)))
    two = dataclasses.replace(
        ranks, indptr=np.array([0, 1, 2, 3]), candidates=np.array([4, 4, 4]), user_groups=np.array([0, 1, -1])
    )
    assert beyond_accuracy.group_gap(two) == pytest.approx(1 - 1 / math.log2(3))


def lists(top: np.ndarray, items: ItemStatistics, history: History | None = None) -> Ranks:
    n = len(top)
    nothing = np.empty(0, np.int64)
    return Ranks(
        top.shape[1],
        np.zeros(n + 1, np.int64),
        nothing.astype(np.int32),
        nothing,
        nothing,
        None,
        top,
        items,
        history,
    )
