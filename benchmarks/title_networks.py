"""Networks of titles that were tried below the ranker of amazon-beauty, on the validation part alone.

    OMP_NUM_THREADS=1 python benchmarks/title_networks.py --data ../shared/data [--trials first cosine ...] [--users 8000]

ndcg@10 and recall@10 of a seeded sample of validation users, learnt from train alone: of networks by themselves (`NETWORKS`),
and of rankers over the members that `genre init` writes for this set with such networks in place of its own (`RANKERS`).
Those fit epochs and the weights of the blend on the whole validation part. The test is not read.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from quality import NEAR, QUICK_READER
from quality_measures import read

from genre.evaluation.evaluator import evaluate
from genre.recommenders.blend import Blend
from genre.recommenders.ranker import Ranker

LESS_DROPOUT = replace(QUICK_READER, schedule="constant", negatives=2048)
NETWORKS = {"first": replace(LESS_DROPOUT, dropout=0.5), "less dropout": LESS_DROPOUT, "cosine": QUICK_READER}
RANKERS = {
    "ranker over cosine": Ranker(Blend((*NEAR, QUICK_READER))),
    "ranker over cosine of two seeds": Ranker(Blend((*NEAR, QUICK_READER, replace(QUICK_READER, seed=1000)))),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--trials", nargs="+", choices=[*NETWORKS, *RANKERS], default=[*NETWORKS, *RANKERS])
    parser.add_argument("--users", type=int, default=8000, help="users of validation")
    options = parser.parse_args()
    parts = read("amazon-beauty", options.data)
    judged = parts.validation.sample(options.users, 0)
    print("| trial | ndcg@10 | recall@10 | CPU s of the fit |")
    print("|---|--:|--:|--:|")
    for name in options.trials:
        began = time.process_time()
        if name in NETWORKS:
            model = replace(NETWORKS[name]).fit(parts.train)
        else:
            model = replace(RANKERS[name]).fit(parts.train, validation=parts.validation)
        spent = time.process_time() - began
        values = evaluate(model, judged, metrics=["ndcg@10", "recall@10"], train=parts.train).values
        print(f"| {name} | {values['ndcg@10']:.4f} | {values['recall@10']:.4f} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
