"""What evaluation costs beside RecTools and ranx, in one run, and that all three find the same numbers.

    python benchmarks/metrics_speed.py --data ../shared/data --rectools VENV/bin/python --ranx VENV/bin/python

VENV: `python -m venv VENV && VENV/bin/pip install rectools` (or `ranx`). Each library runs in a fresh process of one
thread on the same arrays; CPU seconds are the least of five, after one call that compiles what is compiled.

users: every user of MovieLens 1M, the whole catalogue: scores of 64 given factors, seen items removed, top 10,
seven metrics. RecTools ranks with its ImplicitRanker; ranx ranks nothing, so NumPy does it for it.
lists: the seven metrics of given top-10 lists of 100,000 users with 1 to 20 relevant items each, of 50,000.
memory: peak resident MiB of evaluating 100,000 users by 50,000 items, the model and data included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

K = 10
NAMES = ("precision", "recall", "f1", "ndcg", "map", "mrr", "hit_rate")
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rectools", help="a Python that has RecTools")
    parser.add_argument("--ranx", help="a Python that has ranx")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](options.folder)))
        return
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_input(options.data, folder)
        pythons = {"genre": sys.executable, "genre-memory": sys.executable}
        pythons |= {name: path for name in ("rectools", "ranx") if (path := getattr(options, name))}
        found = {name: run(python, name, folder) for name, python in pythons.items()}
    report(found)


def make_input(data: Path, folder: Path) -> None:
    """Write the same arrays for all libraries, as plain .npy files."""
    from datasets import ml_1m

    split = ml_1m(data)
    rng = np.random.default_rng(0)
    matrix = split.test.context.matrix()
    import scipy.sparse.linalg

    left, strength, right = scipy.sparse.linalg.svds(matrix.astype(np.float64), 64, rng=rng)
    n_users, n_items, n_lists = 100_000, 50_000, K
    top = np.stack([rng.choice(n_items, 40, replace=False) for _ in range(1000)])[rng.integers(0, 1000, n_users)]
    top = rng.permuted(top, axis=1)  # forty items each: ten are shown, some are relevant
    sizes = rng.integers(1, 21, n_users)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    wanted = np.concatenate([rng.choice(row, size, replace=False) for row, size in zip(top, sizes, strict=True)])
    arrays = {
        "user_factors": (left * strength).astype(np.float32),
        "item_factors": right.T.astype(np.float32),
        **{f"context_{name}": getattr(split.test.context, name) for name in ("user", "item")},
        **{f"target_{name}": getattr(split.test.target, name) for name in ("user", "item")},
        "lists": top[:, :n_lists].astype(np.int32),
        "wanted_user": np.repeat(np.arange(n_users), np.diff(indptr)).astype(np.int32),
        "wanted_item": wanted.astype(np.int32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def run(python: str, side: str, folder: Path) -> dict[str, Any]:
    command = [python, __file__, "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def timed(work: Callable[[], dict[str, float]]) -> dict[str, Any]:
    values = work()  # compiles, where something is compiled
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        values = work()
        seconds.append(time.process_time() - began)
    return {"seconds": min(seconds), "values": {name: float(values[name]) for name in NAMES}}


def load(folder: Path, *names: str) -> list[np.ndarray]:
    return [np.load(folder / f"{name}.npy") for name in names]


# --- genre ----------------------------------------------------------------------------------------


def genre_side(folder: Path) -> dict[str, Any]:
    from importlib.metadata import version

    from genre.data.folds import Fold
    from genre.evaluation.evaluator import evaluate, evaluate_lists

    users, items, cu, ci, tu, ti = load(
        folder, "user_factors", "item_factors", "context_user", "context_item", "target_user", "target_item"
    )
    model, fold = dot_product(users, items), Fold(dataset(cu, ci, users, items), dataset(tu, ti, users, items))
    lists, wu, wi = load(folder, "lists", "wanted_user", "wanted_item")
    n, m = np.empty(len(lists)), np.empty(50_000)
    fold = Fold(dataset(wu[:0], wi[:0], n, m), dataset(wu, wi, n, m))

    def plain(found: Any) -> dict[str, float]:
        return {name: found.values[f"{name}@{K}"] for name in NAMES}

    return {
        "version": f"genre {version('genre-rec')}",
        "users": timed(lambda: plain(evaluate(model, fold, k=K, metrics=NAMES))),
        "users, auc and lists too": timed(lambda: plain(evaluate(model, fold, k=K))),
        "lists": timed(lambda: plain(evaluate_lists(lists, fold, k=K, metrics=NAMES))),
    }


def genre_memory(folder: Path) -> dict[str, Any]:
    from genre.data.folds import Fold
    from genre.evaluation.evaluator import evaluate

    rng = np.random.default_rng(0)
    n_users, n_items = 100_000, 50_000
    users, items = (rng.normal(size=(n, 64)).astype(np.float32) for n in (n_users, n_items))
    seen = np.repeat(np.arange(n_users), 50), rng.integers(0, n_items, 50 * n_users)
    wanted = np.repeat(np.arange(n_users), 5), rng.integers(0, n_items, 5 * n_users)
    fold = Fold(dataset(*seen, users, items), dataset(*wanted, users, items))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.process_time()
    evaluate(dot_product(users, items), fold, k=K)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"before": before, "peak": peak, "seconds": time.process_time() - began}


def dataset(user: np.ndarray, item: np.ndarray, users: np.ndarray, items: np.ndarray) -> Any:
    from genre.data.dataset import Dataset
    from genre.data.ids import Ids

    ids = Ids(range(len(users))), Ids(range(len(items)))
    return Dataset.from_arrays(user=user, item=item, user_ids=ids[0], item_ids=ids[1])


def dot_product(users: np.ndarray, items: np.ndarray) -> Any:
    from genre.data.ids import Ids
    from genre.recommenders.base import Recommender

    class DotProduct(Recommender):
        answers_empty = True

        def _fit(self, *args: Any) -> None: ...

        def _factors(self, history: Any) -> tuple[np.ndarray, np.ndarray]:
            return users[history.user], items

        def _score(self, history: Any) -> np.ndarray:
            return users[history.user] @ items.T

    model = DotProduct()
    model.item_ids_ = Ids(range(len(items)))
    return model


# --- RecTools -------------------------------------------------------------------------------------


def rectools_side(folder: Path) -> dict[str, Any]:
    from importlib.metadata import version

    import pandas as pd
    import scipy.sparse as sp
    from rectools.metrics import MAP, MRR, NDCG, F1Beta, HitRate, Precision, Recall, calc_metrics
    from rectools.models.rank import Distance, ImplicitRanker

    kinds = {"precision": Precision, "recall": Recall, "f1": F1Beta, "map": MAP, "mrr": MRR, "hit_rate": HitRate}
    metrics = {name: kind(k=K) for name, kind in kinds.items()} | {"ndcg": NDCG(k=K, divide_by_achievable=True)}
    users, items, cu, ci, tu, ti = load(
        folder, "user_factors", "item_factors", "context_user", "context_item", "target_user", "target_item"
    )
    seen = sp.csr_matrix((np.ones(len(cu), np.float32), (cu, ci)), shape=(len(users), len(items)))
    target = pd.DataFrame({"user_id": tu, "item_id": ti})
    target_users = np.unique(tu)

    def whole() -> dict[str, float]:
        ranker = ImplicitRanker(Distance.DOT, users, items, num_threads=1)
        user, item, score = ranker.rank(target_users, k=K, filter_pairs_csr=seen[target_users])
        reco = pd.DataFrame({"user_id": user, "item_id": item, "score": score})
        reco["rank"] = reco.groupby("user_id", sort=False).cumcount() + 1
        return calc_metrics(metrics, reco, target)

    lists, wu, wi = load(folder, "lists", "wanted_user", "wanted_item")
    given = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(len(lists)), K),
            "item_id": lists.ravel(),
            "rank": np.tile(np.arange(1, K + 1), len(lists)),
        }
    )
    relevant = pd.DataFrame({"user_id": wu, "item_id": wi})
    return {
        "version": f"RecTools {version('rectools')}",
        "users": timed(whole),
        "lists": timed(lambda: calc_metrics(metrics, given, relevant)),
    }


# --- ranx -----------------------------------------------------------------------------------------


def ranx_side(folder: Path) -> dict[str, Any]:
    import warnings
    from importlib.metadata import version

    warnings.filterwarnings("ignore")
    import pandas as pd
    import scipy.sparse as sp
    from ranx import Qrels, Run, evaluate

    names = [f"{name}@{K}" for name in NAMES]

    def measure(qrels: Any, run: Any) -> dict[str, float]:
        found = evaluate(qrels, run, names)
        return {name: found[f"{name}@{K}"] for name in NAMES}

    def qrels_of(user: np.ndarray, item: np.ndarray) -> Any:
        return Qrels.from_df(frame_of(user, item, 1))

    def frame_of(user: np.ndarray, item: np.ndarray, score: Any) -> pd.DataFrame:
        texts = {"q_id": user.astype(str).astype(object), "doc_id": item.astype(str).astype(object)}
        return pd.DataFrame({name: pd.Series(text, dtype=object) for name, text in texts.items()} | {"score": score})

    def run_of(user: np.ndarray, item: np.ndarray, score: np.ndarray) -> Any:
        return Run.from_df(frame_of(user, item, score.astype(np.float64)))

    users, items, cu, ci, tu, ti = load(
        folder, "user_factors", "item_factors", "context_user", "context_item", "target_user", "target_item"
    )
    seen = sp.csr_matrix((np.ones(len(cu), np.float32), (cu, ci)), shape=(len(users), len(items)))
    target_users = np.unique(tu)
    qrels = qrels_of(tu, ti)

    def whole() -> dict[str, float]:
        tops, best = [], []
        for block in np.array_split(target_users, 6):
            scores = users[block] @ items.T
            scores[seen[block].nonzero()] = -np.inf
            top = np.argpartition(-scores, K, axis=1)[:, :K]
            tops.append(top)
            best.append(np.take_along_axis(scores, top, axis=1))
        return measure(
            qrels, run_of(np.repeat(target_users, K), np.concatenate(tops).ravel(), np.concatenate(best).ravel())
        )

    lists, wu, wi = load(folder, "lists", "wanted_user", "wanted_item")
    relevant = qrels_of(wu, wi)
    place = np.tile(np.arange(K, 0, -1.0), len(lists))

    def build() -> Any:
        return run_of(np.repeat(np.arange(len(lists)), K), lists.ravel(), place)

    given = build()
    return {
        "version": f"ranx {version('ranx')}",
        "users": timed(whole),
        "lists": timed(lambda: measure(relevant, build())),
        "lists, its structures given": timed(lambda: measure(relevant, given)),
    }


SIDES = {"genre": genre_side, "genre-memory": genre_memory, "rectools": rectools_side, "ranx": ranx_side}


# --- the table ------------------------------------------------------------------------------------


def report(found: dict[str, dict[str, Any]]) -> None:
    from datasets import machine

    memory = found.pop("genre-memory")
    print(f"{machine()}\n{', '.join(side['version'] for side in found.values())}\n")
    for task in ("users", "lists"):
        rows = {
            f"{name}: {label}": side[label] for name, side in found.items() for label in side if label.startswith(task)
        }
        own = rows[f"genre: {task}"]
        print(f"{task}\n  {'':42} {'CPU s':>8} {'ratio':>7} {'largest difference of a metric':>32}")
        for label, row in rows.items():
            apart = max(abs(row["values"][name] - own["values"][name]) for name in NAMES)
            print(f"  {label:42} {row['seconds']:8.3f} {row['seconds'] / own['seconds']:7.1f} {apart:32.1e}")
        print("  " + ", ".join(f"{name}@{K} {own['values'][name]:.4f}" for name in NAMES) + "\n")
    print(
        f"memory: 100,000 users x 50,000 items, 64 factors, all default metrics: peak {memory['peak']:.0f} MiB, "
        f"of which {memory['before']:.0f} stood before (data and factors); {memory['seconds']:.1f} CPU s"
    )


if __name__ == "__main__":
    main()
