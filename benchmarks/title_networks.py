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

from quality import BEAUTY_TRANSITIONS
from quality_measures import read

from genre.evaluation.evaluator import evaluate
from genre.recommenders.blend import Blend
from genre.recommenders.content import Content
from genre.recommenders.ranker import Ranker
from genre.recommenders.sasrec import SASRec
from genre.recommenders.shared_words import SharedWords
from genre.recommenders.smoothed import Smoothed

FIRST = SASRec(
    items="text_start",
    learning_rate=3e-3,
    epochs=8,
    max_length=50,
    dropout=0.5,
    loss="sampled",
    negatives=2048,
)
LESS_DROPOUT = replace(FIRST, dropout=0.3)
COSINE = replace(LESS_DROPOUT, schedule="cosine", negatives=1024)
NETWORKS = {"first": FIRST, "less dropout": LESS_DROPOUT, "cosine": COSINE}

TRANSITIONS = replace(BEAUTY_TRANSITIONS, history_half_life=1.5)
MEMBERS = (
    TRANSITIONS,
    Content(history_half_life=1.5),
    Smoothed(TRANSITIONS, history_half_life=1.5),
    SharedWords(),
)
RANKERS = {
    "ranker over cosine": Ranker(Blend((*MEMBERS, COSINE))),
    "ranker over cosine of two seeds": Ranker(Blend((*MEMBERS, COSINE, replace(COSINE, seed=1000)))),
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
