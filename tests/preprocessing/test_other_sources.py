"""Matrices, sequences, frames and databases, and `load` over all of them."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from genre.data.parquet import write_dataset
from genre.errors import DataError
from genre.preprocessing.loading import load
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.frames import Frames, from_frame, to_frame
from genre.preprocessing.sources.matrix import Matrix
from genre.preprocessing.sources.public import CATALOG
from genre.preprocessing.sources.sequences import Sequences, looks_like_sequences
from genre.preprocessing.sources.sql import SQL
from genre.preprocessing.splits import split
from genre.testing import toy_dataset
from lines import Lines
from reading import read_tables

Write = Callable[..., Path]
ROWS = {
    "user": [7, 8, 7],
    "item": ["a", "b", "b"],
    "rating": [4.5, 3.0, 1.0],
    "time": [1000000000, 1000000060, 1000000120],
}
ITEMS = {"item": ["a", "b"], "title": ["A", "B"]}


@pytest.fixture
def csv(write: Write) -> Path:
    rows = zip(*ROWS.values(), strict=True)
    return write("data.csv", "user,item,rating,time\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_frames_give_what_files_give(csv: Path, write: Write, frame: Callable[[dict[str, Any]], Any]) -> None:
    items = write("items.csv", "item,title\na,A\nb,B\n")
    from_frames = load(frame(ROWS), items=frame(ITEMS))
    assert from_frames.fingerprint() == load(csv, items=items).fingerprint()
    source = Frames(frame(ROWS))
    assert (
        source.fingerprint()
        == Frames(frame(ROWS)).fingerprint()
        != Frames(frame(ROWS), items=frame(ITEMS)).fingerprint()
    )


def test_ids_that_pandas_made_floats_are_whole_again() -> None:
    frame = pd.DataFrame({"user": [1.0, 2.0, np.nan], "item": ["x", "y", "z"]})
    assert load(frame).user_ids.values.to_pylist() == ["1", "2"]


def test_dates_of_frames_are_times() -> None:
    frame = pd.DataFrame({"user": [1], "item": [2], "date": pd.to_datetime(["2001-09-09T01:46:40"])})
    times = load(frame).timestamp
    assert times is not None
    assert times.tolist() == [1_000_000_000]


def test_frames_come_out_as_the_user_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"item": "a", "score": 1.0}, {"item": "b", "score": 0.5}]
    import genre.preprocessing.sources.frames as frames

    for missing, kind in ((set(), pd.DataFrame), ({"pandas"}, pl.DataFrame), ({"pandas", "polars"}, pa.Table)):
        monkeypatch.setattr(
            frames.importlib.util, "find_spec", lambda name, gone=missing: None if name in gone else name
        )
        out = to_frame(rows)
        assert isinstance(out, kind)
        assert from_frame(out).to_pylist() == rows
        assert from_frame(to_frame({"x": [1, 2]})).to_pydict() == {"x": [1, 2]}
        assert from_frame(to_frame(pa.table({"x": [1, 2]}))).to_pydict() == {"x": [1, 2]}


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(DataError, match="none of 'x' is known to name the item"):
        load({"x": [1, 2]})
    with pytest.raises(DataError, match="interactions: no rows"):
        load(pa.table({}))
    with pytest.raises(DataError, match="cannot be read as a frame"):
        load(object())
    with pytest.raises(DataError, match="column 'rating': 'abc' is not a number"):
        load(pd.DataFrame({"user": [1], "item": [1], "rating": ["abc"]}))


MATRIX = np.array([[5, 0, 3], [0, 1.5, 0]], np.float32)


def test_a_matrix_in_three_forms_is_one_set_of_pairs(tmp_path: Path, write: Write) -> None:
    np.save(tmp_path / "m.npy", np.where(MATRIX == 0, np.nan, MATRIX))
    sp.save_npz(tmp_path / "m.npz", sp.coo_array(MATRIX))
    text = write("m.csv", "user,0,1,2\n0,5,,3\n1,,1.5,NA\n")
    datasets = [load(tmp_path / "m.npy"), load(tmp_path / "m.npz"), load(Matrix(text))]
    assert len({data.fingerprint() for data in datasets}) == 1
    assert datasets[0].rating is not None
    assert datasets[0].rating.tolist() == [5, 3, 1.5]
    assert len(load(Matrix(write("z.csv", ",x,y\nu,0,1\n"), missing=None))) == 2
    zero = sp.coo_array(([0.0, 2.0], ([0, 0], [1, 2])), shape=(1, 3))  # a zero that is stored is known
    sp.save_npz(tmp_path / "z.npz", zero)
    assert len(load(Matrix(tmp_path / "z.npz", missing=None))) == 2
    assert len(load(Matrix(tmp_path / "z.npz"))) == 1


def test_a_matrix_takes_its_ids_from_tables_of_its_size(tmp_path: Path, write: Write) -> None:
    np.save(tmp_path / "m.npy", MATRIX)
    items = write("items.csv", "item_id,title\nx,X\ny,Y\nz,Z\n")
    data = load(tmp_path / "m.npy", items=items)
    assert data.item_ids.values.to_pylist() == ["x", "y", "z"]
    assert data.titles() == ["X", "Y", "Z"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "u,a,a\n1,2,3\n", "names 'a' twice"),
        ("m.csv", "u,a,b\n1,2,x\n", "row 1, column 'b': 'x' is not a number"),
        ("m.csv", "u,a,b\n", "no rows"),
        ("m.npy", b"nonsense", "unreadable matrix"),
        ("m.npz", b"PK nonsense", "unreadable matrix"),
        ("m.npy", b"\x80\x04N.", "unreadable matrix"),
    ],
)
def test_a_broken_matrix_is_named(write: Write, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_tables(Matrix(write(name, content)))


def test_a_matrix_of_objects_or_three_dimensions_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "t.npy", np.zeros((2, 2, 2)))
    for name in ("o.npy", "t.npy"):
        with pytest.raises(DataError, match=name):
            read_tables(Matrix(tmp_path / name))


def test_sequences_keep_their_order_and_parts(write: Write) -> None:
    train, test = write("train.txt", "u2 a b c\nu1 c a\n\n"), write("test.txt", "u1 b\n")
    data = load(Sequences(train, test=test))
    history = data.history()
    assert data.item_ids.take(history.item) == ["c", "a", "b", "a", "b", "c"]
    assert data.user_ids.values.to_pylist() == ["u1", "u2"]
    assert data.item_ids.take(split(data, "given").test.target.item) == ["b"]
    assert load(Sequences(train)).part is None, "one file is no split"
    for content in (b"", b"u1\nu2\n", b"u \xff\n"):
        with pytest.raises(DataError, match=r"x\.txt"):
            read_tables(Sequences(write("x.txt", content)))


def test_a_database_gives_what_files_give(csv: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as database:
        database.execute(f"CREATE TABLE events AS FROM read_csv('{csv}')")
        database.execute("CREATE TABLE films AS SELECT 'a' AS item, 'A' AS title UNION ALL SELECT 'b', 'B'")
    expected = load(csv).fingerprint()
    assert load(SQL("events", path=tmp_path / "shop.duckdb")).fingerprint() == expected
    assert load(SQL(f"SELECT * FROM '{csv}'")).fingerprint() == expected
    query = SQL(
        "SELECT item AS who, user AS what FROM events", path=tmp_path / "shop.duckdb", columns=Columns("what", "who")
    )
    assert load(query).user_ids.values.to_pylist() == ["7", "8"]
    assert load(SQL("events", items="films", path=tmp_path / "shop.duckdb")).titles() == ["A", "B"]
    assert (
        SQL("events", path=tmp_path / "shop.duckdb").fingerprint()
        == SQL("events", path=tmp_path / "shop.duckdb").fingerprint()
    )


def test_sqlite_gives_the_same(csv: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database:
        database.execute('CREATE TABLE events ("user" INTEGER, item TEXT, rating REAL, time INTEGER)')
        database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", zip(*ROWS.values(), strict=True))
        database.commit()
    assert load(SQL("events", path=tmp_path / "shop.sqlite")).fingerprint() == load(csv).fingerprint()


def test_without_psycopg_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DataError, match=r"pip install 'genre-rec\[postgres\]'"):
        read_tables(SQL("events", url="postgresql://user@host/shop"))


def test_a_query_that_fails_while_it_runs_is_named() -> None:
    with pytest.raises(DataError, match=r"not a table or query of this database \(.*no luck"):
        read_tables(SQL("SELECT 1 AS user, error('no luck') AS item"))


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    for source, message in (
        (SQL("events", path=tmp_path / "no.duckdb"), "no such file"),
        (SQL("nope"), "'nope': not a table or query"),
        (SQL("SELEC 1"), "'SELEC 1': not a table or query"),
        (SQL("events", url="nosuch://me:secret@host/db"), r"nosuch://me@host/db: no way to read 'nosuch'"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read_tables(source)
        assert "secret" not in str(caught.value)


def test_load_tells_what_it_read_and_dropped(csv: Path) -> None:
    log = Lines()
    load(csv, log=log)
    assert log.lines[0] == "data.csv: separated by comma, with a header"
    assert log.lines[-1] == "3 of 3 interactions kept"


def test_a_public_set_is_loaded_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "three-rows", lambda: Frames(ROWS))  # type: ignore[arg-type]
    assert len(load("three-rows")) == 3


def test_load_reads_folders_and_names_the_unknown(tmp_path: Path) -> None:
    write_dataset(toy_dataset(), tmp_path / "toy")
    assert load(tmp_path / "toy").fingerprint() == toy_dataset().fingerprint()
    with pytest.raises(DataError, match=r"did you mean 'movielens-100k'\?"):
        load("movielens-100")
    with pytest.raises(DataError, match="files of several formats"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files in it"):
        load(tmp_path / "empty")
    (tmp_path / "parts").mkdir()
    for part, user in enumerate("uv"):
        (tmp_path / "parts" / f"{part}.csv").write_text(f"user,item\n{user},a\n")
    assert load(tmp_path / "parts").user_ids.values.to_pylist() == ["u", "v"]


def test_a_folder_is_no_file_of_a_line_a_user(tmp_path: Path) -> None:
    assert not looks_like_sequences(tmp_path)
