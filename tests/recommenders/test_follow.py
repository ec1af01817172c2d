"""Follow against the plain twin, and people of whom it is known whom they should follow."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import genre
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.recommenders.follow import ITSELF, TASTE, Follow
from plain_recommenders import follow_plain

PEOPLE = 6
SOME = st.lists(st.sets(st.integers(0, PEOPLE - 1), max_size=4), min_size=PEOPLE, max_size=PEOPLE)


def network(follows: list[set[int]], likes: list[set[int]]) -> Dataset:
    edges = [(user, other) for user, some in enumerate(follows) for other in sorted(some)]
    return Dataset.from_arrays(
        user=[user for user, _ in edges],
        item=[other for _, other in edges],
        user_ids=Ids(range(PEOPLE)),
        item_ids=Ids(range(PEOPLE)),
        users=pa.table({"likes": pa.array([sorted(map(str, some)) for some in likes], pa.list_(pa.string()))}),
    )


@settings(max_examples=60, deadline=None)
@given(SOME, SOME, st.sampled_from(["adamic_adar", "resource_allocation", "common"]), st.sampled_from([0.0, 0.7]))
def test_scores_equal_plain(chosen: list[set[int]], likes: list[set[int]], measure: str, taste_weight: float) -> None:
    follows = [some - {user} for user, some in enumerate(chosen)]
    assume(any(follows))
    data = network(follows, likes)
    found = Follow(measure, "likes", taste_weight).fit(data).score(data.history())  # type: ignore[arg-type]
    for user in range(PEOPLE):
        plain = follow_plain(user, follows, likes, measure, taste_weight)
        if max(plain) <= 0:  # neither a path nor a taste in common: the most followed people
            plain = np.where(np.arange(PEOPLE) == user, -1, np.bincount(data.item, minlength=PEOPLE)).tolist()
        assert np.allclose(found[user], plain, atol=1e-6)


def test_friends_of_friends_then_like_tastes_then_whom_many_follow() -> None:
    follows = [{1}, {2}, {5}, {5}, {5}, set()]
    data = network(follows, [{0}, set(), set(), {0}, set(), set()])
    model = Follow(taste="likes", taste_weight=0.5).fit(data)
    assert model.recommend(data.history([0]), k=2).ids() == ["2", "3"]
    path, taste = model.explain(data.history([0]), np.array([2, 3], np.int32))
    assert (path.causes, path.lead) == ([1], "")
    assert (taste.causes, taste.lead) == ([], TASTE)
    own = model.explain(data.history([0]), np.array([0], np.int32))[0]
    assert (own.score, own.parts) == (-1, {ITSELF: -1})
    assert model.recommend(data.history([5]), k=1).ids() == ["1"], "5 follows no one, and is the most followed"
    assert model.recommend(History.of([[], [3]], PEOPLE), k=1).item[:, 0].tolist() == [5, 5]


def test_a_user_without_edges_is_served_by_taste() -> None:
    """`eve` follows no one yet; the table of likes knows her, and `dan` is the only other friend of jazz."""
    pairs = pd.DataFrame([("ann", "ben"), ("ben", "ann"), ("dan", "ann")], columns=["user", "item"])
    likes = [("ann", "rock"), ("ben", "rock"), ("dan", "jazz"), ("eve", "jazz"), ("eve", "blues")]
    people = pd.DataFrame({"item": ["ann", "ben", "dan", "eve"]})
    data = genre.load(pairs, items=people, users=pd.DataFrame(likes, columns=["user", "likes"]))
    model = Follow(taste="likes").fit(data)
    assert model.recommend(data.history(["eve"]), k=1).ids() == ["dan"]


def test_people_may_have_another_id_as_items() -> None:
    pairs = pd.DataFrame([("1", "@b"), ("2", "@c"), ("3", "@a")], columns=["user", "item"])
    users = pd.DataFrame({"user": ["1", "2", "3"], "handle": ["@a", "@b", "@c"]})
    data = genre.load(pairs, users=users)
    assert Follow(person="handle").fit(data).recommend(data.history(["1"]), k=1).ids() == ["@c"]
    with pytest.raises(DataError, match=r"no item is a user.*\(person\)"):
        Follow().fit(data)
    with pytest.raises(DataError, match="did you mean 'handle'"):
        Follow(person="handel").fit(data)
