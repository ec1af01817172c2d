"""One switch for the full sizes of docs/reliability.md: `HYPOTHESIS_PROFILE=nightly`, as `make nightly` sets it."""

from __future__ import annotations

import os

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


def sized(light: int, full: int) -> int:
    """How many: `light` in every run of the suite, `full` at night."""
    return full if NIGHTLY else light
