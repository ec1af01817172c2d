"""The n-th write fails, for every n: what stood there stands, nothing half loads, no failure is called a success."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sizes import sized
from small_world import small_config, write_interactions

SUPPORT = Path(__file__).parents[1] / "support"
CONFIG = small_config("{kind: ease, regularization: 5}")
# A job writes; `state` says what can be read: "old" before, "new" after, "none" when it is refused or not there.
HEAD = """
import os, sys, shutil
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from faults import fail_at, steps
from genre import storage
from genre.errors import ArtifactError, GenreError
root, every, first = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
work = root / "work"
"""
LOOP = """
def attempt(n):
    child = os.fork()
    if not child:
        status = 9
        try:
            fail_at(n, work)
            status = job()  # 0: success is said, 1: failure is said
            (root / "steps").write_text(str(len(steps)))
            if n <= len(steps):
                (root / "last").write_text(steps[n - 1])
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

n, silent, half, failed, done = first, [], [], 0, False
while not done:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    prepare()
    code = attempt(n)
    assert code in (0, 1), (n, code)
    found = state()
    done = int((root / "steps").read_text()) < n
    if code == 0 and found != "new":
        silent.append((n, (root / "last").read_text()))
    if code == 1 and found not in allowed:
        half.append((n, found))
    failed += code
    if not done:
        again()
        if state() != "new":
            half.append((n, "not made whole by the next call"))
    n += 1 if done else every
import json
print(json.dumps({"steps": int((root / "steps").read_text()), "failed": failed, "silent": silent, "half": half}))
"""
SAYS = """
def said(do):
    try:
        do()
    except (OSError, GenreError):
        return 1
    return 0
"""
PUBLISH = """
def write(text):
    with storage.publish(work / "folder", text=text) as aside:
        (aside / "one").write_text(text)
        (aside / "sub").mkdir()
        (aside / "sub" / "two").write_text(text)
        storage.write_json(aside / "three.json", text)
def prepare():
    write("old")
def job():
    return said(lambda: write("new"))
def again():
    write("new")
def state():
    try:
        facts = storage.read_manifest(work / "folder")
    except ArtifactError:
        return "none"
    assert facts["text"] == (work / "folder" / "one").read_text() == storage.read_json(work / "folder" / "three.json")
    return facts["text"]
allowed = ("old", "new")
"""
JSON = """
def prepare():
    storage.write_json(work / "a.json", "old")
def job():
    return said(lambda: storage.write_json(work / "a.json", "new"))
def again():
    storage.write_json(work / "a.json", "new")
def state():
    return storage.read_json(work / "a.json")
allowed = ("old", "new")
"""
MODEL = """
import numpy as np
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.blend import Blend
from genre.testing import toy_dataset
data = toy_dataset()
old, new = (Blend((EASE(s), ItemKNN()), weights=(1.0, 1.0)).fit(data) for s in (10.0, 50.0))
scores = {"old": old.score(data.history()), "new": new.score(data.history())}
def prepare():
    old.save(work / "model")
def job():
    return said(lambda: new.save(work / "model"))
def again():
    new.save(work / "model")
def state():
    try:
        found = Recommender.load(work / "model").score(data.history())
    except ArtifactError:
        return "none"
    return next((name for name, expected in scores.items() if np.array_equal(found, expected)), "half")
allowed = ("old", "new")
"""
RUN = """
import genre, io, contextlib
from genre.cli.main import main
from genre.evaluation import report
report._mermaid = lambda log: ""
import plotly.offline
plotly.offline.get_plotlyjs = lambda: ""  # the scripts are megabytes, the steps the same
config = root / "small.yaml"
def run():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
        status = main(["run", str(config), "--quiet", "--runs", str(work / "runs")])
    assert status in (0, 2), status
    assert status == 0 or "Traceback" not in told.getvalue() and told.getvalue().count("\\n") == 1, told.getvalue()
    return status
def prepare():
    pass
def job():
    return 1 if run() else 0
def again():
    assert run() == 0
def answers(made):
    users = ("u0", "u1")
    return [made.recommend(u, k=3, using=name)["item_id"].tolist() for u in users for name in made.recommenders]
def state():
    found = [folder for folder in (work / "runs").glob("small-*") if folder.is_dir()]
    if not found:
        return "none"
    try:
        made = genre.read_run(found[0])
    except ArtifactError:
        return "none"
    return "new" if answers(made) == expected else "half"
prepare(); work.mkdir(); run()
expected = answers(genre.read_run(next((work / "runs").glob("small-????????"))))
allowed = ("none", "new")
"""


@pytest.mark.parametrize(
    ("job", "at_least", "every"),
    [(PUBLISH, 15, 1), (JSON, 3, 1), (MODEL, 40, sized(11, 1)), (RUN, 100, sized(70, 1))],
    ids=["publish", "json", "model", "run"],
)
def test_the_nth_write_fails(job: str, at_least: int, every: int, tmp_path: Path) -> None:
    write_interactions(tmp_path / "interactions.csv", 20)
    (tmp_path / "small.yaml").write_text(CONFIG)
    command = [sys.executable, "-c", HEAD + SAYS + job + LOOP, str(SUPPORT), str(tmp_path), str(every), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["silent"], "success was said of a write that failed"
    assert not found["half"], "something half written loads, or the next call does not mend it"
    assert found["steps"] >= at_least
    assert found["failed"] >= 0.8 * found["steps"] / every
