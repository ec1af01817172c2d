"""What one row of `quality.md` measures: data read once, a recommender fitted by its protocol, the test read.

A row that stands beside published values names its data in `PROTOCOLS`, which says what is learnt from and what is counted.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.folds import Fold, Split
from genre.evaluation.comparison import compare
from genre.evaluation.evaluator import evaluate
from genre.evaluation.results import Evaluation
from genre.features.base import Encoder, item_features
from genre.features.embedding import Embedding
from genre.preprocessing.entity_splits import ColdItems
from genre.preprocessing.splits import TimeSplit, split
from genre.recommenders.als import ALS
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.bpr import BPR
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.mlp import MLP
from genre.recommenders.ncf import NCF
from genre.recommenders.popularity import Popularity
from genre.recommenders.sasrec import SASRec
from genre.recommenders.semantic_ids import SemanticIds
from genre.recommenders.transitions import Transitions
from genre.recommenders.two_tower import TwoTower

Found = dict[str, Any]
Grid = dict[str, tuple[Any, ...]]

# --- protocols ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Protocol:
    """How the published values beside a row were made, and so the row.

    Attributes:
        split: Which interactions are the test and the validation part.
        candidates: Which items are ranked.
        learnt_from: What the papers learn from. `train`: without the validation part, which chooses options, epochs and
            weights. `published train`: a published train part, of which the validation part here is a piece.
        metric: What is counted for a user.
    """

    split: str
    candidates: str
    learnt_from: Literal["train", "published train"]
    metric: str


UNSEEN = "all {n:,} items but those in the user's history"
ONE_TARGET = (
    "one target a user; one that stands in the history is a miss; the history at test time is train and validation"
)
MANY_TARGETS = "all liked test items of a user, divided by the best list of that length"


def _last(n: int) -> Protocol:
    words = "leave-one-out: of each history the last item is the test, the one before it the validation"
    return Protocol(words, UNSEEN.format(n=n), "train", ONE_TARGET)


PROTOCOLS = {
    "amazon-beauty": _last(12_101),
    "amazon-beauty, without texts": _last(12_101),
    "amazon-beauty, titles shuffled": _last(12_101),
    "yelp": _last(20_033),
    "beauty-bert4rec": _last(54_542),
    "ml-1m-ordered": _last(2_810),
    "ml-1m-ordered, ties reshuffled": _last(2_810),
    "ml-1m": Protocol("`index.npz`, random 80/10/10", UNSEEN.format(n=3_706), "published train", MANY_TARGETS),
    "ml-100k u1": Protocol("official fold u1", UNSEEN.format(n=1_682), "published train", MANY_TARGETS),
    "ml-100k, 5 folds": Protocol(
        "official folds u1 to u5", "rated pairs", "published train", "RMSE, mean of the folds"
    ),
    "gowalla": Protocol("LightGCN's", UNSEEN.format(n=40_981), "published train", MANY_TARGETS),
}

# --- data, each read once a run -------------------------------------------------------------------------


def with_texts(data: Dataset, encoder: Encoder | None = None) -> Features:
    """Vectors of everything that the items' table says, by MiniLM unless another encoder is given."""
    return item_features(data, encoder or Embedding(threads=1))


@functools.cache
def read(name: str, data: Path) -> Split:
    if name == "amazon-beauty, without texts":
        return datasets.amazon_beauty(data)
    if name.startswith("amazon-beauty"):
        parts = datasets.amazon_beauty(data, texts=True, shuffled="shuffled" in name)
        return parts.with_features(items=with_texts(parts.train))
    if name == "ml-1m-ordered, ties reshuffled":
        return datasets.ml_1m_ordered(data, shuffle_ties=1)
    if name == "ml-100k u1":
        return _with_validation(next(datasets.ml_100k_folds(data)))
    return getattr(datasets, name.replace("-", "_"))(data)


def _with_validation(fold: Fold) -> Split:
    """A tenth of the fold's context, drawn at random, as validation."""
    held = np.random.default_rng(0).random(len(fold.context)) < 0.1
    train = fold.context.where(~held)
    return Split(train, Fold(train, fold.context.where(held)), fold)


