"""Friends against the plain twin, and a circle of friends whose right answer is known."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.recommenders.friends import FRIENDS, Friends
from lines import Lines
from plain_recommenders import friends_plain

COLUMN: list[object] = ["b|c", None, "d", "a", "zoe"]


def circle(friends: object = COLUMN) -> Dataset:
    """`a` is a friend of b and c, c of d, d of a; e has no friend whom the data knows and has done nothing yet."""
    return Dataset.from_arrays(
        user=[0, 1, 1, 2, 2, 3],
        item=[0, 0, 1, 2, 3, 4],
        user_ids=Ids("abcde"),
        item_ids=Ids("vwxyz"),
        users=pa.table({"user_id": list("abcde"), "friend": friends}),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=20),
    st.lists(st.sets(st.integers(0, 4), max_size=4), min_size=5, max_size=5),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0.0, 0.3]),
)
def test_scores_equal_plain(
    pairs: list[tuple[int, int]], chosen: list[set[int]], similarity_weight: float, second_weight: float
) -> None:
    friends = [sorted(some - {user}) for user, some in enumerate(chosen)]
    user, item = zip(*pairs, strict=True)
    data = Dataset.from_arrays(
        user=user,
        item=item,
        user_ids=Ids(range(5)),
        item_ids=Ids(range(7)),
        users=pa.table({"friends": pa.array([[str(one) for one in some] for some in friends], pa.list_(pa.string()))}),
    )
    model = Friends(similarity_weight=similarity_weight, second_weight=second_weight)
    if not any(friends):
        with pytest.raises(DataError, match="no id of another user"):
            model.fit(data)
        return
    found, matrix = model.fit(data).score(data.history()), data.matrix().toarray()
    for row in range(5):
        plain = friends_plain(row, matrix[row], friends, matrix, similarity_weight, second_weight)
        if plain.any():
            assert np.allclose(found[row], plain, atol=1e-6)
        elif not friends[row]:
            assert np.array_equal(found[row], model.popularity_)


def test_friends_of_like_taste_count_more() -> None:
    """`b` shares v with a, c shares nothing."""
    data = circle()
    scores = Friends("friend").fit(data).score(data.history([0]))[0]
    assert scores[1] > scores[2] == scores[3] > 0 == scores[4]
    alike = Friends("friend", similarity_weight=1).fit(data).score(data.history([0]))[0]
    assert alike[1] > 0 == alike[2]
    further = Friends("friend", second_weight=0.5).fit(data).score(data.history([0]))[0]
    assert further[4] > 0, "d is a friend of c"


def test_a_new_user_is_served_by_friends_and_others_by_popularity() -> None:
    data = circle(["b|c", None, "d", "a", "b"])
    model = Friends("friend").fit(data)
    assert model.recommend(data.history([4]), k=2).ids() == ["v", "w"], "e has done nothing yet, but has a friend"
    popular = model.popularity_
    assert np.array_equal(model.score(data.history([1]))[0], popular)
    assert np.array_equal(model.score(History.of([[2], []], 5)), np.stack([popular, popular]))
    (reason,) = model.explain(data.history([4]), np.array([1], np.int32))
    assert reason.lead == FRIENDS
    (reason,) = model.explain(data.history([1]), np.array([0], np.int32))
    assert reason.lead == "popular"


def test_friends_without_interactions_are_counted() -> None:
    log = Lines()
    Friends("friend").fit(circle(), log=log)
    assert any("1 of 5 friendships name a user without interactions" in line for line in log.lines)
    with pytest.raises(DataError, match="did you mean 'friend'"):
        Friends("friends").fit(circle())
