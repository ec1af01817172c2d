"""Files and addresses -> bytes or a file that DuckDB reads: unpacked, in UTF-8. Does not know what the text means."""

from __future__ import annotations

import io
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from genre.engines.duckdb import DuckDB
from genre.errors import DataError
from genre.options import nearest

READ_BY_DUCKDB = (".gz", ".zst")
"""Packed text that DuckDB reads as it is; what else fsspec can unpack is unpacked first."""
PACKED_BADLY = (zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@contextmanager
def opened(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file or an address through fsspec, unpacked where its ending says that it is packed.

    Args:
        path: a file, or an address such as `s3://bucket/clicks.csv.gz`.

    Yields:
        The bytes of the file.

    Raises:
        DataError: the file is not there or cannot be read to its end.
    """
    import fsspec

    where = str(path)
    try:
        with fsspec.open(where, "rb", compression="infer") as stream:
            yield stream
    except FileNotFoundError as error:
        local = Path(where)
        near = nearest(local.name, [file.name for file in local.parent.glob("*")]) if local.parent.is_dir() else ""
        raise DataError(f"{path}: no such file{near}; check the path") from error
    except ImportError as error:
        raise DataError(f"{path}: {error}; install what reads it") from error
    except (OSError, EOFError, ValueError, *PACKED_BADLY) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise DataError(f"{path}: unreadable file ({error}); check its permissions and that it is whole") from error


def is_address(path: object) -> bool:
    """Tell whether a path is an address that fsspec opens, and no file of this machine.

    Args:
        path: what a user wrote.

    Returns:
        True for `s3://bucket/file.csv` and its like.
    """
    return isinstance(path, str) and "://" in path


def local_copy(engine: DuckDB, path: str | Path) -> str:
    """Copy a file or address to this engine's temporary folder, unpacked.

    Args:
        engine: has the folder.
        path: a file or address.

    Returns:
        The path of the copy.
    """
    name = Path(str(path)).name
    plain = name.removesuffix(Path(name).suffix) if Path(name).suffix.lower() in _packed_suffixes() else name
    copy = engine.folder / f"{engine.name()}-{re.sub(r'[^A-Za-z0-9.]', '_', plain)}"
    with opened(path) as stream, copy.open("wb") as target:
        shutil.copyfileobj(stream, target, 1 << 20)
    return str(copy)


def readable(engine: DuckDB, path: str | Path, encoding: str) -> str:
    """Find or make a place from which DuckDB reads a file as UTF-8.

    Args:
        engine: has the folder for a copy.
        path: a file or address.
        encoding: as Python names it.

    Returns:
        The path of the file itself, or of its unpacked copy in UTF-8.

    Raises:
        DataError: the text is not in its encoding.
    """
    suffix = Path(str(path)).suffix.lower()
    plain = suffix in READ_BY_DUCKDB or suffix not in _packed_suffixes()
    if encoding == "utf-8" and plain and not is_address(path):
        return str(path)
    if encoding == "utf-8":
        return local_copy(engine, path)
    copy = engine.folder / f"{engine.name()}.txt"
    try:
        with (
            opened(path) as stream,
            io.TextIOWrapper(stream, encoding=encoding, newline="") as text,
            copy.open("w", encoding="utf-8", newline="") as target,
        ):
            shutil.copyfileobj(text, target, 1 << 20)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not readable as {encoding} ({error}); name its encoding") from error
    return str(copy)


def _packed_suffixes() -> set[str]:
    from fsspec.utils import compressions

    return {f".{ending}" for ending in compressions}
