"""Every built-in encoder passes the public contract suite."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from genre import storage
from genre.arrays import Float32
from genre.errors import ArtifactError
from genre.features.base import Encoder
from genre.features.tfidf import TfIdf
from genre.features.vectors import Vectors
from genre.kinds import KINDS
from genre.log import SILENT, Log
from genre.testing import check_encoder, toy_dataset
from llm_server import as_vectors, serving
from small_vision import write_vision_model


@pytest.fixture
def vector_server() -> Iterator[str]:
    with serving(change=as_vectors) as server:
        yield server.url


@pytest.mark.parametrize("kind", KINDS["features"])
def test_contract(kind: str, tmp_path: Path, vector_server: str) -> None:
    file, ledger = tmp_path / "vectors.npz", tmp_path / "ledger.sqlite"
    np.savez(file, ids=[f"i{item}" for item in range(10)], vectors=np.random.default_rng(0).normal(size=(10, 3)))
    options = {
        "vectors": {"path": file},
        "concat": {"parts": (TfIdf(), Vectors(file)), "weights": (3.0, 1.0)},
        "embedding_server": {"model": "tiny", "base_url": vector_server, "key_variable": "", "ledger": str(ledger)},
        "image": {"model": tmp_path / "model.onnx", "column": "title", "folder": tmp_path, "cache_dir": str(tmp_path)},
    }
    if kind == "image":
        from PIL import Image as Pillow

        write_vision_model(tmp_path / "model.onnx")
        for row, title in enumerate(toy_dataset().items["title"].to_pylist()):
            Pillow.new("RGB", (9, 9), (20 * row, 90, 10)).save(tmp_path / title, "PNG")
    module, name = KINDS["features"][kind].split(":")

    def make() -> Encoder:
        made = getattr(importlib.import_module(module), name)(**options.get(kind, {}))
        assert isinstance(made, Encoder)
        return made

    check_encoder(make)


@dataclass(eq=False)
class Lengths(Encoder):
    """The least that an encoder is: how long each text is."""

    scale: float = 1.0

    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        return np.array([[len(text) * self.scale] for text in texts], np.float32)


def test_one_method_is_an_encoder(tmp_path: Path) -> None:
    encoder = Lengths(2.0)
    table = pa.table({"item_id": ["a", "b"], "title": ["Heat", ""]})
    assert encoder.encode(table).values[1, 0] == 0
    assert encoder.encode_once(["abc"]).tolist() == [[6.0]]
    encoder.save(tmp_path / "lengths")
    again = Encoder.load(tmp_path / "lengths")
    assert again.fingerprint == encoder.fingerprint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"class": "genre.features.tfidf:TfIdf"}, "not a saved Lengths"),
        ({"class": "genre.recommenders.ease:EASE"}, "which is no Encoder"),
        ({"class": f"{Lengths.__module__}:Lengths", "width": 3}, "does not fit this version of Lengths"),
        ({}, "does not fit this version of Lengths"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    Lengths().save(tmp_path / "saved")
    storage.write_json(tmp_path / "saved" / "options.json", options)
    storage.write_manifest(tmp_path / "saved")
    with pytest.raises(ArtifactError, match=said):
        Lengths.load(tmp_path / "saved")
