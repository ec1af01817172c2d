"""A disk that fills up while a run is made: one line and status 2, nothing half loads, the next call goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import genre
from genre.errors import ArtifactError
from genre.log import SILENT
from sizes import NIGHTLY
from small_world import small_config, write_interactions

CONFIG = small_config("{kind: mlp, hidden: [64, 32], dim: 64, epochs: 2}")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_interactions(tmp_path / "interactions.csv", 200)
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path / "small.yaml"


def make(config: Path, runs: Path, largest_file: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
    """`genre run` in a process of its own, no file of which may grow above `largest_file` bytes."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    return subprocess.run(
        [sys.executable, "-m", "genre", "run", str(config), "--quiet", "--runs", str(runs)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard)),
        env={**os.environ, "COLUMNS": "200"},
    )


def refused(done: subprocess.CompletedProcess[str], runs: Path) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "run the same command again" in done.stderr
    for folder in runs.glob("small-????????"):
        with pytest.raises(ArtifactError, match="never finished"):
            genre.read_run(folder)


def whole(config: Path, runs: Path) -> None:
    genre.run(config, runs=runs, log=SILENT)
    (folder,) = runs.glob("small-????????")
    assert set(genre.read_run(folder).recommenders) == {"popularity", "mlp"}
    assert not list(folder.rglob("*.part")), "nothing half written lies about"


def test_each_step_in_turn_meets_the_end_of_the_disk(config: Path, tmp_path: Path) -> None:
    """Files may grow to 100 bytes, then a little more, in the same folder: config, data, checkpoint, model, report."""
    for largest_file in (100, 3_000, 40_000, 200_000) if NIGHTLY else (40_000,):
        refused(make(config, tmp_path / "runs", largest_file), tmp_path / "runs")
    whole(config, tmp_path / "runs")


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here (needs root)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.skipif(not NIGHTLY, reason="full sizes: make nightly")
def test_a_disk_that_is_full_and_grows(config: Path, tmpfs: Path) -> None:
    for kilobytes in (16, 32, 64, 128, 256, 512, 1024, 4096):
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(tmpfs)], check=True)
        refused(make(config, tmpfs / "runs"), tmpfs / "runs")
    subprocess.run(["mount", "-o", "remount,size=64m", str(tmpfs)], check=True)
    whole(config, tmpfs / "runs")
