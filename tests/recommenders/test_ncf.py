"""NCF: NumPy scores are the network's, the target is left out of the history, unknown users, transfer."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import assert_evidence_is_the_fall
from genre.data.history import History
from genre.networks.histories import Histories, PairBatches, drop_rows
from genre.networks.ncf import NCFNetwork
from genre.recommenders.feed_forward import forward, forward_all_pairs
from genre.recommenders.ncf import NCF
from genre.recommenders.network_base import load_weights
from genre.testing import toy_dataset

TINY = {"dim": 4, "hidden": (12, 6), "epochs": 3, "batch_size": 32, "learning_rate": 0.01}


def network_of(model: NCF, history: History) -> NCFNetwork:
    network = dataclasses.replace(model, history_cut=0.0)._network(history)
    load_weights(network, model.weights_)
    return network


def liked_part() -> History:
    history = toy_dataset().history()
    return history.keep(history.weight > 0)


def test_scores_in_numpy_are_those_of_the_network() -> None:
    data = toy_dataset()
    model = NCF(**TINY).fit(data)  # type: ignore[arg-type]
    network = network_of(model, liked_part())
    user, item = torch.meshgrid(torch.arange(data.n_users), torch.arange(data.n_items), indexing="ij")
    nothing = torch.full((user.numel(),), -1)
    with torch.no_grad():
        expected = network.pairs(user.flatten(), item.flatten(), nothing).view_as(user).numpy()
    assert model.score(data.history()) == pytest.approx(expected, abs=1e-4)


def test_training_leaves_the_target_out_of_the_history() -> None:
    history = liked_part()
    model = NCF(**TINY).fit(toy_dataset())  # type: ignore[arg-type]
    network = network_of(model, history)
    user, item = int(history.row_of()[7]), int(history.item[7])
    with torch.no_grad():
        inside = network.pairs(torch.tensor([user]), torch.tensor([item]), torch.tensor([7]))
    outside = model.score(history.keep(np.arange(len(history.item)) != 7).select([user]))[0, item]
    assert inside.item() == pytest.approx(outside, abs=1e-4)


def test_evidence_is_the_fall_of_the_score_without_an_interaction() -> None:
    data = toy_dataset()
    model = NCF(**TINY).fit(data)  # type: ignore[arg-type]
    assert_evidence_is_the_fall(model, data, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=4),
    st.integers(0, 4),
    st.integers(1, 200),
    st.integers(0, 2**32 - 1),
)
def test_all_pairs_are_scored_as_one_by_one(hidden: list[int], n_users: int, n_items: int, seed: int) -> None:
    rng, widths = np.random.default_rng(seed), [*hidden, 1]

    def some(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    users, items = rng.normal(size=(n_users, widths[0])).astype(np.float32), some(n_items, widths[0])
    layers = [(some(*shape), some(shape[1])) for shape in itertools.pairwise(widths)]
    plain = np.stack([forward(items + user, layers)[:, 0] for user in users] or [np.zeros((0, n_items))])
    plain = plain.reshape(n_users, n_items)
    assert forward_all_pairs(users, items, layers) == pytest.approx(plain, abs=1e-4, rel=1e-4)
    spoilt = int(rng.integers(n_items))
    items[spoilt, -1] = np.nan
    assert (np.isnan(forward_all_pairs(users, items, layers)) == (np.arange(n_items) == spoilt)).all()


def test_an_unknown_user_is_its_history() -> None:
    data = toy_dataset()
    model = NCF(**{**TINY, "epochs": 60}).fit(data)  # type: ignore[arg-type]
    top = model.recommend(History.of([[0, 2, 4], [1, 3, 5]], data.n_items), k=1).item[:, 0]
    assert [item % 2 for item in top.tolist()] == [0, 1]


def test_batches_hold_each_interaction_once_and_sampled_negatives() -> None:
    history = History.of([[0, 1], [], [2, 3, 4]], 9)
    batches = PairBatches(history, np.full(5, 4, np.float32), batch_size=2, negatives=3)
    drawn = list(batches(torch.Generator().manual_seed(0)))
    assert len(drawn) == len(batches) == 3
    user, item, target, own = (torch.cat(column) for column in zip(*drawn, strict=True))
    real = own >= 0
    assert sorted(own[real].tolist()) == [0, 1, 2, 3, 4]
    assert torch.equal(user[real], torch.from_numpy(history.row_of())[own[real]])
    assert torch.equal(item[real], torch.from_numpy(history.item).long()[own[real]])
    known = set(zip(user[real].tolist(), item[real].tolist(), strict=True))
    others = set(zip(user[~real].tolist(), item[~real].tolist(), strict=True))
    assert not others & known  # what a user has is not taught as wrong
    assert len(others) > 3
    assert torch.equal(target, 4.0 * real)


def test_batch_histories_leave_out_the_pair_itself_also_where_they_are_cut() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.choice(9, n, replace=False).tolist() for n in (5, 0, 8, 3)]
    history = History.of(rows, 9)
    values = rng.normal(size=16).astype(np.float32)
    table = torch.eye(9)
    for cut in (0.0, 1.0):
        histories = Histories(history, values, cut=cut).train()
        user, own = torch.tensor([2, 0, 2, 3, 1]), torch.tensor([6, 3, -1, 15, -1])
        item = torch.tensor([int(history.item[at]) if at >= 0 else 0 for at in own])
        batch = histories.of_batch(user, own)
        without = batch.weighted_sum(table, batch.value) - batch.own_value[:, None] * table[item]
        assert torch.equal(batch.length, (without != 0).sum(1).float())
        for pair in range(5):
            start, end = history.indptr[user[pair]], history.indptr[user[pair] + 1]
            expected = torch.zeros(9)
            for at in range(start, end):
                if at != own[pair] and (cut == 0 or without[pair, history.item[at]] != 0):
                    expected[history.item[at]] = float(values[at])
            assert torch.allclose(without[pair], expected, atol=1e-6)
    assert torch.equal(histories.eval().of_batch(user, own).length, torch.tensor([7.0, 4.0, 8.0, 2.0, 0.0]))


def test_dropped_rows_are_whole_and_the_others_stay_as_they_are() -> None:
    torch.manual_seed(0)
    rows = torch.randn(20_000, 3)
    dropped = drop_rows(rows, 0.3, training=True)
    gone = (dropped == 0).all(dim=1)
    assert torch.equal(dropped[~gone], rows[~gone])
    assert gone.double().mean().item() == pytest.approx(0.3, abs=0.015)
    assert not torch.equal(gone, (drop_rows(rows, 0.3, training=True) == 0).all(dim=1))
    assert torch.equal(drop_rows(rows, 0.3, training=False), rows)
    assert torch.equal(drop_rows(rows, 0.0, training=True), rows)


def test_transfer_takes_rows_by_id(tmp_path: Path) -> None:
    data = toy_dataset()
    first = NCF(**TINY).fit(data)  # type: ignore[arg-type]
    first.save(tmp_path / "first")
    fewer = data.where(data.user < 10)
    again = NCF(**{**TINY, "epochs": 1, "learning_rate": 1e-9}, init_from=str(tmp_path / "first")).fit(fewer)  # type: ignore[arg-type]
    assert again.weights_["item_id.weight"] == pytest.approx(first.weights_["item_id.weight"], abs=1e-6)
    known = first.weights_["user_id.weight"][:10]
    assert again.weights_["user_id.weight"][:10] == pytest.approx(known, abs=1e-6)
    assert not again.weights_["user_id.weight"][10:].any()  # not in the second data set
