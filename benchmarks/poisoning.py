"""How far do 1 % of invented users push one item? Its share of real users' top ten, clean and poisoned, a recommender a row.

    python benchmarks/poisoning.py [--share 0.01] [--fillers 30] [--targets 10] [--output benchmarks/poisoning.md]

MovieLens-100K, stars of 4 and 5 liked. Each invented user likes the target and `fillers` of the hundred most liked items, drawn anew
(a bandwagon attack: Mobasher et al., ACM TOIT 2007), today. Targets are drawn among rare items and among known ones.
Everybody is asked with the history they have.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np

import genre
from genre.preprocessing.dataset import Dataset
from genre.preprocessing.ids import Ids
from genre.recommenders.base import Recommender
from genre.recommenders.baseline import Baseline
from genre.recommenders.bpr import BPR

K = 10
RANGES = ((5, 20), (60, 150))  # likes
MAKERS: dict[str, Callable[[], Recommender]] = {
    "popularity": genre.Popularity,
    "popularity, half-life 7 days": lambda: genre.Popularity(half_life_days=7.0),
    "baseline": Baseline,
    "item_knn": genre.ItemKNN,
    "ease": genre.EASE,
    "als": genre.ALS,
    "bpr": BPR,
}


def poisoned(data: Dataset, target: int, share: float, fillers: int, rng: np.random.Generator) -> Dataset:
    """The data with `share` as many users more, who push `target`."""
    n = round(share * data.n_users)
    liked = np.bincount(data.item[data.liked()], minlength=data.n_items)
    favourites = np.setdiff1d(np.argsort(-liked)[:100], [target])
    items = np.concatenate([[target, *rng.choice(favourites, fillers, replace=False)] for _ in range(n)])
    user = np.repeat(np.arange(n) + data.n_users, fillers + 1)
    added = len(items)
    assert data.rating is not None
    assert data.timestamp is not None
    return Dataset.from_arrays(
        user=np.concatenate([data.user, user]),
        item=np.concatenate([data.item, items]),
        rating=np.concatenate([data.rating, np.full(added, 5, np.float32)]),
        timestamp=np.concatenate([data.timestamp, np.full(added, data.timestamp.max())]),
        user_ids=data.user_ids.append([f"invented-{at}" for at in range(n)]),
        item_ids=Ids(data.item_ids.values),
        items=data.items,
        rating_scale=data.rating_scale,
        positive_rating=data.positive_rating,
        name=data.name,
    )


def exposure(model: Recommender, data: Dataset, item: int) -> float:
    """The share of users whose first ten hold the item."""
    return float((model.recommend(data.history(), k=K).item == item).any(axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--fillers", type=int, default=30)
    parser.add_argument("--targets", type=int, default=10)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    data, rng = genre.load("movielens-100k"), np.random.default_rng(0)
    liked = np.bincount(data.item[data.liked()], minlength=data.n_items)
    models = {name: make().fit(data) for name, make in MAKERS.items()}
    lines = [
        "likes of the targets | recommender | clean | poisoned | worst target | at most twice the clean share",
        "---|---|--:|--:|--:|---",
    ]
    for low, high in RANGES:
        targets = rng.choice(np.flatnonzero((liked >= low) & (liked <= high)), args.targets, replace=False)
        attacks = [poisoned(data, int(target), args.share, args.fillers, rng) for target in targets]
        for name, make in MAKERS.items():
            before = [exposure(models[name], data, int(target)) for target in targets]
            after = [exposure(make().fit(bad), data, int(target)) for bad, target in zip(attacks, targets, strict=True)]
            holds = sum(late <= 2 * early for early, late in zip(before, after, strict=True))
            line = f"{low} to {high} | {name} | {np.mean(before):.2%} | {np.mean(after):.2%} | {max(after):.2%} | {holds} of {len(targets)}"
            lines.append(line)
            print(line, flush=True)
    if args.output:
        head = f"{platform.machine()}, Python {platform.python_version()}; `python benchmarks/poisoning.py --targets {args.targets}`: {args.share:.0%} of {data.n_users} users invented, {args.fillers} fillers each."
        args.output.write_text("\n".join(["# Poisoning", "", head, "", *lines]) + "\n")


if __name__ == "__main__":
    main()