# --- ranking rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranking:
    """One recommender on one split. goals: label -> what it should reach. grid: what `--search` tries."""

    data: str
    name: str
    model: Recommender
    goals: dict[str, float | None]
    published: str
    grid: Grid = field(default_factory=dict)
    why: str = ""
    seeds: int = 1
    refit: bool = True

    def run(self, data: Path) -> Found:
        """Read the test of what is learnt as the papers learn, and, of seed 0, of what is learnt from all but the test."""
        parts, learnt_from = read(self.data, data), PROTOCOLS[self.data].learnt_from
        model, found = copy.copy(self.model), {"seeds": self.seeds}
        if learnt_from == "train" or isinstance(model, Blend):
            began = time.process_time()
            models = [with_seed(model, seed) for seed in range(self.seeds)] if self.seeds > 1 else [model]
            fitted = [one.fit(parts.train, validation=parts.validation) for one in models]
            found["fit_cpu"] = (time.process_time() - began) / self.seeds
            if learnt_from == "train":
                found["train"] = _mean_of_seeds([self._read_test(one, parts) for one in fitted])
                found["validation"] = evaluate(fitted[0], parts.validation, metrics=list(self.goals)).values
            model = fitted[0].chosen()
        return found | ({"refit": self._read_test(model.fit(parts.test.context), parts)} if self.refit else {})

    def _read_test(self, model: Recommender, parts: Split) -> Found:
        found = evaluate(model, parts.test, metrics=list(self.goals))
        share = share_with_targets(found)
        ends = {label: [share * end for end in found.intervals[label]] for label in self.goals}
        return {"values": {label: share * found.values[label] for label in self.goals}, "intervals": ends}

    def search(self, data: Path) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
        """Every combination of the grid, measured on validation."""
        parts = read(self.data, data)
        for values in itertools.product(*self.grid.values()):
            options = dict(zip(self.grid, values, strict=True))
            model = dataclasses.replace(self.model, **options).fit(parts.train, validation=parts.validation)
            yield options, evaluate(model, parts.validation, metrics=list(self.goals)).values


APART = 1000  # seeds of a row's runs, between two members that differ in their seed alone


def with_seed(model: Recommender, seed: int) -> Recommender:
    """The same options, unfitted, with this seed, inside members and first stages, too; seeds that differ stay apart."""
    inner = {
        name: tuple(with_seed(one, seed) for one in value) if isinstance(value, tuple) else with_seed(value, seed)
        for name in ("first", "recommender", "recommenders")
        if (value := getattr(model, name, None))
    }
    own = {"seed": seed + APART * model.seed} if hasattr(model, "seed") else {}
    return dataclasses.replace(model, **inner, **own)


def share_with_targets(found: Evaluation) -> float:
    """The share of users who count; the targets of the others stand in their histories already and are misses."""
    if not found.counts["targets_seen_before"]:
        return 1.0
    return found.counts["users"] / (found.counts["users"] + found.counts["users_without_targets"])


def _mean_of_seeds(runs: list[Found]) -> Found:
    """Mean values over seeds, with the interval over users of the first seed, and the value of every seed."""
    values = {label: float(np.mean([run["values"][label] for run in runs])) for label in runs[0]["values"]}
    every = {label: [run["values"][label] for run in runs] for label in values}
    return {"values": values, "intervals": runs[0]["intervals"]} | ({"every": every} if len(runs) > 1 else {})


# --- ratings --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratings:
    """RMSE over the five official folds of MovieLens 100K."""

    name: str
    model: Recommender
    goals: dict[str, float]
    published: str
    data: str = "ml-100k, 5 folds"
    why: str = ""

    def run(self, data: Path) -> Found:
        errors = [
            evaluate(dataclasses.replace(self.model).fit(fold.context), fold, metrics=["rmse"]).values["rmse"]
            for fold in datasets.ml_100k_folds(data)
        ]
        return {"refit": {"values": {"rmse": float(np.mean(errors))}, "folds": errors}}


# --- global time ----------------------------------------------------------------------------------------

TIMED = ("ml-100k", "movietweetings", "uci-online-retail")
NETWORKS = ("sasrec", "ncf", "mlp", "two_tower", "semantic_ids")
DAYS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
CONTENDERS: dict[str, tuple[Recommender, Grid]] = {
    "item_knn": (ItemKNN(), {"similarity": ("cosine", "bm25"), "history_half_life": (None, 5.0)}),
    "transitions": (Transitions(), {"history_half_life": (1.5, 5.0, 20.0), "target_power": (0.0, 0.25)}),
    "ease": (EASE(), {"regularization": (100.0, 300.0, 1000.0)}),
    "als": (ALS(factors=32), {"regularization": (5.0, 30.0), "alpha": (3.0, 10.0)}),
    "bpr": (BPR(epochs=20), {"loss": ("bpr", "softmax")}),
    "content": (Content(), {"history_half_life": (None, 5.0)}),
    "sasrec": (SASRec(epochs=15, patience=3, dropout=0.3, max_length=50), {}),
    "ncf": (NCF(epochs=8, patience=2), {}),
    "mlp": (MLP(loss="bce", epochs=6, patience=2), {}),
    "two_tower": (TwoTower(epochs=8, patience=2), {}),
    "semantic_ids": (SemanticIds(epochs=10, patience=3), {}),
}
BLENDED = (EASE(), ALS(factors=32, regularization=30, alpha=3), Transitions(history_half_life=5), Content())


