"""Data files of installed packages, such as a pack of words or a folder of prompts. Runs no code of a package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

from genre.errors import ConfigError

PACKAGE_FILE = re.compile(r"([A-Za-z_]\w+(?:\.\w+)*):([\w./-]+)")
"""`package:file` or `package:folder`; one letter before the colon is a drive of Windows."""


def is_package_file(name: str) -> bool:
    """Tell `package:file` from a path and from a plain name.

    Args:
        name: What a config says.

    Returns:
        True for `package:file`.
    """
    return PACKAGE_FILE.fullmatch(name) is not None


def package_file(name: str, group: str) -> Path | None:
    """Find a file or folder in an installed package.

    Args:
        name: `package:file`, or the name of an entry point whose value is such.
        group: The group of entry points, such as `genre.domains`.

    Returns:
        Where it is; None where the name is neither.

    Raises:
        ConfigError: There is no such package, or it has no such file.
    """
    points = () if is_package_file(name) else importlib.metadata.entry_points(group=group, name=name)
    target = next((point.value for point in points), name)
    match = PACKAGE_FILE.fullmatch(target)
    if match is None:
        return None
    (top, *parts), inner = match[1].split("."), Path(match[2])
    spec = importlib.util.find_spec(top)  # of a package at the top: nothing is imported
    for folder in (spec and spec.submodule_search_locations) or ():
        place = Path(folder, *parts, inner)
        if ".." not in inner.parts and place.exists():
            return place
    raise ConfigError(f"{target}: no installed package has this file; install it, or put its folder on PYTHONPATH")
