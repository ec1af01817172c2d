"""How dear is it to get from a CSV of ten million rows to a split matrix? GENRE beside pandas, Polars and DuckDB.

    python benchmarks/ingest.py [--rows 10000000] [--repeats 3] [--ids int|text] [--order time|random] [--only NAME ...]

Everybody has the same duties, in a fresh process that may use all cores: read every column as text, keep rows that do
not fit (DuckDB can, the others stop), convert and check that each cell could be read, drop missing values and rows
equal to another, 5-core over pairs of user and item, number users and items in the order of their ids, sort by user
and time, cut by global time into 80/10/10, keep the last of each pair in each part, make the CSR matrices.
Results must be equal, or the script fails; comparing them is not part of the cost. The least CPU seconds of
`--repeats` runs that take turns count, from the start of Python on, over all threads; wall time says little on a
machine that is shared. GENRE's row is `prepare` with its full report; the others are written out by hand.
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
from datetime import date
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


def genre(path: str, memory_limit: str | None = None) -> list[Any]:
    from genre.engines.duckdb import DuckDB
    from genre.preprocessing.cleaning import Cleaning
    from genre.preprocessing.prepare import prepare
    from genre.preprocessing.sources.files import Files
    from genre.preprocessing.splits import TimeSplit

    class Measured(DuckDB):
        """Notes the peak memory before the interactions become arrays."""

        def collect(self, frame: Any, schema: Any) -> Any:
            if "item" in schema.names and "user" in schema.names:
                print(json.dumps({"mib_tables": _peak()}))
            return super().collect(frame, schema)

    cleaning = Cleaning(min_user_interactions=CORE, min_item_interactions=CORE, positive_rating=0.5)
    with Measured(memory_limit=memory_limit) as engine:
        data, _ = prepare(Files(path).load(engine), engine, cleaning)
    split = TimeSplit(validation=0.1, test=0.1).split(data)
    return [part.matrix() for part in (split.train, split.validation.target, split.test.target)]


def genre_limited(path: str) -> list[Any]:
    return genre(path, "1500MB")


def pandas(path: str) -> list[Any]:
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = table.assign(user_id=table["user_id"].str.strip(), item_id=table["item_id"].str.strip())
    for name in ("rating", "timestamp"):
        text = table[name]
        table[name] = pd.to_numeric(text, errors="coerce")
        assert not (table[name].isna() & (text != "")).any()
    table = table[(table["user_id"] != "") & (table["item_id"] != "")].dropna().drop_duplicates()
    pairs = table[["user_id", "item_id"]].drop_duplicates()
    while True:
        kept = pairs["user_id"].map(pairs["user_id"].value_counts()) >= CORE
        kept &= pairs["item_id"].map(pairs["item_id"].value_counts()) >= CORE
        if kept.all():
            break
        pairs = pairs[kept]
    table = table[table["user_id"].isin(pairs["user_id"].unique()) & table["item_id"].isin(pairs["item_id"].unique())]
    rows, shape = {}, []
    for name in ("user_id", "item_id"):
        code, values = pd.factorize(table[name])
        order = np.lexsort((values.to_numpy().astype(str), values.str.len()))
        rows[name] = np.argsort(order).astype(np.int32)[code]
        shape.append(len(values))
    numbered = pd.DataFrame(rows).assign(timestamp=table["timestamp"].to_numpy())
    return _split_by_hand(numbered.sort_values(["user_id", "timestamp"]), tuple(shape))


def polars(path: str) -> list[Any]:
    import polars as pl

    text = pl.scan_csv(path, infer_schema=False).with_columns(
        pl.col("user_id", "item_id").str.strip_chars(),
        pl.col("rating").cast(pl.Float64, strict=False).alias("number"),
        pl.col("timestamp").cast(pl.Int64, strict=False).alias("time"),
    )
    text = text.collect()
    for name, read in (("rating", "number"), ("timestamp", "time")):
        assert text.filter(pl.col(name).is_not_null() & pl.col(read).is_null()).is_empty()
    table = text.select("user_id", "item_id", "number", timestamp="time").drop_nulls().unique()
    del text
    pairs = table.select("user_id", "item_id").unique()
    while True:
        kept = pairs.filter((pl.len().over("user_id") >= CORE) & (pl.len().over("item_id") >= CORE))
        if len(kept) == len(pairs):
            break
        pairs = kept
    for name in ("user_id", "item_id"):
        table = table.join(pairs.select(pl.col(name).unique()), on=name, how="semi")
    shape = []
    for name in ("user_id", "item_id"):
        ids = table.select(pl.col(name).unique()).sort(pl.col(name).str.len_bytes(), name)
        ids = ids.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("row"))
        table = table.join(ids, on=name, how="left").drop(name).rename({"row": name})
        shape.append(len(ids))
    return _split_by_hand(table.sort("user_id", "timestamp"), tuple(shape))


def duckdb(path: str, memory_limit: str | None = None) -> list[Any]:
    import duckdb as db

    con = db.connect(config={} if memory_limit is None else {"memory_limit": memory_limit})
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in ("user_id", "item_id", "rating", "timestamp"))
    con.execute(f"""
        CREATE TABLE raw AS SELECT * FROM
        read_csv('{path}', auto_detect=false, header=true, columns={{{columns}}}, nullstr='', store_rejects=true)
    """)
    bad = con.execute("""
        SELECT count(*) FILTER (rating IS NOT NULL AND TRY_CAST(rating AS DOUBLE) IS NULL)
            + count(*) FILTER (timestamp IS NOT NULL AND TRY_CAST(timestamp AS BIGINT) IS NULL) FROM raw
    """).fetchone()
    assert bad == (0,)
    assert con.execute("SELECT count(*) FROM reject_errors").fetchone() == (0,)
    con.execute("""
        CREATE TABLE t AS SELECT DISTINCT trim(user_id) AS user_id, trim(item_id) AS item_id,
            CAST(rating AS DOUBLE) AS rating, CAST(timestamp AS BIGINT) AS timestamp
        FROM raw WHERE rating IS NOT NULL AND timestamp IS NOT NULL AND user_id IS NOT NULL AND item_id IS NOT NULL
    """)
    con.execute("DROP TABLE raw")
    con.execute("CREATE TABLE p AS SELECT DISTINCT user_id, item_id FROM t")
    while True:
        before = con.execute("SELECT count(*) FROM p").fetchone()
        con.execute(f"""
            CREATE OR REPLACE TABLE p AS SELECT * FROM p
            WHERE user_id IN (SELECT user_id FROM p GROUP BY user_id HAVING count(*) >= {CORE})
            AND item_id IN (SELECT item_id FROM p GROUP BY item_id HAVING count(*) >= {CORE})
        """)
        if con.execute("SELECT count(*) FROM p").fetchone() == before:
            break
    for name in ("user", "item"):
        con.execute(f"""
            CREATE TABLE {name}s AS SELECT {name}_id AS id, row_number() OVER (ORDER BY length({name}_id), {name}_id) - 1
            AS "row" FROM (SELECT DISTINCT {name}_id FROM p)
        """)
    print(json.dumps({"mib_tables": _peak()}))
    rows = con.execute("""
        SELECT u."row"::INTEGER AS user_id, i."row"::INTEGER AS item_id, timestamp, rating::FLOAT AS rating
        FROM t JOIN users u ON t.user_id = u.id JOIN items i ON t.item_id = i.id ORDER BY 1, 3
    """).fetchnumpy()
    shape = tuple(con.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("users", "items"))
    return _split_by_hand(rows, shape)


def duckdb_limited(path: str) -> list[Any]:
    return duckdb(path, "1500MB")


def _peak() -> int:
    """The most memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _split_by_hand(rows: Any, shape: tuple[int, int]) -> list[Any]:
    import scipy.sparse as sp

    user, item, when = (np.asarray(rows[name]) for name in ("user_id", "item_id", "timestamp"))
    places = [len(when) - round(len(when) * share) for share in (0.1 + 0.1, 0.1)]
    t1, t2 = np.partition(when, places)[places]
    matrices = []
    for part in (when < t1, (when >= t1) & (when < t2), when >= t2):
        pairs = (user[part], item[part])
        matrices.append(sp.csr_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape=shape))
        matrices[-1].data[:] = 1  # of repeats the last
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


