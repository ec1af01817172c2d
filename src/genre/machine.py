"""What the machine has that this process runs on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # bytes, or `max`


def machine_memory() -> int:
    """Return the memory that this process may use at most.

    Returns:
        Bytes: of the machine, or the limit of the container if that is lower.
    """
    if not hasattr(os, "sysconf"):  # Windows
        return sys.maxsize
    text = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else "max"
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return machine if text == "max" else min(machine, int(text))
