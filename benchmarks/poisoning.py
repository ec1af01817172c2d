"""How far do invented users push one item, does `genre refresh` hold them back, and how often does it hold honest news back?

    python benchmarks/poisoning.py [--share 0.01] [--fillers 30] [--targets 10] [--output benchmarks/poisoning.md]

MovieLens-100K, stars of 4 and 5 liked. Pushes: each invented user likes the target and `fillers` of the hundred most liked items, drawn
anew (a bandwagon attack: Mobasher et al., ACM TOIT 2007), today. Targets are drawn among rare items and among known ones.
Everybody is asked with the history they have. Honest news: the last weeks and the last days of the data, one refresh each.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np

import genre
from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.recommenders.base import Recommender
from genre.recommenders.baseline import Baseline
from genre.recommenders.bpr import BPR
from genre.serving.pushed_items import Drift, pushed_items

K = 10
DAY = 86_400
RANGES = ((5, 20), (60, 150))  # likes
REFRESHES = ((7, 8), (1, 28))  # every so many days, so many times
MAKERS: dict[str, Callable[[], Recommender]] = {
    "popularity": genre.Popularity,
    "popularity, half-life 30 days": lambda: genre.Popularity(half_life_days=30.0),
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


def pushes(data: Dataset, share: float, fillers: int, n_targets: int) -> list[str]:
    """A row a recommender and range of targets: their exposure, and whether a refresh would be held back for them."""
    rng = np.random.default_rng(0)
    liked = np.bincount(data.item[data.liked()], minlength=data.n_items)
    models = {name: make().fit(data) for name, make in MAKERS.items()}
    lines = [
        "likes of the targets | recommender | clean | poisoned | worst | at most twice the clean share | held back | either "
        "| largest rise let through",
        "---|---|--:|--:|--:|--:|--:|--:|--:",
    ]
    for low, high in RANGES:
        targets = [int(i) for i in rng.choice(np.flatnonzero((liked >= low) & (liked <= high)), n_targets, False)]
        attacks = [poisoned(data, target, share, fillers, rng) for target in targets]
        for name, make in MAKERS.items():
            before, after, holds, held = [], [], [], []
            for target, bad in zip(targets, attacks, strict=True):
                model = make().fit(bad)
                before.append(exposure(models[name], data, target))
                after.append(exposure(model, data, target))
                holds.append(after[-1] <= 2 * before[-1])
                held.append(
                    data.item_ids[target] in {p.item_id for p in pushed_items(models[name], model, data, bad, Drift())}
                )
            either = sum(a or b for a, b in zip(holds, held, strict=True))
            rises = (late - early for early, late, h in zip(before, after, held, strict=True) if not h)
            through = max([0.0, *rises])
            line = (
                f"{low} to {high} | {name} | {np.mean(before):.2%} | {np.mean(after):.2%} | {max(after):.2%} "
                f"| {sum(holds)} of {n_targets} | {sum(held)} of {n_targets} | {either} of {n_targets} | {through:.2%}"
            )
            lines.append(line)
            print(line, flush=True)
    return lines


def honest(data: Dataset) -> list[str]:
    """A row a recommender: how many refreshes on honest news would be held back, and for how many items."""
    lines = ["recommender | every | held back | items named", "---|---|--:|--:"]
    assert data.timestamp is not None
    for days, times in REFRESHES:
        cuts = [int(data.timestamp.max()) - days * DAY * back for back in range(times, -1, -1)]
        states = [known(data, cut) for cut in cuts]
        for name, make in MAKERS.items():
            models = [make().fit(state) for state in states]
            steps = zip(models, models[1:], states, states[1:], strict=False)
            found = [len(pushed_items(*step, Drift())) for step in steps]
            line = f"{name} | {days} day{'s' * (days > 1)} | {sum(map(bool, found))} of {times} | {sum(found)}"
            lines.append(line)
            print(line, flush=True)
    return lines


def known(data: Dataset, until: int) -> Dataset:
    """The data as it was: the interactions so far, and only the users who had any."""
    assert data.timestamp is not None
    then = data.where(data.timestamp <= until)
    assert then.rating is not None
    users, user = np.unique(then.user, return_inverse=True)
    return Dataset.from_arrays(
        user=user,
        item=then.item,
        rating=then.rating,
        timestamp=then.timestamp,
        user_ids=Ids(data.user_ids.take(users)),
        item_ids=data.item_ids,
        items=data.items,
        rating_scale=data.rating_scale,
        positive_rating=data.positive_rating,
        name=data.name,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--fillers", type=int, default=30)
    parser.add_argument("--targets", type=int, default=10)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    data = genre.load("movielens-100k")
    tables = pushes(data, args.share, args.fillers, args.targets), honest(data)
    if args.output:
        head = (
            f"{platform.machine()}, Python {platform.python_version()}; `python benchmarks/poisoning.py --targets "
            f"{args.targets}`: {args.share:.0%} of {data.n_users} users invented, {args.fillers} fillers each. "
            f"Held back by the limits that `genre refresh` has without `--drift`."
        )
        parts = ["# Poisoning", "", head, "", "## Pushes", "", *tables[0], "", "## Honest news", "", *tables[1]]
        args.output.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
