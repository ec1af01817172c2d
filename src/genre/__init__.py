"""GENRE: a general, flexible, configurable recommendation engine built on language models.

    import genre
    run = genre.run("movies.yaml")
    run.recommend("196", k=10)

Names are imported when they are first used, so that `import genre` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "ALS": "genre.recommenders.als",
    "Content": "genre.recommenders.content",
    "Dataset": "genre.preprocessing.dataset",
    "EASE": "genre.recommenders.ease",
    "Encoder": "genre.features.base",
    "Evaluation": "genre.evaluation.evaluator",
    "GenreError": "genre.errors",
    "History": "genre.preprocessing.dataset",
    "ItemKNN": "genre.recommenders.item_knn",
    "LanguageModel": "genre.llm.base",
    "MLP": "genre.recommenders.mlp",
    "Popularity": "genre.recommenders.popularity",
    "Recommender": "genre.recommenders.base",
    "Run": "genre.runs",
    "SASRec": "genre.recommenders.sasrec",
    "evaluate": "genre.evaluation.evaluator",
    "load": "genre.preprocessing.loading",
    "read_run": "genre.runs",
    "run": "genre.pipeline",
    "split": "genre.preprocessing.splits",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from genre.errors import GenreError as GenreError
    from genre.evaluation.evaluator import Evaluation as Evaluation
    from genre.evaluation.evaluator import evaluate as evaluate
    from genre.features.base import Encoder as Encoder
    from genre.llm.base import LanguageModel as LanguageModel
    from genre.pipeline import run as run
    from genre.preprocessing.dataset import Dataset as Dataset
    from genre.preprocessing.dataset import History as History
    from genre.preprocessing.loading import load as load
    from genre.preprocessing.splits import split as split
    from genre.recommenders.als import ALS as ALS
    from genre.recommenders.base import Recommender as Recommender
    from genre.recommenders.content import Content as Content
    from genre.recommenders.ease import EASE as EASE
    from genre.recommenders.item_knn import ItemKNN as ItemKNN
    from genre.recommenders.mlp import MLP as MLP
    from genre.recommenders.popularity import Popularity as Popularity
    from genre.recommenders.sasrec import SASRec as SASRec
    from genre.runs import Run as Run
    from genre.runs import read_run as read_run


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genre' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
