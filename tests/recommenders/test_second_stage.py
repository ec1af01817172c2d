"""A second stage has the evidence and similar items of its first stage, and adds its own part."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.llm.base import Completion, likelihoods
from genre.llm.settings import LLMOptions
from genre.recommenders.blend import Blend
from genre.recommenders.ease import EASE
from genre.recommenders.llm_reranker import LLMReranker
from genre.recommenders.mlp import MLP
from genre.recommenders.popularity import Popularity
from genre.recommenders.profiled import Profiled
from genre.recommenders.rating_factors import RatingFactors
from genre.recommenders.reasons import Explanation, sentence
from genre.recommenders.second_stage import SecondStage
from genre.recommenders.synthetic import SyntheticHistory
from genre.testing import FakeLanguageModel, toy_dataset


class Decided(FakeLanguageModel):
    """Has likings of its own."""

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        return likelihoods([-(zlib.crc32((text + prompt).encode()) % 100) for text in continuations])


LLM = LLMOptions(Decided(), ledger=":memory:")
KINDS = ("profiled", "synthetic", "llm_reranker")


def stage(kind: str, data: Dataset, first: object = None, model: FakeLanguageModel | None = None) -> SecondStage:
    inner = first or EASE(regularization=10.0)
    if kind == "llm_reranker":
        llm = LLMOptions(model or FakeLanguageModel(), ledger=":memory:")
        made: SecondStage = LLMReranker(inner, llm, n=4, short_history=None)  # type: ignore[arg-type]
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
    assert fake.prompts == [], "similar items and evidence need no language model"
    over_popularity = stage(kind, data, Popularity())
    assert over_popularity.evidence == ("exact" if kind == "profiled" else "popularity"), "a profile is personal"
    assert np.array_equal(over_popularity.popular(one, items), Popularity().fit(data).popular(one, items))


FIRST = EASE(regularization=10.0)
ARRANGED = {
    "profile": (Profiled(FIRST), {"profile"}),
    "profile over popularity": (Profiled(Popularity()), {"profile"}),
    "invented item": (SyntheticHistory(FIRST), {"synthetic_item"}),
    "both": (SyntheticHistory(Profiled(FIRST)), {"profile", "synthetic_item"}),
    "one twice": (Profiled(Profiled(FIRST)), {"profile"}),
    "reordered": (
        LLMReranker(Profiled(FIRST), LLM, n=4, weight=1.0, short_history=None),
        {"profile", "reordering"},
    ),
    "beside another": (Blend((Popularity(), Profiled(FIRST)), weights=(1, 2)), {"profile"}),
    "reordered beside another": (
        Blend((Popularity(), LLMReranker(FIRST, LLM, n=4, weight=1.0, short_history=None)), weights=(1, 2)),
        {"reordering"},
    ),
}


@pytest.mark.parametrize("name", ARRANGED)
def test_what_a_language_model_adds_is_a_term_of_its_own(name: str) -> None:
    data, (model, parts) = toy_dataset(), ARRANGED[name]
    every, named = np.arange(data.n_items, dtype=np.int32), set()
    model.fit(data)
    for user in range(4):
        one = data.history([user])
        scores = model.score(one)[0]
        for explanation in model.explain(one, every):
            terms = [share for _, share in explanation.history] + [explanation.popular, *explanation.parts.values()]
            assert explanation.method == "exact"
            assert sum(terms) == pytest.approx(explanation.score, abs=1e-3)
            assert explanation.score == pytest.approx(scores[explanation.item])
            assert len(explanation.history) <= len(one.item), "an invented item is not a reason"
            named |= set(explanation.parts)
        strange = model.explain(one.anonymous(), every)
        assert not {part for explanation in strange for part in explanation.parts} - {"reordering"}
    assert named == parts


@pytest.mark.parametrize("method", ["weights", "reciprocal_rank"])
def test_explanations_and_similar_items_call_no_language_model(method: str) -> None:
    data, fake = toy_dataset(), FakeLanguageModel()
    llm = LLMOptions(fake, ledger=":memory:")
    inner = LLMReranker(EASE(regularization=10.0), llm, n=4, short_history=None)
    model = Blend((Popularity(), inner), method, None if method == "reciprocal_rank" else (1, 1)).fit(data)  # type: ignore[arg-type]
    one, every = data.history([3]), np.arange(data.n_items, dtype=np.int32)
    model.contributions(one, every)
    model.popular(one, every)
    model.similar_items(every[:2])
    assert fake.prompts == []
    model.recommend(one, k=3)
    paid = len(fake.prompts)
    model.explain(one, every[:3])
    assert len(fake.prompts) == paid > 0, "the score of the list is known, its reasons are free"


def test_the_strongest_evidence_comes_first() -> None:
    titles = ["a", "b"]
    explained = Explanation(0, 1.0, "exact", ((1, 0.2),), parts={"profile": 0.5})
    assert sentence(explained, titles) == "fits the profile; also because of b"
    assert sentence(dataclasses.replace(explained, parts={"profile": 0.1}), titles) == "because of b"
    assert sentence(dataclasses.replace(explained, history=(), popular=0.6), titles) == "popular with everybody"
    assert sentence(dataclasses.replace(explained, history=()), titles) == "fits the profile"
    twice = Explanation(0, 1.0, "exact", ((1, 0.5), (1, 0.3), (0, 0.2)))
    assert sentence(twice, titles) == "because of b and a"
    moved = Explanation(0, 1.0, "exact", parts={"reordering": 0.5})
    assert sentence(moved, titles) == "put higher by a language model"
    assert sentence(Explanation(0, 0.0, "exact"), titles) == "nothing in the history speaks for it"
    assert sentence(Explanation(0, 2.0, "popularity", popular=-0.1), titles) == "popular with everybody"


def test_items_that_were_not_liked_are_evidence_but_no_reason() -> None:
    data = toy_dataset()
    weight = np.where(np.arange(len(data)) % 3 == 1, 0, 1).astype(np.float32)
    data = dataclasses.replace(data, weight=weight)
    one, every = data.history([0]), np.arange(data.n_items, dtype=np.int32)
    seen, liked = set(one.item.tolist()), set(one.item[one.weight > 0].tolist())
    for model in (MLP(epochs=2).fit(data), RatingFactors(factors=2).fit(data)):
        found = model.explain(one, every)
        assert all(why.disliked == seen - liked for why in found)
        assert any(share > 0 and item not in liked for why in found for item, share in why.history)
        assert all(set(why.causes) <= liked for why in found)
    again = History.of([[0, 0]], data.n_items)
    both = dataclasses.replace(again, weight=np.array([0, 1], np.float32))
    assert EASE().fit(data).explain(both, every[1:2])[0].disliked == frozenset()


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
