"""The best config found by hand for each public set, chosen on validation: what `genre init` and `genre auto` must reach.

    OPENBLAS_NUM_THREADS=1 python benchmarks/handmade.py --data ../shared/data [--sets ml-100k yelp ...]

For each set at least thirty configs are tried: single recommenders over the grid of `singles`, then blends of the best
of each kind, and a ranker. Every one learns from train alone and is judged by ndcg@10 on the validation part, on a seeded sample of at
most `users` of its users; the weights of a blend are fitted on one half of them and judged on the other, and the reverse.
What an earlier call tried, by its `.tsv`, is not tried again. The test is not read. All that was tried is written to `handmade/<set>.tsv`, the best as
`handmade/<set>.yaml`, a whole config. The files that those configs read are put into `--files` first: links to what
`--data` holds where GENRE reads it as it is, else tables made of it, which are in no repository.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from genre.config.experiment import Experiment
from genre.config.reading import parse_config
from genre.config.writing import to_yaml
from genre.data.folds import Fold, Split
from genre.engines.duckdb import DuckDB
from genre.evaluation.evaluator import evaluate
from genre.features.base import item_features
from genre.preprocessing.prepare import prepare
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend

HERE = Path(__file__).with_name("handmade")
Plain = dict[str, Any]


# --- the files of each set ------------------------------------------------------------------------------


def linked(*names: str) -> Callable[[Path, Path], None]:
    """Make links, in the folder of the set, to files of the source."""

    def make(source: Path, folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to((source / folder.name / name).resolve())

    return make


def write(path: Path, **columns: Any) -> None:
    """Write a CSV."""
    pa.csv.write_csv(pa.table(columns), path)


def ml_100k(source: Path, folder: Path) -> None:
    linked("u.data")(source, folder)
    told = json.loads((source / "ml-100k" / "items_info.json").read_text())
    films = {int(one["movielens_id"]): one for one in told}
    columns = {name: [str(films.get(at, {}).get(name) or "") for at in range(1, 1683)] for name in FILM_FIELDS}
    write(folder / "items.csv", item=range(1, 1683), **columns)


FILM_FIELDS = ("title", "genres", "directors")


def ml_1m(source: Path, folder: Path) -> None:
    """Every rating is an interaction; the published random split as a column of parts."""
    import h5py

    with h5py.File(source / "ml-1m" / "total_data.hdf5") as file:
        user, item = file["user"][:], file["item"][:]
    part = np.array(["train", "validation", "test"])[np.load(source / "ml-1m" / "index.npz")["data"]]
    write(folder / "interactions.csv", user=user, item=item, part=part)
    lines = (source / "ml-1m" / "movies_extrainfos.dat").read_text(encoding="utf-8").split("\n")
    films = [line.split("::") for line in lines if line]
    fields = {"title": 1, "genres": 5, "director": 6}
    write(
        folder / "items.csv",
        item=[int(film[0]) for film in films],
        **{name: [film[at] if at < len(film) else "" for film in films] for name, at in fields.items()},
    )


def ml_1m_ordered(source: Path, folder: Path) -> None:
    parts = np.load(source / "ml-1m-ordered" / "split.npz")
    user, item, moment = (np.concatenate([parts[f"{part}_{c}"] for part in ("train", "valid", "test")]) for c in "uit")
    write(folder / "interactions.csv", user=user, item=item, timestamp=moment)


def uci_online_retail(source: Path, folder: Path) -> None:
    """The invoice lines as they are, without returns and lines that name no customer or no price."""
    table = pq.read_table(source / "uci-online-retail" / "online_retail.parquet").to_pandas()
    table = table[table["CustomerID"].notna() & (table["Quantity"] > 0) & (table["UnitPrice"] > 0)]
    name = table["Description"].fillna("").str.strip()
    moment = table["InvoiceDate"].to_numpy().astype("datetime64[s]").astype(np.int64)
    write(
        folder / "interactions.csv",
        customer=table["CustomerID"].astype(int).to_numpy(),
        product=name.to_numpy(str),
        timestamp=moment,
        quantity=table["Quantity"].to_numpy(),
    )
    names = sorted(set(name))
    write(folder / "items.csv", product=names, title=names)


def amazon_beauty(source: Path, folder: Path) -> None:
    linked("Beauty.txt")(source, folder)
    origin = source / "amazon-beauty"
    asin_of, title_of = (json.loads((origin / f"{name}.json").read_text()) for name in ("Beauty_id2asin", TITLES))
    write(
        folder / "items.csv",
        item=range(1, 12_102),
        title=[title_of.get(asin_of[str(item)]) or "" for item in range(1, 12_102)],
    )


TITLES = "beauty_asin2title"


def gowalla(source: Path, folder: Path) -> None:
    rows = [datasets._lists(source / "gowalla" / f"{name}.txt") for name in ("train", "valid", "test")]
    user, item = (np.concatenate([part[at] for part in rows]) for at in (0, 1))
    part = np.repeat(["train", "validation", "test"], [len(part[0]) for part in rows])
    write(folder / "interactions.csv", user=user, item=item, part=part)


def nemig(source: Path, folder: Path) -> None:
    """A user's history of the first impression, then the clicks of all impressions, each piece of news once; titles."""
    histories: dict[str, dict[str, None]] = {}
    with (source / "nemig" / "en_behaviors.tsv").open(encoding="utf-8") as stream:
        for _, user, before, shown in csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
            read = histories.setdefault(user, dict.fromkeys(before.split()))
            read |= dict.fromkeys(news[:-2] for news in shown.split() if news.endswith("-1"))
    lines = [f"{user} {' '.join(read)}" for user, read in histories.items() if read]
    (folder / "histories.txt").write_text("\n".join(lines) + "\n")
    known = {news for read in histories.values() for news in read}
    with (source / "nemig" / "en_news.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["news_id"] in known]
    write(folder / "items.csv", news=[row["news_id"] for row in rows], title=[row["title"] for row in rows])


# --- the sets -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Set:
    """A public set: how its files are made, how its config begins, and which of `singles` are too heavy for it."""

    make: Callable[[Path, Path], None]
    data: Plain
    split: Plain = field(default_factory=lambda: {"kind": "leave-one-out"})
    cleaning: Plain = field(default_factory=dict)
    text: bool = False
    timed: bool = False
    networks: tuple[Plain, ...] = ()
    skip: tuple[str, ...] = ()
    users: int = 4000

    def tables(self, folder: Path) -> tuple[Path, Path | None]:
        """The files of interactions and of items, None without one."""
        interactions = self.data.get("interactions", self.data.get("path"))
        return folder / interactions, folder / self.data["items"] if "items" in self.data else None

    def config(self, name: str, recommenders: list[Plain]) -> Plain:
        paths = {key: f"files/{name}/{value}" for key, value in self.data.items() if key != "kind"}
        made = {"name": name, "data": {"kind": self.data["kind"], **paths}, "cleaning": self.cleaning}
        features = {"features": {"items": {"kind": "embedding", "model": "minilm"}}} if self.text else {}
        whole = {**made, "split": self.split, **features, "recommenders": recommenders}
        return json.loads(json.dumps(whole))  # without shared parts, which YAML would write as anchors


GIVEN, TIME, RANDOM = {"kind": "given"}, {"kind": "time"}, {"kind": "random"}
FILES = {"kind": "files", "interactions": "interactions.csv"}
SETS: dict[str, Set] = {
    "nemig": Set(nemig, {"kind": "sequences", "path": "histories.txt", "items": "items.csv"}, text=True),
    "ml-100k": Set(
        ml_100k,
        {"kind": "files", "interactions": "u.data", "items": "items.csv"},
        text=True,
        timed=True,
    ),
    "ml-latest-small": Set(
        linked("ratings.csv", "movies.csv"),
        {"kind": "files", "interactions": "ratings.csv", "items": "movies.csv"},
        text=True,
        timed=True,
    ),
    "lastfm-hetrec": Set(
        linked("user_artists.dat", "artists.dat"),
        {"kind": "files", "interactions": "user_artists.dat", "items": "artists.dat"},
        RANDOM,
        {"weights": "equal"},
        text=True,
        skip=("transitions", "half_life"),
    ),
    "movietweetings": Set(
        linked("100K.ratings.dat", "100K.movies.dat"),
        {"kind": "files", "interactions": "100K.ratings.dat", "items": "100K.movies.dat"},
        TIME,
        text=True,
        timed=True,
    ),
    "uci-online-retail": Set(
        uci_online_retail, FILES | {"items": "items.csv"}, TIME, {"weights": "equal"}, text=True, timed=True
    ),
    "ml-1m": Set(ml_1m, FILES | {"items": "items.csv"}, GIVEN, text=True, skip=("transitions", "half_life")),
    "amazon-beauty": Set(
        amazon_beauty, {"kind": "sequences", "path": "Beauty.txt", "items": "items.csv"}, text=True, users=2000
    ),
    "yelp": Set(linked("Yelp.txt"), {"kind": "sequences", "path": "Yelp.txt"}, users=2000),
    "ml-1m-ordered": Set(
        ml_1m_ordered,
        FILES,
        timed=True,
        users=2000,
        networks=({"kind": "sasrec", "learning_rate": 2e-3, "epochs": 12, "patience": 3},),
    ),
    "beauty-bert4rec": Set(linked("beauty.txt"), {"kind": "files", "interactions": "beauty.txt"}, users=1000),
    "gowalla": Set(gowalla, FILES, GIVEN, skip=("transitions", "half_life"), users=1000),
}


# --- what is tried --------------------------------------------------------------------------------------


def singles(one: Set, n_items: int) -> Iterator[Plain]:
    """Single recommenders, the cheap ones first."""
    yield {"kind": "popularity"}
    if one.timed:
        yield from ({"kind": "popularity", "half_life_days": days} for days in (1, 3, 10, 30, 100, 300))
    yield from _transitions()
    for half_life in HALF_LIVES:
        yield {"kind": "item_knn", "neighbours": 500, "shrinkage": 10, "history_half_life": half_life}
    for half_life in HALF_LIVES:
        yield {"kind": "item_knn", "similarity": "bm25", "history_half_life": half_life}
    for half_life in HALF_LIVES:
        walk = {"kind": "item_knn", "similarity": "rp3beta", "neighbours": 1000, "alpha": 0.6, "beta": 0.3}
        yield walk | {"history_half_life": half_life}
    kind = "ease" if n_items <= 13_000 else "ease_neighbours"
    for ridge in (100, 300, 1000):
        for half_life in HALF_LIVES:
            yield {"kind": kind, "regularization": ridge, "history_half_life": half_life}
    for factors, ridge, alpha in ((64, 50, 10), (64, 10, 3), (64, 30, 20), (128, 50, 3), (32, 30, 3)):
        yield {"kind": "als", "factors": factors, "regularization": ridge, "alpha": alpha}
    if "half_life" in one.skip:  # without an order there is less to try so far
        for ridge in (30, 600, 2000):
            yield {"kind": kind, "regularization": ridge}
        for factors, ridge, alpha in ((128, 30, 20), (64, 100, 20), (32, 50, 20), (128, 100, 10)):
            yield {"kind": "als", "factors": factors, "regularization": ridge, "alpha": alpha}
        for neighbours, shrinkage in ((100, 10), (1000, 30)):
            yield {"kind": "item_knn", "neighbours": neighbours, "shrinkage": shrinkage}
        for alpha, beta in ((0.8, 0.4), (0.6, 0.5)):
            yield {"kind": "item_knn", "similarity": "rp3beta", "neighbours": 1000, "alpha": alpha, "beta": beta}
    yield {"kind": "bpr", "factors": 64}
    yield {"kind": "bpr", "factors": 64, "loss": "softmax", "regularization": 0.1}
    if one.text:
        for half_life in (None, 1.5, 3, 10):
            yield {"kind": "content", "history_half_life": half_life}
        yield {"kind": "shared_words"}
        for half_life in (1.5, 5):
            yield {"kind": "smoothed", "recommender": {"kind": "transitions"}, "history_half_life": half_life}
        if "transitions" not in one.skip:
            yield {"kind": "sasrec", "items": "text_start", "learning_rate": 3e-3, "epochs": 10, "patience": 3}
    yield from one.networks


HALF_LIVES = (None, 1.5, 5, 20)


def _transitions() -> Iterator[Plain]:
    for half_life in (1.5, 5, 20):
        yield {"kind": "transitions", "history_half_life": half_life}
    for half_life in (1.5, 5, 20):
        yield {"kind": "transitions", "source_power": 0.35, "target_power": 0.15, "history_half_life": half_life}
    yield {
        "kind": "transitions",
        "target_power": 0.1,
        "history_half_life": 15,
        "distance_power": 0.1,
        "backward": 1.0,
        "source_power": 0.35,
    }


def wanted(one: Set, tried: Plain) -> bool:
    decayed = tried.get("history_half_life") is not None
    kinds = {tried["kind"], tried.get("recommender", tried)["kind"]}
    return not kinds & set(one.skip) and not (decayed and "half_life" in one.skip)


def read(experiment: Experiment) -> Split:
    """Do steps 1 and 2 of a config."""
    with DuckDB() as engine:
        dataset, _ = prepare(experiment.data.load(engine), engine, experiment.cleaning)
    parts = experiment.split.split(dataset)
    encoder = experiment.features.items
    return parts if encoder is None else parts.with_features(items=item_features(parts.train, encoder))


class Search:
    """What was tried on one set: each config with its validation value, and the best fitted one of each kind."""

    def __init__(self, name: str, one: Set, folder: Path) -> None:
        self.name, self.one, self.folder = name, one, folder
        self.rows: list[tuple[float, float, Plain]] = []
        self.best: dict[str, tuple[float, Plain, Recommender]] = {}
        self.last: tuple[Plain, Any] | None = None
        self.parts = read(self.experiment([{"kind": "popularity"}]))
        self.judged = self.parts.validation.sample(one.users, 0)
        self.halves = self.judged.halves()

    def experiment(self, recommenders: list[Plain]) -> Experiment:
        text = to_yaml(self.one.config(self.name, recommenders))
        return parse_config(text, self.name, folder=self.folder.parent).experiment

    def known(self) -> None:
        """Take over what an earlier call tried, and fit the best of each kind."""
        path = HERE / f"{self.name}.tsv"
        lines = path.read_text().splitlines()[1:] if path.is_file() else []
        self.rows = [
            (float(value), float(cpu), json.loads(tried)) for value, cpu, tried in (x.split("\t") for x in lines)
        ]
        for value, _, tried in sorted(self.rows, key=lambda row: -row[0]):
            if "recommenders" not in tried and "first" not in tried and tried["kind"] not in self.best:
                [model] = self.experiment([tried]).recommenders
                self.best[tried["kind"]] = value, tried, model.fit(self.parts.train, validation=self.judged)

    def single(self, tried: Plain) -> None:
        if any(tried == row[2] for row in self.rows):
            return
        [model] = self.experiment([tried]).recommenders
        began = time.process_time()
        fitted = {name: value for name, value in tried.items() if name != "history_half_life"}
        if (
            self.last is not None and self.last[0] == fitted
        ):  # only the weights of histories differ, which `fit` ignores
            model = copy.copy(self.last[1])
            model.history_half_life = tried["history_half_life"]
        else:
            model.fit(self.parts.train, validation=self.judged)
            self.last = fitted, model
        value = self.note(self.value(model, self.judged), tried, began)
        if tried["kind"] not in self.best or value > self.best[tried["kind"]][0]:
            self.best[tried["kind"]] = value, tried, model

    def blend(self, kinds: list[str], **options: Any) -> None:
        """Weigh a blend on each half of the users and judge it on the other."""
        tried = {"kind": "blend", **options, "recommenders": [self.best[kind][1] for kind in kinds]}
        if any(tried == row[2] for row in self.rows):
            return
        began = time.process_time()
        values = []
        for weighed, judged in (self.halves, self.halves[::-1]):
            [model] = self.experiment([tried]).recommenders
            assert isinstance(model, Blend)
            model.weigh([self.best[kind][2] for kind in kinds], weighed)
            values.append(self.value(model, judged))
        self.note(float(np.mean(values)), tried, began)

    def ranker(self, kinds: list[str]) -> None:
        """Learn a second stage over a light blend, weighed on one half of the users and judged on the other."""
        first = {"kind": "blend", "recommenders": [self.best[kind][1] for kind in kinds]}
        tried = {"kind": "ranker", "first": first}
        [model] = self.experiment([tried]).recommenders
        began = time.process_time()
        weighed, judged = self.halves
        model.fit(self.parts.train, validation=weighed)
        self.note(self.value(model, judged), tried, began)

    def value(self, model: Recommender, fold: Fold) -> float:
        return evaluate(model, fold, metrics=["ndcg@10"], train=self.parts.train).values["ndcg@10"]

    def note(self, value: float, tried: Plain, began: float) -> float:
        cpu = time.process_time() - began
        self.rows.append((value, cpu, tried))
        self.keep()
        print(f"{self.name} {len(self.rows)} {value:.4f} {cpu:.1f} s {json.dumps(tried)[:150]}", flush=True)
        return value

    def run(self) -> None:
        self.known()
        for tried in singles(self.one, self.parts.train.n_items):
            if wanted(self.one, tried):
                self.single(tried)
        ranked = sorted(self.best, key=lambda kind: -self.best[kind][0])
        for count in dict.fromkeys((2, 3, 4, len(ranked))):
            self.blend(ranked[:count])
        self.blend(ranked, length_buckets=3)
        if self.parts.train.n_items <= 5000:
            for left in ranked:
                self.blend([kind for kind in ranked if kind != left])
        if "transitions" not in self.one.skip:
            texts = ("content", "smoothed", "shared_words")
            kinds = ["transitions", *(texts if self.one.text else ("item_knn", "als"))]
            self.ranker(kinds)
            if self.one.text:
                self.ranker([*kinds, "sasrec"])

    def save(self) -> None:
        value, _, found = max(self.rows, key=lambda row: round(row[0], 4))  # of equals in the file, the first
        users = len(np.unique(self.judged.target.user))
        head = (
            f"# The best of {len(self.rows)} configs tried by `python benchmarks/handmade.py --sets {self.name}`: ndcg@10 "
            f"{value:.4f}\n# on {users:,} users of the validation part, learnt from train alone. The test was not read.\n"
        )
        text = head + to_yaml(self.one.config(self.name, [found]))
        (HERE / f"{self.name}.yaml").write_text(text)

    def keep(self) -> None:
        """Write what was tried so far: a call that is ended is gone on with by the next."""
        lines = [f"{value:.4f}\t{cpu:.1f}\t{json.dumps(tried)}" for value, cpu, tried in self.rows]
        (HERE / f"{self.name}.tsv").write_text("\n".join(["ndcg@10\tCPU s\tconfig", *lines]) + "\n")


def make_files(name: str, data: Path, files: Path) -> None:
    """Make the files of a set, in a folder of its own."""
    (files / name).mkdir(parents=True, exist_ok=True)
    SETS[name].make(data, files / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--files", type=Path, default=HERE / "files")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--only-files", action="store_true", help="make the files and try nothing")
    options = parser.parse_args()
    for name in options.sets:
        make_files(name, options.data, options.files)
        if not options.only_files:
            search = Search(name, SETS[name], options.files)
            search.run()
            search.save()


if __name__ == "__main__":
    main()
