"""Blend: scaling, fitted weights, ranks, members on disk, new items."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.features import join_blocks
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import ArtifactError, DataError, NotSupported, OptionError
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend, _reciprocal_ranks
from genre.recommenders.blend_weights import (
    CandidateLists,
    Candidates,
    best_candidates,
    climb_ndcg,
    cross_entropy,
    fit_weights,
)
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.recommenders.reasons import sentence
from genre.recommenders.repeat import Repeat
from genre.recommenders.transitions import Transitions
from genre.testing import toy_dataset

PAIR = (ItemKNN(), Popularity())


def test_score_is_the_weighted_sum_in_units_of_spread() -> None:
    data = toy_dataset()
    blend = Blend(PAIR, weights=(3.0, 1.0)).fit(data)
    history = data.history([0, 3])
    parts = [dataclasses.replace(member).fit(data).score(history) for member in PAIR]
    expected = sum(w * part / part.std(axis=1, keepdims=True) for w, part in zip((0.75, 0.25), parts, strict=True))
    assert np.allclose(blend.score(history), expected, atol=1e-5)


def test_options_stay_and_members_are_copies() -> None:
    member = ItemKNN(neighbours=3)
    blend = Blend((member,)).fit(toy_dataset())
    assert blend.recommenders == (member,)
    assert not hasattr(member, "item_weights_")
    assert blend.members_[0] is not member


def test_weights_are_fitted_on_the_validation_part() -> None:
    """The validation targets are the most popular items, whatever the history."""
    data = toy_dataset()
    popular = np.argsort(-np.bincount(data.item, data.weight, 12), kind="stable")
    user = np.arange(20)
    item = np.array([next(i for i in popular if i not in data.item[data.user == u]) for u in user])
    target = Dataset.from_arrays(user=user, item=item, user_ids=data.user_ids, item_ids=data.item_ids)
    fitted = Blend((ItemKNN(), Popularity()), k=1).fit(data, validation=Fold(data, target))
    held_out = Blend((ItemKNN(), Popularity()), k=1).fit(data)
    assert fitted.weights_[0, 1] > held_out.weights_[0, 1]


@dataclass(eq=False)
class Fixed(Recommender):
    """Gives all users the same scores."""

    scores: tuple[float, ...] = ()

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        self.row_ = np.array(self.scores, np.float32)

    def _score(self, history: History) -> np.ndarray:
        return np.tile(self.row_, (len(history), 1))


@pytest.mark.parametrize("held_out", ["validation part", "last impression"])
def test_weights_are_fitted_to_impressions(held_out: str) -> None:
    """Of 3 or 4, and 5, which are shown, nobody clicks 5; one member knows that, the other finds 3 in the catalogue."""
    shown = [(user, 1 + at, item, item != 5) for user in range(60) for at in range(2) for item in (3 + user % 2, 5)]
    user, time, item, click = np.array([(user, 0, 2, True) for user in range(60)] + shown).T
    ids = {"user_ids": Ids(range(60)), "item_ids": Ids(range(2, 6))}
    data = Dataset.from_arrays(user=user, item=item - 2, weight=click, timestamp=time, **ids)
    assert data.timestamp is not None
    last = data.timestamp == 2
    fold = Fold(data.where(~last), data.where(last))
    train, given = (data, None) if held_out == "last impression" else (fold.context, fold)
    knows, finds = Fixed((2, 1, 1, 0)), Fixed((0, 1, 0, 0.9))  # rows: items 2, 3, 4, 5
    weights = {
        learn_from: Blend((knows, finds), k=1, exclude_seen=False, learn_from=learn_from)
        .fit(train, validation=given)
        .weights_[0]
        for learn_from in ("lists", "impressions")
    }
    assert weights["lists"][0] <= 0.5 < weights["impressions"][0], weights
    tied = Blend((Fixed((0, 0, 0, 0)), Fixed((0, 0, 0, 1)), knows), k=1, exclude_seen=False, learn_from="impressions")
    assert tied.fit(train, validation=given).weights_[0, 2] > 0.5, "what is clicked stands first in the file"
    some = Blend((knows, finds), k=1, histories=10, learn_from="impressions").fit(train, validation=given)
    assert some.weights_[0, 0] > 0.5
    with pytest.raises(DataError, match="the data has no times"):
        some.fit(dataclasses.replace(train, timestamp=None))


def test_weighing_fitted_members_gives_what_fitting_gives() -> None:
    data = toy_dataset()
    fold = _validation(data)
    fitted = Blend(PAIR).fit(data, validation=fold)
    weighed = Blend(PAIR).weigh(fitted.members_, fold)
    assert np.array_equal(weighed.weights_, fitted.weights_)
    assert np.array_equal(weighed.score(data.history()), fitted.score(data.history()))
    with pytest.raises(OptionError, match="1 fitted members, expected 2"):
        Blend(PAIR).weigh(fitted.members_[:1], fold)


def test_few_scores_are_held_while_weights_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    class Watched(Popularity):
        def score(self, history: History) -> Float32:
            sizes.append(len(history))
            return super().score(history)

    data = toy_dataset()
    fold = _validation(data)
    members = (ItemKNN().fit(data), Watched().fit(data))
    at_once = Blend(PAIR).weigh(members, fold)
    assert max(sizes) > 3
    sizes.clear()
    monkeypatch.setattr("genre.recommenders.blend.SCORES_HELD", 3 * 2 * data.n_items)
    in_blocks = Blend(PAIR).weigh(members, fold)
    assert max(sizes) == 3
    assert np.array_equal(in_blocks.weights_, at_once.weights_)


def _validation(data: Dataset) -> Fold:
    """The first item that each user has not seen."""
    user = np.arange(20)
    item = np.array([next(i for i in range(12) if i not in data.item[data.user == u]) for u in user])
    return Fold(data, Dataset.from_arrays(user=user, item=item, user_ids=data.user_ids, item_ids=data.item_ids))


def random_lists(seed: int, n: int = 40) -> CandidateLists:
    rng = np.random.default_rng(seed)
    candidates = []
    for _ in range(n):
        scores = rng.normal(size=(3, 30)).astype(np.float32)
        right = np.zeros(30, bool)
        right[rng.choice(30, 2, replace=False)] = True
        scores[0, right] += 1.5
        scores[1, right] += 1.0
        candidates.append(Candidates(scores, right, 2))
    return CandidateLists.of(candidates)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_no_blend_is_worse_than_its_best_member(seed: int) -> None:
    lists = random_lists(seed)
    weights = fit_weights(lists, 5, np.full(3, 1 / 3))
    assert np.isclose(weights.sum(), 1)
    assert (weights >= 0).all()
    assert lists.ndcg(weights, 5) >= max(lists.ndcg(alone, 5) for alone in np.eye(3))
    assert lists.ndcg(weights, 5) >= lists.ndcg(np.full(3, 1 / 3), 5)


@pytest.mark.parametrize("partly", [False, True])
def test_the_gradient_of_the_cross_entropy_is_its_slope(*, partly: bool) -> None:
    """Against differences, with lists of different lengths, several targets, and members that do not know all."""
    rng, some = np.random.default_rng(0), []
    for width in (4, 9, 6):
        right = np.zeros(width, bool)
        right[rng.choice(width, 2, replace=False)] = True
        known = rng.random((3, width)) < 0.7 if partly else None
        scores = rng.normal(size=(3, width)) * (1 if known is None else known)
        some.append(Candidates(scores.astype(np.float32), right, 2, known))
    lists, weights = CandidateLists.of(some), np.array([0.5, 1.5, 0.8])
    _, gradient = cross_entropy(lists, weights)
    step = 1e-2
    slope = [
        (cross_entropy(lists, weights + step * one)[0] - cross_entropy(lists, weights - step * one)[0]) / (2 * step)
        for one in np.eye(3)
    ]
    assert np.allclose(gradient, slope, atol=1e-3)
    assert np.abs(gradient).max() > 0.05


def test_the_cross_entropy_by_hand() -> None:
    scores = np.array([[1, 0], [0, 3]], np.float32)
    lists = CandidateLists.of([Candidates(scores, np.array([True, False]), 1)])
    assert np.isclose(cross_entropy(lists, np.array([2.0, 0.5]))[0], np.log(1 + np.exp(1.5 - 2)))


def many_members(n: int, seed: int) -> CandidateLists:
    """Twelve members that each know a little of the targets."""
    rng, candidates = np.random.default_rng(seed), []
    for _ in range(n):
        scores = rng.normal(size=(12, 60)).astype(np.float32)
        right = np.arange(60) == rng.integers(60)
        scores[:, right] += 0.6
        candidates.append(Candidates(scores, right, 1))
    return CandidateLists.of(candidates)


def test_few_histories_are_weighed_by_what_holds_for_others() -> None:
    """Climbing ndcg on sixty histories follows their chances; the smooth loss finds that all members count alike."""
    few, others, equal = many_members(60, 0), many_members(600, 1), np.full(12, 1 / 12)
    start = np.append(1.0, np.zeros(11))  # a poor one
    found = others.ndcg(fit_weights(few, 10, start), 10)
    assert found > others.ndcg(climb_ndcg(few, 10, start), 10) + 0.02
    assert found > 0.9 * others.ndcg(equal, 10)


def test_noise_gets_little_weight() -> None:
    weights = fit_weights(random_lists(3, n=400), 5, np.full(3, 1 / 3))
    assert weights[2] < 0.1 < weights[1] < weights[0]


def test_mean_ndcg_by_hand() -> None:
    scores = np.array([[3, 2, 1]], np.float32)
    one = Candidates(scores, np.array([False, True, True]), 3)
    two = Candidates(scores[:, :2], np.array([True, False]), 1)
    ideal = 1 + 1 / np.log2(3)  # two places for three targets
    assert np.isclose(CandidateLists.of([one, two]).ndcg(np.ones(1), 2), (1 / np.log2(3) / ideal + 1) / 2)


def test_ties_go_to_the_lower_row_as_in_a_list() -> None:
    lists = CandidateLists.of(
        [
            Candidates(np.array([[1, 1, 2, 2]], np.float32), np.array([False, False, right, not right]), 1)
            for right in (True, False)
        ]
    )
    assert lists.ndcg(np.ones(1), 1) == 0.5
    assert lists.ndcg(np.ones(1), 2) == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_candidates_are_each_members_best_unseen() -> None:
    scores = np.array([[9, 8, 1, 0, 2], [0, 1, 9, 8, 2]], np.float32)
    found = best_candidates(scores, np.array([0], np.int32), np.array([2, 4], np.int32), depth=1)
    assert np.array_equal(found.scores, scores[:, [1, 2]])
    assert found.relevant.tolist() == [False, True]
    assert found.n_relevant == 2


def test_reciprocal_ranks_by_hand() -> None:
    got = _reciprocal_ranks(np.array([[5, 7, 0, 0]], np.float32))
    assert np.allclose(got, [[1 / 62, 1 / 61, 1 / 64, 1 / 64]])


def test_reciprocal_rank_needs_no_weights() -> None:
    data = toy_dataset()
    blend = Blend(PAIR, method="reciprocal_rank").fit(data)
    history = data.history([5])
    parts = [_reciprocal_ranks(member.score(history)) for member in blend.members_]
    assert np.allclose(blend.score(history), (parts[0] + parts[1]) / 2)


def test_length_buckets_have_weights_of_their_own() -> None:
    data = toy_dataset()
    short = data.where((np.arange(len(data)) % 6 < 3) | (data.user >= 10))
    blend = Blend((ItemKNN(), Content()), length_buckets=2).fit(short)
    assert blend.weights_.shape == (len(blend.edges_) + 1, 2)
    assert len(blend.edges_) == 1


@dataclass(eq=False)
class Always(Recommender):
    """Recommends one item to all users."""

    item: int = 0

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        self.row_ = np.eye(dataset.n_items, dtype=np.float32)[self.item]

    def _score(self, history: History) -> np.ndarray:
        return np.tile(self.row_, (len(history), 1))


def test_each_length_trusts_the_member_that_is_right_for_it() -> None:
    lengths = np.array([1, 2, 2, 3] * 4 + [6, 7, 8, 9] * 4)
    target = np.where(lengths <= 3, 10, 11)  # short histories go on with one item, long ones with another
    ids = Ids(range(len(lengths))), Ids(range(12))
    user, item = np.repeat(np.arange(len(lengths)), lengths), np.concatenate([np.arange(n) for n in lengths])
    data = Dataset.from_arrays(user=user, item=item, user_ids=ids[0], item_ids=ids[1])
    fold = Fold(data, Dataset.from_arrays(user=np.arange(32), item=target, user_ids=ids[0], item_ids=ids[1]))
    blend = Blend((Always(10), Always(11)), length_buckets=2, k=1).fit(data, validation=fold)
    assert blend.edges_.tolist() == [4.5]
    assert blend.weights_[0, 0] >= blend.weights_[0, 1]  # a tie is the first one's
    assert blend.weights_[1, 0] < blend.weights_[1, 1]
    assert blend.recommend(data.history(), k=1).item[:, 0].tolist() == target.tolist()
    one = Blend((Always(10), Always(11)), k=1).fit(data, validation=fold)
    assert len(set(one.recommend(data.history(), k=1).item[:, 0].tolist())) == 1


def test_contributions_are_the_members() -> None:
    data = toy_dataset()
    blend = Blend((EASE(regularization=10), ItemKNN()), weights=(1.0, 2.0)).fit(data)
    for found in blend.explain(data.history([0]), np.array([0, 1], np.int32)):
        assert found.method == "exact"
        assert np.isclose(sum(share for _, share in found.history), found.score, atol=1e-4)


@pytest.mark.parametrize(("weights", "popular"), [((1.0, 50.0), True), ((50.0, 1.0), False)])
def test_what_is_recommended_for_its_popularity_says_so(weights: tuple[float, ...], popular: bool) -> None:  # noqa: FBT001
    data = toy_dataset()
    blend = Blend(PAIR, weights=weights).fit(data)
    history = data.history([0])
    found = blend.explain(history, np.arange(data.n_items, dtype=np.int32))
    best = max(found, key=lambda one: one.score)
    assert sentence(best, data.titles()).startswith("popular; also because of Story") is popular
    for one in found:
        assert one.popular + sum(share for _, share in one.history) == pytest.approx(one.score, abs=1e-4)


def test_new_items_come_in_through_a_member() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    blend = Blend((ItemKNN(), Content()), weights=(1.0, 1.0)).fit(data)
    grown = blend.extend(["odd"], data.item_features.values[1:2])
    history = History.of([[3, 5, 7], [0, 2, 4], [12]], 13)
    scores = grown.score(history)
    assert scores[0, 12] > scores[1, 12]  # who likes odd items likes the new one more
    assert scores[2, [1, 3, 5]].mean() > scores[2, [0, 2, 4]].mean()
    assert grown.contributions(history.select([0]), np.array([12, 1], np.int32)).shape == (2, 3)
    with pytest.raises(NotSupported, match="none of its members"):
        Blend(PAIR, weights=(1.0, 1.0)).fit(data).extend(["odd"], data.item_features.values[1:2])


def test_a_blend_of_blends_is_saved_whole(tmp_path: Path) -> None:
    data = toy_dataset()
    inner = Blend((EASE(regularization=10), Transitions()), length_buckets=2)
    blend = Blend((inner, Content(history_half_life=3)), weights=(1.0, 0.5)).fit(data)
    blend.save(tmp_path / "blend")
    loaded = Recommender.load(tmp_path / "blend")
    assert isinstance(loaded, Blend)
    assert loaded._options() == blend._options()
    assert np.array_equal(loaded.score(data.history()), blend.score(data.history()))
    state = next((tmp_path / "blend").rglob("1/state.safetensors"))
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactError, match="damaged"):
        Blend.load(tmp_path / "blend")


def test_impossible_blends_are_refused() -> None:
    with pytest.raises(OptionError, match="at least 1"):
        Blend(())
    with pytest.raises(OptionError, match="as many weights"):
        Blend(PAIR, weights=(1.0,))
    with pytest.raises(OptionError, match="above zero"):
        Blend(PAIR, weights=(0.0, 0.0))
    data = toy_dataset()
    with pytest.raises(DataError, match="fit weights on"):
        Blend(PAIR).fit(data.where(np.arange(len(data)) == 0))


def test_similar_items_are_those_beyond_popularity() -> None:
    data = toy_dataset()
    every = np.arange(data.n_items, dtype=np.int32)
    blend = Blend((Popularity(), EASE(10.0)), weights=(0.95, 0.05)).fit(data)
    assert np.array_equal(blend.similar_items(every, k=3).item, EASE(10.0).fit(data).similar_items(every, k=3).item)
    none = Popularity().fit(data).similar_items(every, k=3)
    assert (none.item == -1).all()
    assert np.isneginf(none.score).all()


def test_where_repeats_count_the_weights_are_fitted_for_them() -> None:
    """Users take one item again and again; what is popular is new to them and never taken."""
    rows = [(user, item, 3600 * at) for user in range(12) for at in range(6) for item in [user % 6]]
    rows += [(user, 6 + user % 2, 3600 * 7) for user in range(12)]
    user, item, time = zip(*sorted(rows), strict=True)
    ids = {"user_ids": Ids(range(12)), "item_ids": Ids(range(8))}
    data = Dataset.from_arrays(user=user, item=item, timestamp=time, **ids)
    again = np.arange(12)
    later = Dataset.from_arrays(user=again, item=again % 6, timestamp=[3600 * 9] * 12, **ids)
    validation = Fold(data, later)
    blend = Blend((Popularity(), Repeat(neighbours=2)), exclude_seen=False).fit(data, validation=validation)
    assert blend.recommend(data.history(again), k=1, exclude_seen=False).item[:, 0].tolist() == (again % 6).tolist()
    with pytest.raises(DataError, match="no liked item that is new to its user"):
        Blend((Popularity(), Repeat(neighbours=2))).fit(data, validation=validation)


def test_an_item_without_a_block_is_scored_by_the_others() -> None:
    """Items 0 to 5 look and read alike; 4 has no picture, and ranks as high as 5, which has all."""
    data = _with_pictures()
    blend = Blend((Content(block="text"), Content(block="image")), weights=(0.5, 0.5)).fit(data)
    texts, pictures = (member.score(data.history([0])) for member in blend.members_)
    scores = blend.score(data.history([0]))
    assert scores[0, 4] == pytest.approx(texts[0, 4] / texts.std(), rel=1e-5), "no weight is lost"
    has = data.item_features.blocks[1].known  # type: ignore[union-attr]
    expected = 0.5 * texts[0, 5] / texts.std() + 0.5 * pictures[0, 5] / pictures[0, has].std()
    assert scores[0, 5] == pytest.approx(expected, rel=1e-5)
    assert not pictures[0, 4]
    terms = blend.terms(data.history([0]), np.arange(12, dtype=np.int32))
    summed = terms.history.sum(axis=1) + terms.popular
    assert np.ptp(scores[0] - summed) < 1e-5, "the evidence adds up, with a block or without"


def test_a_history_without_a_block_is_scored_by_the_others() -> None:
    data = _with_pictures()
    blend = Blend((Content(block="text"), Content(block="image")), weights=(0.5, 0.5)).fit(data)
    alone = History.of([[4]], 12)  # the item without a picture
    texts = blend.members_[0].score(alone)
    assert np.allclose(blend.score(alone), texts / texts.std(), atol=1e-5)
    empty = History.of([[]], 12)
    assert np.argmax(blend.score(empty)) == np.argmax(blend.popularity_), "of an empty history popularity is known"


def test_weights_are_fitted_for_what_members_know() -> None:
    """A member that knows one of two targets, and ranks it best, is right wherever it says something."""
    scores = np.array([[3, 2, 1, 0], [0, 0, 0, 5]], np.float32)
    known = np.array([[True] * 4, [False, False, False, True]])
    one = Candidates(scores, np.array([True, False, False, True]), 2, known)
    lists = CandidateLists.of([one, one])
    assert lists.ndcg(np.array([0.5, 0.5]), 2) == 1
    assert lists.ndcg(np.array([1.0, 0.0]), 2) < 1


def _with_pictures() -> Dataset:
    """The toy data, whose items have a text and, but for item 4, a picture."""
    data, rng = toy_dataset(), np.random.default_rng(0)
    kinds = np.arange(12)[:, None] % 2
    texts, pictures = (np.hstack([kinds, 1 - kinds]) + rng.normal(0, 0.1, (12, 2)) for _ in range(2))
    pictures[4] = 0
    has = np.arange(12) != 4
    parts = [texts.astype(np.float32), pictures.astype(np.float32)]
    return data.with_features(items=join_blocks(parts, ["text", "image"], [np.ones(12, bool), has], "made"))
