"""Reads public data sets in the files they are published in, as Datasets; for the benchmarks only."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from genre.preprocessing.dataset import Dataset
from genre.preprocessing.ids import Ids
from genre.preprocessing.splits import Fold, Split


def machine() -> str:
    """One line that names what the figures were made on."""
    from importlib.metadata import version

    cpu = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in cpu if "model name" in line), "?")
    parts = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba"))
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return f"{model}, {os.cpu_count()} cores, {threads} BLAS thread(s); Python {platform.python_version()}, {parts}"


def ml_1m(data: Path) -> Split:
    """MovieLens 1M by `index.npz`, a published random 80/10/10 split; every rating is an interaction."""
    import h5py

    with h5py.File(data / "ml-1m" / "total_data.hdf5") as file:
        user, item = file["user"][:], file["item"][:]
    part = np.load(data / "ml-1m" / "index.npz")["data"]
    return parts(user, np.unique(item, return_inverse=True)[1], part, "ml-1m")


def gowalla(data: Path) -> Split:
    """Gowalla by LightGCN's split; train and validation together are the published train."""
    rows = [_lists(data / "gowalla" / f"{name}.txt") for name in ("train", "valid", "test")]
    user, item = (np.concatenate([part[at] for part in rows]) for at in (0, 1))
    return parts(user, item, np.repeat([0, 1, 2], [len(part[0]) for part in rows]), "gowalla")


def amazon_beauty(data: Path) -> Split:
    """Amazon 2014 Beauty, 5-core, the S3-Rec file: the last item is the test, the one before the validation."""
    user, item = _lists(data / "amazon-beauty" / "Beauty.txt")
    user = np.unique(user, return_inverse=True)[1]
    from_end = np.bincount(user)[user] - np.concatenate([np.arange(n) for n in np.bincount(user)])
    part = np.where(from_end == 1, 2, np.where(from_end == 2, 1, 0))
    return parts(user, np.unique(item, return_inverse=True)[1], part, "amazon-beauty")


def ml_100k_folds(data: Path) -> Iterator[Fold]:
    """MovieLens 100K: the five official folds of ratings; what is not in a test is its context."""
    folder = data / "ml-100k"
    whole = np.loadtxt(folder / "u.data", np.int64)
    users, items = Ids(range(1, 944)), Ids(range(1, 1683))
    for number in range(1, 6):
        test = np.loadtxt(folder / f"u{number}.test", np.int64)
        asked = np.isin(whole[:, 0] * 10_000 + whole[:, 1], test[:, 0] * 10_000 + test[:, 1])
        made = [
            Dataset.from_arrays(
                user=rows[:, 0] - 1,
                item=rows[:, 1] - 1,
                rating=rows[:, 2],
                timestamp=rows[:, 3],
                user_ids=users,
                item_ids=items,
                rating_scale=(1.0, 5.0, 1.0),
                positive_rating=4.0,
                name="ml-100k",
            )
            for rows in (whole[~asked], whole[asked])
        ]
        yield Fold(*made)


def parts(user: np.ndarray, item: np.ndarray, part: np.ndarray, name: str) -> Split:
    """0 = train, 1 = validation, 2 = test. The test's context is train and validation together."""
    users, items = (Ids(str(row) for row in range(int(column.max()) + 1)) for column in (user, item))

    def of(*wanted: int) -> Dataset:
        kept = np.isin(part, wanted)
        return Dataset.from_arrays(user=user[kept], item=item[kept], user_ids=users, item_ids=items, name=name)

    return Split(of(0), Fold(of(0), of(1)), Fold(of(0, 1), of(2)))


def _lists(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Lines of a user and its items -> (user, item) `[n]`, in the order of the file."""
    rows: Iterable[list[int]] = ([int(word) for word in line.split()] for line in path.open())
    users, items = zip(*((row[0], row[1:]) for row in rows if row), strict=True)
    return np.repeat(users, [len(row) for row in items]), np.concatenate([np.array(row, int) for row in items])
