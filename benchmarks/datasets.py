"""Reads public data sets in the files they are published in, as Datasets; for the benchmarks only."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.data.ids import Ids
from genre.preprocessing.splits import LeaveOneOut, split

TITLES = "beauty_asin2title"
ML_100K_TEXTS = ("title", "genres", "directors")


def machine() -> str:
    """One line that names what the figures were made on."""
    from importlib.metadata import version

    cpu = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in cpu if "model name" in line), "?")
    parts = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba"))
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return f"{model}, {os.cpu_count()} cores, {threads} BLAS thread(s); Python {platform.python_version()}, {parts}"


def ml_1m(data: Path, *, stars: bool = False) -> Split:
    """MovieLens 1M by `index.npz`, a published random 80/10/10 split; every rating is an interaction, with its stars or without."""
    import h5py  # type: ignore[import-not-found]

    with h5py.File(data / "ml-1m" / "total_data.hdf5") as file:
        user, item, rating = (file[name][:] for name in ("user", "item", "rating"))
    part = np.load(data / "ml-1m" / "index.npz")["data"]
    return parts(user, np.unique(item, return_inverse=True)[1], part, "ml-1m", rating if stars else None)


def gowalla(data: Path) -> Split:
    """Gowalla by LightGCN's split; train and validation together are the published train."""
    rows = [_lists(data / "gowalla" / f"{name}.txt") for name in ("train", "valid", "test")]
    user, item = (np.concatenate([part[at] for part in rows]) for at in (0, 1))
    return parts(user, item, np.repeat([0, 1, 2], [len(part[0]) for part in rows]), "gowalla")


def amazon_beauty(data: Path, *, texts: bool = False, shuffled: bool = False) -> Split:
    """Amazon 2014 Beauty, 5-core, the S3-Rec file: the last item is the test, the one before the validation.

    texts: with the products' titles as `title`, empty where the file has none. shuffled: those of other products.
    """
    folder = data / "amazon-beauty"
    split = _last_two(*_lists(folder / "Beauty.txt"), "amazon-beauty")
    if not texts:
        return split
    asin_of, title_of = (json.loads((folder / f"{name}.json").read_text()) for name in ("Beauty_id2asin", TITLES))
    titles = [title_of.get(asin_of[str(item)]) or "" for item in range(1, 12_102)]
    order = np.random.default_rng(0).permutation(len(titles)) if shuffled else np.arange(len(titles))
    return _with_items(split, {"title": [titles[at] for at in order]})


def beauty_bert4rec(data: Path) -> Split:
    """The BERT4Rec Beauty file, leave-one-out."""
    user, item = np.loadtxt(data / "beauty-bert4rec" / "beauty.txt", np.int64).T
    return _last_two(user, item, "beauty-bert4rec")


def yelp(data: Path) -> Split:
    """Yelp, the S3-Rec file, leave-one-out."""
    return _last_two(*_lists(data / "yelp" / "Yelp.txt"), "yelp")


def ml_1m_ordered(data: Path, *, shuffle_ties: int | None = None) -> Split:
    """A random 67 % of MovieLens 1M's likes in the order of their times, leave-one-out.

    shuffle_ties: a seed; what has one time is put in a random order, and the last two are taken anew.
    """
    arrays = np.load(data / "ml-1m-ordered" / "split.npz")
    user, item, moment = (np.concatenate([arrays[f"{part}_{c}"] for part in ("train", "valid", "test")]) for c in "uit")
    lot = np.arange(len(user)) if shuffle_ties is None else np.random.default_rng(shuffle_ties).permutation(len(user))
    order = np.lexsort((lot, moment, user))
    return _last_two(user[order], item[order], "ml-1m-ordered", moment[order])


def ml_1m_plots(data: Path) -> Dataset:
    """MovieLens 1M, every rating an interaction, with title, year, genres, people and plot of the films as text."""
    import h5py

    folder = data / "ml-1m"
    with h5py.File(folder / "total_data.hdf5") as file:
        user, item = file["user"][:], file["item"][:]
    raw, item = np.unique(item, return_inverse=True)
    lines = (folder / "movies_extrainfos.dat").read_text(encoding="utf-8").split("\n")
    told = {int(line.split("::")[0]): line.split("::") for line in lines if line}
    fields = {"title": 1, "year": 2, "genres": 5, "director": 6, "cast": 8, "plot": 9}
    columns = {name: [told.get(int(row), [""] * 11)[at] for row in raw] for name, at in fields.items()}
    return _dataset(user, item, "ml-1m", items=columns)


