"""The losses against their plain formulas, values and gradients."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.nn import functional

from genre.training import losses
from genre.training.losses import full_softmax, gbce, sampled_softmax


def full_softmax_plain(hidden: Tensor, rows: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over all candidates, the logits `[n, m]` at once."""
    return functional.cross_entropy(hidden @ rows.T, target)


def random_vectors(n: int, m: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, dim, generator=generator).requires_grad_()
    rows = torch.randn(m, dim, generator=generator).requires_grad_()
    return hidden, rows, torch.randint(m, (n,), generator=generator)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 9), st.sampled_from([1, 50, 10_000]))
def test_full_softmax_in_pieces_equals_cross_entropy_at_once(n: int, m: int, dim: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "PIECE", piece)
        hidden, rows, target = random_vectors(n, m, dim)
        value = full_softmax(hidden, rows, target)
        got = torch.autograd.grad(3 * value, [hidden, rows])
    plain = full_softmax_plain(hidden, rows, target)
    expected = torch.autograd.grad(3 * plain, [hidden, rows])
    assert torch.allclose(value, plain, atol=1e-5)
    for one, other in zip(got, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_full_softmax_survives_large_scores() -> None:
    hidden, rows, target = random_vectors(4, 6, 3)
    value = full_softmax(hidden * 1e3, rows, target)
    assert torch.allclose(value, full_softmax_plain(hidden * 1e3, rows, target), rtol=1e-5)


def test_sampled_softmax_over_all_rows_evenly_drawn_is_the_full_softmax() -> None:
    hidden, rows, target = random_vectors(8, 20, 5)
    every, log_q = torch.arange(20), torch.full((20,), math.log(1 / 20))
    assert torch.allclose(
        sampled_softmax(hidden, rows, target, every, log_q), full_softmax_plain(hidden, rows, target), atol=1e-5
    )


def test_sampled_softmax_is_its_formula_row_by_row() -> None:
    hidden, rows, target = random_vectors(5, 12, 4)
    drawn = torch.tensor([3, 3, 7, int(target[0])])
    log_q = torch.linspace(-4, -1, 12)
    hide = torch.zeros(5, 4, dtype=torch.bool)
    hide[2, 1] = True
    expected = 0.0
    for row in range(5):
        logits = [(hidden[row] @ rows[target[row]] - log_q[target[row]]).item()]
        for at, item in enumerate(drawn.tolist()):
            if item != target[row] and not hide[row, at]:
                logits.append((hidden[row] @ rows[item] - log_q[item]).item())
        expected += math.log(sum(math.exp(x) for x in logits)) - logits[0]
    got = sampled_softmax(hidden, rows, target, drawn, log_q, hide=hide)
    assert got.item() == pytest.approx(expected / 5, rel=1e-5)


def test_the_log_q_correction_undoes_popularity() -> None:
    """Averaged over draws by popularity, corrected gradients point where those of the full softmax do."""
    hidden, rows, target = random_vectors(6, 30, 4)
    share = torch.linspace(1, 20, 30) ** 2
    share = share / share.sum()
    full = torch.autograd.grad(full_softmax_plain(hidden, rows, target), hidden)[0]
    generator = torch.Generator().manual_seed(0)
    right, wrong = torch.zeros_like(full), torch.zeros_like(full)
    for _ in range(200):
        drawn = torch.multinomial(share, 64, replacement=True, generator=generator)
        right += torch.autograd.grad(sampled_softmax(hidden, rows, target, drawn, (64 * share).log()), hidden)[0]
        wrong += torch.autograd.grad(sampled_softmax(hidden, rows, target, drawn, torch.zeros(30)), hidden)[0]

    def angle(other: Tensor) -> float:
        return functional.cosine_similarity(full.flatten(), other.flatten(), dim=0).item()

    assert angle(right) > 0.97
    assert angle(right) > angle(wrong)


def test_gbce_is_its_formula_and_plain_bce_without_calibration() -> None:
    hidden, rows, target = random_vectors(5, 40, 4)
    drawn = torch.tensor([1, 9, 17, 30])
    right, wrong = (hidden * rows[target]).sum(1), hidden @ rows[drawn].T
    same = drawn[None, :] == target[:, None]
    fall = torch.where(same, torch.tensor(0.0), -torch.log(1 - torch.sigmoid(wrong))).sum(1)
    plain = (-torch.log(torch.sigmoid(right)) + fall).mean()
    assert torch.allclose(gbce(hidden, rows, target, drawn, 0.0), plain, atol=1e-5)
    rate, t = 4 / 39, 0.75
    beta = rate * (t * (1 - 1 / rate) + 1 / rate)
    expected = (-torch.log(torch.sigmoid(right) ** beta) + fall).mean()
    assert torch.allclose(gbce(hidden, rows, target, drawn, t), expected, atol=1e-5)
