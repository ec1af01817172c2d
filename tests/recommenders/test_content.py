"""Content: whitening, decayed histories, new items by their features."""

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.data.ids import Ids
from genre.data.linear_algebra import ridge_map
from genre.errors import DataError
from genre.recommenders.als import ALS
from genre.recommenders.bpr import BPR
from genre.recommenders.content import Content, whitening
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.two_tower import TwoTower
from genre.testing import check_recommender, toy_dataset


def test_full_whitening_makes_every_direction_count_alike() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + 5).astype(np.float32)
    center, directions = whitening(features, 1.0, 6)
    assert np.allclose(np.cov(((features - center) @ directions).T, ddof=0), np.eye(6), atol=1e-3)


def test_no_whitening_keeps_distances_and_dim_keeps_the_strongest() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(50, 4)) * [5, 3, 1, 0.1]).astype(np.float32)
    center, directions = whitening(features, 0.0, 4)
    moved = (features - center) @ directions
    assert np.allclose(np.linalg.norm(moved, axis=1), np.linalg.norm(features - center, axis=1), rtol=1e-4)
    strongest = whitening(features, 0.0, 2)[1]
    assert np.allclose(strongest, directions[:, :2])
    assert np.abs(strongest[0, 0]) > 0.99


def test_a_constant_feature_is_no_direction() -> None:
    features = np.ones((10, 3), np.float32)
    features[:, 0] = np.arange(10)
    assert whitening(features, 1.0, 3)[1].shape == (3, 1)


def test_recent_items_count_more() -> None:
    data = toy_dataset()
    history = History.of([[0, 2, 4, 1]], data.n_items)  # three even items, then an odd one
    assert Content().fit(data).recommend(history, k=1).item[0, 0] % 2 == 0
    assert Content(history_half_life=0.5).fit(data).recommend(history, k=1).item[0, 0] % 2 == 1


def test_a_new_item_is_placed_by_its_text() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    whole = Content().fit(data)
    grown = whole.extend(["new"], data.item_features.values[3:4])
    history = History.of([[1, 5], [0, 2]], data.n_items + 1)
    scores = grown.score(history)
    assert np.allclose(scores[:, -1], scores[:, 3], atol=1e-6)
    assert grown.item_ids_[12] == "new"
    assert len(whole.item_ids_) == 12
    assert whole.score(History.of([[1]], 12)).shape == (1, 12)  # the original stays as it is


def test_extend_refuses_what_does_not_fit() -> None:
    data = toy_dataset()
    model = Content().fit(data)
    with pytest.raises(DataError, match="known already"):
        model.extend(["i3"], np.ones((1, 8), np.float32))
    with pytest.raises(DataError, match="features of 8"):
        model.extend(["new"], np.ones((1, 5), np.float32))
    with pytest.raises(DataError, match=r"need features \[2, dim\]"):
        model.extend(["new", "newer"], np.ones((1, 8), np.float32))


def test_an_item_without_text_scores_zero() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    values = data.item_features.values.copy()
    values[3] = 0
    model = Content().fit(data.with_features(items=Features(values, "holed")))
    assert not model.score(data.history())[:, 3].any()


def test_contributions_sum_to_the_score() -> None:
    data = toy_dataset()
    history = data.history([0])
    for found in Content(history_half_life=2).fit(data).explain(history, np.array([0, 1], np.int32)):
        assert np.isclose(sum(share for _, share in found.history), found.score, atol=1e-5)


def test_needs_features() -> None:
    data = toy_dataset()
    with pytest.raises(DataError, match="features"):
        Content().fit(data.with_features(items=Features(np.zeros((12, 3), np.float32), "empty")))


def _from_texts(n_items: int = 30) -> tuple[Dataset, np.ndarray]:
    """Two groups of users like the items of one group each, as texts say; the last four items have no interactions."""
    rng = np.random.default_rng(0)
    group = np.arange(n_items) % 2
    user, item = zip(
        *((u, i) for u in range(40) for i in rng.permutation(np.flatnonzero(group[:-4] == u % 2))[:8]), strict=True
    )
    data = Dataset.from_arrays(
        user=user, item=item, user_ids=Ids(map(str, range(40))), item_ids=Ids(map(str, range(n_items)))
    )
    texts = rng.normal(0, 0.1, (n_items, 6)).astype(np.float32)
    texts[:, 0] += np.where(group == 0, 1, -1)
    return data.with_features(items=Features(texts, "grouped")), group


