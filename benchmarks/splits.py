"""What a split costs on arrays, as GENRE does it, and as lazy frames of DuckDB that write Parquet.

    python benchmarks/splits.py [--rows 10000000] [--repeats 3]

Both start from the same cleaned interactions (user, item, rating, timestamp) that the engine has sorted by user and time,
cut by time into 80/10/10 or leave each user's last two out, keep the last of repeated pairs in each part, and end with
the same arrays, which is checked. Each side runs in a process of its own, in turn; the least CPU seconds over all
threads count, after the interactions are there. Peak memory is that of the process, less what it had before the split.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
import zlib
from typing import Any

import numpy as np

KINDS = ("time", "leave-one-out")
QUERIES = {
    "time": "SELECT *, CASE WHEN timestamp >= (SELECT quantile_disc(timestamp, {test}) FROM rows) THEN 2 "
    "WHEN timestamp >= (SELECT quantile_disc(timestamp, {validation}) FROM rows) THEN 1 ELSE 0 END AS part FROM rows",
    "leave-one-out": "SELECT * EXCLUDE (back, n), CASE WHEN n < 3 OR back > 2 THEN 0 ELSE 3 - back END AS part FROM "
    "(SELECT *, row_number() OVER (PARTITION BY user ORDER BY timestamp DESC) AS back, "
    "count(*) OVER (PARTITION BY user) AS n FROM rows)",
}


def interactions(n: int) -> dict[str, np.ndarray[Any, Any]]:
    """Rows sorted by user and time, no two at one time."""
    rng = np.random.default_rng(0)
    user = np.sort((n // 100 * rng.random(n) ** 1.6).astype(np.int32))
    when = rng.permutation(n) * 10 + 1_000_000_000
    order = np.lexsort((when, user))
    item = (n // 200 * rng.random(n) ** 2).astype(np.int32)
    return {"user": user, "item": item, "rating": rng.integers(1, 6, n).astype(np.float32), "timestamp": when[order]}


def on_arrays(columns: dict[str, Any], kind: str) -> list[int]:
    """GENRE's split: masks over the columns of a Dataset, each part settled by itself."""
    import pyarrow as pa

    import genre
    from genre.data.dataset import Dataset, PartRules
    from genre.data.ids import Ids

    rules = PartRules(
        repeats="last",
        equal_weights=False,
        weights_given=False,
        scale_stated=False,
        positive_stated=False,
        low_rating_weight=0.0,
    )
    n_users, n_items = int(columns["user"].max()) + 1, int(columns["item"].max()) + 1
    ids = {f"{label}_ids": Ids(pa.array(map(str, range(n)))) for label, n in (("user", n_users), ("item", n_items))}
    data = Dataset.from_arrays(**columns, **ids, part_rules=rules)
    begin = usage()
    train, validation, test = genre.split(data, kind)
    return [*begin, *(digest(part) for part in (train, validation.target, test.target))]


def on_duckdb(columns: dict[str, Any], kind: str) -> list[int]:
    """The same as lazy frames: a part for each row, the last of a pair in each part, Parquet by part, arrays again."""
    import tempfile

    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as database:
        database.register("arrow", pa.table(columns))
        database.execute("CREATE TABLE rows AS FROM arrow")
        begin = usage()
        n = len(columns["user"])
        cuts = {name: (n - round(n * share) + 0.5) / n for name, share in (("test", 0.1), ("validation", 0.2))}
        query = QUERIES[kind].format(**cuts)
        last = "SELECT user, item, part, max(timestamp) AS timestamp, arg_max(rating, timestamp) AS rating"
        database.execute(f"CREATE TABLE parts AS {last} FROM ({query}) GROUP BY ALL")
        found = []
        for part in range(3):
            path = f"{folder}/{part}.parquet"
            kept = f"SELECT user, item, rating, timestamp FROM parts WHERE part = {part} ORDER BY user, timestamp"
            database.execute(f"COPY ({kept}) TO '{path}' (FORMAT parquet)")
            table = pq.read_table(path)
            found.append(digest({name: table[name].to_numpy() for name in table.column_names}))
    return [*begin, *found]


def digest(part: Any) -> int:
    """A number that depends on each value and its place."""
    total = 0
    for name in ("user", "item", "rating", "timestamp"):
        column = part[name] if isinstance(part, dict) else getattr(part, name)
        total = zlib.crc32(np.asarray(column, np.int64).tobytes(), total)
    return total


def usage() -> tuple[float, float]:
    """CPU seconds and peak memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(side: str, kind: str, n: int, pipe: Any) -> None:
    """Run one side and send CPU seconds, memory, wall time and digests."""
    columns = interactions(n)
    start = time.perf_counter()
    cpu, memory, *found = {"arrays": on_arrays, "DuckDB": on_duckdb}[side](columns, kind)
    now = usage()
    pipe.send((now[0] - cpu, now[1] - memory, time.perf_counter() - start, found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print("| split | side | CPU s | memory, MB |\n|---|---|--:|--:|")
    for kind in KINDS:
        results: dict[str, list[Any]] = {"arrays": [], "DuckDB": []}
        for _ in range(options.repeats):
            for side, runs in results.items():
                ours, theirs = multiprocessing.get_context("spawn").Pipe()
                worker = multiprocessing.get_context("spawn").Process(
                    target=measure, args=(side, kind, options.rows, theirs)
                )
                worker.start()
                runs.append(ours.recv())
                worker.join()
        digests = {tuple(run[-1]) for runs in results.values() for run in runs}
        if len(digests) > 1:
            raise SystemExit(f"{kind}: the sides differ")
        for side, runs in results.items():
            print(f"| {kind} | {side} | {min(run[0] for run in runs):.1f} | {min(run[1] for run in runs):.0f} |")


if __name__ == "__main__":
    main()
