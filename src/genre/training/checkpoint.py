"""A training run's place on disk: weights, best weights, optimizer, and what happened so far; safetensors and JSON.

The folder is published whole, so that a kill leaves the checkpoint before. Random state is not in it: the loop draws
an epoch's randomness from the seed and the epoch's number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genre import storage
from genre.errors import ArtifactError, TrainingError
from genre.training.hyperparameters import TrainingOptions

EVERY_SECONDS = (
    15.0  # at least, between two checkpoints: a kill costs that much work and no more than an epoch above it
)


@dataclass(frozen=True)
class Place:
    """How far a run had come."""

    losses: list[float]
    validation: list[float]
    best_epoch: int


class Checkpoint:
    """Keeps and reads back the place of one training run in `folder`.

    best: the best weights read back, or None.
    """

    def __init__(
        self,
        folder: Path,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        options: TrainingOptions,
        identity: str,
    ) -> None:
        self.folder, self.module, self.optimizer = folder, module, optimizer
        self.identity = _identity(module, options, identity)
        self.best: dict[str, Tensor] | None = None
        self._written = time.monotonic()

    def keep(
        self, losses: list[float], validation: list[float], best_epoch: int, best: dict[str, Tensor], *, force: bool
    ) -> None:
        """Write the place, unless the last writing was less than `EVERY_SECONDS` ago."""
        if not force and time.monotonic() - self._written < EVERY_SECONDS:
            return
        with storage.publish(self.folder, training=self.identity) as aside:
            storage.write_tensors(aside / "module.safetensors", to_arrays(self.module.state_dict()))
            storage.write_tensors(aside / "optimizer.safetensors", self._optimizer_arrays())
            if validation:
                storage.write_tensors(aside / "best.safetensors", to_arrays(best))
            place = {"losses": losses, "validation": validation, "best_epoch": best_epoch}
            storage.write_json(aside / "place.json", place)
        self._written = time.monotonic()

    def resume(self) -> Place | None:
        """Load module and optimizer; None where no checkpoint stands.

        Raises TrainingError when the checkpoint is of another run, ArtifactError when it is damaged.
        """
        for aside in self.folder.parent.glob(f".{self.folder.name}.*.part"):  # left by a kill
            shutil.rmtree(aside, ignore_errors=True)
        if not self.folder.exists():
            return None
        if storage.read_manifest(self.folder).get("training") != self.identity:
            raise TrainingError(
                f"{self.folder}: a checkpoint of a training with other options or data; delete it to start over"
            )
        try:
            self.module.load_state_dict(to_tensors(storage.read_tensors(self.folder / "module.safetensors")))
            self._load_optimizer(storage.read_tensors(self.folder / "optimizer.safetensors"))
            place = Place(**storage.read_json(self.folder / "place.json"))
            if place.validation:
                self.best = to_tensors(storage.read_tensors(self.folder / "best.safetensors"))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{self.folder}: not a checkpoint of this version ({error}); delete it") from error
        return place

    def _optimizer_arrays(self) -> storage.Tensors:
        state: dict[int, dict[str, Any]] = self.optimizer.state_dict()["state"]
        flat = {f"{at}.{name}": value for at, values in state.items() for name, value in values.items()}
        return to_arrays({name: value for name, value in flat.items() if isinstance(value, Tensor)})

    def _load_optimizer(self, arrays: storage.Tensors) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in to_tensors(arrays).items():
            at, name = key.split(".", 1)
            state.setdefault(int(at), {})[name] = tensor
        whole = self.optimizer.state_dict()
        self.optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def to_arrays(tensors: dict[str, Tensor]) -> storage.Tensors:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def to_tensors(arrays: storage.Tensors) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _identity(module: nn.Module, options: TrainingOptions, more: str) -> str:
    """A digest of all that the result depends on, such as the weights that training starts from."""
    told = {key: value for key, value in dataclasses.asdict(options).items() if key != "device"}
    digest = hashlib.sha256(repr((sorted(told.items()), more)).encode())
    for name, tensor in (
        *module.state_dict().items(),
        *module.named_buffers(),
    ):  # features are buffers beside the state
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()
