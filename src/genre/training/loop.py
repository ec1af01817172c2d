"""The training loop of all networks: epochs of batches, validation, early stopping, checkpoint and resume.

It trains any module whose forward returns a loss, and knows nothing about recommending. The randomness of an epoch
depends on the seed and the epoch's number alone, so that a run killed at any moment resumes from its last checkpoint
to the very same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from genre.errors import TrainingError
from genre.log import SILENT, Bar, Log
from genre.training.checkpoint import Checkpoint
from genre.training.devices import check_device, move_to, one_thread
from genre.training.hyperparameters import TrainingOptions
from genre.training.row_updates import AdamByRows, AdamWByRows, clip_norm, make_sparse

LINES_PER_EPOCH = 7  # of the log


class Batches(Protocol):
    """The training data: `len` batches an epoch, each the positional arguments of the module's forward."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of one epoch.

        Args:
            generator: the source of all randomness.

        Yields:
            The module's inputs, on the CPU.
        """


@dataclass(frozen=True)
class Validation:
    """The value that early stopping watches.

    Attributes:
        name: of the value, for the log.
        measure: computes it; called after each epoch with the module in evaluation mode.
        higher_is_better: whether a higher value is better.
    """

    name: str
    measure: Callable[[], float]
    higher_is_better: bool = False

    def better(self, value: float, best: float | None) -> bool:
        """Return whether a value is better than the best so far.

        Args:
            value: the value of this epoch.
            best: the best of the epochs before; None before the first.

        Returns:
            False for a value as good as the best.
        """
        return best is None or (value > best if self.higher_is_better else value < best)


@dataclass
class TrainingHistory:
    """The losses and validation values of a training run, epoch by epoch.

    Attributes:
        losses: mean training loss of each epoch.
        validation: validation value after each epoch; empty without validation.
        best_epoch: the epoch, from 1, whose weights are kept; 0 before the first.
        resumed: epochs read from a checkpoint.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0
    resumed: int = 0

    @property
    def epochs(self) -> int:
        """How many epochs are finished."""
        return len(self.losses)

    @property
    def best(self) -> float | None:
        """The best validation value so far; None without validation."""
        return self.validation[self.best_epoch - 1] if self.validation else None


def train(
    module: nn.Module,
    batches: Batches,
    validation: Validation | None = None,
    *,
    options: TrainingOptions,
    label: str = "network",
    checkpoint: Path | None = None,
    identity: str = "",
    log: Log = SILENT,
) -> TrainingHistory:
    """Train `module` in place; with `validation` it ends with the weights of its best epoch.

    Args:
        module: its forward takes a batch and returns a loss.
        batches: the training data.
        validation: the value that decides which epoch's weights are kept, and when training stops early.
        options: epochs, optimizer, step sizes, seed and device.
        label: of the module, for the log.
        checkpoint: a folder for the run's progress; where it holds a checkpoint, training resumes from it.
        identity: what the result depends on besides options and weights, such as the data; a checkpoint of another
            identity is refused.
        log: receives lines, a progress bar and a record of each epoch.

    Returns:
        Losses and validation values.

    Raises:
        OptionError: the device is not available.
        TrainingError: the loss is not finite any more, or the checkpoint is of another run.
        ArtifactError: the checkpoint is damaged.
    """
    check_device(options.device)
    module.to(options.device)
    optimizer = make_optimizer(module, options)
    history = TrainingHistory()
    saved = None if checkpoint is None else Checkpoint(checkpoint, module, optimizer, options, identity)
    if saved is not None and (found := saved.resume()) is not None:
        history = TrainingHistory(found.losses, found.validation, found.best_epoch, len(found.losses))
        log.line(f"{label}: resumed after epoch {history.epochs} from {checkpoint}")
    best = _copy(module) if saved is None or saved.best is None else saved.best
    with log.bar(label, options.epochs * len(batches)) as bar:
        bar.advance(history.epochs * len(batches))
        while history.epochs < options.epochs and not _out_of_patience(history, options):
            started = time.perf_counter()
            with one_thread(), _tiny_as_zero(), seeded(_seed(options, history.epochs + 1), options.device):
                history.losses.append(_epoch(module, batches, optimizer, options, history.epochs + 1, label, log, bar))
            if validation is not None:
                best = _validate(module, validation, history, best, log)
            else:
                history.best_epoch = history.epochs
            _record(history, validation, label, time.perf_counter() - started, log)
            if saved is not None:
                last = history.epochs == options.epochs or _out_of_patience(history, options)
                saved.keep(history.losses, history.validation, history.best_epoch, best, force=last)
    if validation is not None and history.best_epoch:
        module.load_state_dict(best)
    module.eval()
    return history


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed torch's global generators inside a `with` block and restore them afterwards.

    Args:
        seed: of the random numbers inside.
        device: the device whose generator is seeded besides the CPU's.
    """
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _tiny_as_zero() -> Iterator[None]:
    """Treat numbers too small for float32's full precision as zero, as weights under long decay become.

    A product with such a number (1e-40, say) costs the processor a hundred times as much as any other.
    """
    before = float(torch.tensor(1e-40) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def make_optimizer(module: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """Return the optimizer of a module; weight decay does not apply to vectors (biases, norms).

    Adam updates large tables that are only looked up by the rows of a batch; their gradients become sparse.

    Args:
        module: its parameters are optimised, all that require gradients.
        options: optimizer, learning rate and weight decay.

    Returns:
        A torch optimizer.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.learning_rate, momentum=0.9, fused=True)
    if options.optimizer == "adagrad":
        fused = options.device == "cpu"  # older versions of torch have it for the CPU alone
        return torch.optim.Adagrad(groups, lr=options.learning_rate, fused=fused)
    if make_sparse(module):
        by_rows = AdamByRows if options.optimizer == "adam" else AdamWByRows
        return by_rows(groups, lr=options.learning_rate, fused=True)
    adam = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
    return adam(groups, lr=options.learning_rate, fused=True)


