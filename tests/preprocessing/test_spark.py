"""The same data, splits and lists on Spark as on DuckDB, whatever the partitions, file orders and killed processes.

`make cluster` runs this on two executors, each a process of its own. It is skipped without the variable SPARK_MASTER.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import genre
from genre import bulk
from genre.bulk import UserLists
from genre.cli.main import main
from genre.engines.base import read_block
from genre.engines.duckdb import DuckDB
from genre.engines.spark import Spark
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.frames import Frames

MASTER = os.environ.get("SPARK_MASTER", "")
pytestmark = pytest.mark.skipif(not MASTER, reason="`make cluster` runs these")
QUICK = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
SETTINGS = {
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": QUICK,
    "spark.executor.extraJavaOptions": QUICK,
}
CLEANING = Cleaning(min_user_interactions=5, min_item_interactions=5)
ODD = ["NULL", "z", "\u00e9", "\u00df", "10", "9", "\u00e4", " a", "\U0001f600"]
N = 3000


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """One session for all tests; the cluster writes its logs beside the package, so it gets a folder of links."""
    import pyspark

    home = tmp_path_factory.mktemp("spark-home")
    for name in ("bin", "jars", "python"):
        (home / name).symlink_to(Path(pyspark.__file__).parent / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        with Spark(master=MASTER, partitions=4, settings=SETTINGS) as engine:
            _ = engine.session
            yield engine


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    item = (60 * rng.random(N) ** 2).astype(int)
    return pa.table(
        {
            "user_id": [f"u{user}" for user in rng.integers(0, 150, N)],
            "item_id": [ODD[at] if at < len(ODD) else f"i{at}" for at in item],
            "rating": rng.integers(1, 11, N) / 2,
            "timestamp": rng.integers(1_500_000_000, 1_500_003_000, N),
        }
    )


@pytest.fixture(scope="module")
def expected(table):
    with DuckDB() as engine:
        return prepare(Frames(table).load(engine), engine, CLEANING)


def on_spark(engine, table, folder, files=1):
    """Typed columns as Parquet, cut into files, then everything on Spark."""
    with DuckDB() as reader:
        tables = Frames(table).load(reader)
        for file, rows in enumerate(np.array_split(np.arange(len(table)), files)):
            where = f"row > {rows[0]} AND row <= {rows[-1] + 1}"
            held = reader.keep(f"SELECT * FROM {name_of(reader, tables)} WHERE {where}")
            reader.convert(reader.frame(held), folder / str(file))
    frame = engine.read_parquet(folder / "*")
    return prepare(replace(tables, interactions=frame), engine, CLEANING)


def name_of(reader, tables):
    import narwhals as nw

    name = reader.name()
    nw.to_native(tables.interactions).create(name)
    return name


@pytest.mark.parametrize(("partitions", "files"), [(1, 1), (2, 3), (8, 5)])
def test_data_and_split_are_those_of_duckdb(spark, table, expected, tmp_path, partitions, files):
    dataset, report = expected
    shuffled = table.take(pa.array(np.random.default_rng(partitions).permutation(N)))
    with Spark(partitions=partitions) as engine:  # beside the session of the others
        found, said = on_spark(engine, shuffled, tmp_path, files)
        assert engine.session.conf.get("spark.sql.shuffle.partitions") == str(partitions)
    assert found.fingerprint() == dataset.fingerprint()
    assert str(said) == str(report)
    for one, other in zip(genre.split(found), genre.split(dataset), strict=True):
        parts = [(part.target if hasattr(part, "target") else part).fingerprint() for part in (one, other)]
        assert parts[0] == parts[1]


def killing(function, marker, whom):
    """The same function, which kills a process the first time it gets the third block.

    It travels to the workers by its code, so it uses nothing of this module.
    """
    third = 2 * bulk.SIZE

    def work(inputs):
        if inputs["row"][0].as_py() == third and not marker.exists():
            marker.touch()
            process = os.getpid()
            if whom == "executor":  # the worker is a fork of a daemon of the executor
                process = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(process, signal.SIGKILL)
        return function(inputs)

    return work


@pytest.mark.parametrize("whom", ["none", "worker", "executor"])
@pytest.mark.parametrize("kind", ["als", "ease"])
def test_lists_are_equal_to_the_bit_whoever_is_killed(spark, expected, tmp_path, monkeypatch, kind, whom):
    monkeypatch.setattr(bulk, "SIZE", 32)
    dataset, _ = expected
    model = (genre.ALS(factors=8, iterations=3) if kind == "als" else genre.EASE()).fit(dataset)
    lists = UserLists(model, dataset, 5, np.arange(dataset.n_users))
    inputs = lists.inputs(lists.rows)

    def blocks(engine, function, folder):
        folder.mkdir()
        made = engine.map_blocks(function, engine.read(inputs), inputs.schema, by="row", size=bulk.SIZE, to=folder)
        return [read_block(path) for path in made]

    with DuckDB() as engine:
        plain = blocks(engine, lists.make, tmp_path / "duckdb")
    function = lists.make if whom == "none" else killing(lists.make, tmp_path / "killed", whom)
    found = blocks(spark, function, tmp_path / "spark")
    assert (tmp_path / "killed").exists() == (whom != "none")
    assert len(found) == len(plain) == 5
    assert all(one.equals(other) for one, other in zip(found, plain, strict=True))
    for path in (tmp_path / "spark").glob("block-*.arrow"):  # finished blocks are read, not made again
        path.touch()
    assert len(blocks_again(spark, inputs, tmp_path / "spark")) == 5


def blocks_again(engine, inputs, folder):
    def refuse(_):
        raise AssertionError("made again")

    return [*engine.map_blocks(refuse, engine.read(inputs), inputs.schema, by="row", size=bulk.SIZE, to=folder)]


CONFIG = """\
name: films
data: {kind: files, interactions: films.csv, items: items.csv}
cleaning: {min_item_interactions: 5}
recommenders:
  - {kind: popularity}
  - {kind: item_knn, neighbours: 50}
  - {kind: als, factors: 16, iterations: 5}
  - {kind: blend, recommenders: [{kind: transitions}, {kind: als, factors: 16, iterations: 5}]}
