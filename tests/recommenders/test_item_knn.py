"""ItemKNN against its plain twins, and against numbers worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.recommenders.base import Recommender
from genre.recommenders.ease_neighbours import EASENeighbours
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.overlap import nearest_neighbours
from genre.recommenders.transitions import Transitions
from genre.testing import toy_dataset
from plain_recommenders import nearest_neighbours_plain


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 60),
    st.floats(0.01, 0.6),
    st.integers(1, 20),
    st.sampled_from([0.0, 2.5]),
    st.sampled_from(["counts", "weights"]),
    st.integers(0, 10_000),
)
def test_kernel_equals_plain(
    n_users: int, n_items: int, density: float, k: int, shrinkage: float, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = sp.random(n_users, n_items, density, format="csr", dtype=np.float32, rng=rng)
    matrix.data = (rng.random(matrix.nnz) + 0.5 if kind == "weights" else np.ones(matrix.nnz)).astype(np.float32)
    source, target = rng.random(n_items) + 0.5, rng.random(n_items) + 0.5
    fast = nearest_neighbours(matrix, source, target, k, shrinkage)
    plain = nearest_neighbours_plain(matrix, source, target, k, shrinkage)
    everything = nearest_neighbours_plain(matrix, source, target, n_items, shrinkage).toarray()
    assert fast.has_sorted_indices
    assert fast.shape == plain.shape
    for item in range(n_items):  # values that rounding alone tells apart may fall either way at the edge
        assert np.allclose(np.sort(fast[item].data), np.sort(plain[item].data), rtol=1e-5)
        assert np.allclose(everything[item, fast[item].indices], fast[item].data, rtol=1e-5)


def small(similarity: str, **options: float) -> np.ndarray:
    """Similarities of items 0, 1, 2 taken by users {0,1}, {0,1,2}, {2}."""
    data = Dataset.from_arrays(
        user=[0, 1, 0, 1, 2, 2], item=[0, 0, 1, 1, 1, 2], user_ids=Ids("abc"), item_ids=Ids("xyz")
    )
    return ItemKNN(similarity=similarity, **options).fit(data).item_weights_.toarray()  # type: ignore[arg-type]


def test_cosine_by_hand() -> None:
    expected = np.array([[0, 2 / np.sqrt(6), 0], [2 / np.sqrt(6), 0, 1 / np.sqrt(3)], [0, 1 / np.sqrt(3), 0]])
    assert np.allclose(small("cosine"), expected)
    assert np.isclose(small("cosine", shrinkage=10)[0, 1], 2 / (np.sqrt(6) + 10))


def test_rp3beta_by_hand() -> None:
    got = small("rp3beta", alpha=1.0, beta=0.5)
    assert np.isclose(got[0, 1], (1 / 2 * 1 / 2 + 1 / 2 * 1 / 2) / 3**0.5)  # over users 0 and 1 of two items each
    assert np.isclose(got[1, 0], (1 / 3 * 1 / 2 + 1 / 3 * 1 / 2) / 2**0.5)
    assert np.isclose(got[1, 2], 1 / 3 * 1 / 2)


def test_tfidf_counts_busy_users_less() -> None:
    rarity = np.log(3 / 2)  # every user has two of three items
    assert np.isclose(small("tfidf")[0, 1], 2 * rarity**2 / (np.sqrt(2) * rarity * np.sqrt(3) * rarity))


def test_bm25_by_hand() -> None:
    """Users who took {0: 1, 1: 2}, {0: 3, 1: 1, 2: 1}, {2: 1} and {0: 1}, by weight."""
    data = Dataset.from_arrays(
        user=[0, 0, 1, 1, 1, 2, 3],
        item=[0, 1, 0, 1, 2, 2, 0],
        weight=[1, 2, 3, 1, 1, 1, 1],
        user_ids=Ids("abcd"),
        item_ids=Ids("xyz"),
    )
    rare = {
        items: np.log(1 + (3 - items + 0.5) / (items + 0.5)) for items in (1, 2, 3)
    }  # by what a user took, of three
    long = {users: 0.25 + 0.75 * users / (7 / 3) for users in (2, 3)}  # by who took an item; 7 / 3 is usual

    def weight(value: float, items: int, users: int) -> float:
        return float(rare[items] * value * 2.2 / (value + 1.2 * long[users]))

    x = [weight(1, 2, 3), weight(3, 3, 3), 0, weight(1, 1, 3)]
    y = [weight(2, 2, 2), weight(1, 3, 2), 0, 0]
    z = [0, weight(1, 3, 2), weight(1, 1, 2), 0]
    got = ItemKNN(similarity="bm25").fit(data).item_weights_.toarray()
    for row, column, one, other in ((0, 1, x, y), (0, 2, x, z), (1, 2, y, z)):
        expected = np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)
        assert got[row, column] == got[column, row] == pytest.approx(expected, rel=1e-5)
    shrunk = ItemKNN(similarity="bm25", shrinkage=10.0).fit(data).item_weights_[0, 1]
    assert shrunk == pytest.approx(np.dot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y) + 10), rel=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "bm25", "tfidf", "rp3beta"])
def test_neighbours_limit_and_toy_world(similarity: str) -> None:
    data = toy_dataset()
    model = ItemKNN(similarity=similarity, neighbours=6).fit(data)  # type: ignore[arg-type]
    assert np.diff(model.item_weights_.indptr).max() <= 6
    top = model.recommend(data.history(), k=1).item[:, 0]
    assert np.array_equal(top % 2, np.arange(20) % 2)


def test_history_half_life() -> None:
    data = toy_dataset()
    plain, recent = ItemKNN().fit(data), ItemKNN(history_half_life=1).fit(data)
    scores = recent.score(History.of([[0, 3]], 12))
    alone = plain.score(History.of([[0], [3]], 12))
    assert np.allclose(scores[0], alone[0] / 2 + alone[1], atol=1e-6)


def test_contributions_sum_to_the_score() -> None:
    data = toy_dataset()
    for found in ItemKNN(history_half_life=3).fit(data).explain(data.history([0]), np.array([0, 1, 2], np.int32)):
        assert np.isclose(sum(share for _, share in found.history), found.score, atol=1e-5)


def sparse_taste(seed: int, *, n_users: int = 40, n_items: int = 30) -> np.ndarray:
    """Who interacted with what, bool `[n_users, n_items]`; no two items have the same users."""
    return np.unique(np.random.default_rng(seed).random((n_users, n_items)) < 0.15, axis=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "make",
    [
        lambda: ItemKNN(neighbours=5),
        lambda: ItemKNN(neighbours=5, similarity="bm25"),
        lambda: ItemKNN(neighbours=5, similarity="rp3beta"),
        lambda: EASENeighbours(neighbours=5, regularization=10.0),
        lambda: Transitions(neighbours=5, window=3),
    ],
)
def test_names_decide_no_neighbour(make: Callable[[], Recommender], seed: int) -> None:
    """Items and users renamed in reverse alphabetical order have the same scores."""
    taken = sparse_taste(seed)
    (n_users, n_items), (user, item) = taken.shape, np.nonzero(taken)
    when = np.random.default_rng(seed).permutation(len(user))

    def scores(user: np.ndarray, item: np.ndarray) -> np.ndarray:
        user_ids, item_ids = Ids(f"u{n:03}" for n in range(n_users)), Ids(f"i{n:03}" for n in range(n_items))
        data = Dataset.from_arrays(user=user, item=item, timestamp=when, user_ids=user_ids, item_ids=item_ids)
        return make().fit(data).score(data.history())

    renamed = scores(n_users - 1 - user, n_items - 1 - item)[::-1, ::-1]
    np.testing.assert_allclose(renamed, scores(user, item), atol=1e-6)


def test_of_equal_neighbours_the_popular_one_is_kept() -> None:
    """Items 0 and 1 are equally similar to item 2, by the cosine with shrinkage of their norms; 1 has more users."""
    taken = np.array([[1, 0, 1], [0, 1, 1], [0, 1, 0], [0, 1, 0], [0, 1, 1]])
    one = np.ones(3)
    near = nearest_neighbours(sp.csr_matrix(taken.astype(np.float32)), one, np.array([1, 2, 1.0]), 1)
    assert near[2].indices.tolist() == [1]
