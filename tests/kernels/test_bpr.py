"""The kernels of `kernels/bpr.py` against gradients written out in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.kernels.bpr import STEP, pairwise_epoch, softmax_epoch


class Epoch(NamedTuple):
    """The arguments of an epoch."""

    order: np.ndarray
    indptr: np.ndarray
    item: np.ndarray
    users: np.ndarray
    items: np.ndarray
    rate: np.float32
    decay: np.float32
    rng: np.random.Generator

    def draw(self, *shape: int) -> np.ndarray:
        return self.rng.integers(0, len(self.items), shape, np.int32)

    def mark(self) -> np.ndarray:
        return np.full(len(self.items), -1, np.int32)


@st.composite
def epochs(draw: st.DrawFn) -> Epoch:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_items, dim = draw(st.integers(1, 30)), draw(st.integers(2, 20))
    lengths = draw(st.lists(st.integers(0, min(n_items, 2 * STEP + 3)), min_size=1, max_size=6))
    users = rng.normal(0, 0.5, (len(lengths), dim)).astype(np.float32)
    users[:, -1] = 1
    return Epoch(
        rng.permutation(len(lengths)),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([rng.choice(n_items, n, replace=False) for n in lengths]).astype(np.int32),
        users,
        rng.normal(0, 0.5, (n_items, dim)).astype(np.float32),
        np.float32(draw(st.floats(0, 0.3))),
        np.float32(draw(st.floats(0, 0.1))),
        rng,
    )


def pairwise_plain(order, indptr, item, sampled, users, items, rate, decay) -> list[float]:
    """One gradient step of -log sigmoid(x (good - bad)) a pair, in plain NumPy; how far the good one was ahead."""
    ahead = []
    for u in order:
        own = item[indptr[u] : indptr[u + 1]]
        for q in range(indptr[u], indptr[u + 1]):
            good, bad = item[q], sampled[q]
            if bad in own:
                continue
            x, y, z = users[u].copy(), items[good].copy(), items[bad].copy()
            ahead.append(float(x @ (y - z)))
            push = rate / (1 + np.exp(ahead[-1]))
            users[u] += push * (y - z) - decay * x
            users[u, -1] = 1
            items[good] += push * x - decay * y
            items[bad] += -push * x - decay * z
    return ahead


def softmax_plain(order, indptr, item, sampled, boost, users, items, rate, decay) -> list[float]:
    """One gradient step of the weighted cross-entropy for each `STEP` interactions of a user; their probabilities."""
    at, chances = 0, []
    for u in order:
        own = item[indptr[u] : indptr[u + 1]]
        for start in range(0, len(own), STEP):
            chosen, row = own[start : start + STEP], sampled[at]
            at += 1
            others = np.where(np.isin(row, own), 0, boost[row] * np.exp(items[row] @ users[u]))
            x, move = users[u].copy(), -decay * users[u] * len(chosen)
            part = np.zeros(len(row))
            for one in chosen:
                y = items[one].copy()
                mine = np.exp(y @ x)
                chance = mine / (mine + others.sum())
                chances.append(float(chance))
                part += others / (mine + others.sum())
                move += rate * (1 - chance) * y
                items[one] += rate * (1 - chance) * x - decay * y
            for r, other in enumerate(row):
                if others[r] > 0:
                    y = items[other].copy()
                    move -= rate * part[r] * y
                    items[other] += -rate * part[r] * x - decay * len(chosen) / len(row) * y
            users[u] = x + move
            users[u, -1] = 1
    return chances


@settings(max_examples=60, deadline=None)
@given(epochs())
def test_the_pairwise_kernel_equals_gradients_in_numpy(epoch: Epoch) -> None:
    *given_, users, items, rate, decay, _ = epoch
    sampled = epoch.draw(len(epoch.item))
    expected = users.astype(np.float64), items.astype(np.float64)
    ahead = np.array(pairwise_plain(*given_, sampled, *expected, float(rate), float(decay)))
    share = pairwise_epoch(*given_, sampled, users, items, rate, decay, epoch.mark())
    np.testing.assert_allclose(users, expected[0], atol=1e-4)
    np.testing.assert_allclose(items, expected[1], atol=1e-4)
    right = round(share * len(ahead))
    assert np.sum(ahead > 1e-5) <= right <= np.sum(ahead > -1e-5)


@settings(max_examples=60, deadline=None)
@given(epochs(), st.integers(1, 9))
def test_the_softmax_kernel_equals_gradients_in_numpy(epoch: Epoch, n_sampled: int) -> None:
    *given_, users, items, rate, decay, _ = epoch
    sampled = epoch.draw(len(epoch.item) + len(users), n_sampled)
    boost = epoch.rng.uniform(1, 5, len(items)).astype(np.float32)
    expected = users.astype(np.float64), items.astype(np.float64)
    chances = softmax_plain(*given_, sampled, boost, *expected, float(rate), float(decay))
    chance = softmax_epoch(*given_, sampled, boost, users, items, rate, decay, epoch.mark())
    np.testing.assert_allclose(users, expected[0], atol=1e-4)
    np.testing.assert_allclose(items, expected[1], atol=1e-4)
    assert chance * len(chances) == pytest.approx(sum(chances), abs=1e-3)
