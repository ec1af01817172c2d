"""Files and addresses -> bytes or a file that DuckDB reads: unpacked, in UTF-8. Does not know what the text means."""

from __future__ import annotations

import io
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from genre.display import counted
from genre.engines.duckdb import DuckDB
from genre.errors import DataError
from genre.options import nearest

BY_ARROW = {".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}
"""Ending of packed files that fsspec leaves to packages of their own -> what Arrow calls the packing."""
PACKED = (".gz", ".bz2", ".xz", ".lzma", ".zip", *BY_ARROW)
"""Endings of packed files, which are unpacked first: DuckDB takes one that is cut or damaged for a whole one."""
PACKED_BADLY = (zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)
"""What goes wrong when files are unpacked; an archive with a password is a RuntimeError."""


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

    where, suffix = str(path), _suffix(path)
    try:
        with ExitStack() as stack:
            inferred = "infer" if suffix != ".zip" and suffix not in BY_ARROW else None
            stream = stack.enter_context(fsspec.open(where, "rb", compression=inferred))
            if suffix in BY_ARROW:
                unpacked = stack.enter_context(pa.CompressedInputStream(stream, BY_ARROW[suffix]))
                stream = io.BufferedReader(unpacked)
            elif suffix == ".zip":
                stream = stack.enter_context(_only_member(stack.enter_context(zipfile.ZipFile(stream)), where))
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


def _only_member(archive: zipfile.ZipFile, where: str) -> IO[bytes]:
    """The file in an archive, besides what macOS adds."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(names) != 1:
        listed = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
        raise DataError(
            f"{where}: {counted(len(names), 'file')} in the archive ({listed}); unpack it and name one of them"
        )
    return archive.open(names[0])


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
    plain = name.removesuffix(Path(name).suffix) if _suffix(path) in PACKED else name
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
    if encoding == "utf-8":
        return str(path) if _suffix(path) not in PACKED and not is_address(path) else local_copy(engine, path)
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


def _suffix(path: str | Path) -> str:
    return Path(str(path)).suffix.lower()
