"""Folders that load whole or not at all: written aside, hashed, published by one rename, checked at load.

Plain files only: JSON, safetensors, Parquet. safetensors does not notice a flipped bit, so `manifest.json` holds the
SHA-256 of every file and of itself. Knows nothing about recommending.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.errors import ArtifactError

MANIFEST = "manifest.json"
FORMAT = 2

Tensors = dict[str, npt.NDArray[Any]]


@contextmanager
def publish(folder: Path, **facts: Any) -> Iterator[Path]:
    """Write files into the yielded folder; at the end of the block it becomes `folder` in one step.

    An exception or a kill at any moment leaves `folder` as it was before.

    Args:
        folder: The folder to make or to replace.
        **facts: Entries of the manifest.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.part"
    aside.mkdir()
    try:
        yield aside
        write_manifest(aside, **facts)
        _swap(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(aside: Path, folder: Path) -> None:
    """Put `aside` in the place of `folder`, and `folder`, where there is one, in the place of `aside`."""
    if folder.exists():
        exchange(aside, folder)
    else:
        aside.rename(folder)
        _sync(folder.parent)


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders; on Linux in one step, so that both exist at every moment.

    Args:
        one: A folder.
        other: Another folder on the same disk.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    here, both = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    paths = os.fsencode(one), os.fsencode(other)
    if not hasattr(libc, "renameat2") or libc.renameat2(here, paths[0], here, paths[1], both) != 0:
        between = one.parent / f".{one.name}.{uuid.uuid4().hex[:8]}.old"
        one.rename(between)
        other.rename(one)
        between.rename(other)
    _sync(other.parent)


def write_manifest(folder: Path, **facts: Any) -> None:
    """Hash every file below a folder into its `manifest.json`; everything is on disk when this returns.

    Args:
        folder: The folder.
        **facts: Further entries of the manifest.
    """
    for left in list(folder.rglob(".*.part")):  # of a write that was interrupted
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST):
        _sync(path)
        files[path.relative_to(folder).as_posix()] = sha256(path)
    body = {"format": FORMAT, **facts, "files": files}
    body["self"] = _own_hash(body)
    write_json(folder / MANIFEST, body)
    for directory in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        _sync(directory)  # a file is on disk only when its name is


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a manifest and check it and every file that it names.

    Args:
        folder: The folder that was published.

    Returns:
        The manifest.

    Raises:
        ArtifactError: The folder is unfinished, changed, damaged or of another format; the message names the file.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(f"{folder}: no {MANIFEST}, so it was never finished; make it again")
    try:
        body = json.loads(path.read_bytes())
        expected, files, written_as = body.pop("self"), body["files"], body["format"]
        intact = isinstance(files, dict) and expected == _own_hash(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{path}: damaged ({error}); make the folder again") from error
    if not intact:
        raise ArtifactError(f"{path}: changed after it was written; make the folder again")
    if written_as != FORMAT:
        raise ArtifactError(f"{path}: format {written_as}, this version reads {FORMAT}; make the run again")
    root = folder.resolve()
    _refuse_unnamed(folder, files)
    for name, digest in files.items():
        try:
            _check_file(folder, root, name, digest)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: names a file that cannot be read: {name!r} ({error})") from error
    return dict(body)


def published_at(folder: Path) -> tuple[int, int] | None:
    """Return what tells a published folder from the one that takes its place.

    Args:
        folder: The folder.

    Returns:
        File number and time of its manifest; None where it has none.
    """
    try:
        found = (folder / MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _refuse_unnamed(folder: Path, files: dict[str, str]) -> None:
    """Raise ArtifactError for a link below a folder, and for a file that its manifest does not name.

    Hidden files, such as a file manager's, and compiled Python are left alone; nothing reads them.
    """
    named = {MANIFEST, *files}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.is_symlink():
            raise ArtifactError(f"{file}: a link, which could lead out of the folder; put the file itself in its place")
        hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
        if not hidden and name.as_posix() not in named and not file.is_dir():
            raise ArtifactError(f"{file}: not named by the manifest, so it was put there later; move it elsewhere")


def _check_file(folder: Path, root: Path, name: str, digest: str) -> None:
    """Raise ArtifactError unless the file is inside the folder, resolved as `root`, and has this SHA-256."""
    file = folder / name
    if not file.resolve().is_relative_to(root):
        raise ArtifactError(f"{folder / MANIFEST}: names a file outside the folder: {name}")
    if not file.is_file():
        raise ArtifactError(f"{file}: missing; make the folder again")
    if sha256(file) != digest:
        raise ArtifactError(f"{file}: damaged (SHA-256 differs from the manifest); make the folder again")


def _own_hash(body: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its own hash."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hash a file.

    Args:
        path: The file.

    Returns:
        Its SHA-256 in hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON; the file is on disk when this returns, and never half written.

    Args:
        path: The file.
        value: JSON values; NaN and infinity are refused.
    """
    aside = path.with_name(f".{path.name}.part")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: The file.

    Returns:
        Its value.

    Raises:
        ArtifactError: The file is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not readable as JSON ({error})") from error


@contextmanager
def reading(path: Path, remedy: str = "make the run again") -> Iterator[None]:
    """Say of a file whose values are not what was written that it is damaged, whatever goes wrong with them.

    Args:
        path: The file, or the folder of the files that have to fit each other.
        remedy: What to do about it.

    Yields:
        None; what is done meanwhile is reading.

    Raises:
        ArtifactError: If a value is missing, or is of the wrong type or size.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not what this version writes ({error!r}); {remedy}") from error


def write_tensors(path: Path, tensors: Tensors) -> None:
    """Write named arrays as safetensors.

    Args:
        path: The file.
        tensors: Name -> array.

    Raises:
        OSError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file({name: np.asarray(array, order="C") for name, array in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


def read_tensors(path: Path, *, finite: bool = False) -> Tensors:
    """Read the named arrays of a safetensors file.

    Args:
        path: The file.
        finite: Refuse NaN and infinity, which what was learnt never holds.

    Returns:
        Name -> array.

    Raises:
        ArtifactError: The file is missing or not safetensors, or a number in it is not finite, though it has to be.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = dict(load_file(path))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ArtifactError(f"{path}: not readable as safetensors ({error})") from error
    for name, array in tensors.items():
        if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{path}: {name!r} holds NaN or infinity; make the folder again")
    return tensors


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
