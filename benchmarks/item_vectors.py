"""SASRec with item vectors that start at random, at the texts, or are mapped from the texts, on public sets.

    OPENBLAS_NUM_THREADS=1 python benchmarks/item_vectors.py --data ../shared/data [--sets ml-100k nemig ...]

ndcg@10 on the validation part of `handmade.py`'s split of each set, which also stops the epochs; learnt from train alone. All
options but `items` are those that `genre init` writes. The test is not read.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from handmade import SETS, Search, make_files

from genre.evaluation.evaluator import evaluate

OPTIONS = {"kind": "sasrec", "learning_rate": 0.003, "epochs": 10, "patience": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    texts = [name for name, one in SETS.items() if one.text and "transitions" not in one.skip]
    parser.add_argument("--sets", nargs="+", choices=texts, default=texts)
    options = parser.parse_args()
    print("| set | items | ndcg@10 | epochs | CPU s |\n|---|---|--:|--:|--:|")
    for name in options.sets:
        with TemporaryDirectory() as folder:
            files = Path(folder) / "files"
            make_files(name, options.data, files)
            search = Search(name, SETS[name], files)
        for items in ("id", "text+id", "text_start"):
            [model] = search.experiment([OPTIONS | {"items": items}]).recommenders
            began = time.process_time()
            model.fit(search.parts.train, validation=search.judged)
            cpu = time.process_time() - began
            found = evaluate(model, search.judged, metrics=["ndcg@10"]).values["ndcg@10"]
            print(f"| {name} | {items} | {found:.4f} | {model.chosen().epochs} | {cpu:.0f} |", flush=True)


if __name__ == "__main__":
    main()
