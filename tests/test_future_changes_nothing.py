"""The perturbation test: whatever lies in the future is changed, and nothing made from train differs in a bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

import genre
from genre.data.dataset import Dataset
from genre.features.augmentation import steps
from genre.features.augmentation_prompts import Augmentation
from genre.features.tfidf import TfIdf
from genre.features.users import user_features
from genre.preprocessing.splits import TimeSplit
from genre.recommenders.als import ALS
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from planted_leaks import world

CUT = 1_500_000_000 + 240 * 86_400


def frames(data: Dataset) -> tuple[dict[str, list[object]], pa.Table, pa.Table]:
    assert data.rating is not None
    assert data.timestamp is not None
    rows: dict[str, list[object]] = {
        "user_id": [data.user_ids[user] for user in data.user],
        "item_id": [data.item_ids[item] for item in data.item],
        "rating": data.rating.tolist(),
        "timestamp": data.timestamp.tolist(),
    }
    return rows, data.items, data.users


@pytest.fixture(scope="module")
def past_and_future() -> tuple[Dataset, Dataset]:
    """The same data twice; in the second the ratings, items, order and times after the cut are others."""
    rows, items, users = frames(world(n_users=90, n_items=80))
    rng = np.random.default_rng(5)
    later = np.array(rows["timestamp"]) >= CUT
    where = np.flatnonzero(later)
    changed = {name: list(column) for name, column in rows.items()}
    for name in ("item_id", "timestamp"):
        values = [rows[name][at] for at in rng.permutation(where)]
        for at, value in zip(where, values, strict=True):
            changed[name][at] = value
    for at in where:
        changed["rating"][at] = float(rng.choice([1, 2]))
    order = np.concatenate([np.flatnonzero(~later), rng.permutation(where)])
    changed = {name: [column[at] for at in order] for name, column in changed.items()}
    return tuple(genre.load(pa.table(one), items=items, users=users) for one in (rows, changed))  # type: ignore[return-value]


def train_of(data: Dataset) -> Dataset:
    return TimeSplit(validation_from=CUT, test_from=CUT + 30 * 86_400).split(data).train


def test_prompts_features_and_scores_of_train_are_the_same_to_the_bit(past_and_future: tuple[Dataset, Dataset]) -> None:
    one, other = map(train_of, past_and_future)
    assert (one.rating_scale, one.positive_rating) == (other.rating_scale, other.positive_rating)
    users = [row for row in range(one.n_users) if one.user_ids[row] in other.user_ids]
    assert len(users) == one.n_users == other.n_users
    options = Augmentation(item_fields=("title", "genres", "plot"), profiles=True, synthetic="both")
    for name, fill in steps(options).items():
        if name != "chained items":
            assert fill(one, options).inputs() == fill(other, options).inputs(), name
    assert user_features(one, TfIdf()).values.tobytes() == user_features(other, TfIdf()).values.tobytes()
    models: list[Recommender] = [Popularity(), EASE(), ALS(iterations=2, factors=8)]
    for model in models:
        scores = [dataclasses.replace(model).fit(part).score(part.history()) for part in (one, other)]  # type: ignore[type-var]
        assert scores[0].tobytes() == scores[1].tobytes(), type(model).__name__


def test_items_and_users_of_the_future_change_no_prompt_of_the_others(past_and_future: tuple[Dataset, Dataset]) -> None:
    rows, items, users = frames(past_and_future[0])
    for at in range(6):
        rows["user_id"].append(f"a{at}")  # before all others in the order of ids
        rows["item_id"].append(f"a film {at}")
        rows["rating"].append(1.0)
        rows["timestamp"].append(CUT + at)
    new = pa.table({"item_id": [f"a film {at}" for at in range(6)], "title": ["Tomorrow"] * 6, "genres": ["crime"] * 6})
    data = genre.load(pa.table(rows), items=pa.concat_tables([items, new], promote_options="default"), users=users)
    one, other = train_of(past_and_future[0]), train_of(data)
    options = Augmentation(item_fields=("title", "genres", "plot"), profiles=True, synthetic="history")
    for name, fill in steps(options).items():
        before, after = (
            {
                (part.item_ids if name == "summaries" else part.user_ids)[row]: prompt
                for batch in [fill(part, options)]
                for row, prompt in zip(batch.rows.tolist(), batch.inputs(), strict=True)
            }
            for part in (one, other)
        )
        assert before == {key: after[key] for key in before}, name
        assert name == "summaries" or before == after


def test_texts_of_items_that_only_the_future_has_change_no_prompt_of_the_others(
    past_and_future: tuple[Dataset, Dataset],
) -> None:
    data = past_and_future[0]
    one = train_of(data)
    future = np.bincount(one.item, minlength=one.n_items) == 0
    assert 0 < future.sum() < one.n_items
    texts = ("title", "genres", "plot")
    items = data.items
    for name in texts:
        changed = [f"crime {row}" if future[row] else text for row, text in enumerate(items[name].to_pylist())]
        items = items.set_column(items.schema.get_field_index(name), name, pa.array(changed))
    other = train_of(dataclasses.replace(data, items=items))
    options = Augmentation(item_fields=texts, profiles=True, synthetic="history")
    for name, fill in steps(options).items():
        before, after = fill(one, options), fill(other, options)
        kept = [at for at, row in enumerate(before.rows) if name != "summaries" or not future[row]]
        sent, sent_after = before.inputs(), after.inputs()
        assert [sent[at] for at in kept] == [sent_after[at] for at in kept], name
