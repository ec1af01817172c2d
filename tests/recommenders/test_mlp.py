"""MLP: the split first layer, histories without leaks, ratings, ranking and transfer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evidence import assert_evidence_is_the_fall
from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import ArtifactError, DataError, NotSupported
from genre.log import Log
from genre.networks.mlp import MLPNetwork
from genre.recommenders.mlp import MLP, OFFSET_DAMPING
from genre.recommenders.network_base import load_weights, user_inputs
from genre.testing import toy_dataset
from lines import Lines

TINY = {"hidden": (16, 8), "dim": 4, "epochs": 3, "batch_size": 32, "learning_rate": 0.01}


def with_users(data: Dataset) -> Dataset:
    vectors = np.random.default_rng(1).normal(size=(data.n_users, 5)).astype(np.float32)
    return data.with_features(users=Features(vectors, "users"))


def network_of(model: MLP, data: Dataset) -> MLPNetwork:
    """The trained network again, from the saved weights."""
    assert data.item_features is not None
    assert data.user_features is not None

    def standard(values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(0)
        return (centred / centred.std()).astype(np.float32)

    history = data.history()
    network = model._network(history, standard(data.item_features.values), user_inputs(data, model.user_dim))
    network.histories.cut = 0.0
    load_weights(network, model.weights_)
    return network


@pytest.mark.parametrize(
    "options",
    [{}, {"dim": 0}, {"dot": 3}, {"pooling": "attention"}, {"biases": False}, {"hidden": (16,)}, {"loss": "bce"}],
)
def test_scores_in_numpy_are_those_of_the_network(options: dict[str, object]) -> None:
    data = with_users(toy_dataset())
    model = MLP(**{**TINY, **options}).fit(data)  # type: ignore[arg-type]
    network = network_of(model, data)
    user, item = torch.meshgrid(torch.arange(data.n_users), torch.arange(data.n_items), indexing="ij")
    nothing = torch.full((user.numel(),), -1)
    with torch.no_grad():
        expected = network.pairs(user.flatten(), item.flatten(), nothing).view_as(user).numpy()
    scores = model.score(data.history())
    assert scores == pytest.approx(expected + model.mean_, abs=2e-4)


@pytest.mark.parametrize("options", [{}, {"dot": 3}, {"pooling": "attention"}, {"biases": False}, {"loss": "bce"}])
def test_evidence_is_the_fall_of_the_score_without_an_interaction(options: dict[str, object]) -> None:
    data = with_users(toy_dataset())
    model = MLP(**{**TINY, **options}).fit(data)  # type: ignore[arg-type]
    assert_evidence_is_the_fall(model, data, abs=2e-4)


def test_two_halves_are_one_layer_over_the_concatenation() -> None:
    """relu(W1 [u; i] + b1) and so on, written out."""
    data = with_users(toy_dataset())
    model = MLP(**TINY, biases=False).fit(data)  # type: ignore[arg-type]
    network, w = network_of(model, data), model.weights_
    user, item = torch.tensor([3]), torch.tensor([7])
    pooled, offset, length = network.pool(network.histories.of_batch(user, torch.tensor([-1])), item)
    u = torch.cat([network.users[user], network.user_id(user), pooled, torch.stack([offset, length.log1p()], 1)], 1)
    i = torch.cat([network.items[item], network.item_id(item)], 1)
    whole = np.concatenate([w["user_half.weight"], w["item_half.weight"]], 1)  # W1
    x = whole @ torch.cat([u, i], 1).detach().numpy()[0] + w["item_half.bias"]
    for at in range(2):
        x = w[f"layers.{at}.weight"] @ np.maximum(x, 0) + w[f"layers.{at}.bias"]
    assert model.score(data.history([3]))[0, 7] == pytest.approx(float(x[0]) + model.mean_, abs=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_training_leaves_the_target_out_of_the_history(pooling: str) -> None:
    data = with_users(toy_dataset())
    model = MLP(**TINY, pooling=pooling).fit(data)  # type: ignore[arg-type]
    network = network_of(model, data)
    at = 11
    user, item = int(data.user[at]), int(data.item[at])
    with torch.no_grad():
        inside = network.pairs(torch.tensor([user]), torch.tensor([item]), torch.tensor([at]))
    rest = data.where(np.arange(len(data)) != at)
    outside = model.score(rest.history([user]))[0, item] - model.mean_
    assert inside.item() == pytest.approx(outside, abs=1e-4)


def test_the_offset_is_the_damped_mean_deviation() -> None:
    data = toy_dataset()
    model = MLP(**TINY).fit(data)  # type: ignore[arg-type]
    history = data.history([4])
    assert history.rating is not None
    deviation = history.rating - model.mean_ - model.item_offset_[history.item]
    _, offset = model._user_half(history)
    assert offset[0] == pytest.approx(deviation.sum() / (len(deviation) + OFFSET_DAMPING), abs=1e-5)


def test_predictions_are_scores_on_the_scale_and_beat_the_mean() -> None:
    data = toy_dataset()
    model = MLP(**{**TINY, "epochs": 60}).fit(data)  # type: ignore[arg-type]
    row, item = np.array([0, 0, 1], np.int32), np.array([0, 1, 3], np.int32)
    history = data.history()
    assert model.predict(history, row, item) == pytest.approx(model.score(history)[row, item].clip(1, 5), abs=1e-4)
    unseen = np.array([(user, missing) for user in range(20) for missing in [_missing(user)]], np.int32)
    stars = model.predict(history, unseen[:, 0], unseen[:, 1])
    assert np.sqrt(np.mean((stars - 5) ** 2)) < 0.8  # each user's missing item deserves 5; the mean is about 4.3


def _missing(user: int) -> int:
    same = range(user % 2, 12, 2)
    return same[(user // 2) % len(same)]


def test_a_history_without_stars_counts_as_liked() -> None:
    data = toy_dataset()
    model = MLP(**{**TINY, "epochs": 30}).fit(data)  # type: ignore[arg-type]
    plain = History.of([[0, 2, 4]], data.n_items)
    rated = replace(plain, rating=np.full(3, 5, np.float32))
    gap = np.abs(model.score(plain) - model.score(rated)).max()
    assert gap < 0.5
    assert model.score(plain)[0, 6] > model.score(plain)[0, 7]


def test_without_vectors_it_learns_from_ids_and_logs_that() -> None:
    data, log = replace(toy_dataset(), item_features=None), Lines()
    model = MLP(**{**TINY, "epochs": 60}).fit(data, log=log)  # type: ignore[arg-type]
    assert log.lines[0] == "mlp: the items have no vectors; learning from ids alone"
    stars = model.predict(data.history(), data.user, data.item)
    assert data.rating is not None
    assert stars[data.rating == 5].min() > stars[data.rating == 1].max()
    with pytest.raises(DataError, match="dim is 0"):
        MLP(dim=0).fit(data)


def test_without_ratings_it_ranks() -> None:
    data = replace(toy_dataset(), rating=None, rating_scale=None, positive_rating=None)
    model = MLP(**{**TINY, "epochs": 40}).fit(data)  # type: ignore[arg-type]
    assert not model.on_ratings_
    top = model.recommend(History.of([[0, 2, 4], [1, 3, 5]], data.n_items), k=1).item[:, 0]
    assert [item % 2 for item in top.tolist()] == [0, 1]
    with pytest.raises(NotSupported, match="bce"):
        model.predict(data.history(), np.array([0], np.int32), np.array([0], np.int32))
    with pytest.raises(DataError, match="no ratings"):
        MLP(loss="mse").fit(data)


def test_early_stopping_watches_the_validation_part() -> None:
    data = toy_dataset()
    even = np.arange(len(data)) % 4 == 0
    fold = Fold(data.where(~even), data.where(even))
    values: list[float] = []

    class Watch(Log):
        def record(self, event: str, **fields: object) -> None:
            values.append(float(str(fields["rmse"])))

    model = MLP(**{**TINY, "epochs": 40, "patience": 3}).fit(fold.context, validation=fold, log=Watch())  # type: ignore[arg-type]
    stars = model.predict(fold.context.history(), fold.target.user, fold.target.item)
    assert fold.target.rating is not None
    rmse = float(np.sqrt(np.mean((stars - fold.target.rating) ** 2)))
    assert rmse == pytest.approx(min(values), abs=1e-5)
    assert len(values) < 40


def test_new_items_are_placed_by_their_vectors() -> None:
    data = toy_dataset()
    model = MLP(**{**TINY, "epochs": 40}).fit(data)  # type: ignore[arg-type]
    assert data.item_features is not None
    new = data.item_features.values[[0, 1]] + 0.01  # an even one and an odd one
    grown = model.extend(["new-even", "new-odd"], new)
    scores = grown.score(History.of([[0, 2, 4], [1, 3, 5]], 14))
    assert scores[0, 12] > scores[0, 13]
    assert scores[1, 13] > scores[1, 12]
    assert model.score(History.of([[0]], 12)).shape == (1, 12)


def test_transfer_starts_where_the_other_ended(tmp_path: Path) -> None:
    data = toy_dataset()
    first = MLP(**{**TINY, "epochs": 30}).fit(data)  # type: ignore[arg-type]
    first.save(tmp_path / "run" / "recommenders" / "mlp" / "model")
    losses: list[float] = []

    class Watch(Log):
        def line(self, text: str) -> None:
            if "weights from" in text:
                losses.append(-1.0)

        def record(self, event: str, **fields: object) -> None:
            losses.append(float(str(fields["loss"])))

    MLP(**{**TINY, "epochs": 1}).fit(data, log=Watch())  # type: ignore[arg-type]
    cold = losses.pop()
    MLP(**{**TINY, "epochs": 1}, init_from=str(tmp_path / "run")).fit(data, log=Watch())  # type: ignore[arg-type]
    assert losses[0] == -1.0
    assert losses[1] < 0.5 * cold
    MLP(**{**TINY, "epochs": 1}, init_from=str(tmp_path / "run" / "recommenders" / "mlp")).fit(data)  # type: ignore[arg-type]
    lines: list[str] = []
    watch = Log()
    watch.line = lines.append  # type: ignore[method-assign]
    for ids in (True, False):
        MLP(**{**TINY, "epochs": 1}, init_from=str(tmp_path / "run"), init_ids=ids).fit(data, log=watch)  # type: ignore[arg-type]
    assert ["12 of 12 rows of item_id.weight" in line for line in lines if "weights from" in line] == [True, False]
    with pytest.raises(ArtifactError, match="expected one"):
        MLP(**TINY, init_from=str(tmp_path)).fit(data)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="no such folder; name a run"):
        MLP(**TINY, init_from=str(tmp_path / "gone")).fit(data)  # type: ignore[arg-type]