def step_size(step: int, steps: int, options: TrainingOptions) -> float:
    """Return the step size of one training step: a linear warm-up, then the schedule.

    Args:
        step: number of the step, from 0.
        steps: steps of the whole training.
        options: learning rate, warm-up and schedule.

    Returns:
        The step size.
    """
    warm = options.warmup * steps
    if step < warm:
        return options.learning_rate * (step + 1) / (warm + 1)
    left = 1 - (step - warm) / max(steps - warm, 1)
    shape = {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}
    return options.learning_rate * shape[options.schedule]


def _seed(options: TrainingOptions, epoch: int) -> int:
    return options.seed * 1_000_003 + epoch


def _epoch(
    module: nn.Module,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    options: TrainingOptions,
    epoch: int,
    label: str,
    log: Log,
    bar: Bar,
) -> float:
    """Train for one epoch and return the mean loss of its batches."""
    module.train()
    generator = torch.Generator().manual_seed(_seed(options, epoch))
    n_batches = len(batches)
    every = 100 * max(1, math.ceil(n_batches / 100 / LINES_PER_EPOCH))
    total = since = 0.0
    at = -1
    for at, batch in enumerate(batches(generator)):
        for group in optimizer.param_groups:
            group["lr"] = step_size((epoch - 1) * n_batches + at, options.epochs * n_batches, options)
        loss = module(*move_to(module, *batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if options.max_norm:
            clip_norm(module, options.max_norm)
        optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"{label}: the loss became {value} in epoch {epoch}, batch {at}; "
                f"lower learning_rate (now {options.learning_rate:g}) or set max_norm"
            )
        total += value
        since += value
        bar.advance(1)
        if at % every == 0:
            mean, since = since / (every if at else 1), 0.0
            log.line(f"Train Epoch: {epoch} [{at}/{n_batches} ({at / n_batches:.0%})]  Loss: {mean:.4f}")
    return total / max(at + 1, 1)


def _validate(
    module: nn.Module, validation: Validation, history: TrainingHistory, best: dict[str, Tensor], log: Log
) -> dict[str, Tensor]:
    """Measure the validation value, note the epoch if it is the best, and return the best weights so far."""
    module.eval()
    with torch.no_grad():
        value = validation.measure()
    better = validation.better(value, history.best)
    history.validation.append(value)
    log.line(f"Validation Epoch: {history.epochs}  {validation.name}: {value:.4f}{'  (best so far)' if better else ''}")
    if not better:
        return best
    history.best_epoch = history.epochs
    return _copy(module)


def _out_of_patience(history: TrainingHistory, options: TrainingOptions) -> bool:
    waited = history.epochs - history.best_epoch
    return bool(options.patience and history.validation and waited >= options.patience)


def _record(history: TrainingHistory, validation: Validation | None, label: str, seconds: float, log: Log) -> None:
    fields = {} if validation is None else {validation.name: history.validation[-1]}
    log.record("epoch", model=label, epoch=history.epochs, loss=history.losses[-1], seconds=round(seconds, 3), **fields)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
