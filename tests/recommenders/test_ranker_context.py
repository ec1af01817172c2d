"""A ranker in context: items that are taken in the evening alone, on one device alone, or in these days alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import genre
from genre.data.context import Context
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.errors import DataError
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.context_features import HALF_LIVES, LEAST, context_features, count_contexts
from genre.recommenders.popularity import Popularity
from genre.recommenders.ranker import Ranker

HOUR, DAY, START = 3_600, 86_400, 1_700_006_400  # a midnight
ITEMS = 24


def daily_life(n_users: int = 150, length: int = 8) -> Dataset:
    """Even items are taken at eight in the morning on a phone, odd ones at eight in the evening on a television."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(n_users):
        for item in rng.permutation(ITEMS)[:length].tolist():
            time = START + int(rng.integers(0, 40)) * DAY + (8 + 12 * (item % 2)) * HOUR
            rows.append((f"u{user}", f"i{item:02}", time, ["phone", "tv"][item % 2]))
    table = pd.DataFrame(rows, columns=["user", "item", "timestamp", "device"])
    return genre.load(table, columns={"context": ("device",)})


@pytest.fixture(scope="module")
def split() -> genre.Split:
    return LeaveOneOut().split(daily_life())


@pytest.mark.parametrize("context", [("hour",), ("device",)])
def test_the_evening_has_its_own_items(split: genre.Split, context: tuple[str, ...]) -> None:
    first = Popularity()
    plain = Ranker(first, candidates=ITEMS, hidden=8, epochs=60, batch_size=32, networks=1)
    with_context = Ranker(first, candidates=ITEMS, hidden=8, epochs=60, batch_size=32, networks=1, context=context)
    found = {
        model.context: genre.evaluate(model.fit(split.train), split.test, metrics=["ndcg"], k=10).values["ndcg@10"]
        for model in (plain, with_context)
    }
    assert found[context] > found[()] + 0.1, found
    history = split.train.history([0])
    evening, morning = (
        with_context.recommend(history.in_context(hour=hour, device=device), k=5)
        for hour, device in ((20, "tv"), (8, "phone"))
    )
    assert {int(name[1:]) % 2 for name in evening.ids()} == {1}
    assert {int(name[1:]) % 2 for name in morning.ids()} == {0}
    assert plain.recommend(history.in_context(hour=20), k=5).ids() == plain.recommend(history, k=5).ids()


def test_context_is_in_the_explanation_and_terms_add_up(split: genre.Split, tmp_path: Path) -> None:
    model = Ranker(
        Popularity(), candidates=ITEMS, hidden=4, epochs=60, batch_size=32, networks=1, context=("hour", "recent")
    )
    model.fit(split.train)
    history, every = split.train.history([0]).in_context(hour=20), np.arange(ITEMS, dtype=np.int32)
    scores, explained = model.score(history)[0], model.explain(history, every)
    rest = [
        one.score - sum(share for _, share in one.history) - one.popular - sum(one.parts.values()) for one in explained
    ]
    seen = np.isin(every, history.item)
    assert np.allclose(np.array(rest)[~seen], np.array(rest)[~seen][0], atol=1e-3)
    best = explained[int(np.argmax(np.where(seen, -np.inf, scores)))]
    assert best.parts["context"] > 0
    model.save(tmp_path / "model")
    assert np.array_equal(Ranker.load(tmp_path / "model").score(history), scores[None])


def test_what_a_request_does_not_say_counts_nothing(split: genre.Split) -> None:
    counts = count_contexts(split.train, ("hour", "device"))
    items = np.arange(ITEMS + 1, dtype=np.int32)[None]  # one more than the catalogue: a new item
    for context in (None, Context(), Context(values={"device": np.array(["radio"], object)})):
        features = dict(context_features(counts, ("hour", "device"), context, 1, items))
        assert not any(values.any() for values in features.values())
    known = Context(np.array([START + 20 * HOUR]))
    (lift,) = (values for _, values in context_features(counts, ("hour",), known, 1, items))
    assert (lift[0, 1:ITEMS:2] > 0).all()
    assert (lift[0, :ITEMS:2] < 0).all()
    assert lift[0, ITEMS] == 0


def test_recent_popularity_is_that_of_the_moment_before_the_request() -> None:
    rng = np.random.default_rng(0)
    item, day = rng.integers(0, 5, 60), rng.integers(0, 50, 60)
    table = pd.DataFrame({"user": range(60), "item": item, "timestamp": START + day * DAY}).astype({"user": str})
    data = genre.load(table.astype({"item": str}))
    counts, now = count_contexts(data, ("recent",)), np.array([25, 0, 400])
    rows = data.item_ids.rows([str(one) for one in range(5)])
    context = Context(START + now * DAY)
    found = [values for _, values in context_features(counts, ("recent",), context, 3, np.tile(rows, (3, 1)))]
    for half_life, values in zip(HALF_LIVES, found, strict=True):
        for at, moment in enumerate([25, 0, day.max() + 1 / DAY]):  # a request after the data: as at its end
            ages = [(moment - day[(item == one) & (day < moment)]) for one in range(5)]
            plain = [np.log(np.exp2(-age / half_life).sum() + LEAST) for age in ages]
            assert np.allclose(values[at], plain, atol=1e-4)


def test_the_last_item_of_a_history_is_learnt_in_its_own_context() -> None:
    data = daily_life(5)
    fold = LeaveOneOut().split(data).test
    histories = fold.histories(fold.users())
    assert histories.context is not None
    hours, devices = histories.context.of("hour"), histories.context.of("device")
    assert hours is not None
    assert devices is not None
    for row, item in enumerate(fold.target.history(fold.users()).item.tolist()):
        odd = int(data.item_ids[item][1:]) % 2
        assert (hours[row], devices[row]) == (str(8 + 12 * odd), ["phone", "tv"][odd])
    assert histories.select([1, 0]).context.of("hour").tolist() == hours[[1, 0]].tolist()  # type: ignore[union-attr]


def test_names_that_the_data_lacks_are_refused(split: genre.Split) -> None:
    with pytest.raises(DataError, match=r"no 'devise' .did you mean 'device'.*data.columns.context"):
        Ranker(Popularity(), context=("devise",)).fit(split.train)
    ordered = genre.load(pd.DataFrame({"user": list("aabb"), "item": list("xyxz"), "timestamp": [1, 2, 3, 4]}))
    with pytest.raises(DataError, match="hour needs times of a clock"):
        Ranker(Popularity(), context=("hour",)).fit(ordered)
    assert History.of([[0]], 3).in_context(hour=3).context is not None
