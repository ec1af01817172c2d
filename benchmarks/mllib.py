"""MLlib's ALS against GENRE's at the same ridge, on MovieLens-1M.

    python benchmarks/mllib.py --data ../shared/data [--seeds 3] [--iterations 12]

64 factors, `frequency: 1`, `alpha: 10`, `regularization: .02`, so MLlib's `regParam` is .2. Learnt from the train part of
`index.npz`, a published random 80/10/10 split; ndcg@10 on its test part over all items but those of train and validation.
Both answer by the same fold-in of histories. CPU seconds are those of the fit, over all threads; for MLlib over the driver,
its JVM and the Python workers of `local[2]`, without the start of the session. Needs pyspark, Java and h5py.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from datasets import machine, ml_1m

import genre
from genre.engines.spark import Spark

SETTINGS = {
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
SOLVERS: tuple[Literal["exact", "cg", "mllib"], ...] = ("exact", "cg", "mllib")


def family(process: int) -> Iterator[int]:
    """This process and all that it and its children started."""
    yield process
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        for child in thread.read_text().split():
            yield from family(int(child))


def cpu_seconds() -> float:
    """CPU seconds of this process and of all below it, also of those that ended and were waited for."""
    ticks = 0
    for process in family(os.getpid()):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Fit each solver with each seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with ml-1m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=12)
    args = parser.parse_args()
    split = ml_1m(args.data)
    print(machine(), "\n")
    print("| solver | seed | ndcg@10 | fit, CPU s |")
    print("|---|--:|--:|--:|")
    with Spark(master="local[2]", partitions=2, settings=SETTINGS) as engine:
        for solver in SOLVERS:
            if solver == "mllib":
                engine.session.range(1).count()
            for seed in range(args.seeds):
                model = genre.ALS(
                    frequency=1, regularization=0.02, solver=solver, seed=seed, iterations=args.iterations
                )
                before = cpu_seconds()
                model.fit(split.train)
                spent = cpu_seconds() - before
                found = genre.evaluate(model, split.test, metrics=("ndcg",), train=split.train)
                print(f"| {solver} | {seed} | {found.values['ndcg@10']:.4f} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
