"""A training run on disk, to be resumed: weights, best weights, optimizer state and losses, as safetensors and JSON.

The folder is replaced whole, so that a kill leaves the checkpoint before. Random state is not in it: the loop derives
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

EVERY_SECONDS = 15.0  # between two checkpoints, at least: a kill costs that much work and at most an epoch more


@dataclass(frozen=True)
class Progress:
    """The epochs that a run has finished.

    Attributes:
        losses: mean training loss of each epoch.
        validation: validation value after each epoch; empty without validation.
        best_epoch: the epoch, from 1, whose weights are the best so far.
    """

    losses: list[float]
    validation: list[float]
    best_epoch: int


class Checkpoint:
    """The checkpoint of one training run in `folder`.

    Attributes:
        best: the best weights, once `resume` has read them; else None.
    """

    def __init__(
        self,
        folder: Path,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        options: TrainingOptions,
        identity: str,
    ) -> None:
        """Bind the checkpoint to a run.

        Args:
            folder: where it is written.
            module: the module in training.
            optimizer: its optimizer.
            options: how it is trained.
            identity: what the result depends on besides options and weights, such as the data.
        """
        self.folder, self.module, self.optimizer = folder, module, optimizer
        self.identity = _identity(module, options, identity)
        self.best: dict[str, Tensor] | None = None
        self._written = time.monotonic()

    def keep(
        self, losses: list[float], validation: list[float], best_epoch: int, best: dict[str, Tensor], *, force: bool
    ) -> None:
        """Write the checkpoint, unless the last one was written less than `EVERY_SECONDS` ago.

        Args:
            losses: mean training loss of each epoch.
            validation: validation value after each epoch.
            best_epoch: the epoch, from 1, with the best weights.
            best: those weights; written where there is validation.
            force: write in any case.
        """
        if not force and time.monotonic() - self._written < EVERY_SECONDS:
            return
        with storage.publish(self.folder, training=self.identity) as aside:
            storage.write_tensors(aside / "module.safetensors", to_arrays(self.module.state_dict()))
            storage.write_tensors(aside / "optimizer.safetensors", self._optimizer_arrays())
            if validation:
                storage.write_tensors(aside / "best.safetensors", to_arrays(best))
            progress = {"losses": losses, "validation": validation, "best_epoch": best_epoch}
            storage.write_json(aside / "place.json", progress)
        self._written = time.monotonic()

    def resume(self) -> Progress | None:
        """Load the weights into module and optimizer.

        Returns:
            What the run had finished; None where there is no checkpoint.

        Raises:
            TrainingError: the checkpoint is of another run.
            ArtifactError: it is damaged, or of another version.
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
            progress = Progress(**storage.read_json(self.folder / "place.json"))
            if progress.validation:
                self.best = to_tensors(storage.read_tensors(self.folder / "best.safetensors"))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{self.folder}: not a checkpoint of this version ({error}); delete it") from error
        return progress

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
    """Return tensors as NumPy arrays.

    Args:
        tensors: tensors by name, on any device.

    Returns:
        Arrays by name; those of CPU tensors share their memory.
    """
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def to_tensors(arrays: storage.Tensors) -> dict[str, Tensor]:
    """Return copies of NumPy arrays as tensors.

    Args:
        arrays: arrays by name.

    Returns:
        CPU tensors by name.
    """
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _identity(module: nn.Module, options: TrainingOptions, more: str) -> str:
    """Return a digest of all that the result depends on: options, weights at the start, features (buffers), `more`."""
    chosen = {key: value for key, value in dataclasses.asdict(options).items() if key != "device"}
    digest = hashlib.sha256(repr((sorted(chosen.items()), more)).encode())
    for name, tensor in (*module.state_dict().items(), *module.named_buffers()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()