def test_an_item_without_interactions_is_placed_by_its_text() -> None:
    data, group = _from_texts()
    model = Content(recommender=ALS(factors=4, regularization=1.0), regularization=1.0).fit(data)
    new = np.arange(data.n_items) >= data.n_items - 4
    best = model.recommend(data.history(), k=1, candidates=new).item[:, 0]
    assert np.mean(group[best] == np.arange(40) % 2) > 0.95
    alone = ALS(factors=4, regularization=1.0).fit(data)
    known = ~new
    assert np.allclose(model.score(data.history())[:, known], alone.score(data.history())[:, known], atol=1e-5)


def test_mapped_items_grow_save_and_explain() -> None:
    check_recommender(lambda: Content(recommender=ALS(factors=4, regularization=0.5, iterations=8)))
    data, group = _from_texts()
    assert data.item_features is not None
    model = Content(recommender=ALS(factors=4, regularization=1.0), regularization=1.0).fit(data)
    grown = model.extend(["new"], data.item_features.values[-1:])
    history = History.of([[0, 2, data.n_items], [1, 3]], data.n_items + 1)  # a new item in a history is left out
    scores = grown.score(history)
    assert np.allclose(scores[:, -1], scores[:, -2], atol=1e-5)
    assert scores[group[-1], -1] > scores[1 - group[-1], -1]
    for explanation in grown.explain(history.select([0]), np.array([1, data.n_items - 1, data.n_items], np.int32)):
        assert explanation.method == "exact"
        assert sum(share for _, share in explanation.history) == pytest.approx(explanation.score, abs=1e-4)
        assert data.n_items not in dict(explanation.history)


def test_offsets_of_a_member_are_what_is_popular() -> None:
    check_recommender(lambda: Content(recommender=BPR(factors=4, epochs=60)))
    data, _ = _from_texts()
    model, every = Content(recommender=BPR(factors=4)).fit(data), np.arange(data.n_items, dtype=np.int32)
    np.testing.assert_allclose(model.popular(data.history([0]), every), model.item_factors_[:, -1], atol=1e-5)


def test_members_whose_queries_are_no_sums_are_explained_by_occlusion() -> None:
    data, _ = _from_texts()
    model = Content(recommender=TwoTower(dim=4, ids=4, hidden=8, epochs=1)).fit(data)
    assert model.explain(data.history([0]), np.array([1], np.int32))[0].method == "occlusion"


def test_lift_multiplies_what_is_read_off_a_text_and_nothing_else() -> None:
    data, _ = _from_texts()
    assert data.item_features is not None
    plain, lifted = (Content(recommender=ALS(factors=4), lift=lift).fit(data) for lift in (1.0, 2.0))
    new = np.bincount(data.item, minlength=data.n_items) == 0
    assert new.any()
    times = np.where(new, 2.0, 1.0)
    assert np.allclose(lifted.item_factors_, times[:, None] * plain.item_factors_)
    new = data.item_features.values[:1]
    grown = [model.extend(["new"], new).item_factors_[-1] for model in (plain, lifted)]
    assert np.allclose(grown[1], 2 * grown[0])


def test_the_map_is_the_weighted_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    inputs, factors = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=(20, 3)).astype(np.float32)
    inputs[:, -1] = 1
    interactions = rng.integers(0, 5, 20)
    rows = np.repeat(np.arange(20), interactions)  # each item once for each interaction, and the ridge as further rows
    whole = np.vstack([inputs[rows], np.sqrt(7.0) * np.eye(4)[:3]])
    plain = np.linalg.lstsq(whole, np.vstack([factors[rows], np.zeros((3, 3))]), rcond=None)[0]
    assert np.allclose(ridge_map(inputs, factors, interactions, 7.0), plain, atol=1e-3)


def test_a_member_without_factors_is_refused() -> None:
    with pytest.raises(DataError, match="ItemKNN has no item factors"):
        Content(recommender=ItemKNN()).fit(toy_dataset())
