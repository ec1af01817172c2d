"""Costs are those of the block, not of what ran before."""

import time
from pathlib import Path

import numpy as np

from genre.evaluation.cost import bytes_on_disk, measured


def test_costs_are_those_of_the_block(tmp_path: Path) -> None:
    np.ones(40_000_000)  # 300 MiB that are gone before the block
    with measured() as cost:
        until = time.process_time() + 0.05
        kept = np.ones(10_000_000)  # 76 MiB
        while time.process_time() < until:
            pass
    with measured() as idle:
        pass
    assert 0.04 < cost.cpu_s < 1
    assert idle.cpu_s < 0.04
    assert len(kept) * 8 / 2**20 < cost.peak_mib
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    (tmp_path / "c").write_bytes(b"123")
    assert bytes_on_disk(tmp_path) == 8


def test_an_earlier_peak_is_forgotten_on_linux() -> None:
    with measured() as large:
        np.ones(40_000_000)
    with measured() as small:
        pass
    if Path("/proc/self/clear_refs").exists():
        assert small.peak_mib < large.peak_mib - 200
