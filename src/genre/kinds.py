"""Every built-in `kind`, section by section, one line each; a class is imported when a config or a folder names it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genre.errors import ArtifactError

KINDS: dict[str, dict[str, str]] = {
    "data": {
        "catalogues": "genre.preprocessing.sources.catalogues:Catalogues",
        "converted": "genre.preprocessing.sources.converted:Converted",
        "files": "genre.preprocessing.sources.files:Files",
        "impressions": "genre.preprocessing.sources.impressions:Impressions",
        "matrix": "genre.preprocessing.sources.matrix:Matrix",
        "movielens": "genre.preprocessing.sources.public:MovieLens",
        "movielens-100k": "genre.preprocessing.sources.public:MovieLens100K",
        "sequences": "genre.preprocessing.sources.sequences:Sequences",
        "sql": "genre.preprocessing.sources.sql:SQL",
    },
    "engine": {
        "duckdb": "genre.engines.duckdb:DuckDB",
        "spark": "genre.engines.spark:Spark",
    },
    "split": {
        "cold-items": "genre.preprocessing.entity_splits:ColdItems",
        "cold-users": "genre.preprocessing.entity_splits:ColdUsers",
        "fold": "genre.preprocessing.one_fold:OneFold",
        "given": "genre.preprocessing.splits:GivenSplit",
        "leave-one-out": "genre.preprocessing.splits:LeaveOneOut",
        "random": "genre.preprocessing.splits:RandomSplit",
        "strong": "genre.preprocessing.entity_splits:StrongSplit",
        "time": "genre.preprocessing.splits:TimeSplit",
    },
    "features": {
        "concat": "genre.features.concat:Concat",
        "embedding": "genre.features.embedding:Embedding",
        "embedding_server": "genre.features.embedding_server:EmbeddingServer",
        "image": "genre.features.image:Image",
        "tfidf": "genre.features.tfidf:TfIdf",
        "vectors": "genre.features.vectors:Vectors",
    },
    "llm": {
        "llamacpp": "genre.llm.llamacpp:LlamaCpp",
        "openai": "genre.llm.openai:OpenAI",
    },
    "recommenders": {
        "als": "genre.recommenders.als:ALS",
        "baseline": "genre.recommenders.baseline:Baseline",
        "blend": "genre.recommenders.blend:Blend",
        "bpr": "genre.recommenders.bpr:BPR",
        "content": "genre.recommenders.content:Content",
        "ease": "genre.recommenders.ease:EASE",
        "ease_features": "genre.recommenders.ease_features:EASEFeatures",
        "ease_neighbours": "genre.recommenders.ease_neighbours:EASENeighbours",
        "follow": "genre.recommenders.follow:Follow",
        "fresh": "genre.recommenders.fresh:Fresh",
        "friends": "genre.recommenders.friends:Friends",
        "item_knn": "genre.recommenders.item_knn:ItemKNN",
        "llm_reranker": "genre.recommenders.llm_reranker:LLMReranker",
        "mlp": "genre.recommenders.mlp:MLP",
        "ncf": "genre.recommenders.ncf:NCF",
        "popularity": "genre.recommenders.popularity:Popularity",
        "profiled": "genre.recommenders.profiled:Profiled",
        "ranker": "genre.recommenders.ranker:Ranker",
        "rating_factors": "genre.recommenders.rating_factors:RatingFactors",
        "repeat": "genre.recommenders.repeat:Repeat",
        "sasrec": "genre.recommenders.sasrec:SASRec",
        "scaled": "genre.recommenders.scaled:Scaled",
        "semantic_ids": "genre.recommenders.semantic_ids:SemanticIds",
        "shared_words": "genre.recommenders.shared_words:SharedWords",
        "smoothed": "genre.recommenders.smoothed:Smoothed",
        "synthetic": "genre.recommenders.synthetic:SyntheticHistory",
        "together": "genre.recommenders.together:Together",
        "transferred": "genre.recommenders.transferred:Transferred",
        "transitions": "genre.recommenders.transitions:Transitions",
        "two_tower": "genre.recommenders.two_tower:TwoTower",
    },
    "rules": {
        "at_least": "genre.rules.built_in:AtLeast",
        "at_most": "genre.rules.built_in:AtMost",
        "boost": "genre.rules.built_in:Boost",
        "bury": "genre.rules.built_in:Bury",
        "hide": "genre.rules.built_in:Hide",
        "not_within": "genre.rules.built_in:NotWithin",
        "only": "genre.rules.built_in:Only",
        "pin": "genre.rules.built_in:Pin",
    },
}
"""Section -> short name -> `module:Class`."""
REMEDY = "make the run again (`genre run` with its config.yaml)"


def import_class(path: str) -> Any:
    """Import what a line of `KINDS` names; this runs the code of its module.

    Args:
        path: `module:Class`.

    Returns:
        The class.
    """
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def saved_class(folder: Path, path: str, *bases: type) -> type:
    """Find the class that a saved folder names.

    Only built-in modules are imported, since importing runs code: a folder from elsewhere must not choose what runs.

    Args:
        folder: The folder, for messages.
        path: `module:Class`.
        *bases: The classes that it must extend.

    Returns:
        A built-in class, one of `bases`, or a subclass of theirs that is imported already.

    Raises:
        ArtifactError: It is another class; the message says what to do.
    """
    module = path.partition(":")[0]
    if any(path in section.values() for section in KINDS.values()):
        found = import_class(path)
    else:
        known = {f"{cls.__module__}:{cls.__qualname__}": cls for base in bases for cls in (base, *_below(base))}
        if path not in known:
            raise ArtifactError(
                f"{folder}: saved by {path!r}, which is neither built in nor imported so far; import {module} if you "
                f"trust it, or name it in a config as `kind: {path}`"
            )
        found = known[path]
    if not issubclass(found, bases):
        raise ArtifactError(f"{folder}: saved by {path!r}, which is no {' and no '.join(b.__name__ for b in bases)}")
    return found  # type: ignore[no-any-return]


def learnt_names(cls: type) -> list[str]:
    """List the learnt values that a class and its bases declare in `learns`.

    Args:
        cls: A recommender or encoder class.

    Returns:
        Names of attributes, those of the bases first.
    """
    return [name for base in reversed(cls.__mro__) for name in vars(base).get("learns", ())]


def declared(made: Any) -> list[Any]:
    """List the learnt values that an object's class declares, and those of all objects among its options.

    They are part of the keys of steps, so that a step is built again where a class learns something new.

    Args:
        made: An object, a list of objects, or a plain value.

    Returns:
        Nested lists of names.
    """
    if isinstance(made, (tuple, list)):
        return [declared(item) for item in made]
    if not dataclasses.is_dataclass(made):
        return []
    return [learnt_names(type(made)), *(declared(getattr(made, f.name)) for f in dataclasses.fields(made) if f.init)]


def check_learnt(folder: Path, cls: type, found: Iterable[str]) -> None:
    """Check that a saved folder holds every learnt value of a class.

    Args:
        folder: The folder, for messages.
        cls: The class.
        found: Names of the values in the folder.

    Raises:
        ArtifactError: A value is missing, since another version saved the folder.
    """
    missing = set(learnt_names(cls)) - set(found)
    if missing:
        raise ArtifactError(
            f"{folder}: another version of {cls.__name__} saved it, {', '.join(sorted(missing))} not among its values; "
            f"{REMEDY}"
        )


def _below(base: type[Any]) -> Iterator[type]:
    """Yield all subclasses of a class."""
    subclasses: list[type] = base.__subclasses__()
    for cls in subclasses:
        yield cls
        yield from _below(cls)
