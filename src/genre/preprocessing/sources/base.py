"""The contract of every source: files, databases or frames -> Tables. Does not know about cleaning or recommenders."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from genre.engines.duckdb import DuckDB
from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import check_options, leaf_types, type_hints
from genre.preprocessing.tables import Tables
from genre.storage import sha256

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark name the folder of rows that have no value."""


class Source(ABC):
    """Base of all sources: a dataclass whose fields are its options. A path may be given as text."""

    def __post_init__(self) -> None:
        for name, hint in type_hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, str) and "://" not in value and Path in leaf_types(hint):
                setattr(self, name, Path(value))
        check_options(self)

    @abstractmethod
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        """Read the data as tables under the usual column names.

        Args:
            engine: reads files and holds what was read.
            log: gets a line for what takes long.

        Returns:
            The tables, lazy where they are large.

        Raises:
            DataError: something is missing or cannot be read; names file, row and column.
        """

    def not_there(self) -> list[Path]:
        """List the files and folders among the options that are not there.

        Returns:
            Their paths; patterns and addresses are not looked at.
        """
        values = [getattr(self, field.name) for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return [value for value in values if isinstance(value, Path) and not is_pattern(value) and not value.exists()]

    def fingerprint(self) -> str:
        """Make a digest of the options and of every file they name.

        Returns:
            Hexadecimal text; equal digests mean that `load` gives the same.
        """
        digest = hashlib.sha256(type(self).__qualname__.encode())
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every source is a dataclass
            value = getattr(self, field.name)
            content = list(_hashes(value)) if isinstance(value, Path) else value
            digest.update(f"{field.name}={content!r};".encode())
        return digest.hexdigest()


def setting(name: str, value: str) -> str:
    """Write how a setting of columns is given.

    Args:
        name: of the setting.
        value: what it may be.

    Returns:
        The setting as in a config and as in Python.
    """
    return f"set columns: {{{name}: {value!r}}} (in Python: columns={{{name!r}: {value!r}}})"


def is_pattern(path: Path) -> bool:
    """Tell a pattern of several files from the path of one.

    Args:
        path: what a user wrote.

    Returns:
        Whether it has `*` or `?` and is no file itself.
    """
    return any(mark in str(path) for mark in "*?") and not path.exists()


def several_files(path: Path) -> list[Path] | None:
    """List the files of a folder or a pattern.

    Args:
        path: a file, a folder or a pattern.

    Returns:
        The files in the order of their names; None for the path of one file. Of a folder, without what Spark and the
        like leave in it: files and folders whose names begin with `_` or a point.
    """
    if path.is_dir():
        below = [file for file in path.rglob("*") if file.is_file()]
        return sorted(file for file in below if not any(part[0] in "_." for part in file.relative_to(path).parts))
    if is_pattern(path):
        return sorted(file for file in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if file.is_file())
    return None


def partitions(path: Path, file: Path) -> dict[str, str | None]:
    """Read the columns that the names of folders give, as in `clicks/day=2024-01-31/part-0.csv`.

    Args:
        path: the folder or pattern that the user named; what is above it gives no column.
        file: one of its files.

    Returns:
        Column -> value, None where the folder says that it is missing.
    """
    pairs = [part.split("=", 1) for part in _below(path, file).parent.parts if "=" in part]
    return {unquote(name): None if value == NO_VALUE else unquote(value) for name, value in pairs}


def _below(path: Path, file: Path) -> Path:
    """The place of a file in the folder that is named, or that a pattern looks in."""
    root = path
    while not root.is_dir() and root != root.parent:
        root = root.parent
    return file.relative_to(root)


def _hashes(path: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of a file, or of every file below a folder, whose name has that of its partition."""
    several = several_files(path)
    for file in several or [path]:
        try:
            yield str(_below(path, file)) if several else file.name, sha256(file)
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}); check the path") from error
