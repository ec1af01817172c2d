"""What the ranker of a first config gains by `als` among its members: ndcg@10 and recall@10 on validation, two seeds each.

    OMP_NUM_THREADS=1 python benchmarks/ranker_members.py --data ../shared/data [--sets yelp beauty-bert4rec ...]

The members are those of `genre init` without a network: transitions with a random walk, or with what reads texts where a set has
some; then the same with `als`. Everything learns from train alone; the first stage is weighed on the validation part, on a
seeded sample of at most 8,000 users of which the rankers are judged. The test is not read.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from handmade import HERE, SETS, Set, make_files, read

from genre.config.reading import parse_config
from genre.config.starter_choices import FACTORS, WALK
from genre.config.writing import to_yaml
from genre.evaluation.evaluator import evaluate
from genre.recommenders.base import Recommender
from genre.recommenders.reusing import HeldOut, Reusable, fit_reusing

STEPS = {"kind": "transitions", "source_power": 0.35, "target_power": 0.15}
HALF_LIVES = {"ml-100k": 10.0, "ml-latest-small": 10.0}  # of histories, as `genre init` finds them; 1.5 elsewhere

DEFAULT = ["yelp", "beauty-bert4rec", "ml-100k", "ml-latest-small", "nemig", "amazon-beauty"]


def members(name: str, one: Set) -> list[dict[str, Any]]:
    decay = {"history_half_life": HALF_LIVES.get(name, 1.5)}
    if not one.text:
        return [STEPS, {"kind": "item_knn"} | WALK | decay]
    return [
        STEPS,
        {"kind": "content"} | decay,
        {"kind": "smoothed", "recommender": STEPS},
        {"kind": "shared_words"},
    ]


def measure(name: str, files: Path) -> None:
    one = SETS[name]

    def experiment(entry: dict[str, Any]) -> Any:
        return parse_config(to_yaml(one.config(name, [entry])), name, folder=files.parent).experiment

    parts = read(experiment({"kind": "popularity"}))
    judged = parts.validation.sample(8000, 3)
    fitted: list[Recommender] = []
    held = HeldOut()
    for label, chosen in {"of before": members(name, one), "with als": [*members(name, one), FACTORS]}.items():
        for seed in (0, 1):
            first = {"kind": "blend", "recommenders": chosen}
            [made] = experiment({"kind": "ranker", "seed": seed, "first": first}).recommenders
            began = time.process_time()
            known = Reusable(parts.train, fitted, held)
            fitted.append(fit_reusing(made, known, parts.train, validation=parts.validation))
            spent = time.process_time() - began
            values = evaluate(made, judged, metrics=["ndcg@10", "recall@10"], train=parts.train).values
            print(
                f"| {name} | {label} | {seed} | {values['ndcg@10']:.4f} | {values['recall@10']:.4f} | {spent:.0f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--files", type=Path, default=HERE / "files")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=DEFAULT)
    options = parser.parse_args()
    print("| set | members | seed | ndcg@10 | recall@10 | CPU s |\n|---|---|--:|--:|--:|--:|")
    for name in options.sets:
        make_files(name, options.data, options.files)
        measure(name, options.files)


if __name__ == "__main__":
    main()
