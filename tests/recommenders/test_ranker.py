"""Ranker: it learns from the last item of each history, with members that never saw it, and explains what it adds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from genre.config.reading import read_config
from genre.data.dataset import Dataset
from genre.data.folds import Fold, hold_out_last
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.log import Log
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.blend import Blend
from genre.recommenders.candidate_features import count, entries, newest_items
from genre.recommenders.candidate_network import CandidateNetwork, Examples, Training, train_network
from genre.recommenders.content import Content
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.recommenders.ranker import CandidateBatch, Ranker, find_candidates
from genre.recommenders.shared_words import SharedWords
from genre.recommenders.transitions import Transitions
from genre.testing import toy_dataset
from lines import Lines

RNG = np.random.default_rng(0)


def in_a_ring(n_users: int = 120, n_items: int = 30, length: int = 8) -> Dataset:
    """Each user walks round the catalogue: what follows an item is the item after it, whatever is popular."""
    start = np.random.default_rng(1).integers(0, n_items, n_users)
    item = (start[:, None] + np.arange(length)) % n_items
    ids = Ids(f"u{row}" for row in range(n_users)), Ids(f"i{row}" for row in range(n_items))
    return Dataset.from_arrays(
        user=np.repeat(np.arange(n_users), length), item=item.ravel(), user_ids=ids[0], item_ids=ids[1]
    )


def random_network(hidden: int = 5, n_features: int = 4) -> CandidateNetwork:
    start = CandidateNetwork.start(n_features, hidden, np.random.default_rng(3))
    weights = np.random.default_rng(4).normal(size=start.output_weights.shape).astype(np.float32)
    return dataclasses.replace(start, output_weights=weights)


# --- the network ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [0, 5])
def test_it_starts_as_the_first_stage(hidden: int) -> None:
    base = RNG.normal(size=(2, 3)).astype(np.float32)
    start = CandidateNetwork.start(4, hidden, np.random.default_rng(0))
    assert np.array_equal(start.score(RNG.normal(size=(2, 3, 4)).astype(np.float32), base), base)


@pytest.mark.parametrize("hidden", [0, 5])
def test_the_gradient_is_the_slope_of_the_loss(hidden: int) -> None:
    network = random_network(hidden)
    base = RNG.normal(size=(6, 7)).astype(np.float32)
    base[2, 5:] = -np.inf  # fewer candidates
    batch = Examples(RNG.normal(size=(6, 7, 4)).astype(np.float32), base, np.array([0, 1, 2, 3, 4, 6]))
    _, gradient = network.gradient(batch)
    for name, slope in zip(vars(network), gradient, strict=True):
        values = getattr(network, name)
        for place in np.ndindex(values.shape):
            moved = [values.copy(), values.copy()]
            moved[0][place] += 1e-2
            moved[1][place] -= 1e-2
            up, down = (dataclasses.replace(network, **{name: one}).gradient(batch)[0] for one in moved)
            assert slope[place] == pytest.approx((up - down) / 2e-2, abs=2e-3), (name, place)


def test_contributions_add_up_to_what_the_features_add() -> None:
    network, features = random_network(), RNG.normal(size=(50, 4)).astype(np.float32) * 2
    added = network.score(features, np.zeros(50, np.float32))
    assert np.allclose(network.contributions(features).sum(axis=1), added, atol=1e-4)


def test_contributions_are_checked_against_the_change_of_the_score() -> None:
    """A feature set to its average: exact for a linear score, alike for a network."""
    features, nothing = RNG.normal(size=(200, 4)).astype(np.float32), np.zeros(200, np.float32)
    for hidden in (0, 5):
        network, fall = random_network(hidden), np.empty_like(features)
        for at in range(4):
            average = features.copy()
            average[:, at] = 0
            fall[:, at] = network.score(features, nothing) - network.score(average, nothing)
        found = network.contributions(features)
        if hidden:
            assert np.corrcoef(found.ravel(), fall.ravel())[0, 1] > 0.95
        else:
            assert np.allclose(found, fall, atol=1e-5)


def test_training_finds_the_feature_that_tells_the_target() -> None:
    features = RNG.normal(size=(300, 6, 3)).astype(np.float32)
    examples = Examples(features, np.zeros((300, 6), np.float32), features[:, :, 1].argmax(axis=1))
    for hidden in (0, 4):
        options = Training(hidden, epochs=20, learning_rate=0.02, weight_decay=0, batch_size=32)
        network, losses = train_network(examples, options, seed=0)
        assert losses[-1] < 0.5 * losses[0]
        assert (network.score(features, examples.base).argmax(axis=1) == examples.target).mean() > 0.9
        again, _ = train_network(examples, options, seed=0)
        assert np.array_equal(again.output_weights, network.output_weights)


# --- the features ---------------------------------------------------------------------------------------


def test_entries_of_a_sparse_matrix() -> None:
    matrix = sp.random(6, 5, 0.4, "csr", dtype=np.float32, rng=np.random.default_rng(2))
    rows, columns = np.array([3, -1, 0, 9]), RNG.integers(0, 7, (4, 3)).astype(np.int32)
    dense = np.zeros((10, 7), np.float32)
    dense[:6, :5] = matrix.toarray()
    expected = np.stack(
        [np.zeros(3) if row < 0 else dense[row, these] for row, these in zip(rows, columns, strict=True)]
    )
    assert np.array_equal(entries(matrix, rows, columns), expected)
    assert not entries(sp.csr_matrix((6, 5), dtype=np.float32), rows, columns).any()


def test_newest_items() -> None:
    assert newest_items(History.of([[4, 5, 6], [], [2]], 7), 2).tolist() == [[6, 5], [-1, -1], [2, -1]]


def test_counts_in_a_ring() -> None:
    counts = count(in_a_ring())
    step = counts.next.toarray()
    assert (step.argmax(axis=1) == (np.arange(30) + 1) % 30).all()
    assert np.count_nonzero(step) == 30
    later, backward = counts.later.toarray(), counts.backward.toarray()
    assert later[0, 3] > 0 == later[3, 0]
    assert backward[3, 0] > 0 == backward[0, 3]


def test_texts_are_read_where_there_are_any() -> None:
    data = toy_dataset()
    words = SharedWords(fields=("text",)).fit(data)
    blend = Blend((ItemKNN(), SharedWords(fields=("text",))), weights=(1, 1)).fit(data)
    names = {
        "both": find_candidates(blend, count(data), data.history([0]), 5, exclude_seen=True).names,
        "no words": find_candidates(ItemKNN().fit(data), count(data), data.history([0]), 5, exclude_seen=True).names,
    }
    assert {"text vector of item 0", "text words of item 1", "text length"} <= set(names["both"])
    assert [name for name in names["no words"] if name.startswith("text")] == [
        f"text vector of item {n}" for n in range(3)
    ]
    bare = count(dataclasses.replace(data, item_features=None))
    found = find_candidates(words, bare, data.history([0, 1]), 5, exclude_seen=True)
    at = found.names.index("text words of item 0")
    vectors = words.item_words_.toarray()
    last = newest_items(data.history([0, 1]).keep(data.history([0, 1]).weight > 0), 1)[:, 0]
    expected = np.einsum("nkd,nd->nk", vectors[found.items], vectors[last])
    assert np.allclose(found.features[:, :, at], expected, atol=1e-6)


# --- the ranker -----------------------------------------------------------------------------------------


def test_it_learns_an_order_that_its_first_stage_does_not_know() -> None:
    data = in_a_ring()
    history = data.history()
    right = (newest_items(history, 1)[:, 0] + 1) % data.n_items
    for hidden in (0, 8):
        model = Ranker(Popularity(), hidden=hidden, epochs=30, learning_rate=0.02, batch_size=16).fit(data)
        assert (Popularity().fit(data).recommend(history, k=1).item[:, 0] == right).mean() < 0.2
        assert (model.recommend(history, k=1).item[:, 0] == right).mean() > 0.9
        assert model.recommend(["i3", "i4"], k=1).ids() == ["i5"], "an anonymous history, too"


SEEN: list[set[tuple[int, int]]] = []


@dataclasses.dataclass(eq=False)
class Watched(ItemKNN):
    """Notes the pairs that each fit has seen."""

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        SEEN.append(set(zip(dataset.user.tolist(), dataset.item.tolist(), strict=True)))
        super()._fit(dataset, validation, log)


def test_no_feature_has_seen_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    data = in_a_ring(n_users=40)
    counted, learnt = list[set[tuple[int, int]]](), list[Fold]()

    def noted(dataset: Dataset, context: Sequence[str]) -> object:
        counted.append(set(zip(dataset.user.tolist(), dataset.item.tolist(), strict=True)))
        return count(dataset)

    examples = Ranker._examples

    def noted_fold(self: Ranker, first: object, counts: object, held: Fold, log: Log) -> Examples:
        learnt.append(held)
        return examples(self, first, counts, held, log)  # type: ignore[arg-type]

    monkeypatch.setattr("genre.recommenders.ranker.count", noted)
    monkeypatch.setattr(Ranker, "_examples", noted_fold)
    SEEN.clear()
    Ranker(Blend((Watched(), Popularity()), weights=(1, 1)), epochs=1).fit(data)
    targets = set(zip(learnt[0].target.user.tolist(), learnt[0].target.item.tolist(), strict=True))
    assert len(targets) == 40
    whole, without = SEEN
    assert targets <= whole
    assert not targets & without
    assert not targets & counted[0], "what is counted for learning has no target"
    assert targets <= counted[1], "what is counted for answers has them"


def test_below_the_candidates_the_order_of_the_first_stage_stays() -> None:
    data = in_a_ring()
    first = Blend((ItemKNN(), Popularity()), weights=(1, 3))
    model, alone = Ranker(first, candidates=5, epochs=2).fit(data), first.fit(data)
    ours, theirs = (one.recommend(data.history(), k=20).item for one in (model, alone))
    assert np.array_equal(np.sort(ours[:, :5]), np.sort(theirs[:, :5]))
    assert np.array_equal(ours[:, 5:], theirs[:, 5:])


def test_seen_items_are_candidates_where_users_repeat_them() -> None:
    data, history = in_a_ring(), History.of([[3, 4]], 30)
    model = Ranker(ItemKNN(), candidates=30, epochs=1, exclude_seen=False).fit(data)
    found = model._candidates(history)
    assert {3, 4} <= set(found.items[0].tolist())
    assert not {3, 4} & set(Ranker(ItemKNN(), candidates=28, epochs=1).fit(data)._candidates(history).items[0].tolist())


def test_where_nothing_can_be_learnt_it_is_the_first_stage() -> None:
    data = toy_dataset()
    data = dataclasses.replace(data, weight=np.zeros(len(data), np.float32))
    log = Lines()
    model = Ranker(Popularity(), epochs=1).fit(data, log=log)
    assert any("scores as its first stage" in text for text in log.lines)
    assert np.array_equal(
        model.recommend(data.history(), k=3).item, Popularity().fit(data).recommend(data.history(), k=3).item
    )


@pytest.mark.parametrize("hidden", [0, 4])
def test_an_explanation_has_the_terms_of_the_first_stage_and_of_the_features(hidden: int) -> None:
    data = toy_dataset()
    first = Blend((ItemKNN(), Content(), SharedWords(fields=("text",))), weights=(1, 1, 1))
    model = Ranker(first, hidden=hidden, candidates=4, epochs=4).fit(data)
    one, every = data.history([2]), np.arange(data.n_items, dtype=np.int32)
    found = model._candidates(one)
    others = np.setdiff1d(every, found.items[0])
    assert all(not terms[others].any() for terms in model._by_feature(found, every).values())
    for explanation in model.explain(one, every):
        terms = [share for _, share in explanation.history] + [explanation.popular, *explanation.parts.values()]
        assert sum(terms) == pytest.approx(explanation.score, abs=1e-3)
        names = set(explanation.parts)
        assert names == {"below"} if explanation.item in others else names <= {"order", "together", "text", "lists"}


def test_new_items_have_a_place() -> None:
    data = toy_dataset()
    model = Ranker(Blend((Content(), ItemKNN()), weights=(1, 1)), candidates=6, epochs=2).fit(data)
    assert data.item_features is not None
    grown = model.extend(["new"], data.item_features.values[:1])
    history = dataclasses.replace(data.history([0, 1]), n_items=data.n_items + 1)
    assert np.isfinite(grown.score(history)).all()
    assert grown.recommend(history, k=13).item.max() == data.n_items
    with_new = History.of([[0, 12], [12]], 13)
    assert np.isfinite(grown.score(with_new)).all(), "a history that names the new item"
    assert model.score(data.history([0])).shape == (1, 12)


def test_the_configs_of_the_guide_are_legal(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "second-stage.md").read_text("utf-8")
    block, with_network, in_context = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    for name in ("interactions", "items"):
        (tmp_path / f"{name}.csv").write_text("user_id,item_id\nu,i\n")
    (tmp_path / "shop.yaml").write_text(block)
    blend, ranker = read_config(tmp_path / "shop.yaml").experiment.recommenders
    assert isinstance(ranker, Ranker)
    assert isinstance(blend, Blend)
    assert repr(ranker.first) == repr(blend)
    assert [type(member).__name__ for member in blend.recommenders] == [
        "Transitions",
        "Content",
        "SharedWords",
        "Smoothed",
    ]
    (tmp_path / "network.yaml").write_text(with_network)
    [ranker] = read_config(tmp_path / "network.yaml").experiment.recommenders
    assert isinstance(ranker, Ranker)
    assert isinstance(ranker.first, Blend)
    assert repr(ranker.first.recommenders[:-1]) == repr(blend.recommenders), "a network beside the members above"
    (tmp_path / "player.yaml").write_text(in_context)
    *_, ranker = read_config(tmp_path / "player.yaml").experiment.recommenders
    assert isinstance(ranker, Ranker)
    assert ranker.context == ("hour", "weekday", "recent", "device")


def test_what_learns_without_the_targets_has_the_weights_of_what_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = LeaveOneOut().split(toy_dataset(n_users=120, n_items=30))
    used = []

    def noted(first: Blend, *rest: Any, **options: Any) -> CandidateBatch:
        used.append((first.weights_.tolist(), first.edges_.tolist(), id(first.members_[0])))
        return find_candidates(first, *rest, **options)

    monkeypatch.setattr("genre.recommenders.ranker.find_candidates", noted)
    blend = Blend((ItemKNN(), Popularity(), Transitions()), length_buckets=3)
    ranker = Ranker(blend, epochs=1).fit(parts.train, validation=parts.validation)
    ranker.score(parts.train.history([0]))
    learnt, answers = used[0], used[-1]
    assert learnt[:2] == answers[:2], "by length of histories too, or the features differ in number"
    assert learnt[2] != answers[2], "the members are fitted anew"


def test_what_was_taken_in_one_basket_with_the_target_is_left_out() -> None:
    """Else a ranker learns what stands beside an item in a basket, not what comes in the next one."""
    ids = Ids("abc"), Ids("vwxyz")
    data = Dataset.from_arrays(
        user=[0, 0, 0, 0, 1, 1, 2, 2],
        item=[0, 1, 2, 3, 0, 1, 2, 3],
        weight=[1, 1, 1, 0, 1, 1, 1, 1],
        timestamp=[1, 2, 2, 2, 5, 5, 1, 2],
        user_ids=ids[0],
        item_ids=ids[1],
    )
    context, target = hold_out_last(data, remedy="", whole_basket=True)
    assert list(zip(target.user.tolist(), target.item.tolist(), strict=True)) == [(0, 2), (1, 1), (2, 3)]
    left = [(0, 0), (0, 3), (1, 0), (2, 2)]  # of a the basket is gone but for what was not liked; b has no other one
    assert list(zip(context.user.tolist(), context.item.tolist(), strict=True)) == left
    assert len(hold_out_last(data, remedy="").context) == 5


# --- impressions ----------------------------------------------------------------------------------------


def shown_to_readers(n_users: int = 150, n_items: int = 40) -> Dataset:
    """Of four items shown, the one of the reader's half of the catalogue is clicked; the popular one never is."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(n_users):
        rows += [(user, item, 1.0, at) for at, item in enumerate(rng.permutation(n_items // 2)[:4] * 2 + user % 2)]
        for at in range(4, 7):
            clicked = int(rng.integers(n_items // 2)) * 2 + user % 2
            others = rng.permutation(n_items // 2)[:3] * 2 + 1 - user % 2
            rows += [(user, clicked, 1.0, at), *((user, int(other), 0.0, at) for other in others)]
    users, items, weights, times = zip(*rows, strict=True)
    ids = Ids(f"u{row}" for row in range(n_users)), Ids(f"i{row}" for row in range(n_items))
    return Dataset.from_arrays(
        user=users, item=items, weight=weights, timestamp=times, user_ids=ids[0], item_ids=ids[1]
    )


def test_it_learns_from_what_was_shown_and_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = shown_to_readers()
    learnt = list[Examples]()

    def noted(examples: Examples, training: Training, seed: int) -> object:
        learnt.append(examples)
        return train_network(examples, training, seed=seed)

    monkeypatch.setattr("genre.recommenders.ranker.train_network", noted)
    first = Blend((Popularity(), ItemKNN()), weights=(1, 0.001))
    model = Ranker(first, candidates=40, hidden=4, epochs=30, networks=1, batch_size=32, learn_from="impressions").fit(
        data
    )
    assert (np.isfinite(learnt[0].base).sum(axis=1) <= 4).all()
    assert len(learnt[0].target) == 150
    reader = model.recommend(data.history([0, 1]), k=5).item
    assert (reader % 2 == [[0], [1]]).all()
    with pytest.raises(DataError, match="no last item was shown with another"):
        Ranker(Popularity(), learn_from="impressions").fit(data.where(data.weight > 0))
    with pytest.raises(DataError, match="the data has none"):
        Ranker(Popularity(), learn_from="impressions").fit(in_a_ring())