@dataclass(frozen=True)
class OverTime:
    """Recommenders against decayed popularity where everybody's past predicts everybody's future."""

    data: str
    kinds: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.kinds)

    def run(self, data: Path) -> Found:
        parts = _over_time(self.data, data)
        floor, options = _best(Popularity(), {"half_life_days": DAYS}, parts)
        bar = evaluate(floor, parts.test, metrics=["ndcg@10"])
        rows = [{"name": "popularity", "options": options, "ndcg": bar.values["ndcg@10"]}]
        for kind in self.kinds:
            model, grid = CONTENDERS.get(kind) or (Blend((floor, *BLENDED)), {})
            began = time.process_time()
            best, options = _best(model, grid, parts)
            found = evaluate(best, parts.test, metrics=["ndcg@10"])
            [against] = compare(found, bar, ["ndcg@10"])
            rows.append(
                {
                    "name": kind,
                    "options": options,
                    "ndcg": against.a,
                    "difference": against.difference,
                    "low": against.low,
                    "high": against.high,
                    "cpu": time.process_time() - began,
                }
            )
        return {"rows": rows, "users": len(bar.users)}


@functools.cache
def _over_time(name: str, data: Path) -> Split:
    whole: Dataset = getattr(datasets, name.replace("-", "_"))(data)
    return split(whole, TimeSplit()).with_features(items=with_texts(whole))


def _best(model: Recommender, grid: Grid, parts: Split) -> tuple[Recommender, dict[str, Any]]:
    """The options of the grid that are best on validation, fitted on train and validation; a network, on train alone,
    with the epoch that is best on validation."""
    if isinstance(model, Blend):
        return model.fit(parts.train, validation=parts.validation).chosen().fit(parts.test.context), {}
    if not grid:
        return dataclasses.replace(model).fit(parts.train, validation=parts.validation), {}
    tried = []
    for values in itertools.product(*grid.values()):
        options = dict(zip(grid, values, strict=True))
        fitted = dataclasses.replace(model, **options).fit(parts.train)
        tried.append((evaluate(fitted, parts.validation, metrics=["ndcg@10"]).values["ndcg@10"], len(tried), options))
    options = max(tried, key=lambda one: one[0])[2]
    return dataclasses.replace(model, **options).fit(parts.test.context), options


# --- cold items -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cold:
    """A fifth of the catalogue unseen in training: the map from text to collaborative factors."""

    data: str
    model: Recommender
    encoder: Encoder
    name: str
    times: float = 10.0

    def run(self, data: Path) -> Found:
        whole = (
            datasets.ml_1m_plots(data) if self.data == "ml-1m" else _joined(datasets.amazon_beauty(data, texts=True))
        )
        texts = with_texts(whole, self.encoder)
        parts = split(whole, ColdItems(validation=0, test=0.2)).with_features(items=texts)
        cold = np.bincount(parts.test.context.item, minlength=whole.n_items) == 0
        lot = np.random.default_rng(0).permutation(whole.n_items)
        mixed = parts.with_features(items=Features(texts.values[lot], "shuffled"))
        rows = []
        models = [dataclasses.replace(self.model).fit(each.test.context) for each in (parts, mixed)]
        for label, candidates in (("all items", None), ("cold items alone", cold)):
            ours, shuffled = (evaluate(m, parts.test, metrics=["recall@20"], candidates=candidates) for m in models)
            [against] = compare(ours, shuffled, ["recall@20"])
            listed = models[0].recommend(parts.test.context.history(ours.users), k=20, candidates=candidates).item
            rows.append(
                {
                    "candidates": label,
                    "places": float(cold[listed].mean()),
                    "recall": against.a,
                    "random": _at_random(parts.test, cold if candidates is not None else None, 20),
                    "shuffled": against.b,
                    "p": against.p,
                }
            )
        return {"rows": rows, "cold": int(cold.sum()), "users": len(ours.users)}


def _joined(parts: Split) -> Dataset:
    context, target = parts.test
    return Dataset.from_arrays(
        user=np.concatenate([context.user, target.user]),
        item=np.concatenate([context.item, target.item]),
        user_ids=context.user_ids,
        item_ids=context.item_ids,
        items=context.items,
        name=context.name,
    )


def _at_random(fold: Fold, candidates: Any, k: int) -> float:
    """What a random order is expected to reach: k in the number of candidates not seen."""
    users = np.unique(fold.target.user)
    if candidates is not None:
        return min(1.0, k / int(candidates.sum()))
    seen = np.bincount(fold.context.user, minlength=fold.context.n_users)[users]
    return float(np.mean(k / (fold.context.n_items - seen)))


Row = Ranking | Ratings | OverTime | Cold
