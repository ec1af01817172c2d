"""Losses over a large set of candidates: full softmax in cache-sized pieces, sampled softmax, gBCE.

Each takes hidden vectors `[n, dim]`, the vectors of all candidates `[m, dim]` and the right row of each `[n]`, and
returns a mean. Knows nothing about what the rows stand for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

PIECE = 1_000_000  # logits held at once: 4 MB, so that they are still in cache for the gradient


def full_softmax_plain(hidden: Tensor, rows: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over all candidates, the obviously right way: `[n, m]` logits at once."""
    return functional.cross_entropy(hidden @ rows.T, target)


def full_softmax(hidden: Tensor, rows: Tensor, target: Tensor) -> Tensor:
    """The same value and gradients as `full_softmax_plain`, in pieces that never leave the cache."""
    loss: Tensor = _FullSoftmax.apply(hidden, rows, target)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    """Works out both gradients while a piece's probabilities are at hand; `backward` only scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, rows: Tensor, target: Tensor) -> Tensor:
        n, m = len(hidden), len(rows)
        size = max(1, min(n, PIECE // m))
        to_hidden, to_rows = torch.empty_like(hidden), torch.zeros_like(rows)
        logits = hidden.new_empty(size, m)
        total = hidden.new_zeros(())
        for start in range(0, n, size):
            h, t = hidden[start : start + size], target[start : start + size]
            right = (h * rows[t]).sum(1)
            odds = torch.mm(h, rows.T, out=logits[: len(h)])
            top = odds.amax(1, keepdim=True)
            odds.sub_(top).exp_()
            mass = odds.sum(1, keepdim=True)
            total += (mass.log() + top)[:, 0].sum() - right.sum()
            to_hidden[start : start + size] = (odds @ rows) / mass
            to_rows.addmm_(odds.T, h / mass)
        to_hidden -= rows[target]
        to_rows.index_add_(0, target, hidden, alpha=-1)
        ctx.save_for_backward(to_hidden.div_(n), to_rows.div_(n))
        return total / n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        to_hidden, to_rows = ctx.saved_tensors
        return to_hidden * grads[0], to_rows * grads[0], None


def sampled_softmax(
    hidden: Tensor, rows: Tensor, target: Tensor, drawn: Tensor, log_q: Tensor, *, hide: Tensor | None = None
) -> Tensor:
    """Cross-entropy against the right row and the rows `drawn` `[k]`, shared by all; corrected by log q.

    log_q: `[m]`, how likely each row was to be drawn: without the correction popular rows would be punished
    (Bengio & Senecal 2008; Yi et al., RecSys 2019). A drawn row that is the right one does not count against itself,
    nor do those of `hide` `[n, k]`.
    """
    right = (hidden * rows[target]).sum(1, keepdim=True) - log_q[target][:, None]
    wrong = hidden @ rows[drawn].T - log_q[drawn]
    same = drawn[None, :] == target[:, None]
    wrong = wrong.masked_fill(same if hide is None else same | hide, -torch.inf)
    return (torch.cat([right, wrong], 1).logsumexp(1) - right[:, 0]).mean()


def gbce(hidden: Tensor, rows: Tensor, target: Tensor, drawn: Tensor, calibration: float) -> Tensor:
    """Generalised binary cross-entropy against uniformly drawn rows (Petrov & Macdonald, RecSys 2023).

    calibration: 0 is plain BCE, overconfident when few rows are drawn; 1 makes the probabilities those of all rows.
    """
    rate = len(drawn) / max(len(rows) - 1, 1)
    power = rate * ((1 - 1 / rate) * calibration + 1 / rate)
    right = (hidden * rows[target]).sum(1)
    wrong = hidden @ rows[drawn].T
    wrong = wrong.masked_fill(drawn[None, :] == target[:, None], -torch.inf)
    return (-power * functional.logsigmoid(right) + functional.softplus(wrong).sum(1)).mean()
