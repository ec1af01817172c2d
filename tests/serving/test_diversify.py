"""Novelty and diversity of a list."""

from __future__ import annotations

import numpy as np

from genre.serving.diversify import diversify


def test_novelty_and_diversity_of_zero_change_nothing() -> None:
    items, scores = np.arange(5, dtype=np.int32), np.array([9.0, 7, 5, 3, 1])
    found, _ = diversify(items, scores, 3, novelty=0, diversity=0, popularity=np.ones(5, np.float32), vectors=None)
    assert found.tolist() == [0, 1, 2]


def test_novelty_and_diversity() -> None:
    items, scores = np.arange(6, dtype=np.int32), np.array([1.0, 0.99, 0.98, 0.6, 0.59, 0.0])
    popularity = np.array([100, 90, 80, 5, 4, 1], np.float32)
    vectors = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1, 1]]
    novel, _ = diversify(items, scores, 2, novelty=1, diversity=0, popularity=popularity, vectors=None)
    assert novel.tolist() == [5, 4]
    varied, _ = diversify(items, scores, 3, novelty=0, diversity=0.5, popularity=popularity, vectors=vectors)
    assert varied.tolist() == [0, 3, 1]
    few, _ = diversify(items[:2], scores[:2], 5, novelty=0, diversity=1, popularity=popularity, vectors=vectors)
    assert sorted(few.tolist()) == [0, 1]
    none, _ = diversify(items[:0], scores[:0], 5, novelty=0.5, diversity=0.5, popularity=popularity, vectors=vectors)
    assert none.tolist() == []
