"""`genre init` on files of many kinds: what it writes is good as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genre.config import parse_config
from genre.starter import first_config


def written(folder: Path, interactions: str, items: str | None = None) -> tuple[str, dict[str, Any]]:
    """What init writes for these files: as text, and read back, once it is known to be legal."""
    paths = [None if name is None else folder / name for name in (interactions, items)]
    assert paths[0] is not None
    text = first_config(paths[0], paths[1], None, folder / "genre.yaml")
    parse_config(text, "genre.yaml", folder=folder)
    return text, yaml.safe_load(text)


@pytest.mark.parametrize(("largest", "weights"), [(1, None), (1200, "equal")])
def test_counts_are_not_taken_for_strengths_unasked(tmp_path: Path, largest: int, weights: str | None) -> None:
    (tmp_path / "plays.csv").write_text(f"user,artist,plays\nann,a,{largest}\nann,b,1\nbob,a,1\n")
    assert written(tmp_path, "plays.csv")[1]["cleaning"].get("weights") == weights
