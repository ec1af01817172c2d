"""The loop: it learns, stops early on the best weights, resumes bit for bit, and says when it diverges."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genre import storage
from genre.errors import ArtifactError, OptionError, TrainingError
from genre.log import Log
from genre.training.hyperparameters import TrainingOptions
from genre.training.loop import TrainingHistory, Validation, seeded, step_size, train
from kills import KillAt, Killed


@pytest.fixture(autouse=True)
def checkpoint_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.training.checkpoint.EVERY_SECONDS", 0.0)


class Line(nn.Module):
    """y = w x with dropout, so that the order of batches and of random draws shows in the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        for at, weight in enumerate(self.parameters()):
            nn.init.normal_(weight, 0, 0.3, generator=torch.Generator().manual_seed(at))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return ((self.layers(x)[:, 0] - y) ** 2).mean()


class Points:
    def __init__(self, n: int = 64, size: int = 8) -> None:
        self.x = torch.randn(n, 3, generator=torch.Generator().manual_seed(7))
        self.y = self.x @ torch.tensor([1.0, -2.0, 0.5])
        self.size = size

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        for at in torch.randperm(len(self.x), generator=generator).split(self.size):
            yield self.x[at], self.y[at]


def fit(epochs: int = 4, checkpoint: Path | None = None, **options: object) -> tuple[Line, TrainingHistory]:
    with seeded(0):
        module = Line()
    options = TrainingOptions(epochs=epochs, learning_rate=0.01, **options)  # type: ignore[arg-type]
    return module, train(module, Points(), options=options, checkpoint=checkpoint)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "adagrad"])
def test_it_learns(optimizer: str) -> None:
    _, history = fit(30, optimizer=optimizer, weight_decay=1e-4, max_norm=5.0)
    assert history.losses[-1] < 0.7 * history.losses[0]
    assert history.epochs == history.best_epoch == 30


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, _ = fit()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    other, _ = fit()
    assert same(one, other)
    assert not same(one, fit(seed=1)[0])


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adagrad"])
def test_a_resumed_run_equals_an_undisturbed_one(tmp_path: Path, optimizer: str) -> None:
    options = TrainingOptions(epochs=6, learning_rate=0.01, optimizer=optimizer, schedule="cosine", warmup=0.2)  # type: ignore[arg-type]
    whole = Line()
    expected = train(whole, Points(), options=options)
    broken = Line()
    for epoch in (1, 3, 4):
        broken = Line()
        with pytest.raises(Killed):
            train(broken, Points(), options=options, checkpoint=tmp_path / "place", log=KillAt(epoch))
    resumed = Line()
    history = train(resumed, Points(), options=options, checkpoint=tmp_path / "place")
    assert history.resumed == 3  # epoch 4 was killed before it was kept
    assert history.losses == expected.losses
    assert same(resumed, whole)


def test_what_a_kill_leaves_is_cleared_and_what_is_no_checkpoint_refused(tmp_path: Path) -> None:
    left = tmp_path / ".place.0a1b2c3d.part"
    left.mkdir()
    fit(3, tmp_path / "place")
    assert not left.exists()
    facts = storage.read_manifest(tmp_path / "place")
    storage.write_json(tmp_path / "place" / "place.json", {"losses": [1.0]})
    storage.write_manifest(tmp_path / "place", training=facts["training"])
    with pytest.raises(ArtifactError, match=r"not a checkpoint of this version .*; delete it"):
        fit(3, tmp_path / "place")


def test_a_place_is_kept_now_and_then_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.training.checkpoint.EVERY_SECONDS", 1e9)
    with pytest.raises(Killed):
        train(Line(), Points(), options=TrainingOptions(epochs=3), checkpoint=tmp_path / "place", log=KillAt(3))
    assert not (tmp_path / "place").exists(), "a moment ago is soon enough"
    fit(3, tmp_path / "place")
    assert fit(3, tmp_path / "place")[1].resumed == 3


def test_a_finished_run_is_read_back(tmp_path: Path) -> None:
    module, history = fit(3, tmp_path / "place")
    again, read = fit(3, tmp_path / "place")
    assert read.resumed == 3
    assert read.losses == history.losses
    assert same(module, again)


