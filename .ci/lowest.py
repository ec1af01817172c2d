"""Print the lowest versions that pyproject.toml states, of the base install and of extras: `lowest.py serve`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
stated = [*project["dependencies"], *(one for extra in sys.argv[1:] for one in project["optional-dependencies"][extra])]
print("\n".join(one.partition(";")[0].strip().replace(">=", "==") for one in stated if ">=" in one))
