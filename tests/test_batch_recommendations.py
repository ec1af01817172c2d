"""Lists for all users: equal to those of one user, resumable, whole or absent, independent of threads and blocks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import genre
from genre import batch_recommendations
from genre.batch_recommendations import SimilarLists, UserLists
from genre.cli.main import main
from genre.data.dataset import Dataset
from genre.engines.duckdb import DuckDB
from genre.errors import OptionError, UnknownId
from genre.recommenders.base import Recommender
from genre.storage import FORMAT
from genre.testing import toy_dataset
from genre.threads import limit_threads

SAVED = Path(__file__).parent / "golden" / f"run-{FORMAT}"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_recommendations, "SIZE", 32)


@pytest.fixture(scope="module")
def data() -> Dataset:
    toy = toy_dataset(n_users=120, n_items=12)
    return toy.where((toy.user % 40 != 7) & (toy.user != 119))  # some users have no interactions


@pytest.fixture(scope="module")
def als(data: Dataset) -> Recommender:
    return genre.ALS(factors=4, regularization=0.5).fit(data)


def every(data: Dataset) -> np.ndarray:
    return np.arange(data.n_users)


def test_lists_are_those_of_each_user_alone(data: Dataset) -> None:
    ease = genre.EASE(regularization=5).fit(data)
    found = pa.concat_tables(UserLists(ease, data, 3, every(data)).tables()).to_pylist()
    for user in range(data.n_users):
        alone = ease.recommend(data.history([user]), k=3)
        rows = [row for row in found if row["user_id"] == f"u{user}"]
        assert [row["item_id"] for row in rows] == alone.ids()
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        assert [row["score"] for row in rows] == pytest.approx([score for _, score in alone.pairs()], abs=1e-5)
    titles = dict(zip(data.item_ids.values.to_pylist(), data.titles(), strict=True))
    assert all(row["title"] == titles[row["item_id"]] for row in found)


def test_empty_histories_do_not_change_the_others(data: Dataset, als: Recommender) -> None:
    history = data.history()
    kept = np.flatnonzero(history.lengths)
    together, apart = als.recommend(history, k=5), als.recommend(history.select(kept), k=5)
    assert np.array_equal(together.score[kept], apart.score)
    assert len(kept) < len(history)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_file_holds_every_list(ending: str, data: Dataset, als: Recommender, tmp_path: Path) -> None:
    lists, out = UserLists(als, data, 3, every(data)), tmp_path / f"lists.{ending}"
    with DuckDB() as engine:
        assert lists.write(out, engine, "key") == data.n_users
    read = {
        "parquet": lambda: pq.read_table(out).to_pylist(),
        "csv": lambda: pyarrow.csv.read_csv(out).to_pylist(),
        "jsonl": lambda: [json.loads(line) for line in out.read_text().splitlines()],
    }
    expected = pa.concat_tables(lists.tables()).to_pylist()
    assert [(row["user_id"], row["item_id"], row["rank"]) for row in read[ending]()] == [
        (row["user_id"], row["item_id"], row["rank"]) for row in expected
    ]
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "nothing is left behind"


def test_an_interrupted_file_goes_on_and_is_equal(data: Dataset, als: Recommender, tmp_path: Path) -> None:
    made: list[int] = []

    class Failing(UserLists):
        def make(self, inputs: pa.Table) -> pa.Table:
            made.append(inputs["row"][0].as_py())
            if len(made) == 3:
                raise KeyboardInterrupt
            return super().make(inputs)

    out, whole = tmp_path / "lists.parquet", tmp_path / "whole.parquet"
    with limit_threads(1), DuckDB() as engine, pytest.raises(KeyboardInterrupt):
        Failing(als, data, 3, every(data)).write(out, engine, "key")
    assert not out.exists()
    with DuckDB() as engine:
        Failing(als, data, 3, every(data)).write(out, engine, "key")
        UserLists(als, data, 3, every(data)).write(whole, engine, "key")
    assert sorted(set(made)) == [0, 32, 64, 96]
    assert [made.count(first) for first in (0, 32)] == [1, 1], "finished blocks are not made again"
    assert out.read_bytes() == whole.read_bytes()


def test_threads_change_no_bit(data: Dataset, als: Recommender, tmp_path: Path) -> None:
    for threads in (1, 3):
        with limit_threads(threads), DuckDB() as engine:
            UserLists(als, data, 3, every(data)).write(tmp_path / f"{threads}.parquet", engine, "key")
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "3.parquet").read_bytes()


def test_similar_items_of_all_items(data: Dataset, als: Recommender) -> None:
    found = pa.concat_tables(SimilarLists(als, data, 2, np.arange(data.n_items)).tables())
    assert found.column_names[:3] == ["item_id", "rank", "similar_item_id"]
    alone = als.similar_items(np.array([5], np.int32), k=2).ids()
    assert [row["similar_item_id"] for row in found.to_pylist() if row["item_id"] == "i5"] == alone


def test_other_endings_and_unknown_users_are_refused(data: Dataset, als: Recommender, tmp_path: Path) -> None:
    with DuckDB() as engine, pytest.raises(OptionError, match="lists are written as"):
        UserLists(als, data, 3, every(data)).write(tmp_path / "lists.xlsx", engine, "key")
    with pytest.raises(UnknownId, match="1 of 2 user ids unknown: 'nobody'; leave these out"):
        batch_recommendations.rows_to_list(["u1", "nobody"], data)


def test_the_command_writes_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(SAVED, tmp_path / "run")
    (tmp_path / "ids.txt").write_text("u3\nu1\nu3\n")
    (tmp_path / "others.txt").write_text("user_id\n")
    out = tmp_path / "lists.jsonl"
    words = ["recommend", str(run), "--users", str(tmp_path / "ids.txt"), "--out", str(out), "--k", "2"]
    assert main([*words, "--with-reasons"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["user_id"] for row in rows] == ["u1", "u1", "u3", "u3"]
    assert all(row["reason"] for row in rows)
    assert "2 lists" in capsys.readouterr().err
    assert main(["recommend", str(run), "--all", "--similar", "--out", str(tmp_path / "similar.csv")]) == 0
    for wrong, said in (
        ([*words, "--user", "u1"], "--user is of one list"),
        ([*words, "--context", "hour=3"], "--context is of one list"),
        (["recommend", str(run), "--all"], "--out lists.parquet"),
        ([*words, "--similar"], "--similar goes with --all"),
        ([*words[:3], str(tmp_path / "none.txt"), *words[4:]], "one user id a line"),
        ([*words[:3], str(tmp_path / "others.txt"), *words[4:]], "others.txt: 1 of 1 user id unknown: 'user_id'"),
    ):
        assert main(wrong) == 2
        assert said in capsys.readouterr().err
