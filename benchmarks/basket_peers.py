"""Lists for the shop of `domains.py` by other libraries, which runs this file in their virtual environment:

    python -m venv VENV && VENV/bin/pip install cornac==3.0.1 kindling-rec==1.0.4

Reads the interactions of train and of the histories of validation and test from an npz file (`user`, `item`, `time` of
each, row numbers and seconds, in the order of users and times) and writes the ten best items of each user to another.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

K = 10
NEIGHBOURS = "Cornac TIFU-KNN, its mean over neighbours"
PARTS = ("validation", "test")
Lists = Iterator[tuple[str, str, dict[str, Any]]]


def baskets(data: Any, part: str) -> dict[int, list[list[int]]]:
    """The baskets of each user, in order: what has one time is one basket, each item once."""
    found: dict[int, dict[int, dict[int, None]]] = {}
    for user, item, when in zip(*(data[f"{part}_{name}"].tolist() for name in ("user", "item", "time")), strict=True):
        found.setdefault(user, {}).setdefault(when, {})[item] = None
    return {user: [[*basket] for basket in some.values()] for user, some in found.items()}


def cornac(data: Any) -> Lists:
    """Cornac's TIFU-KNN as released, and with the mean over neighbours that its paper has.

    As released it takes the mean over neighbours and items, so that neighbours add one number to all scores and the
    order is that of the user's own baskets, whatever the options. Its `fit` leaves out the last basket of each user,
    as the target of its own protocol: here a copy is put behind it.
    """
    from cornac.data import BasketDataset
    from cornac.models import TIFUKNN

    rows, items = [], {item: item for item in range(int(data["n_items"]))}
    for user, some in baskets(data, "train").items():
        rows += [(user, (user, at), item) for at, one in enumerate([*some, some[-1]]) for item in one]
    began = time.process_time()
    model = TIFUKNN().fit(BasketDataset.build(rows, global_iid_map=items))
    fitted, released, own = time.process_time() - began, dict[str, Any](), {}
    began = time.process_time()
    for part in PARTS:
        known = baskets(data, part)
        histories = [known.get(user, []) for user in data[f"{part}_users"].tolist()]
        released[part] = first([model.score(0, history) for history in histories])
        own[part] = np.array([model._compute_user_vector(history) for history in histories])
    yield "Cornac TIFU-KNN", "TIFUKNN()", released | {"cpu": fitted + time.process_time() - began}
    users = model.user_vectors  # [n_users, n_items]
    for neighbours, share in itertools.product((100, 300), (0.3, 0.7)):
        began, lists = time.process_time(), dict[str, Any]()
        for part, vectors in own.items():
            distance = (users * users).sum(axis=1) - 2 * vectors @ users.T  # squared, less the length of each vector
            near = np.argpartition(distance, neighbours, axis=1)[:, :neighbours]
            mean = np.array([users[rows].mean(axis=0) for rows in near])
            lists[part] = first(share * vectors + (1 - share) * mean)
        cpu = fitted + time.process_time() - began
        yield NEIGHBOURS, f"TIFUKNN(n_neighbors={neighbours}, alpha={share:g})", lists | {"cpu": cpu}


def first(scores: Any) -> Any:
    """The items of the highest scores, best first."""
    return np.argsort(-np.asarray(scores), axis=1, kind="stable")[:, :K]


def kindling(data: Any) -> Lists:
    """Kindling as it is; it lists what it was fitted on, so it learns from the histories of each part."""
    import pandas as pd
    from kindling import Engine

    for name, again in (("kindling", "auto"), ("kindling", True), ("kindling, new items", False)):
        began, lists = time.process_time(), dict[str, Any]()
        for part in PARTS:
            names = {"entity_id": "user", "item_id": "item", "timestamp": "time"}
            frame = pd.DataFrame({theirs: data[f"{part}_{ours}"] for theirs, ours in names.items()})
            engine = Engine(repeat_recommend=again).fit(
                frame.assign(timestamp=pd.to_datetime(frame.timestamp, unit="s"))
            )
            lists[part] = np.full((len(data[f"{part}_users"]), K), -1)
            for row, user in enumerate(data[f"{part}_users"].tolist()):
                found = engine.recommend(user, n=K) or engine.recommend_for_items([], n=K)
                lists[part][row, : len(found)] = [one.item_id for one in found]
        lists["cpu"] = time.process_time() - began
        yield name, f"Engine(repeat_recommend={again!r})", lists


def main() -> None:
    source, output = map(Path, sys.argv[1:])
    with np.load(source) as file:
        data = dict(file)
    found = {}
    for make in (cornac, kindling):
        for name, options, lists in make(data):
            print(f"{name}: {options}, {lists['cpu']:.0f} CPU s", flush=True)
            found |= {f"{name}|{options}|{part}": np.asarray(value) for part, value in lists.items()}
    np.savez(output, **found)


if __name__ == "__main__":
    main()
