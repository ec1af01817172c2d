"""Losses over a large set of candidates: full softmax in cache-sized pieces, sampled softmax, gBCE.

The logit of candidate j for query i is s_ij = h_i . r_j, with queries h `[n, dim]` and candidates r `[m, dim]`; t_i is
the right candidate of query i. Each loss is a mean over queries. Knows nothing about what the rows stand for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

PIECE = 1_000_000  # logits held at once: 4 MB, so that they are still in cache for the gradient


def full_softmax(hidden: Tensor, rows: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy over all candidates: log sum_j exp(s_ij) - s_i,t.

    Value and gradients equal those of `cross_entropy(hidden @ rows.T, target)`, computed in pieces of queries so that
    the logits `[n, m]` never leave the cache.

    Args:
        hidden: queries. `[n, dim]`
        rows: candidates. `[m, dim]`
        target: the right candidate of each query. `[n]`

    Returns:
        A scalar with gradients.
    """
    loss: Tensor = _FullSoftmax.apply(hidden, rows, target)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    """Computes both gradients together with the loss, from each piece's probabilities p; `backward` only scales them.

    The gradients are d/dh_i = sum_j p_ij r_j - r_t and d/dr_j = sum_i p_ij h_i - sum over i with t_i = j of h_i.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, rows: Tensor, target: Tensor) -> Tensor:
        n, m = len(hidden), len(rows)
        size = max(1, min(n, PIECE // m))
        to_hidden, to_rows = torch.empty_like(hidden), torch.zeros_like(rows)
        logits = hidden.new_empty(size, m)
        total = hidden.new_zeros(())
        for start in range(0, n, size):
            h, t = hidden[start : start + size], target[start : start + size]  # [size, dim], [size]
            right = (h * rows[t]).sum(1)
            odds = torch.mm(h, rows.T, out=logits[: len(h)])  # [size, m]; exp(s - top) in place
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
    """Return the mean cross-entropy over the right candidate and sampled ones, logits corrected by log q.

    Logits are s_ij - log q_j: without the correction, candidates that are sampled often would be pushed down too much
    (Bengio & Senecal, "Adaptive Importance Sampling", 2008; Yi et al., RecSys 2019). A sampled candidate that is the
    right one does not count against itself.

    Args:
        hidden: queries. `[n, dim]`
        rows: all candidates. `[m, dim]`
        target: the right candidate of each query. `[n]`
        drawn: the sampled candidates, the same for all queries. `[k]`
        log_q: log-probability of each candidate to be sampled. `[m]`
        hide: sampled candidates that do not count against a query either. bool `[n, k]`

    Returns:
        A scalar with gradients.
    """
    right = (hidden * rows[target]).sum(1, keepdim=True) - log_q[target][:, None]
    wrong = hidden @ rows[drawn].T - log_q[drawn]  # [n, k]
    same = drawn[None, :] == target[:, None]
    wrong = wrong.masked_fill(same if hide is None else same | hide, -torch.inf)
    return (torch.cat([right, wrong], 1).logsumexp(1) - right[:, 0]).mean()


def gbce(hidden: Tensor, rows: Tensor, target: Tensor, drawn: Tensor, calibration: float) -> Tensor:
    """Return the generalised binary cross-entropy against uniformly sampled candidates.

    With sampling rate a = k / (m - 1) and b = a (c (1 - 1/a) + 1/a), c being the calibration, a query's loss is
    -b log sigmoid(s_i,t) - sum over sampled j of log(1 - sigmoid(s_ij)). Source: Petrov & Macdonald, "gSASRec: Reducing
    Overconfidence in Sequential Recommendation Trained with Negative Sampling", RecSys 2023.

    Args:
        hidden: queries. `[n, dim]`
        rows: all candidates. `[m, dim]`
        target: the right candidate of each query. `[n]`
        drawn: the sampled candidates, the same for all queries. `[k]`
        calibration: 0 is plain cross-entropy, overconfident when few are sampled; 1 corrects for the sampling fully.

    Returns:
        A scalar with gradients.
    """
    rate = len(drawn) / max(len(rows) - 1, 1)
    power = rate * ((1 - 1 / rate) * calibration + 1 / rate)
    right = (hidden * rows[target]).sum(1)
    wrong = hidden @ rows[drawn].T
    wrong = wrong.masked_fill(drawn[None, :] == target[:, None], -torch.inf)
    return (-power * functional.logsigmoid(right) + functional.softplus(wrong).sum(1)).mean()
