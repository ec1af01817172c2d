"""How a network is trained: the options of the training loop, under one name in every recommender. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from genre.errors import NotAvailable
from genre.options import Doc, Ge, Gt, Lt, Search, check_options

LARGE_TABLE = 100_000
"""Rows of an embedding table from which on a step of Adam changes those of its batch alone."""
Optimizer = Literal["adam", "adamw", "sgd", "adagrad"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(eq=False, kw_only=True)
class TrainingOptions:
    """The options of `train`; recommenders that train a network inherit them."""

    epochs: Annotated[int, Ge(1), Doc("Passes over the data, at most.")] = 20
    learning_rate: Annotated[float, Gt(0), Search(1e-4, 1e-2, log=True), Doc("The highest step size.")] = 1e-3
    optimizer: Annotated[Optimizer, Doc("adam, adamw, sgd (with momentum 0.9) or adagrad.")] = "adam"
    weight_decay: Annotated[float, Ge(0), Doc("Pull of the weights, not of the biases, towards zero.")] = 0.0
    schedule: Annotated[
        Schedule,
        Doc("The step size after the warm-up: constant, or falling to zero along a line (linear) or half a cosine."),
    ] = "constant"
    warmup: Annotated[float, Ge(0), Lt(1), Doc("Share of all steps during which the step size rises from zero.")] = 0.0
    max_norm: Annotated[float, Ge(0), Doc("Gradients longer than this are shortened to it; 0: never.")] = 0.0
    patience: Annotated[
        int, Ge(0), Doc("Epochs without a better validation value before training stops; 0: it never stops early.")
    ] = 0
    seed: Annotated[int, Doc("Of all random numbers; an epoch's depend on the seed and the epoch's number.")] = 0
    device: Annotated[str, Doc("Where torch trains, such as cpu, cuda or cuda:1.")] = "cpu"

    def __post_init__(self) -> None:
        check_options(self)


def require_torch(name: str, device: str = "cpu") -> None:
    """Raise an error where torch, or the device to train on, is missing.

    Args:
        name: the class that needs it, for the message.
        device: a device as torch names it.

    Raises:
        NotAvailable: torch is not installed.
        OptionError: the device does not exist on this machine.
    """
    try:
        from genre.training.devices import check_device
    except ImportError as error:
        raise NotAvailable(f"{name} trains a network and needs torch: pip install 'genre-rec[neural]'") from error
    check_device(device)
