"""Cost at size: lists for all users, kernels on several threads, and whole runs of the config that `genre init` writes.

    python benchmarks/scale.py lists [--users 200000 --items 3260 --threads 1]
    python benchmarks/scale.py threads [--threads 1 2]
    python benchmarks/scale.py run --interactions 1000000 [--folder FOLDER]

The data is made here: popular items and busy users by Zipf's law, with titles. Every figure is CPU time: of the process,
and for `threads` also of its busiest thread, which is the wall time on idle cores.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

SEED = 7


def made_data(n_users: int, n_items: int, n: int):
    """Interactions of users with items; a pair that comes twice counts once."""
    from genre.data.dataset import Dataset
    from genre.data.ids import Ids

    rng = np.random.default_rng(SEED)
    user = (n_users * rng.random(n) ** 1.5).astype(np.int64)
    rank = np.minimum((n_items ** rng.random(n) - 1).astype(np.int64), n_items - 1)  # Zipf with exponent 1
    item = rng.permutation(n_items)[rank]
    pairs = np.unique(user * n_items + item)
    item_ids = [f"i{row}" for row in range(n_items)]
    return Dataset.from_arrays(
        user=pairs // n_items,
        item=pairs % n_items,
        user_ids=Ids([f"u{row}" for row in range(n_users)]),
        item_ids=Ids(item_ids),
        items=pa.table({"item_id": item_ids, "title": [f"The story of number {row}" for row in range(n_items)]}),
        timestamp=rng.integers(1_500_000_000, 1_600_000_000, len(pairs)),
    )


def lists(options: argparse.Namespace) -> None:
    import genre
    from genre.bulk import UserLists
    from genre.engines.duckdb import DuckDB
    from genre.threads import limit_threads

    data = made_data(options.users, options.items, 50 * options.users)
    model = genre.ALS(factors=64, iterations=2, solver="cg").fit(data.where(data.user % 10 == 0))
    every = np.arange(data.n_users)
    model.recommend(data.history(every[:512]))  # compiles
    print(f"{data!r}, ALS of 64 factors, lists of 10, {options.threads} thread(s)")
    with tempfile.TemporaryDirectory() as folder, limit_threads(options.threads):
        for ending in ("parquet", "csv", "jsonl"):
            before, out = time.process_time(), Path(folder) / f"lists.{ending}"
            with DuckDB(threads=options.threads) as engine:
                UserLists(model, data, 10, every).write(out, engine, "key")
            seconds = time.process_time() - before
            size = out.stat().st_size / 1e6
            print(f"  {ending}: {seconds:.1f} CPU s, {len(every) / seconds:,.0f} lists a CPU s, {size:.0f} MB")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MiB")


def on_threads(options: argparse.Namespace) -> None:
    import genre
    from genre.recommenders.topk import top_k_factors
    from genre.threads import limit_threads

    data = made_data(6_000, 3_260, 800_000)
    split = genre.split(data)
    model = genre.ALS(factors=64, iterations=2, solver="cg").fit(split.train)
    queries = np.random.default_rng(0).normal(size=(data.n_users, 64)).astype(np.float32)
    work = {
        "als cg": lambda: genre.ALS(factors=64, iterations=6, solver="cg").fit(data),
        "als exact": lambda: genre.ALS(factors=64, iterations=4, solver="exact").fit(data),
        "item_knn": lambda: genre.ItemKNN(neighbours=100).fit(data),
        "transitions": lambda: genre.Transitions().fit(data),
        "ease": lambda: genre.EASE().fit(data),
        "top-10": lambda: [top_k_factors(queries, model.item_embeddings_, 10) for _ in range(4)],
        "evaluate": lambda: genre.evaluate(model, split.test, train=split.train),
    }
    print(repr(data))
    print("| work | threads | all threads, CPU s | busiest thread, CPU s | of one thread's: all | busiest |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, run in work.items():
        run()
        found = {n: [] for n in options.threads}
        for _ in range(options.repeats):
            for n in options.threads:
                with limit_threads(n):
                    found[n].append(cpu_of_threads(run))
        one = min(found[options.threads[0]])
        for n, seen in found.items():
            total, busiest = min(seen)
            print(
                f"| {name} | {n} | {total:.3f} | {busiest:.3f} | {total / one[0]:.2f} | {busiest / one[1]:.2f} |",
                flush=True,
            )


class TimedPool(ThreadPoolExecutor):
    """A pool that adds the CPU seconds of its busiest thread to `busiest` when it ends."""

    busiest = 0.0

    def submit(self, function, /, *words):
        self.by_thread = getattr(self, "by_thread", {})

        def timed(*inner):
            before, me = time.thread_time(), threading.get_ident()
            try:
                return function(*inner)
            finally:
                self.by_thread[me] = self.by_thread.get(me, 0) + time.thread_time() - before

        return super().submit(timed, *words)

    def __exit__(self, *error):
        super().__exit__(*error)
        TimedPool.busiest += max(self.by_thread.values(), default=0)


def cpu_of_threads(run) -> tuple[float, float]:
    """CPU seconds of all threads, and of the calling thread with the busiest of each pool, one pool after the other."""
    from genre import threads as module

    module.ThreadPoolExecutor, TimedPool.busiest = TimedPool, 0.0
    before, own = time.process_time(), time.thread_time()
    run()
    return time.process_time() - before, time.thread_time() - own + TimedPool.busiest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("lists")
    verb.add_argument("--users", type=int, default=200_000)
    verb.add_argument("--items", type=int, default=3260)
    verb.add_argument("--threads", type=int, default=1)
    verb.set_defaults(work=lists)
    verb = verbs.add_parser("threads")
    verb.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    verb.add_argument("--repeats", type=int, default=5)
    verb.set_defaults(work=on_threads)
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
