"""The device that torch computes on: whether it exists here, and moving inputs to it. Knows nothing about networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genre.errors import OptionError


def check_device(device: str) -> None:
    """Raise an error for a device that torch cannot use on this machine.

    Args:
        device: the name of a device as torch has it, such as `cpu`, `cuda` or `cuda:1`.

    Raises:
        OptionError: the device does not exist here; names those that do.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise OptionError(
            f"device {device!r} is not available on this machine ({reason}); "
            f"use one of these: {', '.join(available_devices())}"
        ) from error


def available_devices() -> list[str]:
    """Return the names of the devices that torch can use on this machine.

    Returns:
        `cpu`, then graphics cards.
    """
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *cards, *(["mps"] if torch.backends.mps.is_available() else [])]


def move_to(module: nn.Module, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors on the device of a module's parameters.

    Args:
        module: a module all of whose parameters are on one device.
        *tensors: inputs for it, on any device.

    Returns:
        The same tensors, copied where they were elsewhere.
    """
    device = next(module.parameters()).device
    return tuple(tensor.to(device) for tensor in tensors)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: small batches lose more by waiting than they gain, and sums have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
