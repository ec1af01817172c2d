"""Repeat against the plain twin, and a shop of weekly shoppers whose right answer is known."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.recommenders.repeat import ALIKE, Repeat
from lines import Lines
from plain_recommenders import basket_vector_plain

Baskets = list[list[set[int]]]
N_ITEMS = 9


def shop(users: Baskets, weight: float = 1.0) -> Dataset:
    rows = [
        (user, item, 3600 * at)
        for user, baskets in enumerate(users)
        for at, basket in enumerate(baskets)
        for item in (*sorted(basket), min(basket))  # one line twice
    ]
    user, item, time = zip(*rows, strict=True)
    return Dataset.from_arrays(
        user=user,
        item=item,
        timestamp=time,
        weight=np.full(len(rows), weight),
        user_ids=Ids(range(len(users))),
        item_ids=Ids(range(N_ITEMS)),
    )


basket = st.sets(st.integers(0, N_ITEMS - 1), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(basket, min_size=1, max_size=9), min_size=2, max_size=6),
    st.integers(1, 5),
    st.integers(1, 4),
    st.floats(0, 1),
)
def test_scores_equal_plain(users: Baskets, groups: int, neighbours: int, own_weight: float) -> None:
    data = shop(users)
    model = Repeat(neighbours, own_weight, groups, basket_decay=0.8, group_decay=0.6).fit(data)
    vectors = np.array([basket_vector_plain(baskets, N_ITEMS, groups, 0.8, 0.6) for baskets in users])
    assert np.allclose(model.user_vectors_.toarray(), vectors, atol=1e-6)
    found = model.score(data.history().anonymous())
    for user, own in enumerate(vectors):  # of neighbours as near as the last one either may count
        distance = np.linalg.norm(vectors - own, axis=1)
        last = np.sort(distance)[: min(neighbours, len(users))][-1]
        if (np.abs(np.delete(distance, user) - last) < 1e-4).any() and neighbours < len(users):
            continue
        near = vectors[distance <= last + 1e-6].mean(axis=0)
        assert np.allclose(found[user], own_weight * own + (1 - own_weight) * near, atol=1e-5)


def test_a_user_is_no_neighbour_of_itself() -> None:
    data = shop([[{0}], [{0, 1}], [{5}]])
    model = Repeat(neighbours=1, own_weight=0).fit(data)
    assert model.score(data.history([0]))[0].argmax() == 0
    assert model.score(data.history([0]))[0][1] > 0, "the nearest other"
    assert model.score(data.history([0]).anonymous())[0][1] == 0, "an anonymous history may equal that of a user"


def test_what_is_bought_weekly_comes_before_what_was_bought_long_ago() -> None:
    weekly: Baskets = [[{0}, {0, 1}, {0}, {0, 2}, {0}], [{3, 4}, {3}, {4}, {4}, {4}]]
    data = shop(weekly * 3)
    found = Repeat(neighbours=2).fit(data).recommend(data.history([0, 1]), k=3, exclude_seen=False).item
    assert found.tolist() == [[0, 2, 1], [4, 3, 0]]


def test_neighbours_give_what_is_new() -> None:
    data = shop([[{0}, {0}], [{0}, {0, 7}], [{0}, {0, 7}], [{3}, {3, 4}]])
    assert Repeat(neighbours=2).fit(data).recommend(data.history([0]), k=1).item.tolist() == [[7]]


def test_terms_say_which_purchases_and_how_much_of_others() -> None:
    data = shop([[{0}, {0, 1}], [{0}, {0, 7}]], weight=2.0)
    model = Repeat(neighbours=1).fit(data)
    one = data.history([0])
    own, new = model.explain(one, np.array([0, 7], np.int32))
    assert [item for item, _ in own.history] == [0, 0]
    assert own.history[0][1] > own.history[1][1] > 0
    assert new.history == ()
    assert new.lead == ALIKE
    assert np.isclose(new.parts[ALIKE], new.score)
    assert np.isclose(sum(share for _, share in own.history) + own.parts[ALIKE], own.score)


def test_what_is_not_liked_is_no_basket() -> None:
    data = shop([[{0}, {1}], [{0}, {2}]])
    unliked = dataclasses.replace(data.history([0]), weight=np.zeros(4, np.float32))
    assert not Repeat(neighbours=1).fit(data).score(unliked).any(), "near to no user"


def test_data_without_repeats_is_named() -> None:
    data = Dataset.from_arrays(user=[0, 0, 1], item=[0, 1, 0], user_ids=Ids("ab"), item_ids=Ids("xy"))
    log = Lines()
    Repeat().fit(data, log=log)
    assert any("no user has an item twice; keep repeats with" in line for line in log.lines)
    assert len(Repeat().fit(data).recommend(History.of([[1]], 2), k=2).ids()) == 1
