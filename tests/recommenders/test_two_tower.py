"""TwoTower: NumPy vectors are the network's, the target is left out, known items are no wrong answers, new items."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.data.ids import Ids
from genre.networks.two_tower import TwoTowerNetwork
from genre.recommenders.ncf import NCF
from genre.recommenders.network_base import load_weights, user_inputs
from genre.recommenders.two_tower import TwoTower
from genre.testing import toy_dataset

TINY = {"dim": 6, "ids": 4, "hidden": 10, "epochs": 3, "batch_size": 32, "negatives": 4, "learning_rate": 0.01}
DATA = toy_dataset().with_features(
    users=Features(np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32), "u")
)


def standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(0)
    return (centred / centred.std()).astype(np.float32)


def liked_part() -> History:
    history = DATA.history()
    return history.keep(history.weight > 0)


def network_of(model: TwoTower) -> TwoTowerNetwork:
    history = liked_part()
    assert DATA.item_features is not None
    assert DATA.user_features is not None
    items, users = standard(DATA.item_features.values), user_inputs(DATA, model.user_dim)
    network = dataclasses.replace(model, history_cut=0.0)._network(history, items, users, model.batch_size)
    load_weights(network, model.weights_)
    return network


def test_vectors_in_numpy_are_those_of_the_network_without_the_target() -> None:
    model = TwoTower(**TINY).fit(DATA)  # type: ignore[arg-type]
    network, history = network_of(model), liked_part()
    at = 9
    user, item = int(history.row_of()[at]), int(history.item[at])
    with torch.no_grad():
        places = network.item_vectors(torch.arange(12)).numpy()
        pair = torch.tensor([user]), torch.tensor([item])
        query = network.user_vectors(*pair, network.histories.of_batch(pair[0], torch.tensor([at]))).numpy()
    queries, items = model._factors(history.keep(np.arange(len(history.item)) != at).select([user]))
    assert items == pytest.approx(places, abs=1e-5)
    assert queries * model.temperature == pytest.approx(query, abs=1e-5)


def test_what_a_user_knows_is_no_wrong_answer() -> None:
    network, history = network_of(TwoTower(**TINY).fit(DATA)), liked_part()  # type: ignore[arg-type]
    users, candidates = torch.tensor([4, 0, 4]), torch.tensor([1, 3, 4, 10])
    known = network.histories.contain(users, candidates, 12)
    expected = [[c in history.item[history.row_of() == u] for c in candidates.tolist()] for u in users.tolist()]
    assert known.tolist() == expected


def test_log_q_is_how_often_an_item_is_among_the_candidates() -> None:
    model = TwoTower(**{**TINY, "batch_size": 10, "negatives": 5}).fit(DATA)  # type: ignore[arg-type]
    network, rng = network_of(model), np.random.default_rng(0)
    item = liked_part().item
    rounds = 4000
    found = np.zeros(12)
    for _ in range(rounds):
        found[np.union1d(rng.choice(item, 10), rng.integers(0, 12, 5))] += 1
    assert np.exp(network.log_q.numpy()) == pytest.approx(found / rounds, abs=0.05)


def test_new_items_are_placed_by_their_vectors() -> None:
    model = TwoTower(**{**TINY, "epochs": 20, "id_dropout": 0.6}).fit(DATA)  # type: ignore[arg-type]
    assert DATA.item_features is not None
    grown = model.extend(["new-even", "new-odd"], DATA.item_features.values[[0, 1]] + 0.01)
    scores = grown.score(History.of([[0, 2, 4], [1, 3, 5]], 14))
    assert scores[0, 12] > scores[0, 13]
    assert scores[1, 13] > scores[1, 12]
    reads = grown.score(History.of([[12], [13]], 14))  # and a history may hold them
    assert reads[0, :12:2].mean() > reads[0, 1:12:2].mean()
    assert reads[1, 1:12:2].mean() > reads[1, :12:2].mean()


def test_similar_items_lie_near() -> None:
    model = TwoTower(**{**TINY, "epochs": 20}).fit(DATA)  # type: ignore[arg-type]
    similar = model.similar_items(np.array([0, 1], np.int32), k=3)
    assert [[item % 2 for item in row] for row in similar.item.tolist()] == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("kind", [TwoTower, NCF])
def test_a_query_does_not_copy_the_table_of_the_pool(kind: type[TwoTower | NCF]) -> None:
    n = 5000
    ids = Ids([f"i{row}" for row in range(n)])
    data = Dataset.from_arrays(user=np.arange(8) // 4, item=np.arange(8), user_ids=Ids(["a", "b"]), item_ids=ids)
    model = kind(epochs=1).fit(data)
    table = model.pool_half_ if isinstance(model, TwoTower) else model.weights_["item_pool.weight"]
    query, history = (model._factors if isinstance(model, TwoTower) else model._users), data.history([1])
    query(history)
    tracemalloc.start()
    query(history)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < table.nbytes / 4
