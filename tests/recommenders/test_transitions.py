"""Transitions against the plain twin, and against numbers worked out by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.recommenders.transitions import Transitions, follower_counts
from plain_recommenders import follower_counts_plain


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 14), max_size=12), min_size=1, max_size=8),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.4]),
    st.integers(1, 16),
    st.integers(0, 10_000),
)
def test_kernel_equals_plain(rows: list[list[int]], window: int, backward: float, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    history = History.of(rows, 15)
    history.weight[:] = rng.random(len(history.item)) + 0.5
    forward, source, target = rng.random(window) + 0.1, rng.random(15) + 0.5, rng.random(15) + 0.5
    fast = follower_counts(history, forward, forward * backward, source, target, k)
    plain = follower_counts_plain(history, forward, forward * backward, source, target, k)
    assert fast.has_sorted_indices
    for item in range(15):  # rounding may break a tie at the edge either way, the values it may not change
        assert np.allclose(np.sort(fast[item].data), np.sort(plain[item].data), rtol=1e-5)
    if k == 16:
        assert np.allclose(fast.toarray(), plain.toarray(), rtol=1e-5)


def fitted(rows: list[list[int]], **options: float | int | None) -> Transitions:
    flat = [(user, item) for user, row in enumerate(rows) for item in row]
    user, item = zip(*flat, strict=True)
    data = Dataset.from_arrays(user=user, item=item, user_ids=Ids(range(len(rows))), item_ids=Ids("abcd"))
    return Transitions(**options).fit(data)  # type: ignore[arg-type]


def test_counts_by_hand() -> None:
    plain = {"source_power": 0, "target_power": 0, "distance_power": 1, "backward": 0.25}
    got = fitted([[0, 1, 2], [0, 2]], **plain).item_weights_.toarray()
    assert np.allclose(got[0], [0, 1, 1.5, 0])  # a then b; a then c at two steps and at one
    assert np.allclose(got[2], [1.5 / 4, 1 / 4, 0, 0])
    short = fitted([[0, 1, 2], [0, 2]], window=1, **plain).item_weights_.toarray()
    assert np.allclose(short[0], [0, 1, 1, 0])


def test_frequent_items_are_held_back() -> None:
    got = fitted([[0, 1], [2, 1], [0, 3]], source_power=1, target_power=0.5, backward=0).item_weights_.toarray()
    assert np.isclose(got[0, 1], 1 / 2 / 2**0.5)
    assert np.isclose(got[0, 3], 1 / 2)


def test_order_decides() -> None:
    model = fitted([[0, 1, 2, 3]] * 3, backward=0.1)
    top = model.recommend(History.of([[0], [1], [2]], 4), k=1).item[:, 0]
    assert top.tolist() == [1, 2, 3]


def test_the_newest_item_counts_most() -> None:
    model = fitted([[0, 1], [2, 3]], history_half_life=1)
    scores = model.score(History.of([[0, 2], [2, 0]], 4))
    assert scores[0, 3] == 2 * scores[0, 1] > 0
    assert scores[1, 1] == 2 * scores[1, 3] > 0


def test_what_was_not_liked_is_no_step() -> None:
    data = Dataset.from_arrays(
        user=[0, 0, 0], item=[0, 1, 2], weight=[1, 0, 1], user_ids=Ids("u"), item_ids=Ids("abcd")
    )
    options = {"source_power": 0, "target_power": 0, "distance_power": 1, "backward": 0}
    assert np.allclose(Transitions(**options).fit(data).item_weights_.toarray()[0], [0, 0, 1, 0])  # type: ignore[arg-type]


def test_contributions_sum_to_the_score() -> None:
    model = fitted([[0, 1, 2, 3], [1, 3, 2], [2, 0, 3]])
    for found in model.explain(History.of([[0, 1, 2]], 4), np.array([0, 3], np.int32)):
        assert np.isclose(sum(share for _, share in found.history), found.score, rtol=1e-5)
