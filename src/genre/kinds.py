"""Every built-in `kind`, section by section, one line each; `config.py` resolves them when they are asked for."""

from __future__ import annotations

KINDS: dict[str, dict[str, str]] = {
    "data": {
        "movielens": "genre.preprocessing.catalog:MovieLens",
        "movielens-100k": "genre.preprocessing.catalog:MovieLens100K",
    },
    "split": {},
    "features": {},
    "llm": {},
    "recommenders": {
        "baseline": "genre.recommenders.baseline:Baseline",
        "content": "genre.recommenders.content:Content",
        "ease": "genre.recommenders.ease:EASE",
        "item_knn": "genre.recommenders.item_knn:ItemKNN",
        "popularity": "genre.recommenders.popularity:Popularity",
    },
}
"""Section -> short name -> `module:Class`."""
