"""What a recommender around another one says is what the first one says, but for what it adds itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from genre.llm.options import LLMOptions
from genre.preprocessing.dataset import Dataset, Features
from genre.recommenders.ease import EASE
from genre.recommenders.llm_reranker import LLMReranker
from genre.recommenders.popularity import Popularity
from genre.recommenders.profiled import Profiled
from genre.recommenders.stage import Stage
from genre.recommenders.synthetic import SyntheticHistory
from genre.testing import FakeLanguageModel, toy_dataset

KINDS = ("profiled", "synthetic", "llm_reranker")


def stage(kind: str, data: Dataset, first: object = None, model: FakeLanguageModel | None = None) -> Stage:
    inner = first or EASE(regularization=10.0)
    if kind == "llm_reranker":
        llm = LLMOptions(model or FakeLanguageModel(), ledger=":memory:")
        made: Stage = LLMReranker(inner, llm, n=4, short_history=None)  # type: ignore[arg-type]
    else:
        made = {"profiled": Profiled, "synthetic": SyntheticHistory}[kind](inner)  # type: ignore[arg-type]
    return made.fit(data)


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_and_similar_items_are_the_first_ones(kind: str) -> None:
    data, fake = toy_dataset(), FakeLanguageModel()
    model = stage(kind, data, model=fake)
    first = EASE(regularization=10.0).fit(data)
    one, items = data.history([3]).anonymous(), np.array([1, 5, 8], np.int32)
    assert model.evidence == first.evidence == "exact"
    assert np.allclose(model.contributions(one, items), first.contributions(one, items), atol=1e-6)
    assert np.array_equal(model.similar_items(items, k=3).item, first.similar_items(items, k=3).item)
    assert fake.prompts == [], "nobody is asked for what is similar, or why"
    told = stage(kind, data, Popularity())
    assert told.evidence == "popularity"
    assert np.array_equal(told.popular(one), Popularity().fit(data).popular(one))


def test_the_terms_of_a_known_user_are_those_of_the_own_score() -> None:
    data = toy_dataset()
    one, every = data.history([3]), np.arange(data.n_items, dtype=np.int32)
    synthetic = stage("synthetic", data)
    assert isinstance(synthetic, SyntheticHistory)
    shares = synthetic.contributions(one, every)
    assert shares.shape == (data.n_items, len(one.item)), "an invented item is nobody's reason"
    added = synthetic.contributions(one, every).sum(axis=1)
    with_all = synthetic.first_[0].contributions(synthetic.enriched(one), every).sum(axis=1)
    assert np.allclose(with_all, synthetic.score(one)[0], atol=1e-4)
    assert not np.allclose(added, with_all)
    profiled = stage("profiled", data)
    whole, without = profiled.score(one), dataclasses.replace(profiled)
    without.weight = 0.0
    assert not np.allclose(whole, without.fit(data).score(one))
    terms = profiled.contributions(one, every).sum(axis=1)
    plain = EASE(regularization=10.0).fit(data).score(one)[0]
    assert np.corrcoef(terms, plain)[0, 1] > 0.999, "a part of the whole, on the scale of the whole"
    assert np.allclose(terms, plain * 0.7 / plain.std(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_new_items_go_to_the_first_one(kind: str) -> None:
    data = toy_dataset()
    vectors = np.random.default_rng(0).normal(size=(data.n_items, 4)).astype(np.float32)
    features = Features(vectors, "test")
    data = data.with_features(items=features, users=Features(vectors[np.zeros(data.n_users, int)], "test"))
    from genre.recommenders.content import Content

    model = stage(kind, data, Content())
    grown = model.extend(["new"], vectors[:1])
    history = dataclasses.replace(data.history([0, 1]), n_items=data.n_items + 1)
    assert grown.score(history).shape == (2, data.n_items + 1)
    assert np.isfinite(grown.score(history)).all()
    assert len(grown.recommend(history, k=3)) == 2
    assert model.score(data.history([0])).shape == (1, data.n_items), "the one that was extended stays"


def test_which_invented_items_count() -> None:
    data = toy_dataset()
    chained = pa.array([f"i{(user + 5) % 12}" for user in range(data.n_users)])
    both = dataclasses.replace(data, users=data.users.append_column("synthetic_chained_item", chained))
    alone = dataclasses.replace(both, users=both.users.drop_columns(["synthetic_item"]))
    first, history = EASE(regularization=10.0), both.history()

    def scores(dataset: Dataset, made_from: object = None) -> object:
        return SyntheticHistory(first, made_from=made_from).fit(dataset).score(history).tolist()  # type: ignore[arg-type]

    assert scores(both) == scores(both, "history") == scores(data)
    assert scores(both, "profile") == scores(alone) != scores(data)
