"""Cost at size: lists for all users, kernels on several threads, and the table of `genre plan`.

    python benchmarks/scale.py lists [--users 200000 --items 3260 --threads 1]
    python benchmarks/scale.py threads [--threads 1 2]
    nice -n 19 python benchmarks/scale.py run [--sizes 1000000 10000000] [--per-user 50 --per-item 200]
    python benchmarks/scale.py cluster [--sizes 1000000 10000000]
    python benchmarks/scale.py costs [--sizes small middle large] [--output src/genre/costs.json]

The data is made here: popular items and busy users by Zipf's law, with titles. Every figure is CPU time: of the process,
and for `threads` also of its busiest thread, which is the wall time on idle cores. `run` writes the data as CSV (by default
50 interactions a user, 200 an item), has `genre init` write a config, and runs it as it is: times and memory are those that
the run itself notes in its log; no vector of a text is known before. `cluster` takes the same data as a file of Parquet
through cleaning and lists of 10 for all users, once on DuckDB and once on Spark (two executors of one core, each a process
of its own, on this machine). Spark reads typed columns, so DuckDB converts the file first, which is a step of its own. CPU
and memory are those of this process and all below it, JVMs and workers; it checks that dataset and lists are equal. Needs
pyspark and Java.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
import pyarrow as pa

SEED = 7
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))  # where the small cluster is described


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


def rows_of(data) -> pa.Table:
    """The interactions as a table of ids and times."""
    return pa.table(
        {
            "user_id": data.user_ids.values.take(pa.array(data.user)),
            "item_id": data.item_ids.values.take(pa.array(data.item)),
            "timestamp": data.timestamp,
        }
    )


def lists(options: argparse.Namespace) -> None:
    import genre
    from genre.batch_recommendations import UserLists
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


def whole_runs(options: argparse.Namespace) -> None:
    print("| interactions | step | CPU s | wall s | peak memory, MiB |\n|--:|---|--:|--:|--:|", flush=True)
    for n in options.sizes:
        for step, cpu, wall, peak in steps_of_a_run(n, n // options.per_user, n // options.per_item):
            print(row_of_table(n, step, cpu, wall, peak), flush=True)


def row_of_table(n: int, step: str, cpu: float, wall: float, peak: int) -> str:
    return f"| {n:,} | {step} | {cpu:,.1f} | {wall:,.1f} | {peak:,} |"


def steps_of_a_run(n: int, n_users: int, n_items: int):
    """CPU and wall seconds and peak memory of each step, as the log of a run of `genre init`'s config has them."""
    import pyarrow.csv

    with tempfile.TemporaryDirectory() as folder:
        data, place = made_data(n_users, n_items, n + n // 10), Path(folder)
        pyarrow.csv.write_csv(rows_of(data), place / "interactions.csv")
        pyarrow.csv.write_csv(data.items, place / "items.csv")
        del data
        alone = dict(os.environ, XDG_CACHE_HOME=str(place / "cache"))  # an empty cache, but for the text model
        packages, own = platformdirs.user_cache_path("genre") / "packages", place / "cache" / "genre"
        own.mkdir(parents=True)
        if packages.is_dir():
            (own / "packages").symlink_to(packages)
        for words in (["init", "interactions.csv", "items.csv"], ["run", "genre.yaml", "--quiet"]):
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            command = [sys.executable, "-m", "genre", *words]
            done = subprocess.run(command, cwd=place, env=alone, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if words[0] == "run":
                for line in next(place.glob("runs/*/log.jsonl")).read_text("utf-8").splitlines():
                    row = json.loads(line)
                    if "cpu_seconds" in row:
                        step = " ".join([row["event"], row.get("model", "")]).strip()
                        yield step, row["cpu_seconds"], row["seconds"], row["peak_mib"]
            yield f"all of `genre {words[0]}`", cpu, time.perf_counter() - began, after.ru_maxrss // 1024


CONVERSION = "conversion, by DuckDB"


def on_cluster(options: argparse.Namespace) -> None:
    import pyarrow.parquet as pq

    import genre
    from genre.batch_recommendations import UserLists
    from genre.engines.duckdb import DuckDB
    from genre.preprocessing.cleaning import Cleaning
    from genre.preprocessing.prepare import prepare
    from genre.preprocessing.sources.files import Files
    from small_cluster import small_cluster

    print("| interactions | engine | step | CPU s | wall s | peak memory, MiB |\n|--:|---|---|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as home:
        for n in options.sizes:
            with tempfile.TemporaryDirectory() as temporary:
                data, folder = made_data(n // 50, n // 200, n + n // 10), Path(temporary)
                model = genre.ALS(factors=64, iterations=2, solver="cg").fit(data.where(data.user % 10 == 0))
                every = np.arange(data.n_users)
                model.recommend(data.history(every[:512]))  # compiles
                pq.write_table(rows_of(data), folder / "rows.parquet")
                prints, cleaning = [], Cleaning(min_user_interactions=5, min_item_interactions=5)
                for name in options.engines:
                    with DuckDB() if name == "duckdb" else small_cluster(Path(home)) as engine:
                        out, found = folder / f"{name}.parquet", {}

                        def started(engine=engine):
                            return str(engine.session.version)

                        def converted(engine=engine, folder=folder):
                            with DuckDB() as reader:
                                tables = Files(folder / "rows.parquet").load(reader)
                                reader.convert(tables.interactions, typed := engine.place())
                            return dataclasses.replace(tables, interactions=engine.read_parquet(typed))

                        def cleaned(engine=engine, folder=folder, found=found, cleaning=cleaning):
                            tables = found.get(CONVERSION) or Files(folder / "rows.parquet").load(engine)
                            return prepare(tables, engine, cleaning)[0].fingerprint()

                        def listed(engine=engine, out=out, model=model, data=data, every=every):
                            UserLists(model, data, 10, every).write(out, engine, "key")
                            return out.read_bytes()

                        steps = {"cleaning": cleaned, "lists for all users": listed}
                        if engine.has_workers:
                            steps = {"start": started, CONVERSION: converted, **steps}
                        for step, work in steps.items():
                            found[step], cpu, wall, peak = of_all(work)
                            print(row_of_table(n, f"{name} | {step}", cpu, wall, peak), flush=True)
                        prints.append((found["cleaning"], found["lists for all users"]))
                if any(one != prints[0] for one in prints):
                    raise SystemExit("the engines gave different results")


def of_all(work):
    """The result of a call, with CPU seconds, wall seconds and the most memory, MiB, of this process and all below it.

    What the measurement itself takes is not counted; on a busy machine it would be seconds.
    """
    peak, ended, own = [tree()[1]], threading.Event(), [0.0]

    def watch() -> None:
        while not ended.wait(0.25):
            peak[0] = max(peak[0], tree()[1])
        own[0] = time.thread_time()

    watcher = threading.Thread(target=watch)
    before, began = tree()[0], time.perf_counter()
    watcher.start()
    try:
        result = work()
    finally:
        ended.set()
        watcher.join()
    return result, tree()[0] - before - own[0], time.perf_counter() - began, peak[0]


def tree() -> tuple[float, int]:
    """CPU seconds, with those of children that ended, and resident MiB of this process and of all below it."""
    below, seconds, pages, stats = {os.getpid()}, 0.0, 0, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    for pid in sorted(stats):  # a child has a higher number
        if pid in below or int(stats[pid][1]) in below:
            below.add(pid)
            seconds += sum(int(ticks) for ticks in stats[pid][11:15]) / os.sysconf("SC_CLK_TCK")
            pages += int(stats[pid][21])
    return seconds, pages * os.sysconf("SC_PAGE_SIZE") >> 20


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


SIZES = {
    "small": (3_000, 2_000, 300_000),
    "middle": (12_000, 6_000, 1_000_000),
    "large": (40_000, 12_000, 3_000_000),
    "wide": (30_000, 20_000, 600_000),
}
MEASURED = {
    "popularity": {},
    "baseline": {},
    "item_knn": {"neighbours": 100},
    "ease": {},
    "ease_neighbours": {},
    "als": {"factors": 64, "iterations": 4, "solver": "cg"},
    "bpr": {"factors": 64, "epochs": 3},
    "transitions": {},
    "rating_factors": {},
    "content": {},
    "mlp": {"epochs": 1},
}


def costs(options: argparse.Namespace) -> None:
    """Measure every kind at every size, each in a process of its own, and write the table that `genre plan` reads."""
    rows = json.loads(options.output.read_text()) if options.output.is_file() else []
    known = {(row["kind"], row["size"]) for row in rows}
    for size in options.sizes:
        for kind in MEASURED:
            if (kind, size) in known:
                continue
            done = subprocess.run([sys.executable, __file__, "cost", kind, size], capture_output=True, text=True)
            if done.returncode:
                print(kind, size, done.stderr[-300:], flush=True)
                continue
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
            options.output.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def cost(options: argparse.Namespace) -> None:
    """Measure one fit and one evaluation, with one thread, after a tiny one that loads compiled code."""
    import genre
    from genre.config.sections import resolve
    from genre.data.features import Features
    from genre.recommenders.base import Recommender
    from genre.testing import toy_dataset
    from genre.threads import limit_threads

    model = resolve(Recommender, options.kind)(**MEASURED[options.kind])

    def with_vectors(data, dim):
        rng = np.random.default_rng(0)
        rated = dataclasses.replace(
            data,
            rating=rng.integers(1, 6, len(data)).astype(np.float32),
            rating_scale=(1.0, 5.0, 1.0),
            positive_rating=4.0,
        )
        return rated.with_features(items=Features(rng.normal(size=(data.n_items, dim)).astype(np.float32), "made"))

    def status(name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024

    with limit_threads(1):
        tiny = genre.split(with_vectors(toy_dataset(), 8))
        genre.evaluate(dataclasses.replace(model).fit(tiny.train, validation=tiny.validation), tiny.test)
        data = with_vectors(made_data(*SIZES[options.size]), 384)
        split = genre.split(data)
        split.test.context.history()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, began = status("VmRSS"), time.process_time()
        model.fit(split.train, validation=split.validation)
        fit, most = time.process_time() - began, status("VmHWM")
        fold = split.test.sample(500, 0)
        began = time.process_time()
        genre.evaluate(model, fold, metrics=["ndcg", "coverage"], train=split.train)
        judged = time.process_time() - began
    lengths = np.diff(data.history().indptr).astype(float)
    print(
        json.dumps(
            {
                "kind": options.kind,
                "size": options.size,
                "options": MEASURED[options.kind],
                "users": data.n_users,
                "items": data.n_items,
                "interactions": len(data),
                "pairs": float((lengths**2).sum()),
                "cpu_seconds": round(fit, 3),
                "mib": round(max(most - before, 0), 1),
                "evaluated": len(fold.users()),
                "evaluate_cpu_seconds": round(judged, 3),
            }
        )
    )


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
    verb = verbs.add_parser("run")
    verb.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    verb.add_argument("--per-user", type=int, default=50)
    verb.add_argument("--per-item", type=int, default=200)
    verb.set_defaults(work=whole_runs)
    verb = verbs.add_parser("cluster")
    verb.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    verb.add_argument("--engines", nargs="+", choices=["duckdb", "spark"], default=["duckdb", "spark"])
    verb.set_defaults(work=on_cluster)
    verb = verbs.add_parser("costs")
    verb.add_argument("--sizes", nargs="+", default=list(SIZES))
    verb.add_argument("--output", type=Path, default=Path("src/genre/costs.json"))
    verb.set_defaults(work=costs)
    verb = verbs.add_parser("cost")
    verb.add_argument("kind")
    verb.add_argument("size")
    verb.set_defaults(work=cost)
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
