"""Together: numbers worked out by hand, and the plain twin of the co-occurrence."""

import numpy as np
import pytest

from genre.data.baskets import basket_matrix
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.recommenders.together import Together
from lines import Lines
from plain_recommenders import nearest_neighbours_plain


def shop(times: list[int] | None = None) -> Dataset:
    """Pen and ink in two baskets, pen and tea in one; cup with tea; `a` has pen and cup, but on two days."""
    rows = [("a", "pen", 0), ("a", "ink", 0), ("a", "cup", 9), ("a", "tea", 9), ("b", "pen", 4), ("b", "ink", 4)]
    rows += [("b", "tea", 5), ("c", "pen", 1), ("c", "tea", 1)]
    users, items = Ids("abc"), Ids(["pen", "ink", "cup", "tea"])
    return Dataset.from_arrays(
        user=users.rows([row[0] for row in rows]),
        item=items.rows([row[1] for row in rows]),
        timestamp=[3600 * row[2] for row in rows],
        user_ids=users,
        item_ids=items,
    )


def test_counts_by_hand() -> None:
    model = Together(target_power=0, shrinkage=0).fit(shop())
    pen, cup = model.item_weights_.toarray()[[0, 2]]
    assert np.allclose(pen, [0, 2 / 3, 0, 1 / 3]), "of three baskets with a pen two have ink, one tea"
    assert np.allclose(cup, [0, 0, 0, 1])
    assert model.similar_items(np.array([0], np.int32), k=3).ids() == ["ink", "tea"]
    lift = Together(target_power=1, shrinkage=0).fit(shop()).item_weights_.toarray()[0]
    assert np.allclose(lift, [0, 2 / 3 / 2, 0, 1 / 3 / 3])


def test_a_longer_gap_joins_visits() -> None:
    """Within the hour `b` adds tea to pen and ink."""
    weights = Together(gap_minutes=60, target_power=0, shrinkage=0).fit(shop()).item_weights_.toarray()
    assert np.allclose(weights[1], [1, 0, 0, 1 / 2])


def test_weights_equal_plain() -> None:
    rng = np.random.default_rng(3)
    data = Dataset.from_arrays(
        user=rng.integers(0, 8, 200),
        item=rng.integers(0, 20, 200),
        timestamp=rng.integers(0, 9, 200) * 60,
        user_ids=Ids(range(8)),
        item_ids=Ids(range(20)),
    )
    baskets = basket_matrix(data.history())
    held = np.asarray(baskets.sum(axis=0)).ravel().astype(np.float64)
    for neighbours in (4, 30):
        found = Together(neighbours=neighbours, target_power=0.5, shrinkage=2).fit(data).item_weights_
        plain = nearest_neighbours_plain(baskets, held, np.sqrt(held), neighbours, 2.0)
        assert np.allclose(found.toarray(), plain.toarray(), atol=1e-6)


def test_the_history_leads_to_what_completes_the_basket() -> None:
    assert Together(shrinkage=0).fit(shop()).recommend(History.of([[2]], 4), k=1).ids() == ["tea"]


def test_it_needs_times_and_says_where_no_basket_holds_two() -> None:
    without = Dataset.from_arrays(user=[0, 0], item=[0, 1], user_ids=Ids("a"), item_ids=Ids("xy"))
    with pytest.raises(DataError, match="together: needs timestamps"):
        Together().fit(without)
    apart = Dataset.from_arrays(user=[0, 0], item=[0, 1], timestamp=[0, 60], user_ids=Ids("a"), item_ids=Ids("xy"))
    log = Lines()
    Together().fit(apart, log=log)
    assert any("no basket holds two items; a larger gap_minutes" in line for line in log.lines)
