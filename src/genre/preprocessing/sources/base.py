"""The contract of every source: files, databases or frames -> Tables. Knows nothing about cleaning or recommenders."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from genre.errors import DataError
from genre.log import SILENT, Log
from genre.options import check_options, leaf_types, type_hints
from genre.preprocessing.tables import Tables
from genre.storage import sha256


class Source(ABC):
    """Base of all sources: a dataclass whose fields are its options. A path may be given as text."""

    def __post_init__(self) -> None:
        for name, hint in type_hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, str) and Path in leaf_types(hint):
                setattr(self, name, Path(value))
        check_options(self)

    @abstractmethod
    def load(self, *, log: Log = SILENT) -> Tables:
        """Tables under the usual column names; DataError naming file, row and column otherwise."""

    def not_there(self) -> list[Path]:
        """The files and folders among the options that are not there."""
        values = [getattr(self, field.name) for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return [value for value in values if isinstance(value, Path) and not value.exists()]

    def fingerprint(self) -> str:
        """A digest of the options and of every file they name: equal means `load` gives the same."""
        digest = hashlib.sha256(type(self).__qualname__.encode())
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every source is a dataclass
            value = getattr(self, field.name)
            content = list(_hashes(value)) if isinstance(value, Path) else value
            digest.update(f"{field.name}={content!r};".encode())
        return digest.hexdigest()


def _hashes(path: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of a file, or of every file below a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        try:
            yield file.name, sha256(file)
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}); check the path") from error
