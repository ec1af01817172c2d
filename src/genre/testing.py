"""Public contract checks for recommenders and encoders: every built-in passes them, and your own classes can, too.

check_recommender(lambda: MyRecommender())
check_encoder(lambda: MyEncoder())
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.data.ids import Ids
from genre.features.base import Encoder
from genre.llm.fake import FakeLanguageModel as FakeLanguageModel
from genre.recommenders.base import Recommender

_TOPICS = ("space robots and rockets", "castles knights and dragons")


def toy_dataset(n_users: int = 20, n_items: int = 12) -> Dataset:
    """Make small data whose right answer is plain: even users like even items, odd users odd ones.

    Each user has rated all items of its parity but one, `missing_item(user)`, with 5, and one item of the other parity
    with 1. The texts of even items have one topic, those of odd items another; so have the feature vectors of items and
    users. The invented item of each user (`synthetic_item`) is the missing one; two users of its parity are its
    friends.

    Args:
        n_users: Number of users, `u0`, `u1`, ...
        n_items: Number of items, `i0`, `i1`, ...

    Returns:
        A dataset with ratings from 1 to 5, times, texts and features.
    """
    rng = np.random.default_rng(0)
    users, items, ratings = [], [], []
    for user in range(n_users):
        own = [item for item in range(user % 2, n_items, 2) if item != missing_item(user, n_items)]
        other = rng.choice(np.arange(1 - user % 2, n_items, 2))
        for item, rating in [*((item, 5.0) for item in rng.permutation(own)), (other, 1.0)]:
            users.append(user)
            items.append(int(item))
            ratings.append(rating)
    user_ids = Ids(f"u{user}" for user in range(n_users))
    item_ids = Ids(f"i{item}" for item in range(n_items))
    topic = [_TOPICS[item % 2] for item in range(n_items)]
    vectors = rng.normal(0, 0.1, (n_items, 8)) + np.eye(8)[[item % 2 for item in range(n_items)]] * 2
    table = pa.table(
        {
            "item_id": item_ids.values,
            "title": [f"Story {item}" for item in range(n_items)],
            "genres": [text.split()[0] for text in topic],
            "text": [f"story {item} about {text}" for item, text in enumerate(topic)],
        }
    )
    invented = [item_ids[missing_item(user, n_items)] for user in range(n_users)]
    friends = [f"u{(user + 2) % n_users}|u{(user + 4) % n_users}" for user in range(n_users)]
    dataset = Dataset.from_arrays(
        user=users,
        item=items,
        rating=ratings,
        timestamp=np.arange(len(users)) * 60 + 1_000_000_000,
        user_ids=user_ids,
        item_ids=item_ids,
        items=table,
        users=pa.table({"user_id": user_ids.values, "synthetic_item": invented, "friends": friends}),
        rating_scale=(1.0, 5.0, 1.0),
        positive_rating=4.0,
        name="toy",
    )
    liking = np.eye(8)[[user % 2 for user in range(n_users)]] * 2 + rng.normal(0, 0.1, (n_users, 8))
    return dataset.with_features(
        items=Features(vectors.astype(np.float32), "toy"), users=Features(liking.astype(np.float32), "toy")
    )


def missing_item(user: int, n_items: int = 12) -> int:
    """Return the right answer for a toy user: the one item of its parity that it has not seen.

    Args:
        user: Row of the user.
        n_items: Number of items of the toy data.

    Returns:
        Row of the item.
    """
    same = range(user % 2, n_items, 2)
    return same[(user // 2) % len(same)]


def check_recommender(make: Callable[[], Recommender], *, toy_world: bool = True) -> None:
    """Check that a recommender keeps the contract of `Recommender`.

    Args:
        make: Returns a new recommender, not yet fitted.
        toy_world: Also check that it gives the right answers on the toy data; False for models that do not personalise.

    Raises:
        AssertionError: With the promise that was broken.
    """
    data = toy_dataset()
    model = make()
    before = model._options()
    assert model.fit(data) is model, "fit returns self"
    assert model._options() == before, "options stay as given"
    history = data.history()
    scores = model.score(history)
    assert scores.shape == (data.n_users, data.n_items), "score is [n, n_items]"
    assert scores.dtype == np.float32, "scores are float32"
    assert np.isfinite(scores).all(), "scores are finite"

    _check_batching(model, history)
    _check_strangers(model, data)
    _check_recommend(model, history)
    _check_explain(model, history)
    _check_saved(model, history)
    again = make().fit(data)
    assert np.allclose(again.score(history), scores, atol=1e-5), "the same seed gives the same model"
    if toy_world:
        _check_toy_world(model, data)
    if model.capabilities()["ratings"]:
        _check_ratings(model, data)


def check_encoder(make: Callable[[], Encoder]) -> None:
    """Check that an encoder keeps the contract of `Encoder`.

    Args:
        make: Returns a new encoder, not yet fitted.

    Raises:
        AssertionError: With the promise that was broken.
    """
    table = toy_dataset().items
    encoder = make()
    assert encoder.fit(table) is encoder, "fit returns self"
    made = encoder.encode(table)
    assert made.values.shape == (len(table), made.dim), "one vector a row"
    assert made.values.dtype == np.float32 and np.isfinite(made.values).all(), "vectors are float32 and finite"
    rows = [3, 0, 7]
    assert np.allclose(encoder.encode(table.take(rows)).values, made.values[rows], atol=1e-6), (
        "a row's vector does not depend on its batch"
    )
    assert encoder.encode(table).fingerprint == made.fingerprint, "equal texts have equal fingerprints"
    assert encoder.encode(table.take(rows)).fingerprint != made.fingerprint, "other texts have other fingerprints"
    assert encoder.encode(table.slice(0, 0)).values.shape == (0, made.dim), "an empty table is legal"
    texts = encoder.encode_texts(["", "space robots", "\ud800\0 \u202e"])
    assert texts.shape == (3, made.dim) and np.isfinite(texts).all(), "any text gets a vector"
    assert not texts[0].any(), "an empty text is a zero vector"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "encoder"
        encoder.save(folder)
        loaded = type(encoder).load(folder)
        assert loaded.fingerprint == encoder.fingerprint, "the fingerprint survives saving"
        assert np.array_equal(loaded.encode(table).values, made.values), "save and load give bit-equal vectors"


def _check_batching(model: Recommender, history: History) -> None:
    whole = model.score(history)
    rows = np.array([3, 0, 7])
    assert np.allclose(model.score(history.select(rows)), whole[rows], atol=1e-4), (
        "a row's scores do not depend on its batch"
    )


def _check_strangers(model: Recommender, data: Dataset) -> None:
    strangers = History.of([[], [0], [0, 2, 4]], data.n_items)
    scores = model.score(strangers)
    assert scores.shape == (3, data.n_items) and np.isfinite(scores).all(), (
        "unknown users and empty histories get scores"
    )
    assert np.isfinite(model.score(data.history().anonymous())).all(), "a known history without its row gets scores"
    assert model.score(strangers.select(np.empty(0, np.int64))).shape == (0, data.n_items), "an empty batch is legal"


def _check_recommend(model: Recommender, history: History) -> None:
    n_items = history.n_items
    scores = model.score(history)
    found = model.recommend(history, k=5)
    for row in range(len(history)):
        seen = set(history.item[history.indptr[row] : history.indptr[row + 1]].tolist())
        got = [item for item in found.item[row].tolist() if item >= 0]
        assert not seen & set(got), "seen items are excluded"
        assert len(set(got)) == len(got) == min(5, n_items - len(seen)), "k distinct items, or all that are left"
        best = np.sort(np.delete(scores[row], list(seen)))[::-1][: len(got)]
        assert np.allclose(found.score[row, : len(got)], best, atol=1e-4), "recommend agrees with score"
    everything = model.recommend(history, k=10 * n_items, exclude_seen=False)
    assert everything.item.shape == (len(history), n_items), "k above the catalogue is the whole catalogue"
    only = np.zeros(n_items, bool)
    only[[1, 4]] = True
    allowed = model.recommend(history, k=5, exclude_seen=False, candidates=only).item
    assert set(np.unique(allowed).tolist()) <= {-1, 1, 4}, "only candidates are recommended"
    similar = model.similar_items(np.array([0, 1], np.int32), k=3)
    assert similar.item.shape == (2, 3) and 0 not in similar.item[0], "similar items leave out the item itself"


def _check_explain(model: Recommender, history: History) -> None:
    every = np.arange(history.n_items, dtype=np.int32)
    strangers = History.of([[], [3], [0, 2, 0, 4, 2]], history.n_items)  # empty, one item, repeated items
    for one in (history.select([0]), history.select([3]), *(strangers.select([row]) for row in range(3))):
        scores, explanations = model.score(one)[0], model.explain(one, every)
        rest = []  # the part of each score that is in no term
        for item, explanation in zip(every, explanations, strict=True):
            assert explanation.item == item and np.isclose(explanation.score, scores[item], atol=1e-4), (
                "explains its own score"
            )
            assert {cause for cause, _ in explanation.history} <= set(one.item.tolist()), "causes are in the history"
            shares = [share for _, share in explanation.history]
            rest.append(explanation.score - sum([*shares, explanation.popular, *explanation.parts.values()]))
        if explanations[0].method != "occlusion":
            assert np.allclose(rest, rest[0], atol=1e-3), "terms add up to the score, but for what all items get"


def _check_saved(model: Recommender, history: History) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        model.save(folder)
        loaded = type(model).load(folder)
        assert loaded._options() == model._options(), "options survive saving"
        assert np.array_equal(loaded.score(history), model.score(history)), "save and load give bit-equal scores"


def _check_toy_world(model: Recommender, data: Dataset) -> None:
    history = data.history()
    top = model.recommend(history, k=1).item[:, 0]
    right = np.mean([item % 2 == user % 2 for user, item in enumerate(top.tolist())])
    assert right >= 0.9, f"even users should get even items: right for {right:.0%}"
    anonymous = model.recommend(History.of([[0, 2, 4], [1, 3, 5]], data.n_items), k=1).item[:, 0]
    assert [item % 2 for item in anonymous.tolist()] == [0, 1], "an anonymous even history gets an even item"


def _check_ratings(model: Recommender, data: Dataset) -> None:
    history = data.history()
    rows, items = np.array([0, 0, 1], np.int32), np.array([0, 1, 0], np.int32)
    stars = model.predict(history, rows, items)
    low, high, _ = data.rating_scale or (0, 0, 0)
    assert stars.shape == (3,) and stars.dtype == np.float32, "predict is float32 [n_pairs]"
    assert ((stars >= low) & (stars <= high)).all(), "predictions stay on the rating scale"
    assert model.predict(history, rows[:0], items[:0]).shape == (0,), "no pairs is legal"