def test_early_stopping_restores_the_best_weights(tmp_path: Path) -> None:
    values = iter([3.0, 1.0, 2.0, 2.5, 2.7, 0.1])
    seen: list[dict[str, Tensor]] = []
    module = Line()

    def measure() -> float:
        seen.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
        return next(values)

    options = TrainingOptions(epochs=6, patience=3)
    history = train(module, Points(), Validation("error", measure), options=options, checkpoint=tmp_path / "place")
    assert history.validation == [3.0, 1.0, 2.0, 2.5, 2.7]
    assert (history.best_epoch, history.best) == (2, 1.0)
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in seen[1].items())
    again = Line()
    read = train(again, Points(), Validation("error", measure), options=options, checkpoint=tmp_path / "place")
    assert read.best_epoch == 2
    assert same(again, module)


def test_higher_can_be_better() -> None:
    values = iter([0.1, 0.3, 0.2])
    history = train(
        Line(),
        Points(),
        Validation("ndcg", lambda: next(values), higher_is_better=True),
        options=TrainingOptions(epochs=3),
    )
    assert history.best_epoch == 2


def test_divergence_names_the_remedy() -> None:
    with pytest.raises(TrainingError, match="lower learning_rate"):
        train(Line(), Points(), options=TrainingOptions(epochs=50, optimizer="sgd", learning_rate=1e6))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    fit(2, tmp_path / "place")
    with pytest.raises(TrainingError, match="delete it to start over"):
        fit(2, tmp_path / "place", seed=3)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    fit(2, tmp_path / "place")
    file = tmp_path / "place" / "module.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ArtifactError, match="damaged"):
        fit(2, tmp_path / "place")


class Lines(Log):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.records: list[dict[str, object]] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def record(self, event: str, **fields: object) -> None:
        self.records.append({"event": event, **fields})


def test_the_log_shows_epoch_batch_share_and_loss() -> None:
    log = Lines()
    train(
        Line(),
        Points(n=625, size=1),
        Validation("rmse", lambda: 0.0262),
        options=TrainingOptions(epochs=1),
        log=log,
        label="mlp",
    )
    shares = ["0/625 (0%)", "100/625 (16%)", "200/625 (32%)", "300/625 (48%)", "400/625 (64%)", "500/625 (80%)"]
    for line, share in zip(log.lines, [*shares, "600/625 (96%)"], strict=False):
        assert line.startswith(f"Train Epoch: 1 [{share}]  Loss: ")
    assert log.lines[-1] == "Validation Epoch: 1  rmse: 0.0262  (best so far)"
    (record,) = log.records
    assert (record["event"], record["model"], record["epoch"], record["rmse"]) == ("epoch", "mlp", 1, 0.0262)
    assert np.isfinite(float(str(record["loss"])))


def test_the_step_size_rises_then_falls() -> None:
    options = TrainingOptions(learning_rate=1.0, warmup=0.1, schedule="cosine")
    sizes = [step_size(step, 100, options) for step in range(100)]
    assert sizes[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert max(sizes) == pytest.approx(1.0)
    assert sizes[55] == pytest.approx(0.5)
    assert sizes[99] < 0.01
    straight = TrainingOptions(learning_rate=1.0, schedule="linear")
    assert [step_size(step, 4, straight) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]


def test_options_out_of_range_are_errors() -> None:
    with pytest.raises(OptionError, match="learning_rate"):
        TrainingOptions(learning_rate=0.0)
    with pytest.raises(OptionError, match="optimizer"):
        TrainingOptions(optimizer="adma")  # type: ignore[arg-type]


SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../support"]
from test_loop import Line, Points
from genre.training import checkpoint
from genre.training.loop import seeded, train
from genre.training.hyperparameters import TrainingOptions

def fit(place):
    with seeded(0):
        module = Line()
    options = TrainingOptions(epochs=8, learning_rate=0.01)
    history = train(module, Points(n=256, size=8), options=options, checkpoint=place)
    return [history.losses, [tensor.tolist() for tensor in module.state_dict().values()]]

checkpoint.EVERY_SECONDS = 0.0  # after every epoch
place, rng = Path(sys.argv[2]), random.Random(0)
started = time.perf_counter()
whole = fit(place / "whole")
needed = time.perf_counter() - started
for round in range(4):
    for _ in range(rng.randint(1, 4)):
        child = os.fork()
        if not child:
            fit(place / str(round))
            os._exit(0)
        time.sleep(rng.uniform(0, needed / 2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    resumed = fit(place / str(round))
    print(json.dumps(resumed == whole))
"""


def test_kill_nine_at_random_points_then_resume_equals_undisturbed(tmp_path: Path) -> None:
    """One process that imports torch once, then forks, kills and resumes; one thread, so the results are bitwise."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["true"] * 4
