"""GENRE: a general, flexible, configurable recommendation engine built on language models.

    import genre
    run = genre.run("movies.yaml")
    run.recommend("196", k=10)

Names are imported when they are first used, so that `import genre` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genre.version import __version__

_HOMES = {
    "ALS": "genre.recommenders.als",
    "BPR": "genre.recommenders.bpr",
    "Baseline": "genre.recommenders.baseline",
    "Blend": "genre.recommenders.blend",
    "Content": "genre.recommenders.content",
    "Dataset": "genre.data.dataset",
    "EASE": "genre.recommenders.ease",
    "EASEFeatures": "genre.recommenders.ease_features",
    "EASENeighbours": "genre.recommenders.ease_neighbours",
    "Encoder": "genre.features.base",
    "Evaluation": "genre.evaluation.results",
    "Follow": "genre.recommenders.follow",
    "Fresh": "genre.recommenders.fresh",
    "Friends": "genre.recommenders.friends",
    "GenreError": "genre.errors",
    "History": "genre.data.history",
    "ItemKNN": "genre.recommenders.item_knn",
    "LLMOptions": "genre.llm.settings",
    "LLMReranker": "genre.recommenders.llm_reranker",
    "LanguageModel": "genre.llm.base",
    "MLP": "genre.recommenders.mlp",
    "NCF": "genre.recommenders.ncf",
    "Popularity": "genre.recommenders.popularity",
    "Profiled": "genre.recommenders.profiled",
    "Ranker": "genre.recommenders.ranker",
    "RatingFactors": "genre.recommenders.rating_factors",
    "Recommender": "genre.recommenders.base",
    "Repeat": "genre.recommenders.repeat",
    "Run": "genre.runs",
    "SASRec": "genre.recommenders.sasrec",
    "Scaled": "genre.recommenders.scaled",
    "SemanticIds": "genre.recommenders.semantic_ids",
    "SharedWords": "genre.recommenders.shared_words",
    "Smoothed": "genre.recommenders.smoothed",
    "SyntheticHistory": "genre.recommenders.synthetic",
    "Together": "genre.recommenders.together",
    "Transferred": "genre.recommenders.transferred",
    "Transitions": "genre.recommenders.transitions",
    "TwoTower": "genre.recommenders.two_tower",
    "evaluate": "genre.evaluation.evaluator",
    "load": "genre.preprocessing.loading",
    "read_run": "genre.run_folder",
    "run": "genre.pipeline",
    "split": "genre.preprocessing.splits",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from genre.data.dataset import Dataset as Dataset
    from genre.data.history import History as History
    from genre.errors import GenreError as GenreError
    from genre.evaluation.evaluator import evaluate as evaluate
    from genre.evaluation.results import Evaluation as Evaluation
    from genre.features.base import Encoder as Encoder
    from genre.llm.base import LanguageModel as LanguageModel
    from genre.llm.settings import LLMOptions as LLMOptions
    from genre.pipeline import run as run
    from genre.preprocessing.loading import load as load
    from genre.preprocessing.splits import split as split
    from genre.recommenders.als import ALS as ALS
    from genre.recommenders.base import Recommender as Recommender
    from genre.recommenders.baseline import Baseline as Baseline
    from genre.recommenders.blend import Blend as Blend
    from genre.recommenders.bpr import BPR as BPR
    from genre.recommenders.content import Content as Content
    from genre.recommenders.ease import EASE as EASE
    from genre.recommenders.ease_features import EASEFeatures as EASEFeatures
    from genre.recommenders.ease_neighbours import EASENeighbours as EASENeighbours
    from genre.recommenders.follow import Follow as Follow
    from genre.recommenders.fresh import Fresh as Fresh
    from genre.recommenders.friends import Friends as Friends
    from genre.recommenders.item_knn import ItemKNN as ItemKNN
    from genre.recommenders.llm_reranker import LLMReranker as LLMReranker
    from genre.recommenders.mlp import MLP as MLP
    from genre.recommenders.ncf import NCF as NCF
    from genre.recommenders.popularity import Popularity as Popularity
    from genre.recommenders.profiled import Profiled as Profiled
    from genre.recommenders.ranker import Ranker as Ranker
    from genre.recommenders.rating_factors import RatingFactors as RatingFactors
    from genre.recommenders.repeat import Repeat as Repeat
    from genre.recommenders.sasrec import SASRec as SASRec
    from genre.recommenders.scaled import Scaled as Scaled
    from genre.recommenders.semantic_ids import SemanticIds as SemanticIds
    from genre.recommenders.shared_words import SharedWords as SharedWords
    from genre.recommenders.smoothed import Smoothed as Smoothed
    from genre.recommenders.synthetic import SyntheticHistory as SyntheticHistory
    from genre.recommenders.together import Together as Together
    from genre.recommenders.transferred import Transferred as Transferred
    from genre.recommenders.transitions import Transitions as Transitions
    from genre.recommenders.two_tower import TwoTower as TwoTower
    from genre.run_folder import read_run as read_run
    from genre.runs import Run as Run


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genre' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
