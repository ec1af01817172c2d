"""Networks on large data: what a step costs with dense and with row-wise Adam, and what a larger batch costs in quality.

    python benchmarks/network_steps.py steps [--users 1000000 --items 200000 --interactions 2000000]
    python benchmarks/network_steps.py quality --data ../shared/data [--kinds mlp ncf two_tower] [--epochs 4]

`steps` makes data as `scale.py` does and takes 6 training steps of each network after two that are not counted: CPU
milliseconds of one, with tables of users that are dense, and with rows. `quality` learns from the train part of MovieLens-1M
(`index.npz`, a published random 80/10/10 split) for a few epochs, `mlp` from stars and the others from all ratings as interactions, with the default batch, with batches that `most_steps`
makes larger, and with row-wise updates, which are otherwise for tables of 100,000 rows: RMSE of `mlp`, ndcg@10 of the
others, on the test part, and CPU seconds of the fit. One thread.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import genre
from genre.recommenders.pair_network import PairNetwork
from genre.training import row_updates

KINDS: dict[str, type[PairNetwork]] = {"mlp": genre.MLP, "ncf": genre.NCF, "two_tower": genre.TwoTower}
NEVER, STEPS = 10**9, 6


class Enough(Exception):
    """Raised when enough steps are measured."""


def steps(options: argparse.Namespace) -> None:
    """Print the CPU time of a step of each network."""
    import torch
    from scale import made_data

    from genre.training import loop

    data = made_data(options.users, options.items, options.interactions)
    print(f"{data!r}\n\n| network | batch | dense, ms a step | by rows, ms a step |\n|---|--:|--:|--:|")
    original = loop.make_optimizer

    def measured(kind: type[PairNetwork], rows: int, most_steps: int) -> float:
        times: list[float] = []

        def watched(module: Any, given: Any) -> torch.optim.Optimizer:
            optimizer = original(module, given)
            step = optimizer.step

            def timed(*words: Any) -> Any:
                result = step(*words)
                times.append(time.process_time())
                if len(times) == STEPS + 2:
                    raise Enough
                return result

            optimizer.step = timed  # type: ignore[method-assign]
            return optimizer

        loop.make_optimizer, row_updates.LARGE_TABLE = watched, rows
        try:
            kind(epochs=1, most_steps=most_steps).fit(data)
        except Enough:
            pass
        finally:
            loop.make_optimizer = original
        return 1000 * (times[-1] - times[1]) / STEPS

    for name in options.kinds:
        kind = KINDS[name]
        for batch in (kind().batch_size, 2_000):
            dense, by_rows = (measured(kind, rows, math.ceil(len(data) / batch)) for rows in (NEVER, 100_000))
            print(f"| `{name}` | {batch:,} | {dense:.0f} | {by_rows:.0f} |", flush=True)


def quality(options: argparse.Namespace) -> None:
    """Print quality and cost of larger batches and of row-wise updates."""
    from datasets import machine, ml_1m

    print(f"{machine()}\n\n| network | interactions a step | updates | measure | value | fit, CPU s |")
    print("|---|--:|---|---|--:|--:|")
    for name in options.kinds:
        kind, split = KINDS[name], ml_1m(options.data, stars=name == "mlp")
        n = len(split.train)
        usual = kind().batch_size
        most = [(usual, NEVER, 10_000)]
        most.extend((factor * usual, NEVER, n // (factor * usual)) for factor in options.factors)
        most.append((options.factors[-1] * usual, 1, n // (options.factors[-1] * usual)))
        for size, rows, most_steps in most:
            row_updates.LARGE_TABLE = rows
            began = time.process_time()
            model = kind(epochs=options.epochs, most_steps=most_steps).fit(split.train)
            seconds = time.process_time() - began
            metric = "rmse" if getattr(model, "on_ratings_", False) else "ndcg"
            found = genre.evaluate(model, split.test, metrics=[metric], train=split.train).values
            [(label, value)] = found.items()
            updates = "by rows" if rows == 1 else "dense"
            print(f"| `{name}` | {size:,} | {updates} | {label} | {value:.4f} | {seconds:.0f} |", flush=True)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("steps")
    verb.add_argument("--users", type=int, default=1_000_000)
    verb.add_argument("--items", type=int, default=200_000)
    verb.add_argument("--interactions", type=int, default=2_000_000)
    verb.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    verb.set_defaults(do=steps)
    verb = verbs.add_parser("quality")
    verb.add_argument("--data", type=Path, required=True)
    verb.add_argument("--epochs", type=int, default=4)
    verb.add_argument("--factors", type=int, nargs="+", default=[4, 16])
    verb.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    verb.set_defaults(do=quality)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
