"""Lists from a catalogue of a million items: comparing every item against an index; CPU time, recall, size.

    python benchmarks/large_catalogue.py [--items 1000000] [--kinds als bpr content two_tower sasrec] [--keep FOLDER]

The data is made here: each user likes four of a thousand topics, each item belongs to one, popular items of a topic come
by Zipf's law, and an item's feature vector is that of its topic with noise. `als` and `bpr` learn from all interactions;
the networks learn for one epoch from a few, so their vectors are mostly those of the features. Not used to build the index: the
histories that are measured. Every figure is CPU time of the process, one history a call; before, it is checked that no
list of any mask holds an item that its history or the mask excludes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

TOPICS, SEED, MEASURED, K = 1000, 3, 200, 100


def made_data(n_items: int):
    """Interactions by topic, with a feature vector for each item."""
    from genre.data.dataset import Dataset
    from genre.data.features import Features
    from genre.data.ids import Ids

    rng = np.random.default_rng(SEED)
    n_users, n = n_items // 5, 6 * n_items
    user = rng.integers(0, n_users, n)
    tastes = rng.integers(0, TOPICS, (n_users, 4))
    topic = np.where(rng.random(n) < 0.2, rng.integers(0, TOPICS, n), tastes[user, rng.integers(0, 4, n)])
    each = n_items // TOPICS
    item = topic * each + np.minimum((each ** rng.random(n)).astype(np.int64), each - 1)
    pairs = np.unique(user * n_items + item)
    centres = rng.normal(size=(TOPICS, 64)).astype(np.float32)
    vectors = centres[np.arange(n_items) // each] + rng.normal(size=(n_items, 64)).astype(np.float32)
    data = Dataset.from_arrays(
        user=pairs // n_items,
        item=pairs % n_items,
        user_ids=Ids([f"u{row}" for row in range(n_users)]),
        item_ids=Ids([f"i{row}" for row in range(n_items)]),
    )
    return data.with_features(items=Features(vectors, "made"))


def models(data):
    """Recommenders by kind, each with the data that it learns from."""
    import genre

    few = data.where(data.user < 4000)
    return {
        "als": (genre.ALS(factors=64, iterations=4), data),
        "bpr": (genre.BPR(factors=64, epochs=4), data),
        "content": (genre.Content(), few),
        "two_tower": (genre.TwoTower(epochs=1, batch_size=4096), few),
        "sasrec": (genre.SASRec(items="text", loss="sampled", epochs=1, batch_size=2048), few),
    }


def check_held(found, asked, mask) -> None:
    """Raise where a list is short, or holds an item of its history or one that the mask excludes."""
    for row, items in enumerate(found.item):
        own = asked.item[asked.indptr[row] : asked.indptr[row + 1]]
        if (items < 0).any() or np.isin(items, own).any() or (mask is not None and not mask[items].all()):
            raise SystemExit(f"the list of history {row} holds what it must not, or is short")


def a_list(work, n: int) -> float:
    """CPU milliseconds of a call, over `n` calls with row numbers of histories."""
    work(0)
    before = time.process_time()
    for row in range(n):
        work(row)
    return (time.process_time() - before) / n * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=["als", "bpr", "content", "two_tower", "sasrec"])
    parser.add_argument("--keep", type=Path, help="a folder where indexes are kept, and read back by the next call")
    options = parser.parse_args()
    from genre.recommenders.item_index import ItemIndex

    data = made_data(options.items)
    users = np.random.default_rng(1).permutation(data.n_users)[: 2 * MEASURED]
    rng = np.random.default_rng(2)
    half, one_of_50 = rng.random(data.n_items) < 0.5, rng.random(data.n_items) < 0.02
    print(
        f"{len(data):,} interactions, {data.n_users:,} users, {data.n_items:,} items of 64 numbers; lists of 10.\n\n"
        "| kind | exact, ms | index, ms | half of the items allowed, ms | 2 % allowed, ms | recall@100 in the run | "
        "recall@100, other histories | lists of 10 alike | build, CPU s | file, MB |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        flush=True,
    )
    for kind in options.kinds:
        model, learnt_from = models(data)[kind]
        model.fit(learnt_from)
        given, asked = data.history(np.sort(users[:MEASURED])), data.history(np.sort(users[MEASURED:]))
        singles = [asked.select([row]) for row in range(len(asked))]
        exact_ms = a_list(lambda row, model=model, singles=singles: model.recommend(singles[row]), 20)
        exact = model.recommend(asked, k=K)
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.keep or Path(temporary)) / f"{kind}-{options.items}"
            if not folder.exists():
                before, (queries, table) = time.process_time(), model.as_factors(given)
                built = ItemIndex.build(np.asarray(table), queries)
                seconds = time.process_time() - before
                folder.mkdir(parents=True)
                built.save(folder)
                (folder / "seconds").write_text(str(seconds))
                del built
            size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
            built = ItemIndex.load(folder)
            seconds = float((folder / "seconds").read_text())
            model.use_index(built)
            found = model.recommend(asked, k=K)
            shares = [len(np.intersect1d(*pair)) / K for pair in zip(found.item, exact.item, strict=True)]
            alike = np.mean(
                [len(np.intersect1d(a, b)) / 10 for a, b in zip(found.item[:, :10], exact.item[:, :10], strict=True)]
            )
            for mask in (None, half, one_of_50):
                check_held(model.recommend(asked, candidates=mask), asked, mask)
            ms = [
                a_list(
                    lambda row, model=model, mask=mask, singles=singles: model.recommend(singles[row], candidates=mask),
                    MEASURED,
                )
                for mask in (None, half, one_of_50)
            ]
        print(
            f"| `{kind}` | {exact_ms:.1f} | {ms[0]:.2f} | {ms[1]:.2f} | {ms[2]:.2f} | {built.recall:.3f} | "
            f"{np.mean(shares):.3f} | {alike:.3f} | {seconds:.0f} | {size:.0f} |",
            flush=True,
        )
        model.use_index(None)
        del model, built


if __name__ == "__main__":
    main()
