"""One flipped bit in any file of a run, of whatever kind, and it does not load; whole again, it does."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

import genre
from genre import storage
from genre.errors import ArtifactError
from sizes import sized

GOLDEN = Path(__file__).parents[1] / "golden" / f"run-{storage.FORMAT}"


def test_a_flipped_bit_in_any_file_of_a_run_is_noticed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(GOLDEN, run)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    kinds = Counter("".join(path.suffixes) for path in files)
    assert {".parquet", ".ids.parquet", ".safetensors", ".json", ".full.yaml", ".yaml", ".jsonl"} <= set(kinds)
    rng = random.Random(0)
    for at in range(sized(len(files), 1000)):
        path = files[at % len(files)]
        content = path.read_bytes()
        damaged = bytearray(content)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"damaged|changed|format|never finished"):
            genre.read_run(run)
        path.write_bytes(content)
    assert genre.read_run(run).recommend("u0", k=3)["item_id"][0] == "i0"
