"""Every built-in recommender passes the public contract suite."""

import importlib

import pytest

from genre.kinds import KINDS
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.testing import FakeLanguageModel, check_recommender

_EASE = EASE(regularization=10.0)
SMALL: dict[str, dict[str, object]] = {  # options that suit a world of 20 users
    "als": {"factors": 4, "regularization": 0.5, "iterations": 8},
    "blend": {"recommenders": (_EASE, ItemKNN())},
    "bpr": {"factors": 4, "learning_rate": 0.2, "epochs": 60},
    "ease": {"regularization": 10.0},
    "llm_reranker": {"first": _EASE, "llm": FakeLanguageModel(), "n": 3, "weight": 0.3, "ledger": ":memory:"},
    "profiled": {"first": _EASE},
    "synthetic": {"first": _EASE},
    "ncf": {"dim": 8, "hidden": (16, 8), "epochs": 60, "batch_size": 32, "learning_rate": 0.01},
    "two_tower": {"dim": 8, "ids": 8, "hidden": 16, "epochs": 20, "id_dropout": 0.8, "learning_rate": 0.01},
    "semantic_ids": {"levels": 2, "codes": 4, "dim": 16, "blocks": 1, "epochs": 40, "batch_size": 8},
    "sasrec": {"dim": 16, "blocks": 1, "max_length": 12, "epochs": 40, "batch_size": 8, "learning_rate": 0.01},
    "mlp": {"hidden": (16, 8), "dim": 4, "epochs": 60, "batch_size": 32, "learning_rate": 0.01},
}
IMPERSONAL = {"baseline", "popularity"}  # give everybody the same list, so the toy world has no answer for them


def make(kind: str) -> Recommender:
    module, name = KINDS["recommenders"][kind].split(":")
    made = getattr(importlib.import_module(module), name)(**SMALL.get(kind, {}))
    assert isinstance(made, Recommender)
    return made


@pytest.mark.parametrize("kind", KINDS["recommenders"])
def test_contract(kind: str) -> None:
    check_recommender(lambda: make(kind), toy_world=kind not in IMPERSONAL)
