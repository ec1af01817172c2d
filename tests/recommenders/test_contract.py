"""Every built-in recommender passes the public contract suite."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from genre.errors import ArtifactError
from genre.kinds import KINDS, learnt_names
from genre.llm.options import LLMOptions
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.testing import FakeLanguageModel, check_recommender, toy_dataset

_EASE = EASE(regularization=10.0)
SMALL: dict[str, dict[str, object]] = {  # options that suit a world of 20 users
    "als": {"factors": 4, "regularization": 0.5, "iterations": 8},
    "blend": {"recommenders": (_EASE, ItemKNN())},
    "bpr": {"factors": 4, "learning_rate": 0.2, "epochs": 60},
    "ease": {"regularization": 10.0},
    "llm_reranker": {
        "first": _EASE,
        "llm": LLMOptions(FakeLanguageModel(), ledger=":memory:"),
        "n": 3,
        "weight": 0.3,
    },
    "profiled": {"first": _EASE},
    "synthetic": {"first": _EASE},
    "ncf": {"dim": 8, "hidden": (16, 8), "epochs": 60, "batch_size": 32, "learning_rate": 0.01},
    "two_tower": {"dim": 8, "ids": 8, "hidden": 16, "epochs": 20, "id_dropout": 0.8, "learning_rate": 0.01},
    "semantic_ids": {"levels": 2, "codes": 4, "dim": 16, "blocks": 1, "epochs": 40, "batch_size": 8},
    "sasrec": {"dim": 16, "blocks": 1, "max_length": 12, "epochs": 40, "batch_size": 8, "learning_rate": 0.01},
    "mlp": {"hidden": (16, 8), "dim": 4, "epochs": 60, "batch_size": 32, "learning_rate": 0.01},
}
GOLDEN = Path(__file__).parents[1] / "golden" / "scores.json"
BY_STEPS = {"blend", "bpr", "mlp", "ncf", "sasrec", "semantic_ids", "two_tower"}  # sums in another order, other steps
IMPERSONAL = {"baseline", "popularity"}  # give everybody the same list, so the toy world has no answer for them


def make(kind: str) -> Recommender:
    module, name = KINDS["recommenders"][kind].split(":")
    made = getattr(importlib.import_module(module), name)(**SMALL.get(kind, {}))
    assert isinstance(made, Recommender)
    return made


@pytest.mark.parametrize("kind", KINDS["recommenders"])
def test_contract(kind: str) -> None:
    check_recommender(lambda: make(kind), toy_world=kind not in IMPERSONAL)


@pytest.mark.parametrize("kind", KINDS["recommenders"])
def test_scores_are_those_of_before(kind: str, request: pytest.FixtureRequest) -> None:
    """Of the first six items, for two people of the toy world; a change that is meant is written with `make golden`."""
    data = toy_dataset()
    scores = [round(float(score), 4) for score in make(kind).fit(data).score(data.history([0, 3]))[:, :6].ravel()]
    golden = json.loads(GOLDEN.read_text("utf-8")) if GOLDEN.exists() else {}
    if request.config.getoption("--golden"):
        golden[kind] = scores
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if kind in BY_STEPS:
        assert np.corrcoef(scores, golden[kind])[0, 1] > 0.9
    else:
        assert scores == pytest.approx(golden[kind], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS["recommenders"])
def test_all_learnt_values_are_declared(kind: str) -> None:
    """So that a model which another version saved, with other values, is refused rather than half loaded."""
    model = make(kind).fit(toy_dataset())
    assert set(learnt_names(type(model))) == set(model._state())


@pytest.mark.parametrize("kind", KINDS["recommenders"])
def test_a_model_with_other_values_is_refused(kind: str, tmp_path: Path) -> None:
    model = make(kind).fit(toy_dataset())
    gone = next(name for name in model.learns if name in model._state())
    delattr(model, gone)
    model.save(tmp_path / "model")
    with pytest.raises(ArtifactError, match=f"{gone} not among its values; make the run again"):
        Recommender.load(tmp_path / "model")
