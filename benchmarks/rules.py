"""What do rules add to the cost of a list?

    OPENBLAS_NUM_THREADS=1 python benchmarks/rules.py [--users 6000] [--items 3260] [--batches 240]
      [--candidates-only | --served]

Lists of 10 of ALS with 64 factors, asked in the process in batches of 16, by services with different rules that take
turns, each with the same users. The median over the batches of the CPU time, and of its ratio to that of the service
without rules for the same batch. With `--candidates-only` the best candidates are the list: what finding them costs,
without the arrangement. With `--served` the lists are asked over HTTP, by 16 connections at a time, from a server in
a process of its own, and what counts is all the CPU time of that process.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

import genre
from genre.arrays import Float64, Int32
from genre.rules.applying import Recipient, RuledList
from genre.rules.base import Rule
from genre.rules.built_in import AtLeast, AtMost, Boost, Hide, Pin
from genre.rules.rule_set import RuleSet, Scores, rules_for
from genre.runs import Run
from genre.serving import lists
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http.server import serve
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
    parser.add_argument("--served", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_on(options.serve, options.users, options.items)
    elif options.served:
        print_table(served(options.users, options.items, options.batches))
    else:
        print_table(in_process(options))


def print_table(spent: Float64) -> None:
    """Print the medians of the CPU seconds of batches, and of their ratios. [batch, set of rules]"""
    ratios = np.median(spent / spent[:, :1], axis=0)
    print("| rules | CPU microseconds a list | of no rule |\n|---|--:|--:|")
    for name, seconds, ratio in zip(SETS, np.median(spent, axis=0) / BATCH, ratios, strict=True):
        print(f"| {name} | {seconds * 1e6:.0f} | {ratio:.2f} |")


def runs(folder: Path, n_users: int, n_items: int) -> dict[str, Run]:
    """A run for each set of rules, with the same recommender."""
    data = world(n_users, n_items)
    models = {"als": genre.ALS(factors=64, iterations=1).fit(data)}
    return {
        name: Run(folder, name.replace(" ", "-"), data, models, rules=rules_for(rules, data))
        for name, rules in SETS.items()
    }


def in_process(options: argparse.Namespace) -> Float64:
    """Return the CPU seconds of batches asked of services in this process. [batch, set of rules]"""
    if options.candidates_only:
        lists.apply_rules = best_candidates
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        services = [
            opened.enter_context(closing(Service([run], SQLiteStore(Path(folder) / f"{name}.sqlite"))))
            for name, run in runs(Path(folder), options.users, options.items).items()
        ]
        spent = np.zeros((options.batches, len(SETS)))
        for batch, at, users in turns(options.users, options.batches):
            asked = [ListRequest(user) for user in users]
            begun = time.process_time()
            services[at].recommend_many(asked)
            if batch >= 0:
                spent[batch, at] = time.process_time() - begun
    return spent


def turns(n_users: int, n_batches: int) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the number of a batch (below zero: a warm-up), whose turn it is, and the users; each has the same."""
    rng = np.random.default_rng(1)
    for batch in range(-WARM_UP, n_batches):
        users = [f"u{user}" for user in rng.integers(0, n_users, BATCH)]
        for at in np.roll(np.arange(len(SETS)), batch).tolist():
            yield batch, at, users


def serve_on(port: int, n_users: int, n_items: int) -> None:
    """Serve the runs, until the process is ended."""
    with tempfile.TemporaryDirectory() as folder:
        serve(list(runs(Path(folder), n_users, n_items).values()), port=port, store=Path(folder) / "events.sqlite")


def served(n_users: int, n_items: int, n_batches: int) -> Float64:
    """Return the CPU seconds of a server for batches asked over HTTP. [batch, set of rules]"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--serve", str(port), "--users", str(n_users), "--items", str(n_items)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.2)
        spent, local = np.zeros((n_batches, len(SETS))), threading.local()

        def ask(path: str) -> None:
            if not hasattr(local, "connection"):
                local.connection = http.client.HTTPConnection("127.0.0.1", port)
            local.connection.request("GET", path)
            answer = local.connection.getresponse()
            body = json.load(answer)
            assert answer.status == 200, body

        names = [name.replace(" ", "-") for name in SETS]
        with ThreadPoolExecutor(BATCH) as pool:
            for batch, at, users in turns(n_users, n_batches):
                begun = cpu_seconds(server.pid)
                list(pool.map(ask, (f"/v1/users/{user}/recommendations?run={names[at]}" for user in users)))
                if batch >= 0:
                    spent[batch, at] = cpu_seconds(server.pid) - begun
    finally:
        server.terminate()
        server.wait()
    return spent


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, its ended threads included (Linux: clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2)


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
