"""What installing GENRE takes on disk: each direct dependency, and each extra with all that it brings, as a table.

    python benchmarks/sizes.py

reads the sizes of the files of the packages that are installed where it runs; a package that is not installed shows a dash.
"""

from __future__ import annotations

import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PURPOSE = {
    "annotated-types": "ranges of options",
    "cachetools": "histories of users in memory while serving",
    "charset-normalizer": "encodings of text files",
    "duckdb": "reads files and tables, also those that are larger than memory",
    "filelock": "one process makes a run",
    "fsspec": "files on other machines",
    "narwhals": "tables in one language; frames of pandas, Polars and Arrow",
    "numba": "compiled loops",
    "numpy": "arrays",
    "platformdirs": "the cache folder",
    "pyarrow": "Arrow tables and Parquet",
    "pydantic": "checks of options",
    "pyyaml": "configs",
    "rich": "tables and progress in a terminal",
    "safetensors": "arrays in saved models",
    "scipy": "sparse matrices and linear algebra",
    "shtab": "completion in shells",
    "threadpoolctl": "threads of BLAS",
}
BASE = "genre-rec"
PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


@cache
def closure(name: str) -> frozenset[str]:
    """A package with all that it requires here, without extras."""
    found = {name}
    for requirement in required(name, ""):
        if requirement not in found:
            found |= closure(requirement)
    return frozenset(found)


def required(name: str, extra: str) -> list[str]:
    """Names of what a package, or an extra of GENRE, requires on this machine."""
    if name == BASE:
        stated = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    else:
        try:
            stated = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            return []
    kept = (one for one in map(Requirement, stated) if one.marker is None or one.marker.evaluate({"extra": ""}))
    return [canonicalize_name(one.name) for one in kept]


@cache
def size(name: str) -> int | None:
    """Bytes of the files of a package; None where it is not installed."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return None
    paths = {Path(str(file.locate())).resolve() for file in files if ".." not in file.parts}
    return sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")


def total(names: frozenset[str] | set[str]) -> int:
    return sum(size(name) or 0 for name in names)


def mb(n: int | None) -> str:
    return "-" if n is None else f"{n / 1e6:,.1f}"


def main() -> None:
    direct = required(BASE, "")
    base = set().union(*map(closure, direct))
    print("| package | MB | with what it requires, MB | what it is for |\n|---|---:|---:|---|")
    for name in sorted(direct, key=lambda one: -(size(one) or 0)):
        print(f"| {name} | {mb(size(name))} | {mb(total(closure(name)))} | {PURPOSE[name]} |")
    print(f"| **all together** | | **{mb(total(base))}** | |\n")
    print("| extra | beyond the base, MB | packages |\n|---|---:|---|")
    for extra in (name for name in PROJECT["optional-dependencies"] if name not in ("all", "dev")):
        names = [name for name in required(BASE, extra) if name != BASE]
        missing = any(size(name) is None for name in names)
        added = set().union(*map(closure, names)) - base
        print(f"| `{extra}` | {'-' if missing else mb(total(added))} | {', '.join(names)} |")
    print(f"\nPython {sys.version_info.major}.{sys.version_info.minor}, {sys.platform}.")


if __name__ == "__main__":
    main()
