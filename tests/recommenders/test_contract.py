"""Every built-in recommender passes the public contract suite."""

import atexit
import dataclasses
import importlib
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import ArtifactError, DataError
from genre.kinds import KINDS, learnt_names
from genre.llm.settings import LLMOptions
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.recommenders.rating_factors import RatingFactors
from genre.testing import FakeLanguageModel, check_recommender, toy_dataset

_EASE = EASE(regularization=10.0)
_SAVED = Path(tempfile.mkdtemp(prefix="genre-contract-")) / "content"
atexit.register(shutil.rmtree, _SAVED.parent)
Content(whitening=0.9).fit(toy_dataset()).save(_SAVED)
SMALL: dict[str, dict[str, object]] = {  # options that suit a world of 20 users
    "als": {"factors": 4, "regularization": 0.5, "iterations": 8},
    "blend": {"recommenders": (_EASE, ItemKNN())},
    "bpr": {"factors": 4, "learning_rate": 0.2, "epochs": 60},
    "ease": {"regularization": 10.0},
    "ease_features": {"regularization": 10.0},
    "ease_neighbours": {"regularization": 10.0, "neighbours": 3},
    "llm_reranker": {
        "first": _EASE,
        "llm": LLMOptions(FakeLanguageModel(), ledger=":memory:"),
        "n": 3,
        "weight": 0.3,
    },
    "follow": {"person": "synthetic_item", "taste": "friends"},
    "fresh": {"half_life_days": 0.01},
    "profiled": {"first": _EASE},
    "repeat": {"neighbours": 5},
    "smoothed": {"recommender": ItemKNN(), "similar": 3},
    "shared_words": {"fields": ("text",)},
    "ranker": {"first": Blend((_EASE, Content())), "candidates": 4, "hidden": 4, "epochs": 3},
    "scaled": {"first": RatingFactors(factors=4), "method": "z-score"},
    "synthetic": {"first": _EASE},
    "transferred": {"init_from": str(_SAVED)},
    "together": {"gap_minutes": 1.0},
    "ncf": {"dim": 8, "hidden": (16, 8), "epochs": 60, "batch_size": 32, "learning_rate": 0.01},
    "two_tower": {"dim": 8, "ids": 8, "hidden": 16, "epochs": 20, "id_dropout": 0.8, "learning_rate": 0.01},
    "semantic_ids": {"levels": 2, "codes": 4, "dim": 16, "blocks": 1, "epochs": 40, "batch_size": 8},
    "sasrec": {"dim": 16, "blocks": 1, "max_length": 12, "epochs": 40, "batch_size": 8, "learning_rate": 0.01},
    "mlp": {"hidden": (16, 8), "dim": 4, "epochs": 60, "batch_size": 32, "learning_rate": 0.01},
}
GOLDEN = Path(__file__).parents[1] / "golden" / "scores.json"
# sums in another order, other steps; and where scores tie, rounding decides which weights a blend finds
BY_STEPS = {"blend", "bpr", "mlp", "ncf", "sasrec", "semantic_ids", "two_tower"}
HALF_LIFE = 0.01  # days, in a world of two hours: no two items are equally popular
OPTIONS: dict[str, tuple[str, dict[str, object]]] = {  # that change the scores of a kind
    "als cg": ("als", {**SMALL["als"], "solver": "cg"}),
    "blend reciprocal_rank": ("blend", {**SMALL["blend"], "method": "reciprocal_rank"}),
    "blend weights": ("blend", {**SMALL["blend"], "weights": (2.0, 1.0)}),
    "ease_features neighbours": ("ease_features", {**SMALL["ease_features"], "neighbours": 3}),
    "ease half_life": ("ease", {**SMALL["ease"], "history_half_life": 2.0}),
    "item_knn bm25": ("item_knn", {"similarity": "bm25"}),
    "item_knn rp3beta": ("item_knn", {"similarity": "rp3beta"}),
    "popularity by": ("popularity", {"by": "genres"}),
}
KEPT: dict[str, tuple[str, dict[str, object]]] = {
    **{kind: (kind, SMALL.get(kind, {})) for kind in KINDS["recommenders"]},
    **OPTIONS,
    "popularity": ("popularity", {"half_life_days": HALF_LIFE}),
    "llm_reranker": (  # whose order is not that of the first stage
        "llm_reranker",
        {
            "first": Popularity(half_life_days=HALF_LIFE),
            "llm": LLMOptions(FakeLanguageModel(), ledger=":memory:"),
            "fields": ("title", "genres"),
            "n": 6,
            "weight": 0.9,
        },
    ),
}
IMPERSONAL = {
    "baseline",
    "follow",  # whose right answer in the toy data is the user itself
    "fresh",
    "friends",
    "popularity",
}  # the same list for every anonymous user, so the toy data has no answer for them


def make(kind: str, options: dict[str, object] | None = None) -> Recommender:
    module, name = KINDS["recommenders"][kind].split(":")
    made = getattr(importlib.import_module(module), name)(**(SMALL.get(kind, {}) if options is None else options))
    assert isinstance(made, Recommender)
    return made


@pytest.mark.parametrize("kind", KINDS["recommenders"])
def test_contract(kind: str) -> None:
    check_recommender(lambda: make(kind), toy_world=kind not in IMPERSONAL)


