"""SASRec: causal, blind to padding, items by text, the order of a history, transfer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError, NotSupported, OptionError
from genre.log import Log
from genre.networks.padding import SequenceBatches, gap_buckets, windows
from genre.networks.sasrec import encode_histories
from genre.recommenders.sasrec import SASRec
from genre.testing import toy_dataset

TINY = {"dim": 8, "blocks": 1, "max_length": 8, "epochs": 2, "batch_size": 8, "learning_rate": 0.01}


def ring(n_users: int = 60, n_items: int = 10) -> Dataset:
    """Everybody walks round the same ring from another start: the next item is the last one plus one."""
    rng = np.random.default_rng(0)
    starts, lengths = rng.integers(0, n_items, n_users), rng.integers(3, 8, n_users)
    item = np.concatenate([(start + np.arange(n)) % n_items for start, n in zip(starts, lengths, strict=True)])
    return Dataset.from_arrays(
        user=np.repeat(np.arange(n_users), lengths),
        item=item,
        timestamp=np.arange(len(item)) * 3600,
        user_ids=Ids(map(str, range(n_users))),
        item_ids=Ids(map(str, range(n_items))),
    )


@pytest.mark.parametrize("options", [{}, {"loss": "sampled"}, {"loss": "gbce"}, {"time": True}])
def test_it_learns_what_comes_next(options: dict[str, object]) -> None:
    data = ring()
    model = SASRec(**{**TINY, "dim": 16, "epochs": 25, "dropout": 0.1, "negatives": 8, **options}).fit(data)  # type: ignore[arg-type]
    histories = History.of([[0, 1, 2], [7, 8], [3, 4, 5, 6]], data.n_items)
    assert model.recommend(histories, k=1).item[:, 0].tolist() == [3, 9, 7]


def test_a_position_does_not_see_what_comes_after() -> None:
    torch.manual_seed(0)
    reader = SASRec(**TINY)._transformer().eval()  # type: ignore[arg-type]
    items, gaps = torch.randn(1, 6, 8), torch.zeros(1, 6, dtype=torch.int64)
    changed = items.clone()
    changed[:, 4:] = torch.randn(1, 2, 8)
    before, after = reader(items, gaps), reader(changed, gaps)
    assert torch.allclose(before[:, :5], after[:, :5], atol=1e-6)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-3)


def test_reading_in_batches_is_reading_one_by_one() -> None:
    torch.manual_seed(0)
    reader, table = SASRec(**TINY, time=True)._transformer().eval(), np.random.default_rng(0).normal(size=(5, 8))  # type: ignore[arg-type]
    rows = [[0, 1, 2], [], [4], [3, 3, 3, 1, 0]]
    history = replace(History.of(rows, 5), timestamp=np.array([0, 9, 9, 7, 0, 60, 3600, 3600, 90_000]))
    together = encode_histories(reader, table.astype(np.float32), history)
    gaps = gap_buckets(history)
    for at, row in enumerate(rows):
        vectors = torch.from_numpy(table[row].astype(np.float32)).view(1, -1, 8)
        alone = reader(vectors, gaps[history.indptr[at] : history.indptr[at + 1]][None])
        assert together[at] == pytest.approx(alone[0, -1].detach().numpy(), abs=1e-5)


def test_gaps_start_anew_with_each_history() -> None:
    history = replace(History.of([[0, 1, 2], [1], [], [2, 0]], 3), timestamp=np.array([5, 5, 6, 100, 0, 1022]))
    assert gap_buckets(history).tolist() == [0, 1, 2, 0, 0, 10]
    assert gap_buckets(History.of([[0, 1]], 3)).tolist() == [0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=8).filter(any), st.integers(1, 5), st.integers(1, 6))
def test_every_interaction_is_a_target_once(lengths: list[int], max_length: int, batch_size: int) -> None:
    flat = iter(range(sum(lengths)))
    history = History.of([[next(flat) for _ in range(n)] for n in lengths], sum(lengths))
    first, length = windows(history, max_length)
    assert length.max() <= max_length
    covered = np.concatenate([np.arange(a, a + n) for a, n in zip(first, length, strict=True)])
    assert sorted(covered.tolist()) == list(range(sum(lengths)))
    batches = SequenceBatches(history, max_length=max_length, batch_size=batch_size)
    seen = []
    drawn = list(batches(torch.Generator().manual_seed(0)))
    for target, _, real in drawn:
        seen += target[real].tolist()
    assert sorted(seen) == list(range(sum(lengths)))
    assert len(drawn) == len(batches)


def test_disliked_items_are_not_read() -> None:
    data = toy_dataset()
    model = SASRec(**TINY).fit(data)  # type: ignore[arg-type]
    history = data.history([0])
    assert np.array_equal(model.score(history), model.score(history.keep(history.weight > 0)))


def test_only_the_newest_items_are_read() -> None:
    model = SASRec(**TINY).fit(toy_dataset())  # type: ignore[arg-type]
    long = [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9]
    assert np.array_equal(model.score(History.of([long], 12)), model.score(History.of([long[-7:]], 12)))


@pytest.mark.parametrize("items", ["text", "text+id", "text_start"])
def test_items_by_text(items: str, tmp_path: Path) -> None:
    data = toy_dataset()
    model = SASRec(**{**TINY, "epochs": 25}, items=items).fit(data)  # type: ignore[arg-type]
    model.save(tmp_path / "saved")
    assert np.array_equal(SASRec.load(tmp_path / "saved").score(data.history()), model.score(data.history()))
    assert data.item_features is not None
    new = data.item_features.values[[0, 1]] + 0.01
    if items == "text_start":
        with pytest.raises(NotSupported, match=r"text\+id"):
            model.extend(["new-even", "new-odd"], new)
        return
    scores = model.extend(["new-even", "new-odd"], new).score(History.of([[0, 2, 4], [1, 3, 5]], 14))
    assert scores[0, 12] > scores[0, 13]
    assert scores[1, 13] > scores[1, 12]


def test_what_it_needs_it_says() -> None:
    with pytest.raises(OptionError, match="not a multiple of heads"):
        SASRec(dim=10, heads=4)
    with pytest.raises(DataError, match="no vectors"):
        SASRec(**TINY, items="text").fit(ring())  # type: ignore[arg-type]


def test_transfer_keeps_the_embeddings_of_shared_ids(tmp_path: Path) -> None:
    data = ring()
    SASRec(**{**TINY, "epochs": 20}).fit(data).save(tmp_path / "first")  # type: ignore[arg-type]
    losses: list[float] = []

    class Watch(Log):
        def record(self, event: str, **fields: object) -> None:
            losses.append(float(str(fields["loss"])))

    for start in (None, str(tmp_path / "first")):
        SASRec(**{**TINY, "epochs": 1}, init_from=start).fit(data, log=Watch())  # type: ignore[arg-type]
    assert losses[1] < 0.8 * losses[0]
