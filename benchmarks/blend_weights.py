"""How well the weights of a blend hold for users that they were not fitted on: the table of decision record 183.

    OPENBLAS_NUM_THREADS=1 python benchmarks/blend_weights.py --data ../shared/data [--sets ml-100k ...]

The members are those of the blend of `genre init`, learnt from train alone. Held out: weights from one half of the validation
users, judged on the other, and the reverse. Test: weights from all of them, judged on the test. ndcg@10 over the whole
catalogue, seen items removed. `both` is what a blend does: of the two ways the one that holds better for other users.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from first_config import LABEL, Judge
from handmade import HERE, SETS, read

from genre.arrays import Float64
from genre.config.reading import read_config
from genre.config.starter import first_config
from genre.data.folds import Fold
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.blend_weights import CandidateLists, climb_ndcg, descend_cross_entropy, fit_weights

Way = Callable[[CandidateLists, int, Float64], Float64]
WAYS: dict[str, Way] = {
    "climb": climb_ndcg,
    "cross-entropy": lambda lists, _, start: descend_cross_entropy(lists, start),
    "both": fit_weights,
    "equal": lambda lists, _, start: start,
}


def weighed(members: Sequence[Recommender], fold: Fold, way: Way) -> Blend:
    """A blend of fitted members, weighed on a fold in one way."""
    with patch("genre.recommenders.blend.fit_weights", way):
        return Blend(tuple(members)).weigh(members, fold)


def run(name: str, data: Path, files: Path) -> None:
    one, folder = SETS[name], files / name
    folder.mkdir(parents=True, exist_ok=True)
    one.make(data, folder)
    judge = Judge(read(read_config(HERE / f"{name}.yaml").experiment))
    interactions, items = one.tables(folder)
    with tempfile.TemporaryDirectory() as scratch:
        init = first_config(interactions, items, None, Path(scratch) / "genre.yaml", exclude_seen=True)
    *_, blend = (each for each in init.config.experiment.recommenders if isinstance(each, Blend))
    members = [judge.fit(each) for each in blend.recommenders]
    validation = judge.folds["validation"]
    halves = validation.halves()
    for label, way in WAYS.items():
        held_out = []
        for fitted, judged in (halves, halves[::-1]):
            judge.folds["half"] = judged
            held_out.append(judge.evaluate(weighed(members, fitted, way), "half").values[LABEL])
        test = judge.evaluate(weighed(members, validation, way), "test").values[LABEL]
        users = len(np.unique(validation.target.user))
        print(f"{name}, {users:,} users, {label}: held out {np.mean(held_out):.4f}, test {test:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--files", type=Path, default=HERE / "files")
    parser.add_argument("--sets", nargs="+", default=["ml-100k", "ml-latest-small", "uci-online-retail"])
    options = parser.parse_args()
    for name in options.sets:
        run(name, options.data, options.files)


if __name__ == "__main__":
    main()