TOY = toy_dataset()
ONE = np.arange(len(TOY)) == 0
FIVES = {"rating": np.full(len(TOY), 5, np.float32), "rating_scale": (5.0, 5.0, 0.0), "positive_rating": 5.0}
WEIGHTS: dict[str, list[float]] = {
    "zero": [0.0],
    "tiny": [1e-30],
    "large": [1e12],
    "from tiny to large": [1e12, 0, 1e-30, 1, 1e-12],
    "beyond float32 squared": [1e30],
    "nearly infinite": [1, 3e38, 0],
    "not a number": [1, np.nan],
    "below zero": [1, -1],
}
EXTREME = {
    "constant ratings": dataclasses.replace(TOY, **FIVES, weight=np.ones(len(TOY), np.float32)),  # type: ignore[arg-type]
    "one rating": dataclasses.replace(TOY, **FIVES, weight=np.ones(len(TOY), np.float32)).where(ONE),  # type: ignore[arg-type]
    **{
        f"weights {name}": dataclasses.replace(TOY, weight=np.array((some * len(TOY))[: len(TOY)], np.float32))
        for name, some in WEIGHTS.items()
    },
}
LIKES_ONLY = {"ncf", "sasrec", "semantic_ids", "two_tower"}
REFUSED = {  # whose data -> kinds, and the message
    **dict.fromkeys(
        (f"weights {name}" for name in ("beyond float32 squared", "nearly infinite", "not a number", "below zero")),
        (set(KINDS["recommenders"]), "expected 0 to 1e"),
    ),
    "weights zero": (LIKES_ONLY, "every interaction has weight 0"),
    "one rating": ({"blend", "ranker"}, "no history has two liked items"),
}


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("kind", KINDS["recommenders"])
def test_extreme_data_gives_finite_scores_or_is_refused(kind: str, name: str) -> None:
    data, options = EXTREME[name], SMALL.get(kind, {})
    model = make(kind, {**options, **({"epochs": 2} if "epochs" in options else {})})
    kinds, message = REFUSED.get(name, (set[str](), ""))
    if kind in kinds:
        with pytest.raises(DataError, match=message):
            model.fit(data)
        return
    model.fit(data)
    histories = data.history().select([0, 1]), History.of([[], [0], [0, 2]], data.n_items)
    for history in histories:
        assert np.isfinite(model.score(history)).all()
        model.explain(history.select([1]), np.arange(3, dtype=np.int32))
    model.similar_items(np.array([0], np.int32), k=3)
    if model.capabilities()["ratings"]:
        rows, items = np.array([0, 0, 1], np.int32), np.array([0, 5, 3], np.int32)
        low, high, _ = data.rating_scale or (0, 0, 0)
        for history in histories:
            stars = model.predict(history, rows, items)
            assert ((stars >= low) & (stars <= high)).all(), "5 stars where all ratings are 5"


def first_scores(name: str, kind: str, options: dict[str, object]) -> list[float]:
    """The scores of the first six items for two users; options are tried where users have not seen equally much."""
    data = toy_dataset()
    if name in OPTIONS:
        data = data.where(np.arange(len(data)) % 7 > 0)
    found = make(kind, options).fit(data).score(data.history([0, 3]))[:, :6].ravel()
    return [round(float(score), 4 if np.abs(found).max() > 0.1 else 6) for score in found]


@pytest.mark.parametrize("name", KEPT)
def test_scores_are_those_of_before(name: str, request: pytest.FixtureRequest) -> None:
    """A change that is meant is written with `make golden`."""
    scores = first_scores(name, *KEPT[name])
    golden = json.loads(GOLDEN.read_text("utf-8")) if GOLDEN.exists() else {}
    if request.config.getoption("--golden"):
        golden[name] = scores
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if name in BY_STEPS:
        assert np.corrcoef(scores, golden[name])[0, 1] > 0.9
    else:
        assert scores == pytest.approx(golden[name], rel=1e-3, abs=1e-3 * min(1.0, max(map(abs, golden[name]))))


def test_kept_scores_say_something() -> None:
    """Those that are all equal, or equal to those of another model or to those without the option, notice no change."""
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert golden.keys() == KEPT.keys()
    for name, scores in golden.items():
        assert len(set(scores)) > 1, name
        assert [other for other in golden if golden[other] == scores] == [name]
    for name, (kind, _) in OPTIONS.items():
        without = first_scores(name, kind, SMALL.get(kind, {}))
        assert golden[name] != pytest.approx(without, rel=1e-3, abs=1e-3), name


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


def test_a_class_without_scores_is_refused_with_what_to_implement() -> None:
    @dataclasses.dataclass(eq=False)
    class Scoreless(Recommender):
        def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None: ...

    data = toy_dataset()
    with pytest.raises(TypeError, match="Scoreless: implement _score, or _factors where scores are dot products"):
        Scoreless().fit(data).score(data.history())


def test_scores_of_another_shape_are_refused_by_name() -> None:
    class Flat(Popularity):
        def _score(self, history: History) -> Float32:
            return np.asarray(super()._score(history)[0], np.float32)

    data = toy_dataset()
    with pytest.raises(
        DataError, match=rf"Flat: scores have the shape \[{data.n_items}\], expected \[1, {data.n_items}\]"
    ):
        Flat().fit(data).recommend(data.history([0]))
