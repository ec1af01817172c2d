"""kill -9 while a real recommender trains, and at every step of putting a run in the place of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sizes import NIGHTLY

SUPPORT = Path(__file__).parents[1] / "support"
TRAINING = """
import json, os, random, signal, sys, time
from pathlib import Path
import numpy as np
from genre.kinds import KINDS
from genre.preprocessing.splits import LeaveOneOut
from genre.testing import toy_dataset
from genre.training import checkpoint
import importlib

checkpoint.EVERY_SECONDS = 0.0  # after every epoch
place, kind, points, rng = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), random.Random(0)
split = LeaveOneOut().split(toy_dataset(60, 24))
module, name = KINDS["recommenders"][kind].split(":")
options = {
    "mlp": {"hidden": (16, 8), "dim": 8, "dropout": 0.2, "epochs": 12, "batch_size": 64, "patience": 8},
    "sasrec": {"dim": 16, "blocks": 1, "max_length": 12, "epochs": 12, "batch_size": 8, "patience": 8},
    "two_tower": {"dim": 8, "ids": 8, "hidden": 16, "epochs": 12, "batch_size": 64, "patience": 8},
}[kind]

def fit(folder):
    made = getattr(importlib.import_module(module), name)(**options)
    made.fit(split.train, validation=split.validation, checkpoint=folder)
    return made

fit(None)  # kernels are compiled, modules imported: the next one takes the time of a training
started = time.perf_counter()
whole = fit(place / "whole")
needed = time.perf_counter() - started
asked = split.train.history()

def same(made):
    expected = whole._state()
    arrays = lambda state: {k: v for k, v in [*state.items(), *state["weights_"].items()] if isinstance(v, np.ndarray)}
    one, other = arrays(expected), arrays(made._state())
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one) and np.array_equal(
        whole.score(asked), made.score(asked)
    )

kills = equal = rounds = 0
while kills < points:
    folder = place / str(rounds)
    for _ in range(rng.randint(2, 5)):
        child = os.fork()
        if not child:
            fit(folder)
            os._exit(0)
        time.sleep(rng.uniform(0, needed / 2))
        os.kill(child, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    rounds += 1
    equal += same(fit(folder))
print(json.dumps({"kills": kills, "rounds": rounds, "equal": equal, "seconds": round(needed, 2)}))
"""


def python(script: str, *arguments: object) -> dict[str, int]:
    """What a script prints last, run in a process of its own with one thread, so that results are bitwise."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    one = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **one}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    print(found)
    return found


@pytest.mark.skipif(not NIGHTLY, reason="by day: tests/training/test_loop.py and tests/recommenders/test_resume.py")
@pytest.mark.parametrize("kind", ["mlp", "sasrec", "two_tower"])
def test_training_killed_at_random_points_ends_as_though_it_had_not_been(kind: str, tmp_path: Path) -> None:
    found = python(TRAINING, tmp_path, kind, 50)
    assert found["kills"] >= 50
    assert found["equal"] == found["rounds"]


PUTTING = """
import json, os, shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from faults import fail_at
from genre import storage
from genre.serving.refresh import put_in_place, roll_back
root = Path(sys.argv[2])
work, folder, made = root / "work", root / "work" / "run-1", root / "work" / ".run-1.next"

def write(at, text):
    with storage.publish(at, text=text) as aside:
        for name in ("one", "two"):
            (aside / name).write_text(text)

def text():
    facts = storage.read_manifest(folder)  # ArtifactError when it is neither
    assert facts["text"] == (folder / "one").read_text() == (folder / "two").read_text()
    return facts["text"]

acts = {"put": lambda: put_in_place(made, folder), "back": lambda: roll_back(folder)}
acts["swap"] = lambda: write(folder, "3")
counts = {}
for act, do in acts.items():
    n, kills, news = 1, 0, 0
    while True:
        shutil.rmtree(work, ignore_errors=True)
        write(made, "1"), write(folder, "0"), put_in_place(made, folder)  # 1 stands, 0 is the previous one
        write(made, "2")
        child = os.fork()
        if not child:
            fail_at(n, work, kill=True)
            do()
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        stands = text()
        assert stands in {"put": "12", "back": "10", "swap": "13"}[act], (act, n, stands)
        news += stands != "1"
        if act == "put":  # and the next refresh is not in the way of what the kill left
            shutil.rmtree(made, ignore_errors=True)
            write(made, "4"), put_in_place(made, folder)
            assert text() == "4"
            roll_back(folder)
            assert text() == stands
        if not killed:
            break
        kills, n = kills + 1, n + 1
    counts[act] = kills
    assert 0 < news < kills + 1, (act, news, kills)
print(json.dumps(counts))
"""


def test_a_kill_at_any_step_of_putting_in_place_leaves_one_of_the_two(tmp_path: Path) -> None:
    found = python(PUTTING, SUPPORT, tmp_path)
    assert found["put"] >= 10
    assert found["swap"] >= 25
