"""How a network is trained: the options of the loop, by the names every recommender gives them. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from genre.errors import NotAvailable
from genre.options import Ge, Gt, Lt, Search, check_options

Optimizer = Literal["adam", "adamw", "sgd", "adagrad"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(eq=False, kw_only=True)
class TrainingOptions:
    """What `train` may be told; base of whatever is trained by it.

    epochs: passes over the data, at most. learning_rate: the highest step size.
    optimizer: adam, adamw, sgd or adagrad. weight_decay: pull of the weights (not of biases) towards zero.
    schedule: what the step size does after the warm-up: stays, or falls to zero along a line or half a cosine.
    warmup: share of all steps over which the step size rises from zero.
    max_norm: gradients longer than this are shortened to it; 0 leaves them.
    patience: epochs without a better validation value before training stops; 0 never stops early.
    seed: an epoch's randomness is a function of the seed and its number. device: where torch computes.
    """

    epochs: Annotated[int, Ge(1)] = 20
    learning_rate: Annotated[float, Gt(0), Search(1e-4, 1e-2, log=True)] = 1e-3
    optimizer: Optimizer = "adam"
    weight_decay: Annotated[float, Ge(0)] = 0.0
    schedule: Schedule = "constant"
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.0
    max_norm: Annotated[float, Ge(0)] = 0.0
    patience: Annotated[int, Ge(0)] = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_options(self)


def require_torch(who: str) -> None:
    """Raise NotAvailable with the remedy where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise NotAvailable(f"{who} trains a network and needs torch: pip install 'genre-rec[neural]'") from error
