"""MovieLens-100K, the official folds: RMSE over u1..u5, and ndcg@10 on u1 where 4 and 5 stars are relevant.

python benchmarks/ml100k.py --data ../shared/data [--kinds baseline ease als mlp]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import genre
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.evaluation.evaluator import evaluate
from genre.recommenders.base import Recommender
from genre.recommenders.baseline import Baseline
from genre.recommenders.mlp import MLP

MAKERS: dict[str, Recommender] = {
    "baseline": Baseline(),
    "ease": genre.EASE(regularization=300),
    "als": genre.ALS(),
    "item_knn": genre.ItemKNN(neighbours=100, shrinkage=20),
    "mlp": MLP(epochs=8),
}


def fold(data: Dataset, path: Path) -> Fold:
    """The official test part as target, everything else as context."""
    pairs = np.loadtxt(path, dtype=np.int64)[:, :2].astype(str)
    user, item = data.user_ids.rows(list(pairs[:, 0])), data.item_ids.rows(list(pairs[:, 1]))
    wanted = user.astype(np.int64) * data.n_items + item
    asked = np.isin(data.user.astype(np.int64) * data.n_items + data.item, wanted)
    return Fold(data.where(~asked), data.where(asked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--kinds", nargs="+", default=["baseline", "ease", "als", "item_knn"])
    options = parser.parse_args()
    data = genre.load("movielens-100k")
    folds = [fold(data, options.data / "ml-100k" / f"u{n}.test") for n in range(1, 6)]
    print("recommender | ndcg@10 u1 | RMSE u1..u5 | mean RMSE | CPU s\n---|--:|---|--:|--:")
    for kind in options.kinds:
        began, errors, ndcg = time.process_time(), [], float("nan")
        rated = MAKERS[kind].capabilities()["ratings"]
        for at, part in enumerate(folds if rated else folds[:1]):
            found = evaluate(MAKERS[kind].fit(part.context), part, k=10, metrics=["ndcg", "rmse"]).values
            ndcg = found["ndcg@10"] if at == 0 else ndcg
            errors += [found["rmse"]] if rated else []
        each = ", ".join(f"{error:.4f}" for error in errors) or "-"
        mean = f"{np.mean(errors):.4f}" if errors else "-"
        print(f"{kind} | {ndcg:.4f} | {each} | {mean} | {time.process_time() - began:.1f}", flush=True)


if __name__ == "__main__":
    main()
