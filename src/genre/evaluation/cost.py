"""What a piece of work costs this process: CPU seconds and the peak of its memory. Knows nothing about the work."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    """Filled when the block ends. cpu_s: of all threads. peak_mib: resident memory at its highest.

    Where the system cannot forget an earlier peak (it can on Linux), peak_mib is the highest since the process began.
    """

    cpu_s: float = 0.0
    peak_mib: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """`with measured() as cost: model.fit(train)`, then read `cost`."""
    cost = Cost()
    _forget_peak()
    began = time.process_time()
    try:
        yield cost
    finally:
        cost.cpu_s = time.process_time() - began
        cost.peak_mib = _peak_mib()


def bytes_on_disk(folder: Path) -> int:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # no such file, or a container that forbids it


def _peak_mib() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