evaluation: {metrics: [ndcg, recall]}
"""


def facts_of(run, out, *options):
    """What a run found, and the lists that it gives to all users."""
    assert main(["recommend", str(run.folder), "--all", "--out", str(out), *options]) == 0
    board = [(row["name"], row["values"]) for row in run.report["leaderboard"]]
    return run.dataset.fingerprint(), run.split.train.fingerprint(), board, out.read_bytes()


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """MovieLens-100K as one file of interactions and as rows in any order over several, and its run on DuckDB."""
    import pyarrow.csv

    data, folder = genre.load("movielens-100k"), tmp_path_factory.mktemp("films")
    rows = pa.table(
        {
            "user_id": data.user_ids.values.take(pa.array(data.user)),
            "item_id": data.item_ids.values.take(pa.array(data.item)),
            "rating": data.rating,
            "timestamp": data.timestamp,
        }
    )
    pyarrow.csv.write_csv(rows, folder / "films.csv")
    pyarrow.csv.write_csv(data.items.select(["item_id", "title"]), folder / "items.csv")
    (folder / "films").mkdir()
    order = np.random.default_rng(0).permutation(len(rows))
    for file, some in enumerate(np.array_split(order, [1000, 40000, 45000])):
        pyarrow.csv.write_csv(rows.take(pa.array(some)), folder / "films" / f"{file}.csv")
    (folder / "films.yaml").write_text(CONFIG, "utf-8")
    run = genre.run(folder / "films.yaml", runs=folder / "runs")
    return folder, facts_of(run, folder / "lists.csv")


@pytest.mark.parametrize(
    ("partitions", "data"),
    [(1, []), (2, ["data.interactions=films"]), (8, ["data={kind: converted, folder: films-converted}"])],
    ids=["1 partition", "2 partitions of shuffled files", "8 partitions of what was converted"],
)
def test_a_whole_run_is_that_of_one_machine(spark, films, monkeypatch, partitions, data):
    folder, expected = films
    monkeypatch.chdir(folder)
    monkeypatch.setattr(bulk, "SIZE", 256)
    if partitions == 8:
        assert main(["convert", "films.yaml", "data.interactions=films", "--output", "films-converted"]) == 0
    overrides = [f"engine={{kind: spark, partitions: {partitions}}}", *data]
    run = genre.run("films.yaml", overrides=overrides, runs=f"runs-{partitions}")
    assert facts_of(run, Path(f"lists-{partitions}.csv")) == expected


def test_blocks_go_to_the_shared_folder(spark, expected, tmp_path):
    dataset, _ = expected
    lists = UserLists(genre.Popularity().fit(dataset), dataset, 5, np.arange(dataset.n_users))
    with Spark(shared=str(tmp_path / "shared")) as engine:
        kept = []
        blocks_of, engine.blocks_folder = engine.blocks_folder, lambda beside: kept.append(blocks_of(beside)) or kept[0]
        assert lists.write(tmp_path / "lists.csv", engine, "key") == dataset.n_users
    assert kept[0].parent == tmp_path / "shared"
    assert not kept[0].exists()
    assert (tmp_path / "lists.csv").is_file()