WORKERS = {
    "GENRE": genre,
    "GENRE, `memory_limit: 1500MB`": genre_limited,
    "DuckDB by hand": duckdb,
    "DuckDB by hand, `memory_limit` 1500MB": duckdb_limited,
    "Polars by hand": polars,
    "pandas by hand": pandas,
}


def measure(name: str, path: Path) -> dict[str, Any]:
    """One run in a fresh process."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--worker", name, "--csv", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = {"wall": time.perf_counter() - start}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    print(f"{name}: {found}", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ids", choices=("int", "text"), default="int")
    parser.add_argument("--order", choices=("time", "random"), default="time")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", nargs="+", help="names that the rows to measure begin with")
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--csv", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        matrices = WORKERS[options.worker](options.csv)
        print(json.dumps({"cpu": time.process_time(), "mib": _peak(), "facts": _facts(matrices)}))
        return
    names = [name for name in WORKERS if not options.only or any(name.startswith(only) for only in options.only)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "interactions.csv"
        writer = multiprocessing.get_context("spawn").Process(
            target=write_csv, args=(path, options.rows, options.ids, options.order)
        )
        writer.start()  # apart: the peak memory of a child counts from what its parent held
        writer.join()
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(options.repeats):
            for name in names:
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
    packages = ", ".join(f"{name} {version(name)}" for name in ("pandas", "polars", "duckdb", "pyarrow", "numpy"))
    only = f" --only {' '.join(map(repr, options.only))}" if options.only else ""
    lines = [
        f"`python benchmarks/ingest.py --rows {options.rows} --repeats {options.repeats} --ids {options.ids} "
        f"--order {options.order}{only}`, {date.today():%d %B %Y}",
        "",
        f"{options.rows * 101 // 100:,} rows, {size >> 20:,} MiB of CSV -> {facts['users']:,} users, "
        f"{facts['items']:,} items, {facts['train']:,} train, {facts['validation']:,} validation, "
        f"{facts['test']:,} test; results equal.",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}.",
        "",
        "| | CPU seconds (all runs) | of DuckDB by hand | wall seconds | peak MiB before the arrays | peak MiB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, tries in runs.items():
        every = ", ".join(f"{run['cpu']:.1f}" for run in tries)
        share = f"{least[name] / least['DuckDB by hand']:.2f}" if "DuckDB by hand" in least else ""
        before = f"{max(run['mib_tables'] for run in tries):,}" if "mib_tables" in tries[0] else ""
        wall, memory = min(run["wall"] for run in tries), max(run["mib"] for run in tries)
        lines.append(f"| {name} | **{least[name]:.1f}** ({every}) | {share} | {wall:.1f} | {before} | {memory:,} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
