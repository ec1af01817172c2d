"""The config of `genre init` ends on a tenth of 25 million interactions, in bounded time and memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sizes import NIGHTLY

ROOT = Path(__file__).parents[1]
N = 2_500_000
CPU_SECONDS, MIB = 20 * 60, 8 * 1024


@pytest.mark.skipif(not NIGHTLY, reason="takes a quarter of an hour of CPU: make nightly")
def test_the_first_config_ends_on_a_tenth_of_25_million_interactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    from scale import row_of_table, steps_of_a_run

    cost = {}
    for step, cpu, wall, peak in steps_of_a_run(N, N // 25, N // 125):
        print(row_of_table(N, step, cpu, wall, peak), file=sys.stderr, flush=True)
        cost[step] = cpu, peak
    assert cost["all of `genre init`"][0] < CPU_SECONDS / 10
    cpu, peak = cost["all of `genre run`"]
    assert cpu < CPU_SECONDS
    assert peak < MIB
    known = sum(seconds for step, (seconds, _) in cost.items() if not step.startswith("all of"))
    assert known > 0.9 * cpu, "the log of the run says where its time went"
    assert {"encoded", "checked", "fitted blend", "evaluated blend", "reported"} <= set(cost)
