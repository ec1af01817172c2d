"""One loop for every network: epochs of batches, validation, early stop, checkpoint and resume.

It fits any module whose forward returns a loss, and knows nothing about recommending. The randomness of an epoch
is a function of (seed, epoch), never of what ran before, so that a run killed at any moment goes on from its last
checkpoint to the very same result. Imported when a network is trained: it needs torch.
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
from genre.training.hyperparameters import TrainingOptions

LINES_PER_EPOCH = 7


class Batches(Protocol):
    """The training data: `len` batches an epoch, each the positional arguments of the module's forward."""

    def __len__(self) -> int: ...

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """One epoch, all of its randomness drawn from `generator`."""


@dataclass(frozen=True)
class Validation:
    """What early stopping watches: `measure()` is called after each epoch, the module in eval mode."""

    name: str
    measure: Callable[[], float]
    higher_is_better: bool = False

    def better(self, value: float, best: float | None) -> bool:
        return best is None or (value > best if self.higher_is_better else value < best)


@dataclass
class TrainingHistory:
    """What happened, epoch by epoch.

    losses: mean training loss an epoch. validation: the value after each epoch, empty without validation.
    best_epoch: the epoch, from 1, whose weights were kept; 0 before the first. resumed: epochs read from a checkpoint.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0
    resumed: int = 0

    @property
    def epochs(self) -> int:
        return len(self.losses)

    @property
    def best(self) -> float | None:
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
    """Fit `module` in place; with `validation` it ends with the weights of its best epoch.

    checkpoint: a folder where the run keeps its place; if one is there, training goes on from it. identity: what
    the run depends on beyond its options and shapes (the data); a checkpoint of another identity is refused.
    Raises TrainingError when the loss stops being a number, ArtifactError for a damaged checkpoint.
    """
    module.to(options.device)
    optimizer = make_optimizer(module, options)
    history = TrainingHistory()
    place = None if checkpoint is None else Checkpoint(checkpoint, module, optimizer, options, identity)
    if place is not None and (found := place.resume()) is not None:
        history = TrainingHistory(found.losses, found.validation, found.best_epoch, len(found.losses))
        log.line(f"{label}: resumed after epoch {history.epochs} from {checkpoint}")
    best = _copy(module) if place is None or place.best is None else place.best
    with log.bar(label, options.epochs * len(batches)) as bar:
        bar.advance(history.epochs * len(batches))
        while history.epochs < options.epochs and not _out_of_patience(history, options):
            started = time.perf_counter()
            with _one_thread(), _tiny_as_zero(), seeded(_seed(options, history.epochs + 1), options.device):
                history.losses.append(_epoch(module, batches, optimizer, options, history.epochs + 1, label, log, bar))
            if validation is not None:
                best = _validate(module, validation, history, best, log)
            else:
                history.best_epoch = history.epochs
            _record(history, validation, label, time.perf_counter() - started, log)
            if place is not None:
                last = history.epochs == options.epochs or _out_of_patience(history, options)
                place.keep(history.losses, history.validation, history.best_epoch, best, force=last)
    if validation is not None and history.best_epoch:
        module.load_state_dict(best)
    module.eval()
    return history


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """torch draws from `seed` inside; the caller's generators are as they were afterwards."""
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small batches lose more to waiting for a second thread than it gives, and one adds up the same every time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _tiny_as_zero() -> Iterator[None]:
    """Numbers below float32's full precision count as zero inside: weights that decay for good end there.

    A product with one of them (1e-40, say) costs the processor a hundred times as much as any other.
    """
    before = float(torch.tensor(1e-40) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def make_optimizer(module: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimizer by name; weight decay spares vectors (biases, norms)."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.learning_rate, momentum=0.9, fused=True)
    if options.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, lr=options.learning_rate, fused=True)
    adam = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
    return adam(groups, lr=options.learning_rate, fused=True)


def step_size(step: int, steps: int, options: TrainingOptions) -> float:
    """The learning rate of step `step` (from 0) of `steps`."""
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
    """One pass over the data; the mean loss of its batches."""
    module.train()
    generator = torch.Generator().manual_seed(_seed(options, epoch))
    n_batches = len(batches)
    every = 100 * max(1, math.ceil(n_batches / 100 / LINES_PER_EPOCH))
    total = since = 0.0
    at = -1
    for at, batch in enumerate(batches(generator)):
        for group in optimizer.param_groups:
            group["lr"] = step_size((epoch - 1) * n_batches + at, options.epochs * n_batches, options)
        loss = module(*(tensor.to(options.device) for tensor in batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if options.max_norm:
            nn.utils.clip_grad_norm_(module.parameters(), options.max_norm)
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
    """Measure, remember the epoch if it is the best; the best weights so far."""
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
