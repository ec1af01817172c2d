"""A folder that is whole or refused: written aside, hashed, published by one rename, checked at load.

Plain files only: JSON, safetensors, Parquet. safetensors alone notices no flipped bit, so `manifest.json`
holds the SHA-256 of every file and of itself. Knows nothing about recommending.
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
    """Write files into the yielded folder; on success they become `folder`, whole, in one step.

    An exception or a kill at any moment leaves what stood at `folder` before. `facts` go into the manifest.
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
    """`aside` becomes `folder`, and what stood there takes its place aside."""
    if folder.exists():
        exchange(aside, folder)
    else:
        aside.rename(folder)
        _sync(folder.parent)


def exchange(one: Path, other: Path) -> None:
    """Two folders trade places; on Linux in one step, so that there is no moment without either."""
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
    """Hash every file below `folder` into its `manifest.json`, on disk before this returns."""
    for left in list(folder.rglob(".*.part")):  # by a write that was interrupted
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
    """The manifest after checking it and every file it names; ArtifactError naming what is wrong."""
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
    for name, digest in files.items():
        try:
            _check_file(folder, name, digest)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: names a file that cannot be read: {name!r} ({error})") from error
    return dict(body)


def _check_file(folder: Path, name: str, digest: str) -> None:
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(f"{folder / MANIFEST}: names a file outside the folder: {name}")
    if not file.is_file():
        raise ArtifactError(f"{file}: missing; make the folder again")
    if sha256(file) != digest:
        raise ArtifactError(f"{file}: damaged (SHA-256 differs from the manifest); make the folder again")


def _own_hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Readable JSON, on disk when this returns, never half a file."""
    aside = path.with_name(f".{path.name}.part")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not readable as JSON ({error})") from error


def write_tensors(path: Path, tensors: Tensors) -> None:
    """Named arrays as safetensors; OSError when the disk does not take them."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file({name: np.asarray(array, order="C") for name, array in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


def read_tensors(path: Path) -> Tensors:
    """Named arrays of a safetensors file; ArtifactError when it is not one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ArtifactError(f"{path}: not readable as safetensors ({error})") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
