"""What a newcomer waits for: help, the first run of the demo with its compilation, one list of a finished run, one list in a process.

    OMP_NUM_THREADS=1 python benchmarks/first_run.py [--repeats 3] [--interactions 10000000]

CPU seconds, user and system, of whole processes with one thread each, every repeat printed. The demo (`examples/movies/movies.yaml`) is run with
an empty folder of compiled functions, then into another folder of runs with the filled one: compilation is the difference. `genre recommend`
answers one user of that run, with the recommender that validation chose and with `als`. The last row makes data of Zipf's law (50
interactions a user, 200 an item), has `genre run` fit popularity and `als`, and times `run.recommend(user)` of both in one process, over 200 users.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scale import made_data, rows_of

import genre

DEMO = Path(__file__).parents[1] / "examples" / "movies" / "movies.yaml"
CONFIG = """
name: large
data: {{kind: files, interactions: {path}}}
split: {{kind: leave-one-out}}
recommenders: [{{kind: popularity}}, {{kind: als, factors: 64, iterations: 3}}]
evaluation: {{users: 500}}
"""


def cpu(*command: object, cache: Path) -> float:
    """Return the CPU seconds of a `genre` command."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    began = spent()
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    line = [sys.executable, "-m", "genre", *map(str, command)]
    subprocess.run(line, check=True, capture_output=True, env=environment)
    return spent() - began


def show(name: str, values: list[float], unit: str = "CPU s") -> None:
    print(f"| {name} | {', '.join(f'{value:.2f}' for value in values)} | {unit} |", flush=True)


def small(scratch: Path, repeats: int) -> None:
    cold, warm = [], []
    for number in range(repeats):
        cache = scratch / f"compiled-{number}"
        cold.append(cpu("run", DEMO, "--runs", scratch / f"cold-{number}", cache=cache))
        warm.append(cpu("run", DEMO, "--runs", scratch / f"warm-{number}", cache=cache))
    show("demo, nothing compiled", cold)
    show("demo, all compiled", warm)
    show("compilation in the demo", [first - second for first, second in zip(cold, warm, strict=True)])
    show("genre --help", [cpu("--help", cache=cache) for _ in range(repeats)])
    [run] = (path for path in (scratch / "warm-0").iterdir() if path.is_dir())
    for name, using in {"genre recommend, the best": (), "genre recommend, als": ("--using", "als")}.items():
        show(name, [cpu("recommend", run, "--user", "196", *using, cache=cache) for _ in range(repeats)])


def large(scratch: Path, n: int) -> None:
    data = made_data(n // 50, n // 200, n + n // 10)  # pairs that come twice count once
    path = scratch / "interactions.parquet"
    pq.write_table(rows_of(data), path)
    n, users = len(data), data.user_ids.values.to_pylist()[:: max(1, data.n_users // 200)][:200]
    del data
    config = scratch / "large.yaml"
    config.write_text(CONFIG.format(path=path))
    cpu("run", config, "--runs", scratch / "large", cache=scratch / "compiled-0")
    [folder] = (one for one in (scratch / "large").iterdir() if one.is_dir())
    run = genre.read_run(folder)
    for name in ("popularity", "als"):
        run.recommend(users[0], using=name)
        took = []
        for user in users:
            began = time.process_time()
            run.recommend(user, using=name)
            took.append(1000 * (time.process_time() - began))
        show(f"run.recommend, {name}, {n:,} interactions: median, 95 %", [*np.quantile(took, [0.5, 0.95])], "CPU ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--interactions", type=int, default=10_000_000)
    options = parser.parse_args()
    print("| what | figures | unit |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        small(Path(scratch), options.repeats)
        large(Path(scratch), options.interactions)


if __name__ == "__main__":
    main()
