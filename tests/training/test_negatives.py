"""Rows are drawn as often as they should be."""

import numpy as np
import pytest
import torch

from genre.training.negatives import NegativeSampler


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_rows_are_drawn_in_proportion(power: float) -> None:
    counts = np.array([1, 4, 16, 64, 0])
    sampler = NegativeSampler(counts, power=power)
    drawn = sampler.draw((40_000,), torch.Generator().manual_seed(0))
    expected = np.maximum(counts, 1) ** power
    expected = expected / expected.sum()
    observed = np.bincount(drawn.numpy(), minlength=5) / 40_000
    assert observed == pytest.approx(expected, abs=0.01)
    assert np.exp(sampler.log_q.numpy()) == pytest.approx(expected, rel=1e-5)


def test_the_generator_decides() -> None:
    sampler = NegativeSampler(np.ones(9))
    one, other = (sampler.draw((3, 4), torch.Generator().manual_seed(seed)) for seed in (1, 1))
    assert one.shape == (3, 4)
    assert torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 8
