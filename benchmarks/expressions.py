"""Popularity, item_knn and transitions counted by narwhals expressions on an engine, beside the arrays.

    python benchmarks/expressions.py [--engines duckdb spark] [--interactions 1000000]

What decision 217 rests on. The data is MovieLens-100K, or made by `scale.py` where `--interactions` says how much. An engine
gets a row for each interaction, with the user, the item's rank in `value_order` and the place in the history, and gives
back the score of each item, or the pairs of items that are kept; the time includes both ways, as a recommender on the driver
would pay them. CPU seconds are those of this process and of all below it (for Spark two executors, driver and workers), of
the second of two calls, so the start of a session and compilation do not count. The last columns: the share of kept
pairs (or scores) that are equal to the bit, and of users whose list of 10 is the same.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import narwhals as nw
import numpy as np
import pyarrow as pa
import scipy.sparse as sp

NEIGHBOURS, WINDOW = 100, 50
DOUBLE = nw.Float64


def popularity(rows, items, model):
    return rows.group_by("item").agg(nw.col("weight").cast(DOUBLE).sum().alias("value"))


def item_knn(rows, items, model):
    """Count the users of each pair of items; the cosine of rounded norms, as the kernel has it."""
    pairs = rows.join(rows.select("user", other="item"), on="user").filter(nw.col("item") != nw.col("other"))
    counted = pairs.group_by("item", "other").agg(nw.len().cast(DOUBLE).alias("count"))
    return best(counted, items, nw.col("count") / single(nw.col("source") * nw.col("target")))


def transitions(rows, items, model):
    """Sum what each pair of places at most `window` steps apart counts, forwards and backwards."""
    behind = rows.select("user", other="item", later="place", times="weight")
    step = nw.col("later") - nw.col("place")
    pairs = rows.join(behind, on="user").filter((step != 0) & (step <= WINDOW) & (step >= -WINDOW))
    distance = nw.when(step > 0).then(step).otherwise(-step).cast(DOUBLE)
    share = nw.when(step > 0).then(nw.lit(1.0)).otherwise(nw.lit(model.backward))
    added = nw.col("weight").cast(DOUBLE) * nw.col("times").cast(DOUBLE) * share / distance**model.distance_power
    counted = pairs.filter(nw.col("item") != nw.col("other")).with_columns(added=added)
    counted = counted.group_by("item", "other").agg(nw.col("added").sum().alias("count"))
    return best(counted, items, nw.col("count") * nw.col("source") * nw.col("target"))


def best(counted, items, value):
    """Keep the NEIGHBOURS pairs of each item with the highest values; of equal ones the item of the lower rank."""
    norms = counted.join(items.select("item", "source"), on="item")
    norms = norms.join(items.select("target", other="item"), on="other")
    ranked = norms.with_columns(value=single(value)).with_columns(minus=-nw.col("value"))
    place = nw.col("other").cum_count().over("item", order_by=["minus", "other"])
    return ranked.with_columns(number=place).filter(nw.col("number") <= NEIGHBOURS)


def single(value):
    """Round to 32 bits, and go on with 64: the same on every engine."""
    return value.cast(nw.Float32).cast(DOUBLE)


def models():
    import genre

    return {
        "popularity": (popularity, genre.Popularity()),
        "item_knn": (item_knn, genre.ItemKNN(neighbours=NEIGHBOURS)),
        "transitions": (transitions, genre.Transitions(window=WINDOW, neighbours=NEIGHBOURS)),
    }


def tables(kind, model, data):
    """The rows of all interactions, and the two factors of each item, with items as ranks; and the item at each rank."""
    from genre.recommenders.overlap import column_norms, value_order

    history = data.history()
    liked = history.keep(history.weight > 0)
    matrix = liked.matrix()
    order = value_order(matrix)
    rank = np.argsort(order)
    source = target = column_norms(matrix)
    if kind == "transitions":
        frequency = np.maximum(np.bincount(liked.item, liked.weight, data.n_items), 1e-12)
        source, target = frequency**-model.source_power, frequency**-model.target_power
    row = liked.row_of()
    rows = {"user": row, "item": rank[liked.item], "place": np.arange(len(row)) - liked.indptr[row]}
    factors = {"item": np.arange(data.n_items), "source": source[order], "target": target[order]}
    factors = {name: values if name == "item" else values.astype(np.float32) for name, values in factors.items()}
    return pa.table(rows | {"weight": liked.weight}), pa.table(factors), order


def on_engine(engine, kind, expressions, model, data):
    """What the recommender learns: a score for each item, or a matrix from item to item."""
    given, factors, order = tables(kind, model, data)
    rows, items = engine.read(given), engine.read(factors).drop("row")
    found = expressions(rows.drop("row"), items, model)
    if kind == "popularity":
        table = engine.collect(found, pa.schema({"item": pa.int64(), "value": pa.float64()}))
        score = np.zeros(data.n_items, np.float32)
        score[order[table["item"].to_numpy()]] = table["value"].to_numpy()
        return score
    table = engine.collect(found, pa.schema({"item": pa.int64(), "other": pa.int64(), "value": pa.float32()}))
    places = [order[table[name].to_numpy()] for name in ("item", "other")]
    return sp.csr_matrix((table["value"].to_numpy(), places), shape=(data.n_items,) * 2)


def compare(kind, model, ours, theirs, data):
    """Shares of equal values and of equal lists."""
    learnt = "popularity_" if kind == "popularity" else "item_weights_"
    if kind == "popularity":
        same = float(np.mean(ours == theirs))
    else:
        same = 1 - (abs(ours - theirs) > 0).nnz / max(ours.nnz, theirs.nnz)
    history = data.history(np.arange(0, data.n_users, max(1, data.n_users // 1000)))
    setattr(model, learnt, ours)
    exact = model.recommend(history).item
    setattr(model, learnt, theirs)
    lists = (model.recommend(history).item == exact).all(axis=1).mean()
    return same, float(lists)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=["duckdb"], choices=["duckdb", "spark"])
    parser.add_argument("--kinds", nargs="+", default=["popularity", "item_knn", "transitions"])
    parser.add_argument("--interactions", type=int)
    options = parser.parse_args()
    from scale import made_data, of_all

    import genre
    from genre.engines.duckdb import DuckDB
    from small_cluster import small_cluster

    n = options.interactions
    data = made_data(n // 100, n // 200, n) if n else genre.load("movielens-100k")
    print(f"{data!r}\n\n| kind | where | CPU s | wall s | of the arrays' CPU | values equal | lists equal |")
    print("|---|---|--:|--:|--:|--:|--:|", flush=True)
    home = tempfile.TemporaryDirectory()
    engines = {"duckdb": DuckDB, "spark": lambda: small_cluster(Path(home.name))}
    for kind in options.kinds:
        expressions, model = models()[kind]
        model.fit(data)
        _, arrays, wall, _ = of_all(lambda model=model: [model.fit(data) for _ in range(10)])
        ours = model.popularity_ if kind == "popularity" else model.item_weights_
        print(f"| `{kind}` | arrays | {arrays / 10:.3f} | {wall / 10:.3f} | | | |", flush=True)
        for name in options.engines:
            with engines[name]() as engine:
                work = lambda e=engine, k=kind, x=expressions, m=model: on_engine(e, k, x, m, data)  # noqa: E731
                work()
                theirs, cpu, wall, _ = of_all(work)
            same, lists = compare(kind, model, ours, theirs, data)
            times = 10 * cpu / arrays
            print(
                f"| `{kind}` | {name} | {cpu:.2f} | {wall:.2f} | {times:,.0f} | {same:.4f} | {lists:.4f} |", flush=True
            )


if __name__ == "__main__":
    main()
