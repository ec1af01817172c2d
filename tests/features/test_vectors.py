"""Vectors made elsewhere, and several encoders in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre.config.reading import parse_config
from genre.errors import ArtifactError, DataError, NotFitted, OptionError
from genre.features.base import Encoder
from genre.features.concat import Concat
from genre.features.tfidf import TfIdf
from genre.features.vectors import Vectors
from genre.testing import toy_dataset
from genre.workspace import read_features, workspace_of, write_features

VALUES = np.array([[1, 2], [3, 4]], np.float32)
TABLE = pa.table({"item_id": ["b", "x", "a"], "title": ["space robots", "knights", "space rockets"]})


def write(folder: Path, kind: str) -> Path:
    path = folder / f"vectors.{kind.partition('-')[2] or kind}"
    if kind == "csv":
        path.write_text("item_id,f1,f2\na,1,2\nb,3,4\n")
    elif kind == "npz":
        np.savez(path, ids=["a", "b"], vectors=VALUES)
    elif kind == "lists-parquet":
        pq.write_table(pa.table({"film": ["a", "b"], "vector": VALUES.tolist()}), path)
    else:
        pq.write_table(pa.table({"f1": VALUES[:, 0], "item_id": ["a", "b"], "f2": VALUES[:, 1]}), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet", "lists-parquet"])
def test_each_format_by_id_and_zero_for_the_unknown(kind: str, tmp_path: Path) -> None:
    made = Vectors(write(tmp_path, kind)).fit(TABLE).encode(TABLE)
    assert made.values.tolist() == [[3, 4], [0, 0], [1, 2]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("item_id,f1\na,1\na,2\n", "distinct"),
        ("item_id,f1\na,nan\n", "not finite"),
        ("item_id,f1\na,word\n", "cannot be read"),
        ("item_id\na\n", "cannot be read"),
        ("item_id,f1\nq,1\n", "none of the 3 ids"),
        ("", "cannot be read"),
    ],
)
def test_bad_files_are_one_clear_error(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "vectors.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        Vectors(path).fit(TABLE)


def test_a_missing_file_an_unread_one_and_a_table_without_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Vectors(tmp_path / "none.csv").fit(TABLE)
    with pytest.raises(NotFitted):
        Vectors(tmp_path / "none.csv").encode(TABLE)
    with pytest.raises(DataError, match="no column 'item_id'"):
        Vectors(write(tmp_path, "csv")).fit(TABLE).encode(TABLE.drop_columns(["item_id"]))


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", ids=np.array(["a", {"b": 1}], object), vectors=VALUES)
    with pytest.raises(DataError, match="cannot be read"):
        Vectors(tmp_path / "v.npz").fit(TABLE)


def test_likeness_is_the_weighted_mean_of_the_parts(tmp_path: Path) -> None:
    parts = (TfIdf(template="{title}"), Vectors(write(tmp_path, "csv")))
    made = Concat(parts, (3.0, 1.0), whitening=None).fit(TABLE).encode(TABLE).values
    words = TfIdf(template="{title}").fit(TABLE).encode(TABLE).values
    looks = np.array([3, 4]) @ [1, 2] / (5 * np.sqrt(5))
    assert made[0] @ made[2] == pytest.approx(0.75 * words[0] @ words[2] + 0.25 * looks, abs=1e-6)


def test_weights_fit_the_parts() -> None:
    with pytest.raises(OptionError, match="weights"):
        Concat((TfIdf(),), (1.0, 2.0))
    with pytest.raises(OptionError):
        Concat(())


def test_any_encoder_is_loaded_as_what_it_was(tmp_path: Path) -> None:
    TfIdf().fit(toy_dataset().items).save(tmp_path / "tfidf")
    assert isinstance(Encoder.load(tmp_path / "tfidf"), TfIdf)
    with pytest.raises(ArtifactError, match="not a saved Concat"):
        Concat.load(tmp_path / "tfidf")


def test_a_config_nests_encoders_and_finds_files_beside_it(tmp_path: Path) -> None:
    text = """
        name: films
        data: {kind: movielens-100k}
        features: {items: {kind: concat, parts: [{kind: tfidf, dim: 8}, {kind: vectors, path: looks.csv}]}}
        recommenders: [{kind: content}]
    """
    encoder = parse_config(text, "films.yaml", folder=tmp_path).experiment.features.items
    assert isinstance(encoder, Concat)
    looks = encoder.parts[1]
    assert isinstance(looks, Vectors)
    assert looks.path == tmp_path / "looks.csv"


def test_a_row_without_a_block_is_as_long_as_the_others(tmp_path: Path) -> None:
    encoder = Concat((TfIdf(template="{title}"), Vectors(write(tmp_path, "csv"))), names=("words", "looks")).fit(TABLE)
    made = encoder.encode(TABLE)
    assert [block.name for block in made.blocks] == ["words", "looks"]
    assert made.blocks[1].known.tolist() == [True, False, True]
    assert not made.values[1, made.columns("looks")].any()
    assert np.allclose(np.linalg.norm(made.values, axis=1), 1)
    words = encoder.text_columns(made.values)
    assert words[:, made.columns("words")].any(axis=1).all()
    assert not words[:, made.columns("looks")].any(), "texts are compared with texts alone"
    query = encoder.encode_texts(["space"])
    assert not query[:, made.columns("looks")].any()
    assert np.linalg.norm(query) == pytest.approx(1)


def test_blocks_have_names_of_their_own(tmp_path: Path) -> None:
    parts = (TfIdf(), Vectors(tmp_path / "a.csv"), Vectors(tmp_path / "b.csv"))
    assert Concat(parts).block_names == ("tfidf", "vectors", "vectors-2")
    with pytest.raises(OptionError, match="names"):
        Concat(parts, names=("a", "b"))
    with pytest.raises(OptionError, match="another name"):
        Concat(parts, names=("a", "b", "a"))


def test_blocks_survive_saving(tmp_path: Path) -> None:
    made = Concat((TfIdf(template="{title}"), Vectors(write(tmp_path, "csv")))).fit(TABLE).encode(TABLE)
    write_features(tmp_path, made)
    again = read_features(tmp_path)
    assert np.array_equal(again.values, made.values)
    assert [(b.name, b.dim, b.known.tolist()) for b in again.blocks] == [
        (b.name, b.dim, b.known.tolist()) for b in made.blocks
    ]
    larger = again.append(made.values[:2])
    assert larger.blocks[1].known.tolist() == [True, False, True, True, False]
    with pytest.raises(DataError, match=r"no block 'vector' of features.*did you mean 'vectors'.*tfidf"):
        again.columns("vector")


def test_a_changed_file_is_another_run(tmp_path: Path) -> None:
    text = """
        name: films
        data: {kind: files, interactions: rows.csv}
        features: {items: {kind: concat, parts: [{kind: tfidf}, {kind: vectors, path: looks.csv}]}}
        recommenders: [{kind: content}]
    """
    (tmp_path / "rows.csv").write_text("user,item\na,b\n")
    keys = []
    for value in "112":
        (tmp_path / "looks.csv").write_text(f"item_id,f1\nb,{value}\n")
        keys.append(workspace_of(parse_config(text, "films.yaml", folder=tmp_path), tmp_path).key)
    assert keys[0] == keys[1] != keys[2]