def ml_100k(data: Path) -> Dataset:
    """MovieLens 100K with times, titles, genres and directors; 4 and 5 stars are likes."""
    whole = np.loadtxt(data / "ml-100k" / "u.data", np.int64)
    told = json.loads((data / "ml-100k" / "items_info.json").read_text())
    rows = {int(one["movielens_id"]): one for one in told}
    columns = {name: [str(rows.get(item, {}).get(name) or "") for item in range(1, 1683)] for name in ML_100K_TEXTS}
    return _dataset(
        whole[:, 0] - 1,
        whole[:, 1] - 1,
        "ml-100k",
        rating=whole[:, 2],
        timestamp=whole[:, 3],
        items=columns,
        rating_scale=(1.0, 5.0, 1.0),
        positive_rating=4.0,
    )


def movietweetings(data: Path) -> Dataset:
    """MovieTweetings 100K with times, titles and genres; 7 of 10 and more are likes."""
    folder = data / "movietweetings"
    lines = (folder / "100K.ratings.dat").read_text().split()
    user, item, rating, moment = np.array([line.split("::") for line in lines], np.int64).T
    films = [line.split("::") for line in (folder / "100K.movies.dat").read_text(encoding="utf-8").splitlines()]
    told = {int(film[0]): film[1:] for film in films}
    raw, item = np.unique(item, return_inverse=True)
    columns = {name: [told.get(int(row), ["", ""])[at] for row in raw] for at, name in enumerate(("title", "genres"))}
    return _dataset(
        np.unique(user, return_inverse=True)[1],
        item,
        "movietweetings",
        rating=rating,
        timestamp=moment,
        items=columns,
        rating_scale=(0.0, 10.0, 1.0),
        positive_rating=7.0,
    )


def uci_online_retail(data: Path) -> Dataset:
    """A shop's invoices: the first purchase of each product by each customer, with its time and the product's name."""
    import pyarrow.parquet as pq

    table = pq.read_table(data / "uci-online-retail" / "online_retail.parquet").to_pandas()
    table["Description"] = table["Description"].fillna("").str.strip()
    table = table[table["CustomerID"].notna() & (table["Quantity"] > 0) & (table["UnitPrice"] > 0)]
    table = table.sort_values("InvoiceDate", kind="stable").drop_duplicates(["CustomerID", "Description"])
    names, item = np.unique(table["Description"].to_numpy(str), return_inverse=True)
    user = np.unique(table["CustomerID"], return_inverse=True)[1]
    moment = table["InvoiceDate"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return _dataset(user, item, "uci-online-retail", timestamp=moment, items={"title": list(names)})


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


def parts(user: np.ndarray, item: np.ndarray, part: np.ndarray, name: str, stars: np.ndarray | None = None) -> Split:
    """0 = train, 1 = validation, 2 = test. The test's context is train and validation together."""
    users, items = (Ids(str(row) for row in range(int(column.max()) + 1)) for column in (user, item))

    def of(*wanted: int) -> Dataset:
        kept = np.isin(part, wanted)
        rated: dict[str, Any] = {}
        if stars is not None:
            rated = {"rating": stars[kept], "rating_scale": (1.0, 5.0, 1.0), "positive_rating": 4.0}
        return Dataset.from_arrays(user=user[kept], item=item[kept], user_ids=users, item_ids=items, name=name, **rated)

    return Split(of(0), Fold(of(0), of(1)), Fold(of(0, 1), of(2)))


def _last_two(user: np.ndarray, item: np.ndarray, name: str, timestamp: np.ndarray | None = None) -> Split:
    """Rows in order, sorted by user: each user's last is the test, the one before it the validation."""
    user = np.unique(user, return_inverse=True)[1]
    data = _dataset(user, np.unique(item, return_inverse=True)[1], name, timestamp=timestamp)
    return split(data, LeaveOneOut())


def _dataset(
    user: np.ndarray, item: np.ndarray, name: str, *, items: dict[str, Any] | None = None, **columns: Any
) -> Dataset:
    users, ids = (Ids(str(row) for row in range(int(column.max()) + 1)) for column in (user, item))
    table = None if items is None else pa.table({"item_id": ids.values, **items})
    return Dataset.from_arrays(user=user, item=item, user_ids=users, item_ids=ids, items=table, name=name, **columns)


def _with_items(parts: Split, columns: dict[str, list[str]]) -> Split:
    def told(data: Dataset) -> Dataset:
        return dataclasses.replace(data, items=pa.table({"item_id": data.item_ids.values, **columns}))

    validation, test = (Fold(told(fold.context), told(fold.target)) for fold in (parts.validation, parts.test))
    return Split(told(parts.train), validation, test, parts.notes)


def _lists(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Lines of a user and its items -> (user, item) `[n]`, in the order of the file."""
    rows: Iterable[list[int]] = ([int(word) for word in line.split()] for line in path.open())
    users, items = zip(*((row[0], row[1:]) for row in rows if row), strict=True)
    return np.repeat(users, [len(row) for row in items]), np.concatenate([np.array(row, int) for row in items])
