"""How dear is it to get from a CSV of ten million rows to a split matrix? GENRE beside pandas, Polars and DuckDB.

    python benchmarks/ingest.py [--rows 10000000] [--repeats 3] [--ids int|text] [--order time|random] [--output FILE]

Every library does the same work in a fresh process of one thread: read, drop missing ratings, keep the last of each
user-item pair by time, 5-core, number users and items, cut by global time into 80/10/10, make the CSR matrices of
train, validation and test. Results must be equal, or the script fails; comparing them is not part of the cost. The
least CPU seconds of `--repeats` runs count, from the start of Python on, and the peak resident memory. GENRE's row is
`load` with cleaning's full report; the others are written out by hand.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

CORE = 5


def write_csv(path: Path, n: int, ids: str, order: str) -> None:
    """Interactions with popular items, busy users, 1 % of rows written twice and a few missing ratings.

    order: rows in the order of time, as a log is written, or in no order.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pa_csv

    rng = np.random.default_rng(0)
    n_users, n_items = max(n // 100, 10), max(n // 200, 10)
    user = rng.permutation(n_users)[(n_users * rng.random(n) ** 1.6).astype(int)]
    share = np.cumsum(1 / np.arange(1, n_items + 1) ** 0.9)
    item = rng.permutation(n_items)[np.searchsorted(share / share[-1], rng.random(n)).clip(max=n_items - 1)]
    rating = rng.integers(1, 11, n) / 2
    when = np.arange(n) * 10 + 1_000_000_000  # all different: ties would make the work ambiguous
    if order == "random":
        rng.shuffle(when)
    rows = np.concatenate([np.arange(n), rng.integers(0, n, n // 100)])
    if order == "time":
        rows.sort()
    columns = {"user_id": pa.array(user[rows]), "item_id": pa.array(item[rows])}
    if ids == "text":
        for name, prefix in (("user_id", "A1Z"), ("item_id", "B00")):
            digits = pc.utf8_lpad(columns[name].cast(pa.string()), 9, "0")
            columns[name] = pc.binary_join_element_wise(prefix, digits, "")
    missing = rng.random(len(rows)) < 1e-4
    table = pa.table({**columns, "rating": pa.array(rating[rows], mask=missing), "timestamp": when[rows]})
    pa_csv.write_csv(table, path)


def genre(path: str) -> list[Any]:
    from genre.preprocessing.cleaning import Cleaning
    from genre.preprocessing.loading import load
    from genre.preprocessing.splits import TimeSplit

    data = load(path, cleaning=Cleaning(min_user_interactions=CORE, min_item_interactions=CORE, positive_rating=0.5))
    split = TimeSplit(validation=0.1, test=0.1).split(data)
    return [part.matrix() for part in (split.train, split.validation.target, split.test.target)]


def pandas(path: str) -> list[Any]:
    import pandas as pd

    table = pd.read_csv(path, dtype={"rating": np.float32}).dropna()
    table = table.sort_values("timestamp", kind="stable").drop_duplicates(["user_id", "item_id"], keep="last")
    while True:
        kept = table["user_id"].map(table["user_id"].value_counts()) >= CORE
        kept &= table["item_id"].map(table["item_id"].value_counts()) >= CORE
        if kept.all():
            break
        table = table[kept]
    user, users = pd.factorize(table["user_id"], sort=True)
    item, items = pd.factorize(table["item_id"], sort=True)
    return _split_by_hand(user, item, table["timestamp"].to_numpy(), (len(users), len(items)))


def polars(path: str) -> list[Any]:
    import polars as pl

    table = pl.scan_csv(path, schema_overrides={"rating": pl.Float32}).drop_nulls().sort("timestamp")
    table = table.unique(["user_id", "item_id"], keep="last", maintain_order=True).collect()
    while True:
        kept = table.filter((pl.len().over("user_id") >= CORE) & (pl.len().over("item_id") >= CORE))
        if len(kept) == len(table):
            break
        table = kept
    ids = {name: table[name].unique().sort() for name in ("user_id", "item_id")}
    for name, values in ids.items():
        numbered = pl.DataFrame({name: values, f"{name}_row": np.arange(len(values), dtype=np.int32)})
        table = table.join(numbered, on=name, how="left")
    columns = [table[name].to_numpy() for name in ("user_id_row", "item_id_row", "timestamp")]
    return _split_by_hand(*columns, (len(ids["user_id"]), len(ids["item_id"])))


def duckdb(path: str) -> list[Any]:
    import duckdb as db

    con = db.connect(config={"threads": 1})
    con.sql(f"""
        CREATE TABLE t AS SELECT user_id, item_id, arg_max(rating, timestamp) AS rating, max(timestamp) AS timestamp
        FROM read_csv('{path}', types={{'rating': 'FLOAT'}}) WHERE rating IS NOT NULL GROUP BY user_id, item_id
    """)
    while True:
        before = con.sql("SELECT count(*) FROM t").fetchone()
        con.sql(f"""
            CREATE OR REPLACE TABLE t AS SELECT * FROM t
            WHERE user_id IN (SELECT user_id FROM t GROUP BY user_id HAVING count(*) >= {CORE})
            AND item_id IN (SELECT item_id FROM t GROUP BY item_id HAVING count(*) >= {CORE})
        """)
        if con.sql("SELECT count(*) FROM t").fetchone() == before:
            break
    for name in ("user", "item"):
        con.sql(
            f"CREATE TABLE {name}s AS SELECT {name}_id, row_number() OVER (ORDER BY {name}_id) - 1 AS {name} "
            f"FROM (SELECT DISTINCT {name}_id FROM t)"
        )
    joined = 'SELECT "user", item, timestamp FROM t JOIN users USING (user_id) JOIN items USING (item_id)'
    rows = con.sql(joined).fetchnumpy()
    shape = tuple(con.sql(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("users", "items"))
    return _split_by_hand(rows["user"].astype(np.int32), rows["item"].astype(np.int32), rows["timestamp"], shape)


def _split_by_hand(user: Any, item: Any, when: Any, shape: tuple[int, int]) -> list[Any]:
    import scipy.sparse as sp

    places = [len(when) - round(len(when) * share) for share in (0.1 + 0.1, 0.1)]
    t1, t2 = np.partition(when, places)[places]
    matrices = []
    for part in (when < t1, (when >= t1) & (when < t2), when >= t2):
        pairs = (user[part], item[part])
        matrices.append(sp.csr_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape=shape))
    return matrices


def _facts(matrices: list[Any]) -> dict[str, float]:
    """What the results of two libraries are compared by; `check` sums a hash of every pair."""
    n_users, n_items = matrices[0].shape
    facts = {"users": n_users, "items": n_items, "check": 0}
    for name, matrix in zip(("train", "validation", "test"), matrices, strict=True):
        rows = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(matrix.indptr))
        facts[name] = matrix.nnz
        facts["check"] += int(((rows * 1_000_003 + matrix.indices) % 999_983).sum())
    return facts


WORKERS = {"genre": genre, "pandas": pandas, "polars": polars, "duckdb": duckdb}


def measure(name: str, path: Path) -> dict[str, float]:
    """One fresh process of one thread."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS"), "1")
    command = [sys.executable, __file__, "--worker", name, "--csv", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **one}, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ids", choices=("int", "text"), default="int")
    parser.add_argument("--order", choices=("time", "random"), default="time")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--csv", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        matrices = WORKERS[options.worker](options.csv)
        cost = {"cpu": time.process_time(), "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
        print(json.dumps({"facts": _facts(matrices), **cost}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "interactions.csv"
        writer = multiprocessing.get_context("spawn").Process(
            target=write_csv, args=(path, options.rows, options.ids, options.order)
        )
        writer.start()  # apart: the peak memory of a child counts from what its parent held
        writer.join()
        runs = {name: [] for name in WORKERS}
        for _ in range(options.repeats):
            for name in WORKERS:
                runs[name].append(measure(name, path))
        size = path.stat().st_size
    facts = [run["facts"] for tries in runs.values() for run in tries]
    if any(fact != facts[0] for fact in facts):
        raise SystemExit(f"results differ: {[(name, tries[0]['facts']) for name, tries in runs.items()]}")
    text = table(options, runs, facts[0], size)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def table(options: argparse.Namespace, runs: dict[str, list[dict]], facts: dict, size: int) -> str:
    least = {name: min(run["cpu"] for run in tries) for name, tries in runs.items()}
    best = min(least[name] for name in ("pandas", "polars", "duckdb"))
    packages = ", ".join(f"{name} {version(name)}" for name in ("pandas", "polars", "duckdb", "pyarrow", "numpy"))
    lines = [
        f"`python benchmarks/ingest.py --rows {options.rows} --repeats {options.repeats} --ids {options.ids} "
        f"--order {options.order}`",
        "",
        f"{options.rows * 101 // 100:,} rows, {size >> 20:,} MiB of CSV -> {facts['users']:,} users, "
        f"{facts['items']:,} items, {facts['train']:,} train, {facts['validation']:,} validation, "
        f"{facts['test']:,} test; results equal.",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}.",
        "",
        "| | CPU seconds (all runs) | of the best by hand | peak MiB |",
        "|---|--:|--:|--:|",
    ]
    for name, tries in runs.items():
        every = ", ".join(f"{run['cpu']:.1f}" for run in tries)
        memory = max(run["mib"] for run in tries)
        label = "GENRE" if name == "genre" else f"{name} by hand"
        lines.append(f"| {label} | **{least[name]:.1f}** ({every}) | {least[name] / best:.2f} | {memory:,} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
