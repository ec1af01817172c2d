"""What do rules add to the cost of a list?

    OPENBLAS_NUM_THREADS=1 python benchmarks/rules.py [--users 6000] [--items 3260] [--batches 240] [--candidates-only]

Lists of 10 of ALS with 64 factors, asked in the process in batches of 16, by services with different rules that take
turns, each with the same users. The median over the batches of the CPU time, and of its ratio to that of the service
without rules for the same batch. With `--candidates-only` the best candidates are the list: what finding them costs,
without the arrangement.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

import genre
from genre.arrays import Int32
from genre.rules.applying import Recipient, RuledList
from genre.rules.base import Rule
from genre.rules.built_in import AtLeast, AtMost, Boost, Hide, Pin
from genre.rules.rule_set import RuleSet, Scores, rules_for
from genre.runs import Run
from genre.serving import lists
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.requests import ListRequest
from genre.serving.service import Service

BATCH = 16
WARM_UP = 10  # batches that do not count
HIDE, LIMIT, BOOST = Hide(where={"stock": 0}), AtMost(n=2, per="brand"), Boost(where={"brand": "b3"})
SETS: dict[str, tuple[Rule, ...]] = {
    "no rule": (),
    "hide": (HIDE,),
    "at_most": (LIMIT,),
    "boost": (BOOST,),
    "pin": (Pin(item="i77", place=2),),
    "at_least": (AtLeast(where={"brand": "b5"}, share=0.1),),
    "all five": (HIDE, LIMIT, BOOST, Pin(item="i77", place=2), AtLeast(where={"brand": "b5"}, share=0.1)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=6000)
    parser.add_argument("--items", type=int, default=3260)
    parser.add_argument("--batches", type=int, default=240)
    parser.add_argument("--candidates-only", action="store_true")
    options = parser.parse_args()
    if options.candidates_only:
        lists.apply_rules = best_candidates
    data = world(options.users, options.items)
    with tempfile.TemporaryDirectory() as folder:
        base = Run(Path(folder), "shop", data, {"als": genre.ALS(factors=64, iterations=1).fit(data)})
        services = {
            name: Service(
                [dataclasses.replace(base, rules=rules_for(rules, data))], SQLiteStore(Path(folder) / f"{at}.sqlite")
            )
            for at, (name, rules) in enumerate(SETS.items())
        }
        spent = np.zeros((options.batches, len(SETS)))
        rng = np.random.default_rng(1)
        for batch in range(-WARM_UP, options.batches):
            asked = [ListRequest(f"u{user}") for user in rng.integers(0, options.users, BATCH)]
            for at in np.roll(np.arange(len(SETS)), batch).tolist():
                begun = time.process_time()
                list(services.values())[at].recommend_many(asked)
                if batch >= 0:
                    spent[batch, at] = time.process_time() - begun
        for service in services.values():
            with closing(service):
                pass
    ratios = np.median(spent / spent[:, :1], axis=0)
    print("| rules | CPU microseconds a list | of no rule |\n|---|--:|--:|")
    for name, seconds, ratio in zip(SETS, np.median(spent, axis=0) / BATCH, ratios, strict=True):
        print(f"| {name} | {seconds * 1e6:.0f} | {ratio:.2f} |")


def best_candidates(
    rules: RuleSet,
    items: Int32,
    scores: Scores,
    recipients: Sequence[Recipient],
    now: int,
    *,
    exclude_seen: bool = True,
) -> list[RuledList]:
    """Make lists as `apply_rules` does, but of the best candidates whatever the rules say."""
    pairs = zip(items, scores, recipients, strict=True)
    return [RuledList(row[: one.k], values[: one.k], [], []) for row, values, one in pairs]


def world(n_users: int, n_items: int, each: int = 100) -> genre.Dataset:
    """Interactions with popular items, and a brand and a stock for each item."""
    rng = np.random.default_rng(0)
    n = n_users * each
    user, item = np.sort(rng.integers(0, n_users, n)), (n_items * rng.random(n) ** 2).astype(int)
    rows = {"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item], "timestamp": np.arange(n)}
    items = {
        "item_id": [f"i{i}" for i in range(n_items)],
        "title": [f"thing {i}" for i in range(n_items)],
        "brand": [f"b{i % 97}" for i in range(n_items)],
        "stock": [i % 7 for i in range(n_items)],
    }
    return genre.load(pa.table(rows), items=pa.table(items))


if __name__ == "__main__":
    main()
