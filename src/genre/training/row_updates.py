"""Adam for large embedding tables: a step changes the rows of its batch and reads no other.

At a million rows a step of dense Adam takes longer than all the rest of the training step. Small tables and other
optimizers are left to torch. Knows tables, not what their rows stand for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genre.training.hyperparameters import LARGE_TABLE


class LookedUp(nn.Embedding):
    """An embedding table that is looked up and never used as a whole, so that its gradient may be sparse."""


def make_sparse(module: nn.Module) -> bool:
    """Let large tables that are only looked up have sparse gradients.

    Args:
        module: the module to train, changed in place.

    Returns:
        Whether it has such a table.
    """
    found = [one for one in module.modules() if isinstance(one, LookedUp) and one.num_embeddings >= LARGE_TABLE]
    for table in found:
        table.sparse = True
    return bool(found)


class _ByRows:
    """A step of Adam that updates what has a sparse gradient by its rows, and leaves the rest to the class it joins."""

    decoupled: ClassVar[bool]

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        for group in self.param_groups:  # type: ignore[attr-defined]  # of torch.optim.Optimizer
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    _update_rows(parameter, self.state[parameter], group, decoupled=self.decoupled)  # type: ignore[attr-defined]
                    parameter.grad = None  # so that the dense step passes it by
        return super().step(closure)  # type: ignore[misc]


class AdamByRows(_ByRows, torch.optim.Adam):
    """Adam, and lazy Adam where gradients are sparse: the moments of a row that a batch does not touch stay."""

    decoupled = False


class AdamWByRows(_ByRows, torch.optim.AdamW):
    """The same with decoupled weight decay, of the rows that a batch touches."""

    decoupled = True


def clip_norm(module: nn.Module, most: float) -> None:
    """Shorten gradients to a common length: by torch's function, which takes no sparse ones, or else here.

    Args:
        module: its parameters have gradients, changed in place.
        most: length of all gradients together, at most.
    """
    moved = [(one, one.grad) for one in module.parameters() if one.grad is not None]
    if not any(gradient.is_sparse for _, gradient in moved):
        nn.utils.clip_grad_norm_((one for one, _ in moved), most)
        return
    values = []
    for parameter, gradient in moved:
        if gradient.is_sparse:
            parameter.grad = gradient.coalesce()  # the gradients of a row are one
            values.append(parameter.grad.values())
        else:
            values.append(gradient)
    length = math.sqrt(sum(float(value.square().sum()) for value in values))
    if length > most:
        for value in values:
            value.mul_(most / length)


@torch.no_grad()
def _update_rows(table: Tensor, state: dict[str, Any], group: dict[str, Any], *, decoupled: bool) -> None:
    """Apply one step to the rows that a sparse gradient has.

    With the gradient g of a row, its moments m and v, and the step number t of the table:

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2,
        row -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
    """
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32, device=table.device)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
    assert table.grad is not None
    gradient = table.grad.coalesce()
    rows, values = gradient.indices()[0], gradient.values()  # [n_rows], [n_rows, dim]
    rate, decay, (b1, b2) = group["lr"], group["weight_decay"], group["betas"]
    state["step"] += 1
    step = float(state["step"])
    before = table[rows]
    if decay and decoupled:
        before = before * (1 - rate * decay)
    elif decay:
        values = values + decay * before
    m = state["exp_avg"][rows].lerp_(values, 1 - b1)
    v = state["exp_avg_sq"][rows].mul_(b2).addcmul_(values, values, value=1 - b2)
    state["exp_avg"][rows], state["exp_avg_sq"][rows] = m, v
    spread = (v / (1 - b2**step)).sqrt_().add_(group["eps"])
    table[rows] = before.addcdiv_(m, spread, value=-rate / (1 - b1**step))
