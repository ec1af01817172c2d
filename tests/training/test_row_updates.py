"""Adam by rows: dense Adam where each row is touched, nothing where none is; and a batch that grows with the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import genre
from genre.testing import toy_dataset
from genre.training.hyperparameters import TrainingOptions
from genre.training.loop import make_optimizer, train
from genre.training.row_updates import AdamByRows, AdamWByRows, LookedUp, clip_norm
from kills import KillAt, Killed
from lines import Lines

N, DIM = 12, 3


class Tables(nn.Module):
    """A table that is looked up, one that is used as a whole, and a vector."""

    def __init__(self, *, large: bool, dim: int = DIM) -> None:
        super().__init__()
        self.rows = LookedUp(N, dim) if large else nn.Embedding(N, dim)
        self.whole = nn.Parameter(torch.empty(dim, dim))
        self.bias = nn.Parameter(torch.empty(dim))
        for at, weight in enumerate(self.parameters()):
            nn.init.normal_(weight, 0, 0.3, generator=torch.Generator().manual_seed(at))

    def forward(self, at: Tensor) -> Tensor:
        return ((self.rows(at) @ self.whole + self.bias - 1) ** 2).mean()


class Looked:
    """Batches of rows: all of them, or only the first ones."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return 5

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        for _ in range(len(self)):
            more = torch.randint(self.rows, (6,), generator=generator)  # some rows twice
            yield (torch.cat([torch.arange(self.rows), more]),)


@pytest.fixture(autouse=True)
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.training.row_updates.LARGE_TABLE", N)
    monkeypatch.setattr("genre.training.checkpoint.EVERY_SECONDS", 0.0)


@pytest.mark.parametrize(("optimizer", "kind"), [("adam", AdamByRows), ("adamw", AdamWByRows)])
@pytest.mark.parametrize("max_norm", [0.0, 0.05])
def test_where_all_rows_are_touched_it_is_dense_adam(optimizer: str, kind: type, max_norm: float) -> None:
    options = TrainingOptions(epochs=4, learning_rate=0.05, optimizer=optimizer, weight_decay=0.1, max_norm=max_norm)  # type: ignore[arg-type]
    by_rows, dense = Tables(large=True), Tables(large=False)
    assert isinstance(make_optimizer(by_rows, options), kind)
    assert not isinstance(make_optimizer(dense, options), kind)
    one, other = (train(module, Looked(N), options=options) for module in (by_rows, dense))
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
    for found, expected in zip(by_rows.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_rows_that_no_batch_has_stay_and_so_do_their_moments() -> None:
    module, before = Tables(large=True), Tables(large=True)
    options = TrainingOptions(epochs=2, learning_rate=0.05, weight_decay=0.1)
    train(module, Looked(5), options=options)
    changed = (module.rows.weight != before.rows.weight).any(dim=1)
    assert changed.tolist() == [True] * 5 + [False] * (N - 5)
    optimizer = make_optimizer(module, options)
    module(torch.tensor([2, 2, 4])).backward()
    optimizer.step()
    assert optimizer.state[module.rows.weight]["exp_avg"].any(dim=1).nonzero().flatten().tolist() == [2, 4]


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_other_optimizers_and_small_tables_stay_dense(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Tables(large=True)
    train(module, Looked(5), options=TrainingOptions(epochs=1, optimizer=optimizer))  # type: ignore[arg-type]
    assert not module.rows.sparse
    monkeypatch.setattr("genre.training.row_updates.LARGE_TABLE", N + 1)
    make_optimizer(module, TrainingOptions())
    assert not module.rows.sparse


def test_a_resumed_training_equals_an_undisturbed_one(tmp_path: Path) -> None:
    options = TrainingOptions(epochs=4, learning_rate=0.05, weight_decay=0.1)
    whole, resumed = Tables(large=True), Tables(large=True)
    train(whole, Looked(5), options=options)
    with pytest.raises(Killed):
        train(Tables(large=True), Looked(5), options=options, checkpoint=tmp_path / "place", log=KillAt(3))
    assert train(resumed, Looked(5), options=options, checkpoint=tmp_path / "place").resumed == 2
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("most", [0.01, 100.0])
def test_gradients_are_shortened_as_torch_does_it(most: float) -> None:
    sparse, dense = Tables(large=True), Tables(large=False)
    sparse.rows.sparse = True
    for module in (sparse, dense):
        module(torch.tensor([1, 1, 7])).backward()
    clip_norm(sparse, most)
    nn.utils.clip_grad_norm_(dense.parameters(), most)
    for one, other in zip(sparse.parameters(), dense.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad.to_dense(), other.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", [genre.MLP, genre.NCF, genre.TwoTower])
def test_networks_learn_as_well_by_rows(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_dataset(n_users=60)
    options = {"epochs": 15, "batch_size": 32, "learning_rate": 0.01}
    found = []
    for rows in (10**9, 1):
        monkeypatch.setattr("genre.training.row_updates.LARGE_TABLE", rows)
        model = kind(**options).fit(data)
        ids = model.recommend(["i0", "i2", "i4"], k=3).ids()
        found.append(sum(int(one[1:]) % 2 == 0 for one in ids))
        again = kind(**options).fit(data)
        assert np.array_equal(model.score(data.history()), again.score(data.history()))
    assert found[0] >= 2
    assert found[1] >= 2


@pytest.mark.parametrize("kind", [genre.MLP, genre.NCF, genre.TwoTower])
def test_the_batch_grows_until_an_epoch_has_few_enough_steps(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    from genre.networks.histories import PairBatches

    sizes, rates = [], []
    original = PairBatches.__init__

    def watch(self: PairBatches, *args: object, batch_size: int, **more: object) -> None:
        sizes.append(batch_size)
        original(self, *args, batch_size=batch_size, **more)  # type: ignore[arg-type]

    def optimizer(module: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
        rates.append(options.learning_rate)
        return make_optimizer(module, options)

    monkeypatch.setattr(PairBatches, "__init__", watch)
    monkeypatch.setattr("genre.training.loop.make_optimizer", optimizer)
    data, log = toy_dataset(n_users=60), Lines()
    liked = int((data.weight > 0).sum())
    for most in (10_000, 4):
        model = kind(epochs=1, batch_size=8, learning_rate=0.01, most_steps=most).fit(data, log=log)
        assert (model.batch_size, model.learning_rate) == (8, 0.01), "options stay as they were given"
    grown = -(-(len(data) if kind is genre.MLP else liked) // 4)
    assert sizes == [8, grown]
    assert rates == pytest.approx([0.01, 0.01 * (grown / 8) ** 0.5])
    assert sum("in place of 8" in line for line in log.lines) == 1
